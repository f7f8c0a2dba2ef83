"""Module 05 cuts, splits, collates and converts as PyTorch's loader does; torchvision's transforms are written out here."""
import numpy as np
import pytest
import torch
from torch.utils import data


def both(course, *arrays):
    """The same TensorDataset twice."""
    ours = course.dataloader.TensorDataset(*map(course.tensor.Tensor, arrays))
    return ours, data.TensorDataset(*map(torch.tensor, arrays))


@pytest.mark.parametrize("total", [0, 1, 7, 12], ids=str)
@pytest.mark.parametrize("batch_size", [1, 4, 12, 20], ids=str)
@pytest.mark.parametrize("drop_last", [False, True], ids=["keep", "drop"])
def test_batches(course, rng, agree, total, batch_size, drop_last):
    ours, theirs = both(course, rng.normal(size=(total, 2)).astype(np.float32), rng.integers(0, 9, size=total))
    mine = course.dataloader.DataLoader(ours, batch_size, drop_last=drop_last)
    others = data.DataLoader(theirs, batch_size, drop_last=drop_last)
    assert len(mine) == len(others)
    for one, other in zip(mine, others, strict=True):
        for a, b in zip(one, other, strict=True):
            agree(a, b)


def test_shuffled_epoch_has_the_same_samples(course, rng, agree):
    ours, theirs = both(course, rng.normal(size=(20, 3)).astype(np.float32), np.arange(20))
    mine = list(course.dataloader.DataLoader(ours, 6, shuffle=True, rng=rng))
    others = list(data.DataLoader(theirs, 6, shuffle=True))
    assert [len(y.numpy()) for _, y in mine] == [len(y) for _, y in others] == [6, 6, 6, 2]
    order = np.argsort(np.concatenate([y.numpy() for _, y in mine]))
    other = torch.argsort(torch.cat([y for _, y in others]))
    rows = np.concatenate([x.numpy() for x, _ in mine])[order]
    np.testing.assert_array_equal(rows, torch.cat([x for x, _ in others])[other].numpy())


@pytest.mark.parametrize("index", [0, 2, -1, slice(1, 3)], ids=["first", "third", "last", "slice"])
def test_samples(course, rng, agree, index):
    ours, theirs = both(course, rng.normal(size=(4, 3)).astype(np.float32), rng.integers(0, 9, size=4))
    for a, b in zip(ours[index], theirs[index], strict=True):
        agree(a, b)
    for a, b in zip(course.dataloader.Subset(ours, [3, 1])[1], data.Subset(theirs, [3, 1])[1], strict=True):
        agree(a, b)


@pytest.mark.parametrize("index", [4, -5], ids=str)
def test_no_sample_beyond_the_end(course, index):
    for dataset in both(course, np.zeros((4, 2))):
        with pytest.raises(IndexError):
            dataset[index]


@pytest.mark.filterwarnings("ignore:Length of split")  # PyTorch warns of parts without samples
@pytest.mark.parametrize("total", [1, 5, 10, 97, 100, 1000], ids=str)
@pytest.mark.parametrize(
    "fractions",
    [[0.8, 0.2], [1 / 3, 1 / 3, 1 / 3], [0.7, 0.2, 0.1], [0.29, 0.71], [0.25] * 4, [1.0], [0.05] * 20],
    ids=["tenths", "thirds", "three", "rounding", "quarters", "whole", "twenty"],
)
def test_split_sizes(course, total, fractions):
    if sum(fractions) > 1:
        return  # PyTorch refuses 1.0000000000000002
    mine = course.dataloader.random_split(range(total), fractions)
    theirs = data.random_split(range(total), fractions)
    assert [len(part) for part in mine] == [len(part) for part in theirs]


@pytest.mark.parametrize("lengths", [[5, 4], [5, 6], [0.5, 0.4], [1.5, -0.5]], ids=str)
def test_lengths_that_do_not_fit(course, lengths):
    for split in (course.dataloader.random_split, data.random_split):
        with pytest.raises(ValueError, match="[Ss]um|Fraction"):
            split(range(10), lengths)


SAMPLES = {
    "ints": lambda make: [3, 1, 2],
    "bools": lambda make: [True, False],
    "text": lambda make: ["cat", "dog"],
    "tensors": lambda make: [make(np.full((2, 3), value, np.float32)) for value in (1.5, 2.5)],
    "numpy": lambda make: [np.full(3, value, np.int16) for value in (1, 2)],
    "numpy-numbers": lambda make: [np.float64(1.5), np.float64(2.5)],
    "pairs": lambda make: [(make(np.full(2, value)), value) for value in (1, 2, 3)],
    "dictionaries": lambda make: [{"x": make(np.full(2, value)), "y": (value, "word")} for value in (1, 2, 3)],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_collation(course, agree, name):
    def compare(one, other):
        if isinstance(other, torch.Tensor):
            agree(one, other)
        elif isinstance(other, dict):
            assert list(one) == list(other)
            for key in one:
                compare(one[key], other[key])
        elif isinstance(other, (list, tuple)):
            assert len(one) == len(other)
            for a, b in zip(one, other, strict=True):
                compare(a, b)
        else:
            assert one == other

    mine = course.dataloader.default_collate(SAMPLES[name](course.tensor.Tensor))
    compare(mine, data.default_collate(SAMPLES[name](torch.tensor)))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
@pytest.mark.parametrize("target", ["float32", "float64"])
def test_scaling_to_floats(course, rng, agree, dtype, target):
    """torchvision's `to_dtype`: x.to(dtype).mul_(1 / largest), equal to the last bit."""
    largest = np.iinfo(dtype).max
    x = rng.integers(0, largest, size=(4, 3, 5, 5), endpoint=True).astype(dtype)
    ours = course.dataloader.ToDtype(target, scale=True)(course.tensor.Tensor(x))
    agree(ours, torch.tensor(x).to(getattr(torch, target)).mul_(1.0 / largest), rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalising(course, rng, agree, dtype):
    """torchvision's `normalize`: x.sub(mean).div_(std), equal to the last bit."""
    x, mean, std = rng.random((4, 3, 5, 5)).astype(dtype), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    theirs = torch.tensor(x)
    m, s = (torch.tensor(values, dtype=theirs.dtype).view(-1, 1, 1) for values in (mean, std))
    agree(course.dataloader.Normalize(mean, std)(course.tensor.Tensor(x)), theirs.sub(m).div_(s), rtol=0, atol=0)


def test_flip(course, rng, agree):
    x = rng.random((3, 2, 4, 5)).astype(np.float32)
    agree(course.dataloader.RandomHorizontalFlip(1.0)(course.tensor.Tensor(x)), torch.tensor(x).flip(-1), rtol=0, atol=0)


def test_padding(course, rng, agree):
    """A crop as large as the padded image is the padding alone: (left and right, above and below), as `pad` has it."""
    x = rng.random((3, 2, 4, 5)).astype(np.float32)
    ours = course.dataloader.RandomCrop((8, 7), padding=(1, 2))(course.tensor.Tensor(x))
    agree(ours, torch.nn.functional.pad(torch.tensor(x), (1, 1, 2, 2)), rtol=0, atol=0)
