"""What the Tab key offers, and `tito completion`: as lines, and in the shells themselves."""
from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tests.cli.test_manners import LEAVES
from tests.plugin.conftest import Student
from tito import tab
from tito.__main__ import COMPLETION_VARIABLE
from tito.__main__ import tito as command

METAVARS = {"NN": tab.modules, "ID": tab.milestones, "NAME": tab.backups, "DATASET": tab.datasets, "RECORD": tab.records, "BUDGET": tab.budgets}


def offered(*words: str, shell: str = "bash") -> list[str]:
    return tab.answer(command, shell, words)


def test_a_word_is_offered_commands_and_options(student: Student):
    assert offered("module", "st") == ["status", "start"]
    assert offered("modu") == ["module"]
    assert {"init", "module", "config"} <= set(offered(""))
    assert offered("status", "--j") == ["--json"]


@pytest.mark.parametrize("name", [["module", "start"], ["module", "convert", "--to", "py"], ["backup", "list"], ["export"]], ids="-".join)
def test_modules_are_offered_by_number_and_name(student: Student, name: list[str]):
    assert offered(*name, "") == ["01", "02", "tensor", "activations"], "and none that is only planned"
    assert offered(*name, "a") == ["activations"]


def test_milestones_keys_values_and_backups_are_offered(student: Student):
    saved = student.root / ".tito" / "backups" / "01_tensor_20251116_143000.py"
    saved.write_text("", "utf-8")
    assert offered("milestone", "run", "p") == ["perceptron"]
    assert offered("config", "set", "logo") == ["logo_theme"]
    assert offered("config", "set", "logo_theme", "m") == ["minimal"]
    assert offered("backup", "restore", "tensor", "") == [saved.name]
    assert offered("backup", "restore", "02", "") == []
    assert offered("data", "download", "digits", "c") == ["cifar10"]


def test_a_path_is_left_to_the_shell(student: Student):
    assert offered("init", "my") == [tab.FILES]
    for words in (["--templates", "/a"], ["init", "--templates", "/a"], ["--templates=/a"], ["module", "list", "--templates", "=", "/a"]):
        assert offered(*words) == [tab.FILES], words
    assert offered("module", "--templates", str(student.course), "st") == ["status", "start"]


def test_descriptions_go_to_the_shells_that_show_them(student: Student):
    assert offered("module", "start", "a", shell="zsh") == ["activations:Activations"]
    assert offered("module", "start", "a", shell="fish") == ["activations\tActivations"]


def test_a_value_may_follow_an_equals_sign():
    assert offered("module", "convert", "01", "--to=p", shell="zsh") == ["--to=py"]
    assert offered("module", "convert", "01", "--to", "=", "p") == ["py"], "bash cuts the word at the sign"
    assert offered("module", "convert", "01", "--to", "=") == ["py", "ipynb"]


@pytest.mark.parametrize(
    "words", [["nope", ""], ["module", "nope", ""], ["backup", "restore", "nope", ""], ["config", "set", "nope", ""], ["module", "test", "01", "--", "-"]],
    ids="-".join,
)  # fmt: skip
def test_nothing_is_offered_after_a_word_that_is_wrong_or_pytests(student: Student, words: list[str]):
    assert offered(*words) == []


def test_debug_and_version_change_nothing(student: Student):
    assert offered("module", "--debug", "st") == ["status", "start"]
    assert offered("--version", "modu") == ["module"]


@pytest.mark.parametrize("broken", ["state", "course", "variable", "no workspace"])
def test_a_fault_is_no_reason_to_say_or_change_anything(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch, broken: str):
    if broken == "state":
        (student.root / ".tito" / "progress.json").write_text("{", "utf-8")
        (student.root / ".tito" / "milestones.json").unlink()
    elif broken == "course":
        monkeypatch.setenv("TINYTORCH_TEMPLATES", str(student.root / "nowhere"))
    elif broken == "variable":
        monkeypatch.setenv("TINYTORCH_WORKSPACE", str(student.root / "nowhere"))
    else:
        monkeypatch.chdir(student.root.parent)
    monkeypatch.setenv(COMPLETION_VARIABLE, "bash")
    before = sorted(student.root.rglob("*"))
    answer = tito("module", "start", "t")
    assert answer.status == 0 and not answer.err
    assert answer.out == ("tensor\n" if broken in ("state", "no workspace") else "")
    assert sorted(student.root.rglob("*")) == before


