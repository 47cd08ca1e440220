"""Named variants of the prompt step: which templates are trained under, and what is left without evolution."""

from __future__ import annotations

from pathlib import Path

import pytest
from evolve_world import World, make_problems

from p2o._core import ParetoFront
from p2o.evolution import Evolution, EvolveConfig, evolve
from p2o.evolution.budget import Ledger
from p2o.evolution.result import Candidate
from p2o.evolution.search.cover import COVERS
from p2o.outcomes import AssignConfig, Outcomes
from p2o.outcomes.assign import assign
from p2o.templates import PLAIN, make_template


def run(world: World, count: int = 60, journal: Path | None = None, **settings: object) -> Evolution:
    config = EvolveConfig.model_validate(settings)
    return evolve(make_problems(count), world.evaluate, world.reflect, config, seed=3, journal=journal)


def cover(name: str, *candidates: tuple[str, list[float]]) -> list[int]:
    front = ParetoFront(len(candidates[0][1]))
    entries = []
    for index, (made_by, scores) in enumerate(candidates):
        front.insert(scores)
        mean = sum(scores) / len(scores)
        template = PLAIN if made_by == "plain" else make_template(f"template {index}")
        entries.append(Candidate(index, template, made_by=made_by, mean=mean))
    return COVERS[name](front, entries)


def test_covers_worked_by_hand() -> None:
    """Entry 1 solves two problems, 2 one further, 3 nothing new. The plain prompt solves most and is chosen where the
    cover lets it in."""
    plain: tuple[str, list[float]] = ("plain", [1, 1, 1, 1])
    templates: list[tuple[str, list[float]]] = [
        ("mutation", [0, 1, 1, 0]),
        ("mutation", [1, 0, 0, 0]),
        ("mutation", [0, 1, 1, 0]),
    ]
    assert cover("greedy", plain, *templates) == [1, 2]
    assert cover("greedy_with_plain", plain, *templates) == [0]
    assert cover("greedy_with_plain", ("plain", [1, 0, 0, 0]), *templates) == [1, 0], (
        "the earlier of two equals"
    )
    assert cover("best", plain, *templates) == [1], "the earliest of equals, and no other"
    assert cover("best", plain, templates[1], templates[0]) == [2]


def test_bounds_of_the_greedy_cover() -> None:
    """In the order of what they newly solve: entry 2 three problems, entry 0 two more, entry 1 one more."""
    candidates: list[tuple[str, list[float]]] = [
        ("mutation", [1, 1, 0.4, 0, 0, 0]),
        ("mutation", [1, 0, 0, 0, 0, 1]),
        ("mutation", [0, 0, 1, 1, 1, 0]),
    ]
    assert cover("greedy", *candidates) == [2, 0, 1]
    assert cover("greedy", ("mutation", [0.4, 0.5])) == [0], "solved from a half on"
    assert cover("greedy", ("mutation", [0.4, 0.49])) == []


def test_a_template_refused_first_and_accepted_later_is_the_accepted_one() -> None:
    """Lost on one minibatch, it may be proposed again: what it scored on dev is asked for, not that it lost."""
    template = make_template("t")
    lost = Candidate(1, template, reason="not better on the minibatch")
    won = Candidate(2, template, accepted=True, scores={"d": (1.0, 1)}, mean=1.0)
    evolution = Evolution(
        "0", (Candidate(0, PLAIN), lost, won), (template,), ("d",), ("f",), Ledger(1), "budget"
    )
    assert evolution.candidate_of(template.id) is won
    assert "template 1: 100.0%" in str(evolution)


def test_without_a_solved_problem_no_cover_has_a_template() -> None:
    for name in COVERS:
        assert cover(name, ("plain", [0, 0]), ("mutation", [0, 0])) == []
        assert cover(name, ("plain", [0, 0])) == []


def test_the_best_template_alone_is_trained_under() -> None:
    evolution = run(World(), cover="best", budget=1500, parents=4)
    means = {c.template.id: c.mean for c in evolution.accepted() if c.made_by != "plain"}
    assert len(means) > 1
    assert [means[t.id] for t in evolution.chosen] == [max(means.values())]


def test_random_search_takes_proposals_as_they_come_and_evaluates_none() -> None:
    world = World()
    evolution = run(world, search="random", parents=5, minibatch=3, budget=1000)
    assert len(evolution.chosen) == 5
    assert evolution.stop_reason == "complete"
    assert "undecided" not in evolution.refusals, "the plain prompt is no proposal"
    shown = str(evolution).splitlines()
    assert "template 5: not evaluated" in shown
    assert not any("dev problems" in line for line in shown)
    assert {template for template, _, _ in world.rollouts} == {PLAIN.id}, "no template is rolled out"
    assert evolution.ledger.rollouts == len(world.rollouts) <= 3 * len(world.calls)
    proposed = [world.reply(call).text for call in world.calls]
    assert all(any(template.text in text for text in proposed) for template in evolution.chosen)
    shares = assign(evolution, [p.id for p in make_problems(60)], 50, AssignConfig(), Outcomes(), seed=0)
    drawn = [template.id for templates in shares.values() for template in templates]
    counts = [drawn.count(template.id) for template in evolution.chosen]
    assert min(counts) > 0.8 * max(counts), "no template is preferred: nothing is known about them"


