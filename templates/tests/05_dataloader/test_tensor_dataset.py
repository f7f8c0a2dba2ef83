"""A TensorDataset holds tensors whose first dimension counts the samples: one row of each is a sample."""
import numpy as np
import pytest

from tinytorch.core.dataloader import TensorDataset
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("tensor_dataset")

LOOP = "Rows are taken one by one: `tensor.data.take(indices, axis=0)` gathers all of them in one call."
WHOLE = "This is the number of all elements, not of samples: samples are counted by the first dimension."
UNCHECKED = "The first lengths are not compared: require_same does it, in the constructor."
TENSORS = "The length is the number of tensors; the samples are counted by a tensor's first dimension."


def test_length_is_the_first_dimension(student_side, hint):
    """Three images of 2 x 2 are three samples, however many tensors and elements there are."""
    dataset = TensorDataset(Tensor(np.zeros((3, 2, 2))), Tensor([7, 8, 9]))
    length = len(dataset)
    hint(WHOLE, when=length == 12)
    hint(TENSORS, when=length == 2)
    assert length == 3
    assert len(TensorDataset(Tensor(np.zeros((0, 4))))) == 0
    assert [x.shape for x in student_side.plain(dataset[2])] == [(2, 2), ()]


def test_sample_is_a_tuple_of_rows(student_side, rng):
    """Sample i is row i of each tensor: an image and its label."""
    images, labels = rng.normal(size=(4, 2, 3)).astype(np.float32), rng.integers(10, 20, size=4)
    dataset = TensorDataset(*student_side.tensors([images, labels]))
    for index in (0, 3, -1):
        sample = student_side.plain(dataset[index])
        assert isinstance(sample, tuple)
        assert len(sample) == 2
        np.testing.assert_array_equal(sample[0], images[index])
        np.testing.assert_array_equal(sample[1], labels[index])


def test_one_tensor_makes_tuples_of_one(student_side, rng):
    """As in PyTorch: with a single tensor a sample is still a tuple."""
    x = rng.normal(size=(3, 2))
    dataset = TensorDataset(Tensor(x))
    sample, batch = student_side.plain(dataset[2]), student_side.plain(dataset.__getitems__([2, 1]))
    assert isinstance(sample, tuple) and len(sample) == 1
    assert isinstance(batch, tuple) and len(batch) == 1
    np.testing.assert_array_equal(sample[0], x[2])
    np.testing.assert_array_equal(batch[0], x[[2, 1]])


def test_loop_over_a_dataset_ends(student_side, rng):
    """Python's loop asks for 0, 1, 2 ... until there is an IndexError."""
    x, y = rng.normal(size=(4, 2)), rng.integers(9, size=4)
    samples = student_side.samples_of(TensorDataset(*student_side.tensors([x, y])))
    assert len(samples) == 4
    np.testing.assert_array_equal(np.stack([sample[0] for sample in samples]), x)
    np.testing.assert_array_equal(np.stack([sample[1] for sample in samples]), y)


def test_index_beyond_the_end():
    """Sample 4 of 4 does not exist, nor does the fifth from the end."""
    dataset = TensorDataset(Tensor([1.0, 2.0, 3.0, 4.0]))
    assert [x.item() for x in dataset[3]] == [4.0]
    for index in (4, -5, 100):
        with pytest.raises(IndexError, match="4"):
            dataset[index]


@pytest.mark.parametrize(
    "indices", [[3, 1], [0], [2, 2, 2, 0], [-1, 1], [0, 1, 2, 3, 4]], ids=["two", "one", "repeated", "negative", "all"]
)
def test_batch_by_hand(student_side, indices):
    """The rows of the numbers that were asked for, in that order; the numbers are a list or an array."""
    x, y = np.array([[0, 1], [10, 11], [20, 21], [30, 31], [40, 41]]), np.array([5, 6, 7, 8, 9])
    dataset = TensorDataset(*student_side.tensors([x, y]))
    for numbers in (indices, np.array(indices)):
        rows, labels = student_side.plain(dataset.__getitems__(numbers))
        assert rows.tolist() == [[10 * (i % 5), 10 * (i % 5) + 1] for i in indices]
        assert labels.tolist() == [5 + i % 5 for i in indices]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)], ids=["numbers", "rows", "images"])
def test_dtype_and_shape_of_samples(student_side, rng, shape):
    """Whatever a tensor holds, bytes or labels or masks: samples and batches have its dtype."""
    for dtype in ("uint8", "int64", "float32", "float64", "bool"):
        x = np.asarray(rng.integers(0, 2, size=(6, *shape)), dtype)
        x[2] = 1  # something that isn't zero
        dataset = TensorDataset(Tensor(x))
        (sample,), (batch,) = student_side.plain(dataset[2]), student_side.plain(dataset.__getitems__([2, 5, 2]))
        assert sample.shape == shape and str(sample.dtype) == dtype
        assert batch.shape == (3, *shape) and str(batch.dtype) == dtype
        np.testing.assert_array_equal(sample, x[2])
        np.testing.assert_array_equal(batch, x[[2, 5, 2]])


@pytest.mark.parametrize("count", [1, 5, 64], ids=["one", "five", "many"])
def test_batch_is_one_gather(student_side, rng, hint, count):
    """However large the batch: the dataset reaches into each array at most once for it."""
    x, indices = rng.normal(size=(100, 3)), rng.integers(100, size=count)
    rows, lookups = student_side.lookups_of_a_batch(x, indices)
    np.testing.assert_array_equal(rows, x[indices])
    hint(LOOP, when=lookups == count and count > 1)
    assert lookups <= 1


def test_sample_is_a_view_and_a_batch_a_copy(student_side, rng):
    """A row costs nothing to look at. A gathered batch is new memory: who changes it doesn't change the dataset."""
    assert student_side.stored(rng.normal(size=(4, 3))) == (True, False)


@pytest.mark.hint(pytest.fail.Exception, UNCHECKED)
@pytest.mark.parametrize("lengths", [(3, 4), (4, 3), (5, 5, 6)], ids=["longer", "shorter", "third"])
def test_lengths_must_agree(student_side, rng, lengths):
    """Images without a label, or labels without an image, are found when the dataset is made."""
    arrays = [rng.normal(size=(length, 2)) for length in lengths]
    assert len(TensorDataset(*student_side.tensors([arrays[0], arrays[0]]))) == lengths[0]
    low, high = lengths[0], lengths[-1]
    with pytest.raises(ValueError, match=rf"\b{low}\b.*\b{high}\b"):
        TensorDataset(*student_side.tensors(arrays))


def test_lengths_agree_whatever_the_other_dimensions(student_side, rng):
    """Only the first dimension counts samples; there may be any number of tensors."""
    arrays = [rng.normal(size=shape) for shape in ((3,), (3, 1), (3, 2, 5), (3, 0))]
    dataset = TensorDataset(*student_side.tensors(arrays))
    assert len(dataset) == 3
    assert [x.shape for x in student_side.plain(dataset[1])] == [(), (1,), (2, 5), (0,)]
    with pytest.raises(ValueError, match="no tensors"):
        TensorDataset()
