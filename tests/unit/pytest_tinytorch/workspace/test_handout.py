"""A workspace of an instructor's course holds all that it needs, tells no solution, and is not begun if there is a fault."""
from __future__ import annotations

import json
import shutil

import pytest

from pytest_tinytorch.course import custom, stubs
from pytest_tinytorch.course.curriculum import UnknownName
from pytest_tinytorch.state.recovery import recover
from pytest_tinytorch.workspace import layout
from pytest_tinytorch.workspace.create import course_files, create
from pytest_tinytorch.workspace.handout import hand_out, hand_out_modules
from pytest_tinytorch.workspace.manifest import errors
from tests.plugin.conftest import COURSE_YML, OWN_MODULE, TRIPLING, write_instructors_course
from tinytorch.errors import ConfigError, WorkspaceError

TEST = OWN_MODULE["tests/test_triple.py"]
IDS = [f"tests/51_tripling/test_triple.py::test_triple[{word}]" for word in ("one", "two")]


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A workspace handed out once, beside the tiny course and the instructor's."""
    from pytest_tinytorch.course.curriculum import read_course
    from tests.plugin.conftest import write_course

    folder = tmp_path_factory.mktemp("handed out")
    write_course(folder / "course")
    hand_out(folder / "workspace", read_course(folder / "course"), write_instructors_course(folder / "mine"), format="py")
    return folder


@pytest.fixture
def root(once, tmp_path):
    """A copy of it; the instructor's folder is not beside it."""
    return shutil.copytree(once / "workspace", tmp_path / "workspace")


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_workspace_knows_its_course(root, course):
    mine = layout.find(root).course
    assert [module.number for module in mine.modules] == ["01", "51", "02"]
    assert (mine.title, mine.module("51").home) == ("CS 249r, spring", root / "extra" / "51_tripling")
    assert mine.required(mine.module("51")) == frozenset(IDS)
    assert mine.required(mine.module("01")) == course.required(course.module("01"))


def test_course_yml_is_as_the_instructor_wrote_it_but_for_the_folders(root):
    text = (root / "course.yml").read_text("utf-8")
    assert text == COURSE_YML.replace('"../shared/tripling"', "extra/51_tripling")


def test_no_file_tells_a_solution_of_the_instructors(once, root):
    assert [path for path, data in files_below(root).items() if b"secret" in data] == []
    source = (root / "extra" / "51_tripling" / "51_tripling.py").read_text("utf-8")
    assert stubs.stub(source) == (root / "modules" / "51_tripling" / "51_tripling.py").read_text("utf-8") == stubs.stub(TRIPLING)
    assert (once / "shared" / "tripling" / "51_tripling.py").read_text("utf-8") == TRIPLING, "the instructor's stays"


def test_the_students_folder_has_what_stands_beside_the_source(root):
    assert sorted(files_below(root / "modules" / "51_tripling")) == ["51_tripling.py", "README.md"]
    assert files_below(root / "tests" / "51_tripling") == {"test_triple.py": OWN_MODULE["tests/test_triple.py"].encode()}


def test_a_workspace_gives_the_same_files_as_the_instructors_course(root, course):
    here = layout.find(root)
    known = {path: data for path, data in files_below(root).items() if not path.startswith(".tito/")}
    assert course_files(here.course, "py") == known
    assert files_below(here.pristine) == known


def test_without_its_state_a_workspace_is_still_one_of_the_course(root, course):
    shutil.rmtree(root / ".tito")
    here = layout.find(root)
    recover(here)
    assert [module.number for module in here.course.modules] == ["01", "51", "02"]
    assert not any(entry["modified_by_student"] for entry in here.store.read("version.json")["files"].values())
    assert "extra/51_tripling/required_tests.json" in here.store.read("version.json")["files"]


@pytest.mark.parametrize("lost", ["course.yml", "extra"])
def test_a_lost_course_is_told_with_the_way_to_bring_it_back(root, course, lost):
    (root / lost).rename(root.parent / "gone")
    with pytest.raises(ConfigError, match=r"(?s)as you got it: tito doctor --repair\n.*instructor: tito update --config FILE"):
        layout.find(root)


