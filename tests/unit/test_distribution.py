"""The wheel and the source distribution: what they hold, that they can be made again, and that they work once installed."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import pytest

from pytest_tinytorch.course import stubs
from tests.benchmarks.pairs import Command
from tests.course import releases

ROOT = Path(__file__).parents[2]
PACKAGES = ("tinytorch", "pytest_tinytorch", "tito")
OUTSIDE = (".ci/", ".github/")  # of the source distribution: what runs on our machines only
EPOCH = 1_700_000_000


def run(*command, cwd, **environment):
    """A command outside of this checkout's environment variables; its output."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("TINYTORCH_", "PYTHON", "PYTEST_", "COV_", "PIP_", "PIPX_", "UV_"))
    }
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=inherited | {"NO_COLOR": "1"} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def program(name):
    """A program beside this Python or on PATH; the test is skipped without it."""
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    return found or pytest.skip(f"{name} is not installed")


def project_files():
    """The files of the project, by their paths in it: what git knows or would add, or all that an unpacked sdist has."""
    if (ROOT / ".git").exists():
        listed = run(program("git"), "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
        return {name for name in listed if (ROOT / name).is_file()}
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    left = {"build", "dist", "__pycache__"}
    return {p.as_posix() for p in paths if not any(part in left or part.startswith(".") for part in p.parts[:-1])} - {"PKG-INFO"}


def copied(folder, *, mode, time):
    """A copy of the project with what programs leave behind in it; files have the mode and time that are given."""
    for name in project_files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, path)
        path.chmod(mode | (ROOT / name).stat().st_mode & 0o111)
        os.utime(path, (time, time))
    for name in (*PACKAGES, "templates"):
        for junk in ("__pycache__/x.cpython-311.pyc", ".DS_Store"):
            (folder / name / junk).parent.mkdir(exist_ok=True)
            (folder / name / junk).write_bytes(b"junk")
    return folder


def build(checkout, folder, *which):
    """Build distributions; without `which`, the wheel is made from the source distribution."""
    command = (sys.executable, "-m", "build", "--no-isolation", *which, "--outdir", folder, checkout)
    run(*command, cwd=checkout.parent, SOURCE_DATE_EPOCH=str(EPOCH))
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copied(tmp_path_factory.mktemp("checkout") / "tinytorch", mode=0o644, time=EPOCH - 1_000_000)


