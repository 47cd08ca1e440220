"""Writes the tasks of the real-model study: one JSONL file of problems a task.

    python benches/real/tasks.py FOLDER [--problems 1500] [--data FOLDER_OF_JSONL]

From reasoning-gym come the tasks whose answer is one short line that is hard to guess and that the verifier can read;
from `--data` the word problems mawps, svamp and gsm8k_train, if they are there. The same call writes the same files.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import p2o

GENERATED = (
    "aiw",
    "base_conversion",
    "basic_arithmetic",
    "calendar_arithmetic",
    "chain_sum",
    "coin_flip",
    "color_cube_rotation",
    "count_bits",
    "decimal_chain_sum",
    "dice",
    "family_relationships",
    "fraction_simplification",
    "gcd",
    "gsm_symbolic",
    "largest_island",
    "lcm",
    "leg_counting",
    "letter_counting",
    "maze",
    "number_sequence",
    "prime_factorization",
    "products",
    "simple_equations",
    "simple_geometry",
    "spell_backward",
    "time_intervals",
    "word_sorting",
)
WRITTEN = ("mawps", "svamp", "gsm8k_train")
LONGEST_QUESTION = 700
LONGEST_ANSWER = 60


def generated(task: str, count: int) -> Iterator[dict[str, Any]]:
    """Problems of a task of reasoning-gym, from seed 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SyntaxWarnings of a package it imports
        import reasoning_gym

    dataset = reasoning_gym.create_dataset(task, seed=1, size=4 * count)
    for number in range(4 * count):
        item = dataset[number]
        yield {"id": f"{task}/{number}", "problem": item["question"], "answer": str(item["answer"])}


def written(path: Path) -> Iterator[dict[str, Any]]:
    """Problems of a JSONL file."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield {"id": row["id"], "problem": row["problem"], "answer": str(row["answer"])}


def usable(rows: Iterator[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The first `count` problems that are short, readable for the verifier and asked once."""
    kept: dict[str, dict[str, Any]] = {}
    for row in rows:
        short = len(row["problem"]) <= LONGEST_QUESTION and len(row["answer"]) <= LONGEST_ANSWER
        asked = " ".join(row["problem"].split())  # a question asked twice, maybe with another answer
        if short and asked not in kept and p2o.verify(row["answer"], row["answer"]).correct:
            kept[asked] = row
        if len(kept) == count:
            break
    return list(kept.values())


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the tasks of the real-model study.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--problems", type=int, default=1500)
    parser.add_argument("--data", type=Path, help="folder of mawps.jsonl, svamp.jsonl and gsm8k_train.jsonl")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    sources = {task: generated(task, args.problems) for task in GENERATED}
    for name in WRITTEN:
        path = None if args.data is None else args.data / f"{name}.jsonl"
        if path is not None and path.exists():
            sources[name] = written(path)
    for task, rows in sources.items():
        problems = usable(rows, args.problems)
        text = "".join(json.dumps(problem, ensure_ascii=False) + "\n" for problem in problems)
        (args.folder / f"{task}.jsonl").write_text(text, encoding="utf-8")
        print(f"{task:24} {len(problems):5} problems, e.g. {problems[0]['answer']!r}")


if __name__ == "__main__":
    main()
