"""What an optimizer trains, as checkpoints keep it: parts of named parameters, whoever holds them.

Every process writes the flat tensors that its optimizer works on, and which part of which parameter lies where in them.
From these files any number of processes takes up what is its own, under either backend and at any ZeRO stage; a tensor
is read in the slices that are needed, and is never whole in memory.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from p2o.errors import CheckpointError

MASTER = "master"
"""Name of the weights in a file, beside the names that AdamW gives to its state."""

STEP = "step"
"""AdamW's count of steps: one number a partition."""

PIECES = "pieces"
"""The metadata of a file: the pieces of each of its partitions."""


class Piece(NamedTuple):
    """A part of a parameter; all in elements of the flattened tensors."""

    parameter: str
    start: int
    """Where it starts in the parameter."""
    offset: int
    """Where it lies in the partition."""
    size: int


@dataclass(frozen=True, slots=True)
class Partition:
    """A tensor that AdamW trains: a parameter, its float32 copy, or a flat row of parts of many."""

    master: Tensor
    pieces: list[Piece]
    """What is in none of them is padding."""


def whole_parameters(masters: Mapping[str, Tensor]) -> list[Partition]:
    """Partitions that are a parameter each."""
    return [Partition(master, [Piece(name, 0, 0, master.numel())]) for name, master in masters.items()]


States = Mapping[Any, dict[str, Any]]
"""The state of AdamW by the tensor it trains."""


def partition_file(folder: Path, rank: int, ranks: int) -> Path:
    """What process `rank` writes."""
    return folder / f"optimizer-{rank:05d}-of-{ranks:05d}.safetensors"


def write_partitions(file: Path, partitions: Sequence[Partition], states: States) -> None:
    """Writes weights and state, in float32."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for index, partition in enumerate(partitions):
        values = {MASTER: partition.master.detach(), **states.get(partition.master, {})}
        for name, value in values.items():
            flat = torch.as_tensor(value).reshape(-1)
            # safetensors writes no two tensors of one storage.
            tensors[f"{index}.{name}"] = (
                flat if flat.untyped_storage().nbytes() == flat.nbytes else flat.clone()
            )
    save_file(tensors, file, metadata={PIECES: json.dumps([partition.pieces for partition in partitions])})


class Source(NamedTuple):
    """A piece in an open file."""

    piece: Piece
    file: Any
    prefix: str
    names: tuple[str, ...]
    """Of the tensors that hold it: the weights, and AdamW's state once there is one."""


def read_partitions(
    folder: Path,
    ranks: int,
    partitions: Sequence[Partition],
    states: dict[Any, dict[str, Any]],
    *,
    sizes: Mapping[str, int],
    fused: bool,
) -> None:
    """Fills this process's partitions and states from what `ranks` processes have written.

    Args:
        folder: the checkpoint.
        ranks: how many wrote it.
        partitions: filled in place.
        states: AdamW's; filled, and made where there is none yet.
        sizes: elements of every trained parameter of the model.
        fused: whether AdamW counts its steps on the device of its weights.

    Raises:
        CheckpointError: if a file is missing or damaged, or the parameters are not those of `sizes`.
    """
    from safetensors import SafetensorError, safe_open

    sources: dict[str, list[Source]] = defaultdict(list)
    with ExitStack() as stack:
        for rank in range(ranks):
            path = partition_file(folder, rank, ranks)
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
                names: dict[str, list[str]] = defaultdict(list)
                for key in file.keys():  # noqa: SIM118  # not a dictionary
                    index, name = key.split(".", 1)
                    names[index].append(name)
                for number, pieces in enumerate(json.loads(file.metadata()[PIECES])):
                    for piece in map(Piece._make, pieces):
                        source = Source(piece, file, f"{number}.", tuple(names[str(number)]))
                        sources[piece.parameter].append(source)
            except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
                raise CheckpointError(
                    f"{path} cannot be read ({error}): the checkpoint is damaged; without its folder --resume takes "
                    "the one before"
                ) from error
        _check_sizes(folder, sources, sizes)
        for partition in partitions:
            _fill(partition, states.setdefault(partition.master, {}), sources, fused=fused)


def _check_sizes(folder: Path, sources: Mapping[str, list[Source]], sizes: Mapping[str, int]) -> None:
    """Refuses a checkpoint of another model."""
    found = Counter({name: sum(source.piece.size for source in of) for name, of in sources.items()})
    for name in sorted(sizes.keys() | found.keys()):
        if found[name] != sizes.get(name, 0):
            raise CheckpointError(
                f"{folder} is of another model: it has {found[name]} weights of {name}, this run's model "
                f"{sizes.get(name, 0)}"
            )


def _fill(
    partition: Partition, state: dict[str, Any], sources: Mapping[str, list[Source]], *, fused: bool
) -> None:
    """Copies what the files have of a partition's pieces."""
    master = partition.master.detach()
    steps = []
    for piece in partition.pieces:
        for source in sources[piece.parameter]:
            start = max(piece.start, source.piece.start)
            end = min(piece.start + piece.size, source.piece.start + source.piece.size)
            if start >= end:
                continue
            here = piece.offset + start - piece.start
            there = source.piece.offset + start - source.piece.start
            for name in source.names:
                if name == STEP:
                    steps.append(source.file.get_tensor(source.prefix + name))
                    continue
                target = master if name == MASTER else state.setdefault(name, torch.zeros_like(master))
                values = source.file.get_slice(source.prefix + name)[there : there + end - start]
                target.view(-1)[here : here + end - start].copy_(values)
    if steps:
        # A parameter that nothing has used has fewer steps where it is a partition of its own.
        state[STEP] = torch.cat(steps).max().to(master.device if fused else "cpu")
