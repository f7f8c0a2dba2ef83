"""`grad_check` compares what backward finds with small steps: it passes right rules, and says where wrong ones are wrong."""
import re

import numpy as np
import pytest


pytestmark = pytest.mark.exercise("grad_check")

PLACE = "A gradient that is sent to the wrong place went unnoticed: the elements of the result count differently, by `weights`."
BOTH_SIDES = "A step to one side is too coarse: take (f(x + eps) - f(x - eps)) / (2 · eps)."
UNRESTORED = "The inputs are not bit for bit what they were: keep the element, and put that back. Adding eps again rounds."
GRAD_LEFT = "The inputs have other gradients than before the check: keep what they had, and put it back in the end."
NAN = "NaN passed as agreement, since every comparison with it is false: ask `not difference <= ...`."
STAYS_NONE = "A leaf that the result doesn't depend on has no gradient: a `grad` that stays None counts as 0."
RAISES = "A gradient that is wrong is to be a ValueError, not a False that nobody reads."
ABSOLUTE = "Only a part of the tolerance counts: the difference may be atol + rtol · |quotient|."


def numbers_in(message):
    """The numbers that a message has in it."""
    plain = message.replace("np.float64", "").replace("np.int64", "")
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", plain)]


def test_grad_check_passes_right_rules_only(student_side, rng):
    """x³ with the slope 3x², a product, a sum of cubes: True, in any shape. The slope 4x² is refused."""
    for shape in ((), (1,), (4,), (2, 3), (2, 1, 2)):
        a, b = (np.asarray(rng.uniform(1, 2, size=shape)) for _ in "ab")
        for name, arrays in (("cube", (a,)), ("product", (a, b)), ("roll", (a,)), ("second wrong", (a, b))):
            result, problem = student_side.verdict(name, *arrays)
            assert problem is None
            assert result is True
        assert student_side.verdict("cube", a, factor=4.0)[1] is not None


def test_grad_check_finds_wrong_factors(student_side, rng, hint):
    """A slope that is wrong by a factor is a ValueError: a third of it, its negative, a little more, zero."""
    x = rng.uniform(1, 2, size=(2, 2))
    for factor in (1.0, -3.0, 3.1, 0.0):
        result, problem = student_side.verdict("cube", x, factor=factor)
        hint(RAISES, when=result is False)
        assert problem is not None, f"the slope {factor} x² passed"
    assert student_side.checked("cube", x) is True


def test_grad_check_finds_gradients_at_the_wrong_place(student_side, rng, hint):
    """Elements move on by one, and the rule leaves their gradients where they are: with equal weights, nobody would know."""
    x = rng.normal(size=5)
    for back in (0, 2):
        result, problem = student_side.verdict("roll", x, back=back)
        hint(PLACE, when=result is True)
        assert problem is not None
    assert student_side.checked("roll", x) is True


def test_grad_check_says_where(student_side, rng):
    """Input number 2 at (1, 0): gradient 4x² and quotient 3x² stand in the error, where all before was right."""
    a, b, c = rng.uniform(1, 2, size=(3, 2, 2))
    c[0] = 0.0  # where the slope is 0, whatever the factor
    _, problem = student_side.verdict("third wrong", a, b, c, factor=4.0)
    assert problem is not None
    weight, numbers = 3 / 4, numbers_in(problem)
    assert 2.0 in numbers, "the number of the input is missing"
    assert [1.0, 0.0] in [numbers[i : i + 2] for i in range(len(numbers))], "the index of the element is missing"
    for expected in (4 * c[1, 0] ** 2 * weight, 3 * c[1, 0] ** 2 * weight):
        assert any(abs(number - expected) < 1e-2 for number in numbers), f"{expected} is missing"


def test_grad_check_takes_steps_to_both_sides(student_side, hint):
    """With eps = 0.01, x³ at 1 has the quotient ((1.01)³ - (0.99)³) / 0.02 = 3.0001; to one side it would be 3.0301."""
    x, tolerances = np.array([1.0]), {"eps": 0.01, "atol": 1e-3, "rtol": 1e-9}
    result, problem = student_side.verdict("cube", x, tolerances=tolerances)
    hint(BOTH_SIDES, when=problem is not None)
    assert problem is None
    assert result is True
    _, problem = student_side.verdict("cube", x, tolerances={"eps": 0.1, "atol": 1e-3, "rtol": 1e-9})
    assert problem is not None, "eps was not used"
    numbers = numbers_in(problem)
    assert any(abs(number - 3.01) < 1e-6 for number in numbers) and any(abs(number - 3.0) < 1e-12 for number in numbers)


