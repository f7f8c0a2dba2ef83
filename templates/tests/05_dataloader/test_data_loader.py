"""A loader gives the batches of an epoch, and one seed fixes all of them."""
import numpy as np
import pytest

from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("data_loader")

REPEATED = "The second epoch has the first one's order: draw a new one at each call of batches()."
APART = "Inputs and labels are of different samples: one order for the whole dataset, and all parts gathered by it."
REDRAWN = "Some samples come twice, others not at all: draw an order once for the epoch, not anew for each batch."
LATE = "The order was drawn when the first batch was asked for: draw in batches() itself, and return a generator from it."
DRAWS = "An epoch without shuffle and transform draws nothing: what it draws is missing elsewhere."
LOADED = "Batches before `start` were loaded: leave their numbers out, not what was loaded."
COUNTED_ANEW = "Batches that begin at `start` are numbered from 0 again: batch 2 keeps its number, and so its random numbers."
SAME_NOISE = "All batches got the same random numbers: the generator is made of [seed, number]."
ALL_AT_ONCE = "Batches were loaded before anybody asked for them: load each in the generator expression."
IGNORED = "The loader passes over the rng it was given."
LABELS_TOO = "The transform got the labels: it is for the inputs, the first item of a batch."
REPEATED_SEED = "The second epoch transforms with the first one's random numbers: draw a seed in each epoch."


def pairs(student_side, total):
    """A dataset whose sample i is ([i, 10 i], i)."""
    numbers = np.arange(total)
    return TensorDataset(*student_side.tensors([np.stack([numbers, 10 * numbers], axis=1).astype(np.float64), numbers]))


def labels(batches):
    return [batch[1].tolist() for batch in batches]


def joined(parts):
    """An epoch's labels, one after the other."""
    return [label for part in parts for label in part]


