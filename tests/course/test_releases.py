"""A release is final: whatever changes in the course afterwards has a new version, and says why."""
from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pytest_tinytorch.course.curriculum import load, read_course
from tests.course import releases
from tests.plugin.conftest import write_course


def test_every_change_since_the_last_release_has_a_version_and_a_reason(tmp_path: Path):
    last = releases.unpacked(releases.versions()[-1], tmp_path)
    assert releases.unexplained(last, load()) == []


@pytest.mark.parametrize("old, new", list(pairwise(releases.versions())))
def test_every_change_between_releases_has_a_reason(tmp_path: Path, old: str, new: str):
    assert releases.unexplained(releases.unpacked(old, tmp_path), releases.unpacked(new, tmp_path)) == []


def changed(tmp_path: Path, version: str):
    write_course(tmp_path / version)
    (tmp_path / version / "VERSION").write_text(version, "utf-8")
    (tmp_path / version / "tests" / "01_tensor" / "test_root.py").write_text("", "utf-8")
    return read_course(tmp_path / version)


@pytest.mark.parametrize(
    "version, told",
    [("1.0.0", "changed since 1.0.0, and VERSION is 1.0.0"), ("1.0.1", "no entry of CHANGES.toml says why")],
    ids=["under the same version", "without a reason"],
)
def test_a_change_is_refused(tmp_path: Path, version: str, told: str):
    write_course(tmp_path / "old")
    new = changed(tmp_path, version)
    assert releases.unexplained(read_course(tmp_path / "old"), new) == [f"tests/01_tensor/test_root.py: {told}"]


def test_a_release_is_frozen_once_and_holds_the_whole_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(releases, "ARCHIVES", tmp_path)
    course = changed(tmp_path, "1.0.1")
    archive = releases.freeze(course)
    assert releases.content(releases.unpacked("1.0.1", tmp_path / "again")) == releases.content(course)
    with pytest.raises(FileExistsError):
        releases.freeze(course)
    data = archive.read_bytes()
    archive.unlink()
    assert releases.freeze(course).read_bytes() == data, "the same course, the same bytes"
