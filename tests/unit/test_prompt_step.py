"""The prompt step inside a run: when it takes place, what it begins with, what it draws and what it costs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from character_encoder import Encoder
from evolve_world import World, make_problems

from p2o.config import build_config
from p2o.distributed import ONE_PROCESS
from p2o.errors import ConfigError
from p2o.evolution import EvaluationRequest, Evolution
from p2o.evolution.types import PlainEnough
from p2o.files import read_jsonl
from p2o.guidance.guidance import GuidanceParts
from p2o.guidance.prompt_step import PromptStep
from p2o.guidance.spending import Allowance
from p2o.outcomes import Outcomes
from p2o.reflection import SelfReflection, check_prompts_fit
from p2o.rollout.collect import RolloutRequest
from p2o.rollout.sampler import Sample, SamplingParams
from p2o.templates import PLAIN, make_template
from p2o.track.console import Console
from p2o.track.run_directory import RunDirectory
from p2o.types import Problem, Rollout, Template

PROBLEMS = make_problems(60)
HARD = {problem.id: "very_hard" for problem in PROBLEMS}


class Collector:
    """Rolls out by the rules of a world; every response has seven tokens."""

    processes = ONE_PROCESS

    def __init__(self, world: World, *, longest: int = 10**6) -> None:
        self.policy = world
        self.longest = longest
        self.requests: list[RolloutRequest] = []
        self.unreadable: str | None = None

    def reads(self, problem: Problem, template: Template) -> bool:
        return self.unreadable is None or self.unreadable not in template.text

    def collect(self, requests: Sequence[RolloutRequest], params: Any, progress: Any) -> list[Rollout]:
        self.requests += requests
        asked = [EvaluationRequest(one.problem, one.template, one.index) for one in requests]
        results = zip(requests, self.policy.evaluate(asked), strict=True)
        return [
            Rollout(r.problem.id, r.template.id, r.index, [], [5] * 7, [0.0] * 7, "stop", "", result.reward)
            if len(r.template.text) <= self.longest
            else Rollout(r.problem.id, r.template.id, r.index, [], [], [], "prompt_too_long", "")
            for r, result in results
        ]


def step_of(
    folder: Path,
    world: World | None = None,
    *,
    reflect: Any = None,
    longest: int = 10**6,
    given: Sequence[Template] = (),
    **sections: Any,
) -> tuple[PromptStep, Collector]:
    world = World() if world is None else world
    config = build_config(
        {
            "model": {"source": "x"},
            "data": {"kind": "tiny"},
            "mining": {"min_count": 60},
            **sections,
            "evolve": {"budget": 1500, "dev_size": 30, **sections.get("evolve", {})},
        }
    )
    collector = Collector(world, longest=longest)
    directory = RunDirectory(folder)
    directory.journals.mkdir(parents=True, exist_ok=True)
    parts = GuidanceParts(
        config,
        PROBLEMS,
        collector,  # type: ignore[arg-type]
        reflect or world.reflect,
        directory,
        Console.silent(),
        given,
    )
    return PromptStep(parts), collector


def evolved(
    step: PromptStep, hard: dict[str, str] = HARD, epoch: int = 1, previous: Any = None, **more: Any
) -> Any:
    return step.evolve(hard, Outcomes(), version=epoch, epoch=epoch, previous=previous, **more)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Evolution:
    step, _ = step_of(tmp_path_factory.mktemp("earlier"))
    evolution: Evolution = evolved(step).evolution
    assert evolution.chosen
    return evolution


@pytest.mark.parametrize("carry_over", [True, False])
def test_with_too_few_hard_samples_it_is_skipped(
    tmp_path: Path, earlier: Evolution, carry_over: bool
) -> None:
    step, collector = step_of(tmp_path, evolve={"carry_over": carry_over})
    few = dict(list(HARD.items())[:59])
    outcome = evolved(step, few, previous=earlier)
    assert outcome.evolution is (earlier if carry_over else None)
    assert outcome.tokens == 0
    assert outcome.reason == "skipped: 59 hard problems, under mining.min_count = 60"
    assert collector.requests == []
    assert not (tmp_path / "templates.jsonl").exists()
    assert evolved(step, HARD).evolution.chosen, "as many as min_count are enough"


@pytest.mark.parametrize("carry_over", [True, False])
def test_it_begins_with_the_templates_of_the_step_before(
    tmp_path: Path, earlier: Evolution, carry_over: bool
) -> None:
    step, _ = step_of(tmp_path, evolve={"carry_over": carry_over})
    evolution = evolved(step, epoch=2, previous=earlier).evolution
    given = [c.template.id for c in evolution.candidates if c.made_by == "given"]
    assert given == ([template.id for template in earlier.chosen] if carry_over else [])


def test_templates_that_are_given_begin_the_first_step_also_if_it_was_killed(tmp_path: Path) -> None:
    given = [make_template("Think of circles.")]
    step, _ = step_of(tmp_path, given=given, evolve={"budget": 200})
    first = evolved(step, epoch=1).evolution
    assert [c.template for c in first.candidates if c.made_by == "given"] == given
    again, collector = step_of(tmp_path, given=given, evolve={"budget": 200})
    assert evolved(again, epoch=1).evolution == first
    assert collector.requests == []
    second = evolved(again, epoch=2).evolution
    assert not any(candidate.made_by == "given" for candidate in second.candidates)


def test_it_spends_what_it_is_allowed_to(tmp_path: Path) -> None:
    """A share of the budget; the plain prompt's evaluation alone; proposals until so many in a row came to nothing."""
    step, _ = step_of(tmp_path / "half", evolve={"budget": 1000})
    assert evolved(step, allowance=Allowance(share=0.3)).evolution.ledger.rollout_limit == 300
    step, collector = step_of(tmp_path / "plain", World(plain=1.0))
    outcome = evolved(step, allowance=Allowance(plain_enough=PlainEnough(share=0.5, draws=4.0)))
    assert outcome.reason == "ended: plain rollouts solve 100%"
    assert {request.template for request in collector.requests} == {PLAIN}
    step, _ = step_of(tmp_path / "fruitless", World(useful=0.0, plain=0.0))
    outcome = evolved(step, allowance=Allowance(max_fruitless=2))
    assert outcome.evolution.stop_reason == "fruitless"
    proposed = [candidate for candidate in outcome.evolution.candidates if candidate.proposed]
    assert list(outcome.tried) == [candidate for candidate in proposed if candidate.tried]


