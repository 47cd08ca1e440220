"""The model card of a run: what was trained, on what, how well it does, and how to load it.

Everything that a model or a user wrote is shown as it stands: escaped in tables, fenced where it is longer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from p2o import __version__
from p2o.config import Config
from p2o.data import DatasetData, TinyData
from p2o.errors import RunDirectoryError
from p2o.files import naming_damaged, read_jsonl
from p2o.model.fetch import MODELS
from p2o.report.texts import displayable, escape
from p2o.track.about import read_about, versions
from p2o.track.run_directory import RunDirectory

PICTURE = "accuracy.png"
"""Name of the picture beside the card."""

HOME = "https://github.com/p2o-rl/p2o"
PAPER = """\
@misc{lu2026p2o,
  title         = {{P$^2$O}: Joint Policy and Prompt Optimization},
  author        = {Xinyu Lu and Kaiqi Zhang and Jinglin Yang and Boxi Cao and Yaojie Lu and Hongyu Lin and Min He and
                   Xianpei Han and Le Sun},
  year          = {2026},
  eprint        = {2603.21877},
  archivePrefix = {arXiv},
}
"""
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_NOT_SHOWN = ("checkpoint", "track")
"""Sections that change nothing of what is computed."""
_TEXTS = {"data.system", "data.suffix", "guidance.prompt"}
"""Settings that a model reads: what looks like a path there ("/no_think") is none."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model card."""

    text: str
    """Markdown with a YAML header: `README.md` of the model's repository."""

    picture: bytes | None
    """Accuracy over generated tokens as a PNG file, `PICTURE`; None without matplotlib, or without a curve."""


def make_card(run: Path, repo: str) -> Card:
    """The card of the run directory `run`, whose model goes to the repository `repo` (`owner/name`).

    Raises:
        RunDirectoryError: if it is no run directory, was never evaluated, or its files are damaged.
    """
    with naming_damaged(f"{run}: metrics.jsonl, templates.jsonl or facts.json"):
        return _card(run, repo)


def _card(run: Path, repo: str) -> Card:
    config, facts, about = RunDirectory.config_of(run), RunDirectory.facts_of(run), read_about(run)
    metrics = read_jsonl(run / "metrics.jsonl")
    evaluations = [record for record in metrics if "evaluation/accuracy" in record]
    if not evaluations:
        raise RunDirectoryError(f"{run}: metrics.jsonl has no evaluation: is it a run that has begun?")
    picture = draw(evaluations)
    sections = (
        header(config, repo),
        f"# {escape(repo.partition('/')[2])}\n\n{_opening(config)}",
        f"## Accuracy\n{_accuracy(config, evaluations, picture is not None)}",
        f"## How to load it\n{_loading(config, repo)}",
        f"## Training\n{_training(config, facts, about, metrics)}",
        f"## Templates\n{_templates(read_jsonl(run / 'templates.jsonl'))}",
        f"## Citation\n{fenced(PAPER, 'bibtex')}",
    )
    return Card("\n\n".join(section.strip("\n") for section in sections) + "\n", picture)


def header(config: Config, repo: str) -> str:
    """The YAML header, by which the hub finds and shows the model."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        base_model=hub_id(config.model.source),
        datasets=hub_id(config.data.train) if isinstance(config.data, DatasetData) else None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["p2o", "reinforcement-learning", *(["grpo"] if config.run.method == "grpo" else [])],
    )
    return f"---\n{data.to_yaml()}\n---"


def hub_id(source: str) -> str | None:
    """The id on the hub of a model or data set; None for a local one."""
    if source in MODELS:
        return MODELS[source].hub_id
    return source if _HUB_ID.fullmatch(source) and not Path(source).exists() else None


def local_names(value: Any, setting: str = "") -> Any:
    """Settings without the folders of the machine that they were made on: of absolute paths the name is left."""
    if isinstance(value, Mapping):
        return {key: local_names(item, f"{setting}.{key}".removeprefix(".")) for key, item in value.items()}
    if isinstance(value, list):
        return [local_names(item, setting) for item in value]
    if not isinstance(value, str) or setting in _TEXTS:
        return value
    if setting == "rollout.vllm.transfer":
        return value.partition(":")[0]  # a folder may follow
    return Path(value).name if value.startswith(("/", "~")) else value


def recipe_of(config: Config, about: Mapping[str, Any]) -> dict[str, Any]:
    """The run's settings as a recipe: what differs from the shipped one that it began with, or from the defaults."""
    base, changed = about.get("base"), about.get("changed", {})
    if base is None or any(here is None for _, here in changed.values()):  # a file cannot unset anything
        return _not_default(config)
    values: dict[str, Any] = {"extends": base}
    for name, (_, here) in changed.items():
        *sections, setting = name.split(".")
        if sections[0] not in _NOT_SHOWN:
            table = values
            for section in sections:
                table = table.setdefault(section, {})
            table[setting] = local_names(here, name)
    # A section of another kind takes the place of the recipe's own, with what both have alike.
    for section, own in _dumped(config).items():
        if f"{section}.kind" in changed:
            values[section] |= local_names(own, section)
    return values


