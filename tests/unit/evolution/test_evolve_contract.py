"""What is given to `p2o.evolve` and cannot be used: one clear line, before anything is paid for or lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from evolve_world import World, by_race, make_problems

from p2o.errors import InputError, RunDirectoryError
from p2o.evolution import (
    EvaluationResult,
    Evolution,
    EvolveConfig,
    Problem,
    ReflectionConfig,
    ReflectionReply,
    evolve,
)
from p2o.evolution.contract import checked_result
from p2o.evolution.journal import Journal
from p2o.outcomes import Outcomes

CONFIG = by_race(budget=110, parents=2)


def run(evaluate: Any = None, reflect: Any = None, problems: Any = None, **options: Any) -> Evolution:
    world = World(plain=0.0)
    return evolve(
        make_problems(30) if problems is None else problems,
        evaluate or world.evaluate,
        reflect or world.reflect,
        CONFIG,
        max_rounds=2,
        **options,
    )


def every(answer: Any) -> Any:
    return lambda requests: [answer] * len(requests)


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        (
            lambda requests: None,
            "evaluate returned a NoneType: give a list, an EvaluationResult for each request",
        ),
        (every(None), "evaluate returned a NoneType: give an EvaluationResult for each request"),
        (every(EvaluationResult(-0.5)), r"evaluate, problem .*: reward -0.5 is outside \[0, 1\]; rescale it"),
        (every(EvaluationResult("1")), r"reward '1' is outside"),  # type: ignore[arg-type]
        (every(EvaluationResult(None)), r"reward None is outside"),  # type: ignore[arg-type]
        (every(EvaluationResult(0.0, None)), "text is a NoneType and not a text"),  # type: ignore[arg-type]
        (every(EvaluationResult(0.0, feedback=3)), "feedback is a int and not a text"),  # type: ignore[arg-type]
        (every(EvaluationResult(0.0, tokens=-1)), "tokens -1 is not a finite number of 0 or more"),
        (every(EvaluationResult(0.0, tokens=None)), "tokens None is not a finite number"),  # type: ignore[arg-type]
    ],
)
def test_rollouts_that_are_none_are_named(evaluate: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(evaluate)


@pytest.mark.parametrize(
    ("reflect", "message"),
    [
        (
            lambda requests: None,
            "reflect returned a NoneType: give a list, a ReflectionReply for each request",
        ),
        (every(ReflectionReply(None)), "reflect: text is a NoneType and not a text"),  # type: ignore[arg-type]
        (
            every(ReflectionReply("", cost=float("nan"))),
            "reflect: cost nan is not a finite number of 0 or more",
        ),
        (every(ReflectionReply("", cost=-1.0)), "cost -1.0 is not a finite number of 0 or more"),
        (every(ReflectionReply("", cost=float("inf"))), "cost inf is not a finite number of 0 or more"),
        (every(ReflectionReply("", tokens=-1)), "reflect: tokens -1 is not a finite number of 0 or more"),
    ],
)
def test_replies_that_are_none_are_named(reflect: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(reflect=reflect)


@pytest.mark.parametrize(
    ("given", "taken"), [(1.0000000000000002, 1.0), (0.9999999999999999, 1.0), (-1e-17, 0.0)]
)
def test_a_reward_that_is_off_by_a_rounding_is_taken_as_training_takes_it(given: float, taken: float) -> None:
    assert checked_result(EvaluationResult(given), "p").reward == taken
    outcomes = Outcomes()
    evolution = run(every(EvaluationResult(given)), outcomes=outcomes)
    assert evolution.candidates[0].mean == taken
    assert {outcomes.of("plain", problem, "0").rewards for problem in evolution.dev_ids} == {taken}


@pytest.mark.parametrize("reward", [1.1, -0.1, float("nan"), np.array([0.5, 1.0]), np.zeros((40, 40))])
def test_a_reward_that_is_none_is_one_line(reward: Any) -> None:
    with pytest.raises(
        InputError, match=r"evaluate, problem .*: reward .* is outside \[0, 1\]; rescale it"
    ) as raised:
        run(every(EvaluationResult(reward)))
    assert len(str(raised.value).splitlines()) == 1


def test_numbers_of_other_libraries_are_numbers(tmp_path: Path) -> None:
    """A journal holds them too, and the result is that of plain ones."""

    class Numpy(World):
        def evaluate(self, requests: Any) -> Any:
            for result in super().evaluate(requests):
                yield EvaluationResult(
                    np.float32(result.reward), result.text, result.finish_reason, np.int64(7)
                )

        def reply(self, request: Any) -> Any:
            plain = super().reply(request)
            return ReflectionReply(plain.text, "stop", np.int64(11), np.float32(0.5))  # type: ignore[arg-type]

    theirs, ours = Numpy(plain=0.0), World(plain=0.0)
    straight = run(ours.evaluate, ours.reflect)
    assert ours.calls
    assert run(theirs.evaluate, theirs.reflect, journal=tmp_path / "j") == straight
    assert run(every(None), every(None), journal=tmp_path / "j") == straight, "read back, nothing is asked"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"problem": "x", "answer": "1"}, r"a dict is no problem: give Problem\(id, messages, gold\)"),
        (Problem(7, ({"role": "user", "content": "q"},), "1"), "problem 7: id and gold must be texts"),  # type: ignore[arg-type]
        (Problem("p", ({"role": "user", "content": "q"},), 1), "problem 'p': id and gold must be"),  # type: ignore[arg-type]
        (Problem("p", ({"role": "user", "content": None},), "1"), "problem p: the content of a message"),  # type: ignore[typeddict-item]
        (Problem("p", ({"role": "user"},), "1"), "problem p: the content of a message"),  # type: ignore[typeddict-item]
        (Problem("p", ({"content": "q"},), "1"), "problem p: the content of a message and its role"),  # type: ignore[typeddict-item]
        (Problem("p", ("q",), "1"), "problem p: the content of a message"),  # type: ignore[arg-type]
        (Problem("p", "q", "1"), "problem p: messages must be a list"),  # type: ignore[arg-type]
        (Problem("p", ({"role": "user", "content": "a\ud800"},), "1"), "problem p: character 2 is half"),
        (Problem("p", (), "1"), "problem p has no user message"),
        (
            Problem("circles-000", ({"role": "user", "content": "another"},), "1"),
            "two different problems have the id 'circles-000'; give each its own",
        ),
    ],
)
def test_problems_that_cannot_be_used_cost_no_rollout(changed: Any, message: str) -> None:
    world = World()
    for options in ({"problems": [*make_problems(30), changed]}, {"dev_problems": [changed]}):
        with pytest.raises(InputError, match=message):
            run(world.evaluate, **options)
    assert not world.rollouts


def test_a_template_without_a_utf8_form_is_refused() -> None:
    with pytest.raises(InputError, match="a template: character 3 is half a surrogate pair"):
        run(templates=["ab\udfff"])


def test_a_merged_problem_stays_merged_when_it_comes_again() -> None:
    problems = make_problems(6)
    twin = Problem("twin", problems[0].messages, problems[0].gold)
    evolution = run(problems=[*problems, twin, twin])
    assert evolution.merged == {"twin": "circles-000"}
    assert len(evolution.dev_ids) + len(evolution.feedback_ids) == 6


def test_messages_may_be_any_mappings() -> None:
    problems = make_problems(60)
    views = [replace(each, messages=tuple(map(MappingProxyType, each.messages))) for each in problems]
    assert run(problems=views) == run(problems=problems)


def test_a_dev_problem_under_another_id_is_no_feedback() -> None:
    """A template could be reflected on what it is judged by."""
    problems = make_problems(9)
    dev = [Problem(f"dev-{p.id}", p.messages, p.gold) for p in problems[:3]]
    evolution = run(problems=problems, dev_problems=dev)
    assert evolution.dev_ids == tuple(p.id for p in dev)
    assert evolution.feedback_ids == tuple(p.id for p in problems[3:])
    assert evolution.merged == {p.id: f"dev-{p.id}" for p in problems[:3]}


@pytest.mark.parametrize("acceptance", ["sequential", "posterior"])
def test_feedback_problems_come_in_random_order_where_that_counts(acceptance: str) -> None:
    """A sequential test looks at them one after the other; a file may be sorted by difficulty."""
    problems, found = make_problems(24), []
    for seed in (0, 0, 1):
        world = World(plain=0.0)
        config = EvolveConfig(acceptance=acceptance, budget=40)  # type: ignore[arg-type]
        evolution = evolve(
            problems[8:],
            world.evaluate,
            world.reflect,
            config,
            seed=seed,
            dev_problems=problems[:8],
            max_rounds=1,
        )
        found.append(evolution.feedback_ids)
        assert evolution.dev_ids == tuple(problem.id for problem in problems[:8])
    given = tuple(problem.id for problem in problems[8:])
    assert {frozenset(order) for order in found} == {frozenset(given)}
    assert found[0] == found[1]
    assert len({given, *found}) == (3 if acceptance == "sequential" else 1)


def test_two_steps_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    straight = run(journal=path)
    before = path.read_bytes()
    with (
        Journal(tmp_path / "other.jsonl", {}),
        pytest.raises(RunDirectoryError, match="another prompt step is at work on it"),
    ):
        run(journal=tmp_path / "other.jsonl")

    def second(requests: Any) -> Any:
        with pytest.raises(RunDirectoryError, match="another prompt step is at work on it"):
            run(journal=tmp_path / "fresh.jsonl")
        return World(plain=0.0).evaluate(requests)

    assert run(second, journal=tmp_path / "fresh.jsonl") == straight
    assert (tmp_path / "fresh.jsonl").read_bytes() == path.read_bytes() == before
    with pytest.raises(RunDirectoryError, match="differ"):
        run(journal=path, seed=5)
    assert run(journal=str(path)) == straight, "a refused step gives the file back; a path may be text"


@pytest.mark.parametrize(
    "content",
    [b"one line", b"two\nlines\n", b"[1, 2]\n", b'{"problem": "x"}\n', b'{"kind": "headers"}\n', b"\x00\n"],
)
def test_a_file_of_someone_else_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(RunDirectoryError, match="is no journal of a prompt step; write elsewhere"):
        run(journal=path)
    assert path.read_bytes() == content


def test_a_journal_torn_anywhere_in_its_first_line_begins_anew(tmp_path: Path) -> None:
    straight = run(journal=tmp_path / "straight")
    header = (tmp_path / "straight").read_bytes().split(b"\n")[0]
    for length in (0, 1, 10, 20, len(header)):
        path = tmp_path / f"{length}"
        path.write_bytes(header[:length])
        assert run(journal=path) == straight
        assert path.read_bytes() == (tmp_path / "straight").read_bytes()


def test_a_journal_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="the journal cannot be written"):
        run(journal=tmp_path)


def test_equal_questions_with_different_golds_are_two_problems() -> None:
    problems = make_problems(8)
    other = Problem("other gold", problems[0].messages, "another")
    evolution = run(problems=[*problems, other])
    assert evolution.merged == {}
    assert "other gold" in (*evolution.dev_ids, *evolution.feedback_ids)


def test_a_step_is_another_one_if_anything_it_depends_on_is(tmp_path: Path) -> None:
    """Each of these changes what the records mean, though the ids of the problems stay."""
    prompt = tmp_path / "prompt.txt"
    text = "%% user\n{template}{examples}\n%% example\n{verdict}\n%% correct\ny\n%% wrong\nn\n"
    text += "%% wrong without gold\nn\n"
    reflection = ReflectionConfig(prompt=str(prompt))

    def go(text: str = text, **options: Any) -> Evolution:
        prompt.write_text(text)
        return run(journal=tmp_path / "journal.jsonl", **{"reflection": reflection, **options})

    straight = go()
    assert go() == straight
    problems = make_problems(30)
    regolded = [*problems[:-1], Problem(problems[-1].id, problems[-1].messages, "another")]
    reworded = [
        *problems[:-1],
        Problem(problems[-1].id, ({"role": "user", "content": "q"},), problems[-1].gold),
    ]
    changes: list[tuple[str, dict[str, Any]]] = [
        ("problems", {"problems": regolded}),
        ("problems", {"problems": reworded}),
        ("problems", {"problems": problems[:-1]}),
        ("prompt", {"text": text + "%% no template\n-\n"}),
        ("prompt", {"plain_text": "Think."}),
        ("policy_version", {"policy_version": "1"}),
        ("templates", {"templates": ["Think."]}),
        ("seed", {"seed": 1}),
    ]
    for named, change in changes:
        with pytest.raises(RunDirectoryError, match=f"another step's journal, .*{named}.* differ"):
            go(**change)
    assert go() == straight


def test_iterators_are_read_once() -> None:
    straight = run()
    assert run(problems=iter(make_problems(30)), templates=iter(())) == straight
    with pytest.raises(InputError, match="problems is a int: give a list"):
        run(problems=7)
    for templates, message in (
        ("Think.", "templates is a str: give a list"),
        ([3], "a template: a int is no text"),
    ):
        with pytest.raises(InputError, match=message):
            run(templates=templates)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_problems_too_few_to_accept_anything_are_refused_before_a_rollout(count: int) -> None:
    """Two dev problems, won twice each, are four wins: a chance of 31/32 to be better, under the 0.99 asked for."""
    world = World()
    with pytest.raises(InputError, match=r"dev problems are too few to accept any template.*give 3 or more"):
        run(world.evaluate, problems=make_problems(count))
    assert not world.rollouts
    assert run(problems=make_problems(6)).ledger.rollouts


@pytest.mark.parametrize("reward", [10**400, -(10**400)])
def test_a_reward_beyond_floats_is_one_line(reward: int) -> None:
    with pytest.raises(InputError, match=r"reward -?10+ is outside \[0, 1\]|outside"):
        run(every(EvaluationResult(reward)))


@pytest.mark.parametrize("end", [{"type": "stop"}, None, "content_filter", ["stop"]])
def test_an_end_that_is_none_is_one_line(end: Any) -> None:
    with pytest.raises(InputError, match=r"evaluate, problem .*: finish_reason .* is none of stop, length"):
        run(every(EvaluationResult(0.0, "text", end)))
    with pytest.raises(InputError, match=r"reflect: finish_reason .* is none of stop, length"):
        run(reflect=every(ReflectionReply("text", end)))


def test_a_template_that_is_never_right_solves_nothing() -> None:
    """Rewards of 0.6 where 1 is a success: what is covered and solved is counted by the one rule of successes."""

    def evaluate(requests: Any) -> Any:
        return [EvaluationResult(0.6 if "half" in request.template.text else 0.0) for request in requests]

    def go(success: float) -> Evolution:
        return run(
            evaluate,
            every(ReflectionReply("```\nhalf\n```")),
            problems=make_problems(60),
            outcomes=Outcomes(success),
        )

    assert (go(1.0).chosen, go(1.0).metrics()["evolve/dev_solved"]) == ((), 0.0)
    assert [template.text for template in go(0.5).chosen] == ["half"]
    assert go(0.5).metrics()["evolve/dev_solved"] == 1.0
