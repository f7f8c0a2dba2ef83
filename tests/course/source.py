"""A module's source as the checks of the course see it: cells, exercises, and the solution blocks inside functions."""
from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import dedent, indent

from pytest_tinytorch.course import curriculum

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_ATTRIBUTE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@dataclass(frozen=True)
class Cell:
    """One cell of a percent file; `first` and `last` are its lines below the header, counted from 1."""

    header: str
    first: int
    last: int
    text: str

    @property
    def is_prose(self) -> bool:
        return "[markdown]" in self.header

    @property
    def attributes(self) -> dict[str, object]:
        """What stands in the header as `name=value`, each value a Python literal."""
        return {name: ast.literal_eval(value) for name, value in _ATTRIBUTE.findall(self.header)}

    @property
    def exercise(self) -> str | None:
        name = self.attributes.get("exercise")
        return name if isinstance(name, str) else None

    @property
    def is_exported(self) -> bool:
        return self.exercise is not None or self.attributes.get("tags") == ["export"]


@dataclass(frozen=True)
class Block:
    """The lines between the two markers of one solution, counted from 1 and without the markers."""

    exercise: str
    function: str  # the qualified name of the function or class that holds the block
    first: int
    last: int
    indentation: str


@dataclass(frozen=True)
class Source:
    """A module's percent file."""

    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def cells(self) -> list[Cell]:
        starts = [number for number, line in enumerate(self.lines, start=1) if line.startswith("# %%")]
        ends = [start - 1 for start in starts[1:]] + [len(self.lines)]
        return [
            Cell(self.lines[start - 1], start + 1, end, "\n".join(self.lines[start:end]))
            for start, end in zip(starts, ends, strict=True)
        ]

    @cached_property
    def exercises(self) -> dict[str, Cell]:
        return {cell.exercise: cell for cell in self.cells if cell.exercise}

    @cached_property
    def blocks(self) -> list[Block]:
        """Every solution block, in the file's order.

        Raises: ValueError for a marker without its other half, or outside an exercise.
        """
        blocks: list[Block] = []
        begin: int | None = None
        for number, line in enumerate(self.lines, start=1):
            if line.strip() == BEGIN:
                if begin is not None:
                    raise ValueError(f"line {number}: a solution begins inside the one of line {begin}")
                begin = number
            elif line.strip() == END:
                if begin is None:
                    raise ValueError(f"line {number}: a solution ends that did not begin")
                blocks.append(self._block(begin, number))
                begin = None
        if begin is not None:
            raise ValueError(f"line {begin}: a solution that does not end")
        return blocks

    def _block(self, begin: int, end: int) -> Block:
        exercise = next((cell.exercise for cell in self.cells if cell.first <= begin and end <= cell.last), None)
        if exercise is None:
            raise ValueError(f"line {begin}: a solution outside an exercise's cell")
        marker = self.lines[begin - 1]
        indentation = marker[: len(marker) - len(marker.lstrip())]
        return Block(exercise, _holder(self.tree, begin, end), begin + 1, end - 1, indentation)

    def block(self, exercise: str, function: str | None) -> Block:
        """The block of an exercise in the function of that qualified name, or its only block.

        Raises: ValueError if that names no block, or several.
        """
        held = [block for block in self.blocks if block.exercise == exercise]
        found = [block for block in held if function is None or block.function == function]
        if len(found) != 1:
            wanted = f" at {function}" if function else ""
            there = ", ".join(block.function for block in held) or "none, or no such exercise"
            raise ValueError(f"exercise {exercise}{wanted}: {len(found)} solution blocks; its blocks are: {there}")
        return found[0]

    def with_body(self, block: Block, body: Sequence[str]) -> str:
        """The file with other lines in the place of one block; the markers stay."""
        lines = indent(dedent("\n".join(body)), block.indentation).split("\n")
        return "\n".join([*self.lines[: block.first - 1], *lines, *self.lines[block.last :]])


def _holder(tree: ast.Module, begin: int, end: int) -> str:
    """The qualified name of the innermost function or class around the first statement between two marker lines."""
    names: list[str] = []
    node: ast.AST = tree
    while True:
        inner = next(
            (
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, (ast.FunctionDef, ast.ClassDef))
                and child.lineno <= begin
                and (child.end_lineno or 0) > begin
            ),
            None,
        )
        if inner is None:
            return ".".join(names) or "the module"
        names.append(inner.name)
        node = inner


def read(module: curriculum.Module) -> Source:
    return Source(curriculum.load().source(module).read_text("utf-8"))


def written_modules() -> list[curriculum.Module]:
    """The modules of the course that are there, not only planned, in the course's order."""
    course = curriculum.load()
    return [module for module in course.modules if course.is_written(module)]