@pytest.fixture(scope="module")
def built(checkout, tmp_path_factory):
    """Both distributions, by name."""
    return build(checkout, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def wheel(built):
    [path] = [path for name, path in built.items() if name.endswith(".whl")]
    return path


@pytest.fixture(scope="module")
def sdist(built):
    [path] = [path for name, path in built.items() if name.endswith(".tar.gz")]
    return path


# --- what they hold -----------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_three_packages_and_the_course(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = [name for name in archive.namelist() if ".dist-info/" not in name]
        info = {name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name}
    project = project_files()
    packages = {name for name in project if name.startswith(tuple(f"{package}/" for package in PACKAGES))}
    course = {f"pytest_tinytorch/_{name}" for name in project if name.startswith("templates/")}
    assert set(held) == packages | course
    assert len(held) == len(set(held))
    assert info == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert wheel.stat().st_size < 10_000_000


def test_the_source_distribution_is_the_project(sdist):
    with tarfile.open(sdist) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
    held = [name.partition("/")[2] for name in names]
    assert {name.partition("/")[0] for name in names} == {sdist.name.removesuffix(".tar.gz")}
    assert set(held) == {name for name in project_files() if not name.startswith(OUTSIDE)} | {"PKG-INFO"}
    assert len(held) == len(set(held))
    assert {"tests/unit/test_distribution.py", "docs/README.md", "changelog.d/README.md", "Makefile"} <= set(held)


def test_they_are_the_same_bytes_when_built_again_elsewhere(built, tmp_path):
    """In a folder of another name, from files of other times and permissions."""
    other = copied(tmp_path / "another one", mode=0o600 if os.name == "nt" else 0o664, time=EPOCH + 5_000_000)
    again = build(other, tmp_path / "built")
    assert {name: path.read_bytes() for name, path in again.items()} == {name: path.read_bytes() for name, path in built.items()}


def test_the_wheel_from_the_tree_is_the_wheel_from_the_source_distribution(built, wheel, checkout, tmp_path):
    assert build(checkout, tmp_path, "--wheel")[wheel.name].read_bytes() == wheel.read_bytes()


def test_files_in_them_have_the_time_of_the_commit(wheel, sdist):
    """Which is what SOURCE_DATE_EPOCH says; `make wheel` sets it."""
    with tarfile.open(sdist) as archive:
        assert {member.mtime for member in archive.getmembers() if member.isfile()} == {EPOCH}
    when = datetime.fromtimestamp(EPOCH, timezone.utc)
    with zipfile.ZipFile(wheel) as archive:
        assert {member.date_time for member in archive.infolist()} == {(*when.timetuple()[:5], when.second // 2 * 2)}


def test_an_index_would_take_them(built, tmp_path):
    run(program("twine"), "check", "--strict", *built.values(), cwd=tmp_path)


# --- installed ----------------------------------------------------------------------------------------------------


def by_pip(python, what, cwd, *options):
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", *options, what, cwd=cwd)
    return python


def from_wheel(python, request, cwd):
    return by_pip(python, request.getfixturevalue("wheel"), cwd)


def from_sdist(python, request, cwd):
    return by_pip(python, request.getfixturevalue("sdist"), cwd, "--no-build-isolation")


def editable(python, request, cwd):
    return by_pip(python, request.getfixturevalue("checkout"), cwd, "--no-build-isolation", "--editable")


def from_git(python, request, cwd):
    """As people install what is not released yet: pip install git+https://..."""
    git = program("git")
    repository = cwd / "repository"
    shutil.copytree(request.getfixturevalue("checkout"), repository)
    run(git, "init", "--quiet", repository, cwd=cwd)
    run(git, "add", "--all", cwd=repository)
    run(git, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "All of it", cwd=repository)
    return by_pip(python, f"git+{repository.as_uri()}", cwd, "--no-build-isolation")


def by_uv(python, request, cwd):
    wheel = request.getfixturevalue("wheel")
    uv = program("uv")
    run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-config", "--no-cache", "--python", python, wheel, cwd=cwd)
    return python


def by_pipx(python, request, cwd):
    """Into the environment where pipx would have it: one that it makes itself would have to get the dependencies."""
    home = cwd / "pipx"
    (home / "venvs").mkdir(parents=True)
    python = environment(home / "venvs" / "tinytorch")
    run(
        program("pipx"), "install", "--force", "--pip-args=--no-deps --no-index", request.getfixturevalue("wheel"),
        cwd=cwd, PIPX_HOME=str(home), PIPX_BIN_DIR=str(home / "bin"), PIPX_MAN_DIR=str(home / "man"), PIPX_DEFAULT_BACKEND="pip",
        PIPX_DISABLE_SHARED_LIBS_AUTO_UPGRADE="1",
    )  # fmt: skip
    assert (home / "bin" / tito_of(python).name).exists(), "pipx puts tito where people have it on PATH"
    return python


WAYS = {"wheel": from_wheel, "sdist": from_sdist, "editable": editable, "git": from_git, "uv": by_uv, "pipx": by_pipx}


@pytest.mark.parametrize("way", WAYS)
def test_an_installation_works_from_an_empty_folder(way, checkout, request, tmp_path):
    """In a virtual environment that has the dependencies and knows nothing of the checkout that the tests run in."""
    python = WAYS[way](environment(tmp_path / "venv"), request, tmp_path)
    tito = tito_of(python)
    empty = tmp_path / "somewhere else"
    empty.mkdir()

    installed = Path(run(python, "-c", "import tinytorch; print(tinytorch.__file__)", cwd=empty).strip())
    assert installed.is_relative_to(checkout if way == "editable" else python.parents[1])
    run(tito, "init", "my-tinytorch", "--format", "py", cwd=empty)
    root = empty / "my-tinytorch"
    assert (root / "modules" / "01_tensor" / "01_tensor.py").is_file()
    assert "Modules Completed: 0/20" in run(tito, "status", cwd=root)
    assert "Modules Completed: 0/20" in run(python, "-m", "pytest", "--tito-status", cwd=root)
    told = run(python, "-c", "from pytest_tinytorch.health.environment import installation; print(installation())", cwd=root)
    assert told.strip() == ("editable" if way == "editable" else "wheel")

    (root / "tinytorch" / "core").mkdir(parents=True)
    (root / "tinytorch" / "core" / "tensor.py").write_text("import tinytorch.random\nmine = True\n")
    code = (
        "import tinytorch, tinytorch.random, tinytorch.core.tensor as tensor; print(tinytorch.__file__, tensor.mine)\n"
        "try: import tinytorch.core.layers\nexcept ImportError as error: print(error)"
    )
    here, message = run(python, "-c", code, cwd=root).splitlines()
    assert here == f"{installed} True", "the workspace's tinytorch/ hides nothing and is found"
    assert "tito module complete 03" in message


# --- from one release to the next ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def older_wheel(tmp_path_factory):
    """A wheel of an older version with the first released course, made of today's programs."""
    folder = tmp_path_factory.mktemp("older")
    old = copied(folder / "tinytorch", mode=0o644, time=EPOCH)
    shutil.rmtree(old / "templates")
    shutil.copytree(releases.unpacked(releases.versions()[0], folder).folder, old / "templates")
    package = old / "tinytorch" / "__init__.py"
    package.write_text(re.sub(r'__version__ = ".*"', '__version__ = "0.0.1"', package.read_text("utf-8")), "utf-8")
    [path] = build(old, folder / "built", "--wheel").values()
    return path


def test_an_upgrade_in_mid_course_keeps_the_work_and_brings_the_course(older_wheel, wheel, tmp_path):
    """The student has completed module 01, is in the middle of 02, and has edited a test."""
    old = releases.unpacked(releases.versions()[0], tmp_path)
    solved = {m.number: stubs.solution(old.source(m).read_text("utf-8")) for m in old.modules[:2]}
    python = by_pip(environment(tmp_path / "venv"), older_wheel, tmp_path)
    tito = tito_of(python)
    run(tito, "init", "course", "--format", "py", cwd=tmp_path)
    root = tmp_path / "course"
    first, second = (root / "modules" / m.folder / f"{m.folder}.py" for m in old.modules[:2])
    first.write_text(solved["01"] + "\n# %%\nmine = 1\n", "utf-8")
    run(tito, "module", "complete", "01", cwd=root)
    second.write_text(solved["02"], "utf-8")
    edited = root / "tests" / "02_activations" / "test_progressive_integration.py"
    edited.write_text(edited.read_text("utf-8") + "# mine\n", "utf-8")

    by_pip(python, wheel, tmp_path)
    assert "Modules Completed: 1/20" in (status := run(tito, "status", cwd=root)) and "tito update --check" in status
    assert "Run 'tito update' to apply" in run(tito, "update", "--check", cwd=root)
    run(tito, "update", cwd=root)
    assert (first.read_text("utf-8"), second.read_text("utf-8")) == (solved["01"] + "\n# %%\nmine = 1\n", solved["02"])
    assert "# mine" in edited.read_text("utf-8") and (root / "modules" / "04_losses" / "04_losses.py").is_file()
    assert "exported again to tinytorch/core/tensor.py" in run(tito, "update", "--module", "01", "--merge", cwd=root)
    assert "mine = 1" in first.read_text("utf-8") and "retain_graph" in first.read_text("utf-8")
    run(tito, "module", "complete", "02", cwd=root)
    assert "Modules Completed: 2/20" in run(tito, "status", cwd=root)
    assert "nothing" not in run(tito, "undo", "--list", cwd=root)


def test_importing_the_package_takes_little_more_than_starting_python(wheel, tmp_path):
    """A ratio of the fastest of several runs in turn: other work on the machine slows some of both, and seldom all of one."""
    python = by_pip(environment(tmp_path / "venv"), wheel, tmp_path)
    commands = [Command((str(python), "-c", code), tmp_path, {}) for code in ("import tinytorch", "pass")]
    imported, started = (min(times) for times in zip(*([c.seconds() for c in commands] for _ in range(20)), strict=True))
    assert imported < 3 * started


def environment(folder):
    """A new virtual environment that sees this one's packages, but not what its .pth files add; its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / Path(sys.executable).name
    show_dependencies(python)
    return python


def show_dependencies(python):
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=python.parent).strip()
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(own) / "dependencies.pth").write_text("\n".join(paths) + "\n", "utf-8")


def tito_of(python):
    return python.with_name("tito.exe" if os.name == "nt" else "tito")
