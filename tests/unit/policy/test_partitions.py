"""Checkpoints' files by any number of processes, taken up by any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from p2o.errors import CheckpointError
from p2o.policy.partitions import (
    Partition,
    Piece,
    partition_file,
    read_partitions,
    whole_parameters,
    write_partitions,
)

SIZES = {"embedding": (7, 3), "norm": (5,), "head": (11, 2)}
NUMBERS = {name: torch.Size(shape).numel() for name, shape in SIZES.items()}


def parameters(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SIZES.items()}


def flat_partitions(ranks: int, rank: int, padding: float = 0.0) -> list[Partition]:
    """All parameters in one row, cut for `ranks` processes (ZeRO-1 and 2); values to be filled in."""
    total = sum(NUMBERS.values())
    share = -(-total // ranks)
    first, last, pieces, at = rank * share, (rank + 1) * share, [], 0
    for name, size in NUMBERS.items():
        start, end = max(at, first), min(at + size, last)
        if start < end:
            pieces.append(Piece(name, start - at, start - first, end - start))
        at += size
    return [Partition(torch.full((share,), padding), pieces)]


def each_partitions(ranks: int, rank: int) -> list[Partition]:
    """A share of every parameter (ZeRO-3)."""
    pieces, at = [], 0
    for name, size in NUMBERS.items():
        share = -(-size // ranks)
        start = rank * share
        pieces.append(Piece(name, start, at, max(0, min(share, size - start))))
        at += share
    return [Partition(torch.zeros(at), pieces)]


def whole_partitions(ranks: int, rank: int) -> list[Partition]:
    """Parameters as they are, all on rank 0."""
    return whole_parameters({name: torch.zeros(shape) for name, shape in SIZES.items()}) if rank == 0 else []


CUTS = {"flat": flat_partitions, "each": each_partitions, "whole": whole_partitions}


def put(partitions: list[Partition], values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies parameters into partitions, by the definition of a piece."""
    for partition in partitions:
        for piece in partition.pieces:
            part = values[piece.parameter].reshape(-1)[piece.start : piece.start + piece.size]
            partition.master.view(-1)[piece.offset : piece.offset + piece.size] = part
    return values


def write(folder: Path, cut: str, ranks: int) -> None:
    for rank in range(ranks):
        partitions, moments = CUTS[cut](ranks, rank), CUTS[cut](ranks, rank)
        put(partitions, parameters(1))
        put(moments, parameters(2))
        states = {
            one.master: {"step": torch.tensor(5.0), "exp_avg": other.master}
            for one, other in zip(partitions, moments, strict=True)
        }
        write_partitions(partition_file(folder, rank, ranks), partitions, states)


@pytest.mark.parametrize("to", CUTS)
@pytest.mark.parametrize("made", CUTS)
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2), (2, 5), (4, 4)])
def test_any_number_of_processes_takes_up_what_any_other_wrote(
    tmp_path: Path, made: str, to: str, before: int, after: int
) -> None:
    write(tmp_path, made, before)
    for rank in range(after):
        partitions, states = CUTS[to](after, rank), {}
        read_partitions(tmp_path, before, partitions, states, sizes=NUMBERS, fused=False)
        expected, moments = CUTS[to](after, rank), CUTS[to](after, rank)
        put(expected, parameters(1))
        put(moments, parameters(2))
        for partition, weights, moment in zip(partitions, expected, moments, strict=True):
            assert torch.equal(partition.master, weights.master)
            if any(piece.size for piece in partition.pieces):
                assert torch.equal(states[partition.master]["exp_avg"], moment.master)
                assert states[partition.master]["step"] == 5


def test_before_the_first_step_there_is_no_state(tmp_path: Path) -> None:
    (partition,) = flat_partitions(1, 0)
    write_partitions(partition_file(tmp_path, 0, 1), [partition], {})
    states: dict[Tensor, dict[str, Tensor]] = {}
    read_partitions(tmp_path, 1, [partition], states, sizes=NUMBERS, fused=False)
    assert states == {partition.master: {}}


def test_a_parameter_that_was_used_less_does_not_set_back_the_count(tmp_path: Path) -> None:
    """One partition has one count: that of the parameters that were always used."""
    partitions = whole_partitions(1, 0)
    states = {part.master: {"step": torch.tensor(float(n))} for n, part in enumerate(partitions)}
    write_partitions(partition_file(tmp_path, 0, 1), partitions, states)
    (flat,) = flat_partitions(1, 0)
    found: dict[Tensor, dict[str, Tensor]] = {}
    read_partitions(tmp_path, 1, [flat], found, sizes=NUMBERS, fused=True)
    assert found[flat.master]["step"] == 2


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({**NUMBERS, "norm": 6}, "it has 5 weights of norm, this run's model 6"),
        ({**NUMBERS, "more": 2}, "it has 0 weights of more, this run's model 2"),
        ({"norm": 5, "head": 22}, "it has 21 weights of embedding, this run's model 0"),
    ],
)
def test_another_models_checkpoint_is_refused(tmp_path: Path, sizes: dict[str, int], message: str) -> None:
    write(tmp_path, "flat", 2)
    with pytest.raises(CheckpointError, match="is of another model: " + message):
        read_partitions(tmp_path, 2, flat_partitions(1, 0), {}, sizes=sizes, fused=False)


def test_a_missing_or_foreign_file_is_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    write(tmp_path, "flat", 2)
    last = partition_file(tmp_path, 1, 2)
    save_file({"0.master": torch.zeros(3)}, last)
    with pytest.raises(CheckpointError, match=r"optimizer-00001-of-00002.safetensors cannot be read"):
        read_partitions(tmp_path, 2, flat_partitions(1, 0), {}, sizes=NUMBERS, fused=False)
    last.unlink()
    with pytest.raises(CheckpointError, match=r"optimizer-00001-of-00002.safetensors cannot be read"):
        read_partitions(tmp_path, 2, flat_partitions(1, 0), {}, sizes=NUMBERS, fused=False)
