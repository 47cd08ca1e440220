"""The paper's rules, as the recipe `paper` sets them, on fixed inputs worked by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from evolve_world import World, make_problems

from p2o._core import ParetoFront
from p2o.config import Config, apply_overrides, build_config, load_config
from p2o.evolution import Candidate, Evolution, EvolveConfig, evolve
from p2o.evolution.budget import Ledger
from p2o.evolution.search.cover import COVERS
from p2o.outcomes import AssignConfig, Outcomes
from p2o.outcomes.assign import assign
from p2o.policy.advantages import group_advantages
from p2o.policy.context import context_weight
from p2o.policy.losses import dapo
from p2o.policy.rows import prepare
from p2o.policy.streams import GlobalCounts, TokenStreams
from p2o.templates import PLAIN, make_template
from p2o.types import Group, Problem, Rollout, Template

RULES = load_config("paper")


def changed(override: str) -> Config:
    values = RULES.model_dump()
    apply_overrides(values, [override])
    return build_config(values)


def test_advantages() -> None:
    """One success of six: mean 1/6, squared deviations (25 + 5 * 1) / 36, over 5: a variance of 1/6.

    (5/6) / sqrt(1/6) = 2.0412 and (-1/6) / sqrt(1/6) = -0.4082.
    """
    found = group_advantages([1, 0, 0, 0, 0, 0], RULES.loss.advantage)
    assert found == pytest.approx([2.0412, *[-0.4082] * 5], abs=1e-4)


def test_mask() -> None:
    """c = plain / templated, inside [0.01, 10] or not, whatever the advantage."""
    ratios = np.array([0.0099, 0.0101, 1.0, 9.9, 10.1])
    templated = np.log(np.full(5, 0.05))
    plain = np.log(0.05 * ratios)
    for advantage in (1.0, -1.0):
        weights = context_weight(plain, templated, RULES.context, advantage=advantage)
        assert weights.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_loss() -> None:
    """Terms -min(ρA, clip(ρ, 0.8, 1.2) A), no more than 3 (-A) where A is negative, over all seven tokens.

    A = 2:  ρ = 1.5 -> -2.4; 0.5 -> -1.0; 4 is clipped at 1.2 as well -> -2.4; the fourth is masked.
    A = -1: ρ = 5 -> 5, at most 3; 0.5 -> 0.8, clipped from below; 1.5 -> 1.5.
    (-2.4 - 1 - 2.4 + 0 + 3 + 0.8 + 1.5) / 7 = -0.5 / 7; the masked token counts in the denominator.
    """
    ratios = torch.tensor([[1.5, 0.5, 4.0, 1.1], [5.0, 0.5, 1.5, 1.0]], dtype=torch.float64)
    old = torch.full_like(ratios, -2.0)
    logp = (old + ratios.log()).requires_grad_()
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]], dtype=torch.float64)
    streams = TokenStreams(
        logp=logp,
        old_logp=old,
        advantage=torch.tensor([[2.0], [-1.0]], dtype=torch.float64).expand(2, 4),
        context_weight=torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]], dtype=torch.float64),
        engine_weight=torch.ones_like(ratios),
        loss_mask=mask,
        sequence_id=torch.arange(2)[:, None].expand(2, 4),
        sequence_count=2,
    )
    loss = dapo(streams, GlobalCounts(7.0, 2.0, 8), RULES.loss).loss
    assert loss.item() == pytest.approx(-0.5 / 7, abs=1e-12)
    loss.backward()
    # d/dlogp of -ρA is -ρA where no clip binds: ρ = 0.5 of the first row and ρ = 1.5 of the second.
    expected = torch.tensor([[0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.5, 0.0]], dtype=torch.float64) / 7
    assert logp.grad is not None
    torch.testing.assert_close(logp.grad, expected)


A, B = make_template("template a"), make_template("template b")
SCORES: dict[Template, list[float]] = {
    PLAIN: [1, 1, 1, 0, 0, 0],
    A: [0, 0, 1, 1, 0, 0],
    B: [0, 0, 0, 1, 0, 0],
}
"""Greedy: the plain prompt three problems, A one more, B none that is new."""


def candidates() -> list[Candidate]:
    return [
        Candidate(
            id,
            template,
            made_by="plain" if template == PLAIN else "mutation",
            accepted=True,
            mean=sum(scores) / 6,
            success_rate=sum(scores) / 6,
        )
        for id, (template, scores) in enumerate(SCORES.items())
    ]


def test_cover() -> None:
    """The empty template is one of it; `greedy` leaves it out, and A solves all that B does."""
    front = ParetoFront(6)
    for scores in SCORES.values():
        front.insert(scores)
    for name, expected in ((RULES.evolve.cover, [0, 1]), ("greedy", [1])):
        assert COVERS[name](front, candidates()) == expected


def drawn(problem_id: str, n: int, config: AssignConfig = RULES.assign, seed: int = 3) -> list[Template]:
    solvers: dict[str, tuple[str, ...]] = {}
    for template, scores in SCORES.items():
        for place, score in enumerate(scores):
            if score:
                solvers[f"d{place}"] = (*solvers.get(f"d{place}", ()), template.id)
    evolution = Evolution(
        "0",
        tuple(candidates()),
        (PLAIN, A),
        tuple(f"d{place}" for place in range(6)),
        ("f0",),
        Ledger(100),
        "budget",
        solvers=solvers,
    )
    return assign(evolution, [problem_id], n, config, Outcomes(), seed)[problem_id]


def shares(problem_id: str) -> dict[str, float]:
    counts = Counter(template.id for template in drawn(problem_id, 6000))
    return {id: round(count / 6000, 1) for id, count in counts.items()}


def test_assignment() -> None:
    """Means 3/6 and 2/6: where both are drawn, three of five rollouts are plain.

    d0 is solved by the plain prompt alone, d2 by both, d3 by A (and B, which is not in the cover), d5 by nobody; f0 is
    a feedback problem.
    """
    both = {PLAIN.id: 0.6, A.id: 0.4}
    assert shares("d0") == {PLAIN.id: 1.0}
    assert shares("d2") == both
    assert shares("d3") == {A.id: 1.0}
    assert shares("d5") == both
    assert shares("f0") == both


def test_one_template_a_group() -> None:
    """The switch that is off in the paper's runs: each group has one of them, some groups the other."""
    config = AssignConfig(rule="paper", plain_rollouts=0, per_group=True)
    groups = [drawn("d2", 6, config, seed) for seed in range(40)]
    assert {len(group) for group in groups} == {6}
    assert {len(set(group)) for group in groups} == {1}
    assert {group[0] for group in groups} == {PLAIN, A}
    with_plain = drawn("d3", 6, AssignConfig(rule="thompson", plain_rollouts=2, per_group=True))
    assert len(set(with_plain[:4])) == 1
    assert with_plain[4:] == [PLAIN, PLAIN]


