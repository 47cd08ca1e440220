"""A proposer from outside the package: one class, and its import path in the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from evolve_world import World, by_race, make_problems

from p2o.assembly import check_surroundings
from p2o.config import load_config
from p2o.errors import ConfigError, InputError
from p2o.evolution import Evolution, EvolveConfig, ReflectionConfig, evolve
from p2o.evolution.propose import Proposal, Proposer, Task
from p2o.evolution.propose.reflection import Question, Reflection
from p2o.evolution.types import nobody


class WorkedExamples(Proposer):
    """Quotes a problem with its gold answer, which a reflection model may not."""

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        return [
            Proposal(f"{task.examples[0].problem_text}: {task.examples[0].gold}", "worked example", cost=0.25)
            for task in tasks
        ]


class Silent(Proposer):
    """Has nothing to say."""

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        return [Proposal(None, refusal="out of ideas")] * len(tasks)


class Reflecting(WorkedExamples):
    reflects = True


HERE = "test_proposers"


def step(proposer: str, journal: Path | None = None, **settings: Any) -> Evolution:
    config = by_race(proposer=f"{HERE}:{proposer}", budget=400, parents=2, **settings)
    return evolve(
        make_problems(60),
        World(plain=0.0, right=1.0).evaluate,
        nobody,
        config,
        reflection=ReflectionConfig(kind="none"),
        journal=journal,
        max_rounds=3,
    )


def test_proposals_of_ones_own_are_tried_out_without_a_reflection_model(tmp_path: Path) -> None:
    """A quoted problem names its kind, which is what helps in this world."""
    evolution = step("WorkedExamples", tmp_path / "journal.jsonl")
    proposed = [candidate for candidate in evolution.candidates if candidate.proposed]
    assert {candidate.made_by for candidate in proposed} == {"worked example"}
    assert {candidate.cost for candidate in proposed} == {0.25}
    assert evolution.chosen
    assert all("gold-" in template.text for template in evolution.chosen)
    assert evolution.metrics()["evolve/proposals"] == len(proposed) > 0
    assert step("WorkedExamples", tmp_path / "journal.jsonl") == evolution


def test_a_refusal_without_a_text_is_counted() -> None:
    evolution = step("Silent")
    assert evolution.refusals["out of ideas"] == 3 * 2
    assert [candidate.made_by for candidate in evolution.candidates] == ["plain"]


class Hint(Reflection):
    """Asks the reflection model a question of its own."""

    def question(self, task: Task) -> Question:
        own = replace(self.prompt, sections={**self.prompt.sections, "user": "A hint, please. {examples}"})
        return Question(own, "hint", (task.parent.id,))


def test_one_that_asks_the_reflection_model_writes_the_question_and_no_more() -> None:
    world = World(plain=0.0, right=1.0, useful=1.0)
    evolution = evolve(
        make_problems(60),
        world.evaluate,
        world.reflect,
        by_race(proposer=f"{HERE}:Hint", budget=400, parents=2),
        max_rounds=3,
    )
    proposed = [candidate for candidate in evolution.candidates if candidate.proposed]
    assert {(candidate.made_by, candidate.cost) for candidate in proposed} == {("hint", 0.5)}
    assert evolution.ledger.reflection_calls == len(world.calls) == 3 * 2
    assert all(call.messages[-1]["content"].startswith("A hint, please.") for call in world.calls)
    assert evolution.chosen


class Opening(Silent):
    """Has one thing to say before the first round, and can do nothing in any."""

    def begin(self) -> list[Proposal]:
        return [*super().begin(), Proposal("Think of circles.", "opening", cost=1.0)]

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        return [Proposal(None, refusal="no use", attempted=False)] * len(tasks)


def test_what_it_begins_with_goes_to_the_dev_set_beside_the_templates_given() -> None:
    evolution = evolve(
        make_problems(60),
        World(plain=0.0, right=1.0).evaluate,
        nobody,
        by_race(proposer=f"{HERE}:Opening", budget=1000, parents=2, acceptance="strict"),
        templates=["Think of primes.", "", "Think  of primes."],
    )
    accepted = [(candidate.made_by, candidate.round, candidate.cost) for candidate in evolution.accepted()]
    assert accepted == [("plain", 0, 0.0), ("given", 0, 0.0), ("opening", 0, 1.0)]
    assert evolution.refusals == {"no use": 2 * 5}
    assert evolution.stop_reason == "stalled", "rounds in which nothing could be attempted lead nowhere"


def test_given_proposes_the_templates_given_and_asks_nobody() -> None:
    world = World(plain=0.0, right=1.0)
    config = by_race(proposer="given", budget=400)
    evolution = evolve(
        make_problems(60), world.evaluate, world.reflect, config, templates=["Think of primes."]
    )
    assert [candidate.made_by for candidate in evolution.candidates] == ["plain", "given"]
    assert (evolution.stop_reason, evolution.rounds, world.calls) == ("complete", 0, [])
    with pytest.raises(ConfigError, match=r'evolve\.proposer is "given", .*: set evolve\.templates'):
        check_surroundings(load_config("quickstart", ["evolve.proposer=given"]))


def test_a_proposal_of_ones_own_is_taken_unseen_by_random_search() -> None:
    evolution = step("WorkedExamples", search="random")
    assert evolution.stop_reason == "complete"
    assert [c.made_by for c in evolution.accepted()] == ["worked example"] * 2


class Picky(WorkedExamples):
    @classmethod
    def check(cls, evolve: EvolveConfig, reflection: ReflectionConfig) -> None:
        if evolve.minibatch > 1:
            raise ConfigError("evolve.minibatch: Picky quotes one problem: set it to 1")


def test_what_it_cannot_work_with_is_for_the_proposer_to_refuse() -> None:
    def check(proposer: str, *overrides: str) -> None:
        check_surroundings(load_config("quickstart", [f"evolve.proposer={HERE}:{proposer}", *overrides]))

    with pytest.raises(ConfigError, match=r"evolve\.minibatch: Picky quotes one problem"):
        check("Picky")
    check("Picky", "evolve.minibatch=1")
    crossover = "evolve.proposer=reflection+crossover"
    check_surroundings(load_config("quickstart", [crossover]))
    with pytest.raises(
        ConfigError, match=r'reflection\+crossover.*evolve\.search = "random" .*: write evolve'
    ):
        check_surroundings(load_config("quickstart", [crossover, "evolve.search=random"]))


def test_one_that_reflects_is_silent_where_nobody_reflects() -> None:
    evolution = step("Reflecting", templates="general")
    assert evolution.stop_reason == "complete"
    assert not any(candidate.proposed for candidate in evolution.candidates)


class Lazy(Proposer):
    """Leaves the last task out."""

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        return [Proposal("Think.", "thought")] * (len(tasks) - 1)


def test_one_that_breaks_its_contract_is_named() -> None:
    with pytest.raises(InputError, match=r"evolve\.proposer returned fewer than the 2 answers asked for"):
        step("Lazy")
    with pytest.raises(
        ConfigError, match=r"evolve\.proposer = 'test_proposers:step' is no class derived from"
    ):
        step("step")


class Given(Proposer):
    """Begins with what the test says."""

    proposals: Any = ()

    def begin(self) -> list[Proposal]:
        return list(self.proposals)

    def propose(self, tasks: Sequence[Task]) -> list[Proposal]:
        return [Proposal(None)] * len(tasks)


@pytest.mark.parametrize(
    ("proposal", "message"),
    [
        ("Think.", r"evolve\.proposer returned a str: give a Proposal"),
        (Proposal(5), r"evolve\.proposer: text is a int"),  # type: ignore[arg-type]
        (
            Proposal("Think.", parents=(1,)),
            r"evolve\.proposer: parent 1 is the id of none of the 1 candidates",
        ),
    ],
)
def test_a_proposal_that_is_none_is_named(
    proposal: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Given, "proposals", (proposal,))
    with pytest.raises(InputError, match=message):
        step("Given")


def test_half_a_surrogate_pair_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Given, "proposals", (Proposal("Think \ud800."),))
    assert [each.template.text for each in step("Given").candidates] == ["", "Think ?."]


def test_one_that_cannot_be_found_is_told_before_a_run_begins() -> None:
    config = load_config("quickstart", ["evolve.proposer=nowhere:Proposer"])
    with pytest.raises(ConfigError, match=r"evolve\.proposer = 'nowhere:Proposer': cannot import"):
        check_surroundings(config)
    with pytest.raises(ConfigError, match=r"setting evolve\.proposer = 'reflektion': "):
        load_config("quickstart", ["evolve.proposer=reflektion"])


def test_who_needs_templates_is_told_before_a_run_begins() -> None:
    """A proposer that asks nobody can begin without; one that would ask a model that is not there cannot."""
    alone = ["reflection.kind=none"]
    check_surroundings(load_config("quickstart", [*alone, f"evolve.proposer={HERE}:WorkedExamples"]))
    for proposer in ("reflection", f"{HERE}:Reflecting"):
        with pytest.raises(ConfigError, match=r"nothing to judge: set evolve\.templates"):
            check_surroundings(load_config("quickstart", [*alone, f"evolve.proposer={proposer}"]))
