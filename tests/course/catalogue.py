"""The catalogue of known mistakes: what students really write, and the words by which the tests must name it.

A file of the catalogue, `mistakes/NN_slug.py`, holds functions whose bodies take the place of a solution:

    @mistake("softmax_forward", named="cannot overflow")
    def forgets_the_shift(ctx, x, dim):
        y = np.exp(x)
        return y / y.sum(axis=dim, keepdims=True)

The function is never called; its argument names are those of the function that holds the solution.
"""
from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from pytest_tinytorch.course import curriculum
from tests.course.source import Source

_FOLDER = Path(__file__).parent / "mistakes"


@dataclass(frozen=True)
class Mistake:
    """A wrong solution that students write."""

    name: str
    exercise: str
    function: str | None  # the qualified name of the function that holds the block; None: the exercise has one block
    named: str  # what the tests' output must say
    body: tuple[str, ...]  # source lines

    def put_into(self, source: Source) -> str:
        """The module's source with this mistake in the place of the solution."""
        return source.with_body(source.block(self.exercise, self.function), self.body)


def mistake(exercise: str, named: str, at: str | None = None) -> Callable[[Callable[..., Any]], Mistake]:
    """Enter the body of a function into the catalogue as a wrong solution of an exercise.

    `at` says which solution block, by the qualified name of the function around it, where an exercise has several.
    `named` is a text that the hints must contain for this mistake, and for no other one of the module.
    """

    def enter(function: Callable[..., Any]) -> Mistake:
        return Mistake(function.__name__, exercise, at, named, tuple(_body(inspect.getsource(function))))

    return enter


def _body(function: str) -> list[str]:
    """The lines of a function's body, without its docstring.

    >>> _body("def f(x):\\n    '''Why.'''\\n    return x\\n")
    ['    return x']
    """
    function = dedent(function)
    (definition,) = ast.parse(function).body
    if not isinstance(definition, ast.FunctionDef):
        raise ValueError(f"a mistake is a function, not {type(definition).__name__}")
    statements = definition.body
    if ast.get_docstring(definition) is not None:
        statements = statements[1:]
    if not statements:
        raise ValueError(f"{definition.name}: a mistake needs a body besides its docstring")
    decorators = getattr(statements[0], "decorator_list", [])
    first = min(node.lineno for node in (statements[0], *decorators))
    return function.split("\n")[first - 1 : statements[-1].end_lineno]


def catalogue_file(module: curriculum.Module) -> Path:
    return _FOLDER / f"{module.folder}.py"


def mistakes(module: curriculum.Module) -> list[Mistake]:
    """A module's catalogue, in the file's order; empty if it has no file yet."""
    path = catalogue_file(module)
    if not path.is_file():
        return []
    spec = importlib.util.spec_from_file_location(f"mistakes_{module.folder}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} can't be imported")
    namespace = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(namespace)
    return [entry for entry in vars(namespace).values() if isinstance(entry, Mistake)]
