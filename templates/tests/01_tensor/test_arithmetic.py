"""Eight operations, element by element: values, dtypes, broadcasting, and what they save."""

import operator

import numpy as np
import pytest

from tinytorch.core.tensor import Add, Div, Exp, Log, Mul, Neg, Pow, Sub, Tensor

pytestmark = pytest.mark.exercise("arithmetic")

OPERATORS = {"add": Add, "sub": Sub, "mul": Mul, "truediv": Div, "pow": Pow}
operators = pytest.mark.parametrize("name", OPERATORS)
CHANGED = (
    "An input was changed. Make a new array, as a + b does: a += b writes into a, and whoever holds it is surprised."
)
RETURNS = "A forward takes arrays and returns an array: Function.apply makes the Tensor."
FLOATS = "NumPy computes with integers in float64 here. Convert them to float32 first: to_float."


def positive(rng, *shape):
    """Numbers in [0.5, 2), so that powers, quotients and logarithms are harmless."""
    return rng.uniform(0.5, 2.0, size=shape)


def test_arithmetic_by_hand():
    """Of 6 and 2, in the order that matters for three of them."""
    a, b = Tensor([6.0, 6.0]), Tensor([2.0, -1.0])
    assert (a + b).numpy().tolist() == [8, 5]
    assert (a - b).numpy().tolist() == [4, 7]
    assert (a * b).numpy().tolist() == [12, -6]
    assert (a / b).numpy().tolist() == [3, -6]
    assert (a ** Tensor([2.0, 3.0])).numpy().tolist() == [36, 216]
    assert (-b).numpy().tolist() == [-2, 1]
    np.testing.assert_allclose(Tensor([0.0, 1.0, 2.0]).exp().numpy(), [1, 2.7182818, 7.3890561], rtol=1e-6)
    np.testing.assert_allclose(Tensor([1.0, 2.7182818, 10.0]).log().numpy(), [0, 1, 2.3025851], rtol=1e-6, atol=1e-6)


@operators
@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((4, 1), (1, 5)), ((), (3,)), ((2, 1, 3), (4, 1))], ids=str
)
def test_arithmetic_broadcasts(rng, name, shapes):
    """A length of 1, and one that is missing, is repeated as often as needed."""
    a, b = (positive(rng, *shape).astype(np.float32) for shape in shapes)
    out = getattr(operator, name)(Tensor(a), Tensor(b)).numpy()
    np.testing.assert_allclose(out, getattr(operator, name)(a.astype("float64"), b.astype("float64")), rtol=1e-5)
    assert out.dtype == np.float32


@operators
def test_arithmetic_with_numbers_on_either_side(rng, student_side, name):
    """t - 2 and 2 - t, and the same with an array at the left: the dtype stays float32."""
    a, b = positive(rng, 3, 2).astype(np.float32), positive(rng, 2).astype(np.float32)
    function, t, wide = getattr(operator, name), Tensor(a), a.astype(np.float64)
    for out, expected in [
        (function(t, 2.5), function(wide, 2.5)),
        (function(t, 2), function(wide, 2)),
        (student_side.reflected(name, 2.5, t), function(2.5, wide)),
        (student_side.reflected(name, 2, t), function(2.0, wide)),
        (student_side.reflected(name, b, t), function(b.astype(np.float64), wide)),
    ]:
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5)
        assert out.numpy().dtype == np.float32


def test_exp_log_and_minus(rng):
    """Any shape and float dtype, which stays."""
    for dtype in ("float32", "float64"):
        x = positive(rng, 2, 3).astype(dtype)
        for out, expected in [(Tensor(x).exp(), np.exp(x)), (Tensor(x).log(), np.log(x)), (-Tensor(x), -x)]:
            np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5)
            assert out.numpy().dtype == dtype


def test_integers(rng, hint):
    """Sums, products and powers of integers are integers; their quotients, exp and log are float32."""
    a, b = rng.integers(1, 9, size=(2, 3)), rng.integers(1, 4, size=3)
    for name in ("add", "sub", "mul", "pow"):
        out = getattr(operator, name)(Tensor(a), Tensor(b)).numpy()
        np.testing.assert_array_equal(out, getattr(operator, name)(a, b))
        assert out.dtype == np.int64
    for out, expected in [(Tensor(a) / Tensor(b), a / b), (Tensor(a).exp(), np.exp(a)), (Tensor(a).log(), np.log(a))]:
        hint(FLOATS, when=out.numpy().dtype == np.float64)
        assert out.numpy().dtype == np.float32
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5)
    assert (-Tensor(a)).numpy().tolist() == (-a).tolist()
    mixed = (Tensor(a) * Tensor(np.float32([0.5, 1.5, 2.5]))).numpy()
    np.testing.assert_allclose(mixed, a * [0.5, 1.5, 2.5])
    assert mixed.dtype == np.float32


