"""Bytes become floats, and each channel gets mean 0 and deviation 1."""
import numpy as np
import pytest

from tinytorch.core.dataloader import Normalize, ToDtype
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("pixel_values")

BY_256 = "The values were divided by 256: the largest byte is 255, and becomes 1."
UNSCALED = "With scale=True integers are divided by the largest number of their dtype."
ALWAYS = "Scaled without being asked to: without scale the values stay."
FLOATS_SCALED = "Floats were scaled: they are in [0, 1] already, only their dtype changes."
COLUMNS = "The means belong to the channels, the third dimension from the right: mean[:, None, None] lines up with them."
MULTIPLIED = "Subtract the mean, then *divide* by the deviation."
ORDER = "First subtract the mean, then divide the difference."
CHANGED = "The input was changed: y = x - mean makes a new array, x -= mean does not."
WIDER = "The result is float64: bring mean and std to the dtype of the images first."


def test_bytes_by_hand(student_side, hint):
    """0 is 0, 51 is a fifth, 255 is 1."""
    out = ToDtype(np.float32, scale=True)(Tensor(np.array([[[0, 51, 255]]], np.uint8))).numpy()
    hint(BY_256, when=np.allclose(out * 256, [[[0, 51, 255]]]))
    hint(UNSCALED, when=out.max() == 255)
    np.testing.assert_allclose(out, [[[0, 0.2, 1]]], rtol=1e-6)
    assert out.dtype == np.float32


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64"])
def test_integers_are_scaled_by_their_largest(rng, dtype):
    """A byte's largest is 255, an int16's 32,767; the result is as exact as its dtype allows."""
    largest = np.iinfo(dtype).max
    x = rng.integers(0, largest, size=(2, 3, 4, 5)).astype(dtype)
    for target, rtol in (("float32", 3e-7), ("float64", 1e-14)):
        out = ToDtype(target, scale=True)(Tensor(x)).numpy()
        assert str(out.dtype) == target
        assert out.shape == (2, 3, 4, 5)
        np.testing.assert_allclose(out, x / largest, rtol=rtol)


@pytest.mark.parametrize(
    ("dtype", "target"), [("uint8", "float32"), ("uint8", "int64"), ("float64", "float32"), ("float32", "uint8")],
    ids=["bytes-to-floats", "bytes-to-integers", "floats", "floats-to-bytes"],
)
def test_without_scale_values_stay(rng, hint, dtype, target):
    """Only the dtype changes; floats to integers are cut off."""
    x = rng.integers(1, 200, size=(3, 2, 2)).astype(dtype)
    out = ToDtype(target)(Tensor(x)).numpy()
    hint(ALWAYS, when=np.allclose(out * 255.0, x))
    np.testing.assert_array_equal(out, x)
    assert str(out.dtype) == target


@pytest.mark.parametrize("dtype", ["float64", "float32", "bool"])
def test_scale_leaves_floats_and_booleans(rng, hint, dtype):
    """They are between 0 and 1 as they are."""
    x = np.asarray(rng.random(size=(1, 4, 4)) > 0.5 if dtype == "bool" else rng.random(size=(1, 4, 4)), dtype)
    x[0, 0, 0] = 1
    out = ToDtype(np.float32, scale=True)(Tensor(x)).numpy()
    hint(FLOATS_SCALED, when=0 < np.abs(out).max() < 0.1)
    assert ToDtype(np.float32, scale=True)(Tensor(np.array([255], np.uint8))).item() == 1.0
    np.testing.assert_array_equal(out, x.astype(np.float32))
    assert out.dtype == np.float32


def test_scale_to_integers_makes_no_sense():
    """Numbers from 0 to 1 aren't integers."""
    assert ToDtype(np.float64, scale=True)(Tensor(np.array([255], np.uint8))).item() == 1.0
    with pytest.raises(ValueError, match="int64"):
        ToDtype(np.int64, scale=True)


