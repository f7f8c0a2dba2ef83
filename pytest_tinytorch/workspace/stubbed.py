"""Whether the student has begun a module: its working copy's code differs from the stub that it started as."""
from __future__ import annotations

from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.workspace.layout import Workspace, code_hash
from tinytorch.errors import TinyTorchError


def is_begun(workspace: Workspace, module: Module) -> bool:
    """Whether there is work in a module: prose, outputs and demonstrations don't count.

    A working copy that can't be read is begun: somebody changed it. So is one whose stub isn't known.
    """
    forms = workspace.existing_forms(module)
    if not forms:
        return False
    for form in forms:
        pristine = workspace.pristine / workspace.relative(form)
        if pristine.is_file() and pristine.read_bytes() == form.read_bytes():
            continue
        stub = next((path for path in workspace.forms(module) if (workspace.pristine / workspace.relative(path)).is_file()), None)
        if stub is None:
            return True
        from pytest_tinytorch.workspace import notebooks  # most sessions find every module as it was or complete

        path = workspace.pristine / workspace.relative(stub)
        try:
            if code_hash(notebooks.parse(form.read_bytes(), form)) != code_hash(notebooks.parse(path.read_bytes(), path)):
                return True
        except (TinyTorchError, OSError):
            return True
    return False
