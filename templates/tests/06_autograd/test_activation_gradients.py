"""The slopes of the six activations, by the table: from what their forwards saved, for inputs of any size."""
import math

import numpy as np
import pytest

from tinytorch.core.activations import GELUOp, LogSoftmaxOp, ReLUOp, SigmoidOp, SoftmaxOp, TanhOp

pytestmark = pytest.mark.exercise("activation_gradients")

RELU_ZERO = "At 0 the ReLU gives 0, and its gradient is 0 there: g where y > 0, and not where y >= 0."
SIGMOID_INPUT = "Sigmoid saved its result: y (1 - y) with that y, without another sigmoid."
TANH_SQUARE = "The slope of tanh is 1 - y², not 1 - y."
DIAGONAL = "p (1 - p) is how a probability moves with its own score. Each moves with all scores of the row: p (g - Σ g p)."
WHOLE_SUM = "The sum runs over the whole array: take it along dim, each slice by itself, and keep the dimension."
LOG_P = "LogSoftmax saved y = log p: the sum of g is weighted by eʸ, not by y."
PRODUCT_RULE = "x · c(x) has the slope c + x c′: here the second part is missing."
CLIPPED = "z² overflows for large x: take c′ from x clipped to [-10, 10]."
OTHER_GELU = "That is the slope of the other GELU: the last value that was saved says which one it was."


def gelu(x, approximate="none"):
    if approximate == "none":
        return x * np.vectorize(math.erfc, otypes=[float])(x * -math.sqrt(0.5)) / 2
    return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2


