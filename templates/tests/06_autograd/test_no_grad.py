"""Inside `no_grad` nothing is recorded; afterwards recording is what it was, whatever happened."""
import numpy as np
import pytest

from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("no_grad")

ALWAYS_ON = "The inner block has switched recording on, inside the outer one: restore what it was, which need not be True."
LEFT_OFF = "An error has left recording switched off for good: put the yield into try, and restore in finally."
STILL_ON = "Inside the block results are still recorded: set Function.recording, on the class, to False."
NEVER_BACK = "After the block nothing is recorded any more: restore Function.recording at its end."

ON, OFF = (True, True), (False, False)


def pairs(found):
    return [tuple(pair) for pair in found]


@pytest.fixture(autouse=True)
def recording(student_side):
    """Whatever a test leaves behind, the next one begins with recording on."""
    yield
    student_side.record_again()


@pytest.fixture
def x(rng):
    return Tensor(rng.normal(size=2), requires_grad=True)


def test_no_grad_records_nothing(student_side, hint, x):
    """Results inside the block require no gradient and have no node; before and after it they do."""
    before, inside, after = pairs(student_side.around_no_grad(x))
    hint(STILL_ON, when=inside == ON)
    hint(NEVER_BACK, when=inside == OFF and after == OFF)
    assert (before, inside, after) == (ON, OFF, ON)


def test_no_grad_inside_another(student_side, hint, x):
    """The inner block ends, and recording stays off until the outer one does."""
    innermost, between, after, again = pairs(student_side.nested_no_grad(x))
    hint(ALWAYS_ON, when=innermost == OFF and between == ON)
    assert (innermost, between, after, again) == (OFF, OFF, ON, OFF)


def test_no_grad_after_an_error(student_side, hint, x):
    """An error ends the block, comes out, and recording is on again; between two blocks it is still off."""
    usual = pairs(student_side.around_no_grad(x))[2]
    student_side.record_again()
    for nested in (False, True):
        text, after = student_side.no_grad_with_an_error(x, nested)
        hint(LEFT_OFF, when=usual == ON and tuple(after) == OFF)
        assert text == "lost"
        assert tuple(after) == ON
        student_side.record_again()
    between, after = pairs(student_side.inner_error(x))
    assert (between, after) == (OFF, ON)


def test_no_grad_above_a_function(student_side, x):
    """As a decorator it holds for each call, and for nothing else."""
    inside, between, inside_again, after, values = student_side.decorated_twice(x)
    assert pairs([inside, between, inside_again, after]) == [OFF, ON, OFF, ON]
    np.testing.assert_allclose(values, 2 * x.numpy(), rtol=1e-12)


def test_no_grad_keeps_no_memory(student_side, rng):
    """A chain of twenty results keeps them all for its gradient; without recording only the last is left."""
    array = rng.normal(size=1000)
    with_graph, without, values = student_side.kept_by_a_chain(array, 20)
    assert with_graph > 20 * array.nbytes
    assert without < 3 * array.nbytes
    for value in values:
        np.testing.assert_allclose(value, 21 * array, rtol=1e-10)


def test_gradients_around_a_block(student_side, rng):
    """What was recorded before the block goes back after it, and what was computed inside counts as a constant."""
    array = rng.uniform(1, 2, size=3)
    grad, inside = student_side.constant_inside(array)
    np.testing.assert_allclose(grad, 2 * array + 3 * array, rtol=1e-12)
    np.testing.assert_allclose(inside, 3 * array, rtol=1e-12)