def _dumped(config: Config) -> dict[str, Any]:
    """The settings other than the defaults, as plain values."""
    values: dict[str, Any] = config.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    return values


def _not_default(config: Config) -> dict[str, Any]:
    values = _dumped(config)
    values["data"] = {"kind": config.data.kind, **values["data"]}
    values.get("run", {}).pop("output", None)
    shown = {name: section for name, section in values.items() if section and name not in _NOT_SHOWN}
    found: dict[str, Any] = local_names(shown)
    return found


def fenced(text: str, language: str = "") -> str:
    """A text in a fence that is longer than any within it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{displayable(text).rstrip()}\n{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_one_cell(text: str) -> str:
    """A text of others as a table, or a line, shows it."""
    return re.sub(r"([\\`*_~\[\]|])", r"\\\1", " ".join(escape(text).split()))


def draw(evaluations: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Accuracy over generated tokens as a PNG file; None for a single evaluation, or without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return None
    if len(evaluations) < 2:
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    tokens = [record["num_tokens"] for record in evaluations]
    axis.plot(tokens, [record["evaluation/accuracy"] for record in evaluations], "o-", color="#1b6ca8")
    if all("evaluation/low" in record for record in evaluations):
        bounds = ([record[f"evaluation/{end}"] for record in evaluations] for end in ("low", "high"))
        axis.fill_between(tokens, *bounds, color="#1b6ca8", alpha=0.15, linewidth=0)
    axis.set(ylim=(0, 1), xlabel="generated tokens", ylabel="accuracy, plain prompts")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.grid(color="#e5e5e5", linewidth=0.8)
    axis.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, dpi=150, facecolor="white", format="png", metadata={"Software": None})
    pyplot.close(figure)
    return file.getvalue()


def _opening(config: Config) -> str:
    source = config.model.source
    base = hub_id(source)
    start = f"[{base}](https://huggingface.co/{base})" if base else f"`{local_names(source)}`"
    method = {
        "p2o": "P²O (joint policy and prompt optimization, [arXiv 2603.21877](https://arxiv.org/abs/2603.21877))",
        "grpo": "GRPO",
    }[config.run.method]
    return f"{start}, trained with {method} by [p2o]({HOME}) {__version__}."


def _accuracy(config: Config, evaluations: Sequence[Mapping[str, Any]], drawn: bool) -> str:
    first, last = evaluations[0], evaluations[-1]
    shown = {"before": first, "after": last} if len(evaluations) > 1 else {"accuracy": last}
    families = sorted(key for key in last if key.startswith("evaluation/accuracy/"))
    rows = [
        [
            in_one_cell(name.removeprefix("evaluation/accuracy/")),
            *(_with_interval(of, name.removeprefix("evaluation/accuracy")) for of in shown.values()),
        ]
        for name in families
        if all(name in of for of in shown.values())
    ]
    rows.append(["all", *map(_with_interval, shown.values())])
    count = f"{last['evaluation/problems']:,.0f} problems" if "evaluation/problems" in last else "Problems"
    samples, temperature = config.evaluation.samples, config.evaluation.temperature
    how = "greedy" if temperature == 0 else f"at temperature {temperature}"
    measured = (
        "" if config.reward.function == "verify" else f"; rewards by {in_one_cell(config.reward.function)}"
    )
    lines = [
        f"{count} that were not trained on, plain prompts, {samples} completion{'s' * (samples > 1)} each, {how}"
        f"{measured}.{' Brackets hold 95% bootstrap intervals over problems.' if 'evaluation/low' in last else ''}",
        table(["problems", *shown], rows),
        *([f"![accuracy over generated tokens]({PICTURE})"] if drawn else []),
    ]
    return "\n\n".join(lines)


def _with_interval(record: Mapping[str, Any], suffix: str = "") -> str:
    accuracy = f"{record[f'evaluation/accuracy{suffix}']:.3f}"
    low, high = (record.get(f"evaluation/{end}{suffix}") for end in ("low", "high"))
    # Earlier versions of p2o wrote no intervals.
    return accuracy if low is None or high is None else f"{accuracy} [{low:.3f}, {high:.3f}]"


def _loading(config: Config, repo: str) -> str:
    system, suffix = (getattr(config.data, name, None) for name in ("system", "suffix"))
    messages = [*([{"role": "system", "content": system}] if system else [])]
    asked = f'"content": problem + {suffix!r}' if suffix else '"content": problem'
    lines = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "",
        f'model = AutoModelForCausalLM.from_pretrained("{repo}")',
        f'tokenizer = AutoTokenizer.from_pretrained("{repo}")',
        f'messages = [{"".join(f"{message!r}, " for message in messages)}{{"role": "user", {asked}}}]',
    ]
    if further := config.model.chat_template_kwargs:
        lines += [
            "prompt = tokenizer.apply_chat_template(",
            f"    messages, add_generation_prompt=True, tokenize=False, **{further!r}",
            ")",
        ]
    kept = config.run.method == "p2o" and config.context.distillation == "none"
    prompt = (
        "It was trained with templates in its prompts, and is meant to be used with one of them before the problem."
        if kept
        else "These are the plain prompts of training; no template belongs before the problem."
    )
    return f"{fenced(chr(10).join(lines), 'python')}\n\n{prompt}"


def _training(
    config: Config, facts: Mapping[str, Any], about: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]
) -> str:
    last = metrics[-1]
    data = config.data
    files = (
        ["the tiny world of p2o"]
        if isinstance(data, TinyData)
        else [
            str(local_names(str(name)))
            for key in ("train", "evaluation")
            if (name := getattr(data, key, None))
        ]
    )
    hashes = {name: value for name, value in facts.items() if isinstance(value, str) and len(value) == 16}
    rows = [
        ["problems", in_one_cell(", ".join(files))],
        ["steps", f"{last['step']:,}"],
        ["generated tokens", f"{last['num_tokens']:,}"],
        *([in_one_cell(f"fingerprint of {name}"), value] for name, value in hashes.items()),
        *_machine(about),
    ]
    recipe = recipe_of(config, about)
    what = (
        "other than the defaults" if "extends" not in recipe else f"other than those of `{recipe['extends']}`"
    )
    return (
        f"{table(['', ''], rows)}\n\nSettings {what}, as a recipe for `p2o-train`:\n\n"
        f"{fenced(tomli_w.dumps(recipe), 'toml')}"
    )


def _machine(about: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    """Where and with what the run ended, or what the card was written with."""
    if not about.get("launches"):  # of an earlier version of p2o
        yield ["card written with", _listed(versions())]
        return
    last = about["launches"][-1]
    yield [
        "device",
        in_one_cell(f"{last['device']}, {last['processes']} process{'es' * (last['processes'] > 1)}"),
    ]
    yield ["versions", in_one_cell(_listed(last["versions"]))]


def _listed(numbers: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items())


def _templates(records: Sequence[Mapping[str, Any]]) -> str:
    texts = list(dict.fromkeys(str(record["text"]) for record in records if record.get("chosen")))
    texts = [text for text in texts if text]
    if not texts:
        return "No template was trained under."
    opening = "Hard problems were rolled out under these templates, which stood before the problem:"
    return "\n\n".join([opening, *map(fenced, texts)])
