"""Options and arguments that several commands have."""
from __future__ import annotations

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
pytest_arguments = click.argument("arguments", metavar="[-- PYTEST ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