def test_normalise_by_hand(hint):
    """0.2 in a channel of mean 0.5 and deviation 0.25 is -1.2; another channel has its own numbers."""
    out = Normalize([0.5, 0.0], [0.25, 2.0])(Tensor([[[0.2, 0.5]], [[0.2, 4.0]]])).numpy()
    hint(MULTIPLIED, when=np.allclose(out, [[[-0.075, 0]], [[0.4, 8]]]))
    hint(ORDER, when=np.allclose(out, [[[0.3, 1.5]], [[0.1, 2]]]))
    np.testing.assert_allclose(out, [[[-1.2, 0]], [[0.1, 2]]], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("batch", [(), (4,), (2, 5)], ids=["image", "batch", "batches"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalise_channel_by_channel(rng, hint, batch, dtype):
    """Each channel with its own mean and deviation, in images with three rows and columns too; the dtype stays."""
    x = rng.normal(size=(*batch, 3, 3, 3)).astype(dtype)
    mean, std = [0.1, -2.0, 3.0], [0.5, 2.0, 4.0]
    out = Normalize(mean, std)(Tensor(x)).numpy()
    hint(COLUMNS, when=np.allclose(out, (x - mean) / std, atol=1e-4))
    m, s = np.reshape(mean, (3, 1, 1)), np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(out, (x.astype(np.float64) - m) / s, rtol=1e-4, atol=1e-5)
    hint(WIDER, when=dtype == "float32" and out.dtype == np.float64)
    assert str(out.dtype) == dtype


def test_normalised_images_have_mean_0_and_deviation_1(rng):
    """With the numbers of the images themselves, whatever these were."""
    x = rng.normal(size=(50, 2, 8, 8)) * np.reshape([3.0, 0.1], (2, 1, 1)) + np.reshape([5.0, -1.0], (2, 1, 1))
    out = Normalize(x.mean(axis=(0, 2, 3)).tolist(), x.std(axis=(0, 2, 3)).tolist())(Tensor(x)).numpy()
    np.testing.assert_allclose(out.mean(axis=(0, 2, 3)), [0, 0], atol=1e-9)
    np.testing.assert_allclose(out.std(axis=(0, 2, 3)), [1, 1], rtol=1e-9)


def test_normalise_refuses_integers():
    """Bytes would become -0.5 rounded to something: convert them first, as torchvision asks too."""
    normalize = Normalize([0.5], [0.5])
    assert normalize(Tensor(np.full((1, 1, 1), 0.75))).item() == 0.5
    for dtype in ("uint8", "int64", "bool"):
        with pytest.raises(TypeError, match="float"):
            normalize(Tensor(np.ones((1, 2, 2), dtype)))


def test_normalise_refuses_to_divide_by_zero():
    """A channel that is the same everywhere has no deviation to divide by."""
    assert Normalize([1.0], [2.0])(Tensor(np.full((1, 1, 1), 4.0))).item() == 1.5
    with pytest.raises(ValueError, match="std"):
        Normalize([0.5, 0.5], [0.5, 0.0])


@pytest.mark.parametrize("name", ["same-dtype", "scaled", "normalised"])
def test_inputs_stay_as_they_are(student_side, rng, hint, name):
    """A transform makes new numbers; the dataset's, behind a view, are not touched, even where nothing has to change."""
    transform, factor, shift = {
        "same-dtype": (ToDtype(np.float32), 1, 0), "scaled": (ToDtype(np.float32, scale=True), 1, 0),
        "normalised": (Normalize([1.0, 1.0, 1.0], [0.5, 0.5, 0.5]), 2, -2),
    }[name]
    x = rng.random(size=(3, 4, 4)).astype(np.float32)
    out, after, shared = student_side.overlapped(x, transform, 0)
    np.testing.assert_allclose(out, x * factor + shift, atol=1e-6)
    hint(CHANGED, when=not np.array_equal(after, x))
    np.testing.assert_array_equal(after, x)
    assert shared is False
    wider = student_side.transformed(transform, x.astype(np.float64), 0)
    assert str(wider.dtype) == ("float64" if name == "normalised" else "float32")


def test_no_graph(student_side, rng):
    """Inputs are not trained: the result doesn't require a gradient, even if the images do."""
    x = rng.random(size=(1, 2, 2)).astype(np.float32)
    for transform, expected in ((Normalize([0.0], [0.5]), 2 * x), (ToDtype(np.float64), x)):
        requires_grad, out = student_side.has_history(transform, x)
        assert requires_grad is False
        np.testing.assert_allclose(out, expected, rtol=1e-6)
