"""Reflection prompts that are longer than the reflection model takes: shortened, or left out one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from evolve_world import World, by_race, make_problems, step_inputs

from p2o.distributed import Processes
from p2o.evolution import evolve
from p2o.evolution.propose import Task
from p2o.evolution.propose.prompt import ReflectionExample, parse_prompt
from p2o.evolution.propose.reflection import Reflection
from p2o.evolution.propose.shorten import ever_shorter
from p2o.evolution.result import Candidate
from p2o.evolution.types import ReflectionReply, ReflectionRequest
from p2o.model.load import longest_sequence
from p2o.reflection import SelfReflection
from p2o.rollout.sampler import Sample, SampleRequest, SamplingParams
from p2o.templates import PLAIN
from p2o.types import Message

PROMPT = parse_prompt(
    "%% settings\nresponse_chars = 800\nresponse_keep = start\nellipsis =\nexamples_separated_by = newline\n"
    "%% user\n{template}\n{examples}\n%% example\n{problem}:{response}\n%% correct\ny\n%% wrong\nn\n"
    "%% wrong without gold\nn\n"
)


def example(name: str, length: int, reward: float = 0.0) -> ReflectionExample:
    return ReflectionExample(name, "x" * length, reward, "7")


def shown(messages: Sequence[Message]) -> dict[str, int]:
    """The problems in a rendered prompt and the length of their responses."""
    lines = messages[-1]["content"].split("\n")[1:]
    return {line.split(":")[0]: len(line.split(":")[1]) for line in lines}


def test_forms_worked_by_hand() -> None:
    """800 characters are the file's limit; halves of it down to 200; the success goes first, then the later failure."""
    examples = [example("a", 900), example("b", 1000, 1.0), example("c", 300)]
    forms = [shown(form) for form in ever_shorter(PROMPT, "t", examples, show_gold=True, values={})]
    assert forms == [
        {"a": 800, "b": 800, "c": 300},
        {"a": 400, "b": 400, "c": 300},
        {"a": 200, "b": 200, "c": 200},
        {"a": 800, "c": 300},
        {"a": 400, "c": 300},
        {"a": 200, "c": 200},
        {"a": 800},
        {"a": 400},
        {"a": 200},
    ]


def test_short_responses_are_not_cut() -> None:
    """Half of the longest would be under the least: only examples are left out."""
    examples = [example("a", 399), example("b", 10)]
    forms = [shown(form) for form in ever_shorter(PROMPT, "t", examples, show_gold=True, values={})]
    assert forms == [{"a": 399, "b": 10}, {"a": 399}]


def task(*lengths: int) -> Task:
    problems = make_problems(len(lengths))
    examples = [ReflectionExample("question", "x" * length, 0.0, "gold") for length in lengths]
    return Task(Candidate(0, PLAIN), problems, examples)


