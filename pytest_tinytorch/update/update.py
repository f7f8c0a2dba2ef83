"""Brings what the installed course changed into a workspace: everything but modules at once, a module when asked.

Each is one transaction: all of it or none, and `tito update --rollback` takes it back.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.reset import reset_contents
from pytest_tinytorch.starting import check_written
from pytest_tinytorch.state import backups, pristine, progress, transaction
from pytest_tinytorch.state.store import State, encoded, utc_now
from pytest_tinytorch.update import bases, merge, plan, releases, trial
from pytest_tinytorch.update.plan import ADD, ADOPT, FORGET, KEEP, MOVE, REMOVE, UPDATE, Plan, Step
from pytest_tinytorch.update.releases import number_of
from pytest_tinytorch.workspace import changes, create
from pytest_tinytorch.workspace.export import export_text
from pytest_tinytorch.workspace.layout import WorkingCopy, Workspace
from tinytorch import files
from tinytorch.errors import UpdateConflict

COMMAND = "tito update"
Contents = dict[str, "bytes | None"]


@dataclass
class Taken:
    """What became of a module that was brought up to date."""

    module: Module
    version: str
    backups: list[Path] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)  # of its other files and its tests
    written: list[str] = field(default_factory=list)  # paths of its working copies
    was_complete: bool = False
    # of a merge
    conflicts: list[merge.Conflict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tested: trial.Trial | None = None
    exported: Path | None = None
    outdated: bool = False  # it is complete, and its export lacks the change
    diff: list[str] = field(default_factory=list)  # from the student's file to the merged one


def update(workspace: Workspace, *, downgrade: bool = False, command: str = COMMAND) -> Plan:
    """Carry out what `plan.plan` says, as one step, which `tito undo` calls `command`; returns it.

    Raises: UpdateConflict if the installed course is older than the workspace's, unless `downgrade`.
    """
    with workspace.store.locked():
        versions = workspace.store.read("version.json")
        planned = plan.plan(workspace)
        check_direction(planned, downgrade=downgrade)
        contents: Contents = {}
        for step in planned.steps:
            contents |= _carried_out(workspace, versions, step, planned.contents)
        _write(workspace, versions, contents, planned.new, command, links=_moved_links(workspace, planned))
    return planned


def check_direction(planned: Plan, *, downgrade: bool) -> None:
    """Raises: UpdateConflict if the installed course is older than the workspace's, unless `downgrade`."""
    if not downgrade:
        _check_not_older(planned.new, planned.old, f"this workspace has {planned.old}", ": tito update --downgrade")


def take_module(workspace: Workspace, module: Module, *, downgrade: bool = False) -> Taken:
    """Put the course's version of a module and its tests in place, after a backup; its completion is cleared.

    Raises: UpdateConflict if the workspace has a newer one, unless `downgrade`.
    """
    check_written(workspace, module)
    with workspace.store.locked():
        versions, state = workspace.store.read("version.json"), workspace.store.read(progress.PROGRESS)
        check_module(workspace, module, versions, downgrade=downgrade)
        taken = Taken(module, workspace.course.version, was_complete=int(module.number) in state["completed_modules"])
        contents, written = reset_contents(workspace, module, versions, state)
        taken.written = [workspace.relative(path) for path in written]
        taken.backups = backups.back_up_working_copy(workspace, module)
        contents |= _beside(workspace, versions, taken)
        contents[f".tito/{progress.PROGRESS}"] = encoded(state)
        _write(workspace, versions, contents, versions["template_version"], f"{COMMAND} --module {module.number}")
    return taken


def replaces_work(workspace: Workspace, module: Module) -> bool:
    """Whether `take_module` would replace what the student wrote, or clear a completion."""
    if module in progress.recorded(workspace):
        return True
    for form in workspace.existing_forms(module):
        got = transaction.content(workspace.pristine / workspace.relative(form))
        if got is None or not pristine.is_same_content(got, form.read_bytes()):
            return True
    return False


def can_be_merged(workspace: Workspace, module: Module) -> bool:
    """Whether there is a working copy of which it is known what it was started from."""
    versions, forms = workspace.store.read("version.json"), workspace.existing_forms(module)
    return bool(forms) and all(bases.newest(workspace, versions, workspace.relative(form)) for form in forms)


