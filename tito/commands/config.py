"""`tito config ...`."""
from __future__ import annotations

import click

from tito import opening, render, tab
from tito.group import Group
from tito.options import json_option


@click.group(cls=Group, example="tito config set logo_theme minimal")
def config() -> None:
    """See and choose preferences."""


@config.command("list", example="tito config list")
@json_option
def list_preferences(as_json: bool) -> None:
    """List the preferences and what there is to choose."""
    from pytest_tinytorch.state import config

    store = opening.workspace().store
    chosen = {preference.name: config.chosen(store, preference.name) for preference in config.PREFERENCES}
    if as_json:
        render.data(chosen)
        return
    render.table(
        ("key", "value", "one of", "what it is"),
        [(p.name, chosen[p.name], p.choices, p.help) for p in config.PREFERENCES],
    )


@config.command("get", example="tito config get logo_theme")
@click.argument("key", shell_complete=tab.preferences)
@json_option
def get_preference(key: str, as_json: bool) -> None:
    """Print what is chosen for a key."""
    from pytest_tinytorch.state import config

    value = config.chosen(opening.workspace().store, key)
    render.data({key: value}) if as_json else render.say(value)


@config.command("set", example="tito config set editor vscode\ntito config set editor 'emacs -nw'")
@click.argument("key", shell_complete=tab.preferences)
@click.argument("value", shell_complete=tab.choices)
def set_preference(key: str, value: str) -> None:
    """Choose a value for a key."""
    from pytest_tinytorch.state import config

    config.choose(opening.workspace(), key, value)
    render.say(f"{key} = {value}")
