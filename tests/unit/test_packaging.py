"""Who imports whom, what is public, what the wheel holds, and that it works without a checkout."""
from __future__ import annotations

import ast
import doctest
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "tinytorch": set(),
    "pytest_tinytorch": {"tinytorch"},
    "tito": {"tinytorch", "pytest_tinytorch"},
}  # what each may import
KNOW_PYTEST = {"plugin.py", "session.py", "recorder.py", "receipt.py", "reporting.py", "fixtures.py", "warm.py"}
SOURCES = [
    path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if "_templates" not in path.parts
]

of_every_file = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path):
    """The modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.module


# --- rooms --------------------------------------------------------------------------------------------------------


@of_every_file
def test_imports_go_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    ours = {name.partition(".")[0] for name in imported(path)} & PACKAGES.keys()
    assert ours <= PACKAGES[package] | {package}


@of_every_file
def test_only_hooks_and_reporting_know_pytest(path):
    knows = {name.partition(".")[0] for name in imported(path)} & {"pytest", "_pytest", "pluggy", "xdist"}
    allowed = path.parent == ROOT / "pytest_tinytorch" and path.name in KNOW_PYTEST
    assert not knows or allowed


def test_importing_the_base_package_loads_nothing_heavy():
    heavy = {"numpy", "requests", "filelock", "pytest", "rich", "json"}
    program = f"import tinytorch; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


@of_every_file
def test_all_lists_what_is_public_in_order(path):
    tree = ast.parse(path.read_text("utf-8"))
    assigned = [
        node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    if not assigned:
        return
    listed = ast.literal_eval(assigned[0].value)
    assert listed == sorted(set(listed))
    module = importlib.import_module(module_name(path))
    assert [name for name in listed if not hasattr(module, name)] == []
    defined = {
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    }
    assert defined <= set(listed)


@of_every_file
def test_examples_in_docstrings_hold(path):
    if path.name == "__main__.py" and ">>>" not in path.read_text("utf-8"):
        return
    assert doctest.testmod(importlib.import_module(module_name(path))).failed == 0


def test_every_file_begins_with_what_it_is_for():
    without = [path for path in SOURCES if ast.get_docstring(ast.parse(path.read_text("utf-8"))) is None]
    assert without == []


# --- the wheel ----------------------------------------------------------------------------------------------------


def run(*command, cwd, **environment):
    """A command outside of this checkout's environment variables; its output."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("TINYTORCH_", "PYTHON", "PYTEST_", "COV_", "PIP_"))
    }
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=inherited | {"NO_COLOR": "1"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the project, with what programs leave behind in it."""
    copy = tmp_path_factory.mktemp("checkout") / "tinytorch"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    for name in (*PACKAGES, "templates"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for junk in ("__pycache__/x.cpython-311.pyc", ".DS_Store"):
            (copy / name / junk).parent.mkdir(exist_ok=True)
            (copy / name / junk).write_bytes(b"junk")
    return copy


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, checkout, cwd=folder)
    [path] = folder.glob("*.whl")
    return path


def files_below(folder):
    """The project's files in a folder, without what programs left behind."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != ".DS_Store"
    }


def test_the_wheel_holds_the_three_packages_and_the_course(wheel, checkout):
    with zipfile.ZipFile(wheel) as archive:
        held = [name for name in archive.namelist() if ".dist-info/" not in name]
        info = {name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name}
    packages = {f"{package}/{name}" for package in PACKAGES for name in files_below(checkout / package)}
    course = {f"pytest_tinytorch/_templates/{name}" for name in files_below(checkout / "templates")}
    assert set(held) == packages | course
    assert len(held) == len(set(held))
    assert info == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert wheel.stat().st_size < 10_000_000


@pytest.mark.parametrize("mode", ["wheel", "editable"])
def test_an_installation_works_from_an_empty_folder(mode, checkout, request, tmp_path):
    """In a virtual environment that has the dependencies and knows nothing of the checkout that the tests run in."""
    python = environment(tmp_path / "venv")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    if mode == "wheel":
        run(*install, request.getfixturevalue("wheel"), cwd=tmp_path)
    else:
        run(*install, "--no-build-isolation", "--editable", checkout, cwd=tmp_path)
    tito = python.parent / "tito"
    empty = tmp_path / "somewhere else"
    empty.mkdir()

    installed = Path(run(python, "-c", "import tinytorch; print(tinytorch.__file__)", cwd=empty).strip())
    assert installed.is_relative_to(tmp_path / "venv" if mode == "wheel" else checkout)
    run(tito, "init", "my-tinytorch", "--format", "py", cwd=empty)
    root = empty / "my-tinytorch"
    assert (root / "modules" / "01_tensor" / "01_tensor.py").is_file()
    assert "Modules Completed: 0/20" in run(tito, "status", cwd=root)
    assert "Modules Completed: 0/20" in run(python, "-m", "pytest", "--tito-status", cwd=root)
    how = "wheel" if mode == "wheel" else "editable"
    assert (
        run(python, "-c", "from pytest_tinytorch.health import installation; print(installation())", cwd=root).strip()
        == how
    )

    (root / "tinytorch" / "core").mkdir(parents=True)
    (root / "tinytorch" / "core" / "tensor.py").write_text("import tinytorch.random\nmine = True\n")
    program = (
        "import tinytorch, tinytorch.random, tinytorch.core.tensor as tensor; print(tinytorch.__file__, tensor.mine)\n"
        "try: import tinytorch.core.layers\nexcept ImportError as error: print(error)"
    )
    here, message = run(python, "-c", program, cwd=root).splitlines()
    assert here == f"{installed} True", "the workspace's tinytorch/ hides nothing and is found"
    assert "tito module complete 03" in message


def environment(folder):
    """A new virtual environment that sees this one's packages, but not what its .pth files add; its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder.parent).strip()
    (Path(own) / "dependencies.pth").write_text(
        "\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}) + "\n", "utf-8"
    )
    return python