def test_a_second_run_changes_nothing(root, course):
    before = files_below(root)
    hand_out(root, course, root / "course.yml", format="py")
    assert files_below(root) == before


def test_solutions_are_given_if_the_instructor_says_so(tmp_path, course):
    config = write_instructors_course(tmp_path / "mine", COURSE_YML + "solutions: true\n")
    made = hand_out(tmp_path / "workspace", course, config, format="py")
    assert made.course.source(made.course.module("51")).read_text("utf-8") == TRIPLING
    assert b"secret" not in made.working_copy(made.course.module("51")).data


def test_what_programs_and_workspaces_left_in_a_module_is_not_handed_out(tmp_path, course):
    config = write_instructors_course(tmp_path / "mine")
    for name in ("__pycache__/x.pyc", ".DS_Store", ".git/config", "tests/.pytest_cache/x", "required_tests.json"):
        (tmp_path / "shared" / "tripling" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "shared" / "tripling" / name).write_text('{"module51": []}')
    made = hand_out(tmp_path / "workspace", course, config, format="py")
    assert sorted(files_below(made.root / "extra" / "51_tripling")) == sorted([*OWN_MODULE, "required_tests.json"])
    assert made.course.required(made.course.module("51")) == frozenset(IDS), "collected anew"


def test_modules_alone_are_a_course_too(tmp_path, course):
    made = hand_out_modules(tmp_path / "workspace", course, "1-2", format="py")
    assert (made.root / "course.yml").read_text("utf-8") == "modules: [1-2]\n"
    table = json.loads((made.root / "tinytorch" / "course_modules.json").read_text("utf-8"))
    assert table == {"tinytorch.core.tensor": ["01", "Tensor"], "tinytorch.core.activations": ["02", "Activations"]}


def test_what_was_handed_out_makes_the_same_workspace(once, root, tmp_path, course):
    """Its modules tell no solution, so that there is nothing to prove."""
    made = hand_out(tmp_path / "another", course, root / "course.yml", format="py")
    assert {p: d for p, d in files_below(made.root).items() if ".tito" not in p} == {p: d for p, d in files_below(root).items() if ".tito" not in p}


