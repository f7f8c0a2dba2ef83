"""Which class is right: class numbers are checked, and ignored ones are put aside."""
import numpy as np
import pytest

from tinytorch.core.losses import class_targets

pytestmark = pytest.mark.exercise("class_targets")

IGNORED_FIRST = "An ignored target was refused. Put 0 in its place first, and check the range after that."


@pytest.mark.hint(IndexError, IGNORED_FIRST)
def test_class_targets_by_hand(hint):
    """-100 is padding: it becomes 0, a harmless class, and is not kept."""
    found = class_targets(np.array([2, -100, 0, 4]), 5, -100)
    hint(
        "The ignored targets were dropped: the others would no longer stand beside their row of scores.",
        when=len(found) == 2 and np.shape(found[0]) == (3,),
    )
    np.testing.assert_array_equal(found[0], [2, 0, 0, 4])
    np.testing.assert_array_equal(found[1], [True, False, True, True])
    assert found[1].dtype == bool


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "uint8"])
def test_class_targets_of_any_integers(rng, dtype):
    """All classes from 0 to C - 1 are fine, and the dtype stays."""
    target = rng.permutation(np.append(np.arange(6), rng.integers(0, 6, size=5))).astype(dtype)
    found, kept = class_targets(target, 6, -100)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, target)
    np.testing.assert_array_equal(kept, np.ones(11, bool))
    found, kept = class_targets(target, 6, 3)
    np.testing.assert_array_equal(found, np.where(target == 3, 0, target))
    np.testing.assert_array_equal(kept, target != 3)


@pytest.mark.parametrize("ignore_index", [-1, 2, 99], ids=["minus-one", "in-range", "too-large"])
def test_class_targets_ignore_any_number(rng, hint, ignore_index):
    """Whatever number is to be ignored: outside the range, or one of the classes."""
    target = rng.permutation([0, 1, 2, 3, ignore_index, ignore_index])
    found, kept = class_targets(target, 4, ignore_index)
    hint(
        "Class 2 was to be ignored, and was kept: compare with the argument, not with -100.",
        when=ignore_index == 2 and np.all(kept),
    )
    np.testing.assert_array_equal(found, np.where(target == ignore_index, 0, target))
    np.testing.assert_array_equal(kept, target != ignore_index)


def test_class_targets_all_ignored_or_none_there():
    """Nothing is kept, and nothing is wrong with that."""
    found, kept = class_targets(np.full(3, -100), 5, -100)
    np.testing.assert_array_equal(found, [0, 0, 0])
    np.testing.assert_array_equal(kept, [False, False, False])
    nothing, kept = class_targets(np.empty(0, np.int64), 5, -100)
    assert nothing.shape == kept.shape == (0,)


@pytest.mark.hint(pytest.fail.Exception, "A class number that is too large was accepted: the last one is classes - 1.")
@pytest.mark.parametrize("wrong", [5, 77], ids=["one-too-many", "far"])
def test_class_targets_too_large(rng, wrong):
    """With five classes the last is number 4; the message names the number."""
    target = rng.permutation([0, 4, wrong, 2])
    with pytest.raises(IndexError, match=rf"(?s)(?=.*out of bounds)(?=.*\b{wrong}\b)"):
        class_targets(target, 5, -100)


@pytest.mark.hint(
    pytest.fail.Exception,
    "A negative class number was accepted, and NumPy will count it from the end: -1 would be the last class.",
)
@pytest.mark.parametrize("wrong", [-1, -5], ids=["minus-one", "minus-five"])
def test_class_targets_below_zero(rng, wrong):
    """Negative numbers are no classes, unless they are the one to ignore."""
    target = rng.permutation([0, 4, wrong, 2])
    with pytest.raises(IndexError, match=rf"(?s)(?=.*out of bounds)(?=.*{wrong}\b)"):
        class_targets(target, 5, -100)


def test_class_targets_minus_100_may_be_wrong_too():
    """If another number is to be ignored, -100 is out of bounds."""
    found, kept = class_targets(np.array([2, -99, 1]), 3, -99)
    np.testing.assert_array_equal(found, [2, 0, 1])
    np.testing.assert_array_equal(kept, [True, False, True])
    with pytest.raises(IndexError, match=r"(?s)(?=.*out of bounds)(?=.*-100\b)"):
        class_targets(np.array([2, -100, 1]), 3, -99)


@pytest.mark.hint(
    pytest.fail.Exception, "Floats or booleans were accepted as class numbers: anything but integers is a TypeError."
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bool"])
def test_class_targets_are_integers(dtype):
    """Floats may be probabilities, booleans a mask: neither is a class number, even if all are whole numbers."""
    with pytest.raises(TypeError, match="integers"):
        class_targets(np.array([1, 0, 1], dtype), 5, -100)


def test_class_targets_leave_the_argument_alone(rng, hint):
    """The targets belong to the data set, and will be read again in the next epoch."""
    target = rng.permutation([1, 2, -100, -100, 3])
    given = target.copy()
    found, kept = class_targets(given, 4, -100)
    hint("The targets were changed: the padding is lost for the next epoch. np.where makes a new array.", when=0 in given)
    np.testing.assert_array_equal(given, target)
    np.testing.assert_array_equal(found, np.where(target == -100, 0, target))
    np.testing.assert_array_equal(kept, target != -100)
