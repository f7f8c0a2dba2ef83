"""A new workspace holds the course's files, overwrites none that is there, and can be finished by a second run."""
from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pytest_tinytorch.course.curriculum import load, read_course
from pytest_tinytorch.state.store import STATE_FILES, empty
from pytest_tinytorch.workspace import create as create_module
from pytest_tinytorch.workspace import notebooks
from pytest_tinytorch.workspace.create import course_files, create
from tests.plugin.conftest import TESTS
from tinytorch import files
from tinytorch.errors import ConfigError, WorkspaceError


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("format", ["py", "ipynb"])
def test_a_workspace_holds_the_courses_files_and_stubs(course, tmp_path, format):
    workspace = create(tmp_path / "new" / "workspace", course, format=format)
    here = contents(workspace.root)
    work = {f"modules/{folder}/{folder}.{format}" for folder in ("01_tensor", "02_activations")}
    assert {path for path in here if not path.startswith(".tito/")} == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        *TESTS,
        *work,
    }
    for path in TESTS:
        assert here[path].decode() == TESTS[path]
    for path in work:
        assert b"NotImplementedError" in here[path]
        assert b"SOLUTION" not in here[path]
        assert notebooks.read_cells(workspace.root / path)
    assert b".tito/\n.tito_backup_*" in here[".gitignore"]
    assert b"[tool.tinytorch]" in here["pyproject.toml"]


def test_the_state_of_a_new_workspace_is_empty_and_knows_every_file(course, tmp_path):
    workspace = create(tmp_path / "workspace", course)
    for name in STATE_FILES[:3]:
        assert workspace.store.read(name) == empty(name)
    versions = workspace.store.read("version.json")
    assert (versions["workspace_version"], versions["template_version"]) == ("1.0", "1.0.0")
    assert versions["created"] == versions["last_updated"]
    assert versions["created"].endswith("Z")
    here = {path: data for path, data in contents(workspace.root).items() if not path.startswith(".tito/")}
    assert versions["files"] == {
        path: {"version": "1.0.0", "modified_by_student": False, "sha256": files.sha256(data)}
        for path, data in sorted(here.items())
    }
    assert contents(workspace.pristine) == here
    assert list((workspace.tito / "backups").iterdir()) == []


def test_the_real_course_makes_a_workspace(tmp_path):
    workspace = create(tmp_path / "workspace", load(), format="py")
    assert (workspace.root / "modules" / "01_tensor" / "01_tensor.py").is_file()
    assert (workspace.root / "tests" / "01_tensor").is_dir()


def test_a_long_path_with_spaces_and_emoji_is_a_place_for_a_workspace(course, tmp_path):
    root = tmp_path / ("Mein Kurs \N{SNAKE} " * 12).strip() / ("w" * 60)
    assert len(str(root)) > 200
    assert create(root, course).store.read("progress.json") == empty("progress.json")


# --- what is there already ----------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing_and_finishes_what_is_missing(course, tmp_path):
    root = create(tmp_path / "workspace", course, format="py").root
    before = contents(root)
    create(root, course, format="py")
    assert contents(root) == before
    for path in ("tests/01_tensor/test_root.py", ".tito/progress.json", ".tito/pristine/README.md"):
        (root / path).unlink()
    create(root, course, format="py")
    assert contents(root) == before


def test_progress_and_preferences_are_never_overwritten(course, tmp_path):
    workspace = create(tmp_path / "workspace", course, format="py")
    workspace.store.update("progress.json", lambda state: state["completed_modules"].append(1))
    workspace.store.update("config.json", lambda state: state.update(logo_theme="none"))
    create(workspace.root, course, format="py")
    assert workspace.store.read("progress.json")["completed_modules"] == [1]
    assert workspace.store.read("config.json") == {"logo_theme": "none"}


def test_other_files_of_the_folder_stay(course, tmp_path):
    (tmp_path / "workspace" / "modules").mkdir(parents=True)
    (tmp_path / "workspace" / "modules" / "notes.txt").write_text("mine")
    create(tmp_path / "workspace", course)
    assert (tmp_path / "workspace" / "modules" / "notes.txt").read_text() == "mine"


def in_the_way_of(root, what):
    path = root / "tests" / "01_tensor" / "test_root.py"
    path.parent.mkdir(parents=True)
    if what == "other content":
        path.write_text("mine")
    elif what == "a folder":
        path.mkdir()
    elif what == "a link to nowhere":
        path.symlink_to(root / "nowhere" / "x.py")
    elif what == "a file for a folder":
        path.parent.rmdir()
        path.parent.write_text("mine")


@pytest.mark.parametrize("what", ["other content", "a folder", "a link to nowhere", "a file for a folder"])
def test_what_is_in_the_way_is_listed_and_nothing_is_changed(course, tmp_path, what):
    if os.name == "nt" and what == "a link to nowhere":
        pytest.skip("links need rights on Windows")
    root = tmp_path / "workspace"
    in_the_way_of(root, what)
    (root / "README.md").write_text("mine too")
    before = sorted(root.rglob("*"))
    message = (
        rf"{root} has files with other content than the course would put there:\n  README\.md\n(.|\n)*"
        r"  tests/01_tensor/test_root\.py\n(.|\n)*Nothing was changed"
    )
    with pytest.raises(WorkspaceError, match=message):
        create(root, course, format="py")
    assert sorted(root.rglob("*")) == before