def test_division_by_zero(recwarn):
    """Infinity or nan, as in PyTorch, and without a warning; for integers too, whose quotients are floats."""
    with np.errstate(all="warn"):
        out = (
            (Tensor([1.0, -1.0, 0.0]) / 0).numpy(),
            (Tensor([3, -3, 0]) / Tensor([0, 0, 2])).numpy(),
            Tensor([0.0, 1.0]).log().numpy(),
        )
    np.testing.assert_array_equal(out[0], [np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(out[1], [np.inf, -np.inf, 0])
    np.testing.assert_array_equal(out[2], [-np.inf, 0])
    assert [str(warning.message) for warning in recwarn] == []


CASES = {  # operation, operands, expected, what it saves
    "Add": lambda a, b: (Add, {"a": a, "b": b}, a + b, ["a.shape", "b.shape"]),
    "Sub": lambda a, b: (Sub, {"a": a, "b": b}, a - b, ["a.shape", "b.shape"]),
    "Mul": lambda a, b: (Mul, {"a": a, "b": b}, a * b, ["a", "b"]),
    "Div": lambda a, b: (Div, {"a": a, "b": b}, a / b, ["a", "b"]),
    "Pow": lambda a, b: (Pow, {"a": a, "b": b}, a**b, ["a", "b", "the result"]),
    "Exp": lambda a, b: (Exp, {"x": a}, np.exp(a), ["the result"]),
    "Log": lambda a, b: (Log, {"x": a}, np.log(a), ["x"]),
    "Neg": lambda a, b: (Neg, {"x": b}, -b, []),
}


@pytest.mark.parametrize("name", CASES)
def test_arithmetic_leaves_its_inputs_alone(rng, student_side, hint, name):
    """A function that changes its argument breaks whoever still holds it."""
    operation, operands, expected, _ = CASES[name](positive(rng, 2, 3), positive(rng, 3))
    arrays = list(operands.values())
    out, _, inputs = student_side.run(operation, *arrays)
    hint(CHANGED, when=any(not np.array_equal(after, before) for after, before in zip(inputs, arrays)))
    for after, before in zip(inputs, arrays):
        np.testing.assert_array_equal(after, before)
    hint(RETURNS, when=not isinstance(out, np.ndarray))
    assert isinstance(out, np.ndarray)
    np.testing.assert_allclose(out, expected, rtol=1e-12)


def named(value, known):
    """Which of the known values this is."""
    for name, right in known.items():
        if isinstance(right, tuple):
            if str(value) == str(right):
                return name
        elif np.shape(value) == right.shape and np.allclose(value, right, rtol=1e-12, atol=0):
            return name
    return f"something else, of shape {np.shape(value)}"


@pytest.mark.parametrize("name", CASES)
def test_arithmetic_saves_what_the_derivative_needs(rng, student_side, hint, name):
    """Shapes for a sum, both factors for a product, the result for a power; in the order of the docstring."""
    operation, operands, expected, wanted = CASES[name](positive(rng, 2, 3), positive(rng, 3))
    arrays = list(operands.values())
    out, saved, inputs = student_side.run(operation, *arrays)
    np.testing.assert_allclose(out, expected, rtol=1e-12)
    known = {**operands, **{f"{key}.shape": array.shape for key, array in operands.items()}, "the result": expected}
    kept = [named(value, known) for value in saved]
    unchanged = np.array_equal(inputs[0], arrays[0])
    hint(
        f"{name} saves {' and '.join(wanted) or 'nothing'}; the number of values that you saved is {len(kept)}.",
        when=len(kept) != len(wanted),
    )
    for place, (one, right) in enumerate(zip(kept, wanted), start=1):
        hint(
            f"{name}: saved value {place} of {len(wanted)} should be {right}; you saved {one}.",
            when=unchanged and len(kept) == len(wanted) and one != right,
        )
    assert kept == wanted


@pytest.mark.parametrize("name", ["Mul", "Div", "Pow", "Exp", "Log"])
def test_arithmetic_saves_references(rng, student_side, hint, name):
    """Saving costs no memory as long as nothing is copied or computed twice."""
    operation, operands, expected, wanted = CASES[name](positive(rng, 2, 3), positive(rng, 3))
    arrays = list(operands.values())
    np.testing.assert_allclose(student_side.run(operation, *arrays)[0], expected, rtol=1e-12)
    shared = student_side.saved_by_reference(operation, *arrays)
    hint("Save the arrays themselves, and the result that is returned, not copies.", when=False in shared)
    assert shared == [True] * len(wanted)


def test_division_of_integers_saves_floats(student_side):
    """The derivative of a quotient is no integer either."""
    out, saved, _ = student_side.run(Div, np.array([3, 4]), np.array([2, 5]))
    np.testing.assert_allclose(out, [1.5, 0.8])
    assert [value.dtype.name for value in saved] == ["float32", "float32"]
    out, saved, _ = student_side.run(Log, np.array([1, 2]))
    np.testing.assert_allclose(out, np.log([1, 2]), rtol=1e-6)
    assert saved[0].dtype == np.float32
