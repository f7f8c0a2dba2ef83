"""Every wrong solution in the catalogue fails, and the hints name that mistake and no other one of the module."""
import ast

import pytest

from tests.course.catalogue import Mistake, catalogue_file, mistake, mistakes
from tests.course.source import read, written_modules

ENTERED = [(module, entry) for module in written_modules() for entry in mistakes(module)]


@pytest.mark.parametrize(
    ("module", "entry"), ENTERED, ids=[f"{module.folder}-{entry.name}" for module, entry in ENTERED]
)
def test_mistake_is_found_and_named(module, entry, examiner):
    verdict = examiner.examine(module, entry.put_into(read(module)), quiet=True)
    assert not verdict.is_clean, "no course test notices this mistake"
    hints = "\n".join(verdict.hints)
    assert entry.named in hints
    assert not [other.named for other in mistakes(module) if other.named != entry.named and other.named in hints]


def test_catalogue_has_five_mistakes_of_several_exercises(module):
    entries = mistakes(module)
    assert len(entries) >= 5
    assert len({entry.exercise for entry in entries}) >= min(3, len(read(module).exercises))


def test_catalogue_enters_every_function_once(module):
    names = [
        node.name for node in ast.parse(catalogue_file(module).read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    ]
    assert names == [entry.name for entry in mistakes(module)]


def test_mistake_enters_the_body_without_its_docstring():
    @mistake("softmax_forward", named="pass dim on", at="SoftmaxOp.forward")
    def sums_over_everything(ctx, x, dim):
        """It happens."""
        y = x - x.max()
        return y / y.sum()

    assert isinstance(sums_over_everything, Mistake)
    assert [line.strip() for line in sums_over_everything.body] == ["y = x - x.max()", "return y / y.sum()"]
