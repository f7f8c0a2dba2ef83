"""`tito module start` with an editor: which one, waited for or not, and what it gets."""
from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import CTRL_C, Terminal
from tests.cli.test_manners import on_a_terminal
from tests.plugin.conftest import ALPHA, Student

Real = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the editors of these tests are scripts that begin with #!")

EDITOR = """
import json, os, sys
from pathlib import Path
answer = input("EDIT> ") if {asks} else ""
facts = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "leads": os.getsid(0) == os.getpid(), "answer": answer}}
Path(__file__ + ".tmp").write_text(json.dumps(facts))
os.replace(__file__ + ".tmp", __file__ + ".json")
sys.exit({status})
"""


@pytest.fixture
def programs(tmp_path: Path, student: Student, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a blank and a snake in its name, which is first on PATH."""
    folder = tmp_path / "programs of \N{SNAKE}"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def write_editor(path: Path, *, asks: bool = False, status: int = 0) -> Path:
    """An editor that writes down how it was called; returns where."""
    code = path.with_name(f"{path.name}.py")
    code.write_text(EDITOR.format(asks=asks, status=status), "utf-8")
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(code))} "$@"\n', "utf-8")
    path.chmod(0o755)
    return code.with_name(f"{code.name}.json")


def facts_of(seen: Path) -> dict[str, object]:
    """What an editor that nobody waited for has written down."""
    end = monotonic() + 60
    while not seen.exists():
        assert monotonic() < end, "the editor never ran"
        sleep(0.01)
    return json.loads(seen.read_text("utf-8"))


def choose(student: Student, editor: str) -> None:
    (student.root / ".tito" / "config.json").write_text(json.dumps({"editor": editor}), "utf-8")


# --- a terminal editor -------------------------------------------------------------------------------------------


@on_a_terminal
def test_a_terminal_editor_has_the_terminal_until_it_ends(student: Student, programs: Path):
    seen = write_editor(programs / "ed", asks=True)
    choose(student, "ed -x 'two words'")
    with Terminal(["module", "start", "01"], cwd=student.root, environment=student.environment()) as terminal:
        terminal.wait_for("EDIT> ")
        assert not seen.exists()
        terminal.type("by hand\n")
        assert terminal.end() == 0
    facts = json.loads(seen.read_text("utf-8"))
    assert facts["arguments"] == ["-x", "two words", str(student.path())]
    assert facts["folder"] == str(student.root) and facts["answer"] == "by hand" and not facts["leads"]
    assert "ed -x 'two words' modules/01_tensor/01_tensor.py" in terminal.text
    assert "pytest -m module01 --tito-complete" in terminal.text


@on_a_terminal
def test_ctrl_c_is_the_editors_to_handle(student: Student, programs: Path):
    ed = programs / "ed"
    ed.write_text("#!/bin/sh\ntrap 'echo caught; exit 0' INT\necho waiting\nwhile :; do sleep 1; done\n", "utf-8")
    ed.chmod(0o755)
    choose(student, "ed")
    with Terminal(["module", "start", "01"], cwd=student.root, environment=student.environment()) as terminal:
        terminal.wait_for("waiting")
        terminal.type(CTRL_C)
        assert terminal.end() == 0 and "caught" in terminal.text


@on_a_terminal
def test_an_editor_that_fails_is_told(student: Student, programs: Path):
    write_editor(programs / "ed", status=3)
    choose(student, "ed")
    with Terminal(["module", "start", "01"], cwd=student.root, environment=student.environment()) as terminal:
        assert terminal.end() == 1 and "ed ended with exit status 3" in terminal.text


@on_a_terminal
@pytest.mark.parametrize(("options", "choice"), [(["--no-open"], "ed"), ([], "none")], ids=["option", "none"])
def test_nothing_is_opened_unless_it_is_wanted(student: Student, programs: Path, options: list[str], choice: str):
    seen = write_editor(programs / "ed")
    choose(student, choice)
    environment = student.environment(EDITOR="ed")
    with Terminal(["module", "start", "01", *options], cwd=student.root, environment=environment) as terminal:
        assert terminal.end() == 0
    assert not seen.exists() and "modules/01_tensor/01_tensor.py" in terminal.text


@on_a_terminal
def test_open_takes_the_environments_editor_if_none_is_chosen(student: Student, programs: Path):
    seen = write_editor(programs / "ed")
    with Terminal(["module", "start", "01", "--open"], cwd=student.root, environment=student.environment(VISUAL="ed")) as terminal:
        assert terminal.end() == 0 and seen.exists()


# --- an editor with a window -------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["vscode", "ed &"])
def test_an_editor_with_a_window_is_left_to_itself(student: Student, programs: Path, real_tito: Real, choice: str):
    """It isn't waited for: it ends after tito, when the pipe that it waits for is closed."""
    seen = write_editor(programs / {"vscode": "code", "ed &": "ed"}[choice])
    gate = programs / "gate"
    os.mkfifo(gate)
    script = programs / {"vscode": "code", "ed &": "ed"}[choice]
    script.write_text(script.read_text("utf-8").replace("exec", f"cat {shlex.quote(str(gate))} || exit\nexec", 1), "utf-8")
    choose(student, choice)
    done = real_tito("module", "start", "01", "--open")
    assert done.returncode == 0 and not done.stderr and not seen.exists()
    with gate.open("w"):
        pass
    facts = facts_of(seen)
    assert facts["arguments"] == [str(student.path())] and facts["leads"], "Ctrl-C in the terminal doesn't reach it"


# --- without a terminal, and with a wrong choice -----------------------------------------------------------------


def test_nothing_is_opened_where_nobody_sees_it(student: Student, programs: Path, real_tito: Real):
    seen = write_editor(programs / "code")
    choose(student, "vscode")
    done = real_tito("module", "start", "01")
    assert done.returncode == 0 and "01_tensor.py" in done.stdout and not seen.exists()


def test_a_terminal_editor_without_a_terminal_is_refused(student: Student, programs: Path, tito: Tito):
    write_editor(programs / "ed")
    choose(student, "ed")
    student.write(ALPHA)
    answer = tito("module", "start", "01", "--open")
    assert answer.status == 1 and "ed needs a terminal" in answer.err and not answer.out
    assert not list((student.root / ".tito" / "backups").iterdir()), "nothing was changed"


@pytest.mark.parametrize("choice", ["vanished", "none"])
def test_an_editor_that_is_not_there_changes_nothing(student: Student, programs: Path, tito: Tito, choice: str):
    choose(student, choice)
    student.write(ALPHA)
    answer = tito("module", "start", "01", "--open")
    assert answer.status == 1 and not answer.out and not list((student.root / ".tito" / "backups").iterdir())
    assert ("'vanished' isn't found" if choice == "vanished" else "tito config set editor") in answer.err


def test_a_program_that_does_not_run_is_told_without_a_traceback(student: Student, programs: Path, real_tito: Real):
    (programs / "code").write_bytes(b"\x00")
    (programs / "code").chmod(0o755)
    choose(student, "vscode")
    done = real_tito("module", "start", "01", "--open")
    assert done.returncode == 1 and "Traceback" not in done.stderr and str(programs) in done.stderr


@pytest.mark.parametrize(
    ("value", "says"),
    [("vscod", "Did you mean vscode?"), ("no-such-program -x", "'no-such-program' isn't found"), ("ed '", "No closing quotation"), ("", "A command line was")],
    ids=["typo", "missing", "quote", "empty"],
)  # fmt: skip
def test_config_set_refuses_what_cannot_be_run(student: Student, programs: Path, tito: Tito, value: str, says: str):
    before = student.state("config.json")
    answer = tito("config", "set", "editor", value)
    assert answer.status == 2 and says in answer.err and student.state("config.json") == before


def test_config_set_takes_a_command_line(student: Student, programs: Path, tito: Tito):
    write_editor(programs / "ed")
    assert tito("config", "set", "editor", "ed -x").status == 0
    assert tito("config", "get", "editor").out == "ed -x\n"
    (programs / "ed").unlink()
    assert tito("config", "list").status == 0, "what is chosen is shown though it has gone"


def test_health_looks_at_the_type(student: Student, tito: Tito):
    (student.root / ".tito" / "config.json").write_text('{"editor": 5}', "utf-8")
    assert "'editor' must be a text" in tito("config", "get", "editor").err
