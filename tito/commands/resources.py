"""`tito resources ...`: the group; its commands are in files of their own."""
from __future__ import annotations

import click

from tito.group import Group

_LIST = "tito.commands.resources_list"


@click.group(
    cls=Group,
    lazy={
        "track": "tito.commands.resources_track",
        "list": f"{_LIST}:list_records", "show": f"{_LIST}:show_record", "usage": "tito.commands.resources_usage",
        "cost": "tito.commands.resources_cost", "budget": "tito.commands.resources_budget",
        "watch": "tito.commands.resources_watch", "export": f"{_LIST}:export_records", "merge": f"{_LIST}:merge_records",
    },
    example="tito resources track -- python train.py\ntito resources cost --by day",
)  # fmt: skip
def resources() -> None:
    """See what runs and cloud resources use and cost."""
