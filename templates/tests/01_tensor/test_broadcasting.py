"""Which shape do two shapes give? Aligned at the right, equal lengths fit, and 1 fits all."""

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor, broadcast_shape

pytestmark = pytest.mark.exercise("broadcasting")

RIGHT = "Align the shapes at the right, not at the left: what a shorter one lacks is at its front."
TUPLE = "The result is a tuple, as every shape is."


def aligned_at_the_left():
    """Whether (2, 3) is said to fit (2,), and not to fit (3,)."""
    fits = []
    for b in [(2,), (3,)]:
        try:
            fits.append(str(broadcast_shape((2, 3), b)) == "(2, 3)")
        except ValueError:
            fits.append(False)
    return fits == [True, False]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((3, 1), (4,), (3, 4)),
        ((2, 3), (3,), (2, 3)),
        ((2, 3), (2, 3), (2, 3)),
        ((8, 1, 6, 1), (7, 1, 5), (8, 7, 6, 5)),
        ((), (2, 3), (2, 3)),
        ((), (), ()),
        ((1,), (5,), (5,)),
        ((1, 1), (1,), (1, 1)),
        ((0, 3), (3,), (0, 3)),
        ((0,), (1,), (0,)),
        ((2, 1), (0,), (2, 0)),
    ],
    ids=lambda shape: str(shape),
)
def test_shapes_that_fit(hint, a, b, expected):
    """In both orders: the result has the length that isn't 1, even if that is 0."""
    hint(RIGHT, when=aligned_at_the_left())
    out = [broadcast_shape(a, b), broadcast_shape(b, a)]
    hint(TUPLE, when=isinstance(out[0], list))
    hint(
        "These are the lengths, from right to left: turn the result round at the end.",
        when=str(out[0]) == str(expected[::-1]) != str(expected),
    )
    hint(
        "max(m, n) is 1 for the lengths 0 and 1, where the result is empty. Take the one that isn't 1.",
        when=0 in expected and str(out[0]) == str(tuple(length or 1 for length in expected)),
    )
    assert str(out) == str([expected, expected])


def test_shapes_as_numpy_broadcasts_them(rng, hint):
    """Random shapes of up to five dimensions, some of length 1, some missing."""
    hint(RIGHT, when=aligned_at_the_left())
    for _ in range(20):
        lengths = [int(n) for n in rng.integers(1, 6, size=5)]
        pair = []
        for dims in rng.integers(0, 6, size=2):
            pair.append(tuple(n if keep else 1 for n, keep in zip(lengths, rng.random(5) < 0.6))[5 - dims :])
        out = broadcast_shape(*pair)
        hint(TUPLE, when=isinstance(out, list))
        assert str(out) == str(np.broadcast_shapes(*pair))


@pytest.mark.hint(AssertionError, "You raised ValueError, but the error must name both shapes, first a and then b.")
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (4,)),
        ((2, 3), (2,)),
        ((2, 3), (3, 2)),
        ((5, 2, 3), (4, 1, 3)),
        ((2, 4), (2, 2)),
        ((0,), (2,)),
        ((3, 0), (4, 1)),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit(hint, a, b):
    """The error names both shapes, in the function as in every operation."""
    hint(RIGHT, when=aligned_at_the_left())
    names = f"{a}.*{b}".replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=names):
        broadcast_shape(a, b)
    x, y = Tensor(np.zeros(a)), Tensor(np.zeros(b))
    with pytest.raises(ValueError, match=names):
        _ = x + y
