"""`docs/operations.md` has a row for everything that operations promise, and what shows it runs on a page."""

import pkgutil
import re

import pytest

from tests.docs.page import ROOT, Action, Command, steps

PAGE = ROOT / "docs" / "operations.md"
PROMISES = {  # what was promised, and the row that keeps it
    "comprehensive error types": "Errors have types",
    "an error for configuration issues": "Configurations have an error of their own",
    "errors tell whether they are retryable": "An error says whether another try may help",
    "errors are exported by the library": "Errors can be caught by name",
    "exponential backoff with jitter": "Another try comes after a growing, random pause",
    "retry policies of one's own": "Another policy can take its place",
    "configurable attempts and delays": "Tries and pauses can be chosen",
    "retry is integrated": "Every call to a cloud is tried again",
    "retry in all cloud API calls": "Every call to a cloud is tried again",
    "configuration validation": "Configurations are checked",
    "graceful shutdown of training": "Training ends gracefully when it is told to",
    "graceful shutdown of other long work": "Work on many items goes on where it stopped",
    "observability and metrics": "Other programs can watch a run",
    "all resources and costs are tracked": "Runs are recorded with their cost",
    "resource tracking in AWS and RunPod operations": "What there is at AWS and RunPod is recorded too",
    "cost tracking in resource operations": "What there is at AWS and RunPod is recorded too",
    "usage: CPU, memory, GPU, network": "CPU, memory, GPU, disk and network are measured",
    "resource usage metrics": "CPU, memory, GPU, disk and network are measured",
    "filtering by tag": "Records can be chosen by tag",
    "cost accumulation": "Costs are added up",
    "cost queries": "Costs can be asked for",
    "running processes are monitored": "What is running can be seen",
    "a command for cleanup": "Cleaning up is a command",
    "important resources are protected": "Important things are protected",
    "protection by tag": "A tag protects at the provider",
    "dry run of cleanup": "Nothing is removed at first",
    "a force flag": "Force goes further",
    "detailed results of cleanup": "The result says what went, what stayed, and why",
    "a command for transfers": "Sending is a command",
    "one type for locations": "One form names every place",
    "one interface for local, S3 and training hosts": "One call sends between any two",
    "a single method": "One call sends between any two",
    "s5cmd where it is faster": "s5cmd is used where it is faster",
    "parallel transfers": "Files and parts go at the same time",
    "progress of transfers": "Progress is shown",
    "transfers resume": "It goes on where it stopped",
    "PreWarmedEBS, DirectS3, LocalCache": "Several strategies, one interface",
    "pre-warmed volumes, 10 to 100 times faster": "Volumes are read ahead of their use",
    "a strategy is recommended": "One is recommended, with reasons",
    "optimised DataLoader scripts and configurations": "Loader scripts for PyTorch",
    "parallel loading": "Several threads load at a time",
    "fast loading in training": "Training takes them as they are",
    "existing volumes are looked for by name": "The name is looked for first",
    "no duplicate volumes": "There is one volume of a name",
    "clear errors about volumes": "Errors say what is there, and what to do",
    "volumes in the library": "They are part of the library, with its errors",
    "volumes use the error types": "They are part of the library, with its errors",
    "end-to-end tests of cleanup": "Volumes and their cleanup, end to end",
    "end-to-end tests of tracking": "Tracking and its cost, end to end",
    "comprehensive end-to-end tests": "Tracking and its cost, end to end",
    "end-to-end tests have a page": "A page tells how",
}


def rows():
    """What, what shows it, and the pages that tell more, of each row."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]
    return [(what, shown.strip("`"), more) for what, shown, more, *_ in cells if what != "what"]


def typed_and_run(page):
    """The commands of a page, and the Python files that they run."""
    found = steps(page.read_text("utf-8"))
    commands = [step.text for step in found if isinstance(step, Command)]
    written = [(step.words[1], step.body) for step in found if isinstance(step, Action) and step.words[0] == "write"]
    return commands, "\n".join(body for path, body in written if any(f"python {path}" in command for command in commands))


def test_every_promise_has_its_row_and_every_row_its_promise():
    assert set(PROMISES.values()) == {what for what, _, _ in rows()}


@pytest.mark.parametrize(("what", "shown", "more"), rows(), ids=[f"{number:02}-{what.replace(' ', '-')}" for number, (what, _, _) in enumerate(rows())])
def test_what_shows_it_is_run_where_the_row_says(what, shown, more):
    """The pages' commands are run by test_console and test_walk."""
    pages = [PAGE.parent / target if target else PAGE for target in re.findall(r"\]\(([^)#]*)", more)]
    commands = [command for page in pages for command in typed_and_run(page)[0]]
    code = "".join(typed_and_run(page)[1] for page in pages)
    if shown.startswith("python -m pytest "):
        path = ROOT / shown.removeprefix("python -m pytest ")
        files = [path] if path.is_file() else list(path.glob("test_*.py"))
        assert any("\ndef test_" in file.read_text("utf-8") for file in files)
    elif shown.startswith("tinytorch."):
        assert re.search(rf"\b{shown.rpartition('.')[2]}\b", code), f"nothing that is run there uses {shown}"
        assert shown.startswith("tinytorch.core.") or pkgutil.resolve_name(shown)
    else:
        assert any(command.startswith(shown) for command in commands), f"{shown} isn't run there"
