"""OpenSSH's own server on a port of this machine, with keys made for the test, and a line to it that can be bad.

Each connection gets an `sshd -i` of its own, so that no port has to be guessed, and nothing is left running.
"""
from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SSHD = shutil.which("sshd") or ("/usr/sbin/sshd" if Path("/usr/sbin/sshd").exists() else None)
MISSING = None if SSHD and shutil.which("ssh") and shutil.which("ssh-keygen") else "OpenSSH's server and client are not installed (apt-get install openssh-server)"
needs_sshd = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))


class Host:
    """A host that is reached at `address`, with the files of this machine."""

    def __init__(self, folder: Path, *, sftp: str = "internal-sftp") -> None:
        folder.mkdir()
        self.folder = folder
        self.drops: list[int] = []  # after so many bytes each next connection is dropped
        self.delay = 0.0  # seconds that each piece takes longer
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
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
        threading.Thread(target=self._serve, daemon=True).start()

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

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as sshd does
                self.connections += 1
                ours, theirs = socket.socketpair()
                self.children.append(subprocess.Popen([str(SSHD), "-i", "-f", str(self.config)], stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL))
                theirs.close()
                left = [self.drops.pop(0)] if self.drops else None
                for one, other in ((client, ours), (ours, client)):
                    threading.Thread(target=self._pump, args=(one, other, left), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket, left: list[int] | None) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                if self.delay:
                    time.sleep(self.delay)
                other.sendall(data)
                if left:
                    left[0] -= len(data)
                    if left[0] <= 0:
                        break
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def go(self) -> None:
        """Nobody listens any more."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # what waits in `accept` would take one more
        self.listener.close()

    def close(self) -> None:
        self.go()
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
