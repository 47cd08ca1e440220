"""Guidance that each hard problem has of its own: prefixes and hints, worked by hand on engines made up for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from p2o.assembly import check_surroundings
from p2o.config import build_config
from p2o.distributed import ONE_PROCESS
from p2o.errors import ConfigError, ReflectionError
from p2o.evolution.propose.refuse import leaks
from p2o.evolution.types import ReflectionReply, ReflectionRequest
from p2o.files import read_jsonl
from p2o.guidance import solution_prefix
from p2o.guidance.for_each import NO_SOLUTION, TELLS_GOLD, failures
from p2o.guidance.guidance import Guidance, GuidanceParts, check_solutions, guidance_class
from p2o.guidance.self_hint import PROMPT, STRENGTHS
from p2o.guidance.solution_prefix import prefix_of
from p2o.outcomes import Outcomes
from p2o.reflection import check_prompts_fit
from p2o.rollout.sampler import sampler_class
from p2o.state import LoopState
from p2o.templates import PLAIN, make_template
from p2o.track.console import Console
from p2o.track.run_directory import RunDirectory
from p2o.types import Message, Problem, Template

SOLUTION = "First add the units.\nThen carry one.\nAt last the answer is 445"


def problem(identity: str, solution: str = SOLUTION, gold: str = "445") -> Problem:
    return Problem(identity, (Message(role="user", content=f"What is {identity}?"),), gold, solution=solution)


class Reads:
    """Stands for a collector: one process, and a tokenizer that cannot read `<bad>`."""

    processes = ONE_PROCESS

    def reads(self, problem: Problem, template: Template) -> bool:
        return "<bad>" not in template.text


def guidance(
    path: Path, problems: Sequence[Problem], reflect: Any = None, **settings: Any
) -> tuple[Guidance, LoopState]:
    config = build_config(
        {
            "model": {"source": "x"},
            "data": {"kind": "tiny"},
            "rollout": {"n": 4},
            "assign": {"plain_rollouts": 1},
            "guidance": settings,
        }
    )
    directory = RunDirectory.create(path / "run", config, {})
    parts = GuidanceParts(config, problems, Reads(), reflect, directory, Console())  # type: ignore[arg-type]
    return guidance_class(config.guidance.kind)(parts), LoopState(Outcomes(), version=1)


@pytest.mark.parametrize(
    ("share", "prefix"),
    [
        (0.01, "First"),
        (0.25, "First add the"),
        (0.5, "First add the units.\nThen carry"),
        (0.99, "First add the units.\nThen carry one.\nAt last the answer is"),
    ],
)
def test_a_prefix_is_a_share_of_the_words_as_they_stand(share: float, prefix: str) -> None:
    assert len(SOLUTION.split()) == 13
    assert prefix_of(problem("p"), share) == prefix


def test_a_prefix_never_tells_the_gold_answer_nor_all_there_is() -> None:
    early = problem("p", "So it is 445 since 400 and 45 make it")
    assert prefix_of(early, 0.9) == "So it is"
    assert prefix_of(problem("p", "445 it is"), 0.5) == ""
    assert prefix_of(problem("p", "short", "x"), 0.5) == ""
    assert prefix_of(problem("p", ""), 0.5) == ""


def test_of_a_long_solution_that_tells_the_gold_early_few_beginnings_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []

    def counted(text: str, gold: str) -> bool:
        looked.append(len(text))
        return leaks(text, gold)

    monkeypatch.setattr(solution_prefix, "leaks", counted)
    long = problem("p", "We find 445 at once. " + "Now check it. " * 1000)
    assert prefix_of(long, 0.9) == "We find"
    assert len(looked) <= 12  # of 2,703


def test_prefixes_shrink_from_step_to_step_and_stand_before_some_rollouts(tmp_path: Path) -> None:
    problems = [problem("a"), problem("b", solution=""), problem("c")]
    found, state = guidance(
        tmp_path, problems, kind="solution_prefix", prompt="{prefix} {", prefix_shares=[0.5, 0.25]
    )
    for step, prefix in ((0, "First add the units.\nThen carry"), (1, "First add the"), (2, "First add the")):
        state.version = step + 1
        outcome = found.find(state, {"a": "very_hard", "b": "very_hard"})
        assert outcome.tokens == 0
        assert outcome.summary["refusals"] == {NO_SOLUTION: 1}
        assert outcome.summary["reason"] == "1 of 2 hard problems guided"
        given = found.assign(state, ["a", "b", "c"], seed=0)
        shown = make_template(f"{prefix} {{")
        assert given == {"a": [shown] * 3 + [PLAIN], "b": [PLAIN] * 4, "c": [PLAIN] * 4}
        state.history.append({"prompt_step": outcome.summary})
    records = read_jsonl(tmp_path / "run" / "templates.jsonl")
    assert [(r["version"], r["problem"], r["chosen"], r["made_by"]) for r in records[:2]] == [
        (1, "a", True, "solution_prefix"),
        (1, "b", False, "solution_prefix"),
    ]
    assert state.templates_logged == len(records) == 6


def test_what_solved_a_problem_before_is_given_where_there_is_nothing_new(tmp_path: Path) -> None:
    found, state = guidance(tmp_path, [problem("a", solution="")], kind="solution_prefix")
    state.solved_under["a"] = make_template("an earlier one")
    found.find(state, {"a": "very_hard"})
    assert found.assign(state, ["a"], seed=0) == {"a": [make_template("an earlier one")] * 3 + [PLAIN]}


def test_failures_count_versions_since_the_last_success_under_guidance() -> None:
    outcomes = Outcomes()
    for version, template, name, reward, source in (
        ("1", "h1", "a", 0.0, "training"),
        ("1", "plain", "a", 1.0, "training"),  # plain, which is no matter
        ("2", "h2", "a", 0.0, "training"),
        ("2", "h2", "a", 1.0, "prompt step"),
        ("1", "h3", "b", 0.0, "training"),
        ("2", "h3", "b", 1.0, "training"),
        ("2", "h3", "b", 0.0, "training"),
        ("3", "h3", "b", 0.0, "training"),
        ("3", "plain", "c", 0.0, "training"),
    ):
        outcomes.record(version, template, name, reward, source)
    counted = failures(outcomes)
    assert [counted[name] for name in "abc"] == [2, 1, 0]


def test_hints_are_asked_for_and_grow_stronger(tmp_path: Path) -> None:
    asked: list[ReflectionRequest] = []

    def reflect(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        asked.extend(requests)
        return [ReflectionReply(f" Hint {len(asked)}.\n", tokens=5) for _ in requests]

    problems = [problem("a"), problem("b"), problem("c", solution="")]
    found, state = guidance(tmp_path, problems, reflect, kind="self_hint")
    for version in ("0", "00"):
        state.outcomes.record(version, "an earlier hint", "b", 0.0)
    outcome = found.find(state, dict.fromkeys("abc", "very_hard"))  # type: ignore[arg-type]
    texts = [request.messages[0]["content"] for request in asked]
    assert [strength in text for strength, text in zip((STRENGTHS[0], STRENGTHS[2]), texts, strict=True)] == [
        True,
        True,
    ]
    assert all(
        f"What is {name}?" in text and SOLUTION in text for name, text in zip("ab", texts, strict=True)
    )
    assert asked[0].seed != asked[1].seed
    assert (outcome.tokens, outcome.summary["refusals"]) == (10, {NO_SOLUTION: 1})
    given = found.assign(state, ["a", "b", "c"], seed=0)
    assert given["a"] == [make_template("Hint 2.")] * 3 + [PLAIN]
    assert given["c"] == [PLAIN] * 4
    assert "{strength}" in PROMPT


@pytest.mark.parametrize(
    ("reply", "refusal"),
    [
        (ReflectionReply("It is 445."), TELLS_GOLD),
        (ReflectionReply("Add", "length"), "reply cut off"),
        (ReflectionReply("", "prompt_too_long"), "reflection prompt too long"),
        (ReflectionReply("", "refused"), "refused by the server"),
        (ReflectionReply(" \n"), "no template in reply"),
        (ReflectionReply("<think>Add the units."), "no template in reply"),
        (ReflectionReply("<think>It is 445.</think>It is 445."), TELLS_GOLD),
        (ReflectionReply("x" * 6001), "too long"),
        (ReflectionReply("<bad>"), "the policy's tokenizer cannot read it"),
    ],
)
def test_a_hint_that_is_of_no_use_leaves_its_problem_plain(
    tmp_path: Path, reply: ReflectionReply, refusal: str
) -> None:
    found, state = guidance(tmp_path, [problem("a")], lambda requests: [reply], kind="self_hint")
    assert found.find(state, {"a": "very_hard"}).summary["refusals"] == {refusal: 1}
    assert found.assign(state, ["a"], seed=0) == {"a": [PLAIN] * 4}


def test_a_hint_is_what_is_said_without_thoughts_and_fences(tmp_path: Path) -> None:
    thought = f"<think>It must not state 445. {'Hm. ' * 2000}</think>\nCarry the one.\n"
    replies = [ReflectionReply(thought), ReflectionReply("Here it is:\n```\nCarry the one.\n```")]
    found, state = guidance(
        tmp_path, [problem("a"), problem("b")], lambda requests: replies, kind="self_hint"
    )
    found.find(state, dict.fromkeys("ab", "very_hard"))  # type: ignore[arg-type]
    hint = make_template("Carry the one.")
    assert found.assign(state, ["a", "b"], seed=0) == dict.fromkeys("ab", [hint] * 3 + [PLAIN])
    assert found.in_use(state) == PLAIN, "it is of no use for other problems"


def test_a_hint_may_be_as_long_as_a_template(tmp_path: Path) -> None:
    reply = ReflectionReply("x" * 6000)
    found, state = guidance(tmp_path, [problem("a")], lambda requests: [reply], kind="self_hint")
    assert found.find(state, {"a": "very_hard"}).summary["refusals"] == {}


def test_a_reflection_model_that_has_failed_leaves_all_problems_plain(tmp_path: Path) -> None:
    calls = iter([[ReflectionReply("A hint.")]])

    def reflect(requests: list[ReflectionRequest]) -> list[ReflectionReply]:
        if (replies := next(calls, None)) is None:
            raise ReflectionError("the server is gone")
        return replies

    found, state = guidance(tmp_path, [problem("a")], reflect, kind="self_hint")
    found.find(state, {"a": "very_hard"})
    assert found.assign(state, ["a"], seed=0) == {"a": [make_template("A hint.")] * 3 + [PLAIN]}
    state.version += 1
    failed = found.find(state, {"a": "very_hard"})
    assert failed.summary["reason"] == "reflection: the server is gone"
    assert failed.tokens == failed.summary["tokens"] == 0
    assert found.assign(state, ["a"], seed=0) == {"a": [PLAIN] * 4}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"kind": "solution_prefix", "prompt": "no place"}, "prompt lacks {prefix}"),
        ({"kind": "self_hint", "prompt": "{prefix}"}, "prompt lacks {problem}"),
        ({"prompt": "{prefix}"}, "its wording is reflection.prompt"),
        ({"kind": "solution_prefix", "prefix_shares": [1.0]}, "prefix_shares"),
        ({"kind": "nothing"}, "guidance.kind"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_config({"model": {"source": "x"}, "data": {"kind": "tiny"}, "guidance": section})


def test_what_a_kind_needs_is_asked_for_before_a_run_begins() -> None:
    base = {"model": {"source": "x"}, "data": {"kind": "tiny"}}
    with pytest.raises(ConfigError, match=r"set reflection\.kind"):
        build_config({**base, "guidance": {"kind": "self_hint"}, "reflection": {"kind": "none"}})
    config = build_config({**base, "guidance": {"kind": "solution_prefix"}})
    check_solutions(config, [problem("a")])
    with pytest.raises(ConfigError, match=r"set data\.solution_key"):
        check_solutions(config, [problem("a", solution="")])
    check_solutions(build_config(base), [problem("a", solution="")])
    assert not config.needs_start_weights


def test_a_kind_that_asks_no_reflection_model_needs_no_key_and_no_room_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    engine = {"sampler": "vllm", "max_prompt_tokens": 64, "max_tokens": 64, "vllm": {"max_model_len": 128}}
    base = {"model": {"source": "x"}, "data": {"kind": "tiny"}, "rollout": engine}
    openai = {"reflection": {"kind": "openai", "endpoint": {"model": "m"}}}
    encoder = Mock(encode=Mock(return_value=[0] * 100))
    prefixes = {"guidance": {"kind": "solution_prefix"}}
    check_surroundings(build_config({**base, **openai, **prefixes}))
    config = build_config({**base, **prefixes})
    sampler_class("vllm").check(config)
    check_prompts_fit(config, encoder, 128)

    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        check_surroundings(build_config({**base, **openai}))
    with pytest.raises(ConfigError, match=r"reflection.max_tokens is 2048, which leaves a request no room"):
        sampler_class("vllm").check(build_config(base))
    with pytest.raises(ConfigError, match=r"too many beside reflection.max_tokens = 2048"):
        check_prompts_fit(build_config(base), encoder, 128)
