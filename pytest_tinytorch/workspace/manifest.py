"""Which tests a module needs to pass: those that pytest collects in a new workspace.

Those of an instructor's own module are listed beside it, with the files that they were collected from, so that a list
of other tests than those that lie there is seen without running pytest.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_tinytorch.course.curriculum import (
    REQUIRED_TESTS,
    TEMPLATES_VARIABLE,
    Course,
    Milestone,
    Module,
    is_left_behind,
    own_required_tests,
)
from pytest_tinytorch.workspace.create import create
from tinytorch import files
from tinytorch._overlay import STAGING_VARIABLE, WORKSPACE_VARIABLE
from tinytorch.errors import ConfigError

_OTHERS = ("PYTEST_", WORKSPACE_VARIABLE, STAGING_VARIABLE)  # begin the names of variables that would change what is run

_NO_TESTS = 5  # pytest's exit status
_HEADING = re.compile(r"=+ (?:ERRORS|FAILURES) =+")
_SHOWN, _LAST = 30, 8  # lines of pytest's that a message shows, and how many of them are the last
_CRLF, _LF = b"\r\n", b"\n"  # git may change them; the tests are the same
_COLLECTED_FROM = "collected_from"  # a key of the list beside an instructor's own module


def required_list(module: Module, tests: Sequence[str]) -> bytes:
    """The content of the list beside an instructor's own module, of which `tests` were collected."""
    return (json.dumps({module.marker: list(tests), _COLLECTED_FROM: _sources(module)}, indent=1) + "\n").encode("utf-8")


def fault_of_list(module: Module) -> str | None:
    """What is wrong with the list beside an instructor's own module, in a sentence; None if it is that of its tests."""
    try:
        listed = own_required_tests(module)
    except ConfigError as error:
        return str(error).partition(". Make it again")[0]
    if listed.get(module.marker) and listed.get(_COLLECTED_FROM) == frozenset(_sources(module)):
        return None
    return f"{module.home}{os.sep}{REQUIRED_TESTS} lists other tests than those that lie beside it"


def _sources(module: Module) -> list[str]:
    """What lies in the `tests/` of an instructor's own module: paths, each with the hash of its content."""
    if module.home is None:
        raise AssertionError(f"{module.label} is the installed course's")
    tests = module.home / "tests"
    return [
        f"{path.relative_to(tests).as_posix()} {files.sha256(path.read_bytes().replace(_CRLF, _LF))}"
        for path in sorted(tests.rglob("*"))
        if path.is_file() and not is_left_behind(path.relative_to(tests))
    ]


def collect(course: Course, parts: Sequence[Module | Milestone]) -> dict[str, list[str]]:
    """Marker to sorted test ids of modules and milestones, whose needs must be among them.

    Raises: ConfigError with what pytest printed, if it can't collect them, or finds none for one.
    """
    with tempfile.TemporaryDirectory(prefix="tinytorch-manifest-") as folder:
        workspace, file = create(Path(folder) / "workspace", course, format="py"), Path(folder) / "manifest.json"
        marks = " or ".join(part.marker for part in parts)
        command = ["-m", marks, "-q", "--tb=short", "-p", "no:cacheprovider", f"--tito-manifest={file}"]
        status, printed = run_pytest(course, workspace.root, [*command, "--collect-only"])
        if status not in (0, _NO_TESTS):
            raise ConfigError(f"The course's tests can't be collected:\n{errors(printed)}")
        found: dict[str, list[str]] = json.loads(file.read_text("utf-8"))
        for part in parts:
            if not found.get(part.marker):
                raise ConfigError(f"{part.label} has no tests that pytest collects: functions test_... in files test_*.py of its tests folder")
            if any(test.endswith(f"::import_{part.folder}") for test in found[part.marker]):  # see session.BrokenTests
                _, printed = run_pytest(course, workspace.root, [*command, "-x", part.test_folder])
                raise ConfigError(f"The stub of {part.label} can't be imported:\n{errors(printed)}")
    return found


def errors(printed: str) -> str:
    """Of what pytest printed, what went wrong: from its section of errors or failures on, shortened."""
    lines = printed.splitlines()
    first = next((number for number, line in enumerate(lines) if _HEADING.fullmatch(line)), 0)
    return shortened("\n".join(lines[first:]))


def shortened(text: str) -> str:
    """A text of which the middle is left out, if it has more lines than anybody reads in a message."""
    lines = text.splitlines()
    if len(lines) <= _SHOWN:
        return text
    return "\n".join([*lines[: _SHOWN - _LAST - 1], f"[{len(lines) - _SHOWN + 1} lines left out]", *lines[-_LAST:]])


def run_pytest(course: Course, root: Path, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Pytest's exit status in a workspace that isn't the student's, and what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=root,
        env=inherited | {TEMPLATES_VARIABLE: str(course.folder), "NO_COLOR": "1"} | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    return done.returncode, done.stdout.strip().replace(f"{root}{os.sep}", "")
