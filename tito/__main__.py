"""The entry point: runs a command, and turns its errors into a message and an exit status.

0 done, 1 not done or refused, 2 a wrong command line, 130 interrupted.
"""
from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from pytest_tinytorch.course.curriculum import TEMPLATES_VARIABLE, UnknownName
from tinytorch._overlay import named_folder
from tinytorch.errors import TinyTorchError
from tito import render
from tito.group import Group
from tito.options import TEMPLATES, templates_first

INTERRUPTED = 130
COMPLETION_VARIABLE = "_TITO_COMPLETE"  # a shell asks what may stand in the place of the last word

COMMANDS = {
    "init": "tito.commands.init",
    "module": "tito.commands.module",
    "milestone": "tito.commands.milestone",
    "status": "tito.commands.status",
    "reset": "tito.commands.reset",
    "backup": "tito.commands.backup",
    "undo": "tito.commands.undo",
    "update": "tito.commands.update",
    "export": "tito.commands.export",
    "data": "tito.commands.data",
    "resources": "tito.commands.resources",
    "cloud": "tito.commands.cloud",
    "cleanup": "tito.commands.cleanup",
    "config": "tito.commands.config",
    "system": "tito.commands.system",
    "doctor": "tito.commands.doctor",
    "completion": "tito.commands.completion",
}


def _show_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:  # which is how words are completed
        import tinytorch

        render.say(f"tito {tinytorch.__version__}")
        context.exit()


def _use_templates(context: click.Context, parameter: click.Parameter, folder: str | None) -> None:
    """Name the course in the environment while the command runs, for the pytest that it starts too."""
    if folder is None:
        return
    before = os.environ.get(TEMPLATES_VARIABLE)

    def take_back() -> None:
        os.environ.pop(TEMPLATES_VARIABLE)
        if before is not None:
            os.environ[TEMPLATES_VARIABLE] = before

    context.call_on_close(take_back)
    os.environ[TEMPLATES_VARIABLE] = str(named_folder(folder))  # absolute: pytest runs in the workspace


@click.group(
    cls=Group,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    example="tito init my-tinytorch\ncd my-tinytorch\ntito module start 01",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version and exit.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error. May stand anywhere.")
@click.option(TEMPLATES, metavar="DIR", expose_value=False, callback=_use_templates, help="Take the course from DIR, not the installed one. May stand anywhere.")
def tito() -> None:
    """Build a deep learning framework yourself, test by test."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    if shell := os.environ.get(COMPLETION_VARIABLE):
        from tito import tab

        render.exact("".join(f"{line}\n" for line in tab.answer(tito, shell, arguments or sys.argv[1:])))
        return 0
    render.make_safe()
    own, theirs = _split(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in own
    try:
        status = tito.main(templates_first([a for a in own if a != "--debug"]) + theirs, prog_name="tito", standalone_mode=False)
        sys.stdout.flush()  # here, where a reader that has gone can still be met
        return int(status or 0)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        render.notice(shown.getvalue().removesuffix("\n"))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone: nothing more may be written, also not by Python at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TinyTorchError, OSError) as error:
        if debug:
            raise
        render.error(str(error))
        return 2 if isinstance(error, UnknownName) else 1


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments for tito, and those from `--` on, which are pytest's."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return list(arguments[:end]), list(arguments[end:])


if __name__ == "__main__":
    sys.exit(main())
