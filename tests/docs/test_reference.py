"""The reference pages name the commands, options, settings, markers, fixtures, hooks and variables that there are."""

import inspect
import os
import re
import subprocess
import sys

import click
import pytest

from pytest_tinytorch import hookspecs
from tests.docs.page import ROOT, without_blocks
from tito.__main__ import tito

COMMANDS = (ROOT / "docs" / "commands.md").read_text("utf-8")
PLUGIN = (ROOT / "docs" / "pytest.md").read_text("utf-8")


def commands(group=tito, words=("tito",)):
    """Every command that does something, by its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


def sections(text, level):
    """Heading to what stands below it."""
    found = re.split(rf"^{'#' * level} (.+)$", without_blocks(text), flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def first_cells(text):
    """What stands in backticks in the first column of a section's tables."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def options(command):
    return {
        max(parameter.opts, key=len)
        for parameter in command.params
        if isinstance(parameter, click.Option) and parameter.name != "help"
    }


def test_every_command_has_its_section():
    """And no section is about a command that there isn't."""
    named = {heading for heading in sections(COMMANDS, 3) if heading.startswith("tito ")}
    assert named == {words for words, _ in commands()}


@pytest.mark.parametrize(("words", "command"), list(commands()), ids=[words for words, _ in commands()])
def test_section_lists_the_options(words, command):
    assert first_cells(sections(COMMANDS, 3)[words]) == options(command)


@pytest.mark.parametrize("words", [words for words, _ in commands()])
def test_command_is_shown_in_its_section(words):
    """Each has an example that is run."""
    whole = re.split(r"^### (.+)$", COMMANDS, flags=re.MULTILINE)
    assert f"\n$ {words}" in dict(zip(whole[1::2], whole[2::2], strict=True))[words]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What pytest says of itself in a workspace, with the plugin and without: `told("--markers")`."""
    folder = tmp_path_factory.mktemp("workspace")
    (folder / "pyproject.toml").write_text("[tool.tinytorch]\n", "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TINYTORCH_"))}

    def ask(option):
        texts = []
        for plugin in ([], ["-p", "no:tinytorch"]):
            done = subprocess.run(
                [sys.executable, "-m", "pytest", option, *plugin],
                cwd=folder,
                env=environment | {"COLUMNS": "200"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            texts.append(done.stdout)
        return texts

    return ask


def new(pattern, texts):
    """What the pattern finds with the plugin and not without it."""
    with_it, without_it = (set(re.findall(pattern, text, flags=re.MULTILINE)) for text in texts)
    return with_it - without_it


def test_options_and_settings_of_pytest(told):
    texts = told("--help")
    documented = first_cells(sections(PLUGIN, 2)["Options"])
    assert documented - {"-m module01"} == new(r"^ +(--tito-[a-z-]+)", texts)
    assert first_cells(sections(PLUGIN, 2)["Settings"]) == new(r"^  (tito_\w+) \(", texts)


def test_markers_of_pytest(told):
    found = new(r"^@pytest\.mark\.([^:]+):", told("--markers"))
    numbered = {name for name in found if re.fullmatch(r"(module|milestone)\d\d", name)}
    documented = first_cells(sections(PLUGIN, 2)["Markers"])
    ends = {
        part
        for kind in ("module", "milestone")
        for part in (min(n for n in numbered if n.startswith(kind)), max(n for n in numbered if n.startswith(kind)))
    }
    assert documented == ends | (found - numbered)


def test_fixtures_of_pytest(told):
    assert first_cells(sections(PLUGIN, 2)["Fixtures"]) == new(r"^(\w+)(?: \[\w+ scope\])? -- ", told("--fixtures"))


def test_hooks():
    found = {
        f"{name}({', '.join(inspect.signature(hook).parameters)})"
        for name, hook in vars(hookspecs).items()
        if name.startswith("pytest_")
    }
    assert first_cells(sections(PLUGIN, 2)["Hooks"]) == found


def test_environment_variables():
    """Those that the packages read."""
    sources = [path for package in ("tinytorch", "pytest_tinytorch", "tito") for path in (ROOT / package).rglob("*.py")]
    found = {
        name
        for path in sources
        for name in re.findall(r"\"((?:TINYTORCH|TITO)_[A-Z_]+|NO_COLOR)\"", path.read_text("utf-8"))
    }
    assert first_cells(sections(PLUGIN, 2)["Environment variables"]) == found
