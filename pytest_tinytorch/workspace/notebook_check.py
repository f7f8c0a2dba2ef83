"""Does the working copy run from top to bottom in a fresh kernel? nbval answers, in a process of its own.

nbval runs on a temporary copy without outputs, on the environment's own kernel, with `--nbval-lax`: cells must run,
what they print may differ. A percent script is run as a script. The student's other modules come from the staging
folder and the exports, as in the tests.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from tinytorch import _overlay

CELL_LIMIT = 300  # seconds for one cell
RUN_LIMIT = 1800  # seconds for the whole


def fault(workspace: Workspace, copy: WorkingCopy, staging: Path | None) -> str | None:
    """What goes wrong when the working copy is run from top to bottom, or None."""
    environment = os.environ | {
        _overlay.WORKSPACE_VARIABLE: str(workspace.root),
        _overlay.STAGING_VARIABLE: str(staging or ""),
        "PYTHONIOENCODING": "utf-8",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
        "MPLBACKEND": "Agg",
    }
    run = _run_script if copy.path.suffix == ".py" else _run_notebook
    try:
        return run(workspace, copy, environment)
    except subprocess.TimeoutExpired:
        return f"{workspace.relative(copy.path)} does not run to its end within {RUN_LIMIT // 60} minutes: does a cell loop?"


def _run_script(workspace: Workspace, copy: WorkingCopy, environment: dict[str, str]) -> str | None:
    with tempfile.TemporaryDirectory(prefix="tinytorch-check-") as folder:
        script = Path(folder) / copy.path.name
        script.write_bytes(copy.data)
        done = subprocess.run(
            [sys.executable, str(script)], cwd=copy.path.parent, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", errors="replace", timeout=RUN_LIMIT, check=False,
        )
    if done.returncode == 0:
        return None
    # the traceback, with the student's file in the place of the copy that ran
    shown = "\n".join(done.stderr.replace(str(script), workspace.relative(copy.path)).strip().splitlines()[-12:])
    return f"{workspace.relative(copy.path)} does not run from top to bottom (exit status {done.returncode}):\n{shown}"


def _run_notebook(workspace: Workspace, copy: WorkingCopy, environment: dict[str, str]) -> str | None:
    with tempfile.TemporaryDirectory(prefix="tinytorch-check-") as folder:
        notebook, report = Path(folder) / copy.path.name, Path(folder) / "report.xml"
        notebook.write_text(_without_outputs(copy.data), "utf-8")
        startup = Path(folder) / "startup.py"  # IPython runs it: the notebook finds the files beside it
        startup.write_text(f"import os; os.chdir({str(copy.path.parent)!r}); del os\n", "utf-8")
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval-lax", "--nbval-current-env",
                f"--nbval-cell-timeout={CELL_LIMIT}", "-x", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
                f"--rootdir={folder}", f"--confcutdir={folder}", "-c", os.devnull, str(notebook),
            ],
            cwd=folder, env=environment | {"PYTHONSTARTUP": str(startup)}, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace",
            timeout=RUN_LIMIT, check=False,
        )
        if done.returncode == 0:
            return None
        cases = ElementTree.parse(report).iter("testcase") if report.is_file() else ()
        for case in cases:
            for failure in (*case.iter("failure"), *case.iter("error")):
                return _told(workspace, copy, case.get("name", ""), failure.text or "")
    return (
        f"{workspace.relative(copy.path)} can't be checked: nbval ended with status {done.returncode}.\n"
        f"{(done.stdout + done.stderr).strip()[-2000:]}"
    )


def _told(workspace: Workspace, copy: WorkingCopy, name: str, text: str) -> str:
    """What nbval reports of one cell, told of the student's own cell and line.

    nbval counts code cells from 0; everything else here counts all cells from 1. The report is in colour, and XML has
    no escape character: it becomes `#x1B`.
    """
    text = re.sub(r"#x1B\[[0-9;]*m", "", text)
    code = [cell for cell in copy.cells if cell.kind == "code"]
    counted = re.search(r"\d+", name)
    number = code[int(counted[0])].number if counted and int(counted[0]) < len(code) else "?"
    _, _, trace = text.partition("Traceback:\n")
    trace = re.sub(r"^-+\n", "", trace.strip())
    line = re.search(r"In\[\d+\], line (\d+)", trace)
    trace = re.sub(r"Cell In\[\d+\], line", f"cell {number}, line", trace)
    place = f"{workspace.relative(copy.path)}:cell {number}" + (f":{line[1]}" if line else "")
    return f"{place} fails when the notebook is run from top to bottom:\n{trace or text.strip()}"


def _without_outputs(data: bytes) -> str:
    notebook = json.loads(data.decode("utf-8-sig"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return json.dumps(notebook)
