"""`make bench`: measures, writes docs/performance.json, and makes docs/performance.md from it."""
from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from pytest_tinytorch.course.curriculum import Course, load
from pytest_tinytorch.state import progress
from pytest_tinytorch.workspace.convert import to_notebook
from pytest_tinytorch.workspace.create import create
from pytest_tinytorch.workspace.export import write_export
from pytest_tinytorch.workspace.layout import Workspace
from tests.benchmarks import engine, framework
from tests.benchmarks.pairs import Command, Ratio, compare, in_turn
from tests.benchmarks.watcher import Watcher
from tinytorch.measure import duration, memory

DOCS = Path(__file__).parents[2] / "docs"
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:nbval")
SMALL_TEST = "def test_{n}():\n    assert sum(range({n})) == {n} * ({n} - 1) // 2\n\n"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    target: float
    against: str
    measure: Callable[[Path, int], Ratio]


def small_session(folder: Path, pairs: int, *, in_workspace: bool) -> Ratio:
    root = folder / "small"
    if in_workspace:
        create(root, load())
    root.mkdir(exist_ok=True)
    tests = root / "test_small.py"
    tests.write_text("".join(SMALL_TEST.format(n=n) for n in range(1, 61)), "utf-8")
    plain = (*PYTEST, "-p", "no:random_order", str(tests))
    return compare(Command(plain, root, {}), Command((*plain, "-p", "no:tinytorch"), root, {}), pairs)


def solved_workspace(folder: Path, format: str) -> Workspace:
    """A workspace with module 01 solved and complete."""
    course: Course = load()
    workspace = create(folder / f"solved-{format}", course, format=format)
    module = course.module("01")
    source = course.source(module).read_text("utf-8")
    path = workspace.existing_forms(module)[0]
    path.write_text(source if format == "py" else to_notebook(source), "utf-8")
    write_export(workspace, workspace.working_copy(module))
    workspace.store.update("progress.json", lambda state: progress.mark_complete(state, module))
    return workspace


def status(folder: Path, pairs: int) -> Ratio:
    workspace = solved_workspace(folder, "ipynb")
    tito = shutil.which("tito", path=str(Path(sys.executable).parent))
    assert tito, "tito is not installed beside this Python"
    return compare(
        Command((tito, "module", "status"), workspace.root, {}),
        Command((sys.executable, "-c", "import rich.console"), workspace.root, {}), pairs,
    )


def pytest_status(folder: Path, pairs: int) -> Ratio:
    workspace = solved_workspace(folder, "ipynb")
    return compare(
        Command((sys.executable, "-m", "pytest", "--tito-status"), workspace.root, {}),
        Command((sys.executable, "-m", "pytest", "--version", "--version"), workspace.root, {}), pairs,
    )


def bare_pytest(workspace: Workspace) -> Command:
    """The tests of module 01 on the exported package, without the plugin."""
    bare = {"PYTHONPATH": str(Path(__file__).parent)}
    return Command((*PYTEST, "-p", "no:tinytorch", "-p", "bare", "tests/01_tensor"), workspace.root, bare)


def save_to_verdict(folder: Path, pairs: int, *, format: str) -> Ratio:
    workspace = solved_workspace(folder, format)
    pytest = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "module01")
    return compare(Command(pytest, workspace.root, {}), bare_pytest(workspace), pairs)


def watch(folder: Path, pairs: int, *, format: str) -> Ratio:
    workspace = solved_workspace(folder, format)
    with Watcher(workspace) as watcher:
        base = bare_pytest(workspace)
        watcher.seconds(), base.seconds()
        return in_turn(watcher.seconds, base.seconds, pairs)