def test_grad_check_tolerates_as_it_says(student_side, hint):
    """At 10 the slope is 300: off by 0.2 it is within 1e-3 of that, off by 0.4 it isn't. At 0, only atol counts."""
    ten, zero = np.array([10.0]), np.array([0.0])
    for sign in (1, -1):
        within = student_side.verdict("cube", ten, offset=0.2 * sign)
        hint(ABSOLUTE, when=within[1] is not None)
        assert within[0] is True
        assert student_side.verdict("cube", ten, offset=0.4 * sign)[1] is not None
        assert student_side.verdict("cube", ten, offset=0.4 * sign, tolerances={"rtol": 1e-2})[0] is True
        assert student_side.verdict("cube", ten, offset=0.4 * sign, tolerances={"atol": 0.2})[0] is True
        assert student_side.verdict("cube", ten, offset=0.4 * sign, tolerances={"atol": 0.05})[1] is not None
        assert student_side.verdict("cube", zero, offset=5e-6 * sign)[0] is True
        assert student_side.verdict("cube", zero, offset=5e-6 * sign, tolerances={"atol": 1e-6})[1] is not None
        assert student_side.verdict("cube", -ten, offset=0.2 * sign)[0] is True
        assert student_side.verdict("cube", zero, offset=2e-5 * sign)[1] is not None
    exact = student_side.verdict("product", np.array([2.0]), zero, tolerances={"atol": 0.0, "rtol": 0.0})
    assert exact == (True, None), "2 and 2 agree without any tolerance"


def test_grad_check_puts_everything_back(student_side, rng, hint):
    """Bit for bit the data, and the gradients that were there: one, and none."""
    a, b = rng.uniform(1, 2, size=(2, 4, 5))
    had = rng.normal(size=(4, 5))
    result, data, grads = student_side.left_behind("product", a.copy(), b.copy(), grads=[had, None])
    assert result is True
    hint(UNRESTORED, when=not np.array_equal(data[0], a))
    np.testing.assert_array_equal(data[0], a)
    np.testing.assert_array_equal(data[1], b)
    hint(GRAD_LEFT, when=grads[1] is not None or not np.array_equal(grads[0], had))
    assert grads[1] is None
    np.testing.assert_array_equal(grads[0], had)
    assert student_side.verdict("cube", a, factor=4.0)[1] is not None


def test_grad_check_of_unused_inputs(student_side, rng, hint):
    """An input that the result doesn't depend on has no gradient, and the quotient 0; if it does depend, that is an error."""
    a, b = rng.uniform(1, 2, size=(2, 3))
    problem = student_side.error(student_side.checked, "unused", a, b)
    hint(STAYS_NONE, when=problem is not None and problem[0] in ("AttributeError", "TypeError"))
    assert problem is None
    assert student_side.checked("unused", a, b) is True
    with pytest.raises(ValueError, match=r"1\D+0"):
        student_side.checked("hidden", a, b)


def test_grad_check_leaves_constants_out(student_side, rng):
    """Inputs that need no gradient are not checked, and those after them keep their number."""
    a, b, c = rng.uniform(1, 2, size=(3, 2))
    assert student_side.checked("second wrong", a, b, needs=(True, False), factor=4.0) is True
    _, problem = student_side.verdict("third wrong", a, b, c, needs=(False, True, True), factor=4.0)
    assert problem is not None and 2.0 in numbers_in(problem)


def test_nan_is_no_agreement(student_side, rng, hint):
    """A gradient that is NaN, and a result that is NaN, are no agreement with anything."""
    x = rng.normal(size=2)
    for value in (1.0, np.nan):
        result, problem = student_side.verdict("nowhere", x, value=value)
        hint(NAN, when=result is True)
        assert problem is not None
    assert student_side.checked("cube", x) is True


def test_grad_check_reaches_what_the_function_holds(student_side, rng):
    """A layer's parameters are in the function, not among its arguments: moved in place, they are reached all the same."""
    assert tuple(student_side.checked_in_a_closure(rng.uniform(1, 2, size=3))) == (True, True)
    assert student_side.verdict("cube", rng.uniform(1, 2, size=3), factor=2.0)[1] is not None


def test_grad_check_of_a_transposed_input(student_side, rng):
    """Elements may lie in any order in memory; moving a copy of them would move nothing."""
    x = rng.uniform(1, 2, size=(3, 2)).T
    assert student_side.checked("cube", x) is True
    assert student_side.verdict("cube", x, factor=3.1)[1] is not None


def test_grad_check_refuses_float32_and_nothing(student_side, rng):
    """float32 has too few digits, and without an input that needs a gradient nothing would be checked: TypeErrors."""
    x = rng.uniform(1, 2, size=3)
    with pytest.raises(TypeError, match="float64"):
        student_side.checked("cube", x.astype(np.float32))
    with pytest.raises(TypeError, match="float64"):
        student_side.checked("product", x, x.astype(np.float32))
    with pytest.raises(TypeError, match="require a gradient"):
        student_side.checked("cube", x, needs=(False,))
    with pytest.raises(TypeError, match="require a gradient"):
        student_side.check_of_nothing()
    assert student_side.checked("product", x, x.astype(np.float32), needs=(True, False)) is True
