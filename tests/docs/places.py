"""A host that ssh reaches, for pages that speak of one."""
from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.unit.tinytorch.transfer import sshd


@contextmanager
def host(name: str, folder: Path) -> Iterator[Path]:
    """A host whose home folder is `folder/home`, with an environment `env` in it that has this one's packages.

    Gives the folder of a program `ssh` that knows it by its name, as a `~/.ssh/config` would.
    """
    folder.mkdir(parents=True)
    with sshd.running(folder / "sshd") as there:
        home, programs = folder / "home", folder / "bin"
        home.mkdir()
        programs.mkdir()
        (home / "env").symlink_to(sys.prefix, target_is_directory=True)
        inherited = f" PYTHONPATH={os.environ['PYTHONPATH']}" if "PYTHONPATH" in os.environ else ""
        text = there.config.read_text("utf-8").replace("internal-sftp", f"internal-sftp -d {home}")
        there.config.write_text(f"{text}SetEnv HOME={home} PYTHONDONTWRITEBYTECODE=1{inherited}\n", "utf-8")
        client = folder / "sshd" / "ssh_config"
        client.write_text(f"Host {name}\n  HostName 127.0.0.1\n  Port {there.port}\n{client.read_text('utf-8')}", "utf-8")
        (programs / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{client}" "$@"\n', "utf-8")
        (programs / "ssh").chmod(0o755)
        yield programs
