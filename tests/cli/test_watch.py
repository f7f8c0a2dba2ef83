"""`tito module watch`: a save, its verdict, and whatever the student's code does to the process that tests it."""
from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_tinytorch.workspace.convert import to_notebook
from tests.cli.conftest import Tito
from tests.cli.terminal import CTRL_C, Terminal
from tests.cli.test_manners import on_a_terminal
from tests.plugin.conftest import ALPHA, Student

NONE, HALF, ALL = "0 of 4 tests passed", "2 of 4 tests passed", "4 of 4 tests passed"
KEYS = "q quit"
WRONG = ALPHA.replace("2 * x", "x * x")
_LIMIT = 60  # seconds without the verdict before a test gives up
EMPTY = "\x1b[H\x1b[J"
RESTORED = "\x1b[?1049l\x1b[?25h"
_TO_DEFAULT = "import os, signal, sys; [signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, getattr(signal, 'SIGHUP', signal.SIGINT))]; os.execv(sys.executable, [sys.executable, '-m', 'tito', *sys.argv[1:]])"


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder of temporary files, with a name as people have them."""
    folder = tmp_path / "some temp \U0001f393"
    folder.mkdir()
    return folder


class Piped:
    """A watcher without a terminal."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen: list[str] = []

    def wait_for(self, text: str) -> str:
        """The lines from the last call up to one with this text."""
        assert self.process.stdout
        start = len(self.seen)
        limit = threading.Timer(_LIMIT, self.process.kill)
        limit.start()
        try:
            for line in self.process.stdout:
                self.seen.append(line)
                if text in line:
                    return "".join(self.seen[start:])
        finally:
            limit.cancel()
        pytest.fail(f"{text!r} never appeared in:\n{''.join(self.seen)}")


@contextmanager
def piped(student: Student, temporary: Path) -> Iterator[Piped]:
    with subprocess.Popen(
        [sys.executable, "-c", _TO_DEFAULT, "module", "watch", "01"], cwd=student.root, env=student.environment(TMPDIR=str(temporary)),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
    ) as process:
        try:
            yield Piped(process)
        finally:
            process.kill()


posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals that ask a program to end")


@posix
@pytest.mark.parametrize("signals", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_without_a_terminal_a_verdict_is_printed_for_each_save(student: Student, temporary: Path, signals: str):
    with piped(student, temporary) as watcher:
        watcher.wait_for(NONE)
        student.write(WRONG)
        told = watcher.wait_for("hint: You squared it.")
        assert HALF in told and "\x1b" not in told and KEYS not in told
        student.solve()
        watcher.wait_for(ALL)
        watcher.process.send_signal(getattr(signal, signals))
        assert watcher.process.wait(60) == 0
    assert list(temporary.iterdir()) == [], "no run left anything behind"
    assert student.state("progress.json")["results"]["1"]["outcome"] == "passed" and student.completed == []


@posix
@pytest.mark.parametrize("student", ["ipynb"], indirect=True)
def test_a_notebook_that_is_saved_in_pieces_is_tested_when_it_is_whole(student: Student, temporary: Path):
    whole = to_notebook(ALPHA)
    beside = student.path().with_name(".new.ipynb")
    with piped(student, temporary) as watcher:
        watcher.wait_for(NONE)
        with student.path().open("w", encoding="utf-8") as file:
            for start in range(0, len(whole), 500):
                file.write(whole[start : start + 500])
                file.flush()
        watcher.wait_for(ALL)
        beside.write_text(to_notebook(WRONG), "utf-8")
        beside.replace(student.path())
        watcher.wait_for(HALF)
        student.path().unlink()
        beside.write_text(whole, "utf-8")
        beside.rename(student.path())
        watcher.wait_for(ALL)
    assert not re.search("no verdict|not run|can't be tested", "".join(watcher.seen))


@posix
@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os._exit(0)", "exit status 0 in tests/01_tensor/test_double.py::test_double[one]"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "(SIGSEGV) in tests/01_tensor/test_double.py::test_double[one]"),
        ("raise SystemExit", "SystemExit"),
    ],
    ids=["exit", "segfault", "SystemExit"],
)
def test_code_that_ends_python_does_not_end_the_watcher(student: Student, temporary: Path, code: str, told: str):
    with piped(student, temporary) as watcher:
        watcher.wait_for(NONE)
        student.write(ALPHA.replace("return 2 * x", code))
        watcher.wait_for(told)
        student.solve()
        watcher.wait_for(ALL)


@posix
def test_a_save_ends_a_run_that_never_ends(student: Student, temporary: Path, tmp_path: Path):
    pids = tmp_path / "pids"
    with piped(student, temporary) as watcher:
        watcher.wait_for(NONE)
        student.write(ALPHA.replace("return 2 * x", f"import os; open({str(pids)!r}, 'w').write(str(os.getpid()))\n    while True: pass"))
        while not (pids.exists() and pids.read_text()):
            pass
        student.solve()
        watcher.wait_for(ALL)
        with pytest.raises(ProcessLookupError):
            os.kill(int(pids.read_text()), 0)


