"""The rollouts of a probe: plain ones and those of each template, then fresh ones where plain ones never succeeded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2o.config import Config
from p2o.data import fingerprint
from p2o.errors import ConfigError
from p2o.outcomes.outcomes import is_success
from p2o.parts import Parts, load_parts, publish_loaded, settings_behind
from p2o.probe.journal import Outcome, ProbeJournal
from p2o.probe.statistics import ProbeResult, Successes, never_solved, summarise, templates_for
from p2o.rollout.collect import Collector, RolloutRequest
from p2o.rollout.rollouts import all_known
from p2o.rollout.sampler import SamplingParams, requests_at_once
from p2o.seeds import derive_seed
from p2o.templates import PLAIN
from p2o.track.console import Console
from p2o.types import Problem, Template

_SETTINGS = ("model.", "data.", "rollout.", "reward.", "run.seed", "run.threads", "mining.success")
"""The settings that a probe depends on, by their beginnings."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found and what it cost."""

    result: ProbeResult
    rollouts: int
    tokens: int
    """Generated tokens."""
    plain_tokens: int
    """Those of the first plain rollouts: what the verdict on GRPO alone would have cost."""
    cut: float
    """Share of the rollouts that ran into `rollout.max_tokens`."""
    seconds: float
    """Time of sampling and verifying."""


def probe_recipe(
    config: Config,
    templates: Sequence[Template],
    output: Path,
    console: Console,
    *,
    problems: int,
    samples: int,
    setting: str,
    parts: Parts | None = None,
) -> Probe:
    """Probes a recipe's model on its training problems; rollouts already in `output` are not drawn again.

    Args:
        config: the recipe.
        templates: tried beside the plain prompt.
        output: the folder of the journal.
        console: shows the progress.
        problems: roll out at most as many training problems.
        samples: rollouts of each template on each problem.
        setting: where the templates come from, for messages.
        parts: the recipe's model and problems, if already loaded.

    Raises:
        P2oError: one line about the data, the model, the settings, a template or the folder.
    """
    parts = parts if parts is not None else load_parts(config)
    chosen = choose_problems(parts.problems, problems, config.run.seed)
    if len(chosen) < 2:
        raise ConfigError(
            "a probe needs at least two training problems: one to choose templates on, one to judge them"
        )
    for problem in chosen:
        parts.collector.plain_ids(problem)  # refuses a problem that is too long
    parts.collector.check_templates(templates, chosen, setting)
    header = {
        **settings_behind(config, parts.collector.reward, _SETTINGS),
        "samples": samples,
        "data": fingerprint(chosen),
        "templates": [template.text for template in templates],
    }
    with ProbeJournal(output / "journal.jsonl", header) as journal:
        publish_loaded(config, parts, chosen)
        rollouts = Rollouts(
            parts.collector,
            SamplingParams.of(config.rollout),
            journal,
            console,
            at_once=requests_at_once(parts.collector.sampler),
        )
        return probe(
            chosen, templates, rollouts, samples=samples, seed=config.run.seed, success=config.mining.success
        )


def choose_problems(problems: Sequence[Problem], most: int, seed: int) -> list[Problem]:
    """Up to `most` problems, drawn one by one: a higher number keeps the first ones."""
    return sorted(problems, key=lambda problem: derive_seed(seed, "probe", "problem", problem.id))[:most]


@dataclass
class Rollouts:
    """Draws rollouts batch by batch; those in the journal come from there."""

    collector: Collector
    params: SamplingParams
    journal: ProbeJournal
    console: Console
    at_once: int
    used: int = 0
    """Outcomes of the journal handed out so far."""

    def draw(self, name: str, requests: Sequence[RolloutRequest]) -> list[Outcome]:
        """The outcomes of the requests, in order; those not in the journal are drawn under the bar `name`."""
        begin, self.used = self.used, self.used + len(requests)
        known = self.journal.outcomes
        with self.console.phase(name, len(requests)) as progress:
            progress(min(len(known) - begin, len(requests)))
            while len(known) < self.used:
                start = len(known) - begin
                self._draw_batch(requests[start : start + self.at_once], progress)
        return known[begin : self.used]

    def _draw_batch(self, requests: Sequence[RolloutRequest], progress: Callable[[int], None]) -> None:
        started = time.monotonic()
        rollouts = all_known(self.collector.collect(requests, self.params, progress))
        outcomes = [Outcome(r.reward, len(r.response_ids), r.finish_reason == "length") for r in rollouts]
        self.journal.add(outcomes, time.monotonic() - started)


