"""`tito cloud volume create`, `list`, `delete` and `snapshot`."""
from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tito import records, render
from tito.group import Group
from tito.options import json_option

if TYPE_CHECKING:
    from tinytorch.cloud.resource import CloudResource
    from tinytorch.cloud.volumes import Volumes

project_option = click.option("--project", metavar="PROJECT", help="The value of the tag tinytorch (default: the workspace's folder).")
timeout_option = click.option("--timeout", metavar="SECONDS", default=300.0, type=click.FloatRange(min=0), help="How long to wait for AWS (default: 300).")
volume_argument = click.argument("name", metavar="VOLUME")


@click.group(cls=Group, example="tito cloud volume list")
def cloud() -> None:
    """Rent disks at a cloud provider, and give them back."""


@cloud.group(cls=Group, example="tito cloud volume create data --size 100\ntito cloud volume delete data")
def volume() -> None:
    """Volumes of EBS, which keep data when instances end."""


def chosen_project(project: str | None) -> str:
    """What the tag of this project's resources says: what was given, else the name of the workspace's folder."""
    from pytest_tinytorch.workspace.layout import find

    if project is not None:
        if not project.strip():
            raise click.UsageError("--project needs a name.")
        return project
    workspace = find()
    if workspace is None or not workspace.root.name:  # the root of a disk has none
        raise click.UsageError("Outside of a workspace, say whose resources are meant: --project PROJECT.")
    return workspace.root.name


def _volumes(project: str | None, timeout: float = 300.0) -> Volumes:
    from pytest_tinytorch.cleanup import protection
    from pytest_tinytorch.workspace.layout import find
    from tinytorch.cloud.aws import Aws
    from tinytorch.cloud.volumes import Volumes

    name, workspace = chosen_project(project), find()
    rules = protection.read(workspace.root if workspace else Path.cwd())
    return Volumes(Aws(), name, timeout=timeout, report=_Once().say, protection=rules.of_resource, on_change=_record)


def _record(resource: CloudResource, event: str) -> None:
    """Let `tito resources` know of a change, if recording is on."""
    from tinytorch.resources import cloud

    if event == "deleted":
        cloud.gone(resource.provider, resource.kind, resource.id, render.notice)
    else:
        cloud.made(resource, render.notice)


class _Once:
    """Says on standard error what is waited for, once for each new thing."""

    def __init__(self) -> None:
        self.said = ""

    def say(self, text: str) -> None:
        if text != self.said:
            render.notice(text)
            self.said = text


def facts(resource: CloudResource) -> dict[str, Any]:
    """A resource as JSON."""
    return asdict(resource) | {"tags": dict(resource.tags), "created": resource.created.isoformat() if resource.created else None}


@volume.command(example="tito cloud volume create data --size 100\ntito cloud volume create data --size 100 --type gp2 --zone eu-central-1b")
@volume_argument
@click.option("--size", "size_gb", metavar="GB", required=True, type=int, help="Its size in GB.")
@click.option("--type", "type_", metavar="TYPE", default="gp3", help="What AWS calls its type (default: gp3).")
@click.option("--zone", metavar="ZONE", help="The zone of the instance that will use it (default: the region's first).")
@project_option
@timeout_option
@json_option
def create(name: str, size_gb: int, type_: str, zone: str | None, project: str | None, timeout: float, as_json: bool) -> None:
    """Make a volume; refused if there is one of that name.

    It costs money until it is deleted, attached or not.
    """
    from tinytorch.cloud.volumes import described

    try:
        made = _volumes(project, timeout).create(name, size_gb, type=type_, zone=zone)
    except KeyboardInterrupt:
        render.notice("\nStopped. AWS goes on by itself; what there is: tito cloud volume list")
        raise
    if as_json:
        render.data(facts(made))
        return
    render.say(f"Made {name}: {described(made)}", bold=True)
    render.say(f"To give it back: tito cloud volume delete {made.id}")


@volume.command("list", example="tito cloud volume list\ntito cloud volume list --project my-tinytorch --json")
@project_option
@json_option
def list_volumes(project: str | None, as_json: bool) -> None:
    """List the project's volumes in the region, and what they cost.

    A price that isn't known is unknown, and not nothing.
    """
    from tinytorch.cloud.resource import PROTECTED_TAG
    from tinytorch.resources import prices

    volumes, table = _volumes(project), prices.load()
    found = volumes.all()
    costs = {one.id: table.cost_per_hour(one) for one in found}
    if as_json:
        render.data({"project": volumes.project, "region": volumes.aws.region, "volumes": [
            facts(one) | {"per_hour": records.number(cost), "currency": cost.currency if cost else None} for one, cost in zip(found, costs.values(), strict=True)
        ]})  # fmt: skip
    elif not found:
        render.say(f"{volumes.project} has no volumes in {volumes.aws.region}. Make one: tito cloud volume create VOLUME --size GB")
    else:
        render.table(("name", "id", "size", "type", "state", "zone", "cost per hour", "attached to", "protected"), [
            (v.name, v.id, f"{v.size_gb:g} GB", v.type, v.state, v.zone, records.amount(costs[v.id]), v.attached_to or "-", "yes" if PROTECTED_TAG in v.tags or volumes.protection(v) else "no")
            for v in found
        ])  # fmt: skip


@volume.command(example="tito cloud volume delete data\ntito cloud volume delete vol-0abc --yes")
@volume_argument
@click.option("--yes", is_flag=True, help="Delete without asking.")
@project_option
@timeout_option
@json_option
def delete(name: str, yes: bool, project: str | None, timeout: float, as_json: bool) -> int:
    """Delete a volume and what is on it, after a question.

    Only one that is the project's, detached and unprotected.
    """
    from tinytorch.cloud.volumes import described
    from tito.dialogs import confirmed

    volumes = _volumes(project, timeout)
    found = volumes.deletable(name)
    again = shlex.join(["tito", "cloud", "volume", "delete", found.id, *(["--project", project] if project else []), "--yes"])
    if not yes and not confirmed(f"Delete {found.name}: {described(found)}, with all that is on it?", otherwise=again):
        return 1
    gone = volumes.delete(found.id)
    render.data(facts(gone)) if as_json else render.say(f"Deleted {gone.name} ({gone.id}, {gone.size_gb:g} GB).", bold=True)
    return 0


@volume.command(example="tito cloud volume snapshot data")
@volume_argument
@project_option
@json_option
def snapshot(name: str, project: str | None, as_json: bool) -> None:
    """Begin a snapshot of a volume.

    It costs money until it is deleted: see tito cleanup --cloud.
    """
    made = _volumes(project).snapshot(name)
    if as_json:
        render.data(facts(made))
    else:
        render.say(f"Began {made.id} of {made.name}. AWS finishes it by itself; the volume can be used meanwhile.", bold=True)
