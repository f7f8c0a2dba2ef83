"""`tito cleanup`."""
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tito import opening, records, render
from tito.commands.cloud import chosen_project
from tito.dialogs import has_typed
from tito.group import Command
from tito.options import json_option

if TYPE_CHECKING:
    from pytest_tinytorch.cleanup.carrying import Result
    from pytest_tinytorch.cleanup.plan import Candidate, Kept, Options
    from pytest_tinytorch.workspace.layout import Workspace
    from tinytorch.cloud.resource import RemovingProvider
    from tinytorch.jobs import Progress
    from tinytorch.resources.cost import Sum

_LISTED = 20  # things that are told one by one
_INTERRUPTED = 130
_PLANNING = ("cloud", "project", "prefixes", "older_than", "only", "keep", "force")  # options that a plan is made with, and not carried out


def _age(context: click.Context, parameter: click.Parameter, text: str | None) -> float:
    from pytest_tinytorch.cleanup.plan import seconds

    try:
        return seconds(text) if text else 0.0
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _kinds(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    from pytest_tinytorch.cleanup.kinds import KINDS
    from pytest_tinytorch.cleanup.plan import CLOUD_KINDS

    known = [*(kind.name for kind in KINDS), *CLOUD_KINDS]
    if unknown := [name for name in names if name not in known]:
        raise click.BadParameter(f"{unknown[0]!r} is no kind; there is {', '.join(known)}")
    return names


@click.command(cls=Command, example="tito cleanup\ntito cleanup --yes 3f2a91c04d7e\ntito cleanup --cloud --older-than 30d")
@click.argument("plan_id", metavar="[PLAN]", required=False)
@click.option("--dry-run", is_flag=True, help="Only make a plan, and show it (the default).")
@click.option("--yes", is_flag=True, help="Carry out PLAN, or the newest one.")
@click.option("--cloud", is_flag=True, help="Look at the cloud providers, too.")
@click.option("--project", metavar="PROJECT", help="Whose resources there are meant (default: the workspace's folder).")
@click.option("--prefix", "prefixes", metavar="S3", multiple=True, help="What is below s3://BUCKET/PREFIX/, too; several times.")
@click.option("--older-than", metavar="AGE", callback=_age, help="Keep what was used more lately: 12h, 30d, 2w.")
@click.option("--only", metavar="KIND", multiple=True, callback=_kinds, help="Only this kind of things; may be given several times.")
@click.option("--keep", metavar="RULE", multiple=True, help="Keep what this names, like a line of .tito-protect; several times.")
@click.option("--force", is_flag=True, help="Plan what is protected or running, too.")
@click.option("--confirm", metavar="PLAN", help="Confirm a plan made with --force, by its whole id, where nobody can type it.")
@click.option("--history", is_flag=True, help="Show what was removed so far, and do nothing.")
@json_option
@click.pass_context
def cleanup(
    context: click.Context, plan_id: str | None, dry_run: bool, yes: bool, cloud: bool, project: str | None, prefixes: tuple[str, ...], older_than: float,
    only: tuple[str, ...], keep: tuple[str, ...], force: bool, confirm: str | None, history: bool, as_json: bool,
) -> int:
    """Plan what can go, and remove exactly that.

    Without --yes nothing is removed.
    """
    given = [name for name in _PLANNING if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if yes and (dry_run or history):
        raise click.UsageError("--yes can't be together with --dry-run or --history.")
    if yes and given:
        raise click.UsageError(f"--{given[0].replace('_', '-').replace('prefixes', 'prefix')} belongs to a plan: make one with it, and carry that out with --yes PLAN.")
    if not yes and (plan_id or confirm):
        raise click.UsageError("PLAN and --confirm need --yes.")
    if prefixes and not cloud:
        raise click.UsageError("--prefix needs --cloud.")
    workspace = opening.workspace()
    if history:
        return _show_history(workspace, as_json=as_json)
    if yes:
        return _carry_out(workspace, plan_id, confirm, as_json=as_json)
    from pytest_tinytorch.cleanup.plan import Options

    options = Options(cloud, chosen_project(project), older_than, prefixes, only, keep, force)
    return _show_plan(workspace, options, as_json=as_json)


def _providers() -> list[RemovingProvider]:
    from tinytorch import cloud
    from tinytorch.errors import ConfigError

    found = [provider for provider in cloud.providers() if isinstance(provider, cloud.RemovingProvider)]
    if not found:
        raise ConfigError("No credentials for a cloud provider are found. For AWS: aws configure. For RunPod: set RUNPOD_API_KEY")
    return found


# --- the plan ---------------------------------------------------------------------------------------------------------


def _show_plan(workspace: Workspace, options: Options, *, as_json: bool) -> int:
    from pytest_tinytorch.cleanup import carrying
    from pytest_tinytorch.cleanup import plan as planning

    plan = planning.make(workspace, options, providers=_providers() if options.cloud else ())
    if plan.items:
        planning.save(workspace, plan)
    if as_json:
        render.data({
            "plan": plan.id if plan.items else None, "needs_confirmation": plan.needs_confirmation,
            "remove": [_facts(item) for item in plan.items],
            "keep": [_facts(one.candidate) | {"why": one.why, "can_be_forced": one.can_be_forced} for one in plan.kept],
            "bytes": plan.size, "per_hour": _saved(carrying.per_hour(plan.items)),
        })  # fmt: skip
        return 0
    if not plan.items:
        render.say("There is nothing to remove.")
    else:
        render.say("This would be removed:", bold=True)
        at_provider = any(item.provider for item in plan.items)
        _say_table(("kind", "what", "size", "idle", *(("cost per hour",) if at_provider else ()), *(("protected by",) if plan.needs_confirmation else ())), [
            (
                item.kind, _named(workspace, item), _size(item), _idle(item), *((records.amount(item.cost) if item.provider else "-",) if at_provider else ()),
                *((item.forced or "-",) if plan.needs_confirmation else ()),
            ) for item in plan.items
        ])  # fmt: skip
    _say_kept(workspace, plan.kept)
    if plan.items:
        render.say(f"\nPlan {plan.id}: {_counted(len(plan.items))}{_here(plan.items, plan.size)}{_price(carrying.per_hour(plan.items), 'would be saved')}.")
        confirmed = f" --confirm {plan.id}" if plan.needs_confirmation else ""
        render.say(f"Nothing was removed. To remove exactly these: tito cleanup --yes {plan.id}{confirmed}", bold=True)
    return 0


def _say_kept(workspace: Workspace, kept: Sequence[Kept]) -> None:
    if kept:
        render.say("\nThis stays:", bold=True)
        _say_table(("kind", "what", "why"), [(one.candidate.kind, _named(workspace, one.candidate), one.why) for one in kept])


def _say_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    render.table(headers, rows[:_LISTED])
    if len(rows) > _LISTED:
        render.say(f"... and {len(rows) - _LISTED} more; all of them with --json")


def _named(workspace: Workspace, item: Candidate) -> str:
    from pathlib import Path

    if item.provider:
        return item.id if item.kind in ("bucket", "prefix") or not item.name else f"{item.id} {item.name}"  # these ids are names
    return workspace.relative(Path(item.id))


def _size(item: Candidate) -> str:
    if item.size is None:
        return "?"
    return f"{item.size / 2**30:g} GB" if item.kind in ("volume", "snapshot", "pod") else render.size(item.size)


def _idle(item: Candidate) -> str:
    from pytest_tinytorch.cleanup.plan import age

    return "?" if item.used is None else age(time.time() - item.used)


def _here(items: Sequence[Candidate], size: int) -> str:
    """How much room that makes on this machine, if any of it is here."""
    return "" if items and all(item.provider for item in items) else f", {render.size(size)} on this machine"


def _price(saved: Sum, verb: str) -> str:
    """What is saved per hour, as far as it is known."""
    if not saved.amounts:
        return f"; what {verb} is unknown" if saved.unknown else ""
    return f"; {saved} an hour {verb}" + (f" (the price of {saved.unknown} isn't known)" if saved.unknown else "")


def _saved(saved: Sum) -> dict[str, Any]:
    return {name: value for name, value in saved.as_json().items() if name != "seconds"}


def _counted(count: int) -> str:
    return f"{count} thing{'' if count == 1 else 's'}"


def _facts(item: Candidate) -> dict[str, Any]:
    facts = asdict(item)
    del facts["top"]
    return facts


# --- carrying it out --------------------------------------------------------------------------------------------------


def _carry_out(workspace: Workspace, plan_id: str | None, confirm: str | None, *, as_json: bool) -> int:
    from pytest_tinytorch.cleanup import carrying
    from pytest_tinytorch.cleanup import plan as planning

    plan = planning.load(workspace, plan_id)
    if confirm is not None and confirm != plan.id:
        raise click.UsageError(f"--confirm {confirm} isn't the id of the plan, which is {plan.id}. Nothing was removed.")
    if plan.needs_confirmation and confirm is None:
        forced = [item for item in plan.items if item.forced]
        for item in forced[:_LISTED]:
            render.notice(f"{_named(workspace, item)}: {item.forced}")
        question = f"This removes {_counted(len(forced))} that {'is' if len(forced) == 1 else 'are'} protected."
        if not has_typed(plan.id, question, otherwise=f"tito cleanup --yes {plan.id} --confirm {plan.id}"):
            return 1
    watcher = _Watcher(quiet=as_json)
    result = carrying.carry_out(
        workspace, plan, providers=_providers() if any(item.provider for item in plan.items) or plan.options.cloud else (),
        report=watcher.report, notice=render.notice, on_change=_record,
    )  # fmt: skip
    if as_json:
        render.data({
            "plan": plan.id, "removed": [_facts(item) for item in result.removed], "gone": [_facts(item) for item in result.gone],
            "failed": [{"id": id, "why": why} for id, why in result.failed.items()], "stopped": result.stopped,
            "bytes": result.size, "per_hour": _saved(result.per_hour),
        })  # fmt: skip
    else:
        _say_result(workspace, result)
    if result.stopped:
        render.notice(f"\nStopped by {result.stopped}; what is removed is recorded. To go on: tito cleanup --yes {plan.id}")
        return _INTERRUPTED if result.stopped == "SIGINT" else 1
    return 1 if result.failed else 0


def _record(item: Candidate, event: str) -> None:
    """Let `tito resources` know that something at a provider costs nothing any more, if recording is on."""
    from tinytorch.resources import cloud

    if item.provider:
        cloud.gone(item.provider, item.kind, item.id, render.notice)


def _say_result(workspace: Workspace, result: Result) -> None:
    if not result.processed:
        render.say(f"There was nothing left to do; plan {result.plan.id} has been carried out:")
    render.say(f"Removed {_counted(len(result.removed))}{_here(result.removed, result.size)}{_price(result.per_hour, 'is saved')}:", bold=True)
    if result.removed:
        _say_table(("kind", "what", "size"), [(item.kind, _named(workspace, item), _size(item)) for item in result.removed])
    if result.gone:
        render.say(f"\n{_counted(len(result.gone))} had been removed by somebody else:")
        _say_table(("kind", "what"), [(item.kind, _named(workspace, item)) for item in result.gone])
    if result.failed:
        render.say(f"\nNot removed ({len(result.failed)}):", fg="red")
        for why in result.failed.values():
            render.say(f"  {why}")
        render.say(f"To try again: tito cleanup --yes {result.plan.id}")


class _Watcher:
    """Says now and then how far it is."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.said_at = time.monotonic()

    def report(self, progress: Progress) -> None:
        if not self.quiet and time.monotonic() - self.said_at >= 5.0:
            self.said_at = time.monotonic()
            render.notice(f"{progress.done + progress.failed} of {progress.total}")


def _show_history(workspace: Workspace, *, as_json: bool) -> int:
    from pytest_tinytorch.cleanup.carrying import history

    entries = history(workspace)
    if as_json:
        names = ("event", "at", "plan", "what", "name", "bytes", "per_hour", "currency")
        render.data({"record": [dict(zip(names, entry, strict=True)) for entry in entries]})
        return 0
    removed = [(at, plan, what) for event, at, plan, what, *_ in entries if event == "removed"]
    if removed:
        render.table(("at", "plan", "removed"), removed)
    else:
        render.say("Nothing was removed so far.")
    return 0
