"""Every module keeps the rules of how modules are written, and runs from top to bottom as it stands."""
import ast
import os
import re
import subprocess
import sys

import pytest

from pytest_tinytorch.course import curriculum, stubs
from pytest_tinytorch.workspace import notebooks
from tests.course.candidate import make_workspace
from tests.course.source import BEGIN, END, read, written_modules
from tinytorch import _overlay

COURSE = curriculum.load()
# Emoji and their joiners, dingbats, box drawing, block elements: formulas, arrows and Greek letters are welcome.
DECORATION = re.compile("[\U0001f000-\U0001faff\u2500-\u259f\u2700-\u27bf\ufe0f\u200d\u2b50\u2b55]")
PATH_OF_A_MACHINE = re.compile(r"/(?:home|Users|root|work|tmp)/")


def texts(module):
    """Every file of a module, with its prose and tests."""
    for folder in (COURSE.source(module).parent, COURSE.folder / module.test_folder):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path, path.read_text("utf-8")


def imported(tree):
    """The modules that a file imports, `from a import b` as both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needed(module):
    """The modules that this one may use: what it needs, and what those need."""
    found = set()
    for number in module.needs:
        found |= {COURSE.module(number)} | needed(COURSE.module(number))
    return found


@pytest.fixture(scope="session")
def workspace(tmp_path_factory):
    return make_workspace(tmp_path_factory.mktemp("prose") / "workspace")


def test_runs_from_top_to_bottom(module, workspace):
    """As a script, with the solutions, in a fresh process; warnings of its own code are errors."""
    environment = os.environ | {_overlay.WORKSPACE_VARIABLE: str(workspace.root), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(COURSE.source(module))], cwd=workspace.root, env=environment,
        capture_output=True, encoding="utf-8", timeout=300, check=False,
    )
    assert done.returncode == 0, done.stderr


def test_is_250_to_700_lines_long(module):
    length = len(read(module).text.splitlines())
    assert 250 <= length <= 700


def test_the_learners_part_is_20_to_150_lines(module):
    """Comments and blank lines left out. STYLE aims at 60 and more; a module of one-line formulas has fewer."""
    source = read(module)
    lines = [line.strip() for block in source.blocks for line in source.lines[block.first - 1 : block.last]]
    assert 20 <= sum(bool(line) and not line.startswith("#") for line in lines) <= 150


def test_has_three_to_ten_exercises(module):
    assert 3 <= len(read(module).exercises) <= 10


def test_cells_say_what_they_are(module):
    """Prose, an exercise with points and task, code of the package, or a demonstration; nothing else."""
    for cell in notebooks.parse_percent(read(module).text, module.folder):
        if cell.kind == "markdown":
            assert not cell.metadata, cell.line
        elif "exercise" in cell.metadata:
            assert set(cell.metadata) == {"exercise", "points", "task"}, cell.line
            assert isinstance(cell.metadata["points"], int), cell.line
            assert 1 <= cell.metadata["points"] <= 10, cell.line
            assert cell.metadata["task"] == cell.metadata["task"].strip(" ."), cell.line
        else:
            assert cell.metadata in ({}, {"tags": ["export"]}), cell.line


def test_exercise_names_are_unique_in_the_course(module):
    elsewhere = {name for other in written_modules() if other != module for name in read(other).exercises}
    assert not set(read(module).exercises) & elsewhere


def test_begins_with_its_title(module):
    first, title = read(module).lines[:2]
    assert first == "# %% [markdown]"
    assert re.match(rf"# # (Module {module.number}: )?{module.title}\b", title), title


def test_each_exercise_is_announced_in_prose(module):
    source = read(module)
    prose = "\n".join(cell.text for cell in source.cells if cell.is_prose)
    missing = [name for name in source.exercises if f"**Exercise `{name}`.**" not in prose]
    assert not missing


def test_stub_is_python_without_a_trace_of_the_solutions(module):
    source = read(module)
    stub = stubs.stub(source.text, module.folder)
    ast.parse(stub)
    assert BEGIN not in stub
    assert END not in stub
    assert stub.count("raise NotImplementedError(\"exercise ") == len(source.blocks)


def test_every_solution_stands_in_a_function(module):
    assert not [block.exercise for block in read(module).blocks if block.function == "the module"]


def test_measures_what_was_built(module):
    """Systems analysis: a demonstration in the last third measures, and prints or draws it."""
    source = read(module)
    last = [cell.text for cell in source.cells if not cell.is_exported and not cell.is_prose and cell.first > len(source.lines) * 2 / 3]
    assert any(re.search(r"\bmeasure\.\w+\(", text) for text in last)


def test_uses_earlier_modules_only(module):
    """Its own code and its tests: lower-numbered modules that it needs, NumPy, the base package, the standard library."""
    allowed = {other.exports for other in needed(module)}
    course = {other.exports for other in COURSE.modules}
    source = read(module)
    exported = "\n".join(cell.text for cell in source.cells if cell.is_exported)
    late = {"tinytorch.core.autograd"} if module.slug == "tensor" else set()  # imported when `backward()` is called
    assert not (set(imported(ast.parse(exported))) & course) - allowed - late
    for path in sorted((COURSE.folder / module.test_folder).glob("*.py")):
        assert not (set(imported(ast.parse(path.read_text("utf-8")))) & course) - allowed - {module.exports}, path


def test_depends_on_numpy_and_the_standard_library_only(module):
    roots = {name.split(".")[0] for name in imported(read(module).tree)}
    assert not roots - {"numpy", "tinytorch"} - sys.stdlib_module_names


def test_no_exercise_depends_on_a_demonstration(module):
    """What the package gets is complete without the other cells: it compiles, and every global name in it is defined in it."""
    import builtins
    import symtable

    text = "\n".join(cell.text for cell in read(module).cells if cell.is_exported)
    table = symtable.symtable(text, module.folder, "exec")
    defined = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used, tables = set(), [table]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        used |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    assert not used - defined - set(dir(builtins)) - {"__name__", "__file__"}


def test_has_no_decoration_and_no_path_of_a_machine(module):
    for path, text in texts(module):
        for number, line in enumerate(text.splitlines(), start=1):
            assert not DECORATION.search(line), f"{path}:{number}"
            assert not PATH_OF_A_MACHINE.search(line), f"{path}:{number}"
            assert len(line) <= (120 if path == COURSE.source(module) else 140), f"{path}:{number}"


def test_has_a_readme(module):
    text = (COURSE.source(module).parent / "README.md").read_text("utf-8")
    assert text.startswith((f"# {module.number} {module.title}\n", f"# Module {module.number}: {module.title}\n"))
