"""Every error of the project that isn't a plain wrong argument: what happened, to what, and what to do next.

`TinyTorchError` is the root. Each subclass also derives from the builtin that it resembles, so that code which knows
nothing of TinyTorch catches it in the usual way. `retryable` says whether the same call may work a moment later.
"""
from __future__ import annotations

__all__ = [
    "CloudError",
    "ConfigError",
    "DataError",
    "ExportError",
    "GradingError",
    "PrerequisiteError",
    "StateError",
    "TinyTorchError",
    "TransferError",
    "UpdateConflict",
    "WorkspaceError",
]


class TinyTorchError(Exception):
    """The root: `except TinyTorchError` catches whatever the project raises on purpose."""

    retryable = False
    retry_after: float | None = None  # seconds until then, if whoever refused has said so

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class ConfigError(TinyTorchError, ValueError):
    """A configuration file, option or course description that can't be used as written."""


class WorkspaceError(TinyTorchError, OSError):
    """No workspace, a workspace in the wrong place, or one whose files can't be used."""


class StateError(TinyTorchError, OSError):
    """A file below `.tito/` that is corrupt, can't be read, or can't be written."""


class PrerequisiteError(TinyTorchError, ValueError):
    """A module or milestone was asked for before the modules that it needs."""


class ExportError(TinyTorchError, ValueError):
    """A working copy that can't become part of the student's package."""


class UpdateConflict(TinyTorchError, ValueError):
    """A course update and a student's work change the same place."""


class DataError(TinyTorchError, OSError):
    """A dataset that is missing, incomplete or not what its checksum says."""


class GradingError(TinyTorchError, RuntimeError):
    """A submission, a sandbox or a grading run that can't go on."""


class TransferError(TinyTorchError, OSError):
    """A transfer between two places that did not arrive whole."""

    retryable = True


class CloudError(TinyTorchError, OSError):
    """A cloud provider that refused a call or did not answer."""
