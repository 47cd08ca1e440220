import inspect
import threading

import numpy as np
import pytest
from gepa.gepa_utils import remove_dominated_programs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from p2o import ParetoFront
from p2o.errors import InputError

SCORES = arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0.0, 0.0, 0.25, 1.0]),
)


def front_of(scores_CI: np.ndarray) -> ParetoFront:
    front = ParetoFront(scores_CI.shape[1])
    for row in scores_CI:
        front.insert(row)
    return front


def gepa_survivors(scores_CI: np.ndarray) -> set[int]:
    """The dominators by gepa; ties in the mean are broken by index, where gepa's order is that of a set."""
    fronts = {i: set(np.flatnonzero(column == column.max()).tolist()) for i, column in enumerate(scores_CI.T)}
    means = [sum(row) / len(row) for row in scores_CI.tolist()]
    order = sorted(range(len(means)), key=lambda id: (means[id], id))
    ranks = {id: rank for rank, id in enumerate(order)}
    pruned = remove_dominated_programs(fronts, scores=ranks)
    return set().union(*pruned.values())


def test_pruning_agrees_with_gepa_on_3000_random_cases():
    random = np.random.default_rng(0)
    for case in range(3000):
        shape = (random.integers(1, 15), random.integers(1, 20))
        kind = case % 3
        if kind == 0:
            unsolved = random.random(shape[1]) < 0.6
            scores = (random.random(shape) < 0.4) * ~unsolved
        elif kind == 1:
            scores = random.random(shape) < 0.5
        else:
            scores = random.integers(9, size=shape) / 8  # whose sums are exact, however Python adds
        scores = scores.astype(np.float64)
        front = front_of(scores)
        survivors = set(range(len(scores))) - set(front.dominated())
        assert survivors == gepa_survivors(scores), scores
        for instance in range(scores.shape[1]):
            best = scores[:, instance].max()
            assert front.members(instance) == np.flatnonzero(scores[:, instance] == best).tolist()


@given(SCORES)
def test_array_and_list_give_the_same_front(scores_CI):
    from_lists = ParetoFront(scores_CI.shape[1])
    for row in scores_CI.tolist():
        from_lists.insert(row)
    assert from_lists.to_bytes() == front_of(scores_CI).to_bytes()


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_other_numbers_are_taken_as_they_are(dtype):
    front = ParetoFront(3)
    front.insert(np.array([1, 0, 1], dtype=dtype))
    assert [front.score(0, i) for i in range(3)] == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("scores", ["abc", np.ones((1, 3)), [1.0, "x", 2.0], None])
def test_what_is_no_row_of_numbers_is_one_line(scores):
    with pytest.raises(TypeError, match=r"one-dimensional array, one entry per instance$"):
        ParetoFront(3).insert(scores)


def test_a_negative_seed_is_its_low_64_bits():
    front = front_of(np.eye(8))
    assert front.select(-1, 3) == front.select(2**64 - 1, 3)


@given(SCORES, st.integers(0, 2**64 - 1))
def test_bytes_bring_back_a_front_that_draws_the_same(scores_CI, seed):
    front = front_of(scores_CI)
    back = ParetoFront.from_bytes(front.to_bytes())
    assert back.select(seed, 3) == front.select(seed, 3)
    assert back.weights().tolist() == front.weights().tolist()
    assert len(back) == len(front) == len(scores_CI)


def draw(seed: int, weights: list[int], k: int) -> list[int]:
    """SplitMix64, the high word of the product as a uniform integer, weighted draws without replacement."""
    mask, state, chosen, weights = 2**64 - 1, seed, [], list(weights)
    while len(chosen) < k and sum(weights):
        total = sum(weights)
        while True:
            state = (state + 0x9E3779B97F4A7C15) & mask
            word = state
            word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
            word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
            product = (word ^ (word >> 31)) * total
            if product & mask >= 2**64 % total:
                break
        ticket = product >> 64
        for id, weight in enumerate(weights):
            if ticket < weight:
                chosen.append(id)
                weights[id] = 0
                break
            ticket -= weight
    return chosen


@given(SCORES, st.integers(0, 2**64 - 1), st.integers(1, 5))
def test_draws_are_those_of_the_reference_generator(scores_CI, seed, k):
    front = front_of(scores_CI)
    weights = front.weights().tolist()
    if not any(weights):
        dominated = front.dominated()
        weights = [int(id not in dominated) for id in range(len(front))]
    assert front.select(seed, k) == draw(seed, weights, k)


