"""`tito data ...`: the group; its commands are in files of their own."""
from __future__ import annotations

import click

from tito.group import Group

_DATASETS = "tito.commands.datasets"


@click.group(
    cls=Group,
    lazy={
        "list": f"{_DATASETS}:list_datasets", "download": _DATASETS, "show": _DATASETS, "verify": f"{_DATASETS}:verify_datasets", "path": f"{_DATASETS}:print_path", "clean": _DATASETS,
        "transfer": "tito.commands.data_transfer",
        "recommend": "tito.commands.data_recommend",
        "cache": "tito.commands.data_cache",
    },
    example="tito data list\ntito data download mnist",
)  # fmt: skip
def data() -> None:
    """Get datasets, send files, load them fast, and cache features."""
