import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import p2o
from p2o.errors import InputError
from p2o.packing import Packing, Rows, fill, pack, unpack


def example_rows():
    return Rows.of(
        [[1, 2, 3], [4], [5, 6]],
        [[10, 11], [12, 13, 14], []],
        advantages=[0.5, -1.0, 2.0],
        trained=[True, False, True],
        streams={"old_logp": [-0.1, -0.2, -0.3, -0.4, -0.5]},
    )


def test_worked_by_hand():
    packing = pack([6, 4, 3, 2], 8)
    assert [bin.tolist() for bin in packing] == [[0, 3], [1, 2]]
    assert packing.fill == 15 / 16
    assert len(packing) == 2


def test_a_rank_s_share_is_its_bins_with_their_rows_counted_anew():
    packing = Packing.of([[[4, 0], [2]], [[1], [3, 5, 6]]])
    first, own = packing.share(0)
    assert (first.tolist(), [bin.tolist() for bin in own]) == ([4, 0, 2], [[0, 1], [2]])
    second, own = packing.share(1)
    assert (second.tolist(), [bin.tolist() for bin in own]) == ([1, 3, 5, 6], [[0], [1, 2, 3]])
    assert (own.ranks.tolist(), own.of_rank(0)) == ([0, 0], range(2))


@given(
    lengths=st.lists(st.integers(0, 50), max_size=60),
    ranks=st.integers(1, 5),
    quadratic=st.sampled_from([0.0, 0.01]),
)
def test_every_row_once_within_the_budget_and_equal_steps(lengths, ranks, quadratic):
    packing = pack(lengths, 50, ranks=ranks, quadratic=quadratic)
    assert sorted(packing.indices.tolist()) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in bin) <= 50 for bin in packing)
    assert len({len(packing.of_rank(rank)) for rank in range(ranks)}) == 1
    assert sum(len(packing.of_rank(rank)) for rank in range(ranks)) == len(packing)
    again = pack(np.array(lengths, dtype=np.int32), 50, ranks=ranks, quadratic=quadratic)
    assert (again.indices == packing.indices).all()
    assert (again.bins == packing.bins).all()


def fewest_bins(lengths, budget):
    """The fewest bins of each set of rows: one with its first row, then the fewest of the rest, of all such bins."""
    sums = [
        sum(length for row, length in enumerate(lengths) if rows >> row & 1)
        for rows in range(1 << len(lengths))
    ]
    fewest = [0] * len(sums)
    for rows in range(1, len(sums)):
        first = rows & -rows
        bins = (
            bin for bin in range(first, rows + 1) if bin & rows == bin and bin & first and sums[bin] <= budget
        )
        fewest[rows] = 1 + min(fewest[rows ^ bin] for bin in bins)
    return fewest[-1]


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=7))
def test_micro_batches_are_as_few_as_is_known_of_best_fit_decreasing(lengths):
    """Beside the optimum by brute force; the bound is that of first-fit decreasing, 11/9 of it and 6/9 (Dósa 2007)."""
    optimum = fewest_bins(lengths, 30)
    assert optimum <= len(pack(lengths, 30)) <= (11 * optimum + 6) // 9


def test_ranks_cost_about_the_same_and_steps_line_up():
    random = np.random.default_rng(0)
    lengths = np.minimum(random.lognormal(7.6, 0.8, 2000), 16384).astype(int)
    quadratic = 1e-4
    packing = pack(lengths, 16384, ranks=8, quadratic=quadratic)
    costs = np.array([sum(lengths[row] + quadratic * lengths[row] ** 2 for row in bin) for bin in packing])
    by_rank = np.array([[costs[bin] for bin in packing.of_rank(rank)] for rank in range(8)])
    assert by_rank.sum(1).max() / by_rank.sum(1).mean() < 1.01
    # The slowest rank of each step decides: waiting stays below 3% of the whole.
    assert by_rank.max(0).sum() / by_rank.mean(0).sum() < 1.03
    assert (np.diff(by_rank, axis=1) <= 0).all()  # most costly first


def test_a_packing_without_enough_rows_has_empty_bins():
    packing = pack([5, 5], 8, ranks=4)
    assert sorted(len(bin) for bin in packing) == [0, 0, 1, 1]
    batches = fill(packing, Rows.of([[1] * 4] * 2, [[2]] * 2))
    assert [len(batch.input_ids) for batch in batches if len(batch.rows) == 0] == [0, 0]
    assert [batch.cu_seqlens.tolist() for batch in batches if len(batch.rows) == 0] == [[0], [0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3, 9], 8), "row 1 has 9 tokens, more than the budget of 8: raise the budget or shorten the row"),
        (([1], 0), "budget is 0: it must be from 1"),
        (([1], -5), "budget is -5"),
        (([1, -2], 8), "row 1 has a length of -2"),
        (([1.5], 8), "lengths must be a vector of whole numbers, not float64"),
        (([[1]], 8), r"not int64 of shape \(1, 1\)"),
        (([2**32], 8), "row 0 has a length of 4294967296"),
    ],
)
def test_bad_lengths_and_budgets(arguments, message):
    with pytest.raises(InputError, match=message):
        pack(*arguments)