def test_batches_of_ten_by_four(student_side):
    """In order: 4, 4 and the 2 that are left; inputs and labels in batches of the same samples."""
    batches = student_side.epoch(DataLoader(pairs(student_side, 10), batch_size=4))
    assert labels(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [batch[0].tolist() for batch in batches][2] == [[8.0, 80.0], [9.0, 90.0]]
    assert all(isinstance(batch, tuple) and len(batch) == 2 for batch in batches)


@pytest.mark.parametrize("drop_last", [False, True], ids=["keep", "drop"])
@pytest.mark.parametrize(("total", "size"), [(10, 4), (12, 4), (3, 5), (0, 3)], ids=["left", "full", "fewer", "none"])
def test_length_is_the_number_of_batches(student_side, total, size, drop_last):
    """`len(loader)`, the batches that a loop sees, and those from the first on, are as many."""
    loader = DataLoader(pairs(student_side, total), size, drop_last=drop_last)
    count = total // size if drop_last or total % size == 0 else total // size + 1
    assert len(loader) == count
    expected = [list(range(at, min(at + size, total))) for at in range(0, count * size, size)]
    assert labels(student_side.epoch(loader)) == expected
    assert labels(student_side.epoch(loader.batches())) == expected
    assert labels(student_side.epoch(DataLoader(pairs(student_side, 2), 2))) == [[0, 1]]


def test_batch_size_is_one_by_default(student_side):
    """As in PyTorch; and a batch of one still has its first dimension."""
    batches = student_side.epoch(DataLoader(pairs(student_side, 3)))
    assert [batch[0].tolist() for batch in batches] == [[[0.0, 0.0]], [[1.0, 10.0]], [[2.0, 20.0]]]
    assert labels(batches) == [[0], [1], [2]]


def test_shuffled_epoch_has_every_sample_once(student_side, rng, hint):
    """All samples, in another order than they are stored in, each input with its own label."""
    loader = DataLoader(pairs(student_side, 50), 20, shuffle=True, rng=student_side.generator(int(rng.integers(2**31))))
    batches = student_side.epoch(loader)
    seen, apart = joined(labels(batches)), all(len(set(part)) == len(part) for part in labels(batches))
    hint(REDRAWN, when=apart and len(seen) == 50 and len(set(seen)) < 50)
    inputs, numbers = np.concatenate([batch[0] for batch in batches]), np.concatenate([batch[1] for batch in batches])
    hint(APART, when=sorted(inputs[:, 0]) == sorted(numbers) and (inputs[:, 0] != numbers).any())
    np.testing.assert_array_equal(inputs, np.stack([numbers, 10 * numbers], axis=1))
    assert sorted(numbers.tolist()) == list(range(50))
    assert numbers.tolist() != list(range(50))


def test_epochs_have_different_orders(student_side, rng, hint):
    """Each loop over a loader is an epoch with an order of its own: the next permutations of its generator."""
    seed = int(rng.integers(2**31))
    loader = DataLoader(pairs(student_side, 30), 7, shuffle=True, rng=student_side.generator(seed))
    first, second = (joined(labels(student_side.epoch(loader))) for _ in range(2))
    expected = np.random.default_rng(seed)
    assert first == expected.permutation(30).tolist()
    hint(REPEATED, when=second == first)
    assert second == expected.permutation(30).tolist()


def test_one_seed_fixes_the_epochs(student_side, rng, hint):
    """The common generator's seed, or the loader's own generator."""
    dataset, seed, runs = pairs(student_side, 20), int(rng.integers(2**31)), []
    for number in (seed, seed, seed + 1):
        student_side.seed(number)
        loader = DataLoader(dataset, 3, shuffle=True)
        runs.append([labels(student_side.epoch(loader)) for _ in range(2)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert joined(runs[0][0]) == np.random.default_rng(seed).permutation(20).tolist()
    own = []
    for number in (seed, seed + 1):
        student_side.seed(number)
        own.append(labels(student_side.epoch(DataLoader(dataset, 3, shuffle=True, rng=student_side.generator(2)))))
    hint(IGNORED, when=own[0] == runs[0][0])
    assert own[0] == own[1]
    assert joined(own[0]) == np.random.default_rng(2).permutation(20).tolist()


def test_order_is_drawn_when_batches_is_called(student_side, rng, hint):
    """What is drawn between the call and the first batch changes nothing: module 08 relies on it."""
    seed = int(rng.integers(2**31))
    expected = np.random.default_rng(seed)
    order, following = expected.permutation(12).tolist(), expected.random()
    student_side.seed(seed)
    batches = DataLoader(pairs(student_side, 12), 5, shuffle=True).batches()
    drawn = student_side.draw()
    hint(LATE, when=drawn == np.random.default_rng(seed).random())
    assert drawn == following
    assert joined(labels(student_side.epoch(batches))) == order


def test_evaluation_draws_nothing(student_side, rng, hint):
    """Without shuffle and transform the generator is left alone, so that training goes on as if nobody had looked."""
    seed = int(rng.integers(2**31))
    student_side.seed(seed)
    batches = student_side.epoch(DataLoader(pairs(student_side, 9), 4))
    assert labels(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    drawn = student_side.draw()
    hint(DRAWS, when=drawn != np.random.default_rng(seed).random())
    assert drawn == np.random.default_rng(seed).random()


def test_shuffled_epoch_draws_only_its_order(student_side, rng):
    """With shuffle and without a transform: one permutation, however many batches there are."""
    seed = int(rng.integers(2**31))
    expected = np.random.default_rng(seed)
    order = expected.permutation(9).tolist()
    student_side.seed(seed)
    assert joined(labels(student_side.epoch(DataLoader(pairs(student_side, 9), 2, shuffle=True)))) == order
    assert student_side.draw() == expected.random()


def test_two_epochs_at_once(student_side, rng):
    """Two loops over one loader don't disturb each other."""
    loader = DataLoader(pairs(student_side, 10), 3, shuffle=True, rng=student_side.generator(7))
    one, other = loader.batches(), loader.batches()
    first = student_side.firsts(one, 2)
    whole = student_side.epoch(other)
    rest = student_side.epoch(one)
    expected = np.random.default_rng(7)
    orders = [expected.permutation(10).tolist() for _ in range(2)]
    assert joined(labels(first) + labels(rest)) == orders[0]
    assert joined(labels(whole)) == orders[1]


def test_starting_in_the_middle(student_side, rng):
    """From batch number `start` on, the same batches as in the whole epoch; behind the last one there are none."""
    seed = int(rng.integers(2**31))
    order = np.random.default_rng(seed).permutation(18)
    whole = [order[at : at + 5].tolist() for at in range(0, 18, 5)]
    for start in (0, 1, 3, 4, 9):
        loader = DataLoader(pairs(student_side, 18), 5, shuffle=True, rng=student_side.generator(seed))
        assert labels(student_side.epoch(loader.batches(start=start))) == whole[start:]
    with pytest.raises(ValueError, match="start"):
        DataLoader(pairs(student_side, 18), 5).batches(start=-1)


def test_earlier_batches_are_not_loaded(student_side, hint):
    """Whoever begins with batch 2 doesn't wait for the first two."""
    dataset = student_side.Squares(10)
    batches = student_side.epoch(DataLoader(dataset, 4).batches(start=2))
    assert labels(batches) == [[8, 9]]
    asked = list(dataset.asked)
    hint(LOADED, when=asked == list(range(10)))
    assert asked == [8, 9]


def test_batches_are_loaded_when_asked_for(student_side, hint):
    """Nothing is loaded by the call, and with each batch only its own samples."""
    asked = student_side.asked_while_loading(9, 2, batch_size=4)
    hint(ALL_AT_ONCE, when=len(asked[0]) == 9)
    assert asked == [[], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6, 7]]


def test_without_prefetch_there_is_no_thread(student_side):
    """The loop that asks for a batch loads it."""
    assert student_side.threads_that_load(0) == ([[0, 1, 2, 3], [4, 5]], [True])


def test_batch_of_tensors_is_asked_for_at_once(student_side, hint):
    """A dataset that can gather is asked once per batch, and never for a single sample."""
    dataset = student_side.Noted(*student_side.tensors([np.arange(10) * 2, np.arange(10)]))
    assert labels(student_side.epoch(DataLoader(dataset, 4))) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    hint("The loader asked for single samples: fetch(self.dataset, indices) gets a batch.", when=dataset.singles > 0)
    assert dataset.singles == 0
    assert [list(batch) for batch in dataset.batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("kind", ["list", "dataset"])
def test_any_dataset_will_do(student_side, kind):
    """A list of numbers, or a class that knows its samples one by one: they are collated."""
    if kind == "list":
        assert [x.tolist() for x in student_side.epoch(DataLoader([5, 7, 9], 2))] == [[5, 7], [9]]
    else:
        batches = student_side.epoch(DataLoader(student_side.Squares(5), 3))
        assert [batch[0].tolist() for batch in batches] == [[[0, 0], [1, 1], [2, 4]], [[3, 9], [4, 16]]]
        assert labels(batches) == [[0, 1, 2], [3, 4]]


def test_collate_fn_makes_the_batch(student_side):
    """It gets a list of the batch's samples, which were asked for by Python's own numbers."""
    dataset = student_side.Squares(5)
    loader = DataLoader(dataset, 2, collate_fn=student_side.largest_and_count)
    assert [x.tolist() for x in student_side.epoch(loader)] == [[1, 2], [3, 2], [4, 1]]
    assert list(dataset.asked) == [0, 1, 2, 3, 4]
    assert set(dataset.types) == {"int"}


@pytest.mark.parametrize("drawn", ["order", "shuffled"])
def test_transform_changes_the_inputs(student_side, rng, hint, drawn):
    """The first item of each batch goes through the transform, with a generator made of [seed, number of the batch]."""
    seed, shuffle = int(rng.integers(2**31)), drawn == "shuffled"
    loader = DataLoader(
        pairs(student_side, 10), 4, shuffle=shuffle, transform=student_side.add_noise, rng=student_side.generator(seed)
    )
    batches = student_side.epoch(loader)
    expected = np.random.default_rng(seed)
    order = expected.permutation(10) if shuffle else np.arange(10)
    epoch_seed = expected.integers(2**63)
    hint(LABELS_TOO, when=batches[0][1].dtype.kind == "f")
    assert labels(batches) == [order[at : at + 4].tolist() for at in (0, 4, 8)]
    noises = [batch[0][:, 0] - batch[1] for batch in batches]
    hint(SAME_NOISE, when=np.allclose(noises[0], noises[1]))
    for number, (inputs, numbers) in enumerate(batches):
        noise = np.random.default_rng([epoch_seed, number]).random(len(numbers))
        np.testing.assert_allclose(inputs, np.stack([numbers, 10 * numbers], axis=1) + noise[:, None], rtol=1e-12)


def test_epochs_are_transformed_differently(student_side, rng, hint):
    """Each epoch draws a seed for its transforms, from the loader's generator."""
    seed = int(rng.integers(2**31))
    loader = DataLoader(pairs(student_side, 6), 3, transform=student_side.add_noise, rng=student_side.generator(seed))
    one, other = (student_side.epoch(loader) for _ in range(2))
    expected = np.random.default_rng(seed)
    hint(REPEATED_SEED, when=np.allclose(one[0][0], other[0][0]))
    for batches in (one, other):
        noise = np.random.default_rng([expected.integers(2**63), 1]).random(3)
        np.testing.assert_allclose(batches[1][0][:, 0], noise + [3, 4, 5], rtol=1e-12)


def test_transforms_do_not_depend_on_where_one_starts(student_side, rng, hint):
    """Batch 2 is the same to the last bit, whether batches 0 and 1 were loaded or not."""
    seed, runs = int(rng.integers(2**31)), []
    for start in (0, 2):
        loader = DataLoader(
            pairs(student_side, 12), 3, shuffle=True, transform=student_side.add_noise, rng=student_side.generator(seed)
        )
        runs.append(student_side.epoch(loader.batches(start)))
    whole, rest = runs
    assert labels(rest) == labels(whole)[2:]
    noises = [[batch[0][:, 0] - batch[1] for batch in batches] for batches in (whole, rest)]
    hint(COUNTED_ANEW, when=np.allclose(noises[1][0], noises[0][0]) and not np.allclose(noises[0][2], noises[0][0]))
    for ours, theirs in zip(rest, whole[2:]):
        np.testing.assert_array_equal(ours[0], theirs[0])
    assert not np.allclose(noises[0][0], noises[0][2])


def test_transform_of_a_single_tensor(student_side, rng):
    """A batch that is one Tensor is the inputs, whole."""
    x = rng.normal(size=(5, 2))
    loader = DataLoader(Tensor(x), 2, transform=student_side.negative)
    batches = student_side.epoch(loader)
    assert [batch.shape for batch in batches] == [(2, 2), (2, 2), (1, 2)]
    np.testing.assert_array_equal(np.concatenate(batches), -x)


def test_transform_of_longer_batches(student_side):
    """Only the first item is changed, whatever follows it, and whatever made the batch; it comes back as a tuple."""
    loader = DataLoader(student_side.Squares(3), 2, collate_fn=student_side.as_list, transform=student_side.negative)
    first, second = student_side.epoch(loader)
    assert isinstance(first, tuple)
    assert first[0].tolist() == [[0, 0], [-1, -1]]
    assert first[1].tolist() == [0, 1]
    assert first[2] == "word"
    assert second[0].tolist() == [[-2, -4]]


def test_transform_after_collate_fn(student_side):
    """What collate_fn made, goes through the transform."""
    loader = DataLoader([3, 4, 5], 2, collate_fn=student_side.rows_and_labels, transform=student_side.double)
    assert [batch.tolist() for batch in student_side.epoch(loader)] == [[[6.0], [8.0]], [[10.0]]]


def test_dtypes_pass_through(student_side, rng):
    """Bytes stay bytes and labels int64: the loader converts nothing."""
    images, numbers = rng.integers(1, 256, size=(4, 3, 2, 2)).astype(np.uint8), np.arange(1, 5)
    ((inputs, targets),) = student_side.epoch(DataLoader(TensorDataset(*student_side.tensors([images, numbers])), 4))
    assert inputs.dtype == np.uint8
    assert targets.dtype == np.int64
    np.testing.assert_array_equal(inputs, images)
    np.testing.assert_array_equal(targets, numbers)


def test_error_in_a_dataset_comes_out_at_its_batch(student_side):
    """The batches before a damaged sample are fine; then the dataset's own error is seen."""
    batches = DataLoader(student_side.Squares(9, broken=5), 3).batches()
    assert labels(student_side.firsts(batches, 1)) == [[0, 1, 2]]
    with pytest.raises(ValueError, match="sample 5 is damaged"):
        student_side.epoch(DataLoader(student_side.Squares(9, broken=5), 3).batches(start=1))


def test_sizes_that_make_no_sense(student_side):
    """A batch has a sample at least, and nobody can load less than nothing ahead."""
    assert labels(student_side.epoch(DataLoader(pairs(student_side, 2), 2))) == [[0, 1]]
    for options in ({"batch_size": 0}, {"batch_size": -3}, {"prefetch": -1}):
        with pytest.raises(ValueError, match="|".join(options)):
            DataLoader(pairs(student_side, 2), **options)
