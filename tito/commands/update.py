"""`tito update`."""
from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tito import opening, render
from tito.group import Command
from tito.options import json_option
from tito.tab import modules

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Module
    from pytest_tinytorch.update.plan import ModuleChange, Plan, Step
    from pytest_tinytorch.update.releases import Reason
    from pytest_tinytorch.update.update import Taken
    from pytest_tinytorch.workspace.layout import Workspace

_MANY = 3  # more files of one folder that come or go are told together
_DONE = {"add": "Added", "update": "Updated", "remove": "Removed", "move": "Moved", "skip": "Skipped", "keep": "Kept"}
_WOULD = {"add": "Would add", "update": "Would update", "remove": "Would remove", "move": "Would move", "skip": "Would skip", "keep": "Would keep"}


@click.command(cls=Command, example="tito update --check\ntito update\ntito update --module 05 --merge\ntito update --config ../handout/course.yml")
@click.option("--check", is_flag=True, help="List what the installed course changed, and why. Changes nothing.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, file by file, or by --merge to your work. Changes nothing.")
@click.option("--config", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Take in a changed course.yml of your instructor's, with the folders that it names.")
@click.option("--module", "name", metavar="NN", shell_complete=modules, help="Put the course's version of one module in place of yours, after a backup.")
@click.option("--merge", "merges", is_flag=True, help="With --module: merge the course's changes into your work.")
@click.option("--yes", is_flag=True, help="With --module: replace your work without asking.")
@click.option("--rollback", is_flag=True, help="Take the last update back.")
@click.option("--downgrade", is_flag=True, help="Go to an older version of the course.")
@json_option
def update(
    check: bool, dry_run: bool, config: Path | None, name: str | None, merges: bool, yes: bool, rollback: bool, downgrade: bool,
    as_json: bool,
) -> int:
    """Bring the installed course's changes into this workspace.

    Tests, milestones and other files that you have not modified are replaced, new ones are added. Your modules are never
    touched, unless you ask for one with --module.
    """
    if sum(map(bool, (check, dry_run and not merges, name, rollback))) > 1 or ((merges or yes) and not name) or (downgrade and rollback):
        raise click.UsageError(
            "Give one of --check, --dry-run, --module NN and --rollback; --merge and --yes go with --module, --dry-run with --merge too."
        )
    if config and (name or rollback):
        raise click.UsageError("--config brings a whole course: it doesn't go with --module or --rollback.")
    if rollback:
        return _rollback(opening.workspace(), as_json=as_json)
    if name:
        return _module(opening.workspace(), name, merges=merges, dry_run=dry_run, yes=yes, downgrade=downgrade, as_json=as_json)
    from pytest_tinytorch.update import plan
    from pytest_tinytorch.update.update import COMMAND, check_direction
    from pytest_tinytorch.update.update import update as bring_up_to_date

    with _workspace(config) as workspace:
        if check or dry_run:
            planned = plan.plan(workspace)
            if dry_run:
                check_direction(planned, downgrade=downgrade)
        else:
            command = f"{COMMAND} --config {shlex.quote(str(config))}" if config else COMMAND
            planned = bring_up_to_date(workspace, downgrade=downgrade, command=command)
        if as_json:
            render.data(_as_json(workspace, planned))
        elif check:
            _say_available(workspace, planned)
        else:
            _say_done(planned, _WOULD if dry_run else _DONE)
    return 0


@contextmanager
def _workspace(config: Path | None) -> Iterator[Workspace]:
    """The workspace, of the course that is to be taken in: the `config`'s, or its own, whose tests are listed anew if need be."""
    from pytest_tinytorch.course import curriculum
    from pytest_tinytorch.workspace import handout

    if config is None:
        workspace = opening.workspace()
        if handout.is_handed_out(workspace):
            yield workspace
            return
        config = workspace.root / curriculum.COURSE_FILE
    with handout.handed_out(curriculum.load(), config) as course:
        yield opening.workspace(course)


def _rollback(workspace: Workspace, *, as_json: bool) -> int:
    from pytest_tinytorch.state.undo import undo
    from pytest_tinytorch.update.update import COMMAND

    render.undone(workspace, undo(workspace, of=COMMAND), as_json=as_json)
    return 0


# --- the whole course ---------------------------------------------------------------------------------------------


def _say_available(workspace: Workspace, planned: Plan) -> None:
    from pytest_tinytorch.update.plan import KEEP, SKIP
    from pytest_tinytorch.update.releases import KINDS

    render.say(f"Package version: {planned.new} (you have {planned.old})", bold=True)
    files = [step for step in planned.visible if step.action not in (SKIP, KEEP)]
    skipped = [step for step in planned.visible if step.action in (SKIP, KEEP)]
    if not (files or skipped or planned.modules):
        render.say("Everything is up to date.")
        return
    reasons: dict[Reason, None] = {}
    reasons_of = _reasons(workspace, planned)
    render.say("Available updates:" if files else "Available updates: none")
    for label, steps in _gathered(files):
        found = [reason for step in steps for reason in reasons_of(step.path)]
        reasons |= dict.fromkeys(found)
        render.say(f"   {label} ({KINDS[found[0].kind] if found else _DONE[steps[0].action].lower()})")
    for step in skipped:
        render.say(f"   {step.path} (will be {_DONE[step.action].lower()}: {step.why_not})")
    if reasons:
        render.say("\nWhat changed:")
        for reason in reasons:
            render.say(f"   {_told(reason)}")
    if changed := [module for module in planned.modules if module.has_base]:
        render.say("\nModules that changed, which 'tito update' does not touch:")
        for module in changed:
            render.say(f"   {module.module.label} ({module.state}): {module.command}")
            for reason in dict.fromkeys(reason for path in module.paths for reason in reasons_of(path)):
                render.say(f"      {_told(reason)}")
    if unknown := [module for module in planned.modules if not module.has_base]:
        render.say("\nModules that may have changed. What you started from isn't known any more, so they can't be merged. Yours are backed up first:")
        for module in unknown:
            render.say(f"   {module.module.label} ({module.state}): {module.command}")
    if files:
        render.say("\nRun 'tito update' to apply, or 'tito update --dry-run' to preview.")


def _told(reason: Reason) -> str:
    from pytest_tinytorch.update.releases import KINDS

    return f"{reason.version}, {KINDS[reason.kind]}: {reason.why}"


def _gathered(steps: Sequence[Step]) -> list[tuple[str, list[Step]]]:
    """Steps with the path to print; a folder of which many files come or go is one."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        alone = step.action not in ("add", "remove") or step.path.count("/") < 2
        folder = step.path if alone else "/".join(step.path.split("/")[:2]) + "/"
        groups.setdefault((step.action, folder), []).append(step)
    gathered = []
    for (_, folder), group in groups.items():
        if len(group) > _MANY:
            gathered.append((f"{folder} with {len(group)} files", group))
        else:
            gathered += [(_path(step), [step]) for step in group]
    return gathered


def _path(step: Step) -> str:
    where = f"{step.source} to {step.path}" if step.source else step.path
    return where + (f" ({step.why_not})" if step.why_not else "")


def _reasons(workspace: Workspace, planned: Plan) -> Callable[[str], list[Reason]]:
    """What says why a file changed since the version that the workspace has of it."""
    from pytest_tinytorch.update.releases import reasons, reasons_for

    known, entries = workspace.store.read("version.json")["files"], reasons(workspace.course)
    return lambda path: reasons_for(entries, path, known.get(path, {}).get("version", planned.old))


def _say_done(planned: Plan, words: dict[str, str]) -> None:
    if not planned.visible and not planned.modules:
        render.say(f"Everything is up to date: version {planned.new}.")
        return
    for label, steps in _gathered(planned.visible):
        render.say(f"{words[steps[0].action]} {label}")
    for change in planned.modules:
        render.say(f"{words['skip']} modules/{change.module.folder} ({_why_skipped(change)})")
    if planned.modules:
        render.say()
        for change in planned.modules:
            verb = "merge the change into" if change.is_merged else "take the change of" if change.has_base else "take the course's version of"
            render.say(f"To {verb} module {change.module.number}: {change.command}")
        render.say(f"To reset a module to latest: tito module reset {planned.modules[0].module.number}")
    if words is _DONE and any(step.action not in ("skip", "keep") for step in planned.visible):
        render.say("To take this update back: tito update --rollback")


def _why_skipped(change: ModuleChange) -> str:
    return {"untouched": "not begun", "modified": "student modified", "completed": "completed"}[change.state]


def _as_json(workspace: Workspace, planned: Plan) -> dict[str, Any]:
    reasons_of = _reasons(workspace, planned)

    def why(path: str) -> list[dict[str, str]]:
        return [{"version": r.version, "kind": r.kind, "why": r.why} for r in reasons_of(path)]

    return {
        "package_version": planned.new,
        "workspace_version": planned.old,
        "files": [
            {"action": s.action, "path": s.path, "from": s.source, "why_not": s.why_not, "reasons": why(s.path)}
            for s in planned.visible
        ],
        "modules": [
            {
                "number": m.module.number, "state": m.state, "since": m.since, "command": m.command, "has_base": m.has_base,
                "paths": list(m.paths),
                "reasons": [reason for path in m.paths for reason in why(path)],
            }
            for m in planned.modules
        ],
    }


# --- one module ---------------------------------------------------------------------------------------------------


def _module(workspace: Workspace, name: str, *, merges: bool, dry_run: bool, yes: bool, downgrade: bool, as_json: bool) -> int:
    from pytest_tinytorch.update.update import check_module, merge_module, replaces_work, take_module

    module = workspace.course.module(name)
    replaces = not merges and replaces_work(workspace, module)
    if replaces and not yes:
        check_module(workspace, module, workspace.store.read("version.json"), downgrade=downgrade)  # nobody is asked in vain
        if as_json:
            raise click.UsageError("--json can't ask whether your work may be replaced; add --yes, or --merge to keep it.")
        if not _is_wanted(workspace, module):
            return 1
    if merges:
        taken = merge_module(workspace, module, downgrade=downgrade, dry_run=dry_run)
    else:
        taken = take_module(workspace, module, downgrade=downgrade)
    if as_json:
        render.data(_taken_as_json(workspace, taken))
        return 0
    if not taken.written and not taken.steps:
        render.say(f"There is nothing to merge: your module {module.label} has all of version {taken.version}.")
        return 0
    if dry_run:
        _say_would_merge(workspace, taken)
        return 0
    for path in taken.backups:
        render.say(f"Backed up to {workspace.relative(path)}")
    for written in taken.written:
        render.say(f"{'Merged' if merges else 'Updated'} {written} {'with' if merges else 'to'} version {taken.version}", bold=True)
    if replaces:
        render.say("Its exercises are empty again; what you wrote is in the backup.")
    for step in taken.steps:
        render.say(f"{_DONE[step.action]} {_path(step)}")
    _say_merged(workspace, taken)
    if taken.was_complete and not merges:
        render.say(f"Module {module.number} is no longer recorded as complete; its export stays until you complete it again.")
    render.say(f"Test it: pytest -m {module.marker}")
    render.say("To take this back: tito update --rollback")
    return 0


def _say_would_merge(workspace: Workspace, taken: Taken) -> None:
    for written in taken.written:
        render.say(f"Would merge {written} with version {taken.version}", bold=True)
    for step in taken.steps:
        render.say(f"{_WOULD[step.action]} {_path(step)}")
    _say_merged(workspace, taken, dry_run=True)
    if taken.diff:
        render.say()
        render.diff(taken.diff)
    render.say("\nNothing was changed.")


def _is_wanted(workspace: Workspace, module: Module) -> bool:
    from pytest_tinytorch.update.update import COMMAND, can_be_merged
    from tito.dialogs import reset_is_wanted

    command = f"{COMMAND} --module {module.number}"
    keeping = f"To keep your work and take in what the course changed: {command} --merge"
    return reset_is_wanted(workspace, module, command=command, otherwise=keeping if can_be_merged(workspace, module) else "")


def _say_merged(workspace: Workspace, taken: Taken, *, dry_run: bool = False) -> None:
    for note in taken.notes:
        render.say(f"  {note}")
    for conflict in taken.conflicts:
        render.say(f"  to settle: {conflict.title}. Both the course and you changed it; a cell above yours shows the course's change.", fg="yellow")
    if taken.tested is None:
        return
    if taken.exported:
        exported = "would be exported again" if dry_run else "exported again"
        render.say(f"All tests pass; {exported} to {workspace.relative(taken.exported)}", fg="green")
    elif taken.tested.passed:
        render.say("All tests of the module pass.", fg="green")
    elif taken.tested.failed is None:
        render.say("The module's tests can't run yet, with the change as without it.", fg="yellow")
    else:
        count = len(taken.tested.failed)
        render.say(f"{count} test{'s' if count > 1 else ''} of the module fail{'s' if count == 1 else ''}, with the change as without it.", fg="yellow")
    if taken.outdated and not dry_run:
        render.say("The module stays recorded as complete; its export is older than the change until you complete it again.")


def _taken_as_json(workspace: Workspace, taken: Taken) -> dict[str, Any]:
    tested = taken.tested
    return {
        "module": taken.module.number,
        "version": taken.version,
        "written": taken.written,
        "backups": [workspace.relative(path) for path in taken.backups],
        "files": [{"action": step.action, "path": step.path, "why_not": step.why_not} for step in taken.steps],
        "conflicts": [{"title": conflict.title, "diff": conflict.diff} for conflict in taken.conflicts],
        "notes": taken.notes,
        "diff": taken.diff,
        "failed": None if tested is None or tested.failed is None else sorted(tested.failed),
        "exported": workspace.relative(taken.exported) if taken.exported else None,
    }
