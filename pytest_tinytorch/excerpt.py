"""The statements of a test that lead to the line where it failed: without its hints, and without what doesn't matter there."""
from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import dedent

_LINES = 16  # that are shown
_BODIES = ("body", "orelse", "finalbody", "handlers")

Range = tuple[int, int]  # first and last line


@dataclass(frozen=True)
class Excerpt:
    """Some lines of a function."""

    lines: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # that occur in them, in order; not those whose value can be read there
    compared: tuple[str, ...] = ()  # that are one side of a comparison in the last statement


def excerpt(function: Callable[..., object], line: int) -> Excerpt:
    """The statement at a line of a function's file, and those before it that made the values in it.

    Empty if the source isn't there.
    """
    try:
        source, first = inspect.getsourcelines(function)
        tree = ast.parse(dedent("".join(source))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return Excerpt()
    if not isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return Excerpt()
    ranges: list[Range] = []
    needed: set[str] = set()
    seen: list[list[str]] = []  # by statement, from the last to the first
    readable: set[str] = set()
    compared: list[str] = []

    def take(node: ast.AST, lines: Range) -> None:
        if not ranges:
            compared.extend(_compared(node))
        ranges.append(lines)
        seen.append(_names(node, ast.Load, ast.Store))
        needed.update(_names(node, ast.Load))

    def walk(body: Sequence[ast.stmt], here: int) -> bool:
        """Choose among statements, from the last to the first; whether any was chosen."""
        before = len(ranges)
        for statement in reversed(body):
            if statement.lineno > here:
                continue
            inner = list(_bodies(statement))
            header, lines = _header(statement, inner)
            contains = statement.lineno <= here <= (statement.end_lineno or here)
            if contains and here <= lines[1] and not isinstance(statement, (ast.For, ast.While, ast.If)):
                take(statement, (statement.lineno, statement.end_lineno or here))
            elif not inner or isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                if contains or _makes(statement, needed):
                    if isinstance(statement, ast.Assign):
                        names = set().union(*(_names(target, ast.Store) for target in statement.targets))
                        needed.difference_update(names)
                        readable.update(names if _is_readable(statement.value) else ())
                    take(statement, lines)
            else:
                chosen = [walk(body, here) for body in reversed(inner)]
                ranges.extend((line, line) for line in _divided(inner, chosen[::-1], source))
                if contains or any(chosen) or needed & set(_names(header, ast.Store)):
                    take(header, lines)
                if isinstance(statement, ast.For) and isinstance(statement.iter, ast.Name):
                    readable.add(statement.iter.id)  # what the loop has come to says more
        return len(ranges) > before

    walk(tree.body, line - first + 1)
    numbers = sorted({number for low, high in ranges for number in range(low, high + 1)})
    text = dedent("".join(source)).split("\n")
    lines = dedent("\n".join(text[number - 1] for number in numbers)).split("\n")
    cut = ["...", *lines[-_LINES:]] if len(lines) > _LINES else lines
    names = dict.fromkeys(name for found in reversed(seen) for name in found if name not in readable)
    return Excerpt(tuple(line.rstrip() for line in cut), tuple(names), tuple(compared))


def _names(node: ast.AST, *contexts: type[ast.expr_context]) -> list[str]:
    return [child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, contexts)]


def _compared(node: ast.AST) -> list[str]:
    """The names that are an operand of a comparison, or one of the first two arguments of a call such as assert_equal."""
    sides: list[ast.expr] = []
    for child in ast.walk(node):
        if isinstance(child, ast.Compare):
            sides += [child.left, *child.comparators]
        elif isinstance(child, ast.Call) and _last_name(child.func).startswith("assert_"):
            sides += child.args[:2]
    return [side.id for side in sides if isinstance(side, ast.Name)]


def _bodies(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        if body := getattr(statement, name, None):
            yield body
    for handler in getattr(statement, "handlers", ()):
        yield handler.body


def _divided(inner: Sequence[Sequence[ast.stmt]], chosen: Sequence[bool], source: Sequence[str]) -> list[int]:
    """The lines that begin a compound statement's later bodies, such as `else:`, of bodies that were chosen."""
    later = [body[0].lineno - 1 for body, is_chosen in zip(inner[1:], chosen[1:], strict=True) if is_chosen]
    return [line for line in later if source[line - 1].rstrip().endswith(":")]  # no elif: that is a statement inside


def _header(statement: ast.stmt, inner: Sequence[Sequence[ast.stmt]]) -> tuple[ast.AST, Range]:
    """What stands before a compound statement's first body, and its lines; all of a simple statement."""
    if not inner or isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return statement, (statement.lineno, statement.end_lineno or statement.lineno)
    parts = [
        part for name, part in ast.iter_fields(statement) if name not in _BODIES
        for part in (part if isinstance(part, list) else [part]) if isinstance(part, ast.AST)
    ]
    return ast.Module(parts, []), (statement.lineno, max(statement.lineno, inner[0][0].lineno - 1))  # type: ignore[arg-type]


def _makes(statement: ast.stmt, needed: set[str]) -> bool:
    """Whether a simple statement may have made, or changed, what one of the names stands for."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return statement.name in needed
    if isinstance(statement, ast.Expr):
        call = statement.value
        if not isinstance(call, ast.Call) or _last_name(call.func).startswith(("hint", "assert_")):
            return False
        return bool(set(_names(call, ast.Load)) & needed)
    if isinstance(statement, ast.Assert):
        return False
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    changed = {root.id for target in targets if target for part in _flat(target) if isinstance(root := _root(part), ast.Name)}
    return bool(changed & needed)


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for part in target.elts:
            yield from _flat(part)
    else:
        yield target.value if isinstance(target, ast.Starred) else target


def _root(node: ast.expr) -> ast.expr:
    """`a` in `a.b[c].d`."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node


def _last_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_readable(value: ast.expr) -> bool:
    """Whether an expression is made of literals, so that its text says its value."""
    return set(_names(value, ast.Load)) <= {"np"} and not any(
        isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)) for node in ast.walk(value)
    )