def test_every_name_is_completed():
    """Of an argument or an option that is called so in the help."""
    found = {
        (" ".join(path), parameter.metavar.strip("[].")): parameter._custom_shell_complete
        for path, leaf in LEAVES.items() for parameter in leaf.params if parameter.metavar and parameter.metavar.strip("[].") in METAVARS
    }  # fmt: skip
    assert found == {at: METAVARS[at[1]] for at in found} and ("update", "NN") in found


def test_completing_imports_nothing_heavy(student: Student):
    heavy = ["filelock", "jupytext", "nbformat", "numpy", "pytest", "requests", "rich"]
    code = f"import sys\nfrom tito.__main__ import main\nmain(['module', 'start', ''])\nsys.exit(any(name in sys.modules for name in {heavy}))"
    environment = student.environment(**{COMPLETION_VARIABLE: "zsh"})
    assert subprocess.run([sys.executable, "-c", code], cwd=student.root, env=environment, capture_output=True, check=False).returncode == 0


# --- in the shells -----------------------------------------------------------------------------------------------

START = {
    "bash": ["bash", "--noprofile", "--norc", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "--interactive"],
}
SOURCE = {
    "bash": "source {}",
    "zsh": "autoload -Uz compinit && compinit -u -D && source {}",
    "fish": "source {}",
}
in_every_shell = pytest.mark.parametrize(
    "shell",
    [pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed")) for name in START],
)


class Shell(Terminal):
    """An interactive shell that knows `tito` and has read the script for it."""

    def __init__(self, name: str, home: Path, cwd: Path) -> None:
        programs = home / "programs of \N{SNAKE}"
        programs.mkdir()
        script = programs / f"completion.{name}"
        done = subprocess.run([sys.executable, "-m", "tito", "completion", name], capture_output=True, check=True)
        script.write_bytes(done.stdout)
        tito = programs / "tito"
        tito.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tito "$@"\n', "utf-8")
        tito.chmod(0o755)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TINYTORCH_", "PYTEST_", "COV_", "XDG_", "ZDOTDIR"))}
        environment = inherited | {"HOME": str(home), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "INPUTRC": os.devnull, "LC_ALL": "C.UTF-8"}
        super().__init__([], cwd=cwd, environment=environment, program=START[name])
        self.type(SOURCE[name].format(shlex.quote(str(script))) + " && echo rea''dy\n")
        self.wait_for("ready")


@in_every_shell
@pytest.mark.parametrize("place", ["outside", "broken"])
def test_the_tab_key_completes_in_the_shell_itself(shell: str, place: str, tmp_path: Path, student: Student):
    """In a folder that is no workspace, and in one whose state can't be read."""
    (student.root / ".tito" / "progress.json").write_text("{", "utf-8")
    home = tmp_path / "home"
    home.mkdir()
    with Shell(shell, home, home if place == "outside" else student.root) as terminal:
        terminal.type("tito module start da\t")
        terminal.wait_for("taloader")
        terminal.type("\x15tito module st\t\t\t")
        terminal.wait_for("start")
        terminal.type("\x15tito completion f\t")
        terminal.wait_for("ish")
        assert [word for word in ("rror", "malformed", "Traceback", "not found") if word in terminal.text] == []


@in_every_shell
def test_the_tab_key_is_silent_where_tito_is_gone(shell: str, tmp_path: Path):
    """The environment that had it isn't active any more."""
    with Shell(shell, tmp_path, tmp_path) as terminal:
        (tmp_path / "programs of \N{SNAKE}" / "tito").unlink()
        terminal.type("tito module start d\t")
        terminal.type("\x15echo still he''re\n")
        terminal.wait_for("still here")
        assert "not found" not in terminal.text and "No such file" not in terminal.text


@in_every_shell
def test_the_prompt_of_the_docs_stands_in_the_shells_prompt(shell: str, tmp_path: Path, student: Student):
    page = (Path(__file__).parents[2] / "docs" / "shell.md").read_text("utf-8")
    [line] = re.findall(rf"^\| {shell} \| `~/[^`]+` \| `(.+)` \|$", page, flags=re.MULTILINE)
    with Shell(shell, tmp_path, student.root) as terminal:
        terminal.type(f"{line}\n")
        terminal.wait_for("tt 01 tensor 0/")