def test_counts_objectives_and_lineage_come_through():
    front = ParetoFront(2, n_objectives=1, frontier="hybrid", prior=(1.0, 1.0))
    first = front.insert([1.0, 0.0], [2, 0], objectives=[0.5])
    second = front.insert([0.5, 1.0], [1, 1], objectives=[0.25], parents=[first])
    # Uniform prior: (1 + 1) / (2 + 2) and (0.5 + 1) / (1 + 2) tie at a half.
    assert front.score(first, 0) == front.score(second, 0) == 0.5
    assert front.members(0) == [first, second]
    assert front.score(first, 1) is None
    front.record(first, 1, 3.0, 3)
    assert front.members(1) == [first]
    assert front.parents(second) == front.ancestors(second) == [first]
    assert front.mean(first) == 4 / 5
    assert front.best() == first
    assert front.cover(0.6, exclude=[first]) == [second]
    assert front.n_instances == 2
    assert repr(front) == "ParetoFront(2 instances, 2 candidates)"


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda front: front.insert([0.0]), "has 1 entries, the front has 2"),
        (lambda front: front.insert([0.0, float("nan")]), "score 1 is not finite"),
        (lambda front: front.insert(np.array([np.inf, 0.0])), "score 0 is not finite"),
        (lambda front: front.insert([0.0, 0.0], [1, 1]), "this front holds values"),
        (lambda front: front.insert([0.0, 0.0], parents=[5]), "no parent 5"),
        (lambda front: front.members(2), "no instance 2"),
        (lambda front: front.mean(9), "no candidate 9"),
        (lambda front: ParetoFront(2, frontier="objectives"), "'instance', 'objective' or 'hybrid'"),
        (lambda front: ParetoFront(2, frontier="hybrid"), "at least one objective"),
        (lambda front: ParetoFront(2, prior=(0.0, 1.0)), "must be positive"),
        (lambda front: ParetoFront.from_bytes(b"no front at all"), "not a serialised Pareto front"),
    ],
)
def test_bad_input_is_named(call, part):
    front = ParetoFront(2)
    front.insert([1.0, 0.0])
    with pytest.raises(InputError, match=part):
        call(front)
    assert len(front) == 1


def test_threads_may_share_a_front():
    front = ParetoFront(50)
    rows = np.random.default_rng(1).random((200, 50)).round(1)

    def work(part: np.ndarray) -> None:
        for row in part:
            front.insert(row)
            front.dominated()

    threads = [threading.Thread(target=work, args=(rows[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(front) == 200
    best = rows.max(axis=0)
    assert all(front.score(front.members(i)[0], i) == best[i] for i in range(50))


def test_a_negative_id_or_count_is_an_input_error():
    front = ParetoFront(2)
    front.insert([1.0, 0.0])
    for call in (lambda: ParetoFront(-1), lambda: front.mean(-1), lambda: front.select(1, -1)):
        with pytest.raises(InputError, match="-1 is negative"):
            call()


def test_a_number_too_large_is_an_input_error():
    front = ParetoFront(1)
    front.insert([1.0], [1])
    for call in (lambda: front.mean(2**64), lambda: ParetoFront(2**64), lambda: front.select(1, 2**64)):
        with pytest.raises(InputError, match="18446744073709551616 is too large"):
            call()
    for call in (lambda: front.insert([1.0], [2**32]), lambda: front.record(0, 0, 1.0, 2**32)):
        with pytest.raises(InputError, match="trials are below 2"):
            call()
    with pytest.raises(InputError, match=r"2\^32 trials or more"):
        front.record(0, 0, 1.0, 2**32 - 1)
    assert front.mean(0) == 1.0


def test_counts_are_integers():
    front = ParetoFront(1)
    with pytest.raises(TypeError):
        front.insert([1.0], [1.5])


def test_any_integer_is_a_seed():
    front = ParetoFront(3)
    for row in np.eye(3):
        front.insert(row)
    assert front.select(2**130 + 5, 3) == front.select(5, 3)
    assert front.select(-1, 3) == front.select(2**64 - 1, 3)


def test_a_candidate_left_out_of_a_cover_must_exist():
    front = ParetoFront(2)
    front.insert([1.0, 0.0])
    assert front.cover(exclude=[0]) == []
    with pytest.raises(InputError, match="99"):
        front.cover(exclude=[99])


def test_the_methods_say_what_they_do():
    for name in ("insert", "record", "members", "select", "cover", "to_bytes", "from_bytes"):
        assert getattr(ParetoFront, name).__doc__, name
    assert "..." not in str(inspect.signature(ParetoFront.cover))
