"""Sums, products, quotients, powers and logarithms: g times the slope, for each input in its own shape."""
import numpy as np
import pytest

from tinytorch.core.tensor import Add, Div, Log, Mul, Pow, Sub

pytestmark = pytest.mark.exercise("arithmetic_gradients")

OPERATIONS = {
    "add": (Add, np.add), "sub": (Sub, np.subtract), "mul": (Mul, np.multiply), "div": (Div, np.divide), "pow": (Pow, np.power),
}
NAMES = list(OPERATIONS)
SHAPES = [
    ((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (2, 3)), ((4, 1), (1, 5)), ((), (2, 3)), ((3,), ()), ((3, 1), (2, 1, 4)), ((1, 1), (1,)),
    ((0, 3), (1, 3)),
]

UNREDUCED = "A row that was added to each of two came back with two: let `unbroadcast` bring g to the row's shape."
SUB_SIGN = "a - b falls when b grows: in the gradient of b is a minus."
MUL_SWAPPED = "For a · b, the factor for a is b, and the one for b is a."
DIV_SIGN = "The quotient falls when its denominator grows: b's gradient is -g a / b²."
DIV_POWER = "1/b has the slope -1/b²: the denominator of b's gradient is b · b."
LOG_SLOPE = "log x has the slope 1/x: divide g by the input, which was saved."
POW_ZERO = "0⁰ gives NaN: where b is 0, a's gradient is 0, whatever the formula says (np.where)."
POW_LOG_ZERO = "0² · log 0 gives NaN, and 0⁰ · log 0 is -inf: where a is 0 and b isn't negative, b's gradient is 0 (np.where)."
POW_ASKED = "This gradient was not asked for: look at ctx.needs_input_grad, and return None in its place."


def slopes(function, arrays, g, step=1e-5):
    """For each array, the central differences of the sum of function · g, in float64."""
    arrays, grads = [np.array(x, dtype=float) for x in arrays], []
    for x in arrays:
        grad = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            center, sides = x[index], []
            for moved in (center + step, center - step):
                x[index] = moved
                sides.append((function(*arrays) * g).sum())
            x[index] = center
            grad[index] = (sides[0] - sides[1]) / (2 * step)
        grads.append(grad)
    return grads


def drawn(rng, shapes, dtype="float64"):
    """Numbers from 0.5 to 2 in each shape, and a gradient for what they broadcast to."""
    arrays = [np.asarray(rng.uniform(0.5, 2, size=shape), dtype) for shape in shapes]
    return *arrays, np.asarray(rng.normal(size=np.broadcast_shapes(*shapes)), dtype)


def test_arithmetic_by_hand(student_side, hint):
    """For a = 6 and b = 2, and g = 10: the slopes of school, times ten."""
    a, b, g = np.array([6.0]), np.array([2.0]), np.array([10.0])
    found = {name: [float(x[0]) for x in student_side.rule(op, a, b, g=g)] for name, (op, _) in OPERATIONS.items()}
    hint(SUB_SIGN, when=found["sub"] == [10.0, 10.0])
    hint(MUL_SWAPPED, when=found["mul"] == [60.0, 20.0])
    hint(DIV_SIGN, when=found["div"][1] == 15.0)
    hint(DIV_POWER, when=found["div"][1] == -30.0)
    assert found["add"] == [10.0, 10.0]
    assert found["sub"] == [10.0, -10.0]
    assert found["mul"] == [20.0, 60.0]
    assert found["div"] == [5.0, -15.0]
    np.testing.assert_allclose(found["pow"], [120.0, 360.0 * np.log(6.0)], rtol=1e-12)


def test_log_by_hand(student_side, hint):
    """At 4 the slope is a quarter."""
    (grad,) = student_side.rule(Log, np.array([4.0]), g=np.array([10.0]))
    hint(LOG_SLOPE, when=grad[0] != 2.5)
    np.testing.assert_array_equal(grad, [2.5])


def test_arithmetic_of_a_row(student_side, rng, hint):
    """A row met two others: its gradient has its shape, and is the sum of what both send."""
    for name, (operation, function) in OPERATIONS.items():
        a, b, g = drawn(rng, ((2, 3), (3,)))
        _, grad = student_side.rule(operation, a, b, g=g)
        hint(UNREDUCED, when=grad.shape == (2, 3))
        assert grad.shape == (3,), name
        np.testing.assert_allclose(grad, slopes(function, (a, b), g)[1], rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize("name", NAMES, ids=NAMES)
def test_arithmetic_broadcasts(student_side, rng, name):
    """Against small steps, whatever was broadcast: both gradients, each in the shape of its input."""
    operation, function = OPERATIONS[name]
    for shapes in SHAPES:
        a, b, g = drawn(rng, shapes)
        grads = student_side.rule(operation, a, b, g=g)
        assert [grad.shape for grad in grads] == list(shapes)
        for grad, expected in zip(grads, slopes(function, (a, b), g), strict=True):
            np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-8, err_msg=f"for shapes {shapes}")


def test_log_against_small_steps(student_side, rng):
    """In any shape."""
    for shape in ((3, 4), (), (0, 2)):
        x, g = drawn(rng, (shape,))
        (grad,) = student_side.rule(Log, x, g=g)
        assert grad.shape == shape
        np.testing.assert_allclose(grad, slopes(np.log, (x,), g)[0], rtol=1e-6, atol=1e-8)


def test_arithmetic_keeps_float32(student_side, rng):
    """float32 in, float32 out, broadcast or not, and right to its digits."""
    for name in NAMES:
        operation, function = OPERATIONS[name]
        for shapes in (((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 4))):
            a, b, g = drawn(rng, shapes, "float32")
            grads = student_side.rule(operation, a, b, g=g)
            assert [str(grad.dtype) for grad in grads] == ["float32", "float32"]
            for grad, expected in zip(grads, slopes(function, (a, b), g.astype(float)), strict=True):
                np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-5)


