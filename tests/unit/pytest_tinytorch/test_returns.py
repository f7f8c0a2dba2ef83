"""Which functions of a module end without the return that they promise."""
from __future__ import annotations

import linecache
from textwrap import indent

import pytest

from pytest_tinytorch.returns import lacking


def module(source: str) -> dict[str, object]:
    """The names of a module that is in no file, as a cell of a notebook isn't."""
    source = "from __future__ import annotations\nfrom typing import Any\n" + source
    name = f"a notebook:cell {len(linecache.cache)}"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    names: dict[str, object] = {"__name__": "tinytorch.core.mine"}
    exec(compile(source, name, "exec"), names)
    return names


def body(text: str, promise: str = "int") -> str:
    return f"def mine(x: int) -> {promise}:\n{indent(text, '    ')}\n"


@pytest.mark.parametrize(
    "text",
    [
        "x + 1", "if x:\n    return 1", "for y in []:\n    return 1", "try:\n    return 1\nexcept ValueError:\n    x = 2",
        "with x:\n    x + 1", "while True:\n    break", "while x:\n    return 1",
    ],
    ids=["statement", "if", "for", "except", "with", "break", "while"],
)  # fmt: skip
def test_an_end_that_can_be_reached(text: str):
    assert lacking(module(body(text))) == ["mine"]


@pytest.mark.parametrize(
    "text",
    [
        "return x", "if x:\n    return 1\nelse:\n    raise ValueError", "with x:\n    return 1", "while True:\n    x += 1",
        "try:\n    return 1\nfinally:\n    x = 2", "try:\n    x = 1\nfinally:\n    return 1", "...", '"""What it does."""',
        "match x:\n    case _:\n        return 1", "raise NotImplementedError",
    ],
    ids=["return", "else", "with", "loop", "try", "finally", "dots", "docstring", "match", "stub"],
)  # fmt: skip
def test_an_end_that_cannot_or_a_function_without_a_body(text: str):
    assert lacking(module(body(text))) == []


@pytest.mark.parametrize("promise", ["None", "int | None", "Any"])
def test_who_promises_nothing_lacks_nothing(promise: str):
    assert lacking(module(body("x + 1", promise))) == []


def test_methods_are_named_in_their_order_with_their_class_and_others_functions_are_not():
    method = indent(body("x + 1"), "    ")
    static, owned = f"    @staticmethod\n{method}", f"    @property\n{method}"
    names = module(f"class B:\n{static}\nclass A:\n{owned}\nclass C:\n{method}\n")
    names["other"] = module(body("x + 1").replace("tinytorch.core.mine", "other"))["mine"]
    names["other"].__module__ = "tinytorch.core.other"  # type: ignore[attr-defined]
    assert lacking(names) == ["B.mine", "A.mine", "C.mine"]
