"""The prompt step: templates evolve by reflection and are kept on a per-instance Pareto front (GEPA).

Each round: draw parents from the front, roll them out on minibatches of feedback problems, ask the reflection model for
better templates, roll those out on the same minibatches, send the better ones to the dev set, put the accepted ones on
the front. Every batch is one flat call, and every draw has a seed of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Literal, TypeVar

from p2o.errors import ConfigError, InputError, TooFewProblemsError
from p2o.evolution.budget import Ledger, rollouts_of
from p2o.evolution.config import TRANSPORT, EvolveConfig, ReflectionConfig, races
from p2o.evolution.events import Callback
from p2o.evolution.identity import digest
from p2o.evolution.inputs import StepInputs
from p2o.evolution.journal import Journal
from p2o.evolution.propose import proposer_class
from p2o.evolution.result import Evolution
from p2o.evolution.search.race import ACCEPTANCES
from p2o.evolution.search.random_search import RandomSearch
from p2o.evolution.search.step import Step
from p2o.evolution.types import Evaluate, Fits, PlainEnough, Reads, Reflect
from p2o.outcomes.outcomes import Outcomes
from p2o.outcomes.solutions import Solution, Solutions
from p2o.template_files import read_templates
from p2o.templates import distinct_templates
from p2o.types import Problem, Template

T = TypeVar("T")

SEARCHES: dict[str, type[Step]] = {"evolve": Step, "random": RandomSearch}
"""By the names of `evolve.search`."""


def evolve(
    problems: Sequence[Problem],
    evaluate: Evaluate,
    reflect: Reflect,
    config: EvolveConfig | None = None,
    *,
    reflection: ReflectionConfig | None = None,
    seed: int = 0,
    policy_version: str = "0",
    outcomes: Outcomes | None = None,
    journal: Path | str | None = None,
    callbacks: Sequence[Callback] = (),
    templates: Sequence[Template | str] = (),
    dev_problems: Sequence[Problem] | None = None,
    plain_text: str = "",
    reflection_fits: Fits | None = None,
    policy_reads: Reads | None = None,
    solutions: Iterable[Solution] = (),
    max_rounds: int | None = None,
    time_limit_s: float | None = None,
    plain_enough: PlainEnough | None = None,
    max_fruitless: int | None = None,
) -> Evolution:
    """Evolves prompt templates on problems that the policy finds hard.

    The types that are named here are in `p2o.evolution`; docs/evolve.md has an example that runs as it stands.

    Args:
        problems: the hard problems. Duplicates (same messages and gold) are merged.
        evaluate: rolls out a flat batch of `EvaluationRequest`s, each of whose `messages` are a prompt, and returns or
            yields an `EvaluationResult` for each (reward in [0, 1], text), in order. It may have an
            attribute `answers_for`, a mapping of whatever its results depend on: a journal is refused where that is
            another. An attribute `repeats` of "drawn" or "same" says whether repeated rollouts of a prompt are draws
            of their own. An attribute `recall` is called with each result that the journal had.
        reflect: answers a flat batch of `ReflectionRequest`s with a `ReflectionReply` each, in order. It may have
            `answers_for` and `recall` too.
        config: an `EvolveConfig` (budget in rollouts, acceptance, cover); without one, its defaults.
        reflection: a `ReflectionConfig`: the reflection prompt and what is refused.
        seed: of the split, the minibatches and the draws; same seed and answers, same step.
        policy_version: names the weights that `evaluate` samples from.
        outcomes: earlier rollouts, and the reward from which one counts as a success (without, 1). Those of the same
            version count as extra trials of templates in the front and the cover (never in the acceptance test, and
            never for the plain prompt: the plain rollouts that made a sample hard are no fair sample of it). When the
            step ends, its rollouts of the plain prompt and of accepted templates are added.
        journal: a file that makes a killed step resumable; deleting it starts the step again.
        callbacks: called with each event.
        templates: templates to start from besides the plain prompt, after those of `config.templates`.
        dev_problems: scores templates on these, and takes them out of `problems`; by default the problems are split.
        plain_text: what the reflection model is shown as the plain prompt's text, where the policy has a prompt of
            its own that the templates replace.
        reflection_fits: whether the reflection model takes a prompt. One that does not fit is shortened, or counted
            as `reflection prompt too long` if even its shortest form does not.
        policy_reads: whether the policy can read a template. A proposal that it cannot is refused.
        solutions: verified solutions of problems of the same kind, for a proposer that quotes some; those that the step
            comes upon are added for the step.
        max_rounds: the step ends after so many rounds.
        time_limit_s: no round begins once so many seconds have passed.
        plain_enough: the step ends after the plain prompt's evaluation where plain rollouts would solve as much.
        max_fruitless: the step ends once so many proposals in a row were tried out and not accepted.

    Returns:
        The step, whatever ended it: `stop_reason` is `budget`, `rounds`, `patience`, `time`, `reflection limit`,
        `stalled`, `plain rollouts do` (`plain_enough`), `fruitless` (`max_fruitless`), `complete` (random search has
        its templates, or none are proposed in rounds), `interrupted` (Ctrl-C), or `reflection:` with the error of the
        reflection model.

    Raises:
        InputError: if there are too few problems, one cannot be used, two have the same id, or a callable breaks its
            contract.
        ConfigError: if the file of `config.templates` cannot be used, or repeated rollouts of the policy are all alike
            where they decide.
        RunDirectoryError: if the journal belongs to another step.
    """
    config = config or EvolveConfig()
    reflection = reflection or ReflectionConfig()
    # An iterator is read once.
    problems, templates = _listed(problems, "problems"), _listed(templates, "templates")
    dev_problems = None if dev_problems is None else _listed(dev_problems, "dev_problems")
    for problem in (*problems, *(dev_problems or ())):
        check_problem(problem)
    check_draws(config, evaluate)
    kept, merged = merge_duplicates([*(dev_problems or ()), *problems])
    if dev_problems is None:
        dev, feedback = split(kept, config.dev_size, seed)
    else:
        dev_ids = {problem.id for problem in dev_problems}
        dev = [problem for problem in kept if problem.id in dev_ids]
        feedback = [problem for problem in kept if problem.id not in dev_ids]
        if config.search == "evolve" and ACCEPTANCES[config.acceptance].needs_random_order:
            Random(f"{seed}/feedback").shuffle(feedback)
    if not dev or not feedback:
        raise TooFewProblemsError(
            f"{len(dev)} dev and {len(feedback)} feedback problems; evolution needs at least one of each"
        )
    least = 1 if config.search == "random" else ACCEPTANCES[config.acceptance].least_dev_problems()
    if len(dev) < least:
        raise TooFewProblemsError(
            f"{len(dev)} dev problems are too few to accept any template, even one that wins all of them: give "
            f"{least} or more ({2 * least} problems where half of them are dev)"
        )
    if config.templates is not None:
        templates = [*read_templates(config.templates, "evolve.templates"), *templates]
    texts = [template.text if isinstance(template, Template) else template for template in templates]
    for text in texts:
        check_text(text, "a template")
    start = distinct_templates(texts)
    proposer = proposer_class(config, reflection)
    quoted = Solutions(solutions) if proposer.quotes else None
    prompts = proposer.prompts(config, reflection).values()
    # What makes a step this step: a journal with another header belongs to another one.
    header: dict[str, object] = {
        **{
            name: digest(value)
            for callable_ in (evaluate, reflect)
            for name, value in getattr(callable_, "answers_for", {}).items()
        },
        "schema": 2,
        "seed": seed,
        "policy_version": policy_version,
        "settings": config.model_dump(),
        "limits": [max_rounds, time_limit_s, plain_enough, max_fruitless],
        "reflection": reflection.model_dump(exclude={"endpoint": TRANSPORT}),
        "prompt": hashlib.sha256(repr([*prompts, plain_text]).encode()).hexdigest()[:16],
        "problems": digest([[each.id, each.messages, each.gold, each.meta] for each in (*dev, *feedback)]),
        "templates": [template.id for template in start],
        **({} if quoted is None else {"solutions": digest(quoted.to_dict())}),
    }
    with Journal(None if journal is None else Path(journal), header) as records:
        inputs = StepInputs(
            config=config,
            reflection=reflection,
            evaluate=evaluate,
            reflect=reflect,
            seed=seed,
            policy_version=policy_version,
            outcomes=outcomes or Outcomes(),
            dev=dev,
            feedback=feedback,
            shown=shown_problems(feedback, config.feedback_size, seed),
            journal=records,
            ledger=Ledger(rollouts_of(config.budget, len(dev))),
            identity=digest(header),
            solutions=quoted,
            templates=start,
            merged=merged,
            callbacks=callbacks,
            plain_text=plain_text,
            reflection_fits=reflection_fits,
            policy_reads=policy_reads,
            max_rounds=max_rounds,
            time_limit_s=time_limit_s,
            plain_enough=plain_enough,
            max_fruitless=max_fruitless,
        )
        return SEARCHES[config.search](inputs).run()


def _listed(values: Iterable[T], name: str) -> list[T]:
    try:
        if isinstance(values, str):  # its characters are not meant
            raise TypeError
        return list(values)
    except TypeError:
        raise InputError(f"{name} is a {type(values).__name__}: give a list") from None


def check_draws(config: EvolveConfig, evaluate: Evaluate) -> None:
    """Refuses the race where every rollout of a prompt is the same: a template that was lucky is lucky again.

    Raises:
        ConfigError: naming the settings.
    """
    if races(config) and getattr(evaluate, "repeats", None) == "same":
        raise ConfigError(
            'the policy is sampled greedily (policy.temperature = 0), and evolve.acceptance = "posterior" decides by '
            'repeated rollouts, which are then one draw: raise the temperature, or set evolve.acceptance = "sequential"'
        )


def check_problem(problem: Problem) -> None:
    """Refuses a problem that would break the step later, when rollouts are paid for.

    Raises:
        InputError: if it is of another type, its id or gold is no text, or it has no user message.
    """
    if not isinstance(problem, Problem):
        raise InputError(f"a {type(problem).__name__} is no problem: give Problem(id, messages, gold)")
    if not isinstance(problem.id, str) or not isinstance(problem.gold, str):
        raise InputError(f"problem {problem.id!r}: id and gold must be texts")
    where = f"problem {problem.id}"
    if isinstance(problem.messages, str) or not isinstance(problem.messages, Sequence):
        raise InputError(f"{where}: messages must be a list of messages")
    for message in problem.messages:
        if not isinstance(message, Mapping) or not all(
            isinstance(message.get(name), str) for name in ("role", "content")
        ):
            raise InputError(f"{where}: the content of a message and its role must be texts")
        check_text(message["content"], where)
    if all(message["role"] != "user" for message in problem.messages):
        raise InputError(f"problem {problem.id} has no user message; the template needs one to stand before")


def check_text(text: str, where: str) -> None:
    """Raises `InputError` for what is no text, or has no UTF-8 form: it could be neither hashed nor sent to a model."""
    if not isinstance(text, str):
        raise InputError(f"{where}: a {type(text).__name__} is no text")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: character {error.start + 1} is half a surrogate pair") from None


def merge_duplicates(problems: Sequence[Problem]) -> tuple[list[Problem], dict[str, str]]:
    """The problems without duplicates (the first is kept), and the ids of the others with the id kept for each.

    Raises:
        InputError: if two different problems have the same id.
    """
    kept: dict[str, Problem] = {}
    contents: dict[str, str] = {}
    seen: dict[str, str] = {}
    merged: dict[str, str] = {}
    for problem in problems:
        content = digest([problem.messages, problem.gold])
        if contents.setdefault(problem.id, content) != content:
            raise InputError(f"two different problems have the id {problem.id!r}; give each its own")
        if problem.id in kept:
            continue
        if content in seen:
            merged[problem.id] = seen[content]
        else:
            seen[content] = problem.id
            kept[problem.id] = problem
    return list(kept.values()), merged


def split(problems: Sequence[Problem], dev_size: int, seed: int) -> tuple[list[Problem], list[Problem]]:
    """Dev and feedback problems, shuffled; dev is half of them if there are fewer than twice `dev_size`."""
    # Sorted first: the split depends on the problems, not on the order in which they turned out to be hard.
    shuffled = sorted(problems, key=lambda problem: problem.id)
    Random(f"{seed}/split").shuffle(shuffled)
    size = min(dev_size, len(shuffled) // 2)
    return shuffled[:size], shuffled[size:]


def shown_problems(feedback: Sequence[Problem], size: int | Literal["all"], seed: int) -> list[Problem]:
    """Those of the feedback problems that proposals are made from, `size` or all of them, in the order given."""
    if size == "all" or size >= len(feedback):
        return list(feedback)
    places = Random(f"{seed}/shown").sample(range(len(feedback)), size)
    return [feedback[place] for place in sorted(places)]
