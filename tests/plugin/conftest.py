"""A tiny course, and a workspace made from it, for tests that run pytest in pytest."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_tinytorch.course.curriculum import read_course
from pytest_tinytorch.workspace.create import create

ALPHA = '''\
# %% [markdown]
# # Alpha

# %% tags=["export"]
"""The first module."""
import math

# %% exercise="double" points=2 task="return twice x"
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% exercise="root" points=1 task="return the square root of x"
def root(x):
    ### BEGIN SOLUTION
    return math.sqrt(x)
    ### END SOLUTION

# %%
print("demonstration only")
'''
BETA = '''\
# %% tags=["export"]
from tinytorch.core.tensor import double

# %% exercise="quadruple" points=1 task="return four times x"
def quadruple(x):
    ### BEGIN SOLUTION
    return double(double(x))
    ### END SOLUTION
'''
TESTS = {
    "tests/01_tensor/test_double.py": '''\
import pytest
from tinytorch.core.tensor import double

pytestmark = pytest.mark.exercise("double")

@pytest.mark.parametrize("x", [1, 2], ids=["one", "two"])
def test_double(x, hint):
    """Twice as much."""
    got = double(x)
    hint("You squared it.", when=got == x * x)
    assert got == 2 * x

@pytest.mark.hint(TypeError, "Double takes any number.")
def test_double_of_random_numbers(rng):
    x = rng.normal()
    assert double(x) == 2 * x
''',
    "tests/01_tensor/test_root.py": '''\
import pytest
from tinytorch.core.tensor import root

@pytest.mark.exercise("root")
def test_root(student_side):
    assert root(student_side.NINE) == 3
''',
    "tests/01_tensor/student_side.py": "NINE = 9\n",
    "tests/02_activations/test_root.py": '''\
from tinytorch.core.activations import quadruple

def test_quadruple():
    assert quadruple(2) == 8
''',
    "milestones/01_1958_perceptron/perceptron.py": '''\
from tinytorch.core.activations import quadruple

def run():
    print("the machine learns")
    return {"answer": quadruple(3)}
''',
    "milestones/01_1958_perceptron/test_perceptron.py": '''\
def test_answer(milestone):
    assert milestone["answer"] == 12
''',
}
CURRICULUM = '''\
[[module]]
number = "01"
slug = "tensor"
title = "Tensor"
exports = "tinytorch.core.tensor"
needs = []
goal = "Numbers"

[[module]]
number = "02"
slug = "activations"
title = "Activations"
exports = "tinytorch.core.activations"
needs = ["01"]
goal = "More numbers"

[[module]]
number = "03"
slug = "layers"
title = "Layers"
exports = "tinytorch.core.layers"
needs = ["01", "02"]
goal = "Not written"

[[milestone]]
number = "01"
slug = "perceptron"
title = "Perceptron"
year = 1958
needs = ["01", "02"]
goal = "The first"
'''
REQUIRED = {
    "module01": [
        "tests/01_tensor/test_double.py::test_double[one]",
        "tests/01_tensor/test_double.py::test_double[two]",
        "tests/01_tensor/test_double.py::test_double_of_random_numbers",
        "tests/01_tensor/test_root.py::test_root",
    ],
    "module02": ["tests/02_activations/test_root.py::test_quadruple"],
    "milestone01": ["milestones/01_1958_perceptron/test_perceptron.py::test_answer"],
}
SOLUTIONS = {"01_tensor": ALPHA, "02_activations": BETA}


def write_course(folder: Path) -> None:
    workspace = Path(__file__).parents[2] / "templates" / "workspace"
    texts = {
        "VERSION": "1.0.0\n",
        "curriculum.toml": CURRICULUM,
        "required_tests.json": json.dumps(REQUIRED),
        **{f"workspace/{path.name}": path.read_text("utf-8") for path in workspace.iterdir()},
        **{f"modules/{name}/{name}.py": text for name, text in SOLUTIONS.items()},
        **TESTS,
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8", newline="\n")


@dataclass
class Student:
    """A workspace of the tiny course, and what its student does."""

    root: Path
    course: Path
    format: str

    def environment(self, **extra: str) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TINYTORCH_", "COV_"))}
        return inherited | {"TINYTORCH_TEMPLATES": str(self.course), "PYTHONDONTWRITEBYTECODE": "1"} | extra

    def pytest(self, *arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:random_order", *arguments], cwd=cwd or self.root, encoding="utf-8",
            env=self.environment(**environment), stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False,
        )

    def path(self, module: str = "01_tensor") -> Path:
        return self.root / "modules" / module / f"{module}.{self.format}"

    def write(self, text: str, module: str = "01_tensor") -> None:
        """Save a percent source as the working copy, in this workspace's format."""
        from pytest_tinytorch.workspace.convert import to_notebook

        self.path(module).write_text(text if self.format == "py" else to_notebook(text), "utf-8")

    def pytest_ini(self, name: str, value: str) -> None:
        """Add a setting to the workspace's configuration of pytest."""
        path = self.root / "pyproject.toml"
        begin = "[tool.pytest.ini_options]\n"
        path.write_text(path.read_text("utf-8").replace(begin, f'{begin}{name} = "{value}"\n'), "utf-8")

    def solve(self, *modules: str) -> None:
        for module in modules or ("01_tensor",):
            self.write(SOLUTIONS[module], module)

    def state(self, name: str) -> dict[str, Any]:
        return json.loads((self.root / ".tito" / name).read_text("utf-8"))

    @property
    def completed(self) -> list[int]:
        return self.state("progress.json")["completed_modules"]

    def export(self, module: str = "01_tensor") -> Path:
        return self.root / "tinytorch" / "core" / f"{module[3:]}.py"


@pytest.fixture
def student(tmp_path: Path, request: pytest.FixtureRequest) -> Student:
    course = tmp_path / "course"
    write_course(course)
    format = getattr(request, "param", "py")
    create(tmp_path / "workspace", read_course(course), format=format)
    return Student(tmp_path / "workspace", course, format)


COURSE_YML = '''\
title: "CS 249r, spring"
modules: [1, 51, 2]        # 03 is left out
extra: ["../shared/tripling"]
'''
TRIPLING = '''\
# %% tags=["export"]
from tinytorch.core.tensor import double

# %% exercise="triple" points=3 task="return three times x"
def triple(x):
    ### BEGIN SOLUTION
    secret = double(x)
    return secret + x
    ### END SOLUTION
'''
OWN_MODULE = {
    "module.toml": '''\
number = "51"
slug = "tripling"
title = "Tripling"
exports = "tinytorch.extra.tripling"
needs = ["01"]
goal = "Three times"
''',
    "51_tripling.py": TRIPLING,
    "README.md": "# Tripling\n",
    "tests/test_triple.py": '''\
import pytest
from tinytorch.extra.tripling import triple

pytestmark = pytest.mark.exercise("triple")

@pytest.mark.parametrize("x", [1, 2], ids=["one", "two"])
def test_triple(x):
    assert triple(x) == 3 * x
''',
}


def write_instructors_course(folder: Path, course_yml: str = COURSE_YML) -> Path:
    """An instructor's course of the tiny one, with a module of its own; its course.yml."""
    for path, text in {"course.yml": course_yml, **{f"../shared/tripling/{name}": text for name, text in OWN_MODULE.items()}}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8", newline="\n")
    return folder / "course.yml"
