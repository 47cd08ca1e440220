"""The map of the real models: `p2o probe` of every task under a dozen general instructions, the model loaded once.

    python benches/real/tasks.py tasks --data FOLDER_OF_JSONL
    python benches/real/map.py --tasks tasks --model smollm2 --output map      # goes on where it was stopped
    python benches/real/map.py --output benches/real --table docs/real-map.md  # what it found, as a page's table

A cell is a task and a suffix of its problems: `plain`, the problem as it is, for every task, and for word problems
`boxed` as well, the suffix of p2o's recipes. Each is a line of `map.jsonl`; its probe's journal is in `probes/`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

SUFFIXES = {"plain": "", "boxed": "\nEnd with the final number in \\boxed{}."}
WORD_PROBLEMS = ("gsm8k_train", "gsm_symbolic", "mawps", "svamp")
REWARDS = {"gemma3": "p2o.rewards:first_line"}
"""A base model runs on after its answer."""

MARK = ("<!-- map -->", "<!-- /map -->")


def cells(folder: Path, only: list[str] | None) -> Iterator[tuple[str, Path, str]]:
    """Name, file and suffix of each cell."""
    for path in sorted(folder.glob("*.jsonl")):
        for suffix in ("plain", "boxed") if path.stem in WORD_PROBLEMS else ("plain",):
            name = path.stem if suffix == "plain" else f"{path.stem}-{suffix}"
            if only is None or name in only:
                yield name, path, SUFFIXES[suffix]


def task_of(cell: str) -> tuple[str, str]:
    """The task of a cell and the suffix of its problems."""
    task, _, suffix = cell.partition("-")
    return task, SUFFIXES[suffix or "plain"]


def settings(path: Path, suffix: str, args: argparse.Namespace) -> list[str]:
    """The overrides of a cell over the recipe `smollm2`."""
    return [
        f"model.source={json.dumps(args.model, ensure_ascii=False)}",
        f"model.dtype={args.dtype}",
        f"model.device={args.device}",
        f"data.train={json.dumps(str(path), ensure_ascii=False)}",
        f"data.train_size={args.problems}",
        "data.evaluation_size=1",
        f"data.suffix={json.dumps(suffix, ensure_ascii=False)}",
        f"rollout.max_tokens={args.max_tokens}",
        "rollout.temperature=1.0",
        f"rollout.batch_size={args.batch_size}",
        *(f"reward.function={reward}" for reward in filter(None, [REWARDS.get(args.model)])),
    ]


def probe_cells(args: argparse.Namespace) -> None:
    """Probes the cells that have no `probe.json` yet, until the seconds are over."""
    from p2o.config import load_config
    from p2o.data import load_data
    from p2o.parts import load_parts
    from p2o.probe.run import probe_recipe, to_dict
    from p2o.template_files import read_templates
    from p2o.track.console import Console

    end = time.monotonic() + args.seconds
    templates = read_templates(args.templates, "--templates")
    parts = None
    done = {(cell["model"], cell["cell"]) for cell in known(args.output)}
    for name, path, suffix in cells(args.tasks, args.only):
        if (args.model, name) in done:
            continue
        if time.monotonic() > end:
            return
        started = time.monotonic()
        config = load_config("smollm2", settings(path, suffix, args))
        if parts is None:
            parts = load_parts(config)
        else:
            problems, held_out = load_data(config.data, verifier=config.reward.verifier_options())
            parts = replace(parts, problems=problems, evaluation_problems=held_out)
        probe = probe_recipe(
            config,
            templates,
            args.output / "probes" / args.model / name,
            Console.silent(),
            problems=args.problems,
            samples=args.samples,
            setting="--templates",
            parts=parts,
        )
        found = {"cell": name, "model": args.model, **to_dict(probe)}
        with (args.output / "map.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(found, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print(f"{time.monotonic() - started:6.1f} s  {line(found)}", flush=True)


def known(folder: Path) -> list[dict[str, Any]]:
    """The cells found so far; the last line may have been torn off by a kill."""
    file = folder / "map.jsonl"
    lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else [""]
    if lines[-1]:
        file.write_text("".join(line + "\n" for line in lines[:-1]), encoding="utf-8")
    return [json.loads(line) for line in lines[:-1]]


def line(found: dict[str, Any]) -> str:
    """A cell in one line."""
    rates = f"plain {found['plain_rate']:6.1%}, held out {found['plain_rate_heldout']:6.1%}"
    best = f"best {found['best_rate_heldout']:6.1%} {found['best_template'][:40]!r}"
    return f"{found['model']:12} {found['cell']:24} {rates}  {best}{'  MEETS THE RULE' if found['meets_rule'] else ''}"


def table(folder: Path) -> str:
    """All cells found so far, as Markdown."""
    found = known(folder)
    rows = []
    for model in dict.fromkeys(cell["model"] for cell in found):
        mine = [cell for cell in found if cell["model"] == model]
        first = mine[0]
        rows += [
            f"**{model}**, {first['problems']} problems, {first['samples']} rollouts of each under each prompt",
            "",
            "| task | plain | no plain success | best instruction, held out | plain there | rule | the instruction |",
            "| --- | ---: | ---: | ---: | ---: | --- | --- |",
        ]
        for cell in sorted(mine, key=lambda cell: (not cell["meets_rule"], -cell["best_rate_heldout"])):
            low, high = cell["best_interval_heldout"]
            rows.append(
                f"| {cell['cell']} | {cell['plain_rate']:.1%} | {cell['never']:.0%} | {cell['best_rate_heldout']:.1%} "
                f"[{low:.0%}, {high:.0%}] | {cell['plain_rate_heldout']:.1%} | {'met' if cell['meets_rule'] else ''} | "
                f"{' '.join(cell['best_template'].split())[:60]} |"
            )
        rows.append("")
    return "\n".join(rows)


def write_table(folder: Path, page: Path) -> None:
    """Puts the table between the page's marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(MARK[0])
    _, _, after = rest.partition(MARK[1])
    page.write_text(f"{before}{MARK[0]}\n{table(folder)}{MARK[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Probe real models on many tasks.")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--tasks", type=Path, help="folder of JSONL files")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--only", nargs="+", metavar="CELL")
    parser.add_argument("--templates", default="general")
    parser.add_argument("--problems", type=int, default=48)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=4096)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=1e9, help="no new cell is begun after these")
    parser.add_argument("--count", action="store_true", help="only say how many cells there are")
    parser.add_argument("--table", type=Path, metavar="PAGE", help="write the table into this page and stop")
    args = parser.parse_args()
    if args.table is not None:
        write_table(args.output, args.table)
    elif args.tasks is None:
        parser.error("--tasks is needed")
    elif args.count:
        print(len(list(cells(args.tasks, args.only))))
    else:
        probe_cells(args)


if __name__ == "__main__":
    main()
