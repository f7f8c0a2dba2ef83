"""What has been achieved: completions and results of modules, attempts and achievements of milestones."""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from pytest_tinytorch.course.curriculum import Milestone, Module
from pytest_tinytorch.state import transaction
from pytest_tinytorch.state.store import State, Store, as_local, is_date, now
from pytest_tinytorch.workspace.layout import Workspace

PROGRESS, MILESTONES = "progress.json", "milestones.json"


def recorded(workspace: Workspace, progress: State | None = None) -> list[Module]:
    """The modules recorded as complete, in the course's order; numbers that the course doesn't have count for nothing."""
    numbers = set((progress or workspace.store.read(PROGRESS))["completed_modules"])
    return [module for module in workspace.course.modules if int(module.number) in numbers]


def complete(workspace: Workspace, progress: State | None = None) -> list[Module]:
    """The modules that are complete here: recorded, and exported into this workspace.

    A record without its export (a `.tito/` copied from somebody else) satisfies no prerequisite.
    """
    return [module for module in recorded(workspace, progress) if workspace.export(module).is_file()]


def achieved(workspace: Workspace, milestones: State | None = None) -> list[Milestone]:
    numbers = set((milestones or workspace.store.read(MILESTONES))["completed_milestones"])
    return [milestone for milestone in workspace.course.milestones if milestone.number in numbers]


def missing_needs(part: Module | Milestone, done: Collection[str]) -> list[str]:
    """The numbers of the modules that `part` still needs."""
    return [number for number in part.needs if number not in done]


def record_result(store: Store, module: Module, failed: Sequence[str], code_hash: str) -> None:
    """Write down a run in which every required test ran. It takes no completion away."""
    store.update(PROGRESS, lambda progress: enter_result(progress, module, failed, code_hash))


def enter_result(progress: State, module: Module, failed: Sequence[str], code_hash: str) -> None:
    progress.setdefault("results", {})[module.key] = {
        "outcome": "failed" if failed else "passed",
        "at": now(),
        "failed": list(failed),
        "code": code_hash,  # `tito export` exports what passed, and nothing else
    }


def mark_complete(
    progress: State, module: Module, *, tests_modified: Sequence[str] = (), forced: Sequence[str] = ()
) -> None:
    """Enter that a module is complete. The date of the first completion stays."""
    if int(module.number) not in progress["completed_modules"]:
        progress["completed_modules"] = sorted([*progress["completed_modules"], int(module.number)])
    progress["completion_dates"].setdefault(module.key, now())
    _set(progress, "tests_modified", module.key, list(tests_modified))
    _set(progress, "forced", module.key, list(forced))
    _set(progress, "reset", module.key, None)
    _set(progress, "outdated", module.key, None)


def mark_outdated(progress: State, module: Module, version: str) -> None:
    """Enter that a complete module's export lacks what the course's `version` changed; completing it again clears this."""
    _set(progress, "outdated", module.key, version)


def hints_shown(store: Store, module: Module, test: str) -> int:
    """How many hints for a test have been shown."""
    shown: int = store.read(PROGRESS).get("hints", {}).get(module.key, {}).get(test, 0)
    return shown


def record_hints(store: Store, module: Module, test: str, shown: int) -> None:
    """Write down how many hints for a test have been shown. Passing the test doesn't change it; a reset clears it."""

    def change(progress: State) -> None:
        progress.setdefault("hints", {}).setdefault(module.key, {})[test] = shown

    store.update(PROGRESS, change)


def clear(progress: State, module: Module, *, exported: bool) -> None:
    """Forget what is known of a module; if it has an export, remember that it is of a module that was reset."""
    number = int(module.number)
    progress["completed_modules"] = [n for n in progress["completed_modules"] if n != number]
    for table in ("completion_dates", "results", "tests_modified", "forced", "outdated", "hints"):
        _set(progress, table, module.key, None)
    _set(progress, "reset", module.key, now() if exported else None)


def clear_all(progress: State, milestones: State, exported: Iterable[Module]) -> None:
    """Forget every completion, result, hint, achievement and attempt; the modules `exported` count as reset."""
    progress |= {"completed_modules": [], "completion_dates": {}}
    for table in ("results", "tests_modified", "forced", "reset", "outdated", "hints"):
        progress.pop(table, None)
    for module in exported:
        _set(progress, "reset", module.key, now())
    milestones |= {"completed_milestones": [], "completion_dates": {}}
    milestones.pop("attempts", None)


def record_attempt(store: Store, milestone: Milestone) -> int:
    """Count a started run of a milestone; returns how many there were."""

    def change(milestones: State) -> None:
        attempts = milestones.setdefault("attempts", {})
        attempts[milestone.number] = attempts.get(milestone.number, 0) + 1

    attempts: dict[str, int] = store.update(MILESTONES, change)["attempts"]
    return attempts[milestone.number]


def record_achievement(workspace: Workspace, milestone: Milestone) -> None:
    """Write down that a milestone is achieved. The first date stays."""

    def change(milestones: State) -> None:
        if milestone.number not in milestones["completed_milestones"]:
            milestones["completed_milestones"] = sorted([*milestones["completed_milestones"], milestone.number])
        milestones["completion_dates"].setdefault(milestone.number, now())

    transaction.change_state(workspace, MILESTONES, change, command=f"pytest -m {milestone.marker} --tito-complete")


def oddities(workspace: Workspace) -> list[str]:
    """Entries that are valid but mean nothing here: kept, counted for nothing, and worth a look."""
    progress, milestones = workspace.store.read(PROGRESS), workspace.store.read(MILESTONES)
    modules = {int(module.number) for module in workspace.course.modules}
    numbers: list[int] = progress["completed_modules"]
    found = [f"progress.json: completed_modules has {n}, which the course doesn't have" for n in numbers if n not in modules]
    found += [f"progress.json: completed_modules has {n} twice" for n in sorted(set(numbers)) if numbers.count(n) > 1]
    found += [
        f"progress.json: completion_dates has no date for module {n}"
        for n in sorted(set(numbers) & modules) if str(n) not in progress["completion_dates"]
    ]
    ids: list[str] = milestones["completed_milestones"]
    known = {milestone.number for milestone in workspace.course.milestones}
    found += [f"milestones.json: completed_milestones has {i!r}, which the course doesn't have" for i in ids if i not in known]
    found += [f"milestones.json: completed_milestones has {i!r} twice" for i in sorted(set(ids)) if ids.count(i) > 1]
    found += [
        f"milestones.json: completion_dates has no date for milestone {i}"
        for i in sorted(set(ids) & known) if i not in milestones["completion_dates"]
    ]
    return found


def last_activity(workspace: Workspace, progress: State, milestones: State) -> tuple[Module | Milestone, datetime] | None:
    """The newest completion, result or achievement, and when it was."""
    dates: list[tuple[object, Module | Milestone]] = []
    for module in workspace.course.modules:
        result = progress.get("results", {}).get(module.key, {})
        dates += [(progress["completion_dates"].get(module.key), module), (result.get("at"), module)]
    dates += [(milestones["completion_dates"].get(milestone.number), milestone) for milestone in workspace.course.milestones]
    dated = [(as_local(str(date)), part) for date, part in dates if is_date(date)]
    if not dated:
        return None
    at, part = max(dated, key=lambda pair: pair[0])
    return part, at


def _set(state: State, table: str, key: str, value: object) -> None:
    """Put an entry into an optional table, or take it out; a table without entries isn't written."""
    entries = state.setdefault(table, {})
    if value:
        entries[key] = value
    else:
        entries.pop(key, None)
    if not entries and table != "completion_dates":
        del state[table]
