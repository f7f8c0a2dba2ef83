"""The student's modules appear beside the installed ones, and only beside: `tinytorch._overlay`."""
from __future__ import annotations

import importlib
import inspect
import json
import linecache
import os
import shutil
import subprocess
import sys
import traceback

import pytest

import tinytorch
from tinytorch import _overlay

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions and links")


@pytest.fixture(autouse=True)
def bound_as_before(monkeypatch):
    """Every test binds as it likes; afterwards the package is bound as it was."""
    path, finders = list(tinytorch.__path__), list(sys.meta_path)
    monkeypatch.delenv(_overlay.WORKSPACE_VARIABLE, raising=False)
    monkeypatch.delenv(_overlay.STAGING_VARIABLE, raising=False)
    yield
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    _overlay.bind()
    sys.dont_write_bytecode = before
    tinytorch.__path__, sys.meta_path[:] = path, finders


def put(folder, **modules):
    """Files such as core/tensor.py, given as core_tensor="text", in a folder that `bind` takes."""
    for name, text in modules.items():
        path = folder.joinpath(*name.split("_")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def workspace(root, **modules):
    put(root / "tinytorch", **modules)
    (root / ".tito").mkdir(parents=True, exist_ok=True)
    return root


# --- which folder is the workspace --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("[tool.tinytorch]\n", True),
        ("[project]\r\nname = 'x'\r\n[tool.tinytorch]\r\n", True),
        ("[tool.pytest]\n[tool.tinytorch] # marks it", True),
        ("# [tool.tinytorch]\n", False),
        ("[tool.tinytorches]\n", False),
        ("[project]\nname = 'tinytorch'\n", False),
        ("\xff broken", False),
        ("", False),
    ],
    ids=[
        "only table",
        "crlf",
        "comment after",
        "commented out",
        "other table",
        "the project itself",
        "not utf-8",
        "empty",
    ],
)
def test_a_pyproject_with_the_courses_table_makes_a_workspace(tmp_path, text, is_one):
    (tmp_path / "pyproject.toml").write_bytes(text.encode("latin-1"))
    assert _overlay.is_workspace(tmp_path) is is_one


def test_a_tito_folder_makes_a_workspace_and_a_file_does_not(tmp_path):
    (tmp_path / ".tito").touch()
    assert not _overlay.is_workspace(tmp_path)
    (tmp_path / ".tito").unlink()
    (tmp_path / ".tito").mkdir()
    assert _overlay.is_workspace(tmp_path)


def test_a_pyproject_that_is_a_folder_makes_none(tmp_path):
    (tmp_path / "pyproject.toml").mkdir()
    assert not _overlay.is_workspace(tmp_path)


def test_the_nearest_workspace_wins(tmp_path):
    outer, inner = workspace(tmp_path), workspace(tmp_path / "inner")
    deep = inner / "modules" / "01_tensor"
    deep.mkdir(parents=True)
    assert _overlay.find_workspace(deep) == inner
    assert _overlay.find_workspace(inner.parent) == outer


def test_the_variable_wins_over_the_folder(tmp_path, monkeypatch):
    inner, other = workspace(tmp_path / "inner"), workspace(tmp_path / "other")
    monkeypatch.setenv(_overlay.WORKSPACE_VARIABLE, str(other))
    assert _overlay.find_workspace(inner) == other
    monkeypatch.setenv(_overlay.WORKSPACE_VARIABLE, "")
    assert _overlay.find_workspace(inner) == inner


