"""Cloud resources: asking the providers, and noting what they answer, and what was made or removed from here."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tinytorch.errors import CloudError, ConfigError, DataError
from tinytorch.jobs.journal import Entry
from tinytorch.resources import ledger

if TYPE_CHECKING:
    from tinytorch.cloud import CloudResource, Provider

__all__ = ["gone", "look", "made"]


def _providers() -> list[Provider]:
    from tinytorch.cloud import providers

    return providers()


def look(*, tags: Mapping[str, str] | None = None, notice: Callable[[str], None]) -> tuple[list[CloudResource], bool]:
    """The resources that every configured provider has now, and whether all providers answered.

    What they answer is added to the ledger, since nobody else knows later how long a resource was there. A provider that
    can't be asked is told to `notice`.

    Raises: DataError if the ledger can't be written.
    """
    found: list[CloudResource] = []
    whole = True
    for provider in _providers():
        at = ledger.stamp(ledger.now())  # before it answers: what is made meanwhile is noted after it
        try:
            resources = provider.resources()  # all of them: one that isn't in a whole answer is gone
        except (CloudError, ConfigError) as error:  # no answer; a package is missing
            notice(f"{provider.name}: {error}")
            whole = False
            continue
        ledger.append(["cloud", at, provider.name, [_entry(resource) for resource in resources]])
        found += [resource for resource in resources if all(resource.tags.get(key) == value for key, value in (tags or {}).items())]
    return found, whole


def made(resource: CloudResource, notice: Callable[[str], None]) -> None:
    """Note that a resource was made here and costs from now on, if recording is on.

    A ledger that can't be written is told to `notice`, and undoes nothing.
    """
    _note(["made", ledger.stamp(ledger.now()), resource.provider, _entry(resource)], f"the {resource.kind} {resource.id} was made", notice)


def gone(provider: str, kind: str, id: str, notice: Callable[[str], None]) -> None:
    """Note that a resource was removed from here and costs nothing any more; as `made`."""
    _note(["gone", ledger.stamp(ledger.now()), provider, kind, id], f"the {kind} {id} was removed", notice)


def _note(entry: Entry, what: str, notice: Callable[[str], None]) -> None:
    if not ledger.is_on():
        return
    try:
        ledger.append(entry)
    except DataError as error:
        notice(f"That {what} isn't recorded: {error}. A later look finds it out: tito resources list --cloud")


def _entry(resource: CloudResource) -> dict[str, Any]:
    return {
        "kind": resource.kind, "id": resource.id, "name": resource.name, "region": resource.region, "type": resource.type,
        "state": resource.state, "created": ledger.stamp(resource.created) if resource.created else None,
        "tags": dict(resource.tags), "size_gb": resource.size_gb, "attached_to": resource.attached_to, "usd_per_hour": resource.usd_per_hour,
    }  # fmt: skip