def test_random_search_has_one_round_open() -> None:
    """A second one would ask for the templates that the first is about to find once more."""
    options = {"search": "random", "parents": 5, "minibatch": 3, "budget": 1000}
    one, four = World(), World()
    assert run(four, rounds_at_once=4, **options) == run(one, **options)
    assert len(four.rollouts) == len(one.rollouts)


def test_random_search_is_bounded_by_the_budget() -> None:
    world = World()
    evolution = run(world, search="random", parents=5, minibatch=3, budget=7)
    assert len(evolution.chosen) <= 2
    assert evolution.ledger.rollouts == 6
    assert evolution.stop_reason == "budget"


def test_random_search_pays_for_every_rollout_it_shows() -> None:
    """Two rollouts of three problems are six: eleven pay for one proposal, twelve for two."""
    for budget, proposals in ((5, 0), (11, 1), (12, 2)):
        world = World(plain=0.0)
        run(world, search="random", parents=5, minibatch=3, rollouts_per_evaluation=2, budget=budget)
        assert (len(world.calls), len(world.rollouts)) == (proposals, 6 * proposals)


def test_random_search_refuses_what_evolution_refuses() -> None:
    """The golds are `gold-012`: a template that tells one is a leak, and the same text twice is a duplicate."""

    class Leaky(World):
        def reply(self, request):
            shown = request.messages[-1]["content"]
            start = shown.index("gold-")
            number = len(self.calls) % 2
            text = f"The answer is {shown[start : start + 8]}." if number else "Think."
            return type(super().reply(request))(f"```\n{text}\n```", "stop", 5)

        def reflect(self, requests):
            replies = []
            for request in requests:
                self.calls.append(request)
                replies.append(self.reply(request))
            return replies

    evolution = run(Leaky(plain=0.0), search="random", parents=4, budget=400)
    assert [template.text for template in evolution.chosen] == ["Think."]
    assert evolution.refusals["leaks a gold answer"] > 0
    assert evolution.refusals["duplicate"] > 0
    assert evolution.stop_reason == "stalled"


def test_a_killed_random_search_goes_on(tmp_path: Path) -> None:
    unbroken = run(World(), search="random", parents=6, budget=200)

    class Killed(World):
        def reflect(self, requests):
            raise RuntimeError("killed")

    journal = tmp_path / "journal.jsonl"
    with pytest.raises(RuntimeError, match="killed"):
        run(Killed(), search="random", parents=6, budget=200, journal=journal)
    world = World()
    resumed = run(world, search="random", parents=6, budget=200, journal=journal)
    assert resumed.chosen == unbroken.chosen
    assert len(world.rollouts) < unbroken.ledger.rollouts, "what was journaled is not rolled out again"


def test_random_search_is_another_step_than_evolution(tmp_path: Path) -> None:
    from p2o.errors import RunDirectoryError

    journal = tmp_path / "journal.jsonl"
    run(World(), search="random", parents=2, budget=50, journal=journal)
    with pytest.raises(RunDirectoryError):
        run(World(), search="evolve", parents=2, budget=50, journal=journal)


@pytest.mark.parametrize("policy", ["self", "current"])
def test_who_reflects_is_a_setting(policy: str, tmp_path: Path) -> None:
    """A change of the policy's weights is seen by the reflecting model in `current`, and only there."""
    import torch

    from p2o.assembly import prepare
    from p2o.config import load_config
    from p2o.policy.torch_backend import TorchPolicy
    from p2o.reflection import SelfReflection
    from p2o.rollout.hf import HfSampler
    from p2o.rollout.sampler import SamplingParams

    sizes = ["data.train_size=6", "data.evaluation_size=3"]
    drawn = ["reflection.max_tokens=40", "reflection.temperature=0.7", "rollout.temperature=0.9"]
    config = load_config("quickstart", [*sizes, *drawn, f"reflection.kind={policy}"])
    assert config.needs_start_weights == (policy == "self")
    run = prepare(config, tmp_path / "run")
    assert run.guidance is not None
    reflect = run.guidance.parts.reflect
    assert isinstance(reflect, SelfReflection)
    assert isinstance(reflect.sampler, HfSampler)
    assert reflect.params == SamplingParams(max_tokens=40, temperature=0.7)
    assert isinstance(run.policy, TorchPolicy)
    weight = next(run.policy.model.parameters())
    with torch.no_grad():
        weight.add_(1.0)
    assert torch.equal(next(reflect.sampler.model.parameters()), weight) == (policy == "current")