def test_the_variable_may_be_relative(tmp_path, monkeypatch):
    workspace(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(_overlay.WORKSPACE_VARIABLE, "mine")
    assert _overlay.find_workspace() == tmp_path / "mine"


@pytest.mark.parametrize(
    "named",
    ["", "relative", "/does/not/exist", "~nobody-of-this-name/x"],
    ids=["none", "relative", "nowhere", "no home"],
)
@pytest.mark.parametrize("folder", ["there", "deleted"])
def test_importing_works_wherever_the_environment_points(tmp_path, named, folder):
    """The import of a library must not fail over where it happens; a command says later what is wrong."""
    if folder == "deleted" and os.name == "nt":
        pytest.skip("Windows keeps a process's working directory")
    here = tmp_path / "here"
    here.mkdir()
    program = "import os, sys; os.chdir(sys.argv[1])\n"
    program += "import shutil; shutil.rmtree(sys.argv[1])\n" if folder == "deleted" else ""
    program += "import tinytorch; import tinytorch.random; print('imported')"
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "USERPROFILE")} | {
        _overlay.WORKSPACE_VARIABLE: named
    }
    done = subprocess.run(
        [sys.executable, "-c", program, str(here)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "imported\n", done.stderr


@not_on_windows
@pytest.mark.skipif(
    not shutil.which("setpriv") and getattr(os, "geteuid", lambda: 1)() == 0, reason="root may read everything"
)
def test_importing_works_below_a_folder_that_may_not_be_searched(tmp_path):
    """Somebody else's home folder, for instance, above a shared one."""
    closed = tmp_path / "closed"
    (closed / "mine").mkdir(parents=True)
    become = (
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
    )
    program = (
        "import os, sys; os.chdir(sys.argv[1] + '/mine'); os.chmod(sys.argv[1], 0)\n"
        "import tinytorch; from pathlib import Path; from tinytorch import _overlay\n"
        "print(_overlay.find_workspace(Path(sys.argv[1] + '/mine')))"
    )
    done = subprocess.run(
        [*become, sys.executable, "-c", program, str(closed)], capture_output=True, text=True, check=False
    )
    closed.chmod(0o755)
    assert done.stdout == "None\n", done.stderr


# --- what is imported from where ----------------------------------------------------------------------------------


def test_exports_stand_beside_the_installed_modules(tmp_path):
    _overlay.bind(workspace(tmp_path, core_tensor="import tinytorch.random\nx = 1"))
    from tinytorch import random
    from tinytorch.core import tensor

    assert tensor.x == 1
    assert random.__file__.startswith(os.path.dirname(tinytorch.__file__))  # noqa: PTH120


@pytest.mark.parametrize("name", ["random", "errors", "files", "measure", "datasets", "_overlay"])
def test_a_students_file_never_replaces_a_base_module(tmp_path, name):
    root = workspace(tmp_path / "workspace", **{name.removeprefix("_"): "mine = True"})
    if name == "_overlay":
        (root / "tinytorch" / "_overlay.py").write_text("mine = True")
    staging = put(tmp_path / "staging", **{name.removeprefix("_"): "mine = True"})
    before = importlib.import_module(f"tinytorch.{name}")
    _overlay.bind(root, staging)
    assert importlib.import_module(f"tinytorch.{name}") is before
    program = f"import tinytorch.{name} as m; print(hasattr(m, 'mine'))"
    environment = os.environ | {_overlay.WORKSPACE_VARIABLE: str(root), _overlay.STAGING_VARIABLE: str(staging)}
    fresh = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert fresh.stdout == "False\n"


def test_staging_comes_before_the_workspace_module_by_module(tmp_path):
    root = workspace(tmp_path / "workspace", core_tensor="x = 'old'", core_layers="y = 'exported'")
    _overlay.bind(root, put(tmp_path / "staging", core_tensor="x = 'new'"))
    from tinytorch.core import layers, tensor

    assert (tensor.x, layers.y) == ("new", "exported")


def test_binding_again_forgets_the_students_modules_and_no_others(tmp_path):
    import tinytorch.measure as measure

    first, second = (
        workspace(tmp_path / "1", core_tensor="x = 1", capstone="x = 1"),
        workspace(tmp_path / "2", core_tensor="x = 2"),
    )
    _overlay.bind(first)
    tensor, capstone = importlib.import_module("tinytorch.core.tensor"), importlib.import_module("tinytorch.capstone")
    assert tinytorch.capstone is capstone
    _overlay.bind(second)
    assert importlib.import_module("tinytorch.core.tensor").x == 2
    assert tensor.x == 1, "whoever holds the old module keeps it"
    assert not hasattr(tinytorch, "capstone")
    assert importlib.import_module("tinytorch.measure") is measure


def test_binding_again_and_again_leaves_one_finder_of_each_kind(tmp_path):
    for number in range(3):
        _overlay.bind(workspace(tmp_path / str(number)), put(tmp_path / f"s{number}"))
    kinds = [type(finder).__name__ for finder in sys.meta_path]
    assert (kinds.count("_StagedFinder"), kinds.count("_MissingFinder")) == (1, 1)
    assert list(tinytorch.__path__)[1:] == [str(tmp_path / "s2"), str(tmp_path / "2" / "tinytorch")]


def test_core_is_found_in_staging_even_if_the_workspaces_has_an_init(tmp_path):
    root = workspace(tmp_path / "workspace", core___init__="", core_layers="from tinytorch.core.tensor import x")
    _overlay.bind(root, staged(tmp_path, "x = 'staged'\n"))
    from tinytorch.core import layers

    assert layers.x == "staged"


# --- a missing export ---------------------------------------------------------------------------------------------

MESSAGE = r"tinytorch\.core\.autograd comes from module 06 \(Autograd\).*Complete it first: tito module complete 06"
FORMS = [
    "import tinytorch.core.autograd",
    "import tinytorch.core.autograd as autograd",
    "from tinytorch.core import autograd",
    "from tinytorch.core import tensor, autograd",
    "from tinytorch.core.autograd import backward",
    "from tinytorch.core.autograd import *",
    "import importlib; importlib.import_module('tinytorch.core.autograd')",
    "import importlib; importlib.import_module('.autograd', 'tinytorch.core')",
    "__import__('tinytorch.core.autograd')",
]


@pytest.mark.parametrize("statement", FORMS)
@pytest.mark.parametrize("exported", [True, False], ids=["others exported", "nothing exported"])
def test_a_missing_export_names_the_module_to_complete(tmp_path, statement, exported):
    _overlay.bind(workspace(tmp_path, **({"core_tensor": ""} if exported else {})))
    if not exported:
        statement = statement.replace("tensor, ", "")
    for _ in range(2):  # the second time is not another case: nothing is remembered
        with pytest.raises(ImportError, match=MESSAGE) as raised:
            exec(statement, {})
        assert raised.value.name == "tinytorch.core.autograd"


def test_a_missing_export_is_named_where_another_export_needs_it(tmp_path):
    _overlay.bind(workspace(tmp_path, core_layers="from tinytorch.core.tensor import Tensor"))
    with pytest.raises(ImportError, match=r"core\.tensor comes from module 01 \(Tensor\)"):
        importlib.import_module("tinytorch.core.layers")


def test_a_missing_export_without_any_workspace_is_named_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _overlay.bind()
    with pytest.raises(ImportError, match=r"tinytorch\.capstone comes from module 20"):
        importlib.import_module("tinytorch.capstone")


def test_a_name_that_is_no_module_of_the_course_is_not_found_as_usual(tmp_path):
    _overlay.bind(workspace(tmp_path))
    for name in ("tinytorch.core.nonsense", "tinytorch.nonsense", "tinytorch.core.tensor2"):
        with pytest.raises(ModuleNotFoundError, match=f"No module named '{name}'"):
            importlib.import_module(name)
    with pytest.raises(ImportError, match=r"cannot import name 'nonsense' from 'tinytorch\.core'"):
        exec("from tinytorch.core import nonsense", {})


def test_a_name_missing_from_an_export_is_pythons_own_error(tmp_path):
    _overlay.bind(workspace(tmp_path, core_tensor="x = 1"))
    with pytest.raises(ImportError, match=r"cannot import name 'Tensor' from 'tinytorch\.core\.tensor'"):
        exec("from tinytorch.core.tensor import Tensor", {})


def test_an_export_that_came_after_the_failed_import_is_found(tmp_path):
    root = workspace(tmp_path)
    _overlay.bind(root)
    with pytest.raises(ImportError, match="module 01"):
        importlib.import_module("tinytorch.core.tensor")
    put(root / "tinytorch", core_tensor="x = 1")
    importlib.invalidate_caches()
    for name in ("tinytorch.core.tensor", "tinytorch.core"):
        sys.modules.pop(name, None)
    assert importlib.import_module("tinytorch.core.tensor").x == 1


# --- the table of an instructor's course ---


def with_table(folder, text):
    root = workspace(folder)
    (root / "tinytorch").mkdir(parents=True, exist_ok=True)
    (root / "tinytorch" / _overlay.COURSE_TABLE).write_text(text, "utf-8")
    _overlay.bind(root)


def test_a_missing_export_of_an_instructors_module_is_named(tmp_path):
    with_table(tmp_path, '{"tinytorch.core.tensor": ["01", "Tensor"], "tinytorch.extra.slopes": ["21", "Slopes \u00fc"]}')
    with pytest.raises(ImportError, match=r"extra\.slopes comes from module 21 \(Slopes \u00fc\), .* tito module complete 21"):
        importlib.import_module("tinytorch.extra.slopes")
    with pytest.raises(ImportError, match=r"core\.tensor comes from module 01 \(Tensor\), .* tito module complete 01"):
        importlib.import_module("tinytorch.core.tensor")


def test_a_module_that_the_instructors_course_leaves_out_is_named(tmp_path):
    with_table(tmp_path, '{"tinytorch.core.tensor": ["01", "Tensor"]}')
    for name in ("tinytorch.core.layers", "tinytorch.capstone"):
        with pytest.raises(ImportError, match=r"comes from module \d\d \(\w+\), which the course of this workspace leaves out"):
            importlib.import_module(name)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tinytorch.core.tensor": "x"}', '{"tinytorch.core.tensor": 1}'])
def test_without_a_table_that_can_be_read_the_installed_courses_holds(tmp_path, text):
    with_table(tmp_path, text)
    with pytest.raises(ImportError, match=r"core\.layers comes from module 03 \(Layers\), .* tito module complete 03"):
        importlib.import_module("tinytorch.core.layers")


# --- staged modules, cell by cell ---------------------------------------------------------------------------------


def staged(tmp_path, *cells, module="tinytorch.core.tensor", name="nb.ipynb:cell {}"):
    """A staging folder in which a module consists of cells."""
    folder, lines, pieces = tmp_path / "staging", [], []
    for number, cell in enumerate(cells, start=1):
        first = len(lines)
        lines += cell.rstrip("\n").split("\n")
        pieces.append((name.format(number), first, len(lines)))
    file = "/".join(module.split(".")[1:]) + ".py"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    (folder / _overlay.STAGING_MAP).write_text(json.dumps({module: {"file": file, "pieces": pieces}}), "utf-8")
    return folder


def tensor_of(tmp_path, *cells):
    _overlay.bind(workspace(tmp_path / "workspace"), staged(tmp_path, *cells))
    return importlib.import_module("tinytorch.core.tensor")


def test_cells_run_in_order_in_one_namespace(tmp_path):
    tensor = tensor_of(tmp_path, "x = 1", "def f():\n    return x + y", "y = 2")
    assert tensor.f() == 3
    assert tensor.__name__ == "tinytorch.core.tensor"
    assert tensor.__file__ == str(tmp_path / "staging" / "core" / "tensor.py")


def test_a_traceback_shows_the_cell_and_the_line(tmp_path):
    tensor = tensor_of(tmp_path, "import math", "def f():\n    # no root\n    return math.sqrt(-1)")
    with pytest.raises(ValueError, match=r"math domain error|expected a nonnegative") as raised:
        tensor.f()
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.filename, last.lineno, last.line) == ("nb.ipynb:cell 2", 3, "return math.sqrt(-1)")


@pytest.mark.parametrize(
    "odd", ["\f", "s = '\u2028'", "s = '\x1c\x85'"], ids=["form feed", "line separator", "control"]
)
def test_lines_are_those_that_python_counts(tmp_path, odd):
    """str.splitlines sees line ends that Python doesn't; the line shown would be another one."""
    tensor = tensor_of(tmp_path, f"{odd}\nx = 0\ndef f():\n    return 1 / x  # here\n")
    with pytest.raises(ZeroDivisionError) as raised:
        tensor.f()
    assert traceback.extract_tb(raised.value.__traceback__)[-1].line == "return 1 / x  # here"


def test_the_source_stays_readable_when_files_change(tmp_path):
    tensor = tensor_of(tmp_path, "x = 1", "def f():\n    return 'é'")
    linecache.checkcache()
    assert inspect.getsource(tensor.f) == "def f():\n    return 'é'\n"
    shutil.rmtree(tmp_path / "staging")
    linecache.checkcache()
    assert linecache.getline("nb.ipynb:cell 2", 2) == "    return 'é'\n"


def test_a_cell_that_was_changed_shows_its_new_lines(tmp_path):
    tensor_of(tmp_path, "x = 'old'")
    assert tensor_of(tmp_path, "x = 'new'").x == "new"
    assert linecache.getline("nb.ipynb:cell 1", 1) == "x = 'new'\n"


def test_future_imports_hold_for_the_cells_after_them(tmp_path):
    tensor = tensor_of(
        tmp_path,
        "from __future__ import annotations",
        "def f(x: Unknown):\n    return x",
        "class A:\n    b: Unknown = 1",
    )
    assert tensor.f.__annotations__ == {"x": "Unknown"}
    assert tensor.A.__annotations__ == {"b": "Unknown"}


def test_future_imports_do_not_hold_for_the_cells_before_them_nor_other_modules(tmp_path):
    with pytest.raises(NameError, match="Unknown"):
        tensor_of(tmp_path, "def f(x: Unknown): pass", "from __future__ import annotations")
    with pytest.raises(NameError, match="Unknown"):
        tensor_of(tmp_path, "def f(x: Unknown): pass")  # this test file itself has the import


def test_a_mistake_in_a_cell_points_at_the_cell(tmp_path):
    with pytest.raises(SyntaxError) as raised:
        tensor_of(tmp_path, "x = 1", "\nx = (")
    assert (raised.value.filename, raised.value.lineno) == ("nb.ipynb:cell 2", 2)
    assert "tinytorch.core.tensor" not in sys.modules, "half a module is not kept"


def test_a_staged_module_is_found_below_a_path_with_spaces_and_emoji(tmp_path):
    long = tmp_path / ("Mein Ordner \N{SNAKE} " * 6).strip() / ("x" * 100)
    assert len(str(long)) > 200
    assert tensor_of(long, "x = 1").x == 1


def test_two_processes_use_one_staging_folder(tmp_path):
    """As the workers of pytest-xdist do."""
    staging, root = (
        staged(tmp_path, "x = 1", "def f():\n    return 2"),
        workspace(tmp_path / "workspace", core_tensor="x = 0"),
    )
    program = (
        "import sys; from pathlib import Path; from tinytorch import _overlay\n"
        "_overlay.bind(*map(Path, sys.argv[1:]))\n"
        "from tinytorch.core.tensor import f, x; print(x, f(), f.__code__.co_filename)"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(root), str(staging)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in processes] == ["1 2 nb.ipynb:cell 2\n"] * 2
    assert sorted(path.name for path in staging.rglob("*") if path.is_file()) == ["staging.json", "tensor.py"]
