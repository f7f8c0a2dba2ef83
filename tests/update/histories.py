"""Random histories: a course that changes from version to version, a student who edits in between, and updates.

`python -m tests.update.histories --count 10000 --workers 2` runs that many and prints the first violation with its seed.
What must hold after every command, whatever came before:

1. No student byte is lost, and nothing outside of the workspace is written. Every mark that a student ever left in a file stands in the workspace after an update, a merge
   or a rollback; after a module was replaced, in the workspace or in its backups.
2. `tito update` is idempotent: once more changes no file, also not in `.tito/`.
3. An update and its rollback are the identity, to the byte and to the permission.
4. After an update, a file that the student left alone is the course's, and is gone if the course's is gone.
5. `modified_by_student` says what the hashes say.
6. A merge has both: every mark that the course left since the student's version stands in the merged file, unless the
   student deleted cells, and the file can be read.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock

from pytest_tinytorch.course.curriculum import read_course
from pytest_tinytorch.state import pristine, transaction
from pytest_tinytorch.state.undo import undo
from pytest_tinytorch.update import trial
from pytest_tinytorch.update import update as updating
from pytest_tinytorch.workspace import create, notebooks
from pytest_tinytorch.workspace.convert import to_notebook, to_percent
from pytest_tinytorch.workspace.layout import Workspace
from tests.plugin.conftest import write_course
from tinytorch.errors import TinyTorchError

STUB = "raise NotImplementedError"


@dataclass
class World:
    """One history under way."""

    folder: Path
    random: random.Random
    course: Path = field(init=False)
    workspace: Workspace = field(init=False)
    version: int = 0
    marks: int = 0
    said: list[str] = field(default_factory=list)  # what happened, for the report of a violation
    mine: set[str] = field(default_factory=set)  # marks that the student left and did not take out
    outside: dict[Path, bytes] = field(default_factory=dict)  # what the student's links point to
    deleted: bool = False  # whether the student deleted a cell: what the course writes there stays away too

    def __post_init__(self) -> None:
        self.course = self.folder / "v0"
        write_course(self.course)
        form = self.random.choice(["py", "ipynb"])
        self.workspace = create.create(self.folder / "workspace", read_course(self.course), format=form)

    def mark(self, whose: str) -> str:
        self.marks += 1
        return f"{whose}_{self.marks:04d}"

    def pick(self, *suffixes: str, below: tuple[str, ...]) -> Path | None:
        """A file of the workspace."""
        found = [
            path for part in below for path in sorted((self.workspace.root / part).rglob("*"))
            if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts
        ]
        return self.random.choice(found) if found else None


# --- the course's authors -----------------------------------------------------------------------------------------


def release(world: World) -> None:
    """A new version of the course, with some changes."""
    old, world.version = world.course, world.version + 1
    world.course = world.folder / f"v{world.version}"
    shutil.copytree(old, world.course)
    (world.course / "VERSION").write_text(f"1.{world.version}.0\n", "utf-8")
    for change in world.random.choices(CHANGES, k=world.random.randint(1, 6)):
        change(world)
    world.workspace = Workspace(world.workspace.root, read_course(world.course))


def files_of_course(world: World, *parts: str) -> list[Path]:
    return [path for part in parts for path in sorted((world.course / part).rglob("*")) if path.is_file()]


def edit_a_test(world: World) -> None:
    path = world.random.choice(files_of_course(world, "tests", "milestones", "workspace"))
    lines = path.read_text("utf-8").split("\n")
    lines.insert(world.random.randint(0, len(lines)), f"# {world.mark('course')}")
    path.write_text("\n".join(lines), "utf-8", newline="\n")


def add_a_test(world: World) -> None:
    folder = world.random.choice(sorted((world.course / "tests").iterdir()))
    name = world.random.choice(["test_new.py", "Test_new.py", "test_mine.py", "sub/test_deep.py", "test_double.py"])
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"# {world.mark('course')}\n", "utf-8")


def delete_a_test(world: World) -> None:
    if found := files_of_course(world, "tests", "milestones"):
        world.random.choice(found).unlink()


def move_a_test(world: World) -> None:
    if not (found := files_of_course(world, "tests")):
        return
    path = world.random.choice(found)
    other = world.random.choice(sorted(path.name for path in (world.course / "tests").iterdir()))
    name = world.random.choice([path.name, path.name.upper(), f"moved_{path.name}"])
    path.rename(world.course / "tests" / other / name)


def make_executable(world: World) -> None:
    world.random.choice(files_of_course(world, "milestones", "workspace")).chmod(0o755)


def edit_a_source(world: World, edit: Callable[[World, list[str]], None]) -> None:
    path = world.random.choice(files_of_course(world, "modules"))
    head, *cells = path.read_text("utf-8").split("# %%")
    edit(world, cells)
    path.write_text("# %%".join([head, *cells]), "utf-8", newline="\n")


def reword_a_cell(world: World, cells: list[str]) -> None:
    number = world.random.randrange(len(cells))
    head, *lines = cells[number].rstrip("\n").split("\n")
    lines.append(f"# {world.mark('course')}")  # prose in a markdown cell, a comment in code
    if "BEGIN SOLUTION" not in cells[number] or world.random.random() < 0.5:
        cells[number] = "\n".join([head, *lines]) + "\n\n"
    else:
        cells[number] = cells[number].replace("    ### BEGIN", f"    # {lines[-1][2:]}\n    ### BEGIN")


def reword_all_cells(world: World, cells: list[str]) -> None:
    for number, cell in enumerate(cells):
        if world.random.random() < 0.6:
            cells[number] = cell.rstrip("\n") + f"\n# {world.mark('course')}\n\n"


def insert_a_cell(world: World, cells: list[str]) -> None:
    text = f" [markdown]\n# {world.mark('course')} explains\n\n" if world.random.random() < 0.5 else f"\n# {world.mark('course')}\n\n"
    cells.insert(world.random.randint(0, len(cells)), text)
    cells[:] = [cell if cell.endswith("\n") else cell + "\n\n" for cell in cells]


def drop_a_cell(world: World, cells: list[str]) -> None:
    if len(cells) > 3:
        del cells[world.random.randrange(len(cells))]


def swap_cells(world: World, cells: list[str]) -> None:
    world.random.shuffle(cells)
    cells[:] = [cell if cell.endswith("\n") else cell + "\n\n" for cell in cells]


def rename_a_module(world: World) -> None:
    """The slug of module 02 changes: its folders, its source and its working copy have another name."""
    curriculum = world.course / "curriculum.toml"
    text = curriculum.read_text("utf-8")
    old, new = ("activations", "nonlinear") if '"activations"' in text else ("nonlinear", "activations")
    curriculum.write_text(text.replace(f'slug = "{old}"', f'slug = "{new}"'), "utf-8")
    (world.course / "modules" / f"02_{old}" / f"02_{old}.py").rename(world.course / "modules" / f"02_{old}" / f"02_{new}.py")
    for part in ("modules", "tests"):
        if (world.course / part / f"02_{old}").exists():
            (world.course / part / f"02_{old}").rename(world.course / part / f"02_{new}")


CHANGES: list[Callable[[World], None]] = [
    edit_a_test, edit_a_test, add_a_test, delete_a_test, move_a_test, make_executable, rename_a_module,
    *(partial(edit_a_source, edit=edit) for edit in (reword_a_cell, reword_all_cells, reword_all_cells, insert_a_cell, drop_a_cell, swap_cells)),
]


# --- the student --------------------------------------------------------------------------------------------------


def work(world: World) -> None:
    for act in world.random.choices(ACTS, k=world.random.randint(0, 6)):
        world.said.append(f"student: {act.keywords['edit'].__name__ if isinstance(act, partial) else act.__name__}")
        act(world)
        everything = marked_content(world, but=(".tito",))
        world.mine = {mark for mark in world.mine if mark.encode() in everything}  # what they took out themselves is gone
        world.outside = {path: path.read_bytes() for path in world.outside}  # they may write through their own links


def edit_a_file(world: World) -> None:
    path = world.pick(".py", ".md", ".toml", below=("tests", "milestones", "."))
    if path is None or ".tito" in path.parts or "modules" in path.parts:
        return
    mark = world.mark("mine")
    path.write_bytes(path.read_bytes() + f"# {mark}\n".encode())
    world.mine.add(mark)


def delete_a_file(world: World) -> None:
    path = world.pick(".py", ".md", below=("tests", "milestones"))
    if path:
        path.unlink()


def add_own_file(world: World) -> None:
    folder = world.workspace.root / "tests" / world.random.choice(["01_tensor", "02_activations", "02_nonlinear"])
    name = world.random.choice(["test_mine.py", "TEST_NEW.py", "sub", "test_new.py"])
    if folder.is_dir() and not (folder / name).exists():
        mark = world.mark("mine")
        (folder / name).write_text(f"# {mark}\n", "utf-8")
        world.mine.add(mark)


def make_a_link(world: World) -> None:
    path = world.pick(".py", below=("tests",))
    if path and not path.is_symlink():
        mark = world.mark("mine")
        outside, data = world.folder / f"{mark}.py", path.read_bytes()
        if world.random.random() < 0.5:
            data += f"# {mark}\n".encode()
            world.mine.add(mark)
        outside.write_bytes(data)
        world.outside[outside] = data
        path.unlink()
        path.symlink_to(outside)


def use_windows_newlines(world: World) -> None:
    path = world.pick(".py", ".md", below=("tests", "milestones"))
    if path:
        path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def change_mode(world: World) -> None:
    path = world.pick(".py", below=("tests", "milestones"))
    if path and not path.is_symlink():
        path.chmod(0o755)


def edit_working_copy(world: World, edit: Callable[[World, list[str]], None]) -> None:
    """Change the cells of a working copy, as texts that begin behind their `# %%`."""
    module = world.random.choice(world.workspace.course.modules[:2])
    forms = world.workspace.existing_forms(module)
    if not forms:
        return
    path = forms[0]
    data = path.read_bytes().decode("utf-8")
    text = data if path.suffix == ".py" else to_percent(data)[0]
    newline = "\r\n" if "\r\n" in text else "\n"
    head, *cells = text.replace("\r\n", "\n").split("# %%")
    edit(world, cells)
    text = "# %%".join([head, *(cell if cell.endswith("\n") else cell + "\n\n" for cell in cells)])
    if path.suffix == ".ipynb":
        text = to_notebook(text)
        if world.random.random() < 0.2:  # an old Jupyter: no ids
            notebook = json.loads(text) | {"nbformat_minor": 4}
            for cell in notebook["cells"]:
                del cell["id"]
            text = json.dumps(notebook)
    path.write_bytes(text.replace("\n", newline).encode("utf-8"))


def solve(world: World, cells: list[str]) -> None:
    for number, cell in enumerate(cells):
        if STUB in cell and world.random.random() < 0.7:
            mark = world.mark("mine")
            lines = [f"    return x  # {mark}" if STUB in line else line for line in cell.split("\n")]
            cells[number] = "\n".join(lines)
            world.mine.add(mark)


def annotate(world: World, cells: list[str]) -> None:
    number = world.random.randrange(len(cells))
    mark = world.mark("mine")
    lines = cells[number].rstrip("\n").split("\n")
    lines.insert(world.random.randint(1, len(lines)), f"# {mark}")
    cells[number] = "\n".join(lines) + "\n\n"
    world.mine.add(mark)


def annotate_the_ends(world: World, cells: list[str]) -> None:
    """Where the course adds too, so that the two conflict."""
    for number, cell in enumerate(cells):
        if world.random.random() < 0.7:
            mark = world.mark("mine")
            cells[number] = cell.rstrip("\n") + f"\n# {mark}\n\n"
            world.mine.add(mark)


def insert_own_cell(world: World, cells: list[str]) -> None:
    mark = world.mark("mine")
    cells.insert(world.random.randint(0, len(cells)), f"\n# {mark}\n\n")
    world.mine.add(mark)


def delete_cell(world: World, cells: list[str]) -> None:
    if len(cells) > 2:
        del cells[world.random.randrange(len(cells))]
        world.deleted = True


def move_cell(world: World, cells: list[str]) -> None:
    cells.insert(world.random.randrange(len(cells)), cells.pop(world.random.randrange(len(cells))))


def double_cell(world: World, cells: list[str]) -> None:
    number = world.random.randrange(len(cells))
    cells.insert(number, cells[number])


def settle(world: World, cells: list[str]) -> None:
    """Delete the cells that show conflicts, as they ask for."""
    cells[:] = [cell for cell in cells if "conflict=" not in cell.split("\n")[0]]


ACTS: list[Callable[[World], None]] = [
    edit_a_file, edit_a_file, delete_a_file, add_own_file, make_a_link, use_windows_newlines, change_mode,
    *(
        partial(edit_working_copy, edit=edit)
        for edit in (solve, solve, annotate, annotate_the_ends, insert_own_cell, delete_cell, move_cell, double_cell, settle)
    ),
]


# --- the invariants -----------------------------------------------------------------------------------------------


def tree(root: Path, *, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Path to content of all files, with permissions; links by where they point to."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.startswith(but or "\0") or not path.is_file():
            continue
        mode = b"" if os.name == "nt" else oct(stat.S_IMODE(path.stat().st_mode)).encode()
        found[name] = path.read_bytes() + b"\0" + mode
    return found


def marked_content(world: World, *, but: tuple[str, ...]) -> bytes:
    return b"\n".join(tree(world.workspace.root, but=but).values())


UNSEEN = (".tito/undo", ".tito/lock", ".tito/backups", ".tito/merge")


def check(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def check_marks(world: World, *, backups: bool) -> None:
    everything = marked_content(world, but=(".tito/undo", ".tito/pristine") if backups else (".tito",))
    lost = sorted(mark for mark in world.mine if mark.encode() not in everything)
    check(not lost, f"lost: {', '.join(lost)}")
    written = [path for path, data in world.outside.items() if path.read_bytes() != data]
    check(not written, f"written through a link: {written}")


def check_versions(world: World) -> None:
    for path, entry in world.workspace.store.read("version.json")["files"].items():
        here = transaction.content(world.workspace.root / path)
        same = pristine.is_same(entry["sha256"], here)
        check(entry["modified_by_student"] is not same, f"{path}: modified_by_student is {entry['modified_by_student']}")


def update(world: World) -> None:
    workspace = world.workspace
    known = workspace.store.read("version.json")["files"]
    before = {path: transaction.content(workspace.root / path) for path in known}
    links = {path for path in known if any(p.is_symlink() for p in (workspace.root / path, (workspace.root / path).parent))}
    whole = tree(workspace.root, but=UNSEEN)
    updating.update(workspace)
    check_marks(world, backups=False)
    check_versions(world)
    new = create.files_here(workspace)
    for path, entry in known.items():
        alone = path not in links and before[path] is not None and pristine.is_same(entry["sha256"], before[path])
        if path.startswith("modules/") or not alone:
            continue
        here = transaction.content(workspace.root / path)
        as_it_should_be = here is not None and pristine.is_same_content(here, new[path]) if path in new else here is None
        check(as_it_should_be, f"{path} was left alone, and is not the course's")
    after = tree(workspace.root)
    updating.update(workspace)
    check(tree(workspace.root) == after, "a second update changed something")
    if world.random.random() < 0.3 and tree(workspace.root, but=UNSEEN) != whole:
        undo(workspace, of=updating.COMMAND)
        check(tree(workspace.root, but=UNSEEN) == whole, _difference(whole, tree(workspace.root, but=UNSEEN)))
        updating.update(workspace)


def merge(world: World) -> None:
    workspace = world.workspace
    module = world.random.choice(workspace.course.modules[:2])
    forms = workspace.existing_forms(module)
    if len(forms) != 1:
        return
    before, whole = forms[0].read_bytes(), tree(workspace.root, but=UNSEEN)
    base = transaction.content(workspace.pristine / workspace.relative(forms[0])) or b""
    try:
        updating.merge_module(workspace, module)
    except TinyTorchError as error:
        check(tree(workspace.root, but=UNSEEN) == whole, f"refused, and yet changed: {error}")
        check("can't be merged" in str(error) or "of an earlier update" in str(error), f"refused: {error}")
        return
    check_marks(world, backups=False)
    check_versions(world)
    merged = forms[0].read_bytes()
    notebooks.parse(merged, forms[0])
    theirs = create.stub_file(workspace.course, module, forms[0].suffix[1:])
    if not world.deleted:
        text = merged.decode("utf-8")
        lost = [word for word in _course_marks(theirs) - _course_marks(base) if word not in text]
        check(not lost, f"the course's {', '.join(lost)} did not come in")
    if world.random.random() < 0.3 and merged != before:
        undo(workspace, of=updating.COMMAND)
        check(tree(workspace.root, but=UNSEEN) == whole, _difference(whole, tree(workspace.root, but=UNSEEN)))


def take(world: World) -> None:
    updating.take_module(world.workspace, world.random.choice(world.workspace.course.modules[:2]))
    check_marks(world, backups=True)
    check_versions(world)
    here = marked_content(world, but=(".tito",))
    world.mine = {mark for mark in world.mine if mark.encode() in here}  # the others are in a backup, of which there are ten


def _course_marks(data: bytes) -> set[str]:
    return set(re.findall(r"course_\d{4}", data.decode("utf-8")))


def _difference(before: dict[str, bytes], after: dict[str, bytes]) -> str:
    paths = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return f"after the rollback these differ: {', '.join(paths)}"


def passes(workspace: Workspace, module: object, contents: object) -> trial.Trial:
    """In the place of the module's tests, which take a second."""
    return trial.Trial(frozenset())


