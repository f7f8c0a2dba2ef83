"""Mutants: the reference solution with one small fault, of the kinds that people make. Good tests notice each of them.

Only lines between `### BEGIN SOLUTION` and `### END SOLUTION` are changed, by replacing the text of one syntax node, so
that every other character of the file stays. The order is that of the file, and the same at every run.

Error messages are left alone (their wording is no contract), as are annotations and docstrings.
"""
from __future__ import annotations

import ast
import builtins
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from tests.course.source import Block, Source

_BINARY = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "/", ast.Mod: "//", ast.Pow: "*",
    ast.MatMult: "*", ast.BitAnd: "|", ast.BitOr: "&", ast.BitXor: "&", ast.LShift: ">>", ast.RShift: "<<",
}
_COMPARISON = re.compile(r"[<>]=?|[=!]=|is\s+not|not\s+in|is|in")
_NOT_COMMUTATIVE = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult, ast.LShift, ast.RShift)
_COMPARE = {  # the boundary first, then the opposite
    ast.Lt: ("<=", ">="), ast.LtE: ("<", ">"), ast.Gt: (">=", "<="), ast.GtE: (">", "<"),
    ast.Eq: ("!=",), ast.NotEq: ("==",), ast.Is: ("is not",), ast.IsNot: ("is",), ast.In: ("not in",), ast.NotIn: ("in",),
}
_COMMUTATIVE = ("maximum", "minimum", "add", "multiply", "logical_and", "logical_or", "promote_types", "swapaxes")
_PAIRS = (  # names that are easily taken for each other, as functions, methods or attributes
    ("min", "max"), ("argmin", "argmax"), ("minimum", "maximum"), ("sum", "mean"), ("zeros", "ones"), ("any", "all"),
    ("zeros_like", "ones_like"), ("floor", "ceil"), ("sin", "cos"), ("exp", "log"), ("exp", "expm1"), ("log", "log1p"),
    ("sqrt", "square"), ("prod", "sum"), ("cumsum", "cumprod"), ("var", "std"), ("logical_and", "logical_or"),
    ("float32", "float64"), ("int64", "int32"), ("normal", "uniform"), ("append", "extend"), ("keys", "values"),
    ("ValueError", "TypeError"), ("IndexError", "ValueError"), ("break", "continue"), ("multiply", "divide"),
    ("greater", "greater_equal"), ("less", "less_equal"), ("tril", "triu"), ("hstack", "vstack"),
)


def _confusions() -> dict[str, list[str]]:
    others: dict[str, list[str]] = {}
    for one, other in _PAIRS:
        others.setdefault(one, []).append(other)
        others.setdefault(other, []).append(one)
    return others


