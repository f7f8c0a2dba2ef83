"""A subset picks samples by number, and a split makes parts that share none."""
import numpy as np
import pytest

from tinytorch.core.dataloader import Subset, TensorDataset, random_split
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("subset_and_split")

OWN_NUMBER = "This is the dataset's own sample `index`: look up `self.indices[index]` first."
OWN_ROWS = "The batch has the dataset's own rows `indices`: gather `self.indices[indices]` first."
LOOP = "A batch of a subset asked for single samples: fetch(self.dataset, self.indices[indices]) gets it at once."
OVERLAP = "A sample is in two parts: draw one permutation, and cut it into pieces."
UNSHUFFLED = "The parts are the dataset's beginning and its end, in order: draw a permutation, since data come sorted."
ROUNDED = "Fractions are rounded down, and what remains goes to the first parts, one each."
LOST = "Samples are lost: what remains after rounding down goes to the first parts, one each."
ALL_TO_ONE = "All that remains went to one part: hand it out to the first parts, one each."
IGNORED = "The split passes over the rng it was given: one rng, one split."


def test_sample_of_a_subset(student_side, hint):
    """Of the samples 40, 10 and 30, number 1 is sample 10 of the dataset, and so is number -2."""
    for index, number in ((0, 40), (1, 10), (2, 30), (-1, 30), (-2, 10)):
        sample = student_side.plain(Subset(student_side.Squares(50), [40, 10, 30])[index])
        hint(OWN_NUMBER, when=sample[1] == index)
        assert sample[1] == number
        assert sample[0].tolist() == [number, number * number]


def test_subset_asks_with_a_python_number(student_side):
    """A dataset of files may look its numbers up in a dictionary or put them in a name: it gets an int, as by `[i]`."""
    dataset = student_side.Squares(8)
    sample = student_side.plain(Subset(dataset, np.array([7, 5]))[1])
    assert sample[1] == 5
    assert set(dataset.types) == {"int"}


@pytest.mark.parametrize("indices", [[0, 2], [1], [2, 2, 0, 1], [-1, 0]], ids=["two", "one", "repeated", "negative"])
def test_batch_of_a_subset(student_side, rng, hint, indices):
    """The numbers are gathered first, then the dataset gathers the samples: at once, and none singly."""
    x = rng.normal(size=(50, 3))
    picked = np.array([40, 10, 30])
    dataset = student_side.Noted(*student_side.tensors([x, np.arange(50)]))
    rows, numbers = student_side.plain(Subset(dataset, picked).__getitems__(indices))
    hint(OWN_ROWS, when=numbers.tolist() == [i % 50 for i in indices])
    assert numbers.tolist() == picked[indices].tolist()
    np.testing.assert_array_equal(rows, x[picked[indices]])
    asked = [[int(i) for i in batch] for batch in dataset.batches]
    hint(LOOP, when=dataset.singles > 0)
    assert asked == [picked[indices].tolist()]
    assert dataset.singles == 0


def test_subset_of_a_subset(student_side, rng):
    """Numbers of numbers: the inner subset's, then the dataset's."""
    x = rng.normal(size=20)
    inner = Subset(TensorDataset(Tensor(x)), [15, 3, 8, 11])
    outer = Subset(inner, [3, 1])
    assert len(outer) == 2
    np.testing.assert_array_equal(np.array([sample[0] for sample in student_side.samples_of(outer)]), x[[11, 3]])
    np.testing.assert_array_equal(student_side.plain(outer.__getitems__([1, 0]))[0], x[[3, 11]])


def test_loop_over_a_subset_ends(student_side):
    """As with a list, the sample behind the last one is an IndexError."""
    part = Subset([10, 20, 30, 40], [3, 1])
    assert student_side.samples_of(part) == [40, 20]
    with pytest.raises(IndexError, match="2"):
        part[2]


def test_subset_of_what_is_not_a_dataset(student_side):
    """A list will do: its samples are collated one by one."""
    assert student_side.plain(Subset([10, 20, 30], [2, 0]).__getitems__([1, 0, 1])).tolist() == [10, 30, 10]
    rows, labels = student_side.plain(Subset(student_side.Squares(9), [8, 4]).__getitems__([0, 1]))
    assert rows.tolist() == [[8, 64], [4, 16]]
    assert labels.tolist() == [8, 4]