def test_too_few_to_accept_any_template_is_no_error(tmp_path: Path, earlier: Evolution) -> None:
    step, _ = step_of(tmp_path, mining={"min_count": 2}, evolve={"acceptance": "sequential"})
    outcome = evolved(step, dict(list(HARD.items())[:2]), previous=earlier)
    assert outcome.reason.startswith("skipped: 1 dev problems are too few to accept any template")
    assert (outcome.evolution, outcome.tokens) == (earlier, 0)


def test_its_books(tmp_path: Path) -> None:
    """Tokens of rollouts and of reflection; a version of the policy, a journal and records for each epoch."""
    world = World()
    step, collector = step_of(tmp_path, world)
    outcomes = Outcomes()
    outcome = step.evolve(HARD, outcomes, version=4, epoch=4, previous=None)
    assert outcome.tokens == 7 * len(collector.requests) + 11 * len(world.calls)
    assert [version["policy_version"] for version in outcomes.to_dict()["versions"]] == ["4"]
    assert (tmp_path / "evolve" / "prompt-step-0004.jsonl").exists()
    assert {record["epoch"] for record in read_jsonl(tmp_path / "templates.jsonl")} == {4}
    again, more = step_of(tmp_path, World())
    repeated = evolved(again, epoch=4)
    assert (repeated.tokens, repeated.evolution) == (outcome.tokens, outcome.evolution)
    assert more.requests == [], "what is in the journal is not drawn again, and yet it is paid for"


def test_no_two_rollouts_share_a_stream(tmp_path: Path) -> None:
    step, collector = step_of(tmp_path, evolve={"rollouts_per_evaluation": 2})
    for epoch in (1, 2):
        collector.policy.rollouts.clear()
        evolved(step, epoch=epoch)
    seeds = Counter(request.seed for request in collector.requests)
    assert max(seeds.values()) == 1
    assert {request.index for request in collector.requests} >= {0, 1}


def test_a_proposal_that_the_tokenizer_cannot_read_costs_no_more_than_itself(tmp_path: Path) -> None:
    step, collector = step_of(tmp_path, World(useful=1.0))
    collector.unreadable = "primes"
    evolution = step.evolve(HARD, Outcomes(), version=1, epoch=1, previous=None).evolution
    assert evolution is not None
    assert evolution.refusals["the policy's tokenizer cannot read it"] > 0
    assert not any("primes" in request.template.text for request in collector.requests)
    assert evolution.chosen
    assert evolution.stop_reason == "budget"


