"""Several Pythons and several installations: what is told of which, and what is nobody's fault."""
from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinytorch
from pytest_tinytorch.health import environment
from pytest_tinytorch.health.check import FAULT, NOTE, Check

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="Windows starts commands by their suffix")


def states(checks: Iterator[Check]) -> list[str]:
    return [check.state for check in checks]


# --- installed twice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('__version__ = "0.0.1"\n', [FAULT]),
        ('"""Somebody else\'s."""\n', [FAULT]),
        (f'__version__ = "{tinytorch.__version__}"\n', [NOTE]),
    ],
    ids=["another version", "another package", "the same version"],
)
def test_a_second_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, expected: list[str]):
    (tmp_path / "tinytorch").mkdir()
    (tmp_path / "tinytorch" / "__init__.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    found = list(environment.installations())
    assert states(iter(found)) == expected
    assert f"{Path(tinytorch.__file__).parent} is used" in found[0].text and f"{tmp_path / 'tinytorch'} is not" in found[0].text


def test_one_installation_by_two_names_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = Path(tinytorch.__file__).parents[1]
    monkeypatch.syspath_prepend(f"{folder}{os.sep}.")
    assert list(environment.installations()) == []


def test_a_workspace_on_the_path_is_no_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tinytorch" / "core").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert list(environment.installations()) == []


# --- PYTHONPATH --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random.py", "numpy/__init__.py", "pytest/__init__.py"])
def test_a_folder_of_pythonpath_that_hides_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(tmp_path / "gone"), str(tmp_path)]))
    [check] = environment.python_path()
    assert check.state == FAULT and check.text == f"PYTHONPATH has {tmp_path}, which hides {Path(Path(name).parts[0]).stem}"


def test_another_pythons_packages_in_pythonpath_are_one_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("click", "filelock", "numpy", "platformdirs", "pluggy", "pytest", "rich"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    [check] = environment.python_path()
    assert check.text.endswith("hides click, filelock, numpy, platformdirs, pluggy and 2 more")


@pytest.mark.parametrize("name", ["mine.py", "random/notes.txt", "numpy.txt"])
def test_a_folder_of_pythonpath_that_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert list(environment.python_path()) == []


def test_this_pythons_own_packages_in_pythonpath_hide_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", sysconfig.get_path("purelib"))
    assert list(environment.python_path()) == []


# --- commands ----------------------------------------------------------------------------------------------------


def launcher(folder: Path, content: str | bytes, name: str = "pytest") -> Path:
    """A command in a folder, and the other one beside it, which is right."""
    folder.mkdir(exist_ok=True)
    for command, text in (("tito", f"#!{sys.executable}\n"), ("pytest", f"#!{sys.executable}\n"), (name, content)):
        (folder / command).write_bytes(text if isinstance(text, bytes) else text.encode())
        (folder / command).chmod(0o755)
    return folder / name


@not_on_windows
@pytest.mark.parametrize(
    "content",
    [
        "#!{python}\nimport sys\n",
        "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\nimport sys\n",
        b"MZ\x90\x00binary\x00#!{python}\r\nPK\x03\x04",
    ],
    ids=["first line", "exec", "exe"],
)
@pytest.mark.parametrize("name", ["tito", "pytest"])
def test_a_command_of_another_python_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | bytes):
    other, ours = "/opt/an other/bin/python3.11", sys.executable
    for python, expected in ((other, [FAULT]), (ours, [])):
        text = content.replace(b"{python}", python.encode()) if isinstance(content, bytes) else content.replace("{python}", python)
        command = launcher(tmp_path / "bin", text, name)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        found = list(environment.commands())
        assert states(iter(found)) == expected
    command = launcher(tmp_path / "bin", f"#!{other}\n", name)
    [check] = environment.commands()
    assert check.text == f"The command {name} is {command}, which belongs to another Python, {other}"


@not_on_windows
def test_the_base_of_a_virtual_environment_is_another_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Both are one program; what they import isn't the same."""
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "python").symlink_to(sys.executable)
    launcher(tmp_path / "bin", f"#!{tmp_path / 'venv' / 'python'}\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert states(environment.commands()) == [FAULT]


@not_on_windows
def test_a_command_found_by_name_is_the_one_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    launcher(tmp_path / "bin", "#!/usr/bin/env python3\n")
    (tmp_path / "bin" / "python3").write_text("", "utf-8")
    (tmp_path / "bin" / "python3").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    [check] = environment.commands()
    assert check.text.endswith(f"another Python, {tmp_path / 'bin' / 'python3'}")


@not_on_windows
def test_a_link_to_our_command_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    launcher(tmp_path / "real", f"#!{sys.executable}\n")
    (tmp_path / "bin").mkdir()
    for name in ("tito", "pytest"):
        (tmp_path / "bin" / name).symlink_to(tmp_path / "real" / name)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert list(environment.commands()) == []


@not_on_windows
@pytest.mark.parametrize(("prefix", "expected"), [("manager/versions/3.12", []), ("elsewhere", [FAULT])])
def test_a_version_managers_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str, expected: list[str]):
    (tmp_path / "manager").mkdir()
    launcher(tmp_path / "manager" / "shims", '#!/usr/bin/env bash\nexec "/opt/manager" exec "$program" "$@"\n')
    monkeypatch.setattr(sys, "prefix", str(tmp_path / prefix))
    monkeypatch.setenv("PATH", str(tmp_path / "manager" / "shims"))
    assert states(environment.commands()) == expected


def test_a_path_without_the_scripts_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    [check] = environment.commands()
    assert check.state == NOTE and check.text == f"tito and pytest: not found on PATH, which lacks {sysconfig.get_path('scripts')}"


@pytest.mark.parametrize("kind", ["venv", "conda", "system"])
def test_what_to_do_depends_on_the_kind_of_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "base") if kind == "venv" else str(tmp_path))
    if kind == "conda":
        (tmp_path / "conda-meta").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    [check] = environment.commands()
    told = {"venv": "activate", "conda": f"conda activate {tmp_path}", "system": f"or type: {sys.executable} -m tito"}
    assert told[kind] in check.fix
