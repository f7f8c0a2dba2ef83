"""`make release-check` finds what doesn't fit together, and the release notes hold every fragment."""
from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

import pytest

from tests.release import ROOT, faults

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")


def git(root, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def write(root, name, text):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, "utf-8")


def commit(root):
    git(root, "add", "--all")
    git(root, "commit", "--message", "All of it")


@pytest.fixture
def project(tmp_path):
    """A project at version 0.2.0 that is ready; 0.1.0 is released."""
    root = tmp_path / "project"
    write(root, "tinytorch/__init__.py", '__version__ = "0.1.0"\n')
    write(root, "templates/VERSION", "1.0.0\n")
    write(root, "tests/releases/1.0.0.tar.xz", "")
    write(root, "changelog.d/README.md", "How\n")
    write(root, "README.md", "TinyTorch\n")
    write(root, "CHANGELOG.md", "# Changelog\n\n## 0.1.0 (2026-01-01)\n")
    git(root, "init", "--quiet")
    commit(root)
    git(root, "tag", "v0.1.0")
    write(root, "tinytorch/__init__.py", '__version__ = "0.2.0"\n')
    write(root, "CHANGELOG.md", "# Changelog\n\n## 0.2.0 (2026-02-01)\n\n## 0.1.0 (2026-01-01)\n")
    write(root, "docs/quick-start.md", "pip install tinytorch-0.2.0-py3-none-any.whl\n")
    commit(root)
    return root


def test_what_fits_together_has_no_fault(project):
    assert faults(project) == []
    git(project, "tag", "v0.2.0")
    assert faults(project) == [], "also once its tag is there"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("tinytorch/__init__.py", '__version__ = "0.2"\n', "'0.2' is no version"),
        ("templates/VERSION", "\n", "templates '' is no version"),
        ("CHANGELOG.md", "# Changelog\n", "no release yet"),
        ("CHANGELOG.md", "## 0.1.0 (2026-01-01)\n", "CHANGELOG.md has 0.1.0 on top, and the version is 0.2.0"),
        ("changelog.d/5.fix.md", "Fixed.\n", "still has 5.fix.md"),
        ("docs/quick-start.md", "tinytorch-0.1.0-py3-none-any.whl\n", "names tinytorch-0.1.0"),
        ("README.md", "tinytorch-0.1.0.tar.gz\n", "README.md names tinytorch-0.1.0"),
        ("templates/modules/x.py", "x = 1\n", "raise templates/VERSION"),
    ],
    ids=["version", "course", "no notes", "old notes", "fragment", "page", "readme", "course changed"],
)
def test_each_fault_is_named(project, name, text, says):
    write(project, name, text)
    commit(project)
    [fault] = faults(project)
    assert says in fault


def test_a_changed_course_with_a_new_version_is_no_fault(project):
    write(project, "templates/modules/x.py", "x = 1\n")
    write(project, "templates/VERSION", "1.0.1\n")
    commit(project)
    [fault] = faults(project)
    assert fault.startswith("Version 1.0.1 of the course is not frozen")
    write(project, "tests/releases/1.0.1.tar.xz", "")
    commit(project)
    assert faults(project) == []


def test_a_version_that_is_not_newer_is_a_fault(project):
    git(project, "tag", "v0.10.0")
    [fault] = faults(project)
    assert "v0.10.0 is released" in fault


def test_what_is_not_committed_is_a_fault(project):
    write(project, "new.txt", "")
    [fault] = faults(project)
    assert "new.txt" in fault


@pytest.mark.skipif(not importlib.util.find_spec("towncrier"), reason="towncrier is not installed")
def test_the_release_notes_hold_every_fragment():
    """Two fragments that towncrier can't tell apart end it."""
    done = subprocess.run(
        [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "9.9.9"],
        cwd=ROOT, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-500:]
    notes = " ".join(done.stdout.split())
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]
    assert [path.name for path in fragments if " ".join(path.read_text("utf-8").split()) not in notes] == []