@posix
@pytest.mark.parametrize(
    ("code", "told"),
    [
        pytest.param("while True: pass", "interrupted after 1 seconds (tito_patience)", id="time"),
        pytest.param(
            "x = [x]; [x.append(bytes(10**7)) for _ in iter(int, 1)]", "MemoryError", id="memory",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit on memory"),
        ),
    ],
)
def test_the_first_test_that_takes_too_much_ends_the_run(student: Student, temporary: Path, code: str, told: str):
    (student.root / "tests" / "01_tensor" / "test_many.py").write_text(MANY, "utf-8")
    student.pytest_ini("tito_patience", "1")
    with piped(student, temporary) as watcher:
        watcher.wait_for("0 of 104 tests passed")
        student.write(ALPHA.replace("return 2 * x", code))
        assert re.search(r" 3 not run, \d\.\d\d s", watcher.wait_for(" not run, ")), "one limit, not one for each test"
        shown = watcher.wait_for(told) + watcher.wait_for(code)
        assert "in double" in shown
        student.solve()
        watcher.wait_for(ALL)
        watcher.process.terminate()
        assert watcher.process.wait(60) == 0
    assert list(temporary.iterdir()) == []


MANY = """\
import pytest
from tinytorch.core.tensor import double

@pytest.mark.exercise("double")
@pytest.mark.parametrize("x", range(100))
def test_many(x):
    assert double(x) == 2 * x
"""


@posix
def test_many_tests_are_told_as_those_of_one_process(student: Student, temporary: Path):
    (student.root / "tests" / "01_tensor" / "test_many.py").write_text(MANY, "utf-8")
    student.write(ALPHA.replace("2 * x", "2 * x if x < 7 else 0"))
    with piped(student, temporary) as watcher:
        watcher.wait_for("of 97 tests passed")  # of the required ones, and of others those that failed
        watcher.wait_for("failed: test_many.py::test_many[7]")
        watcher.wait_for("  double                10 of 103")
        student.solve()
        watcher.wait_for(ALL)
        watcher.process.terminate()
        assert watcher.process.wait(60) == 0
    assert list(temporary.iterdir()) == []


@posix
@pytest.mark.parametrize("x", [0, 12], ids=["own share", "other share"])
def test_a_crash_among_many_names_the_test(student: Student, temporary: Path, x: int):
    (student.root / "tests" / "01_tensor" / "test_many.py").write_text(MANY, "utf-8")
    student.write(ALPHA.replace("return 2 * x", f"return 2 * x if type(x) is not int or x != {x} else __import__('os').abort()"))
    with piped(student, temporary) as watcher:
        watcher.wait_for(f"(SIGABRT) in tests/01_tensor/test_many.py::test_many[{x}]")
        student.solve()
        watcher.wait_for(ALL)


@posix
@pytest.mark.parametrize("x", [0, 12], ids=["own share", "other share"])
def test_a_loop_in_one_share_ends_the_others(student: Student, temporary: Path, x: int):
    (student.root / "tests" / "01_tensor" / "test_many.py").write_text(MANY, "utf-8")
    student.pytest_ini("tito_patience", "1")
    with piped(student, temporary) as watcher:
        watcher.wait_for("0 of 104 tests passed")
        student.write(ALPHA.replace("return 2 * x", f"while type(x) is int and x == {x}: pass\n    return 2 * x"))
        assert "failed" not in watcher.wait_for(f"failed: test_many.py::test_many[{x}]").replace("failed: test_many", "")
        watcher.wait_for("interrupted after 1 seconds")
        student.solve()
        watcher.wait_for(ALL)
    assert not any("no verdict" in line for line in watcher.seen)


@posix
def test_a_changed_configuration_is_read(student: Student, temporary: Path):
    student.solve()
    with piped(student, temporary) as watcher:
        watcher.wait_for(ALL)
        (student.root / "conftest.py").write_text("def pytest_collection_modifyitems(items):\n    del items[2:]\n", "utf-8")
        watcher.wait_for("starting again")
        watcher.wait_for("2 of 4 tests passed, 2 not run")


@posix
def test_a_broken_state_is_told_from_the_beginning_and_nobody_is_blamed(student: Student, temporary: Path):
    (student.root / ".tito" / "progress.json").write_text("{", "utf-8")
    with piped(student, temporary) as watcher:
        told = watcher.wait_for("tito system health --repair")
        assert "ERROR: " in told and "progress.json is malformed: line 1" in told and "os._exit" not in told


@posix
def test_broken_tests_are_told(student: Student, temporary: Path):
    with piped(student, temporary) as watcher:
        watcher.wait_for(NONE)
        student.solve()
        watcher.wait_for(ALL)
        test = student.root / "tests" / "01_tensor" / "test_root.py"
        text = test.read_text("utf-8")
        test.write_text("broken(\n", "utf-8")
        watcher.wait_for("test_root.py")
        test.write_text(text, "utf-8")
        watcher.wait_for(ALL)