@pytest.mark.parametrize(
    "options", [{"ranks": 0}, {"ranks": -1}, {"quadratic": -0.1}, {"quadratic": float("nan")}]
)
def test_bad_options(options):
    with pytest.raises(InputError):
        pack([1], 8, **options)


def test_balance_worked_by_hand():
    # Rounds of two: (9, 7) to parts 0 and 1; then 5 to the lighter part 1 and 4 to part 0.
    assert p2o.balance([4, 5, 7, 9], 2).tolist() == [0, 1, 1, 0]


def test_balance_refuses_what_makes_no_sense():
    for costs, parts in [([1.0], 0), ([1.0], -1), ([float("nan")], 2), ([[1.0]], 2)]:
        with pytest.raises(InputError):
            p2o.balance(costs, parts)
    assert p2o.balance([], 3).tolist() == []


def test_rows_flatten():
    rows = example_rows()
    assert rows.tokens.tolist() == [1, 2, 3, 10, 11, 4, 12, 13, 14, 5, 6]
    assert rows.offsets.tolist() == [0, 5, 9, 11]
    assert rows.lengths.tolist() == [5, 4, 2]
    assert rows.prompt_lengths.tolist() == [3, 1, 2]
    assert rows.response_offsets.tolist() == [0, 2, 5, 5]
    with pytest.raises(InputError, match="2 prompts but 1 responses"):
        Rows.of([[1], [2]], [[3]])


def test_arrays_worked_by_hand():
    batches = fill(pack(example_rows().lengths, 7), example_rows())
    first, second = batches
    assert first.rows.tolist() == [0, 2]
    assert first.input_ids.tolist() == [1, 2, 3, 10, 11, 5, 6]
    assert first.position_ids.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert first.labels.tolist() == [-100, -100, 10, 11, -100, -100, -100]
    assert first.loss_mask.tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert first.advantage.tolist() == [0, 0, 0.5, 0.5, 0, 0, 0]
    assert first.sequence_id.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert first.streams["old_logp"].tolist() == pytest.approx([0, 0, -0.1, -0.2, 0, 0, 0])
    assert first.cu_seqlens.tolist() == [0, 5, 7]
    assert first.cu_seqlens.dtype == np.int32
    assert first.max_seqlen == 5
    assert second.rows.tolist() == [1]
    assert second.labels.tolist() == [12, 13, 14, -100]
    assert second.loss_mask.tolist() == [0, 0, 0, 0]  # not trained
    assert second.streams["old_logp"].tolist() == pytest.approx([-0.3, -0.4, -0.5, 0])


@given(shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 6)), max_size=15), ranks=st.integers(1, 3))
def test_unpack_undoes_the_packing(shapes, ranks):
    values = np.arange(sum(response for _, response in shapes), dtype=np.float32)
    rows = Rows.of(
        [[7] * prompt for prompt, _ in shapes],
        [[8] * response for _, response in shapes],
        streams={"number": values},
    )
    batches = fill(pack(rows.lengths, 12, ranks=ranks), rows)
    parts = [batch.streams["number"][batch.labels != -100] for batch in batches]
    found = unpack(batches, parts)
    assert [part.size for part in found] == [response for _, response in shapes]
    assert np.concatenate([values[:0], *found]).tolist() == values.tolist()


def test_unpack_needs_a_value_for_every_label():
    batches = fill(pack(example_rows().lengths, 7), example_rows())
    with pytest.raises(InputError, match=r"have \[2, 3\] labels but got \[2, 2\] values"):
        unpack(batches, [[1.0, 2.0], [3.0, 4.0]])


def test_arrays_that_contradict_each_other_are_named():
    rows = Rows.of([[1]], [[2, 3]], streams={"old_logp": [-0.1]})
    with pytest.raises(InputError, match="old_logp has 1 entries but the rows need 2"):
        fill(pack(rows.lengths, 8), rows)
    empty_prompt = Rows.of([[]], [[2, 3]])
    with pytest.raises(InputError, match="row 0 has 2 tokens but a prompt of 0"):
        fill(pack(empty_prompt.lengths, 8), empty_prompt)
    with pytest.raises(InputError, match="made for other rows"):
        fill(pack([2, 2], 8), Rows.of([[1]], [[2]]))


def test_torch_takes_the_arrays_without_a_copy():
    torch = pytest.importorskip("torch")
    batch = fill(pack(example_rows().lengths, 7), example_rows())[0]
    for values in (batch.input_ids, batch.labels, batch.loss_mask, batch.cu_seqlens):
        tensor = torch.from_numpy(values)
        assert tensor.data_ptr() == values.ctypes.data


def test_the_interpreter_lock_is_released():
    lengths = np.full(1_000_000, 3, dtype=np.uint32)  # long enough for a thread to wake up meanwhile
    lengths[::2] = 5
    order, gate = [], threading.Lock()
    gate.acquire()

    def other():
        with gate:
            order.append("other thread")

    thread = threading.Thread(target=other)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody is made to give up the lock: it must be released
    try:
        thread.start()
        gate.release()
        pack(lengths, 64)
        order.append("pack")
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert order == ["other thread", "pack"]


def test_torch_is_not_imported():
    code = "import sys, p2o, p2o.packing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