def merge_module(workspace: Workspace, module: Module, *, downgrade: bool = False, dry_run: bool = False) -> Taken:
    """Merge the course's version of a module into the student's, test the result, then put it in place.

    A completed module whose tests pass is exported again in the same step. A `dry_run` tests too, and writes nothing.

    Raises: UpdateConflict, and nothing is changed, if the workspace has a newer version (unless `downgrade`), if it is
        not known what the student started from, if conflicts of an earlier merge aren't settled, if tests that pass with
        the student's file fail with the merged one, or if that file is saved meanwhile; ExportError if a file can't be
        read as a working copy.
    """
    check_written(workspace, module)
    with workspace.store.locked():
        versions, state = workspace.store.read("version.json"), workspace.store.read(progress.PROGRESS)
        check_module(workspace, module, versions, downgrade=downgrade)
        copy = workspace.working_copy(module)
        taken = Taken(module, workspace.course.version, was_complete=module in progress.complete(workspace, state))
        path = workspace.relative(copy.path)
        theirs = create.stub_file(workspace.course, module, copy.path.suffix[1:])
        merged = _merged(workspace, versions, copy, theirs)
        beside = _beside(workspace, versions, taken)
        taken.conflicts, taken.notes = merged.conflicts, merged.notes
        contents = beside | _got(workspace, versions, path, theirs)
        if merged.data != copy.data:
            taken.written = [path]
            taken.tested = _tested(workspace, copy, merged, beside, dry_run=dry_run)
            if transaction.content(copy.path) != copy.data:
                raise UpdateConflict(
                    f"{path} was saved while its tests ran. Nothing was changed. Run the command again: {COMMAND} --module "
                    f"{module.number} --merge"
                )
            contents[path] = merged.data
            taken.backups = [] if dry_run else backups.back_up(workspace, module, [(copy.path.suffix, copy.data)])
        new_copy = WorkingCopy(module, copy.path, merged.data)
        taken.diff = changes.diff(copy.cells, new_copy.cells, names=(copy.path.name, f"{copy.path.name} merged with {taken.version}"))
        if taken.was_complete and (new_copy.code_hash != copy.code_hash or merged.conflicts):
            if taken.tested and taken.tested.passed and not merged.conflicts:
                taken.exported = workspace.export(module)
                contents[workspace.relative(taken.exported)] = export_text(workspace, new_copy).encode("utf-8")
                progress.enter_result(state, module, [], new_copy.code_hash)
            else:
                taken.outdated = True
                progress.mark_outdated(state, module, workspace.course.version)
            contents[f".tito/{progress.PROGRESS}"] = encoded(state)
        if not dry_run:
            _write(workspace, versions, contents, versions["template_version"], f"{COMMAND} --module {module.number} --merge")
    return taken


def check_module(workspace: Workspace, module: Module, versions: State, *, downgrade: bool) -> None:
    """Raises: UpdateConflict if a working copy of a module is of a newer version of the course, unless `downgrade`."""
    for form in workspace.forms(module):
        has = versions["files"].get(workspace.relative(form), {}).get("version", "unknown")
        if has != "unknown" and not downgrade:
            _check_not_older(workspace.course.version, has, f"module {module.label} is of {has} here", ", add --downgrade.")


def _check_not_older(installed: str, has: str, said: str, how: str) -> None:
    """Raises: UpdateConflict if the installed version is older than the one that somebody `has`; both are told."""
    if number_of(installed, "the installed course's VERSION") < number_of(has, "version.json"):
        raise UpdateConflict(
            f"The installed course is version {installed}, and {said}, which is newer. Nothing was changed. "
            f"Upgrade with: pip install --upgrade tinytorch. To go back all the same{how}"
        )


def _merged(workspace: Workspace, versions: State, copy: WorkingCopy, theirs: bytes) -> merge.Merged:
    path, number = workspace.relative(copy.path), copy.module.number
    base = bases.of_older_work(workspace, versions, path) or bases.newest(workspace, versions, path)
    if base is None:
        raise UpdateConflict(
            f"{path} can't be merged: there is no copy of what you started from (.tito/pristine/{path}), so nobody can tell your "
            f"changes from the course's. Nothing was changed. Take the course's version, which backs up yours, and bring your "
            f"work over: tito update --module {number}, then: tito backup diff {number}"
        )
    if unsettled := copy.conflicts:
        raise UpdateConflict(
            f"{path} has {len(unsettled)} conflict{'s' if len(unsettled) > 1 else ''} of an earlier update, the first in cell "
            f"{unsettled[0].number}: {unsettled[0].conflict}. Nothing was changed. Settle them, delete their cells, then merge again."
        )
    reasons = releases.reasons_for(releases.reasons(workspace.course), path, base.version)
    return merge.merge(base.data, copy.data, theirs, copy.path, about=" ".join(reason.why for reason in reasons))


