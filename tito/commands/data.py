"""`tito data ...`."""
from __future__ import annotations

import click

from tito.group import Group


@click.group(
    cls=Group,
    lazy={
        "recommend": "tito.commands.data_recommend",
    },
    example="tito data recommend shards",
)
def data() -> None:
    """Get data, and load it fast."""
