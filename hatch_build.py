"""Packs `templates/` into the wheel as `pytest_tinytorch/_templates`; an editable install reads the folder itself."""
from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # the name that hatchling looks for
    """Adds the course to a standard wheel only: a copy in an editable install would go stale unseen."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"]["templates"] = "pytest_tinytorch/_templates"
