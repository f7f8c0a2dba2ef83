"""OpenSSH's own server on a port of this machine, with keys made for the test, and a line to it that can be bad.

Each connection gets an `sshd -i` of its own, so that no port has to be guessed, and nothing is left running.
"""
from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.tinytorch.transfer.line import Line

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)
MISSING = None if SSHD and shutil.which("ssh") and shutil.which("ssh-keygen") else "OpenSSH's server and client are not installed (apt-get install openssh-server)"
needs_sshd = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


class Host:
    """A host that is reached at `address`, with the files of this machine."""

    def __init__(self, folder: Path, *, sftp: str = "internal-sftp") -> None:
        folder.mkdir()
        self.folder = folder
        self.line = Line(self._connect)
        self.port = self.line.port
        self.children: list[subprocess.Popen[bytes]] = []
        self.new_host_key()
        _key(folder / "user")
        self.config = folder / "sshd_config"
        self.config.write_text(
            f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\n"
            f"Subsystem sftp {sftp}\nLogLevel ERROR\n"
        )
        self.know()
        (folder / "ssh_config").write_text(
            f"Host *\n  User {getpass.getuser()}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known\n  GlobalKnownHostsFile none\n"
        )
        self.command = f"ssh -F {folder}/ssh_config"

    def address(self, path: Path) -> str:
        return f"ssh://127.0.0.1:{self.port}{path.as_posix()}"

    def new_host_key(self) -> None:
        for name in ("host", "host.pub"):
            (self.folder / name).unlink(missing_ok=True)
        _key(self.folder / "host")

    def know(self) -> None:
        """Let the client know the host's key, as after a first connection."""
        kind, key, *_ = (self.folder / "host.pub").read_text().split()
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def _connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self.children.append(subprocess.Popen([str(SSHD), "-i", "-f", str(self.config)], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL))
        theirs.close()
        return ours

    def close(self) -> None:
        self.line.close()
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()


def _key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


@contextmanager
def running(folder: Path, **options: str) -> Iterator[Host]:
    if os.name != "nt" and os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd wants it, and only a service manager makes it
    host = Host(folder, **options)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TINYTORCH_SSH", host.command)
        yield host
    host.close()
