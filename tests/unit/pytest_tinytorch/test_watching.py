"""A save is noticed once, when it is complete, and never missed."""
from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_tinytorch import watching
from pytest_tinytorch.watching import Saves, Stamps
from pytest_tinytorch.workspace.layout import Workspace

ONE: Stamps = {"file": (10, 1, 1)}
OTHER: Stamps = {"file": (12, 2, 1)}


class Disk:
    """What is seen at one look after another; the last for ever. Time passes only while somebody sleeps."""

    def __init__(self, looks: Iterable[Stamps]) -> None:
        self.looks = list(looks)
        self.now = 0.0

    def look(self) -> Stamps:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def saves(*looks: Stamps, tested: Stamps | None = ONE) -> tuple[Saves, Disk]:
    disk = Disk(looks)
    noticed = Saves(disk.look, clock=lambda: disk.now, sleep=disk.sleep)
    noticed.tested = tested
    return noticed, disk


def test_the_first_look_counts_as_a_save():
    noticed, _ = saves(ONE, tested=None)
    assert noticed.there_is_one() and not noticed.there_is_one()


def test_a_save_is_noticed_once():
    noticed, disk = saves(ONE, OTHER)
    assert [noticed.there_is_one() for _ in range(4)] == [False, True, False, False]
    assert disk.now < 0.01, "which took no time that a person would notice"


def test_a_file_that_still_grows_is_waited_for():
    noticed, _ = saves({"file": (1, 2, 1)}, {"file": (2, 3, 1)}, {"file": (3, 4, 1)}, OTHER)
    assert noticed.there_is_one() and noticed.tested == OTHER
    assert not noticed.there_is_one()


@pytest.mark.parametrize("gap", [{}, {"file": (0, 2, 1)}], ids=["gone", "empty"])
def test_a_file_that_is_replaced_or_truncated_is_waited_for(gap: Stamps):
    noticed, _ = saves(gap, gap, gap, gap, OTHER)
    assert noticed.there_is_one() and noticed.tested == OTHER


@pytest.mark.parametrize("gap", [{}, {"file": (0, 2, 1)}], ids=["gone", "empty"])
def test_a_file_that_stays_away_is_a_save_in_the_end(gap: Stamps):
    noticed, disk = saves(gap)
    assert noticed.there_is_one() and noticed.tested == gap and 0.4 < disk.now < 1


def test_a_file_that_never_rests_is_tested_all_the_same():
    noticed, disk = saves(*({"file": (n, n, 1)} for n in range(1, 1000)))
    assert noticed.there_is_one() and disk.now < 1


def test_a_file_that_is_as_it_was_needs_no_test():
    noticed, _ = saves(OTHER, ONE)
    assert not noticed.there_is_one()


def test_the_working_copy_and_the_tests_are_watched(workspace: Workspace):
    module = workspace.course.module("01")

    def seen() -> Stamps:
        return watching.saved_files(workspace, module)

    before = seen()
    tests = workspace.root / "tests" / "01_tensor"
    (workspace.root / "modules" / "02_activations" / "02_activations.py").write_text("x = 1\n", "utf-8")
    (tests / "__pycache__").mkdir()
    (tests / "__pycache__" / "x.pyc").touch()
    assert seen() == before
    for path in (workspace.forms(module)[0], tests / "test_mine.py", tests / "student_side.py"):
        path.write_text("changed\n", "utf-8")
        assert seen() != before, path.name
        before = seen()


def test_a_save_by_renaming_is_seen_though_size_and_time_are_the_same(tmp_path: Path):
    path, new = tmp_path / "module.py", tmp_path / "new"
    path.write_text("a = 1\n", "utf-8")
    before = watching.stamps([str(path)])
    new.write_text("a = 2\n", "utf-8")
    status = path.stat()
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)
    assert watching.stamps([str(path)]) != before


def test_the_configuration_of_pytest_is_looked_at(workspace: Workspace):
    before = watching.configuration(workspace)
    (workspace.root / "conftest.py").write_text("", "utf-8")
    assert watching.configuration(workspace) != before


def test_the_plugin_and_the_course_are_looked_at(workspace: Workspace):
    before = watching.installation(workspace.course)
    assert any(path.endswith("session.py") for path in before)
    (workspace.root / "tinytorch" / "core").mkdir(parents=True)
    (workspace.root / "tinytorch" / "core" / "tensor.py").touch()
    assert watching.installation(workspace.course) == before, "an export is no part of them"
    (workspace.course.folder / "VERSION").write_text("1.0.1 and more\n", "utf-8")
    assert watching.installation(workspace.course) != before
