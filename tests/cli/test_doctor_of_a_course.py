"""`tito doctor`, and health, in a workspace of an instructor's course: what is lost of the course is told and comes back."""
from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_tinytorch.course.curriculum import read_course
from pytest_tinytorch.workspace.handout import hand_out
from pytest_tinytorch.workspace.layout import find
from tests.cli.conftest import Answer, Tito
from tests.machine import make_sound
from tests.plugin.conftest import TRIPLING, Student, write_course, write_instructors_course
from tests.update.histories import tree
from tinytorch.errors import ConfigError

LIST = Path("extra", "51_tripling", "required_tests.json")
TESTS = Path("extra", "51_tripling", "tests", "test_triple.py")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace made once: to collect the tests takes a second."""
    folder = tmp_path_factory.mktemp("handed out")
    write_course(folder / "course")
    hand_out(folder / "workspace", read_course(folder / "course"), write_instructors_course(folder / "mine"), format="py")
    return folder


@pytest.fixture
def mine(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Student:
    make_sound(monkeypatch, tmp_path)
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(once / "course"))
    root = shutil.copytree(once / "workspace", tmp_path / "my work \N{SNAKE}")
    monkeypatch.chdir(root)
    return Student(root, once / "course", "py")


def faults(answer: Answer) -> list[tuple[str, str]]:
    return [(check["text"], check["fix"]) for check in json.loads(answer.out)["checks"] if check["state"] == "fault"]


def spoil(student: Student, how: str) -> None:
    if how == "lost":
        (student.root / LIST).unlink()
    elif how == "of other tests":
        (student.root / TESTS).write_text((student.root / TESTS).read_text("utf-8") + "\n\ndef test_more(): triple(1)\n", "utf-8")
    else:
        (student.root / LIST).write_text({"broken": "{", "empty": '{"module51": []}', "no table": "[]"}[how], "utf-8")


@pytest.mark.parametrize("how", ["lost", "broken", "empty", "no table", "of other tests"])
def test_a_list_of_tests_that_is_of_no_use_is_a_fault_and_is_made_again(mine: Student, tito: Tito, how: str):
    spoil(mine, how)
    for command in (["system", "health"], ["doctor"]):
        [(text, fix)] = faults(tito(*command, "--json"))
        assert "required_tests.json" in text and "module 51 Tripling can't be completed" in text and fix == "tito system health --repair"
    if how in ("lost", "broken", "no table"):
        with pytest.raises(ConfigError, match=r"Make it again with: tito system health --repair"):
            _ = find().course.required_tests
    repaired = tito("system", "health", "--repair")
    assert repaired.status == 0 and "Listed the tests of module 51 Tripling again, in extra/51_tripling/required_tests.json" in repaired.out
    assert len(json.loads((mine.root / LIST).read_text("utf-8"))["module51"]) == (3 if how == "of other tests" else 2)
    assert "nothing to repair" in tito("system", "health", "--repair").out


def test_windows_newlines_make_no_list_one_of_other_tests(mine: Student, tito: Tito):
    (mine.root / TESTS).write_bytes((mine.root / TESTS).read_bytes().replace(b"\n", b"\r\n"))
    assert tito("system", "health").status == 0


def test_tests_that_cannot_be_listed_end_no_repair(mine: Student, tito: Tito):
    (mine.root / TESTS).write_text("import nothing_of_this_name\n", "utf-8")
    (mine.root / "tests" / "01_tensor" / "test_root.py").unlink()
    answer = tito("system", "health", "--repair")
    assert answer.status == 1 and "Brought back tests/01_tensor/test_root.py" in answer.out and "nothing_of_this_name" in answer.out


def test_a_lost_list_comes_back_by_an_update_too(mine: Student, tito: Tito):
    before = tree(mine.root, but=(".tito",))
    (mine.root / LIST).unlink()
    assert f"Added {LIST.as_posix()}" in tito("update").out and tree(mine.root, but=(".tito",)) == before


def test_a_lost_file_of_the_course_is_a_fault_and_comes_back(mine: Student, tito: Tito):
    before = tree(mine.root, but=(".tito",))
    (mine.root / "extra" / "51_tripling" / "README.md").unlink()
    assert faults(tito("doctor", "--json")) == [("extra/51_tripling/README.md is missing, of your instructor's course", "tito system health --repair")]
    assert tito("doctor", "--repair").status == 0 and tree(mine.root, but=(".tito",)) == before


BROKEN = {"a wrong key": ("course.yml", "modulse: [1]\n"), "no yaml": ("course.yml", "modules: [1"), "a row": ("extra/51_tripling/module.toml", "number")}


@pytest.mark.parametrize(("path", "text"), BROKEN.values(), ids=BROKEN)
def test_a_course_that_cannot_be_read_is_told_and_comes_back(mine: Student, tito: Tito, path: str, text: str):
    before = tree(mine.root, but=(".tito",))
    (mine.root / path).write_text(text, "utf-8")
    (mine.root / ".tito" / "config.json").write_text("{", "utf-8")
    answer = tito("doctor", "--json")
    data = json.loads(answer.out)
    told = faults(answer)
    assert data["workspace"] == str(mine.root) and data["healthy"] is False
    assert path.rpartition("/")[2] in told[0][0] and "tito doctor --repair" in told[0][0]
    assert any("config.json" in text for text, _ in told) and not any("tests" in text for text, _ in told), "what can be looked at, and no more"
    assert str(mine.root) in tito("doctor").out
    repaired = tito("doctor", "--repair")
    assert repaired.status == 0 and f"Brought back {path}, as you got it.\nTo take that back: tito undo\n" in repaired.out
    assert tree(mine.root, but=(".tito",)) == before
    assert tito("undo").status == 0 and (mine.root / path).read_text("utf-8") == text


@pytest.mark.parametrize("lost", ["course.yml", "extra"])
def test_a_course_that_is_lost_comes_back(mine: Student, tito: Tito, lost: str):
    before = tree(mine.root, but=(".tito",))
    (mine.root / lost).rename(mine.root.parent / "gone")
    assert tito("doctor").status == 1
    assert tito("doctor", "--repair").status == 0 and tree(mine.root, but=(".tito",)) == before


def test_a_course_that_is_as_it_came_and_does_not_go_with_the_installed_one_has_a_way_forward(
    mine: Student, tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A new version has a module of the same slug: a course.yml with another one is taken in."""
    shutil.copytree(mine.course, tmp_path / "newer")
    monkeypatch.setenv("TINYTORCH_TEMPLATES", str(tmp_path / "newer"))
    (tmp_path / "newer" / "curriculum.toml").write_text(
        (mine.course / "curriculum.toml").read_text("utf-8").replace('"layers"', '"tripling"').replace("core.layers", "core.tripling"), "utf-8"
    )
    assert "tripling is the slug of module 03" in tito("doctor", "--repair").out
    config = write_instructors_course(tmp_path / "mine")
    own = tmp_path / "shared" / "tripling"
    (own / "51_tripling.py").rename(own / "51_thrice.py")
    (own / "module.toml").write_text((own / "module.toml").read_text("utf-8").replace('"tripling"', '"thrice"'), "utf-8")
    mine.write(TRIPLING + "# mine\n", "51_tripling")
    assert tito("update", "--config", str(config)).status == 0
    assert mine.path("51_thrice").read_text("utf-8").endswith("# mine\n"), "the working copy moves along"
    assert tito("doctor").status == 0
