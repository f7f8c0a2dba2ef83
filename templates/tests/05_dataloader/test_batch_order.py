"""An epoch is an order of all samples, cut into batches."""
import numpy as np
import pytest

from tinytorch.core.dataloader import batch_count, cut, epoch_order

pytestmark = pytest.mark.exercise("batch_order")

REPLACED = "Some samples come twice and others not at all: draw a permutation, not numbers with replacement."
FULL_DROPPED = "A full last batch was dropped: drop_last leaves out only a batch with fewer than batch_size samples."
LAST_LOST = "The last batch, which isn't full, is missing: without drop_last it counts."
EMPTY = "There is an empty batch behind the last full one: count another only if samples are left over."
KEPT = "The last batch isn't full, and drop_last asks to leave it out."


def test_order_without_shuffle(student_side):
    """0, 1, 2, ... and nothing is drawn: the generator's next number is its first."""
    rng = student_side.generator(3)
    order = epoch_order(5, False, rng)
    assert order.tolist() == [0, 1, 2, 3, 4]
    assert rng.random() == np.random.default_rng(3).random()
    assert epoch_order(0, False, rng).tolist() == []
    assert epoch_order(1, False, rng).tolist() == [0]


def test_shuffled_order_has_every_sample_once(student_side, rng, hint):
    """All numbers, each exactly once, and not in their usual order."""
    order = epoch_order(200, True, student_side.generator(int(rng.integers(2**31)))).tolist()
    hint(REPLACED, when=0 <= min(order) and max(order) < 200 and len(set(order)) < 200)
    assert sorted(order) == list(range(200))
    assert order != list(range(200))


def test_shuffled_order_is_a_draw_of_the_generator(student_side, rng):
    """`rng.permutation(total)`; the next epoch is the next draw, and so another order."""
    seed = int(rng.integers(2**31))
    ours, expected = student_side.generator(seed), np.random.default_rng(seed)
    for total in (30, 30, 1, 0, 7):
        assert epoch_order(total, True, ours).tolist() == expected.permutation(total).tolist()


@pytest.mark.parametrize(
    ("total", "size", "count", "full"),
    [(10, 4, 3, 2), (12, 4, 3, 3), (9, 4, 3, 2), (3, 4, 1, 0), (4, 4, 1, 1), (5, 1, 5, 5), (0, 4, 0, 0), (50_000, 128, 391, 390)],
    ids=["two-left", "none-left", "one-left", "fewer", "exactly-one", "single", "nothing", "images"],
)
def test_number_of_batches(hint, total, size, count, full):
    """Ten by four are 4 + 4 + 2: three batches, and two with drop_last. Twelve by four are three in both cases."""
    assert int(batch_count(11, 4, False)) == 3
    counted = int(batch_count(total, size, False))
    hint(LAST_LOST, when=counted == full < count)
    hint(EMPTY, when=counted == count + 1)
    assert counted == count
    counted = int(batch_count(total, size, True))
    hint(FULL_DROPPED, when=counted == full - 1 and total % size == 0)
    hint(KEPT, when=counted == count > full)
    assert counted == full


@pytest.mark.parametrize("drop_last", [False, True], ids=["keep", "drop"])
@pytest.mark.parametrize(("total", "size"), [(10, 4), (12, 4), (7, 1)], ids=["10-by-4", "12-by-4", "7-by-1"])
def test_batches_in_order(student_side, rng, hint, total, size, drop_last):
    """Put together again, the batches are the order from its beginning; all but the last one are full."""
    order = rng.permutation(total) + 100
    parts = [part.tolist() for part in student_side.epoch(cut(order, size, drop_last))]
    end = total - total % size if drop_last else total
    expected = [order[at : min(at + size, end)].tolist() for at in range(0, end, size)]
    hint(LAST_LOST, when=not drop_last and total % size and parts == expected[:-1])
    hint(EMPTY, when=parts == [*expected, []])
    hint(FULL_DROPPED, when=drop_last and total % size == 0 and parts == expected[:-1])
    hint(KEPT, when=drop_last and total % size and parts == [*expected, order[end:].tolist()])
    assert parts == expected


def test_batches_of_little(student_side):
    """No samples, no batches; fewer than a batch has, and drop_last leaves out all of them."""
    assert [part.tolist() for part in student_side.epoch(cut(np.arange(2), 3, False))] == [[0, 1]]
    assert student_side.epoch(cut(np.arange(2), 3, True)) == []
    assert student_side.epoch(cut(np.arange(0), 3, False)) == []
    assert student_side.epoch(cut(np.arange(0), 3, True)) == []
    assert [part.tolist() for part in student_side.epoch(cut(np.arange(4), 3, False))] == [[0, 1, 2], [3]]


def test_batches_are_views(student_side, rng):
    """An epoch's numbers are in memory once; a batch's are a slice of them."""
    order = rng.permutation(10)
    parts = student_side.epoch(cut(order, 4, False))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert student_side.cut_shares_memory(cut, order) == [True, True, True]
