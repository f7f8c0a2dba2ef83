"""Where on this machine things are: what belongs to no workspace, and what an address names."""
from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder", "local_path"]


def cache_folder() -> Path:
    """The folder of everything that can be fetched or made again: `TINYTORCH_CACHE`, else the system's place for caches."""
    if named := os.environ.get("TINYTORCH_CACHE"):
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("tinytorch", appauthor=False))


def local_path(address: str) -> Path:
    """The path that a `file://` address names, also on another machine of a Windows network."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    parts = urlsplit(address)
    return Path(url2pathname(f"//{parts.netloc}{parts.path}" if parts.netloc not in ("", "localhost") else parts.path))
