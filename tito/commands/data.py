"""`tito data ...`."""
from __future__ import annotations

import click

from tito.group import Group

COMMANDS = {
    "cache": "tito.commands.data_cache",
}


@click.group(cls=Group, lazy=COMMANDS, example="tito data cache build --config config/data/dino_cache.yaml")
def data() -> None:
    """Prepare the data that a framework is trained on."""