def test_a_file_is_no_place_for_a_workspace(course, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match=rf"{tmp_path}/file is a file\. Name a folder"):
        create(tmp_path / "file", course)


@pytest.mark.parametrize("below", ["inner", "modules/01_tensor/inner", "new/inner"])
def test_a_workspace_inside_a_workspace_is_refused(workspace, course, below):
    before = sorted(workspace.root.rglob("*"))
    with pytest.raises(
        WorkspaceError, match=rf"{below} lies inside the workspace {workspace.root}, .* Choose a folder outside"
    ):
        create(workspace.root / below, course)
    assert sorted(workspace.root.rglob("*")) == before


def test_a_tito_that_is_a_file_is_told_before_anything_is_written(course, tmp_path):
    (tmp_path / ".tito").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WorkspaceError, match=r"other content than the course would put there:\n  \.tito\n"):
        create(tmp_path, course)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="permissions of folders are other on Windows")
def test_a_folder_that_may_not_be_written_is_told(course, tmp_path):
    """In a child that gives up root's right to write anywhere."""
    (tmp_path / "closed").mkdir(mode=0o555)
    become = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-all"] if os.geteuid() == 0 else []
    program = (
        "import sys; from pytest_tinytorch.course.curriculum import load\n"
        "from pytest_tinytorch.workspace.create import create\n"
        "from tinytorch.errors import WorkspaceError\n"
        "try: create(sys.argv[1], load())\nexcept WorkspaceError as error: print(error)"
    )
    for place in (tmp_path / "closed", tmp_path / "closed" / "new"):
        done = subprocess.run(
            [*become, sys.executable, "-c", program, str(place)], capture_output=True, text=True, check=False
        )
        assert "The workspace can't be written: [Errno 13] Permission denied" in done.stdout, done.stderr
        assert "run tito init again; it goes on where it stopped" in done.stdout


def test_a_run_that_was_stopped_is_finished_by_the_next(course, tmp_path, monkeypatch):
    """At every write: nothing that is there afterwards is in the way of the second run."""
    write, count, whole = files.write_atomic, 0, None
    for stop in (1, 5, 9, 14, 20, 10_000):
        root = tmp_path / f"workspace-{stop}"

        def some(path, data, stop=stop):
            nonlocal count
            count += 1
            if count >= stop:
                raise OSError(28, "No space left on device", str(path))
            write(path, data)

        count = 0
        with monkeypatch.context() as patch:
            patch.setattr(files, "write_atomic", some)
            if stop < 10_000:
                with pytest.raises(WorkspaceError, match=r"can't be written.*No space left on device"):
                    create(root, course, format="py")
        create(root, course, format="py")
        made = {path: data for path, data in contents(root).items() if path != ".tito/version.json"}
        assert whole is None or made == whole
        whole = made


# --- courses with faults ------------------------------------------------------------------------------------------


def test_a_format_that_there_is_not_is_told(course, tmp_path):
    with pytest.raises(ConfigError, match="There is no format 'txt': a working copy is one of ipynb, py"):
        create(tmp_path / "workspace", course, format="txt")
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize("missing", ["workspace/gitignore", "workspace/README.md", "workspace/pyproject.toml"])
def test_a_course_without_a_workspace_file_is_told(course, missing):
    (course.folder / missing).unlink()
    with pytest.raises(ConfigError, match=rf"{course.folder} is no course: No such file or directory \(.*{missing}\)"):
        course_files(course, "py")


def test_a_module_with_a_fault_is_told_with_its_file_and_line(course):
    path = course.source(course.module("01"))
    path.write_text(path.read_text().replace("### END SOLUTION", "", 1))
    with pytest.raises(ConfigError, match=r"01_tensor\.py:\d+: ### BEGIN SOLUTION"):
        course_files(course, "py")


def test_what_programs_left_in_the_course_is_not_copied(course):
    for path in (
        "tests/01_tensor/__pycache__/x.pyc",
        "modules/01_tensor/.ipynb_checkpoints/x.ipynb",
        "tests/01_tensor/.pytest_cache/x",
    ):
        (course.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (course.folder / path).touch()
    assert course_files(course, "py") == course_files(read_course(course.folder), "py")
    assert not [path for path in course_files(course, "py") if path.endswith(("/x", "/x.pyc", "/x.ipynb"))]


def test_the_layouts_version_is_a_text_of_its_own():
    assert json.loads(json.dumps(create_module.LAYOUT_VERSION)) == "1.0"


def test_a_second_run_with_the_other_format_adds_no_second_form(course, tmp_path):
    create(tmp_path / "workspace", course, format="py")
    before = contents(tmp_path / "workspace")
    with pytest.raises(WorkspaceError, match=r"its modules are \.py files: .*tito module convert NN --to ipynb"):
        create(tmp_path / "workspace", course, format="ipynb")
    assert contents(tmp_path / "workspace") == before