ROWS = (
    Row("the plugin, on a session of 60 small tests outside a workspace", 1.05, "the same session without it",
        lambda folder, pairs: small_session(folder, pairs, in_workspace=False)),
    Row("the plugin, on a session of 60 small tests inside a workspace", 1.05, "the same session without it",
        lambda folder, pairs: small_session(folder, pairs, in_workspace=True)),
    Row("`tito module status`", 1.8, "`python -c 'import rich.console'`", status),
    Row("`pytest --tito-status`", 1.15, "`python -m pytest --version --version`", pytest_status),
    Row("test module 01 from save to verdict, notebook", 1.3, "bare pytest on the exported package",
        lambda folder, pairs: save_to_verdict(folder, pairs, format="ipynb")),
    Row("test module 01 from save to verdict, Python file", 1.3, "bare pytest on the exported package",
        lambda folder, pairs: save_to_verdict(folder, pairs, format="py")),
    Row("`tito module watch`, module 01 from save to verdict, notebook", 0.4, "bare pytest on the exported package",
        lambda folder, pairs: watch(folder, pairs, format="ipynb")),
    Row("`tito module watch`, module 01 from save to verdict, Python file", 0.4, "bare pytest on the exported package",
        lambda folder, pairs: watch(folder, pairs, format="py")),
    Row("MLP 784-256-128-10, batch 64: forward, backward, SGD", 1.0, "PyTorch",
        lambda folder, pairs: framework.run("mlp-step", pairs)),
    Row("Adam step on 1,000,000 parameters", 0.9, "PyTorch's default",
        lambda folder, pairs: framework.run("adam-step", pairs)),
    Row("data loader: an epoch of 50,000 x 3 x 32 x 32 bytes, shuffled, batch 128, to floats in [0, 1]", 0.33,
        "PyTorch's best `DataLoader`: batched `__getitems__`, no workers", lambda folder, pairs: framework.run("loader-torch", pairs)),
    Row("the same epoch", 2.5, "the floor: cast and scaled in order, into one buffer",
        lambda folder, pairs: framework.run("loader-floor", pairs)),
    Row("`tinytorch.loading` in memory, the same epoch", 0.33, "PyTorch's best `DataLoader`, as above",
        lambda folder, pairs: framework.run("loading-torch", pairs)),
    Row("`tinytorch.loading` in memory, the same epoch", 2.1, "the floor, as above",
        lambda folder, pairs: framework.run("loading-floor", pairs)),
    Row("`tinytorch.loading` in memory, the same epoch", 3.5, "memory bandwidth: a copy that moves as many bytes as the epoch reads and writes",
        lambda folder, pairs: framework.run("loading-copy", pairs)),
    Row("`tinytorch.loading` from mapped shards, warmed, the same epoch", 0.5, "PyTorch's best `DataLoader`, from memory",
        lambda folder, pairs: framework.run("loading-mapped", pairs)),
    Row("`tinytorch.jobs`, an item of 1,000,000, with the journal on the disk", 1.0, "25 us", lambda folder, pairs: engine.cost_of_an_item()),
    Row("the last 100,000 of them", 1.1, "the first 100,000", lambda folder, pairs: engine.growth()),
    Row("`tinytorch.jobs`, going on with 1,000,000 items that are done", 1.0, "2 s", lambda folder, pairs: engine.resume()),
)


def table(figures: dict) -> str:
    """docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Each figure is a ratio of two things measured in turn in one run, so that it holds on another machine: the median over",
        "pairs, and the quartiles. `make bench` measures them again and makes this page.",
        "",
        f"Measured on {figures['date']}: {figures['machine']}.",
        "",
        "| what | against | ratio | quartiles or range | at most | time | memory | holds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in figures["rows"]:
        ratio = row["ratio"]
        times = f"{duration(ratio['seconds'])} against {duration(ratio['base'])}"
        lines.append(
            f"| {row['what']} | {row['against']} | {ratio['ratio']:.2f} | {ratio['low']:.2f} to {ratio['high']:.2f} | {row['target']:g} "
            f"| {times} | {memories(ratio)} | {'yes' if ratio['ratio'] <= row['target'] else 'no'} |"
        )
    return "\n".join([
        *lines, "",
        "nbval is blocked on both sides (`-p no:nbval`), as a workspace's own configuration does. A pytest session that does not",
        "block it imports it, being a plugin by entry point; the notebook check loads it in a process of its own.", "",
        "The rows from the MLP on run on one thread, float32, in five processes, the course's as its reference solves it: the ratio is",
        "that of the middle one, and the range that of all five, since PyTorch's speed differs from process to process. Memory",
        "is the most that one call has in use at a time, beyond what stays between calls.", "",
        "The rows of `tinytorch.jobs` are of three runs. Their items are processed by doing nothing.", "",
    ])


def memories(ratio: dict) -> str:
    if ratio["memory"] is None:
        return ""
    against = f" against {memory(ratio['base_memory'])}" if ratio["base_memory"] is not None else ""
    return memory(ratio["memory"]) + against


def machine() -> str:
    return (
        f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"pytest {version('pytest')}, NumPy {version('numpy')}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--pairs", type=int, default=15, help="runs of each command (default: 15)")
    parser.add_argument("--only", default="", help="measure only the rows that contain this text, and write nothing")
    options = parser.parse_args()
    measured = []
    for row in ROWS:
        if options.only in row.what:
            with tempfile.TemporaryDirectory() as folder:
                ratio = row.measure(Path(folder), options.pairs)
            print(f"{ratio.ratio:6.2f} (at most {row.target:g})  {row.what}  [{duration(ratio.seconds)}]", flush=True)
            measured.append({"what": row.what, "against": row.against, "target": row.target, "ratio": asdict(ratio)})
    if not options.only:
        figures = {"date": date.today().isoformat(), "machine": machine(), "rows": measured}
        DOCS.mkdir(exist_ok=True)
        (DOCS / "performance.json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
        (DOCS / "performance.md").write_text(table(figures), "utf-8")


if __name__ == "__main__":
    main()
