"""An error of the student's module is told with the student's lines, and with none of the machinery's."""
from __future__ import annotations

import importlib
import sys

import pytest

import tinytorch
from pytest_tinytorch.limits import TookTooLong
from pytest_tinytorch.problems import problem_of
from pytest_tinytorch.workspace import convert, staging
from tinytorch import _overlay

EXPORTED = '# %% tags=["export"]\n'
LATER = f"# %% [markdown]\n# prose\n\n{EXPORTED}import math\n\n{EXPORTED}"


@pytest.fixture(params=["py", "ipynb"])
def problem(request, workspace, tmp_path):
    """What is told of a module whose second exported cell holds this code, and where that cell begins."""
    module = workspace.course.module("01")
    path = next(path for path in workspace.forms(module) if path.suffix == f".{request.param}")
    imported, finders = list(tinytorch.__path__), list(sys.meta_path)

    def of(code):
        workspace.forms(module)[1].unlink()
        path.write_text(LATER + code if request.param == "py" else convert.to_notebook(LATER + code), "utf-8")
        folder = tmp_path / "staging"
        folder.mkdir()
        staging.stage(workspace, [workspace.working_copy(module)], folder)
        _overlay.bind(workspace.root, folder)
        with pytest.raises(BaseException) as raised:  # noqa: PT011  # whatever the code raises
            importlib.import_module(module.exports)
        line = LATER.count("\n") + 1
        raised.value.__traceback__ = raised.tb.tb_next  # without this test's own frame
        return problem_of(raised.value), (lambda n: f"{path}:{line + n - 1}") if request.param == "py" else (
            lambda n: f"modules/01_tensor/01_tensor.ipynb:cell 3:{n}"
        )

    yield of
    _overlay.bind()
    tinytorch.__path__, sys.meta_path[:] = imported, finders


def test_an_error_is_told_with_its_place_and_the_line(problem):
    told, place = problem("x = 0\ny = 1 / x\n")
    assert told.first_line == f"{place(2)}: ZeroDivisionError: division by zero"
    assert "    y = 1 / x\n" in told.text
    assert told.text.endswith("\nZeroDivisionError: division by zero")


def test_the_calls_that_led_to_it_are_shown_and_no_machinery(problem):
    told, place = problem("def f(x):\n    return math.sqrt(x)\n\nroot = f(-1)\n")
    assert told.first_line.startswith(f"{place(2)}: ValueError: ")
    assert told.text.index("root = f(-1)") < told.text.index("return math.sqrt(x)")
    for machinery in ("importlib", "_overlay", "session.py", "exec_module"):
        assert machinery not in told.text


def test_a_mistake_of_syntax_is_told_with_its_place_and_a_caret(problem):
    told, place = problem("x = 1\ny = = 2\n")
    assert told.first_line == f"{place(2)}: SyntaxError: invalid syntax"
    assert "^" in told.text


def test_a_module_that_ends_python_is_told_so(problem):
    told, place = problem("import sys\nsys.exit(0)\n")
    assert told.first_line == f"{place(2)}: the module ends Python by itself: SystemExit: 0"


def test_a_missing_module_is_told_with_what_to_do(problem):
    told, place = problem("from tinytorch.core.activations import ReLU\n")
    assert told.first_line.startswith(
        f"{place(1)}: ImportError: tinytorch.core.activations comes from module 02 (Activations)"
    )


def test_an_error_without_a_message_is_told_by_its_name(problem):
    told, place = problem("raise KeyError\n")
    assert told.first_line == f"{place(1)}: KeyError"


def test_of_a_deep_recursion_the_end_is_shown(problem):
    told, place = problem("def f(n):\n    return f(n + 1)\n\nf(0)\n")
    assert told.first_line.startswith(f"{place(2)}: RecursionError: maximum recursion depth exceeded")
    assert len(told.text.splitlines()) < 30


def test_an_error_from_nowhere_is_told_by_itself():
    assert problem_of(TookTooLong("interrupted")).text == "TookTooLong: interrupted"
    assert problem_of(RuntimeError()).text == "RuntimeError"


def test_the_first_line_is_the_first_with_anything_on_it():
    assert problem_of(RuntimeError("one\ntwo")).first_line == "RuntimeError: one"


def test_an_error_whose_own_text_fails_is_told_all_the_same():
    class Rude(Exception):
        def __str__(self):
            raise RuntimeError("no")

    assert "Rude: (its text can't be shown: RuntimeError)" in problem_of(Rude()).text


def test_a_syntax_error_raised_by_hand_has_no_line_of_its_own():
    assert problem_of(SyntaxError("mine")).text == "SyntaxError: mine"
