"""Some random histories, and that the runner would notice. `python -m tests.update.histories` runs thousands."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_tinytorch.state import pristine, undo
from pytest_tinytorch.update import merge, plan
from pytest_tinytorch.update import update as updating
from tests.update.histories import run

_cell_of_both = merge._Merge._both
_contents = undo._contents
_write = updating._write


@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(1_000_000, 1_000_100, 25)], ids=str)
def test_nothing_is_violated(seeds: range):
    assert [violation for seed in seeds if (violation := run(seed))] == []


def takes_theirs(self: merge._Merge, our: int, their: int, base: object) -> list[tuple[dict, bool]]:
    return [(dict(self.theirs.raw(their)), True)]


def drops_conflicts(self: merge._Merge, our: int, their: int, base: merge.Cell | None) -> list[tuple[dict, bool]]:
    return _cell_of_both(self, our, their, base)[-1:]


def drops_what_only_we_have(self: merge._Merge, our: int, base: object) -> list[tuple[dict, bool]]:
    return []


def takes_everything_for_unmodified(known: str | None, data: bytes | None) -> bool:
    return True


def forgets_a_file(workspace: object, planned: object) -> tuple[dict, list[str]]:
    contents, kept = _contents(workspace, planned)  # type: ignore[arg-type]
    return dict(list(contents.items())[1:]), kept


def writes_each_time(workspace: object, versions: dict, contents: dict, version: str, command: str) -> None:
    contents.setdefault("again.txt", str(id(contents)).encode())
    _write(workspace, versions, contents, version, command)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "place, name, sabotage",
    [
        (merge._Merge, "_both", takes_theirs),
        (merge._Merge, "_both", drops_conflicts),
        (merge._Merge, "_only_ours", drops_what_only_we_have),
        (pristine, "is_same", takes_everything_for_unmodified),
        (plan, "is_link", lambda root, path: False),
        (undo, "_contents", forgets_a_file),
        (updating, "_write", writes_each_time),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value),
)
def test_the_runner_notices(monkeypatch: pytest.MonkeyPatch, place: object, name: str, sabotage: Callable[..., object]):
    monkeypatch.setattr(place, name, sabotage)
    assert any(run(seed) for seed in range(40))
