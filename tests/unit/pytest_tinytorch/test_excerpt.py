"""Which statements of a test are shown: those that lead to the line where it failed."""
from __future__ import annotations

import inspect

import pytest

from pytest_tinytorch.excerpt import Excerpt, excerpt


def f(*arguments):
    return arguments


hint = f


def straight(x, y):
    """What is wanted."""
    hint("a secret", when=x)
    a = f(x)
    b = f(y)
    unused = f(0)
    assert unused
    hint(
        "another secret",
        when=a,
    )
    a.append(b)
    assert a == [1]  # here
    later = a
    assert later


def loops(cases):
    weights = [1.0, 2.0]
    for name, case in cases:
        with pytest.raises(
            KeyError,
        ):
            f(case)
        if name:
            out = f(case, weights)
            assert out == name  # here


def raising():
    a = f(1)
    with pytest.raises(ValueError, match="x"):  # here
        f(a)


def branches(x):
    if x:
        a = f(1)
    elif f(0):
        a = f(2)
    else:
        a = f(3)
        try:
            assert a  # here
        finally:
            f(4)


def reassigned():
    a = f(1)
    assert a
    a = f(2)
    assert a  # here


def long():
    a = [
        1, 2, 3,
        4, 5, 6,
        7, 8, 9,
        f(1),
        10, 11, 12,
        13, 14, 15,
        16, 17, 18,
        19, 20, 21,
        22, 23, 24,
        25, 26, 27,
        28, 29, 30,
        31, 32, 33,
        34, 35, 36,
        37, 38, 39,
        40, 41, 42,
        43, 44, 45,
    ]  # fmt: skip
    assert a  # here


def of(function):
    lines, first = inspect.getsourcelines(function)
    return excerpt(function, first + next(n for n, line in enumerate(lines) if "# here" in line))


def test_hints_docstring_and_what_does_not_matter_are_left_out():
    found = of(straight)
    assert found.lines == ("a = f(x)", "b = f(y)", "a.append(b)", "assert a == [1]  # here")
    assert found.names == ("a", "f", "x", "b", "y")


def test_blocks_keep_their_headers_and_their_indentation():
    found = of(loops)
    assert found.lines == (
        "weights = [1.0, 2.0]",
        "for name, case in cases:",
        "    with pytest.raises(",
        "        KeyError,",
        "    ):",
        "        f(case)",
        "    if name:",
        "        out = f(case, weights)",
        "        assert out == name  # here",
    )
    assert "weights" not in found.names and "cases" not in found.names and {"name", "case", "out"} <= set(found.names)


def test_a_with_statement_that_fails_is_shown_whole():
    assert of(raising).lines == ("a = f(1)", 'with pytest.raises(ValueError, match="x"):  # here', "    f(a)")


def test_the_branch_that_failed_keeps_its_else():
    assert of(branches).lines == ("if x:", "elif f(0):", "else:", "    a = f(3)", "    try:", "        assert a  # here")


def test_an_older_value_of_a_name_is_left_out():
    assert of(reassigned).lines == ("a = f(2)", "assert a  # here")


def test_long_excerpts_are_cut_at_the_top():
    assert len(of(long).lines) == 17 and of(long).lines[0] == "..." and of(long).lines[-1] == "assert a  # here"


@pytest.mark.parametrize("function", [len, eval("lambda: 0")], ids=["builtin", "without a file"])
def test_without_source_there_is_nothing(function):
    assert excerpt(function, 1) == Excerpt()
