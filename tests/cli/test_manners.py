"""What holds for every command: help, suggestions, exit statuses, no tracebacks, any terminal."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tests.plugin.conftest import Student
from tito import __main__ as entry
from tito.group import Group

on_a_terminal = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals of this kind")


def commands(group: Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(entry.tito))
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, Group)}
every_command = pytest.mark.parametrize("path", ALL, ids=["-".join(path) for path in ALL])


def test_the_commands_are_those_of_the_course():
    assert {" ".join(path) for path in LEAVES} == {
        "init", "status", "reset", "export", "undo", "update", "completion", "cleanup",
        *(f"module {name}" for name in ("list", "status", "start", "view", "test", "watch", "complete", "hint", "reset", "solution", "diff", "convert")),
        *(f"milestone {name}" for name in ("list", "status", "info", "run")),
        *(f"backup {name}" for name in ("list", "diff", "restore", "prune")),
        *(f"data {name}" for name in ("list", "download", "show", "verify", "path", "clean", "transfer", "recommend")),
        *(f"resources {name}" for name in ("track", "list", "show", "usage", "cost", "watch", "export", "merge")),
        *(f"resources budget {name}" for name in ("set", "list", "remove")),
        *(f"cloud volume {name}" for name in ("create", "list", "delete", "snapshot")),
        *(f"config {name}" for name in ("list", "get", "set")),
        "system health", "system info", "doctor",
        *(f"data cache {name}" for name in ("build", "show", "list", "reset-failed", "reset")),
    }  # fmt: skip


@every_command
def test_help_has_an_example_and_a_first_line_that_fits_into_a_list(tito: Tito, path: tuple[str, ...]):
    helped = tito(*path, "--help")
    lines = helped.out.partition("Example:\n")[2].splitlines()
    assert helped.status == 0 and all(line.startswith(f"  tito {path[0]}") for line in lines) and lines
    assert not ALL[path].get_short_help_str(66).endswith("...")


def test_help_without_a_command(tito: Tito):
    assert "  tito init my-tinytorch\n  cd my-tinytorch\n" in tito("--help").out
    assert tito().status == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["modul", "status"], "Did you mean module?"),
        (["module", "complet", "01"], "Did you mean complete?"),
        (["test", "01"], "Did you mean tito module test?"),
        (["run", "01"], "Did you mean tito milestone run?"),
        (["rest"], "Did you mean reset?"),
        (["milestone", "rnu", "1"], "Did you mean run?"),
        (["zzz"], "There is: init, module, milestone"),
        (["module", "start", "tensr"], "Did you mean tensor?"),
        (["module", "start", "99"], "Modules are 01 to 03"),
        (["module", "start", "0"], "Modules are 01 to 03"),
        (["module", "start", "-1"], "No such option"),
        (["milestone", "run", "perzeptron"], "Did you mean perceptron?"),
        (["module", "status", "--jsn"], "--json"),
        (["module", "convert", "01"], "--to"),
        (["module", "convert", "01", "--to", "pdf"], "'ipynb'"),
        (["export"], "use --all"),
        (["export", "01", "--all"], "use --all"),
        (["export", "01", "--json"], "--check"),
        (["backup", "prune", "--json"], "--dry-run"),
        (["cleanup", "--only", "shards"], "'shards' is no kind; there is download, shard,"),
        (["cleanup", "--older-than", "30"], "write 12h, 30d or 2w"),
        (["cleanup", "abc"], "need --yes"),
        (["cleanup", "--yes", "--force"], "--force belongs to a plan"),
        (["cleanup", "--yes", "--dry-run"], "--dry-run"),
        (["cloud", "volum", "list"], "Did you mean volume?"),
        (["cloud", "volume", "create", "data"], "--size"),
        (["cloud", "volume", "create", "data", "--size", "ten"], "'--size'"),
        (["cloud", "volume", "list", "--project", " "], "--project needs a name"),
        (["config", "get", "logo_them"], "Did you mean logo_theme?"),
        (["config", "set", "logo_theme", "minimol"], "Did you mean minimal?"),
        (["resources", "list", "--since", "tomorrow"], "is no time"),
        (["resources", "list", "--tag", "team"], "there is no = in 'team'"),
        (["resources", "cost", "--by", "tem"], "--by is kind, day"),
        (["resources", "usage", "--by", "kind"], "--by is name, day"),
        (["resources", "show", "x"], "No record has the id 'x'"),
        (["resources", "budget", "set", "a", "nan", "USD"], "a number above 0"),
        (["resources", "budget", "set", "a", "1", "usd"], "three capital letters"),
        (["resources", "budget", "remove", "a"], "There is no budget 'a'"),
        (["resources", "export", "x.xlsx"], ".csv or .json"),
        (["resources", "track"], "Missing argument"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_word_gets_a_suggestion_and_exit_status_2(student: Student, tito: Tito, arguments: list[str], says: str):
    answer = tito(*arguments)
    assert answer.status == 2, answer
    assert says in answer.err and "Traceback" not in answer.both and not answer.out


@pytest.mark.parametrize("name", ["1", "01", "tensor", "01_tensor", "ten", "TENSOR"])
def test_a_module_has_several_names(student: Student, tito: Tito, name: str):
    assert "Module 01 Tensor" in tito("module", "start", name).out


@pytest.mark.parametrize("path", [path for path in LEAVES if path[0] not in ("init", "doctor", "completion", "data", "cloud", "resources") and path != ("system", "info")], ids="-".join)
def test_outside_a_workspace_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tito: Tito, path: tuple[str, ...]):
    monkeypatch.chdir(tmp_path)
    words = {"NN": "01", "ID": "01", "KEY": "logo_theme", "VALUE": "none"}
    needed = [words[p.make_metavar(click.Context(ALL[path]))] for p in LEAVES[path].params if isinstance(p, click.Argument) and p.required]
    extra = {"module-convert": ["--to", "py"], "export": ["01"]}.get("-".join(path), [])
    answer = tito(*path, *needed, *extra)
    assert answer.status == 1 and "tito init" in answer.err and not answer.out
    assert list(tmp_path.iterdir()) == []


def test_version(tito: Tito):
    import tinytorch

    assert tito("--version").out == f"tito {tinytorch.__version__}\n"


def test_debug_shows_the_traceback_and_may_stand_anywhere(student: Student, tito: Tito):
    from tinytorch.errors import ConfigError

    for arguments in (["--debug", "module", "start", "03"], ["module", "start", "03", "--debug"]):
        with pytest.raises(ConfigError, match="planned"):
            tito(*arguments)


def test_an_error_of_the_system_is_told_without_a_traceback(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch):
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device", "/a/file")

    monkeypatch.setattr("pytest_tinytorch.status.status", full)
    answer = tito("module", "status")
    assert answer.status == 1 and "No space left on device" in answer.err


def test_an_interrupt_is_quiet(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_tinytorch.status.status", interrupted)
    answer = tito("module", "status")
    assert answer.status == 130 and answer.both.strip() == ""


def test_notices_stay_out_of_standard_output(student: Student, tito: Tito):
    import json

    (student.root / ".tito" / "milestones.json").unlink()
    answer = tito("module", "status", "--json")
    assert "Created .tito/milestones.json again" in answer.err
    assert json.loads(answer.out)["modules_total"] == 3


REPORTS = [
    ["status"], ["module", "list"], ["module", "status"], ["module", "view", "01"], ["milestone", "list"], ["milestone", "status"],
    ["milestone", "info", "01"], ["backup", "list"], ["system", "health"], ["system", "info"], ["doctor"], ["config", "list"], ["config", "get", "logo_theme"],
    ["resources", "list"], ["resources", "usage"], ["resources", "cost"], ["resources", "budget", "list"],
    ["export", "01", "--check"], ["data", "list"], ["data", "show", "digits"], ["data", "verify"],
    ["cleanup", "--history"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", REPORTS, ids="-".join)
def test_reports_are_plain_in_a_pipe_and_data_with_json(student: Student, tito: Tito, arguments: list[str]):
    import json

    plain, data = tito(*arguments), tito(*arguments, "--json")
    assert plain.status == data.status
    assert plain.out.strip() and "\x1b" not in plain.both and not plain.err
    assert json.loads(data.out) and data.out == tito(*arguments, "--json").out


@on_a_terminal
@pytest.mark.parametrize("arguments", [["status"], ["module", "list"], ["module", "view", "01"]], ids="-".join)
def test_a_narrow_terminal_gets_colour_and_lines_that_fit(student: Student, arguments: list[str]):
    with Terminal(arguments, cwd=student.root, environment=student.environment(), columns=40) as terminal:
        assert terminal.end() == 0
        assert "\x1b[" in terminal.seen
        assert max(map(len, terminal.text.splitlines())) <= 40


@on_a_terminal
@pytest.mark.parametrize("colour", [{}, {"NO_COLOR": "1"}], ids=["colour", "no colour"])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["module", "start", "01"], 0), (["module", "start", "02"], 1), (["modul"], 2), (["milestone", "run", "01"], 1), (["backup", "prune", "--dry-run"], 0)],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_narrow_terminal_breaks_lines_between_words_and_a_pipe_none(
    student: Student, real_tito: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str], status: int, colour: dict[str, str]
):
    with Terminal(arguments, cwd=student.root, environment=student.environment(**colour), columns=44) as terminal:
        assert terminal.end() == status
        lines = terminal.text.splitlines()
    piped = real_tito(*arguments)
    said = piped.stdout + piped.stderr
    assert max(map(len, said.splitlines())) > 44 >= max(map(len, lines)), "nothing to break"
    assert " ".join(lines).split() == said.split(), "a word was cut, or lost"


@on_a_terminal
def test_no_color_is_respected(student: Student):
    with Terminal(["status"], cwd=student.root, environment=student.environment(NO_COLOR="1")) as terminal:
        assert terminal.end() == 0
        assert "\x1b" not in terminal.seen and "Modules Completed: 0/3 (0%)" in terminal.seen


@pytest.mark.parametrize("arguments", [["status"], ["module", "view", "01"], ["system", "health"]], ids="-".join)
def test_an_ascii_terminal_is_no_reason_to_fail(real_tito: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str]):
    done = real_tito(*arguments, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 0 and done.stdout.isascii() and not done.stderr


@on_a_terminal
def test_an_ascii_terminal_gets_a_panel_too(student: Student):
    environment = student.environment(PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    with Terminal(["status"], cwd=student.root, environment=environment) as terminal:
        assert terminal.end() == 0
        assert terminal.seen.isascii() and "Modules Completed: 0/3 (0%)" in terminal.text


def test_a_reader_that_has_gone_is_no_traceback(student: Student):
    code = "import os, sys\nos.close(0)\nfrom tito.__main__ import main\nsys.exit(main(['module', 'list']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=student.root, env=student.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(60) == 1


@pytest.mark.parametrize("arguments", [["module", "status"], ["status", "--prompt"]], ids="-".join)
def test_status_imports_nothing_heavy(student: Student, arguments: list[str]):
    heavy = ["filelock", "jupytext", "nbformat", "numpy", "pytest", "requests", "rich"]
    code = (
        f"import sys\nfrom tito.__main__ import main\nassert main({arguments}) == 0\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=student.root, env=student.environment(), capture_output=True, encoding="utf-8", check=True
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX closes streams")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_nowhere_to_write_to(closed, tmp_path):
    done = subprocess.run(["sh", "-c", f'exec "$0" -m tito system info {closed}', sys.executable], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr == ""
    assert ("TinyTorch" in done.stdout) == (" >&-" not in f" {closed}")
    assert not list(tmp_path.iterdir())