def test_a_template_that_does_not_fit_earns_nothing_and_says_why(tmp_path: Path) -> None:
    world = World(plain=1.0, right=1.0)
    step, _ = step_of(tmp_path, world, longest=10)
    long, short = make_template("longer than ten"), make_template("short")
    requests = [EvaluationRequest(problem, t, 0) for problem in PROBLEMS[:2] for t in (long, short, PLAIN)]
    results = step._evaluate(requests, 0, step._collect)
    assert [result.reward for result in results] == [0.0, 1.0, 1.0] * 2
    assert ["too long" in result.feedback for result in results] == [True, False, False] * 2
    assert [result.tokens for result in results] == [0, 7, 7] * 2


def test_reflection_prompts_that_are_too_long_are_told(tmp_path: Path) -> None:
    """The first of each round's replies; a skipped step has none of its own."""

    class Short(World):
        def reflect(self, requests: Any) -> Any:
            first, *others = super().reflect(requests)
            return [replace(first, text="", finish_reason="prompt_too_long"), *others]

    step, _ = step_of(tmp_path, Short(), evolve={"parents": 4})
    step.limits = {"max_rounds": 2}
    outcome = evolved(step)
    count = outcome.evolution.refusals["reflection prompt too long"]
    assert count == 2
    assert ", 2 reflection prompts too long" in outcome.reason
    assert outcome.summary()["refusals"] == outcome.evolution.refusals
    skipped = evolved(step, {}, previous=outcome.evolution)
    assert skipped.summary()["refusals"] == {}


def test_self_reflection_is_asked_with_what_its_model_takes(tmp_path: Path) -> None:
    """A token a character: one less than the longest prompt and its reply takes is enough for two examples."""
    asked: list[int] = []

    class Engine:
        ranks_per_engine = 1
        max_model_len: int | None = None

        def sample(self, requests: Any, params: Any) -> list[Sample]:
            asked.extend(len(request.prompt_ids) for request in requests)
            return [Sample([0], [0.0], "stop") for _ in requests]

    class Encoder:
        def encode(self, messages: Any) -> tuple[int, ...]:
            return tuple(map(ord, messages[-1]["content"]))

        def decode(self, ids: Any) -> str:
            return "no template"

    engine: Any = Engine()
    reflect = SelfReflection(engine, Encoder(), SamplingParams(max_tokens=9))  # type: ignore[arg-type]
    whole, _ = step_of(tmp_path / "whole", World(plain=0.0), reflect=reflect)
    whole.limits = {"max_rounds": 1}
    evolved(whole)
    longest, calls = max(asked), len(asked)
    asked.clear()
    engine.max_model_len = longest + 9 - 1
    cut, _ = step_of(tmp_path / "cut", World(plain=0.0), reflect=reflect)
    cut.limits = {"max_rounds": 1}
    assert evolved(cut).evolution.refusals == {"no template in reply": calls}
    assert len(asked) == calls
    assert max(asked) < longest


def test_ctrl_c_ends_the_run_and_keeps_the_journal(tmp_path: Path) -> None:
    calls = 0

    class Interrupted(World):
        def reflect(self, requests: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise KeyboardInterrupt
            return super().reflect(requests)

    step, _ = step_of(tmp_path, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        evolved(step)
    assert not (tmp_path / "templates.jsonl").exists(), "a step that is not over chooses nothing"
    resumed, _ = step_of(tmp_path, World())
    unbroken, _ = step_of(tmp_path / "unbroken", World())
    assert evolved(resumed).evolution == evolved(unbroken).evolution


def test_a_budget_under_the_dev_set_is_told(tmp_path: Path) -> None:
    step, collector = step_of(tmp_path, evolve={"budget": 29})
    outcome = evolved(step)
    assert outcome.reason == "0 templates from 0 proposals (budget)"
    assert collector.requests == []


def test_a_reflection_prompt_leaves_room_for_the_reply() -> None:
    """At least a token for an example, where the policy reflects itself."""
    base = {"model": {"source": "x"}, "data": {"kind": "tiny"}}
    config = build_config({**base, "reflection": {"max_tokens": 50}})
    check_prompts_fit(config, Encoder(), None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"is (\d+) tokens without an example") as told:
        check_prompts_fit(config, Encoder(), 1)  # type: ignore[arg-type]
    found = re.search(r"is (\d+) tokens", str(told.value))
    assert found is not None
    longest = int(found[1]) + 50
    with pytest.raises(ConfigError, match=f"model or engine take {longest}$"):
        check_prompts_fit(config, Encoder(), longest)  # type: ignore[arg-type]
    check_prompts_fit(config, Encoder(), longest + 1)  # type: ignore[arg-type]
