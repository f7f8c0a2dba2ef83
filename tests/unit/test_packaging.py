"""Who imports whom, and what is public. What is built from it and installed: `test_distribution.py`."""
from __future__ import annotations

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "tinytorch": set(),
    "pytest_tinytorch": {"tinytorch"},
    "tito": {"tinytorch", "pytest_tinytorch"},
}  # what each may import
KNOW_PYTEST = {"plugin.py", "session.py", "recorder.py", "reporting.py", "fixtures.py", "shares.py", "warm.py"}
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