@pytest.mark.parametrize(
    "lengths", [[7, 3], [10], [1, 2, 3, 4], [0, 10], [5, 0, 5]], ids=["two", "whole", "four", "none", "none-between"]
)
def test_split_into_numbers(student_side, rng, hint, lengths):
    """Parts of these lengths, in which every sample is exactly once."""
    indices, sizes = student_side.indices_of(random_split(list(range(10)), lengths, student_side.generator(int(rng.integers(99)))))
    assert sizes == lengths
    assert [len(part) for part in indices] == lengths
    every = sorted(number for part in indices for number in part)
    hint(OVERLAP, when=len(set(every)) < 10)
    assert every == list(range(10))


@pytest.mark.parametrize(
    ("total", "fractions", "lengths"),
    [
        (10, [0.8, 0.2], [8, 2]),
        (10, [1 / 3, 1 / 3, 1 / 3], [4, 3, 3]),
        (11, [0.25, 0.25, 0.25, 0.25], [3, 3, 3, 2]),
        (5, [0.1, 0.9], [1, 4]),
        (7, [1.0], [7]),
        (7, [0.7, 0.2, 0.1], [5, 2, 0]),
        (7, [0.1, 0.2, 0.7], [1, 2, 4]),
        (1, [0.5, 0.5], [1, 0]),
    ],
    ids=["tenths", "thirds", "quarters", "small", "whole", "sum-below-1", "sum-in-another-order", "one-sample"],
)
def test_split_into_fractions(student_side, rng, hint, total, fractions, lengths):
    """Rounded down, and what remains is handed out from the first part on; 0.7 + 0.2 + 0.1 counts as 1."""
    parts = random_split(list(range(total)), fractions, student_side.generator(int(rng.integers(99))))
    indices, sizes = student_side.indices_of(parts)
    floors = [int(total * fraction) for fraction in fractions]
    remains = total - sum(floors)
    hint(LOST, when=sizes == floors and remains)
    hint(ALL_TO_ONE, when=remains > 1 and remains in [s - f for s, f in zip(sizes, floors)])
    hint(ROUNDED, when=sum(sizes) == total and max(abs(s - f) for s, f in zip(sizes, floors)) == 1)
    assert sizes == lengths
    assert sorted(number for part in indices for number in part) == list(range(total))


def test_split_is_drawn_from_a_permutation(student_side, rng, hint):
    """The first part gets the first numbers of `rng.permutation(len(dataset))`, the second the next ones."""
    seed = int(rng.integers(2**31))
    indices, _ = student_side.indices_of(random_split(list(range(100)), [60, 40], student_side.generator(seed)))
    order = np.random.default_rng(seed).permutation(100).tolist()
    hint(UNSHUFFLED, when=indices == [list(range(60)), list(range(60, 100))])
    assert indices == [order[:60], order[60:]]


def test_split_draws_from_the_common_generator(student_side, rng, hint):
    """Without an rng one `manual_seed` fixes the split; with one it alone does."""
    seed, splits = int(rng.integers(2**31)), []
    for number in (seed, seed, seed + 1):
        student_side.seed(number)
        splits.append(student_side.indices_of(random_split(list(range(40)), [0.5, 0.5]))[0])
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]
    assert splits[0][0] == np.random.default_rng(seed).permutation(40)[:20].tolist()
    own = []
    for number in (seed, seed + 1):
        student_side.seed(number)
        own.append(student_side.indices_of(random_split(list(range(40)), [20, 20], student_side.generator(5)))[0])
    hint(IGNORED, when=own[0] == splits[0])
    assert own[0] == own[1]
    assert own[0][1] == np.random.default_rng(5).permutation(40)[20:].tolist()


def test_parts_hold_samples_of_the_dataset(student_side, rng):
    """A part is a Subset: its samples are the dataset's, image and label together."""
    dataset = student_side.Squares(12)
    for part in random_split(dataset, [9, 3], student_side.generator(int(rng.integers(99)))):
        numbers = np.asarray(part.indices).tolist()
        assert [sample[1] for sample in student_side.samples_of(part)] == numbers
        rows, labels = student_side.plain(part.__getitems__([0, 2]))
        assert labels.tolist() == [numbers[0], numbers[2]]
        assert rows.tolist() == [[n, n * n] for n in (numbers[0], numbers[2])]


@pytest.mark.parametrize(
    "cases", [[[5, 4], [5, 6], [20]], [[0.5, 0.4], [0.5, 0.6]], [[11, -1], [-1, 11], [1.5, -0.5], [-0.5, 1.5]]],
    ids=["numbers", "fractions", "negative"],
)
def test_lengths_must_fit(student_side, cases):
    """Lengths sum to the number of samples, fractions to 1, and no part is smaller than nothing."""
    assert student_side.indices_of(random_split(list(range(10)), [5, 5]))[1] == [5, 5]
    for lengths in cases:
        with pytest.raises(ValueError, match="lengths"):
            random_split(list(range(10)), lengths)