def test_a_module_that_needs_another_of_the_instructors_is_proved_with_it(tmp_path, course):
    config = write_instructors_course(tmp_path / "mine", 'modules: [1, 51, 52]\nextra: ["../shared/tripling", "../shared/nining"]\n')
    names = {"51": "52", "tripling": "nining", "Tripling": "Nining", '["01"]': '["51"]', "tinytorch.core.tensor import double": "tinytorch.extra.tripling import triple as double"}
    for name, text in {**OWN_MODULE, "tests/test_triple.py": TEST.replace("3 * x", "4 * x")}.items():
        for old, new in names.items():
            name, text = name.replace(old, new), text.replace(old, new)
        (tmp_path / "shared" / "nining" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shared" / "nining" / name).write_text(text, "utf-8")
    made = hand_out(tmp_path / "workspace", course, config, format="py")
    assert len(made.course.required(made.course.module("52"))) == 2


def test_a_message_has_what_pytest_says_of_errors_and_no_more():
    printed = "\n".join(["tests/x.py::test"] * 500 + ["===== ERRORS =====", "cause", *["deep"] * 99, "last"])
    lines = errors(printed).splitlines()
    assert (lines[:2], lines[-1], len(lines)) == (["===== ERRORS =====", "cause"], "last", 30) and "[73 lines left out]" in lines


# --- faults: nothing is written -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("51_tripling.py", TRIPLING.replace("### END SOLUTION", ""), r"shared.*51_tripling\.py:6: ### BEGIN SOLUTION has no twin"),
        ("51_tripling.py", TRIPLING.replace("core.tensor", "core.nothing"), r"(?s)The stub of 51 Tripling can't be imported:.*tinytorch\.core\.nothing"),
        ("tests/test_triple.py", "import nothing_of_this_name", r"(?s)tests can't be collected:.*nothing_of_this_name"),
        ("tests/test_triple.py", "def triple(): ...", r"51 Tripling has no tests that pytest collects: functions test_\.\.\. in files test_\*\.py of its tests folder$"),
        ("module.toml", OWN_MODULE["module.toml"].replace('["01"]', '["03"]'), "need 03 Layers, which the course doesn't have yet"),
        ("51_tripling.py", TRIPLING.replace("secret + x", "secret"), r"(?s)solution of module 51 Tripling doesn't pass its own tests: 2 of 2 .*Correct 51_tripling\.py or the test.*test_triple\[one\]\n.*got +2\n"),
        ("51_tripling.py", TRIPLING.replace("secret + x", "secret +"), "(?s)solution of module 51 Tripling doesn't pass.*SyntaxError: invalid syntax"),
        ("51_tripling.py", TRIPLING + TRIPLING[TRIPLING.index("# %% exercise"):].replace("triple", "thrice"), r"have no test: thrice\. A test is one of an exercise by @pytest\.mark\.exercise\(\"thrice\"\)"),
        ("tests/test_triple.py", TEST.replace('exercise("triple")', 'exercise("tripel")'), r"name exercises that it doesn't have: tripel\. It has triple\."),
        ("tests/test_triple.py", TEST + "\n\ndef test_nothing():\n    assert True\n", r"pass with its stub, where nothing is written yet: tests/51_tripling/test_triple\.py::test_nothing\. Let each touch an exercise"),
        ("51_tripling.py", "# %%\nimport math\n" + TRIPLING.replace("core.tensor", "core.activations"), r"shared.*51_tripling\.py:4: tinytorch\.core\.activations is imported, of module 02 Activations, which module 51 Tripling doesn't need\. Add \"02\" to needs in .*module\.toml"),
        ("tests/test_triple.py", "from tinytorch.core import layers\n" + TEST, r"test_triple\.py:1: tinytorch\.core\.layers is imported, of module 03 Layers"),
    ],
    ids=["source", "stub", "broken test", "no test", "planned", "wrong solution", "no python", "exercise without a test", "test of no exercise", "test that passes", "need not said", "need of a test"],
)  # fmt: skip
def test_a_module_that_cannot_be_used_is_told(tmp_path, course, file, text, message):
    config = write_instructors_course(tmp_path / "mine", 'extra: ["../shared/tripling"]\nmodules: [1-3, 51]\n')
    (tmp_path / "shared" / "tripling" / file).write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        hand_out(tmp_path / "workspace", course, config, format="py")
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize("modules", ["1-9", "tensor", "2", "1]", "1,,2", "", "{}"])
def test_modules_that_are_no_course_are_told(tmp_path, course, modules):
    with pytest.raises(UnknownName, match=f"--modules {modules}".replace("{", r"\{")):
        hand_out_modules(tmp_path / "workspace", course, modules, format="py")
    assert not (tmp_path / "workspace").exists()


def test_a_workspace_of_the_whole_course_stays_one(workspace, course):
    before = files_below(workspace.root)
    with pytest.raises(WorkspaceError, match="is a workspace of the whole course already"):
        hand_out_modules(workspace.root, course, "1", format="py")
    assert files_below(workspace.root) == before


def test_a_workspace_of_another_course_stays_one(root, course):
    before = files_below(root)
    with pytest.raises(WorkspaceError, match=r"its course\.yml says something else\. .*: tito update --config FILE"):
        hand_out_modules(root, course, "1", format="py")
    assert files_below(root) == before


def test_a_folder_over_several_lines_is_refused(tmp_path, course):
    config = write_instructors_course(tmp_path / "mine", "modules: [1, 51]\nextra:\n- >-\n  ../shared/tripling\n")
    with pytest.raises(ConfigError, match="yml:3: write the folder in one line"):
        hand_out(tmp_path / "workspace", course, config, format="py")


def test_an_unprepared_course_has_no_required_tests(tmp_path, course):
    mine = custom.read(write_instructors_course(tmp_path / "mine"), course)
    with pytest.raises(ConfigError, match=r"required_tests\.json can't be read: .*tito system health --repair"):
        mine.required(mine.module("51"))


def test_create_does_not_hide_that_a_workspace_has_a_course(root, course):
    """Whoever passes the installed course gets the installed course's files: nothing of the instructor's is touched."""
    before = files_below(root)
    create(root, course, format="py")
    assert {path: data for path, data in files_below(root).items() if path in before} == before