def _tested(workspace: Workspace, copy: WorkingCopy, merged: merge.Merged, beside: Contents, *, dry_run: bool) -> trial.Trial:
    """Test the merged file, and refuse it if it breaks what works. What the merge made is kept then, but for a `dry_run`."""
    path = workspace.relative(copy.path)
    result = trial.run(workspace, copy.module, beside | {path: merged.data})
    if result.passed:
        return result
    broken = result.breaks(trial.run(workspace, copy.module, beside | {path: copy.data}))
    if broken:
        made = ""
        if not dry_run:
            aside = workspace.tito / "merge" / copy.path.name
            with workspace.store.writing(aside.name):
                files.write_atomic(aside, merged.data)
            made = f"What the merge made is in {workspace.relative(aside)}, to compare. "
        named = ", ".join(broken[:3]) + (f" and {len(broken) - 3} more" if len(broken) > 3 else "")
        raise UpdateConflict(
            f"{path} was not changed: with the course's change merged in, tests fail that pass with your file: {named}. "
            f"{made}To take the course's version and bring your work over: tito update --module {copy.module.number}"
        )
    return result


def _beside(workspace: Workspace, versions: State, taken: Taken) -> Contents:
    """The module's tests and the other files in its folder, brought up to date."""
    module, contents = taken.module, create.files_here(workspace)
    folders = (f"modules/{module.folder}/", f"{module.test_folder}/")
    working_copies = {workspace.relative(form) for form in workspace.forms(module)}
    steps = plan.file_steps(
        workspace, versions["files"], contents, lambda path: path.startswith(folders) and path not in working_copies
    )
    carried_out: Contents = {}
    for step in sorted(steps, key=lambda step: step.path):
        carried_out |= _carried_out(workspace, versions, step, contents)
        taken.steps += [step] if step.action in plan.VISIBLE else []
    return carried_out


def _carried_out(workspace: Workspace, versions: State, step: Step, course: Mapping[str, bytes]) -> Contents:
    """The contents that a step stands for; `versions` is told."""
    if step.action in (ADD, UPDATE, ADOPT):
        data = course[step.path]
        put: Contents = {step.path: data} if step.action != ADOPT else {}
        return put | _got(workspace, versions, step.path, data)
    if step.action in (REMOVE, FORGET, KEEP):
        versions["files"].pop(step.path, None)
        gone: Contents = {_pristine(step.path): None}
        return gone | {step.path: None} if step.action == REMOVE else gone
    if step.action == MOVE:
        moved: Contents = {step.path: transaction.content(workspace.root / step.source), step.source: None}
        if entry := versions["files"].pop(step.source, None):  # of two forms, one is known
            versions["files"][step.path] = entry
            base = transaction.content(workspace.root / _pristine(step.source))
            moved |= {_pristine(step.path): base, _pristine(step.source): None}
        return moved
    return {}


def _got(workspace: Workspace, versions: State, path: str, data: bytes) -> Contents:
    """Enter that the workspace has the installed course's version of a file, and keep a pristine copy."""
    module = workspace.module_at(path)
    kept = bases.superseded(workspace, module, path, versions, data) if module else {}
    versions["files"][path] = {"version": workspace.course.version, "modified_by_student": False, "sha256": files.sha256(data)}
    return {_pristine(path): data, **kept}


def _pristine(path: str) -> str:
    return f".tito/pristine/{path}"


def _moved_links(workspace: Workspace, planned: Plan) -> dict[str, str]:
    """Where the working copies point that are links and move: each stays one, and its folder is as deep as before."""
    moved = {step.path: workspace.root / step.source for step in planned.steps if step.action == MOVE}
    return {path: str(source.readlink()) for path, source in moved.items() if source.is_symlink()}


def _write(
    workspace: Workspace, versions: State, contents: Contents, version: str, command: str, *, links: Mapping[str, str] | None = None
) -> None:
    """Put contents in place as one step, with a `version.json` that is true of them; nothing is written for no change."""
    known = workspace.store.read("version.json")
    if (
        all(transaction.content(workspace.root / path) == data for path, data in contents.items())
        and not any(_executable(workspace, contents).values())
        and (known["template_version"], _hashes(known)) == (version, _hashes(versions))
    ):
        return
    for path, entry in versions["files"].items():
        data = contents[path] if path in contents else transaction.content(workspace.root / path)
        entry["modified_by_student"] = not pristine.is_same(entry.get("sha256"), data)
    versions |= {"template_version": version, "last_updated": utc_now()}
    contents[".tito/version.json"] = encoded(versions)
    transaction.replace(workspace, contents, command=command, executable=_executable(workspace, contents), links=links)


def _hashes(versions: State) -> dict[str, tuple[object, object]]:
    return {path: (entry.get("version"), entry.get("sha256")) for path, entry in versions["files"].items()}


def _executable(workspace: Workspace, paths: Iterable[str]) -> dict[str, bool]:
    return {path: True for path in paths if files.is_executable(workspace.course.folder / path)}
