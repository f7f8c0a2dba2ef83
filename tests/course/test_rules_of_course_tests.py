"""Course tests keep their rules: they look at plain values, say what they expect, and an empty stub satisfies none of them."""
import ast
import re

import pytest

from pytest_tinytorch.course import curriculum
from tests.course.source import read

COURSE = curriculum.load()


def files(module):
    """The test files of a module with their syntax."""
    for path in sorted((COURSE.folder / module.test_folder).glob("*.py")):
        yield path, ast.parse(path.read_text("utf-8"))


def definitions(module):
    for path, tree in files(module):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield path, node


def calls(module, name):
    """Calls in test files of what is written `name`, such as `pytest.raises`."""
    for path, tree in files(module):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
                yield f"{path.name}:{node.lineno}", node


def test_each_file_and_each_test_says_what_it_is_about(module):
    silent = [f"{path.name}: {node.name}" for path, node in definitions(module) if not ast.get_docstring(node)]
    silent += [path.name for path, tree in files(module) if not ast.get_docstring(tree)]
    assert not silent


def test_each_test_belongs_to_an_exercise_and_each_exercise_has_tests(module, examiner):
    tested = examiner.reference(module)
    assert set(tested.exercises.values()) == set(read(module).exercises)
    assert set(tested.exercises) == set(tested.rounds[0])


def test_has_progressive_integration_tests(module):
    assert (COURSE.folder / module.test_folder / "test_progressive_integration.py").is_file()


def test_expected_errors_are_named_with_words(module):
    """`pytest.raises` has a `match`, and no class that the stub's NotImplementedError belongs to."""
    for place, call in calls(module, "pytest.raises"):
        assert [keyword.arg for keyword in call.keywords] == ["match"], place
        classes = {ast.unparse(node) for node in ast.walk(call.args[0]) if isinstance(node, ast.Name)}
        assert not classes & {"RuntimeError", "NotImplementedError", "Exception", "BaseException"}, place


def test_parameters_have_names(module, examiner):
    """Under the ids, results are kept: they are chosen, not numbered by pytest."""
    names = [name for _, call in calls(module, "pytest.mark.parametrize") for name in re.findall(r"\w+", ast.unparse(call.args[0]))]
    numbered = re.compile(rf"(?:{'|'.join(names)})\d+")
    for test in examiner.reference(module).rounds[0]:
        parameters = test.partition("[")[2].removesuffix("]")
        assert not any(map(numbered.fullmatch, parameters.split("-"))), test


@pytest.mark.parametrize("fixture", ["monkeypatch", "capsys", "capfd", "request"])
def test_no_test_reaches_into_the_students_process(module, fixture):
    """The student's code may run in another process, where nothing can be patched and no output is seen."""
    users = [f"{path.name}: {node.name}" for path, node in definitions(module) if fixture in [a.arg for a in node.args.args]]
    assert not users


def test_no_test_uses_another_framework_or_its_own_random_numbers(module):
    for path, tree in files(module):
        text = ast.unparse(tree)
        for word in ("import torch", "from torch", "np.random.rand", "np.random.seed", "default_rng()", "time.time"):
            assert word not in text or path.name == "student_side.py", f"{path.name}: {word}"
