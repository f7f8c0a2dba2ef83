"""From many losses to one number: their mean, their sum, or none of it."""
import numpy as np
import pytest

from tinytorch.core.losses import reduced
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("loss_reduction")

NUMBER = "That is a Python number: its way back to the weights is lost. Return the Tensor that sum() gives."
COUNT = "The sum was divided by the number of elements; divide by `count`, which may be smaller."


def test_reduction_by_hand(hint):
    """Losses 1, 2 and 6: the sum is 9, and the mean 3."""
    losses = Tensor([1.0, 2.0, 6.0])
    total, mean = reduced(losses, "sum", 3), reduced(losses, "mean", 3)
    hint(NUMBER, when=isinstance(total, float) or isinstance(mean, float))
    assert total.numpy() == 9 and mean.numpy() == 3
    np.testing.assert_array_equal(reduced(losses, "none", 3).numpy(), [1.0, 2.0, 6.0])


def test_mean_divides_by_count(rng, hint):
    """Two of the losses count, whatever the shape: the module's example 2, 0, 4, 0 has the mean 3."""
    out = reduced(Tensor([2.0, 0.0, 4.0, 0.0]), "mean", 2).item()
    hint(COUNT, when=out == 1.5)
    assert out == 3
    losses = rng.random((3, 4)) + 0.5
    np.testing.assert_allclose(reduced(Tensor(losses), "mean", 5).numpy(), losses.sum() / 5, rtol=1e-12)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((), "float64"), ((1,), "float32"), ((7,), "float64"), ((2, 3, 4), "float32")], ids=["number", "one", "row", "3-d"],
)
def test_reduction_of_any_shape(rng, hint, shape, dtype):
    """One number, of shape () and in the losses' dtype, for the sum and the mean; the losses themselves for none."""
    losses = np.asarray(rng.random(shape) + 0.5, dtype)
    total, mean = reduced(Tensor(losses), "sum", losses.size), reduced(Tensor(losses), "mean", 2 * losses.size)
    hint(NUMBER, when=isinstance(total, float) or isinstance(mean, float))
    for out, expected in ((total, losses.sum(dtype=float)), (mean, losses.mean(dtype=float) / 2)):
        assert out.shape == () and out.dtype == dtype
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(reduced(Tensor(losses), "none", losses.size).numpy(), losses)


def test_reduction_of_nothing():
    """No losses add up to 0, and their mean is 0 / 0."""
    losses = Tensor(np.empty((0, 3), np.float32))
    assert np.isnan(reduced(losses, "mean", 0).numpy())
    assert reduced(losses, "sum", 0).numpy() == 0
    assert reduced(losses, "none", 0).shape == (0, 3)


def test_reduction_keeps_the_way_to_the_gradient(rng):
    """The result requires a gradient if the losses do, and only then."""
    losses = rng.random(5) + 1
    for reduction in ("mean", "sum", "none"):
        tracked = reduced(Tensor(losses, requires_grad=True), reduction, 5)
        plain = reduced(Tensor(losses), reduction, 5)
        assert (tracked.requires_grad, plain.requires_grad) == (True, False)
        np.testing.assert_allclose(tracked.numpy().sum(), losses.sum() / (5 if reduction == "mean" else 1), rtol=1e-12)


@pytest.mark.hint(
    pytest.fail.Exception, "'average' was accepted as a reduction: anything but the three has to be a ValueError."
)
@pytest.mark.hint(AssertionError, "The message of the ValueError has to name all three: 'mean', 'sum' and 'none'.")
@pytest.mark.parametrize("reduction", ["average", "Mean", ""], ids=["average", "capital", "empty"])
def test_reduction_of_another_name(reduction):
    """A misspelt reduction must not quietly become one of the three; the message names them."""
    with pytest.raises(ValueError, match=r"(?s)(?=.*'mean')(?=.*'sum')(?=.*'none')"):
        reduced(Tensor([1.0, 2.0]), reduction, 2)