def test_what_cannot_be_short_enough_costs_its_own_proposal_only() -> None:
    asked: list[int] = []

    def reflect(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        asked.extend(len(request.messages[-1]["content"]) for request in requests)
        return [ReflectionReply(f"```\ntemplate {i}\n```", tokens=3) for i in range(len(requests))]

    Reflection(step_inputs(reflect=reflect)).propose([task(100), task(4000)])
    short, long = asked
    asked.clear()

    def fits(messages: Sequence[Message]) -> bool:
        return len(messages[-1]["content"]) < short + 3000

    proposer = Reflection(step_inputs(reflect=reflect, reflection_fits=fits))
    huge = task(100)
    huge.examples[0] = ReflectionExample("question " * 500, "x", 0.0, "gold")
    proposals = proposer.propose([task(100), huge, task(4000)])
    assert [proposal.text for proposal in proposals] == ["template 0", None, "template 1"]
    assert [proposal.refusal for proposal in proposals] == [None, "reflection prompt too long", None]
    # The middle of the response is left out: half of it, and the file's ellipsis.
    assert asked == [short, long - 2000 + len("[...]")]


def test_a_reply_that_tells_of_too_long_a_prompt_is_counted() -> None:
    replies = [ReflectionReply("", "prompt_too_long"), ReflectionReply("```\nfine\n```")]
    proposals = Reflection(step_inputs(reflect=lambda requests: replies)).propose([task(5), task(6)])
    assert [proposal.text for proposal in proposals] == [None, "fine"]
    assert [proposal.refusal for proposal in proposals] == ["reflection prompt too long", None]


class FakeSampler:
    """Takes twenty tokens; a response repeats the length of its prompt."""

    ranks_per_engine = 1
    max_model_len: int | None = 20

    def __init__(self) -> None:
        self.requests: list[SampleRequest] = []

    def sample(self, requests: Sequence[SampleRequest], params: SamplingParams) -> list[Sample]:
        self.requests += requests
        return [Sample([len(request.prompt_ids)], [0.0], "stop") for request in requests]


class FakeEncoder:
    """A token a character."""

    def encode(self, messages: Sequence[Message]) -> tuple[int, ...]:
        return tuple(map(ord, messages[-1]["content"]))

    def decode(self, ids: Sequence[int]) -> str:
        return str(ids[0])


def test_self_reflection_answers_what_fits() -> None:
    """Sixteen tokens of prompt and four of reply are what twenty hold."""
    sampler: Any = FakeSampler()
    reflect = SelfReflection(sampler, FakeEncoder(), SamplingParams(max_tokens=4))  # type: ignore[arg-type]
    requests = [
        ReflectionRequest((Message(role="user", content="x" * length),), seed)
        for seed, length in enumerate((16, 17, 3))
    ]
    replies = reflect(requests)
    assert [(reply.text, reply.finish_reason, reply.tokens) for reply in replies] == [
        ("16", "stop", 1),
        ("", "prompt_too_long", 0),
        ("3", "stop", 1),
    ]
    assert [request.seed for request in sampler.requests] == [0, 2]
    assert [reflect.fits(request.messages) for request in requests] == [True, False, True]
    sampler.max_model_len = None
    assert [reply.text for reply in reflect(requests)] == ["16", "17", "3"]


def test_ranks_that_share_an_engine_reflect_together() -> None:
    teams: list[int] = []

    class Ranks(Processes):
        def map(self, function: Any, items: Any, team: int = 1) -> Any:
            teams.append(team)
            return function(items)

    sampler: Any = FakeSampler()
    sampler.ranks_per_engine = 4
    reflect = SelfReflection(sampler, FakeEncoder(), SamplingParams(max_tokens=4), Ranks())  # type: ignore[arg-type]
    assert len(reflect([ReflectionRequest((Message(role="user", content="x"),), 0)])) == 1
    assert teams == [4]


def test_a_step_of_which_no_prompt_fits_ends_and_says_why() -> None:
    world = World(plain=0.0)
    evolution = evolve(
        make_problems(300),
        world.evaluate,
        world.reflect,
        by_race(budget=11_040),
        reflection_fits=lambda messages: False,
    )
    assert not world.calls
    assert evolution.ledger.reflection_calls == 0
    assert evolution.stop_reason == "stalled"
    assert evolution.refusals == {"reflection prompt too long": 5 * 16}
    assert evolution.metrics()["evolve/refused"] == 80


def test_a_step_with_shortened_prompts_is_resumed(tmp_path: Path) -> None:
    def run(world: World, journal: Path | None) -> Any:
        return evolve(
            make_problems(60),
            world.evaluate,
            world.reflect,
            by_race(budget=110, parents=3, dev_size=12),
            journal=journal,
            reflection_fits=lambda messages: messages[-1]["content"].count("### Problem") < 3,
        )

    world = World()
    straight = run(world, tmp_path / "straight.jsonl")
    assert world.calls
    assert {call.messages[-1]["content"].count("### Problem") for call in world.calls} == {2}
    lines = (tmp_path / "straight.jsonl").read_text().splitlines(keepends=True)
    for kept in range(1, len(lines), 7):
        journal = tmp_path / f"{kept}.jsonl"
        journal.write_text("".join(lines[:kept]))
        assert run(World(), journal) == straight


@pytest.mark.parametrize(
    ("rope", "positions"),
    [
        (None, 256),
        ({"rope_type": "default"}, 256),
        ({"factor": 4.0, "original_max_position_embeddings": 128}, 512),
        ({"factor": 2.0}, 512),
        ({"factor": 0.5}, 256),
        # The longest sequence of a batch decides how all of it is rotated, beyond these.
        ({"rope_type": "dynamic", "factor": 4.0}, 256),
        ({"rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": 64}, 64),
    ],
)
def test_the_longest_sequence_is_what_the_rotation_was_stretched_to(rope: Any, positions: int) -> None:
    text = SimpleNamespace(max_position_embeddings=256, rope_parameters=rope)
    model = SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: text))
    assert longest_sequence(model) == positions
    del text.max_position_embeddings
    assert longest_sequence(model) is None


def test_the_sampler_hf_takes_what_its_model_was_made_for(random_model: Any) -> None:
    from p2o.rollout.hf import HfSampler
    from p2o.rollout.lent import LentSampler

    sampler = HfSampler(random_model, end_ids=[1], pad_id=0)
    assert sampler.max_model_len == 256
    assert LentSampler(sampler, None, None).max_model_len == 256  # type: ignore[arg-type]