@dataclass(frozen=True)
class Mutant:
    """One fault in one solution block.

    `before` and `after` are the lines that it changes, joined, without indentation and comments.
    """

    exercise: str
    function: str
    kind: str
    line: int
    before: str
    after: str
    text: str  # the whole file with the fault

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What names this mutant while other lines move; two equal lines of one function share it."""
        return (self.exercise, self.function, self.before, self.after)

    @property
    def rank(self) -> str:
        """A fixed order in which samples are drawn: it depends on the mutant alone, not on its neighbours."""
        return hashlib.sha256(repr((*self.key, self.kind)).encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.exercise}, {self.function}, line {self.line}: `{self.before}` -> `{self.after}`"


@dataclass(frozen=True)
class _Edit:
    """A replacement of the text between two places of the file, lines from 1 and columns in bytes, as `ast` counts."""

    kind: str
    start: tuple[int, int]
    end: tuple[int, int]
    text: str


def mutants(source: Source) -> list[Mutant]:
    """All mutants of a module's solutions, in the file's order."""
    made: dict[str, Mutant] = {}
    for block in source.blocks:
        maker = _Maker(source, block)
        edits = sorted(maker.edits(), key=lambda edit: (edit.start, edit.end))
        for edit in edits:
            mutant = _apply(source, block, edit)
            if mutant.after != mutant.before:
                made.setdefault(mutant.text, mutant)
    return list(made.values())


def sample(source: Source, size: int) -> list[Mutant]:
    """A fixed part of the mutants, which stays the same when lines elsewhere change."""
    return sorted(mutants(source), key=lambda mutant: mutant.rank)[:size]


def _apply(source: Source, block: Block, edit: _Edit) -> Mutant:
    (first, start), (last, end) = edit.start, edit.end
    lines = source.lines
    head = lines[first - 1].encode()[:start].decode()
    tail = lines[last - 1].encode()[end:].decode()
    before = lines[first - 1 : last]
    after = (head + edit.text + tail).split("\n")
    return Mutant(
        block.exercise, block.function, edit.kind, first, _joined(before), _joined(after),
        "\n".join([*lines[: first - 1], *after, *lines[last:]]),
    )


def _joined(lines: list[str]) -> str:
    return " ".join(line.partition("  # ")[0].strip() for line in lines)


class _Maker:
    """Walks one block's syntax and proposes edits."""

    def __init__(self, source: Source, block: Block) -> None:
        self.source = source
        self.block = block
        self.confusions = _confusions()

    @cached_property
    def parameters(self) -> list[str]:
        """The arguments of the function around the block, without those that carry state."""
        around: list[str] = []  # none for a block that holds whole functions
        for node in ast.walk(self.source.tree):  # outer functions come before inner ones
            if isinstance(node, ast.FunctionDef) and node.lineno < self.block.first <= (node.end_lineno or 0):
                around = [a.arg for a in node.args.posonlyargs + node.args.args if a.arg not in ("self", "cls", "ctx")]
        return around

    @cached_property
    def last_statement(self) -> int:
        """The line on which the block's last statement begins."""
        return max(
            node.lineno for node in ast.walk(self.source.tree)
            if isinstance(node, ast.stmt) and self.block.first <= node.lineno <= self.block.last
        )

    def edits(self) -> Iterator[_Edit]:
        yield from self._inside(self.source.tree)

    def _inside(self, node: ast.AST) -> Iterator[_Edit]:
        """Edits of the outermost statements below `node` that lie within the block."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt) and self.block.first <= child.lineno and _end(child)[0] <= self.block.last:
                yield from self._statement(child)
            elif not isinstance(child, ast.expr):
                yield from self._inside(child)

    # Statements

    def _statement(self, node: ast.stmt) -> Iterator[_Edit]:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            for statement in _without_docstring(node.body):
                yield from self._statement(statement)
            if isinstance(node, ast.FunctionDef):
                for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
                    yield from self._expression(default)
            return
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Pass, ast.Global, ast.Nonlocal, ast.Assert)) or _is_text(node):
            return
        if not (isinstance(node, ast.Return) and node.lineno == self.last_statement):  # `return None` says the same
            yield self._replace("statement removed", node, "pass")
        match node:
            case ast.Expr(value=ast.Call() as call):
                yield from self._arguments(call)
                yield from self._parts(call)
                return
            case ast.Raise():
                yield from self._raise(node)
                return
            case ast.Return(value=value) if value is not None:
                yield from self._return(node, value)
            case ast.AugAssign():
                yield self._replace(
                    "operator swapped", node,
                    f"{self._text(node.target)} {_BINARY[type(node.op)]}= {self._text(node.value)}",
                )
                yield self._replace("update lost", node, f"{self._text(node.target)} = {self._text(node.value)}")
            case ast.If() | ast.While():
                yield from self._condition(node.test)
            case ast.For():
                yield self._replace("loop over nothing", node.iter, "()")
                yield self._replace("loop reversed", node.iter, f"tuple({self._text(node.iter)})[::-1]")
            case ast.Break():
                yield self._replace("operator swapped", node, "continue")
            case ast.Continue():
                yield self._replace("operator swapped", node, "break")
            case _:
                pass
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from self._statement(child)
            elif isinstance(child, ast.expr) and not (isinstance(node, ast.AnnAssign) and child is node.annotation):
                yield from self._expression(child)
            else:  # handlers, with items, match cases
                yield from self._others(child)

    def _others(self, node: ast.AST) -> Iterator[_Edit]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from self._statement(child)
            elif isinstance(child, ast.expr) and not isinstance(node, ast.ExceptHandler):
                yield from self._expression(child)
            else:
                yield from self._others(child)

    def _raise(self, node: ast.Raise) -> Iterator[_Edit]:
        name = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if isinstance(name, ast.Name):
            for other in self.confusions.get(name.id, []):
                yield self._replace("other error", name, other)

    def _return(self, node: ast.Return, value: ast.expr) -> Iterator[_Edit]:
        yield self._replace("nothing returned", node, "return None")
        if self.parameters and self._text(value) != self.parameters[0]:
            yield self._replace("argument returned", node, f"return {self.parameters[0]}")

    def _condition(self, test: ast.expr) -> Iterator[_Edit]:
        yield self._replace("condition always true", test, "True")
        yield self._replace("condition never true", test, "False")
        if not isinstance(test, (ast.Compare, ast.UnaryOp)):  # these are negated below
            yield self._replace("condition negated", test, f"not ({self._text(test)})")

    # Expressions

    def _expression(self, node: ast.expr) -> Iterator[_Edit]:
        match node:
            case ast.BinOp():
                yield from self._binary(node)
            case ast.UnaryOp(operand=operand) if not (isinstance(node.op, ast.USub) and isinstance(operand, ast.Constant)):
                yield self._replace("operator dropped", node, f"({self._text(operand)})")
            case ast.BoolOp():
                yield from self._boolean(node)
            case ast.Compare():
                yield from self._compare(node)
            case ast.IfExp():
                yield from self._condition(node.test)
            case ast.Call():
                yield from self._call(node)
            case ast.Constant():
                yield from self._constant(node)
            case ast.Attribute() if isinstance(node.ctx, ast.Load):
                yield from self._attribute(node)
            case ast.Name(id=name) if isinstance(node.ctx, ast.Load) and hasattr(builtins, name):
                for other in filter(partial(hasattr, builtins), self.confusions.get(name, [])):
                    yield self._replace("name confused", node, other)
            case ast.Tuple(elts=[first, second, *_]) if isinstance(node.ctx, ast.Load):
                yield from self._swap("elements swapped", first, second)
            case ast.List(elts=[first, second, *_]):
                yield from self._swap("elements swapped", first, second)
            case ast.Slice():
                yield from self._slice(node)
            case ast.Starred(value=value) if isinstance(node.ctx, ast.Load):
                yield self._replace("unpacked in reverse", node, f"*tuple({self._text(value)})[::-1]")
            case ast.JoinedStr():
                return
            case _:
                pass
        yield from self._parts(node)

    def _parts(self, node: ast.expr) -> Iterator[_Edit]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from self._expression(child)
            elif isinstance(child, ast.comprehension):
                yield from self._comprehension(child)
            elif isinstance(child, ast.keyword):
                yield from self._expression(child.value)
            elif isinstance(child, ast.arguments):
                for default in (*child.defaults, *filter(None, child.kw_defaults)):
                    yield from self._expression(default)

    def _binary(self, node: ast.BinOp) -> Iterator[_Edit]:
        left, right = self._text(node.left), self._text(node.right)
        between = self._between(node.left, node.right)
        symbol = next((s for s in ("**", "//", "<<", ">>", *"+-*/%@&|^") if s in between), "")
        if between.strip(" ()\n") == symbol:  # no comment between the operands
            yield self._operator("operator swapped", node.left, node.right, symbol, _BINARY[type(node.op)])
        yield self._replace("operand dropped", node, f"({left})")
        yield self._replace("operand dropped", node, f"({right})")
        if isinstance(node.op, _NOT_COMMUTATIVE):
            yield from self._swap("operands swapped", node.left, node.right)

    def _boolean(self, node: ast.BoolOp) -> Iterator[_Edit]:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        values = [f"({self._text(value)})" for value in node.values]
        yield self._replace("operator swapped", node, "(" + f" {new} ".join(values) + ")")
        for dropped in range(len(values)):
            kept = values[:dropped] + values[dropped + 1 :]
            yield self._replace("operand dropped", node, "(" + f" {old} ".join(kept) + ")")

    def _compare(self, node: ast.Compare) -> Iterator[_Edit]:
        for position, (operator, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            left = node.comparators[position - 1] if position else node.left
            for other in _COMPARE[type(operator)]:
                between = self._between(left, right)
                text = _COMPARISON.sub(other, between, count=1)
                yield _Edit("comparison changed", _end(left), _start(right), text)

    def _call(self, node: ast.Call) -> Iterator[_Edit]:
        yield from self._arguments(node)
        if isinstance(node.func, ast.Attribute) and not _is_library(node.func.value):
            yield self._replace("call dropped", node, f"({self._text(node.func.value)})")
        if node.args and not isinstance(node.args[0], ast.Starred):
            yield self._replace("argument for result", node, f"({self._text(node.args[0])})")

    def _arguments(self, node: ast.Call) -> Iterator[_Edit]:
        arguments = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
        if _name(node.func) in _COMMUTATIVE:
            arguments = []
        if len(arguments) >= 2:
            yield from self._swap("arguments swapped", *arguments[:2])
        if len(arguments) >= 3:
            yield from self._swap("arguments swapped", *arguments[1:3])
        parts = [self._text(argument) for argument in node.args]
        keywords = [self._text(keyword) for keyword in node.keywords]
        for dropped in range(len(keywords)):
            kept = ", ".join([*parts, *keywords[:dropped], *keywords[dropped + 1 :]])
            yield self._replace("keyword dropped", node, f"{self._text(node.func)}({kept})")

    def _constant(self, node: ast.Constant) -> Iterator[_Edit]:
        value = node.value
        if isinstance(value, bool):
            yield self._replace("constant changed", node, str(not value))
        elif isinstance(value, int):
            yield self._replace("constant changed", node, str(value + 1))
            yield self._replace("constant changed", node, f"({value - 1})" if value < 1 else str(value - 1))
        elif isinstance(value, float):
            yield self._replace("constant changed", node, repr(value + 1.0))
            yield self._replace("constant changed", node, repr(value * 1.01 if value else -1.0))
        elif isinstance(value, str) and value and not re.search(r"\w\s\w", value):  # words are a part of a message
            yield self._replace("constant changed", node, repr("X" + value))
        elif isinstance(value, bytes) and value:
            yield self._replace("constant changed", node, repr(b"X" + value))

    def _attribute(self, node: ast.Attribute) -> Iterator[_Edit]:
        for other in self.confusions.get(node.attr, []):
            yield self._replace("name confused", node, f"{self._text(node.value)}.{other}")
        if node.attr == "T":
            yield self._replace("transpose dropped", node, f"({self._text(node.value)})")

    def _slice(self, node: ast.Slice) -> Iterator[_Edit]:
        bounds = [self._text(bound) if bound else "" for bound in (node.lower, node.upper, node.step)]
        for position, bound in enumerate(bounds):
            if bound:
                changed = [b if p != position else "" for p, b in enumerate(bounds)]
                yield self._replace("bound dropped", node, ":".join(changed))

    def _comprehension(self, node: ast.comprehension) -> Iterator[_Edit]:
        yield from self._expression(node.iter)
        for condition in node.ifs:
            yield from self._condition(condition)
            yield from self._expression(condition)

    # Text

    def _text(self, node: ast.AST) -> str:
        text = ast.get_source_segment(self.source.text, node)
        assert text is not None, f"a node without a place in the file: {ast.dump(node)}"
        return text

    def _between(self, left: ast.expr, right: ast.expr) -> str:
        (first, start), (last, end) = _end(left), _start(right)
        lines = [line.encode() for line in self.source.lines[first - 1 : last]]
        lines[-1] = lines[-1][:end]
        lines[0] = lines[0][start:]
        return b"\n".join(lines).decode()

    def _replace(self, kind: str, node: ast.expr | ast.stmt, text: str) -> _Edit:
        return _Edit(kind, _start(node), _end(node), text)

    def _swap(self, kind: str, one: ast.expr, other: ast.expr) -> Iterator[_Edit]:
        if self._text(one) != self._text(other):
            text = f"({self._text(other)}){self._between(one, other)}({self._text(one)})"
            if not any(isinstance(node, (ast.Slice, ast.Starred)) for node in (one, other)):
                yield _Edit(kind, _start(one), _end(other), text)

    def _operator(self, kind: str, left: ast.expr, right: ast.expr, old: str, new: str) -> _Edit:
        return _Edit(kind, _end(left), _start(right), self._between(left, right).replace(old, new, 1))


def _start(node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def _name(function: ast.expr) -> str:
    """`exp` of both `exp(x)` and `np.exp(x)`."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_library(node: ast.expr) -> bool:
    """Whether `node` is a library's name and so no value that a method is called on: `np.exp(x)`, `np.linalg.norm(x)`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in ("np", "math", "super", "random", "tinytorch")


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    return body[1:] if _is_text(body[0]) else body


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
