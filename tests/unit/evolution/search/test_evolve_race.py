import pytest
from evolve_world import World, by_race, make_problems

from p2o.evolution import evolve
from p2o.evolution.types import EvaluationRequest
from p2o.templates import PLAIN


class Specialist(World):
    """Templates that name circles work on the first ten circles only, and only half of the time."""

    def rate(self, request: EvaluationRequest) -> float:
        kind, number = request.problem.id.split("-")
        helped = kind == "circles" and int(number) < 30 and "circles" in request.template.text
        return 0.5 if helped else 0.05


def run(world, **options):
    config = by_race(**{"budget": 4000, "parents": 8, **options})
    return evolve(make_problems(300), world.evaluate, world.reflect, config)


def test_replicas_are_made_of_won_problems_for_both_sides_and_in_equal_number():
    world = Specialist()
    evolution = run(world)
    pairs: dict[str, dict[str, set[int]]] = {}
    for template, problem, index in world.rollouts:
        if problem in evolution.dev_ids and index > 0:
            pairs.setdefault(template, {}).setdefault(problem, set()).add(index)
    plain = pairs.pop(PLAIN.id)
    assert pairs
    for problems in pairs.values():
        assert all(indices == {1, 2} for indices in problems.values())
        assert set(problems) <= set(plain)
    assert set(plain) == set().union(*pairs.values())
    by_template = {c.template.id: c for c in evolution.candidates if c.scores}
    for template, problems in pairs.items():
        scores = by_template[template].scores
        # Three trials where the first rollout won, so at least one success; one trial elsewhere.
        assert {problem for problem, (_, tried) in scores.items() if tried == 3} == set(problems)
        assert all(scores[problem][0] >= 1 for problem in problems)
        assert {tried for _, tried in scores.values()} <= {1, 3}


def test_the_mean_is_that_of_the_first_rollouts():
    world = Specialist()
    first: dict[tuple[str, str], float] = {}
    answer = world.evaluate

    def evaluate(requests):
        for request, result in zip(requests, answer(requests), strict=True):
            if request.rollout_index == 0:
                first[request.template.id, request.problem.id] = result.reward
            yield result

    world.evaluate = evaluate
    evolution = run(world)
    scored = [c for c in evolution.candidates if c.scores]
    assert any(tried == 3 for c in scored for _, tried in c.scores.values())
    for candidate in scored:
        rewards = [first[candidate.template.id, problem] for problem in candidate.scores]
        assert candidate.mean == sum(rewards) / len(rewards)


@pytest.mark.parametrize("seed", range(4))
def test_templates_that_are_of_use_for_a_third_of_the_problems_and_do_harm_elsewhere_are_found(seed):
    """The plain prompt solves half of the others, a template none of them: it is worse on average."""

    class Harmful(World):
        def rate(self, request: EvaluationRequest) -> float:
            kind = request.problem.id.split("-")[0]
            if request.template == PLAIN or "nothing" in request.template.text:
                return 0.1 if kind == "circles" else 0.5
            return 0.6 if kind in request.template.text else 0.0

    world = Harmful(seed=seed)
    evolution = evolve(make_problems(300), world.evaluate, world.reflect, by_race(budget=4000), seed=seed)
    assert any("circles" in template.text for template in evolution.chosen)
    idle = [candidate for candidate in evolution.candidates if "nothing" in candidate.template.text]
    assert len(idle) > 20
    assert sum(candidate.accepted for candidate in idle) <= 0.03 * len(idle)
    (circles, *_) = (c for c in evolution.accepted() if "circles" in c.template.text)
    assert circles.mean < evolution.candidates[0].mean


def test_strict_makes_no_replicas():
    world = Specialist()
    run(world, acceptance="strict")
    assert {index for _, _, index in world.rollouts} == {0}


def test_more_replicas_find_specialists_for_fewer_problems(monkeypatch):
    found = {}
    for replicates in (1, 4):
        found[replicates] = 0
        for module in ("acceptance", "rollouts"):
            monkeypatch.setattr(f"p2o.evolution.search.{module}.REPLICATES", replicates)
        for seed in range(6):
            world = Specialist(seed=seed, useful=1.0)
            config = by_race(budget=6000, parents=8, dev_size=150)
            evolution = evolve(make_problems(300), world.evaluate, world.reflect, config, seed=seed)
            found[replicates] += any("circles" in template.text for template in evolution.chosen)
    assert found[4] > found[1]