COMMANDS = [update, update, update, merge, merge, merge, take]


def run(seed: int) -> str | None:
    """One history; what was violated in it, or None."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base) as folder, ExitStack() as stack:
        stack.enter_context(mock.patch.object(os, "fsync"))  # durability is for other tests
        stack.enter_context(mock.patch.object(trial, "run", passes))
        world = World(Path(folder), random.Random(seed))
        try:
            for _ in range(world.random.randint(1, 4)):
                work(world)
                release(world)
                if world.random.random() < 0.5:
                    work(world)
                for command in world.random.choices(COMMANDS, k=world.random.randint(1, 3)):
                    world.said.append(f"{command.__name__} to {world.workspace.course.version}")
                    command(world)
        except Exception as error:
            return f"seed {seed}: {type(error).__name__}: {error}\n  " + "\n  ".join(world.said)
        finally:
            read_course.cache_clear()
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.update.histories", description="Run random histories of updates.")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    began = time.monotonic()
    with ProcessPoolExecutor(options.workers) as pool:
        seeds = range(options.first, options.first + options.count)
        for number, violation in enumerate(pool.map(run, seeds, chunksize=20), start=1):
            if violation:
                print(violation)
                pool.shutdown(cancel_futures=True)
                return 1
            if number % 500 == 0:
                left = (time.monotonic() - began) / number * (options.count - number)
                print(f"{number} histories, {left / 60:.0f} min left", flush=True)
    print(f"{options.count} histories in {time.monotonic() - began:.0f} s, no violation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
