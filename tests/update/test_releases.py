"""From every released version of the course to every later one, in a workspace in which somebody has worked."""
from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from pytest_tinytorch.course import stubs
from pytest_tinytorch.course.curriculum import Course, load
from pytest_tinytorch.state import pristine, transaction
from pytest_tinytorch.state.recovery import recover
from pytest_tinytorch.state.undo import undo
from pytest_tinytorch.update import update as updating
from pytest_tinytorch.workspace import create
from pytest_tinytorch.workspace.layout import Workspace
from tests.course import releases
from tests.update.histories import UNSEEN, tree

INSTALLED = "the installed one"
PAIRS = list(combinations([*releases.versions(), INSTALLED], 2))


def course_of(version: str, folder: Path) -> Course:
    return load() if version == INSTALLED else releases.unpacked(version, folder)


@pytest.mark.parametrize("form", ["py", "ipynb"])
@pytest.mark.parametrize("old, new", PAIRS, ids=lambda version: version.replace(" ", "-"))
def test_an_update_between_versions(tmp_path: Path, old: str, new: str, form: str):
    before, after = course_of(old, tmp_path), course_of(new, tmp_path)
    root = create.create(tmp_path / "workspace", before, format=form).root
    first, second = before.modules[:2]
    modified, deleted = (root / first.test_folder / name for name in ("test_reductions.py", "test_shapes.py"))
    modified.write_text("# mine\n", "utf-8")
    deleted.unlink()
    renamed = (root / second.test_folder / "test_mine.py")
    (root / second.test_folder / "test_progressive_integration.py").rename(renamed)
    work = stubs.solution(before.source(first).read_text("utf-8"))
    copy = Workspace(root, before).existing_forms(first)[0]
    if form == "py":
        copy.write_text(work, "utf-8")
    at_first, worked = tree(root, but=UNSEEN), copy.read_bytes()

    workspace = Workspace(root, after)
    updating.update(workspace)
    contents = create.files_here(workspace)
    for path, data in contents.items():
        if not path.startswith("modules/") or path not in create.course_files(before, form):
            here = transaction.content(root / path)
            assert here == (b"# mine\n" if root / path == modified else data), path
    assert copy.read_bytes() == worked and renamed.is_file()
    if tree(root, but=UNSEEN) != at_first:
        undo(workspace, of=updating.COMMAND)
    assert tree(root, but=UNSEEN) == at_first


@pytest.mark.parametrize("version", releases.versions())
def test_a_lost_state_knows_again_which_version_a_file_is_of(tmp_path: Path, version: str):
    root = create.create(tmp_path / "workspace", course_of(version, tmp_path), format="py").root
    mine = root / "tests" / "01_tensor" / "test_shapes.py"
    mine.write_text("# mine\n", "utf-8")
    (root / ".tito" / "version.json").unlink()
    workspace = Workspace(root, load())
    assert recover(workspace) == ["Created .tito/version.json again: it was missing."]
    files = workspace.store.read("version.json")["files"]
    assert files["tests/01_tensor/test_shapes.py"]["version"] == "unknown"
    there = {path: entry for path, entry in files.items() if (root / path).is_file() and root / path != mine}
    assert all(entry["version"] != "unknown" for entry in there.values())
    assert all(pristine.is_same(entry["sha256"], (root / path).read_bytes()) for path, entry in there.items())
    updating.update(workspace)
    assert (root / "tests" / "01_tensor" / "test_dtypes.py").read_bytes() == (load().folder / "tests/01_tensor/test_dtypes.py").read_bytes()
    assert mine.read_text("utf-8") == "# mine\n"