def test_arithmetic_writes_into_nothing(student_side, rng):
    """Others may hold g, and what was saved may be needed again: both stay as they are."""
    for name, (operation, function) in OPERATIONS.items():
        a, b, g = drawn(rng, ((2, 3), (2, 3)))
        into_g, into_saved = student_side.written(operation, a, b, g=g.copy())
        assert into_g is False, f"the rule of {name} wrote into g"
        assert into_saved is False, f"the rule of {name} wrote into what the forward had saved"
        grads = student_side.rule(operation, a, b, g=g)
        np.testing.assert_allclose(grads[1], slopes(function, (a, b), g)[1], rtol=1e-6, atol=1e-8, err_msg=name)


def test_log_writes_into_nothing_and_keeps_float32(student_side, rng):
    """g and the saved input stay as they are, and the gradient has their dtype."""
    x, g = drawn(rng, ((2, 3),), "float32")
    assert student_side.written(Log, x, g=g.copy()) == (False, False)
    (grad,) = student_side.rule(Log, x, g=g)
    assert grad.dtype == np.float32
    np.testing.assert_allclose(grad, g.astype(float) / x, rtol=1e-5)


def test_pow_where_the_exponent_is_zero(student_side, hint):
    """x⁰ is 1 everywhere, at 0 too, and doesn't change with x; x¹ has the slope 1, at 0 too."""
    a, b = np.array([0.0, 0.0, 3.0, 0.0]), np.array([0.0, 1.0, 0.0, 2.0])
    grad, _ = student_side.rule(Pow, a, b, g=np.array([5.0, 6.0, 7.0, 8.0]), needs=(True, False))
    hint(POW_ZERO, when=np.isnan(grad[0]))
    np.testing.assert_array_equal(grad, [0.0, 6.0, 0.0, 0.0])


def test_pow_where_the_base_is_zero(student_side, hint):
    """0⁰, 0² and 0³ don't change with the exponent; 2⁰ does with log 2, 1² not at all; and 1/0 is falling infinitely fast."""
    a, b = np.array([0.0, 0.0, 0.0, 2.0, 1.0, 0.0]), np.array([2.0, 3.0, 0.0, 0.0, 2.0, -1.0])
    _, grad = student_side.rule(Pow, a, b, g=np.array([5.0, 6.0, 9.0, 7.0, 8.0, 2.0]), needs=(False, True))
    hint(POW_LOG_ZERO, when=np.isnan(grad[:2]).any() or np.isinf(grad[2]))
    np.testing.assert_allclose(grad, [0.0, 0.0, 0.0, 7.0 * np.log(2.0), 0.0, -np.inf], rtol=1e-12)


def test_pow_of_negative_numbers(student_side):
    """(-2)³ = -8 has the slope 3 · 4 = 12, though there is no logarithm of -2; and 1/x has -1/x²."""
    a, b = np.array([-2.0, -2.0, -4.0]), np.array([3.0, 2.0, -1.0])
    grad, none = student_side.rule(Pow, a, b, g=np.array([1.0, 10.0, 16.0]), needs=(True, False))
    np.testing.assert_allclose(grad, [12.0, -40.0, -1.0], rtol=1e-12)
    assert none is None


def test_pow_computes_what_is_asked_for(student_side, rng, hint):
    """A logarithm for each element is slow, and the exponent is mostly a constant: what isn't asked for is None."""
    a, b, g = drawn(rng, ((2, 3), (3,)))
    for needs in ((True, False), (False, True), (False, False)):
        grads = student_side.rule(Pow, a, b, g=g, needs=needs)
        hint(POW_ASKED, when=any(grad is not None and not need for grad, need in zip(grads, needs)))
        assert [grad is not None for grad in grads] == list(needs)
        for grad, need, expected in zip(grads, needs, slopes(np.power, (a, b), g), strict=True):
            if need:
                np.testing.assert_allclose(grad, expected, rtol=1e-6, atol=1e-8)
