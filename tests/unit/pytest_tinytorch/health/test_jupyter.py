"""The kernel `python3` is this Python, or there is something to do."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pytest_tinytorch.health import jupyter
from pytest_tinytorch.health.check import FAULT


@pytest.fixture
def kernel_file(tmp_path: Path) -> Path:
    path = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    path.parent.mkdir(parents=True)
    return path


def describe(path: Path, program: str) -> None:
    path.write_text(json.dumps({"argv": [program, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "Python 3"}), "utf-8")


@pytest.mark.parametrize("program", ["python", "python3", sys.executable])
def test_a_kernel_of_this_python(kernel_file: Path, program: str):
    describe(kernel_file, program)
    assert list(jupyter.kernel()) == []


def test_a_kernel_of_a_python_that_is_gone(kernel_file: Path, tmp_path: Path):
    program = str(tmp_path / "deleted" / "bin" / "python")
    describe(kernel_file, program)
    [check] = jupyter.kernel()
    assert check.state == FAULT and check.text == f"The kernel python3 can't be started: {kernel_file} names {program}, which is gone"
    assert check.fix.startswith(f"{sys.executable} -m ipykernel install --name python3 --")


def test_a_kernel_of_another_python(kernel_file: Path, tmp_path: Path):
    (tmp_path / "python").touch()
    describe(kernel_file, str(tmp_path / "python"))
    [check] = jupyter.kernel()
    assert check.state == FAULT and check.text.startswith(f"Notebooks run on another Python: {kernel_file} names {tmp_path / 'python'}")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"argv": []}', '{"argv": null}'])
def test_a_kernel_file_that_is_broken(kernel_file: Path, text: str):
    kernel_file.write_text(text, "utf-8")
    [check] = jupyter.kernel()
    assert check.state == FAULT and f"{kernel_file} is broken" in check.text


def test_no_kernel_file_is_no_fault_while_ipykernel_is_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jupyter, "_kernel_file", lambda: None)
    assert list(jupyter.kernel()) == []
    monkeypatch.setattr(jupyter, "find_spec", lambda name: None)
    [check] = jupyter.kernel()
    assert check.state == FAULT and check.fix == f"{sys.executable} -m pip install ipykernel"


@pytest.mark.parametrize(("base", "where"), [("base", "--sys-prefix"), ("", "--user")])
def test_the_kernel_is_installed_where_jupyter_finds_it_first(kernel_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: str, where: str):
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path / "python" / base))
    kernel_file.write_text("{", "utf-8")
    assert next(jupyter.kernel()).fix.endswith(where)
