"""Which program a value of the preference `editor` stands for."""
from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pytest_tinytorch import editors
from tinytorch.errors import ConfigError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs are found by other names on Windows")


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a few programs and nothing else; no editor in the environment."""
    folder = tmp_path / "some programs"
    folder.mkdir()
    for name in ("code", "jupyter-lab", "vi", "my editor"):
        (folder / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))
    for name in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.mark.parametrize(
    ("choice", "words", "waits"),
    [
        ("vscode", ["code"], False),
        ("jupyter", ["jupyter-lab"], True),
        ("vi -u NONE", ["vi", "-u", "NONE"], True),
        ("vi &", ["vi"], False),
        ("code --wait", ["code", "--wait"], False),
        ("'my editor' '-o a b'", ["my editor", "-o a b"], True),
        ("vi $(touch x);", ["vi", "$(touch", "x);"], True),
    ],
    ids=["vscode", "jupyter", "options", "background", "window", "quotes", "no shell"],
)
def test_a_choice_is_a_program_and_its_arguments(programs: Path, choice: str, words: list[str], waits: bool):
    found = editors.find(choice)
    assert list(found.words) == [str(programs / words[0]), *words[1:]] and found.waits is waits


@pytest.mark.parametrize(
    ("visual", "editor", "wanted"),
    [("vi", "code", "vi"), (None, "code -n", "code -n"), (" ", "vi", "vi")],
    ids=["visual first", "editor", "blank"],
)
@pytest.mark.parametrize("choice", ["editor", "none"])
def test_the_environment_has_an_editor(monkeypatch: pytest.MonkeyPatch, visual: str | None, editor: str, wanted: str, choice: str):
    """`none` is what is chosen when `--open` asks all the same."""
    if visual is not None:
        monkeypatch.setenv("VISUAL", visual)
    monkeypatch.setenv("EDITOR", editor)
    assert editors.find(choice).command == wanted


def test_a_home_and_a_relative_path_are_followed(programs: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(programs))
    monkeypatch.chdir(programs)
    assert editors.find("~/vi").words == editors.find("./vi").words == (str(programs / "vi"),)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ("emacs", "The program 'emacs' isn't found. Install it"),
        ("vi '", "is no command line: No closing quotation"),
        ("&", "A command line was expected"),
        ("editor", "neither VISUAL nor EDITOR is set. Choose one of jupyter, vscode"),
    ],
    ids=["missing", "quote", "empty", "environment"],
)
def test_what_cannot_be_opened_with_says_what_to_do(choice: str, says: str):
    with pytest.raises(ConfigError, match=re.escape(says)):
        editors.find(choice)


@pytest.mark.parametrize(("choice", "says"), [("vscode", "VS Code"), ("jupyter", "pip install jupyterlab")])
def test_a_known_editor_that_is_missing_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, choice: str, says: str):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=says):
        editors.find(choice)


def test_a_fault_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDITOR", "emacs")
    with pytest.raises(ConfigError, match=r"\$EDITOR: The program 'emacs'"):
        editors.find("editor")
