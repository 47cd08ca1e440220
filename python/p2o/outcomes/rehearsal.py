"""What a template unlocked is rehearsed under it: a family of problems that was learnt is else forgotten while the
templates of another one are distilled.

A step that distils one template moves the plain prompt on problems that it was not given to as well. Where that undoes
what was learnt before, plain groups soon have no success left to learn from, and until the next prompt step nobody
guides them.
"""

from __future__ import annotations

from collections.abc import Iterable

from p2o.outcomes.outcomes import TRAINING, Outcomes
from p2o.templates import PLAIN
from p2o.types import Template


def solved_under(
    outcomes: Outcomes, policy_version: str, templates: Iterable[Template]
) -> dict[str, Template]:
    """By problem, the one of these templates under which training of this version solved it most often, if any did."""
    known = {template.id: template for template in templates if template.id != PLAIN.id}
    found: dict[str, tuple[float, Template]] = {}
    for (source, template_id, problem_id), tally in outcomes.tallies(policy_version).items():
        if source != TRAINING or template_id not in known or tally.successes == 0:
            continue
        rate = tally.successes / tally.trials
        if problem_id not in found or rate > found[problem_id][0]:
            found[problem_id] = (rate, known[template_id])
    return {problem_id: template for problem_id, (_, template) in found.items()}


def rehearsed(template: Template | None, n: int, count: int) -> list[Template]:
    """The n templates of a problem that is not hard: `count` times the one that unlocked it, if any did, else plain."""
    count = 0 if template is None else count
    return [template or PLAIN] * count + [PLAIN] * (n - count)
