"""Strides say where each element lies; from them one sees whether a tensor is contiguous."""

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("strides")

ONES = "A dimension of length 1 is never stepped along: its stride doesn't count."

LAYOUTS = {  # of a (3, 4) matrix: strides, contiguous
    "whole": ("(4, 1)", "True"),
    "transposed": ("(1, 4)", "False"),
    "every other column": ("(4, 2)", "False"),
    "left columns": ("(4, 1)", "False"),
    "lower rows": ("(4, 1)", "True"),
    "one row": ("(4, 1)", "True"),
    "one row transposed": ("(1, 4)", "True"),
    "one column": ("(4, 1)", "False"),
    "columns backwards": ("(4, -1)", "False"),
    "a row repeated": ("(0, 1)", "False"),
    "no rows transposed": ("(1, 4)", "True"),
    "one number": ("()", "True"),
}


@pytest.mark.parametrize("dtype", ["float32", "int64", "int8"])
def test_strides_follow_from_the_shape(rng, hint, dtype):
    """(2, 3, 4) has (12, 4, 1): each stride is the product of the lengths to its right, in elements of any dtype."""
    random_shape = tuple(int(length) for length in rng.integers(2, 6, size=4))
    for shape in [(2, 3, 4), (5,), random_shape]:
        x = np.zeros(shape, dtype)
        expected = tuple(step // x.itemsize for step in x.strides)
        out = str(Tensor(x).stride())
        hint(
            "NumPy counts in bytes: divide by the size of an element, self.data.itemsize.",
            when=out == str(x.strides) != str(expected),
        )
        hint("Strides are whole numbers: divide with //.", when="." in out)
        assert out == str(expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_contiguous_layouts(rng, student_side, hint, layout):
    """Contiguous: index order, last index fastest, is memory order without a gap. Lengths of 1 don't count."""
    t = student_side.laid_out(rng.normal(size=(3, 4)).astype(np.float32), layout)
    strides, contiguous = LAYOUTS[layout]
    out = str(t.stride()), str(t.is_contiguous())
    hint(
        "NumPy counts in bytes: divide by the size of an element, self.data.itemsize.",
        when=out[0] not in (strides, "()"),
    )
    hint(
        "Decreasing strides are not enough: there may be gaps. Each must be the product of the lengths to its right.",
        when=layout in ("every other column", "left columns", "one column") and out == (strides, "True"),
    )
    hint(
        ONES,
        when=layout.startswith("one row") and out == (strides, "False"),
    )
    hint(
        "A negative stride walks backwards through memory: each must be that product itself, with its sign.",
        when=layout == "columns backwards" and out == (strides, "True"),
    )
    hint(
        "A tensor without elements has no order to break: it is contiguous.",
        when=layout.startswith("no") and out == (strides, "False"),
    )
    assert out == (strides, contiguous)


def test_permuted_dimensions_are_not_contiguous(rng, hint):
    """Of the six orders of three dimensions only the first is; of a tensor with one long dimension, all are."""
    orders = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    x, row = rng.normal(size=(2, 3, 4)), rng.normal(size=(1, 5, 1))
    assert [str(Tensor(x.transpose(order)).is_contiguous()) for order in orders] == ["True"] + ["False"] * 5
    out = [str(Tensor(row.transpose(order)).is_contiguous()) for order in orders]
    hint(ONES, when="False" in out)
    assert out == ["True"] * 6


def answer(function, *arguments):
    """How a call ends: the name of an error and its message, or "no error"."""
    try:
        function(*arguments)
    except (ValueError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


@pytest.mark.parametrize("layout", [name for name, (_, contiguous) in LAYOUTS.items() if contiguous == "False"])
def test_view_refuses_what_it_would_have_to_copy(rng, student_side, hint, layout):
    """No stride walks these numbers in index order, so no other shape can be seen in place."""
    t = student_side.laid_out(rng.normal(size=(3, 4)), layout)
    said = answer(t.view, -1)
    hint(
        "view must not copy: it raises a ValueError if the tensor is not contiguous.",
        when=str(t.is_contiguous()) == "False" and (said == "no error" or "exercise shapes" in said),
    )
    hint("You raised ValueError, but its message must say 'not contiguous'.", when=said.startswith("ValueError"))
    with pytest.raises(ValueError, match="contiguous"):
        t.view(-1)
