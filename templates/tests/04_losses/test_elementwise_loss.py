"""The call that three losses share: equal shapes, one operation, one reduction. Tried with MSELoss."""
import re

import numpy as np
import pytest

from tinytorch.core.losses import MSELoss, SquaredErrorOp
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("elementwise_loss")


def test_mse_by_hand():
    """Worked in the module: differences of -0.5 and 1 have the mean square 0.625."""
    out = MSELoss()(Tensor([2.5, 0.0]), Tensor([3.0, -1.0]))
    assert out.shape == () and out.dtype == np.float32
    assert out.item() == 0.625


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((), "float32"), ((1,), "float64"), ((7,), "float32"), ((5, 3), "float64"), ((2, 3, 4), "float32")],
    ids=["number", "one", "row", "table", "3-d"],
)
def test_mse_with_each_reduction(rng, hint, shape, dtype):
    """The mean is over all elements, not over the batch alone; "none" keeps the shape."""
    x, t = rng.normal(size=(2, *shape)).astype(dtype)
    losses = np.asarray((x.astype(float) - t) ** 2)
    mean = MSELoss()(Tensor(x), Tensor(t)).numpy()
    hint(
        "The sum was divided by the length of the first dimension: every element counts.",
        when=losses.ndim > 1 and np.allclose(mean, losses.sum() / len(losses)),
    )
    np.testing.assert_allclose(mean, losses.mean(), rtol=1e-4)
    total, each = MSELoss(reduction="sum")(Tensor(x), Tensor(t)).numpy(), MSELoss(reduction="none")(Tensor(x), Tensor(t)).numpy()
    mean_is_taken_here = SquaredErrorOp.apply(Tensor(x), Tensor(t)).shape == shape
    hint(
        'reduction="sum" gave the mean: the reduction was chosen when the loss was made, in self.reduction.',
        when=losses.size > 1 and mean_is_taken_here and np.allclose(total, losses.mean()),
    )
    np.testing.assert_allclose(total, losses.sum(), rtol=1e-4)
    assert each.shape == shape and each.dtype == mean.dtype == total.dtype == dtype
    np.testing.assert_allclose(each, losses, rtol=1e-3, atol=1e-6)


def test_loss_runs_its_own_operation(rng, hint, student_side):
    """A class that derives from ElementwiseLoss brings its operation along; input comes first, target second."""
    x, t = rng.normal(size=(2, 6))
    out = student_side.WeightedLoss(reduction="none")(Tensor(x), Tensor(t)).numpy()
    hint("The squared error was computed for another loss: run self.operation.", when=np.allclose(out, (x - t) ** 2))
    np.testing.assert_allclose(out, 10 * x + t, rtol=1e-12)
    np.testing.assert_allclose(student_side.WeightedLoss()(Tensor(x), Tensor(t)).numpy(), (10 * x + t).mean(), rtol=1e-12)


SHAPES = [((3, 1), (3,)), ((4, 3), (3,)), ((3,), (1,)), ((2, 3), (3, 2)), ((6,), (2, 3)), ((2,), ())]


@pytest.mark.hint(
    pytest.fail.Exception, "Different shapes were accepted, and broadcast: compare the shapes before the operation runs."
)
@pytest.mark.parametrize(
    ("shape", "other"), SHAPES, ids=["column-row", "rows-row", "row-one", "transposed", "flattened", "row-number"]
)
def test_loss_refuses_different_shapes(rng, shape, other):
    """Predictions (3, 1) for targets (3,) are no 9 comparisons: a ValueError that has both shapes in it."""
    x, t = rng.normal(size=shape), rng.normal(size=other)
    for input, target in ((x, t), (t, x)):
        with pytest.raises(ValueError, match=re.escape(str(shape))) as error:
            MSELoss()(Tensor(input), Tensor(target))
        assert str(other) in str(error.value)


def test_loss_takes_the_targets_as_they_are(hint):
    """Integers, booleans and floats of another size are brought to a common dtype with the predictions."""
    x = Tensor([2.5, 0.0])
    for target, dtype in ((Tensor([3, -1]), np.float32), (Tensor(np.array([3.0, -1.0])), np.float64)):
        out = MSELoss()(x, target)
        assert out.dtype == dtype
        assert out.item() == 0.625
    out = MSELoss(reduction="none")(x, Tensor([True, False]))
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out.numpy(), [2.25, 0.0])


def test_loss_refuses_predictions_that_are_integers():
    """Predictions are floats; the message names the loss."""
    assert MSELoss()(Tensor([1.0, 2.0]), Tensor([1, 4])).item() == 2
    with pytest.raises(TypeError, match=r"MSELoss.*int64"):
        MSELoss()(Tensor([1, 2]), Tensor([1.0, 4.0]))


def test_loss_of_nothing():
    """Without elements the mean is NaN and the sum 0, as in PyTorch."""
    nothing = Tensor(np.empty((0, 2), np.float32))
    assert np.isnan(MSELoss()(nothing, nothing).numpy())
    assert MSELoss(reduction="sum")(nothing, nothing).numpy() == 0
    assert MSELoss(reduction="none")(nothing, nothing).shape == (0, 2)


def test_loss_refuses_an_unknown_reduction():
    """The message names the three that there are."""
    assert MSELoss(reduction="sum")(Tensor([1.0, 2.0]), Tensor([0.0, 0.0])).item() == 5
    with pytest.raises(ValueError, match=r"(?s)(?=.*'mean')(?=.*'sum')(?=.*'none')"):
        MSELoss(reduction="average")(Tensor([1.0, 2.0]), Tensor([0.0, 0.0]))


def test_loss_says_what_it_is_and_serves_many_calls(rng):
    """It prints its reduction, and keeps nothing from one call to the next."""
    loss = MSELoss(reduction="sum")
    assert str(loss) == "MSELoss(reduction='sum')"
    assert str(MSELoss()) == "MSELoss(reduction='mean')"
    for shape in [(2, 3), (4,)]:
        x, t = rng.normal(size=(2, *shape))
        np.testing.assert_allclose(loss(Tensor(x), Tensor(t)).numpy(), ((x - t) ** 2).sum(), rtol=1e-12)


def test_loss_passes_the_wish_for_a_gradient_on(rng):
    """The loss requires a gradient if the predictions do, so that module 06 finds the way back; and only then."""
    x, t = rng.normal(size=(2, 4))
    tracked, plain = MSELoss()(Tensor(x, requires_grad=True), Tensor(t)), MSELoss()(Tensor(x), Tensor(t))
    assert (tracked.requires_grad, plain.requires_grad) == (True, False)
    np.testing.assert_allclose([tracked.item(), plain.item()], [((x - t) ** 2).mean()] * 2, rtol=1e-12)