def softmax(x, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


OPERATIONS = {
    "relu": (ReLUOp, {}, lambda x: np.maximum(x, 0)),
    "sigmoid": (SigmoidOp, {}, lambda x: 1 / (1 + np.exp(-x))),
    "tanh": (TanhOp, {}, np.tanh),
    "gelu": (GELUOp, {"approximate": "none"}, gelu),
    "gelu-tanh": (GELUOp, {"approximate": "tanh"}, lambda x: gelu(x, "tanh")),
    "softmax": (SoftmaxOp, {"dim": -1}, lambda x: softmax(x, -1)),
    "log-softmax": (LogSoftmaxOp, {"dim": -1}, lambda x: np.log(softmax(x, -1))),
}
NAMES = list(OPERATIONS)


def slopes(function, x, g, step=1e-5):
    """The central differences of the sum of function(x) · g, in float64."""
    x, grad = np.array(x, dtype=float), np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        center, sides = x[index], []
        for moved in (center + step, center - step):
            x[index] = moved
            sides.append((function(x) * g).sum())
        x[index] = center
        grad[index] = (sides[0] - sides[1]) / (2 * step)
    return grad


def drawn(rng, shape):
    """Numbers of both signs, none so near 0 that a small step would cross ReLU's corner."""
    return np.asarray(rng.uniform(0.05, 3, size=shape) * rng.choice([-1, 1], size=shape))


@pytest.mark.parametrize("name", NAMES, ids=NAMES)
def test_activations_against_small_steps(student_side, rng, name):
    """In float64, for one and three dimensions, and for gradients that differ from place to place."""
    operation, options, function = OPERATIONS[name]
    for shape in ((6,), (2, 3, 4), (1, 1)):
        x, g = drawn(rng, shape), rng.normal(size=shape)
        (grad,) = student_side.rule(operation, x, g=g, **options)
        assert grad.shape == shape
        np.testing.assert_allclose(grad, slopes(function, x, g), rtol=1e-6, atol=1e-8)


def test_activations_keep_float32_and_write_into_nothing(student_side, rng):
    """float32 in, float32 out; g and what was saved stay as they are."""
    for name in NAMES:
        operation, options, function = OPERATIONS[name]
        x, g = drawn(rng, (3, 4)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
        assert student_side.written(operation, x, g=g.copy(), **options) == (False, False)
        (grad,) = student_side.rule(operation, x, g=g, **options)
        assert grad.dtype == np.float32
        np.testing.assert_allclose(grad, slopes(function, x, g.astype(float)), rtol=1e-4, atol=1e-5)


def test_softmaxes_along_any_dimension(student_side, rng):
    """Each slice along dim by itself, wherever the dimension stands."""
    for dim in (0, 1, 2, -2):
        x, g = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
        for operation, function in ((SoftmaxOp, softmax), (LogSoftmaxOp, lambda x, dim: np.log(softmax(x, dim)))):
            (grad,) = student_side.rule(operation, x, g=g, dim=dim)
            expected = slopes(lambda x, dim=dim, function=function: function(x, dim), x, g)
            np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-8, err_msg=f"for dim={dim}")


def test_relu_by_hand(student_side, hint):
    """The slope is 1 above 0, and 0 elsewhere; at 0 it is 0 too."""
    (grad,) = student_side.rule(ReLUOp, np.array([-2.0, 0.0, 3.0]), g=np.array([10.0, 20.0, 30.0]))
    hint(RELU_ZERO, when=grad[1] == 20.0)
    np.testing.assert_array_equal(grad, [0.0, 0.0, 30.0])


def test_sigmoid_by_hand(student_side, hint):
    """At 0 the result is a half, and the slope a quarter; at log 3 they are 3/4 and 3/16."""
    (grad,) = student_side.rule(SigmoidOp, np.array([0.0, math.log(3)]), g=np.array([1.0, 16.0]))
    again = 1 / (1 + np.exp(-np.array([0.5, 0.75])))
    hint(SIGMOID_INPUT, when=np.allclose(grad, [1, 16] * again * (1 - again)))
    np.testing.assert_allclose(grad, [0.25, 3.0], rtol=1e-12)


def test_tanh_by_hand(student_side, hint):
    """At 0 the slope is 1; where the result is 1/2, it is 3/4."""
    (grad,) = student_side.rule(TanhOp, np.array([0.0, math.atanh(0.5)]), g=np.array([10.0, 4.0]))
    hint(TANH_SQUARE, when=np.allclose(grad, [10, 2]))
    np.testing.assert_allclose(grad, [10.0, 3.0], rtol=1e-12)


def test_softmax_by_hand(student_side, hint):
    """Two equal scores, p = (1/2, 1/2), and g = (4, 0): Σ g p is 2, and the gradient 1/2 · 2 and 1/2 · -2."""
    x, g = np.zeros((2, 2)), np.array([[4.0, 0.0], [4.0, 8.0]])
    (grad,) = student_side.rule(SoftmaxOp, x, g=g, dim=1)
    hint(DIAGONAL, when=np.allclose(grad, g / 4))
    hint(WHOLE_SUM, when=np.allclose(grad, (g - 8) / 2))
    np.testing.assert_allclose(grad, [[1.0, -1.0], [-1.0, 1.0]], rtol=1e-12)


def test_log_softmax_by_hand(student_side, hint):
    """p = (1/4, 3/4), and g = (4, 0): Σ g is 4, and the gradient 4 - 1 and 0 - 3."""
    x, g = np.array([0.0, math.log(3)]), np.array([4.0, 0.0])
    (grad,) = student_side.rule(LogSoftmaxOp, x, g=g, dim=0)
    hint(LOG_P, when=np.allclose(grad, g - 4 * np.log([0.25, 0.75])))
    np.testing.assert_allclose(grad, [3.0, -3.0], rtol=1e-12)


def test_softmaxes_of_masked_scores(student_side):
    """A score of -inf has no probability, and no gradient; the others are as if it weren't there."""
    x, g = np.array([-np.inf, 0.0, 0.0]), np.array([100.0, 4.0, 0.0])
    (grad,) = student_side.rule(SoftmaxOp, x, g=g, dim=0)
    np.testing.assert_allclose(grad, [0.0, 1.0, -1.0], rtol=1e-12)
    (grad,) = student_side.rule(LogSoftmaxOp, x, g=np.array([0.0, 4.0, 0.0]), dim=0)
    np.testing.assert_allclose(grad, [0.0, 2.0, -2.0], rtol=1e-12)


@pytest.mark.parametrize("approximate", ["none", "tanh"], ids=["none", "tanh"])
def test_gelu_by_hand(student_side, hint, approximate):
    """At 0, where c is a half, the slope is a half. At 1 it is Φ(1) = 0.84134 plus the bell curve's 0.24197."""
    x, g = np.array([0.0, 1.0, -1.0]), np.array([2.0, 1.0, 10.0])
    (grad,) = student_side.rule(GELUOp, x, g=g, approximate=approximate)
    expected = {"none": [1.0, 1.0833155, -0.8331547], "tanh": [1.0, 1.0829641, -0.8296408]}
    c = gelu(np.array([1.0, -1.0]), approximate) / [1, -1]
    hint(PRODUCT_RULE, when=np.allclose(grad, [1, c[0], 10 * c[1]]))
    hint(OTHER_GELU, when=np.allclose(grad, expected["tanh" if approximate == "none" else "none"], rtol=1e-5))
    np.testing.assert_allclose(grad, expected[approximate], rtol=1e-6)


@pytest.mark.parametrize("approximate", ["none", "tanh"], ids=["none", "tanh"])
def test_gelu_of_large_inputs(student_side, hint, approximate):
    """Far to the right GELU is x, and its slope 1; far to the left it is 0, and flat: however far, and never NaN."""
    for dtype in ("float32", "float64"):
        sizes = np.array([12.0, 50.0, 1e10, 1e30], dtype)
        (grad,) = student_side.rule(GELUOp, np.concatenate([sizes, -sizes]), g=np.full(8, 3, dtype), approximate=approximate)
        hint(CLIPPED, when=np.isnan(grad).any())
        np.testing.assert_allclose(grad, [3.0] * 4 + [0.0] * 4, atol=1e-12)


def test_activations_of_large_inputs(student_side):
    """Where the curves are flat their gradients are 0, and not NaN; log-softmax takes from the winner what the loser gets."""
    x, g = np.array([1000.0, -1000.0], np.float32), np.array([3.0, 5.0], np.float32)
    for name in ("sigmoid", "tanh", "softmax"):
        operation, options, _ = OPERATIONS[name]
        (grad,) = student_side.rule(operation, x, g=g, **options)
        np.testing.assert_allclose(grad, [0.0, 0.0], atol=1e-6)
    (grad,) = student_side.rule(LogSoftmaxOp, x, g=g, dim=0)
    np.testing.assert_allclose(grad, [-5.0, 5.0], rtol=1e-6)
