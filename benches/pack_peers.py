"""Packing side by side with the trainers it can replace: `make bench-pack` writes `benches/pack.md`.

Peers are the released packages, unchanged. Only the modules named below are loaded, with empty stand-ins for
imports which the measured functions never touch (ray, datasets, ...), so that no other dependency is needed.
Every figure is the fastest of several runs in one process, the lesser of its wall and CPU time; peers and p2o get
the same lengths.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch

import p2o
from p2o.packing import Rows, fill

BUDGET = 32_768
SIZES = (1_000, 10_000, 100_000)
RANKS = 8
QUADRATIC = 1e-4
REPEATS = 5
LIMIT_S = 120.0
"""Not run: what took over a hundredth of this on ten times fewer rows (the slow ones grow with the square)."""


def lengths_of(rows: int) -> list[int]:
    random = np.random.default_rng(0)
    return np.clip(random.lognormal(np.log(2000), 0.8, rows), 1, 16_384).astype(int).tolist()


def load(path: Path, *stand_ins: str) -> ModuleType:
    """A module from its file, with stand-ins for some of its imports."""
    spec = importlib.util.spec_from_file_location(f"peer_{path.parts[-3]}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    replaced = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update({name: MagicMock() for name in stand_ins})
    spec.loader.exec_module(module)
    for name, original in replaced.items():
        if original is None:
            del sys.modules[name]
        else:
            sys.modules[name] = original
    return module


class Timings:
    """Rows of a table: for each method its times and what it produced, size by size."""

    def __init__(self) -> None:
        self.rows: dict[str, list[str]] = {}
        self.seconds: dict[str, float] = {}

    def measure(
        self, name: str, run: Callable[[], Any], note: Callable[[Any], str], repeats: int = REPEATS
    ) -> None:
        cells = self.rows.setdefault(name, [])
        if self.seconds.get(name, 0.0) * 100 > LIMIT_S:
            cells.append("not run")
            return
        best, result, begun = float("inf"), None, time.perf_counter()
        for _ in range(repeats):
            # On a shared machine the wall clock counts waiting for a core as well, CPU time does not.
            wall, cpu = time.perf_counter(), time.process_time()
            result = run()
            best = min(best, time.perf_counter() - wall, time.process_time() - cpu)
            if time.perf_counter() - begun > 10.0:
                break
        self.seconds[name] = best
        cells.append(f"{best * 1e3:,.3g} ms{note(result)}" if best < 1 else f"{best:,.1f} s{note(result)}")
        print(f"{name}: {cells[-1]}", flush=True)

    def table(self, heads: Sequence[str]) -> str:
        lines = [f"| | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
        lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in self.rows.items()]
        return "\n".join(lines)


class VerlBatch(dict):
    """The little of a TensorDict that `rearrange_micro_batches` looks at."""

    def __init__(self, lengths: list[int]) -> None:
        offsets = torch.tensor([0, *np.cumsum(lengths)])
        super().__init__(input_ids=SimpleNamespace(is_nested=True, offsets=lambda: offsets))


def bench_binning(peers: Path) -> Timings:
    import pyarrow as pa

    trl = load(peers / "trl" / "data_utils.py", "datasets")
    verl_imports = ("verl", "verl.protocol", "verl.utils", "verl.utils.tensordict_utils", "verl.utils.device")
    verl = load(peers / "verl" / "utils" / "seqlen_balancing.py", *verl_imports)
    openrlhf = load(peers / "openrlhf" / "utils" / "seqlen_balancing.py")
    timings = Timings()
    for rows in SIZES:
        lengths = lengths_of(rows)
        array = np.array(lengths)

        def bins(sums: Sequence[int]) -> str:
            over = sum(total > BUDGET for total in sums)
            return f" ({len(sums)} bins{f', {over} over the budget' if over else ''})"

        def of_partition(partition: Sequence[Sequence[int]], array: Any = array) -> str:
            return bins([int(array[list(part)].sum()) for part in partition])

        table = pa.table(
            {"tokens": pa.ListArray.from_arrays([0, *np.cumsum(lengths)], pa.nulls(sum(lengths), pa.int8()))}
        )

        def openrlhf_bins(lengths: list[int] = lengths) -> Any:
            count = openrlhf.get_minimum_num_micro_batch_size(lengths, BUDGET, 1, 1)
            return openrlhf.get_seqlen_balanced_partitions(lengths, count, equal_size=False)

        timings.measure("**p2o.pack**", lambda a=array: p2o.pack(a, BUDGET), of_partition)
        timings.measure(
            f"**p2o.pack**, {RANKS} ranks, a·L + b·L²",
            lambda a=array: p2o.pack(a, BUDGET, ranks=RANKS, quadratic=QUADRATIC),
            of_partition,
        )
        timings.measure(
            "TRL `_pack_bfd`, gathering 1-byte tokens",
            lambda t=table: trl._pack_bfd(t, BUDGET),
            lambda packed: bins(
                [end - start for start, end in pairwise(packed["tokens"].chunks[0].offsets.to_pylist())]
            ),
        )
        timings.measure(
            "verl `rearrange_micro_batches`",
            lambda values=lengths: verl.rearrange_micro_batches(VerlBatch(values), BUDGET)[1],
            of_partition,
        )
        timings.measure(
            "OpenRLHF first-fit count alone",
            lambda values=lengths: openrlhf.get_minimum_num_micro_batch_size(values, BUDGET, 1, 1),
            lambda count: f" ({count} bins)",
        )
        timings.measure("OpenRLHF first-fit count + partitions", openrlhf_bins, of_partition)
    return timings


def bench_balancing(peers: Path) -> Timings:
    verl_imports = ("verl", "verl.protocol", "verl.utils", "verl.utils.tensordict_utils", "verl.utils.device")
    verl = load(peers / "verl" / "utils" / "seqlen_balancing.py", *verl_imports)
    openrlhf = load(peers / "openrlhf" / "utils" / "seqlen_balancing.py")
    timings = Timings()
    for rows in SIZES:
        lengths = lengths_of(rows)
        array = np.array(lengths, dtype=np.float64)

        def spread(partition: Sequence[Sequence[int]], array: Any = array) -> str:
            sums = [array[list(part)].sum() for part in partition]
            return f" (+{max(sums) / np.mean(sums) - 1:.1e})"

        timings.measure(
            "**p2o.balance**",
            lambda a=array: p2o.balance(a, RANKS),
            lambda part_of, s=spread: s([np.flatnonzero(part_of == part) for part in range(RANKS)]),
        )
        for name, module in (("verl", verl), ("OpenRLHF", openrlhf)):
            for equal in (True, False):
                timings.measure(
                    f"{name} `get_seqlen_balanced_partitions`, {'equal' if equal else 'unequal'} sizes",
                    lambda m=module, e=equal, values=lengths: m.get_seqlen_balanced_partitions(
                        values, RANKS, e
                    ),
                    spread,
                )
    return timings


def python_lists(
    packing: p2o.Packing, prompts: Any, responses: Any, advantages: Any, old_logp: Any
) -> list[Any]:
    """The micro-batches by list operations and `torch.tensor`, the way trainers in Python build them."""
    batches = []
    for bin in packing:
        ids, positions, labels, mask, advantage, logp, edges = [], [], [], [], [], [], [0]
        for row in bin.tolist():
            prompt, response = prompts[row], responses[row]
            before, n = len(prompt) - 1, len(response)
            ids.extend(prompt + response)
            positions.extend(range(len(prompt) + n))
            labels.extend([-100] * before + response + [-100])
            mask.extend([0.0] * before + [1.0] * n + [0.0])
            advantage.extend([0.0] * before + [advantages[row]] * n + [0.0])
            logp.extend([0.0] * before + old_logp[row] + [0.0])
            edges.append(len(ids))
        integers = [torch.tensor(values) for values in (ids, positions, labels)]
        floats = [torch.tensor(values, dtype=torch.float32) for values in (mask, advantage, logp)]
        batches.append([*integers, *floats, torch.tensor(edges, dtype=torch.int32)])
    return batches


def bench_filling() -> tuple[Timings, list[str]]:
    timings, heads = Timings(), []
    for rows in SIZES[:2]:
        lengths = lengths_of(rows)
        prompts = [[7] * min(200, n - 1) for n in (max(n, 2) for n in lengths)]
        responses = [[8] * (max(n, 2) - len(p)) for n, p in zip(lengths, prompts, strict=True)]
        advantages = [0.5] * rows
        old_logp = [[-1.0] * len(response) for response in responses]
        flat = np.concatenate([np.array(values, np.float32) for values in old_logp])
        flat_rows = Rows.of(prompts, responses, advantages=advantages, streams={"old_logp": flat})
        packing = p2o.pack(flat_rows.lengths, BUDGET)
        written = [asdict(batch) for batch in fill(packing, flat_rows)]
        size = sum(
            values.nbytes
            for batch in written
            for values in [*batch.values(), *batch["streams"].values()]
            if hasattr(values, "nbytes")
        )
        heads.append(
            f"{rows:,} rows, {len(flat_rows.tokens) / 1e6:.1f} M tokens, {size / 1e6:,.0f} MB written"
        )
        source = np.ones(size, dtype=np.uint8)

        timings.measure("**p2o.packing.fill**", lambda p=packing, r=flat_rows: fill(p, r), lambda _: "")
        timings.measure(
            "**p2o `Rows.of`** (token lists to arrays, once)",
            lambda p=prompts, r=responses: Rows.of(p, r),
            lambda _: "",
        )
        timings.measure(
            "copying as many bytes into fresh memory (numpy)", lambda s=source: s.copy(), lambda _: ""
        )
        timings.measure(
            "Python lists and `torch.tensor`, the peers' way",
            lambda args=(packing, prompts, responses, advantages, old_logp): python_lists(*args),
            lambda _: "",
            repeats=2,
        )
    return timings, heads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="folder with trl, verl and openrlhf")
    parser.add_argument("--write", type=Path, help="write the tables here as well")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sys.path.append(str(args.peers))  # pyarrow is there; nothing of the peers is imported by name
    heads = [f"{rows:,} rows" for rows in SIZES]
    machine = f"{os.cpu_count()} cores ({platform.machine()}, Python {platform.python_version()})"
    versions = ", ".join(
        sorted(path.name.removesuffix(".dist-info") for path in args.peers.glob("*.dist-info"))
    )
    binning, balancing = bench_binning(args.peers), bench_balancing(args.peers)
    filling, filling_heads = bench_filling()
    text = f"""# Packing against the peers

`make bench-pack` on {machine}: {versions}.
Fastest of up to {REPEATS} runs, the lesser of wall and CPU time. Lengths: log-normal, median 2,000, at most 16,384;
budget {BUDGET:,}.

## Rows into micro-batches

p2o and TRL pack best-fit decreasing. verl partitions into the fewest bins that could do and tries again with
one more until none exceeds the budget. OpenRLHF counts by first fit and partitions into that many, which may
exceed it. What would take minutes was not run.

{binning.table(heads)}

## Rows to {RANKS} ranks

In brackets: by how much the largest rank's tokens exceed the mean.

{balancing.table(heads)}

## Filling the arrays

Ids, positions, labels, mask, advantages, old log-probabilities and sequence lengths of all micro-batches (p2o
also writes sequence ids and the inverse permutation).

{filling.table(filling_heads)}
"""
    print(text)
    if args.write:
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
