"""The squared error: the square of each difference."""
import numpy as np
import pytest

from tinytorch.core.losses import SquaredErrorOp
from tinytorch.core.tensor import Context, Tensor

pytestmark = pytest.mark.exercise("squared_error")


def test_squared_error_of_two_numbers(hint):
    """Worked by hand in the module: 2.5 for 3, and 0 for -1."""
    out = SquaredErrorOp.apply(Tensor([2.5, 0.0]), Tensor([3.0, -1.0])).numpy()
    hint(
        "forward returns a loss for each element; their mean is taken later, and only if it is asked for.",
        when=out.shape == (),
    )
    hint("These are the absolute differences: square them.", when=np.array_equal(out, [0.5, 1.0]))
    np.testing.assert_array_equal(out, [0.25, 1.0])


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 4), (0, 3)], ids=["number", "one", "row", "3-d", "empty"])
def test_squared_error_of_random_numbers(rng, shape):
    """Each element by itself, in any shape, in the dtype of the operands."""
    for dtype in ("float32", "float64"):
        x, t = rng.normal(size=(2, *shape)).astype(dtype)
        out = SquaredErrorOp.apply(Tensor(x), Tensor(t)).numpy()
        assert out.shape == shape and out.dtype == dtype
        np.testing.assert_allclose(out, (x.astype(float) - t) ** 2, rtol=1e-4, atol=1e-6)
    beside = SquaredErrorOp.apply(Tensor([1.0]), Tensor([3.0])).numpy()
    np.testing.assert_array_equal(beside, [4.0])


def test_squared_error_is_symmetric(rng):
    """Too much is as wrong as too little."""
    x, t = rng.normal(size=(2, 20))
    there, back = SquaredErrorOp.apply(Tensor(x), Tensor(t)).numpy(), SquaredErrorOp.apply(Tensor(t), Tensor(x)).numpy()
    np.testing.assert_allclose(there, (x - t) ** 2, rtol=1e-12)
    np.testing.assert_array_equal(there, back)


def test_squared_error_leaves_its_operands_alone(rng, hint):
    """A function that changes its argument breaks whoever still holds it."""
    x, t = rng.normal(size=(2, 6))
    prediction, target = Tensor(x.copy()), Tensor(t.copy())
    out = SquaredErrorOp.apply(prediction, target).numpy()
    changed = not np.array_equal(prediction.numpy(), x)
    hint("The predictions were changed: input - target makes a new array, input -= target does not.", when=changed)
    np.testing.assert_array_equal(prediction.numpy(), x)
    np.testing.assert_array_equal(target.numpy(), t)
    np.testing.assert_allclose(out, (x - t) ** 2, rtol=1e-12)


def test_squared_error_saves_the_difference(rng, hint, student_side):
    """The slope is twice the difference: compared here with a small step to both sides."""
    x, t = rng.normal(size=(2, 5))
    ctx = Context()
    SquaredErrorOp.forward(ctx, x.copy(), t.copy())
    saved = ctx.saved
    hint("Nothing was saved: call ctx.save before you return.", when=len(saved) == 0)
    hint("The difference alone is enough: save nothing else.", when=len(saved) > 1)
    assert len(saved) == 1
    (difference,) = saved
    hint("You saved the squares, which no longer know the sign: save the difference.", when=np.allclose(difference, (x - t) ** 2))
    hint("You saved target - input: the slope has the sign of input - target.", when=np.allclose(difference, t - x))
    np.testing.assert_allclose(difference, x - t, rtol=1e-12)
    step = 1e-6
    right, left = SquaredErrorOp.forward(Context(), x + step, t), SquaredErrorOp.forward(Context(), x - step, t)
    np.testing.assert_allclose(2 * difference, (right - left) / (2 * step), atol=1e-7)
    assert not student_side.shares_memory(SquaredErrorOp, x, t), "the result lies in the predictions' memory"