def test_a_step_in_which_the_empty_template_is_chosen() -> None:
    """Plain solves a third of the problems, a template that names a kind solves the other problems of that kind."""

    class Halves(World):
        def rate(self, request: Any) -> float:
            easy = int(request.problem.id[-3:]) % 3 == 0
            return float(easy if request.template.text == "" else not easy)

    settings = {"budget": 600, "dev_size": 30, "parents": 4}
    for cover, expected in ((RULES.evolve.cover, True), ("greedy", False)):
        config = EvolveConfig.model_validate({**RULES.evolve.model_dump(), **settings, "cover": cover})
        found = evolve(make_problems(60), Halves().evaluate, World().reflect, config, seed=1)
        assert (PLAIN in found.chosen) is expected
        assert any(template != PLAIN for template in found.chosen)
        solved_plain = {identity for identity, who in found.solvers.items() if PLAIN.id in who}
        easy = {identity for identity in found.dev_ids if int(identity[-3:]) % 3 == 0}
        assert solved_plain == (easy if expected else set())


def rollout(reward: float, template: str, length: int) -> Rollout:
    return Rollout("p", template, 0, [9, 1], [5] * length, [-1.0] * length, "stop", "", reward)


@pytest.mark.parametrize(
    ("override", "lengths", "tokens"),
    [("context.failures=keep", [1, 2, 4, 8], 15), ("context.failures=drop", [1, 4, 8], 13)],
)
def test_failed_rollouts_under_a_template(override: str, lengths: list[int], tokens: int) -> None:
    """Rewards 1, 0, 1, 0, the last two plain: advantages ±0.5 / sqrt(1/3) = ±0.8660 whether or not one is left out."""
    group = Group(
        Problem("p", ({"role": "user", "content": "x"},), "1"),
        [rollout(1, "z", 1), rollout(0, "z", 2), rollout(1, "plain", 4), rollout(0, "plain", 8)],
    )
    rows, counts, *_ = prepare(
        [group],
        lambda _: (1,),
        lambda sequences: [np.full(len(response), -1.0, np.float32) for _, response in sequences],
        None,
        changed(override),
    )
    assert rows.response_lengths.tolist() == lengths
    assert (counts.tokens, counts.sequences) == (tokens, len(lengths))
    found = dict(zip(rows.response_lengths.tolist(), rows.advantages.tolist(), strict=True))
    assert found == pytest.approx({n: 0.8660 if n in (1, 4) else -0.8660 for n in lengths}, abs=1e-4)
