"""Functions that say they return something and whose end can be reached without a return: a forgotten one, most likely."""
from __future__ import annotations

import ast
import inspect
import linecache
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from textwrap import dedent
from types import CodeType, FunctionType
from typing import Any

_OPEN = ("None", "Any", "Optional", "Iterator", "Generator")  # annotations that allow None, or promise no return


def lacking(names: Mapping[str, Any]) -> list[str]:
    """The functions and methods of a module, given by its names, that lack a return, in their order there."""
    module = names.get("__name__")
    found: dict[str, int] = {}
    for function in _functions(names):
        promised = str(function.__annotations__.get("return", "None"))
        if function.__module__ == module and not any(word in promised for word in _OPEN):
            linecache.getlines(function.__code__.co_filename, dict(names))  # a cell of a notebook is no file
            if _lacks_a_return(function.__code__):
                found[function.__qualname__] = function.__code__.co_firstlineno
    return sorted(found, key=found.__getitem__)


def _functions(names: Mapping[str, Any]) -> Iterator[FunctionType]:
    for value in list(names.values()):
        for member in list(vars(value).values()) if isinstance(value, type) else [value]:
            function = getattr(member, "fget" if isinstance(member, property) else "__func__", member)
            if isinstance(function, FunctionType):
                yield function


@lru_cache(maxsize=1024)  # many tests fail for one function
def _lacks_a_return(code: CodeType) -> bool:
    lines = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :]
    try:
        tree = ast.parse(dedent("".join(inspect.getblock(lines)))).body[0]
    except (SyntaxError, IndexError):
        return False
    if not isinstance(tree, ast.FunctionDef) or all(map(_says_nothing, tree.body)):
        return False  # the latter: an abstract one
    return _ends(tree.body)


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def _ends(body: Sequence[ast.stmt]) -> bool:
    r"""Whether the end of some statements can be reached.

    >>> [_ends(ast.parse(text).body) for text in ("if x: raise y", "if x: raise y\nelse: raise z", "while True: pass")]
    [True, False, False]
    """
    if not body:
        return True
    last = body[-1]
    if isinstance(last, (ast.Return, ast.Raise)):
        return False
    if isinstance(last, ast.If):
        return _ends(last.body) or _ends(last.orelse)
    if isinstance(last, (ast.With, ast.AsyncWith)):
        return _ends(last.body)
    if isinstance(last, ast.Try):
        if last.finalbody and not _ends(last.finalbody):
            return False
        return _ends([*last.body, *last.orelse]) or any(_ends(handler.body) for handler in last.handlers)
    if isinstance(last, ast.While):
        return not (isinstance(last.test, ast.Constant) and last.test.value) or any(isinstance(node, ast.Break) for node in ast.walk(last))
    if isinstance(last, ast.Match):
        return any(_ends(case.body) for case in last.cases)
    return True