def test_a_planned_module_cannot_be_watched(student: Student, tito: Tito):
    answer = tito("module", "watch", "03")
    assert answer.status == 1 and "Module 03 Layers is planned" in answer.err


# --- on a terminal -------------------------------------------------------------------------------------------------


class Watcher(Terminal):
    """A watcher on a terminal."""

    mark = 0

    def shows(self, text: str) -> None:
        """Read until `text` and, below it, the keys have appeared since the last call."""
        while not (shown := re.compile(f"{re.escape(text)}.*?{KEYS}", re.DOTALL).search(self.seen, self.mark)):
            assert self._read(), f"{text!r} never appeared in:\n{self.seen}"
        self.mark = shown.end()


@contextmanager
def watching(student: Student, **environment: str) -> Iterator[Watcher]:
    with Watcher(["module", "watch", "01"], cwd=student.root, environment=student.environment(**environment)) as terminal:
        terminal.shows("testing")
        yield terminal


def lines_are_whole(terminal: Terminal) -> bool:
    """Whether the terminal echoes and waits for Enter, as a shell wants it."""
    import termios

    flags = termios.tcgetattr(terminal.window)[3]
    return bool(flags & termios.ECHO and flags & termios.ICANON)


@on_a_terminal
@pytest.mark.parametrize("student", ["py", "ipynb"], indirect=True)
def test_from_a_mistake_to_a_complete_module(student: Student):
    with watching(student) as terminal:
        terminal.shows(NONE)
        student.write(WRONG)
        terminal.shows("You squared it.")
        terminal.type("d")
        terminal.shows("return x * x")
        terminal.type("a")
        terminal.shows("You squared it.")
        student.solve()
        terminal.shows(ALL)
        assert student.completed == []
        terminal.type("c")
        terminal.shows("Module 01 Tensor is complete.")
        terminal.type("q")
        assert terminal.end() == 0 and lines_are_whole(terminal)
    assert student.completed == [1]


@on_a_terminal
def test_all_output_and_back(student: Student):
    with watching(student) as terminal:
        terminal.shows(NONE)
        terminal.type("a")
        terminal.shows("4 not written yet")
        terminal.type("a")
        terminal.shows(NONE)
        terminal.type("q")
        assert terminal.end() == 0


@on_a_terminal
@pytest.mark.parametrize("how", ["interrupt", "terminate", "crash"])
def test_the_terminal_is_given_back(student: Student, how: str):
    path = os.pathsep.join(filter(None, (str(student.root / "broken"), os.environ.get("PYTHONPATH"))))
    broken = {"PYTHONPATH": path} if how == "crash" else {}
    if how == "crash":
        (student.root / "broken").mkdir()
        (student.root / "broken" / "sitecustomize.py").write_text(
            "import sys\ndef hook(name, arguments):\n    if name == 'os.fork':\n        raise OSError('no more processes')\nsys.addaudithook(hook)\n", "utf-8"
        )
    with watching(student, **broken) as terminal:
        if how != "crash":
            terminal.shows(NONE)
        if how == "interrupt":
            terminal.type(CTRL_C)
        elif how == "terminate":
            terminal.process.terminate()
        assert terminal.end() == (1 if how == "crash" else 0)
        assert RESTORED in terminal.seen and lines_are_whole(terminal) and "Traceback" not in terminal.seen


@on_a_terminal
def test_no_colour_is_respected(student: Student):
    with watching(student, NO_COLOR="1") as terminal:
        terminal.shows(NONE)
        terminal.type("q")
        assert terminal.end() == 0
        assert "\x1b[1m" not in terminal.seen and "\x1b[33m" not in terminal.seen


@on_a_terminal
def test_a_long_run_names_its_test_and_says_that_the_verdict_is_older(student: Student):
    with watching(student) as terminal:
        terminal.shows(NONE)
        student.write(ALPHA.replace("return 2 * x", "while True: pass"))
        terminal.shows("a save starts it anew")
        shown = terminal.text.rpartition("a save starts it anew")[2]
        assert "test_double.py::test_double[one]" in shown
        assert shown.index("before this save:") < shown.index(NONE), "the verdict is older, and says so"
        terminal.type("q")
        assert terminal.end() == 0


@on_a_terminal
def test_a_module_that_is_complete_names_the_next_one(student: Student):
    student.solve()
    with watching(student) as terminal:
        terminal.shows("To complete the module: c")
        terminal.type("c")
        terminal.shows("Module 01 Tensor is complete.")
        terminal.type("a")
        terminal.shows("Module 01 Tensor is complete. Next: tito module start 02")
        terminal.type("q")
        assert terminal.end() == 0


@on_a_terminal
def test_a_page_begins_and_ends_empty(student: Student):
    with watching(student) as terminal:
        terminal.shows(NONE)
        terminal.type("a")
        terminal.shows("4 not written yet")
        page = terminal.seen[: terminal.seen.index("4 not written yet")]
        assert page.rindex(RESTORED) < page.rindex(EMPTY)
        terminal.type("q")
        assert terminal.end() == 0
        assert terminal.seen.rindex(KEYS) < terminal.seen.rindex(EMPTY)
