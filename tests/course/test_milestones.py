"""A milestone passes on the reference framework, and on none in which one plausible thing is broken.

Each break is a few lines after the end of one module's export. All milestones that are written run on it, in a process
of their own; those named in `noticed_by` must fail.
"""
from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_tinytorch.course import curriculum
from pytest_tinytorch.fixtures import HINT_PROPERTY
from pytest_tinytorch.state.progress import record_completion
from pytest_tinytorch.workspace import create
from tests.course import liar
from tests.course.source import Source, read

ROOT = Path(__file__).parents[2]
COURSE = curriculum.load()
WRITTEN = [milestone for milestone in COURSE.milestones if COURSE.is_written(milestone)]


@dataclass(frozen=True)
class Break:
    """Something that a student's framework may get wrong, and the milestones that must not pass with it."""

    name: str
    module: str
    code: str
    noticed_by: tuple[str, ...]
    named: str = ""  # what a hint must say, if there is one for it


BOTH = ("01", "02")
BREAKS = [
    Break("add_returns_its_first_operand", "01", "Add.forward = staticmethod(lambda ctx, a, b: a + 0 * b)", BOTH),
    Break("sub_is_the_wrong_way_round", "01", "Sub.forward = staticmethod(lambda ctx, a, b: b - a)", BOTH),
    Break("matmul_transposes_its_right_side", "01", "MatMul.forward = staticmethod(lambda ctx, a, b: a @ b.T)", BOTH),
    Break("matmul_rounds", "01", "MatMul.forward = staticmethod(lambda ctx, a, b: np.rint(a @ b))", BOTH),
    Break("transpose_does_nothing", "01", "Transpose.forward = staticmethod(lambda ctx, x, dim0, dim1: x)", BOTH),
    Break("item_loses_the_sign", "01", "Tensor.item = lambda self: abs(self.data.item())", ("01",)),
    Break("relu_does_nothing", "02", "ReLUOp.forward = staticmethod(lambda ctx, x: x)", ("02",), "negative numbers"),
    Break("relu_is_the_absolute_value", "02", "ReLUOp.forward = staticmethod(lambda ctx, x: np.abs(x))", ("02",)),
    Break("sigmoid_of_minus_x", "02", "SigmoidOp.forward = staticmethod(lambda ctx, x: 1 / (1 + np.exp(x)))", ("01",)),
    Break("linear_has_no_bias", "03", "Linear.forward = lambda self, x: x @ self.weight.T", BOTH, "bias is missing"),
    Break(
        "linear_ignores_its_weights",
        "03",
        """
        shown = Linear.forward
        Linear.forward = lambda self, x: shown(Linear(self.weight.shape[1], self.weight.shape[0]), x)
        """,
        BOTH,
    ),
    Break("loading_writes_nothing", "03", "Module.load_state_dict = lambda self, state: None", BOTH, "does load"),
    Break(
        "loading_forgets_the_bias",
        "03",
        """
        load = Module.load_state_dict
        Module.load_state_dict = lambda self, state: load(self, {"weight": state["weight"]}, strict=False)
        """,
        BOTH,
    ),
    Break(
        "sequential_leaves_out_the_middle",
        "03",
        """
        whole = Sequential.forward
        Sequential.forward = lambda self, x: whole(Sequential(*list(self)[::2]), x)
        """,
        ("02",),
    ),
]


@dataclass(frozen=True)
class Run:
    """What one process said."""

    outcomes: dict[str, list[str]]  # milestone number -> those of its tests
    hints: str
    output: str


def run(folder: Path, exports: dict[str, str]) -> Run:
    """Run every written milestone in a workspace with these exports, one for each module's number."""
    workspace = create.create(folder, COURSE, format="py")
    for number, text in exports.items():
        record_completion(workspace.store, COURSE.module(number))
        path = workspace.export(COURSE.module(number))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "pytest_tinytorch.plugin", "-p", "no:cacheprovider",
            "--junitxml", "report.xml", "-m", " or ".join(milestone.marker for milestone in WRITTEN),
        ],
        cwd=folder,
        env={
            **os.environ,
            "TINYTORCH_WORKSPACE": str(folder),
            "PYTHONPATH": str(ROOT),  # the liar lives in `tests`
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other plugins cost half of the time
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # the tests ran
    report = ElementTree.parse(folder / "report.xml")
    hints = [entry.attrib["value"] for entry in report.iter("property") if entry.attrib["name"] == HINT_PROPERTY]
    outcomes: dict[str, list[str]] = {milestone.number: [] for milestone in WRITTEN}
    for case in report.iter("testcase"):
        bad = {child.tag for child in case} & {"failure", "error", "skipped"}
        _, part, _ = case.attrib["classname"].split(".", 2)  # milestones.01_1958_perceptron.test_perceptron
        outcomes[part.split("_")[0]].append(bad.pop() if bad else "passed")
    return Run(outcomes, "\n".join(hints), done.stdout)


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """The exports of the reference, by module number."""
    return {
        module.number: "\n\n".join(cell.text for cell in Source(read(module).text).cells if cell.is_exported)
        for module in COURSE.modules if COURSE.is_written(module)
    }


def broken(source: str, code: str) -> str:
    return f"{source}\n\n{dedent(code)}\n"


def test_milestones_pass_on_the_reference(tmp_path, sources):
    outcomes = run(tmp_path / "workspace", sources).outcomes
    assert {number: set(said) for number, said in outcomes.items()} == {m.number: {"passed"} for m in WRITTEN}


@pytest.mark.parametrize("wrong", BREAKS, ids=lambda wrong: wrong.name)
def test_milestones_notice_a_break(tmp_path, sources, wrong):
    """And only the milestones named: a break that nothing computes with is no reason to fail."""
    said = run(tmp_path / "workspace", {**sources, wrong.module: broken(sources[wrong.module], wrong.code)})
    failed = {number for number, outcomes in said.outcomes.items() if set(outcomes) != {"passed"}}
    assert failed == set(wrong.noticed_by), said.output
    assert wrong.named in said.hints


@pytest.mark.parametrize("pretence", liar.PRETENCES)
def test_liar_passes_no_test_of_a_milestone(tmp_path, sources, pretence):
    lie = Source(liar.source(pretence)).cells[0].text
    said = run(tmp_path / "workspace", dict.fromkeys(sources, lie))
    assert all(outcomes for outcomes in said.outcomes.values())
    assert not any("passed" in outcomes for outcomes in said.outcomes.values()), said.output


def test_every_needed_module_has_a_break_that_its_milestone_notices():
    """For the milestones so far: each of their modules can make them fail."""
    covered = {(number, wrong.module) for wrong in BREAKS for number in wrong.noticed_by}
    assert covered == {(milestone.number, module) for milestone in WRITTEN for module in milestone.needs}
