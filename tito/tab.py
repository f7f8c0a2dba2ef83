"""What the Tab key offers: the scripts for the shells, and what `tito` answers them.

A script runs `_TITO_COMPLETE=SHELL tito WORDS`, the last of which is what is being typed, and gets a line for each word
that fits. The scripts are our own, because those that click brings print an error at every Tab once the environment
that has `tito` isn't active any more.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem, ShellComplete

from tito.options import TEMPLATES, templates_first

if TYPE_CHECKING:
    from pytest_tinytorch.course.curriculum import Course, Milestone, Module

    Part = TypeVar("Part", Module, Milestone)

FILES = ":files"  # the answer where a path is wanted, which the shell completes better

_BASH = r"""_tito() {
    local answer line
    COMPREPLY=()
    answer=$(_TITO_COMPLETE=bash "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
    if [[ $answer == :files ]]; then
        compopt -o default 2>/dev/null
        return
    fi
    while IFS= read -r line; do
        [[ $line ]] && COMPREPLY+=("$line")
    done <<< "$answer"
}
# bash before 4.4 has no nosort
complete -o nosort -F _tito tito 2>/dev/null || complete -F _tito tito
"""

_ZSH = r"""#compdef tito
_tito() {
    local answer
    local -a offered
    answer=$(_TITO_COMPLETE=zsh "${words[1]}" "${(@Q)words[2,CURRENT]}" 2>/dev/null) || return 1
    if [[ $answer == :files ]]; then
        _files
    else
        offered=("${(@f)answer}")
        [[ -n $answer ]] && _describe -V tito offered
    fi
}
if [[ $funcstack[1] == _tito ]]; then
    _tito "$@"
else
    compdef _tito tito
fi
"""

_FISH = r"""function __tito_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l name $words[1]
    set -e words[1]
    set -l answer (env _TITO_COMPLETE=fish $name $words "$typed" 2>/dev/null)
    if test "$answer" = :files
        __fish_complete_path "$typed"
    else
        printf '%s\n' $answer
    end
end
complete --command tito --no-files --keep-order --arguments '(__tito_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def answer(command: click.Command, shell: str, words: Sequence[str]) -> list[str]:
    """The lines for a shell's script: what may stand in the place of the last word.

    Whatever is wrong, with the words or with the workspace, nothing is offered and nothing is said.
    """
    *before, typed = words or [""]
    before = [word for word in before if word not in ("--debug", "=")]  # bash cuts --to=py into three words
    if before[-1:] == [TEMPLATES] or typed.startswith(f"{TEMPLATES}="):
        return [FILES]
    stays = typed[: typed.find("=") + 1] if typed.startswith("-") else ""  # of --to=py, and the shells want it back
    try:
        items = ShellComplete(command, {}, "tito", "").get_completions(templates_first(before), typed)
    except Exception:  # an unknown command before the word, for instance: there is no place for a message
        return []
    if any(item.type in ("file", "dir") for item in items):
        return [FILES]
    return [_line(shell, stays + item.value, item.help) for item in items]


def _line(shell: str, value: str, help: str | None) -> str:
    if shell == "zsh":
        value = value.replace("\\", "\\\\").replace(":", "\\:")
    separator = {"zsh": ":", "fish": "\t"}.get(shell)
    return f"{value}{separator}{help.split(chr(10))[0]}" if separator and help else value


# --- what fits the arguments of our commands ----------------------------------------------------------------------


def modules(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The numbers and the names of the modules that the course has."""
    course = _course()
    return _fitting(typed, _names([module for module in course.modules if course.is_written(module)]))


def milestones(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The numbers and the names of the milestones that the course has."""
    course = _course()
    return _fitting(typed, _names([milestone for milestone in course.milestones if course.is_written(milestone)]))


def backups(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The names of the backups of the module that was typed before, newest first."""
    from pytest_tinytorch.state.backups import backups_of
    from pytest_tinytorch.workspace.layout import current

    workspace = current()
    module = workspace.course.module(context.params["module_name"])
    return _fitting(typed, ((backup.path.name, f"{backup.made:%Y-%m-%d %H:%M:%S}") for backup in backups_of(workspace, module)))


def datasets(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The names of the datasets."""
    from tinytorch.datasets import registry

    return _fitting(typed, ((dataset.name, dataset.title) for dataset in registry.datasets().values()))


def records(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The ids of the runs that are recorded, newest first."""
    from tinytorch.resources import ledger

    runs = reversed(ledger.read().runs.values())
    return _fitting(typed, ((run.id, f"{run.name}, {run.started.astimezone():%Y-%m-%d %H:%M}") for run in runs))


def budgets(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The names of the budgets."""
    from tinytorch.resources import ledger

    return _fitting(typed, ((name, None) for name in ledger.read().budgets))


def preferences(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The keys of the preferences."""
    from pytest_tinytorch.state.config import PREFERENCES

    return _fitting(typed, ((preference.name, preference.help) for preference in PREFERENCES))


def choices(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The values of the preference that was typed before."""
    from pytest_tinytorch.state.config import preference

    return _fitting(typed, ((value, None) for value in preference(context.params["key"]).values))


def _course() -> Course:
    """The course of the workspace here, or the installed one. Nothing is read from `.tito/`, which may be broken."""
    from pytest_tinytorch.course import curriculum
    from pytest_tinytorch.workspace.layout import find

    workspace = find()
    return workspace.course if workspace else curriculum.load()


def _names(parts: Sequence[Part]) -> Iterator[tuple[str, str]]:
    for part in parts:
        yield part.number, part.title
    for part in parts:
        yield part.slug, part.title


def _fitting(typed: str, offered: Iterable[tuple[str, str | None]]) -> list[CompletionItem]:
    return [CompletionItem(value, help=help) for value, help in offered if value.startswith(typed)]