def probe(
    problems: Sequence[Problem],
    templates: Sequence[Template],
    rollouts: Rollouts,
    *,
    samples: int,
    seed: int,
    success: float,
) -> Probe:
    """Draws all rollouts and sums them up. Every draw has a seed of its own, of the names of problem and template.

    A template that is too long beside a problem fails on it, without a response.
    """

    def ask(stage: str, pairs: Iterable[tuple[Template, Problem]]) -> list[RolloutRequest]:
        return [
            RolloutRequest(
                problem, template, index, derive_seed(seed, "probe", stage, problem.id, template.id, index)
            )
            for template, problem in pairs
            for index in range(samples)
        ]

    pairs = [(template, problem) for template in (PLAIN, *templates) for problem in problems]
    first = ask("sample", pairs)
    drawn = rollouts.draw("probe  rollouts", first)
    sampled = _successes(first, drawn, pairs, samples, success)
    by_id = {template.id: template for template in templates}
    hard = set(never_solved(sampled[PLAIN.id]))
    again = [(PLAIN, problem) for problem in problems if problem.id in hard]
    best = templates_for([problem.id for _, problem in again], sampled)
    again += [(by_id[best[problem.id]], problem) for _, problem in again if problem.id in best]
    second = ask("fresh", again)
    confirmed = rollouts.draw("probe  fresh rollouts", second)
    result = summarise(
        sampled,
        _successes(second, confirmed, again, samples, success),
        templates,
        [problem.id for problem in problems[::2]],
    )
    every = [outcome for outcome in (*drawn, *confirmed) if outcome.tokens]
    return Probe(
        result,
        rollouts=len(every),
        tokens=sum(outcome.tokens for outcome in every),
        plain_tokens=sum(
            o.tokens for request, o in zip(first, drawn, strict=True) if request.template == PLAIN
        ),
        cut=sum(outcome.cut for outcome in every) / len(every),
        seconds=rollouts.journal.seconds,
    )


def _successes(
    requests: Sequence[RolloutRequest],
    outcomes: Sequence[Outcome],
    pairs: Iterable[tuple[Template, Problem]],
    samples: int,
    success: float,
) -> Successes:
    """Whether each rollout succeeded; False for the pairs that were not rolled out."""
    found: dict[str, dict[str, list[bool]]] = {PLAIN.id: {}}
    for template, problem in pairs:
        found.setdefault(template.id, {})[problem.id] = [False] * samples
    for request, outcome in zip(requests, outcomes, strict=True):
        found[request.template.id][request.problem.id][request.index] = is_success(outcome.reward, success)
    return found


def to_dict(probe: Probe) -> dict[str, Any]:
    """The probe as plain values, for JSON; all but `seconds` are the same however often it was killed."""
    result = probe.result
    unlocked: Mapping[str, Any] | None = None
    if result.unlocked is not None:
        found = result.unlocked
        unlocked = {
            "never": found.never,
            "tried": found.tried,
            "by_template": found.by_template,
            "by_plain": found.by_plain,
            "gain": found.gain.mean,
            "gain_interval": [found.gain.low, found.gain.high],
            "probability_better": found.probability_better,
        }
    return {
        "schema": 1,
        "method": result.method,
        "reason": result.reason,
        "problems": result.problems,
        "samples": result.samples,
        "plain_rate": result.plain.rate.mean,
        "plain_interval": [result.plain.rate.low, result.plain.rate.high],
        "plain_rate_heldout": result.plain_heldout.mean,
        "never": result.plain.never,
        "now_and_then": result.plain.now_and_then,
        "mostly": result.plain.mostly,
        "plain_again": None if result.plain_again is None else result.plain_again.mean,
        "unlocked": unlocked,
        "best_template": result.best.template.text,
        "best_rate_heldout": result.best.heldout.mean,
        "best_interval_heldout": [result.best.heldout.low, result.best.heldout.high],
        "best_probability": result.best_probability,
        "meets_rule": result.meets_rule,
        "templates": [
            {
                "id": row.template.id,
                "text": row.template.text,
                "rate": row.rate,
                "rate_heldout": row.heldout.mean,
                "interval_heldout": [row.heldout.low, row.heldout.high],
                "unlocked": None if row.unlocked is None else row.unlocked.mean,
                "interval_unlocked": None if row.unlocked is None else [row.unlocked.low, row.unlocked.high],
            }
            for row in result.templates
        ],
        "rollouts": probe.rollouts,
        "tokens": probe.tokens,
        "plain_tokens": probe.plain_tokens,
        "cut": probe.cut,
        "seconds": probe.seconds,
    }
