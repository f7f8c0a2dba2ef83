"""Taking back what a command changed: `tito undo`, and `tito update --rollback`.

Files get the content that they had before, unless somebody edited them since: a working copy is then backed up first,
another file stays as it is and is named. In a state file, which records what happened since too, only the entries that
the command changed go back.
"""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_tinytorch.state import backups, transaction
from pytest_tinytorch.state.store import encoded
from pytest_tinytorch.state.transaction import Plan
from pytest_tinytorch.workspace.layout import Workspace
from tinytorch import files
from tinytorch.errors import StateError

_BOOKKEEPING = (".tito/pristine/", ".tito/bases/", ".tito/version.json")  # goes with what it describes, and isn't worth a line


@dataclass(frozen=True)
class Undone:
    """What was taken back."""

    plan: Plan
    restored: list[str]  # paths of files that are as before
    removed: list[str]  # paths of files that the command had made
    kept: list[str]  # paths of files that were edited since, and stay
    backups: list[Path]  # of working copies that were edited since


def undo(workspace: Workspace, *, of: str = "") -> Undone:
    """Take back the newest change, or the newest whose command begins with `of`.

    Raises: StateError if there is none, or if what it kept can't be read.
    """
    with workspace.store.locked():
        plans = transaction.undoable(workspace)
        plan = next((plan for plan in plans if plan.command.startswith(of)), None)
        if plan is None:
            raise StateError(
                f"There is nothing to take back{f': no `{of}` is among the last {transaction.KEPT} changes' if of else ''}. "
                "Older states of your work: tito backup list"
            )
        for later in plans[: plans.index(plan)]:
            if _paths(later) & _paths(plan):
                raise StateError(
                    f"`{later.command}`, which came later, changed some of the same files. Nothing was changed. Take that back "
                    "first: tito undo"
                )
        contents, kept = _contents(workspace, plan)
        saved = _back_up_edited(workspace, plan, contents)
        modes = {c.path: c.was_executable for c in plan.changes if c.before is not None and c.was_executable is not None}
        links = {change.path: change.was_link for change in plan.changes if change.was_link is not None}
        transaction.replace(workspace, contents, executable=modes, links=links, undoes=plan.folder.name)
    seen = [path for path in contents if not path.startswith(_BOOKKEEPING)]
    return Undone(
        plan,
        [path for path in seen if contents[path] is not None],
        [path for path in seen if contents[path] is None],
        kept,
        saved,
    )


def broken(workspace: Workspace) -> dict[Path, str]:
    """The folders of what can't be taken back, or finished, since somebody broke it; each with what is wrong."""
    found = {}
    for folder in (workspace.tito / transaction.FOLDER, *sorted((workspace.tito / transaction.UNDO_FOLDER).glob("*"))):
        if not (folder / transaction.PLAN).is_file():
            continue
        try:
            plan = Plan.read(folder)
            for number, change in enumerate(plan.changes if folder.name != transaction.FOLDER else ()):
                if change.before is not None:
                    _kept_content(plan, number)
        except StateError as error:
            found[folder] = str(error).partition(" Nothing was changed.")[0]
    return found


def _contents(workspace: Workspace, plan: Plan) -> tuple[dict[str, bytes | None], list[str]]:
    """What each file becomes, and the paths of those that stay as somebody edited them."""
    contents: dict[str, bytes | None] = {}
    kept = []
    for number, change in enumerate(plan.changes):
        here = transaction.content(workspace.root / change.path)
        before = None if change.before is None else _kept_content(plan, number)
        if here == before and change.executable in (None, change.was_executable):
            continue
        if change.now(workspace.root) == change.after or workspace.module_at(change.path):
            contents[change.path] = before
        elif transaction.is_state(change.path) and here and before:
            made = json.loads(plan.made(number).read_bytes())
            contents[change.path] = encoded(taken_back(json.loads(before), made, json.loads(here)))
        else:
            kept.append(change.path)
    return contents, kept


def taken_back(before: Mapping[str, Any], after: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """`now`, with the entries that changed from `before` to `after`, and not since, as they were.

    >>> taken_back({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 4, "c": 5})
    {'a': 1, 'b': 4, 'c': 5}
    """
    missing = object()
    result = dict(now)
    for key in before.keys() | after.keys():
        was, became, is_now = (state.get(key, missing) for state in (before, after, now))
        if was == became:
            continue
        if is_now == became:
            if was is missing:
                del result[key]
            else:
                result[key] = was
        elif isinstance(was, dict) and isinstance(became, dict) and isinstance(is_now, dict):
            result[key] = taken_back(was, became, is_now)
    return result


def _back_up_edited(workspace: Workspace, plan: Plan, contents: Mapping[str, bytes | None]) -> list[Path]:
    """Save the working copies that were edited since the command, since they are about to be replaced."""
    saved = []
    for change in plan.changes:
        module, here = workspace.module_at(change.path), transaction.content(workspace.root / change.path)
        if change.path in contents and module and here is not None and change.now(workspace.root) != change.after:
            saved += backups.back_up(workspace, module, [(Path(change.path).suffix, here)])
    return saved


def _paths(plan: Plan) -> set[str]:
    """The files that only whoever changed them last can take back: not the state's, in which each entry goes back alone."""
    return {change.path for change in plan.changes if not transaction.is_state(change.path)}


def _kept_content(plan: Plan, number: int) -> bytes:
    """What a file held before.

    Raises: StateError if that was lost or changed by hand.
    """
    path = plan.old(number)
    data = path.read_bytes() if path.is_file() else None
    if data is None or files.sha256(data) != plan.changes[number].before:
        raise StateError(
            f"`{plan.command}` can't be taken back: {path} {'is missing' if data is None else 'was changed'}. Nothing was changed. "
            f"Older states of your work: tito backup list. To go on without this step, with a copy set aside: tito doctor --repair, or without: rm -r {plan.folder}"
        )
    return data
