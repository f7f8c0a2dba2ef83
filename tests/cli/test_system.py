"""`tito system health|info` and `tito config`."""
from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.conftest import Tito
from tests.cli.terminal import Terminal
from tests.cli.test_manners import on_a_terminal
from tests.plugin.conftest import Student

SEED = [
    "TinyTorch System Check", "Environment setup", "Dependencies installed", "in development mode", "Data files intact",
    ".tito/progress.json valid", ".tito/milestones.json valid", ".tito/config.json valid", "Backups directory exists", "All systems ready!",
]  # fmt: skip


def test_health_prints_the_lines_of_the_seed_in_their_order(student: Student, tito: Tito):
    answer = tito("system", "health")
    assert answer.status == 0
    rest = answer.out
    for line in SEED:
        _, found, rest = rest.partition(line)
        assert found, f"{line!r} is not in:\n{answer.out}"


def test_a_corrupt_file_is_a_fault_until_it_is_repaired(student: Student, tito: Tito):
    path = student.root / ".tito" / "progress.json"
    path.write_text('{"version": "1.0", "completed_mod', "utf-8")
    sick = tito("system", "health")
    assert sick.status == 1 and "All systems ready!" not in sick.out
    for text in ("Data files corrupted", ".tito/progress.json is malformed", "rm .tito/progress.json", "cp .tito_backup_YYYYMMDD/.tito/progress.json .tito/"):
        assert text in sick.out
    assert path.read_text("utf-8") == '{"version": "1.0", "completed_mod'
    assert json.loads(tito("system", "health", "--json").out)["healthy"] is False
    repaired = tito("system", "health", "--repair")
    assert repaired.status == 0 and "Set the broken .tito/progress.json aside as .tito/progress.json.corrupt-" in repaired.out
    assert tito("system", "health").status == 0


def test_a_deleted_state_folder_comes_back_with_what_the_exports_prove(student: Student, tito: Tito):
    student.solve()
    assert student.pytest("-m", "module01", "--tito-complete", "-o", "tito_notebook_check=no").returncode == 0
    shutil.rmtree(student.root / ".tito")
    answer = tito("system", "health")
    assert answer.status == 0 and "Created .tito/ again" in answer.err and student.completed == []
    assert "Recorded module 01 as complete" in tito("system", "health", "--repair").out
    assert student.completed == [1]
    assert "nothing to repair" in tito("system", "health", "--repair").out


def test_info_works_outside_a_workspace(student: Student, tito: Tito, monkeypatch: pytest.MonkeyPatch):
    assert json.loads(tito("system", "info", "--json").out)["workspace"] == str(student.root)
    monkeypatch.chdir(student.root.parent)
    facts = json.loads(tito("system", "info", "--json").out)
    assert facts["workspace"] == "none here" and facts["course"] == "1.0.0" and facts["pytest"] == pytest.__version__


def test_config_is_chosen_and_read(student: Student, tito: Tito):
    assert tito("config", "get", "logo_theme").out == "standard\n"
    assert tito("config", "set", "logo_theme", "none").status == 0
    assert tito("config", "get", "logo_theme").out == "none\n"
    assert json.loads(tito("config", "list", "--json").out) == {"logo_theme": "none", "editor": "none"}
    assert student.state("config.json") == {"logo_theme": "none"}


def test_config_keeps_what_it_does_not_know(student: Student, tito: Tito):
    path = student.root / ".tito" / "config.json"
    path.write_text('{"logo_theme": "standard", "logo_thme": "x"}', "utf-8")
    assert tito("config", "set", "logo_theme", "minimal").status == 0
    assert student.state("config.json") == {"logo_theme": "minimal", "logo_thme": "x"}
    assert "unknown key 'logo_thme'. Did you mean logo_theme?" in tito("system", "health").out


def test_a_value_that_there_is_not_names_file_and_line(student: Student, tito: Tito):
    path = student.root / ".tito" / "config.json"
    path.write_text('{\n  "logo_theme": "huge"\n}', "utf-8")
    answer = tito("config", "get", "logo_theme")
    assert answer.status == 1 and "config.json:2: logo_theme is 'huge'" in answer.err
    assert tito("system", "health").status == 1


@on_a_terminal
@pytest.mark.parametrize(("theme", "first"), [("standard", "TinyTorch, written by you"), ("minimal", "TinyTorch"), ("none", "\N{BOX DRAWINGS LIGHT ARC DOWN AND RIGHT}")])
def test_the_logo_is_the_one_that_was_chosen(student: Student, tito: Tito, theme: str, first: str):
    assert tito("config", "set", "logo_theme", theme).status == 0
    with Terminal(["status"], cwd=student.root, environment=student.environment(PYTHONIOENCODING="utf-8")) as terminal:
        assert terminal.end() == 0
        line = terminal.text.splitlines()[0]
        assert line == first or (theme == "none" and line.startswith(first))
