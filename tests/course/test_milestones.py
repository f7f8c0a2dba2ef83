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
from functools import partial
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_tinytorch.course import curriculum
from pytest_tinytorch.fixtures import HINT_PROPERTY
from pytest_tinytorch.state import progress
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


EARLY, ALL, MLP = ("01", "02"), ("01", "02", "03"), ("03",)
BREAKS = [
    Break("add_returns_its_first_operand", "01", "Add.forward = staticmethod(lambda ctx, a, b: a + 0 * b)", ALL),
    Break("sub_is_the_wrong_way_round", "01", "Sub.forward = staticmethod(lambda ctx, a, b: b - a)", EARLY),
    Break("matmul_transposes_its_right_side", "01", "MatMul.forward = staticmethod(lambda ctx, a, b: a @ b.T)", ALL),
    Break("matmul_rounds", "01", "MatMul.forward = staticmethod(lambda ctx, a, b: np.rint(a @ b))", ALL),
    Break("transpose_does_nothing", "01", "Transpose.forward = staticmethod(lambda ctx, x, dim0, dim1: x)", ALL),
    Break("item_loses_the_sign", "01", "Tensor.item = lambda self: abs(self.data.item())", ("01",)),
    Break("results_do_not_require_gradients", "01", "Function.recording = False", MLP),
    Break("relu_does_nothing", "02", "ReLUOp.forward = staticmethod(lambda ctx, x: ctx.save(x) or x)", ("02", "03"), "negative numbers"),
    Break("relu_is_the_absolute_value", "02", "ReLUOp.forward = staticmethod(lambda ctx, x: ctx.save(np.abs(x)) or np.abs(x))", ("02", "03")),
    Break("sigmoid_of_minus_x", "02", "SigmoidOp.forward = staticmethod(lambda ctx, x: 1 / (1 + np.exp(x)))", ("01", "03")),
    Break("tanh_saves_its_input", "02", "TanhOp.forward = staticmethod(lambda ctx, x: ctx.save(x) or np.tanh(x))", MLP),
    Break("linear_has_no_bias", "03", "Linear.forward = lambda self, x: x @ self.weight.T", ALL, "bias is missing"),
    Break(
        "linear_ignores_its_weights",
        "03",
        """
        shown = Linear.forward
        Linear.forward = lambda self, x: shown(Linear(self.weight.shape[1], self.weight.shape[0]), x)
        """,
        ALL,
    ),
    Break("loading_writes_nothing", "03", "Module.load_state_dict = lambda self, state: None", EARLY, "does load"),
    Break(
        "loading_forgets_the_bias",
        "03",
        """
        load = Module.load_state_dict
        Module.load_state_dict = lambda self, state: load(self, {"weight": state["weight"]}, strict=False)
        """,
        EARLY,
    ),
    Break(
        "sequential_leaves_out_the_middle",
        "03",
        """
        whole = Sequential.forward
        Sequential.forward = lambda self, x: whole(Sequential(*list(self)[::2]), x)
        """,
        ("02", "03"),
    ),
    Break("parameters_of_the_first_layer_only", "03", "Module.parameters = lambda self: iter([p for _, p in self.named_parameters()][:2])", MLP),
    Break("weights_start_at_zero", "03", "init = Linear.__init__\nLinear.__init__ = lambda self, *a, **k: (init(self, *a, **k), self.weight.data.fill(0))[0]", MLP),
    Break("dropout_never_ends", "03", "Dropout.train = lambda self, mode=True: self", MLP),
    Break("cross_entropy_counts_the_wrong_class", "04", """
        right = CrossEntropyOp.forward
        CrossEntropyOp.forward = staticmethod(lambda ctx, x, t, *rest: right(ctx, x, (t + 1) % x.shape[1], *rest))
        """, MLP),
    Break("losses_are_summed", "04", "reduced = lambda losses, reduction, count: losses.sum()", MLP),
    Break("cross_entropy_saves_the_scores", "04", """
        right = CrossEntropyOp.forward
        def forward(ctx, x, *rest):
            losses = right(ctx, x, *rest)
            ctx.save(x, *ctx.saved[1:])
            return losses
        CrossEntropyOp.forward = staticmethod(forward)
        """, MLP),
    Break("loader_forgets_the_last_batch", "05", "batch_count = lambda total, batch_size, drop_last: total // batch_size", MLP),
    Break("shuffles_repeat", "05", "epoch_order = lambda total, shuffle, rng: np.random.default_rng(0).permutation(total)", MLP, "same in every epoch"),
    Break("loader_shuffles_inputs_and_labels_apart", "05", """
        def apart(self, indices):
            return tuple([Tensor(tensor.data[np.roll(indices, i)]) for i, tensor in enumerate(self.tensors)])
        TensorDataset.__getitems__ = apart
        """, MLP),
    Break("draws_with_replacement", "05", "epoch_order = lambda total, shuffle, rng: rng.integers(total, size=total)", MLP),
    Break("matmul_sends_nothing_to_its_left", "06", """
        right = GRADIENTS[MatMul]
        GRADIENTS[MatMul] = lambda ctx, g: (np.zeros_like(ctx.saved[0]), right(ctx, g)[1])
        """, MLP, "is zero"),
    Break("uses_overwrite_each_other", "06", "add_to_grad = lambda leaf, g: setattr(leaf, 'grad', wrap(g[::-1].copy()))", MLP),
    Break("a_broadcast_gradient_is_averaged", "06", """
        right = unbroadcast
        unbroadcast = lambda g, shape: right(g, shape) if g.shape == shape else right(g, shape) / len(g)
        """, MLP),
    Break("tanh_has_the_slope_of_sigmoid", "06", "GRADIENTS[TanhOp] = GRADIENTS[SigmoidOp]", MLP),
    Break("relu_lets_everything_back", "06", "GRADIENTS[ReLUOp] = lambda ctx, g: g", MLP),
    Break("sgd_goes_uphill", "07", """
        down = SGD.update
        SGD.update = lambda self, p, g, *rest: down(self, p, -g, *rest)
        """, MLP, "goes uphill"),
    Break("sgd_moves_a_copy", "07", """
        down = SGD.update
        SGD.update = lambda self, p, *rest: down(self, p.copy(), *rest)
        """, MLP, "No weight moved"),
    Break("gradients_are_never_cleared", "07", "Optimizer.zero_grad = lambda self: None", MLP),
    Break("momentum_never_lets_go", "07", """
        def update(self, p, g, state, group):
            v = state.setdefault("momentum_buffer", np.zeros_like(p))
            v += g
            p -= group["lr"] * v
        SGD.update = update
        """, MLP),
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
        workspace.store.update("progress.json", partial(progress.mark_complete, module=COURSE.module(number)))
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
