"""The SFTP protocol, version 3, over OpenSSH's own client, which knows the user's configuration, agent and known hosts.

Source: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL file for the extensions.
"""
from __future__ import annotations

import os
import platform
import shlex
import struct
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from tinytorch.errors import ConfigError, TransferError
from tinytorch.transfer.listing import Data

__all__ = ["Attributes", "Connection", "Refused", "Shell", "Ways", "ssh_command"]

_INIT, _VERSION, _OPEN, _CLOSE, _READ, _WRITE, _LSTAT, _FSTAT, _FSETSTAT, _OPENDIR, _READDIR = 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12
_REMOVE, _MKDIR, _REALPATH, _STAT, _RENAME, _EXTENDED = 13, 14, 16, 17, 18, 200
_STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _REPLY = 101, 102, 103, 104, 105, 201
_FOR_READING, _FOR_WRITING, _CREATE, _TRUNCATE = 1, 2, 8, 16
_OK, _EOF, _NO_SUCH_FILE, _PERMISSION_DENIED, _FAILURE, _UNSUPPORTED = 0, 1, 2, 3, 4, 8
_BLOCK = 32 << 10  # bytes in a request, which every server takes
_LARGEST_BLOCK = 255 << 10  # bytes in a request to a server that says it takes so many
_UNDER_WAY = 2 << 20  # bytes that are asked for at a time
_TOOLS = {  # by the name of the program: what prints SHA-256 and a name on a line; openssl uses the processor's instructions for it
    "openssl": "openssl dgst -sha256 -r", "sha256sum": "sha256sum", "shasum": "shasum -a 256",
}  # fmt: skip
_BLOCK_ON_HOST = 64 << 10  # bytes
_PIPE = 1 << 20  # bytes between us and ssh, where the system lets us choose: with its 64 KiB, each request waits several times
_OPTIONS = ("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=3", "LogLevel=ERROR")

_HAVE_AES = ("x86_64", "amd64", "arm64")  # machines with instructions for it; "aarch64" is a Raspberry Pi too, which has none
_LONGEST_SOCKET = 80  # bytes of its path; systems take about 104, and ssh adds some

_ALONE: dict[str, Any] = {"creationflags": 0x200} if os.name == "nt" else {"start_new_session": True}  # Ctrl-C is for us, and not for ssh


class Refused(TransferError):
    """The host said no; `status` is its number for that."""

    retryable = False

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def is_missing(self) -> bool:
        """Whether there is no such file."""
        return self.status == _NO_SUCH_FILE


@dataclass(frozen=True)
class Attributes:
    """What a host says of a file."""

    size: int
    mode: int
    mtime: int

    @property
    def kind(self) -> int:
        """The kind of file, of `stat`."""
        return self.mode & 0o170000


def ssh_command(host: str, user: str, port: int | None) -> list[str]:
    """How ssh is called: `TINYTORCH_SSH`, as a shell would split it, or ssh; then our options, and the host.

    A host key that isn't known is never accepted here.
    """
    command = shlex.split(os.environ.get("TINYTORCH_SSH", ""), posix=os.name != "nt") or ["ssh"]
    command += [word for option in _OPTIONS for word in ("-o", option)]
    return [*command, *(["-l", user] if user else []), *(["-p", str(port)] if port else []), host]


class Ways:
    """How to reach a host: `shared`, over a connection that others use too, or `alone`, over one of its own.

    A connection costs the login and a third of a second of both sides' time, so it is shared by all that don't send much.
    Where the user's configuration has that already (ControlPath), or there is no such thing (Windows), both are the same.
    """

    def __init__(self, command: list[str]) -> None:
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        settings = _settings(command)
        options = _fast_ciphers(settings.get("ciphers", ""))
        self.alone = _with(command, options)
        if os.name != "nt" and settings and settings.get("controlpath", "none") == "none":
            self.folder = tempfile.TemporaryDirectory(prefix="tt-", ignore_cleanup_errors=True)
            socket = f"{self.folder.name}/s"
            if len(os.fsencode(socket)) <= _LONGEST_SOCKET:
                options += ["ControlMaster=auto", f"ControlPath={socket}", "ControlPersist=no"]
        self.shared = _with(command, options)

    def close(self) -> None:
        if self.folder:
            self.folder.cleanup()


def _with(command: Sequence[str], options: Sequence[str]) -> list[str]:
    return [*command[:-1], *(word for option in options for word in ("-o", option)), command[-1]]


def _settings(command: Sequence[str]) -> dict[str, str]:
    """What ssh would do with the user's configuration, by option; empty if it doesn't tell."""
    try:
        told = subprocess.run([*command[:-1], "-G", command[-1]], stdin=subprocess.DEVNULL, capture_output=True, timeout=15, check=False, **_ALONE).stdout
    except (OSError, subprocess.SubprocessError):  # who connects says what is wrong
        return {}
    return dict(line.partition(" ")[::2] for line in told.decode("utf-8", "replace").splitlines())


def _fast_ciphers(allowed: str) -> list[str]:
    """The option that takes, of the ciphers that may be used, those first for which the processor has instructions."""
    names = allowed.split(",")
    fast = [name for name in names if "-gcm@" in name]
    if not fast or platform.machine().lower() not in _HAVE_AES:
        return []
    return [f"Ciphers={','.join([*fast, *(name for name in names if name not in fast)])}"]


class _Process:
    """ssh with pipes."""

    def __init__(self, command: Sequence[str], place: str) -> None:
        self.place = place
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, pipesize=_PIPE, **_ALONE)
        except OSError as error:
            self.errors.close()
            raise ConfigError(f"{place}: {command[0]} can't be run: {error.strerror or error}. Install OpenSSH's client, or name it in TINYTORCH_SSH") from error
        assert self.process.stdin and self.process.stdout
        self.input, self.output = self.process.stdin, self.process.stdout

    def send(self, data: bytes | memoryview) -> None:
        """Put data on its way; it leaves when something is received, so that small pieces travel together."""
        try:
            self.input.write(data)
        except (OSError, ValueError) as error:
            raise self.ended() from error

    def flush(self) -> None:
        try:
            self.input.flush()
        except (OSError, ValueError) as error:
            raise self.ended() from error

    def receive(self, count: int) -> bytes:
        self.flush()
        try:
            data = self.output.read(count)
        except (OSError, ValueError) as error:
            raise self.ended() from error
        if len(data) < count:
            raise self.ended()
        return data

    def receive_into(self, place: memoryview) -> None:
        self.flush()
        try:
            count = self.output.readinto(place)  # type: ignore[attr-defined]  # the reader that Popen makes has it
        except (OSError, ValueError) as error:
            raise self.ended() from error
        if count < len(place):
            raise self.ended()

    def ended(self) -> TransferError:
        """Why ssh ended."""
        self.close()
        return _explained(self.place, self.said)

    def close(self) -> None:
        self.said = getattr(self, "said", "")
        if self.errors.closed:
            return
        self.process.kill()
        self.process.wait()
        self.errors.seek(0)
        self.said = self.errors.read().decode("utf-8", "replace").strip()
        for file in (self.errors, self.output, self.input):
            with suppress(OSError):  # what was not yet sent to a process that has gone
                file.close()


def _explained(place: str, said: str) -> TransferError:
    last = said.splitlines()[-1].strip() if said else "it ended without a word"
    host = place.partition("://")[2].partition("/")[0]
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said :
        return TransferError(
            f"{place}: the host's key is not the one that was seen before. Somebody may be in between, or the host was set up anew: ask who runs it. "
            f"If it was, forget the old key (ssh-keygen -R {host.rpartition('@')[2]}), connect once with ssh {host}, and compare the fingerprint", retryable=False
        )  # fmt: skip
    if "Host key verification failed" in said or "host key is known" in said:
        return TransferError(f"{place}: the host's key isn't known. Connect once with ssh {host}, and compare the fingerprint with what the host's people say", retryable=False)
    if "Permission denied" in said:
        return TransferError(f"{place}: the host lets nobody in with these keys ({last}). Try ssh {host}; a key is brought there with ssh-copy-id", retryable=False)
    if "resolve hostname" in said:
        return TransferError(f"{place}: there is no host of that name ({last}). Check the address", retryable=False)
    if "subsystem request failed" in said:
        return TransferError(f"{place}: the host has no SFTP ({last}). It needs a Subsystem sftp in its sshd_config", retryable=False)
    return TransferError(f"{place}: the connection was lost: {last}. Run the same again to go on", retryable=True)


class Connection(_Process):
    """One SFTP session, which begins to log in when it is made. Requests are answered in order of asking by one thread at a time."""

    def __init__(self, command: Sequence[str], place: str) -> None:
        super().__init__([*command[:-1], "-s", command[-1], "sftp"], place)
        self.number = 0
        self.answers: dict[int, tuple[int, bytes]] = {}
        self.places: dict[int, memoryview] = {}  # where the data of an answer goes
        self.unwanted: set[int] = set()  # requests whose answers say nothing that matters
        self.extensions: dict[bytes, bytes] | None = None  # None: the host has not been greeted

    def greet(self) -> None:
        """Wait until the host is there, and learn what it can. Needed once, before anything else."""
        if self.extensions is not None:
            return
        try:
            self._packet(_INIT, struct.pack(">I", 3))
            kind, _, payload = self._answer()
            if kind != _VERSION:
                raise self._is_no_sftp()
            words = list(_strings(payload))
            self.extensions = dict(zip(words[::2], words[1::2], strict=False))
            self.read_block, self.write_block = self._blocks()
        except BaseException:
            self.close()
            raise

    def _can(self, extension: str) -> bool:
        return extension.encode() in (self.extensions or {})

    def _blocks(self) -> tuple[int, int]:
        """How many bytes the host takes in a request to read, and to write."""
        if not self._can("limits@openssh.com"):
            return _BLOCK, _BLOCK
        _, read, write, _ = struct.unpack(">4Q", self.call(_EXTENDED, _string("limits@openssh.com"), "the host's limits")[:32])
        return tuple(min(limit, _LARGEST_BLOCK) or _BLOCK for limit in (read, write))  # type: ignore[return-value]  # 0: it doesn't say

    def _is_no_sftp(self) -> TransferError:
        return TransferError(f"{self.place}: the host doesn't answer as SFTP does; does its shell print something at login?", retryable=False)

    # --- packets ------------------------------------------------------------------------------------------------------

    def _packet(self, kind: int, payload: bytes, data: memoryview | bytes = b"") -> None:
        self.send(struct.pack(">IB", len(payload) + len(data) + 1, kind) + payload)
        if data:
            self.send(data)

    def _answer(self) -> tuple[int, int, bytes]:
        """The kind, number and content of the next answer; of data that has its place, the content is its length."""
        length, kind, number = struct.unpack(">IBI", self.receive(9))
        if not 5 <= length <= 1 << 20:
            raise self._is_no_sftp()
        if kind == _DATA and (place := self.places.get(number)) is not None:
            content = self.receive(4)
            count = struct.unpack(">I", content)[0]
            if not count == length - 9 <= len(place):
                raise self._is_no_sftp()
            self.receive_into(place[:count])
            return kind, number, content
        return kind, number, self.receive(length - 5)

    def ask(self, kind: int, payload: bytes, data: memoryview | bytes = b"") -> int:
        """Send a request. Returns its number."""
        self.number += 1
        self._packet(kind, struct.pack(">I", self.number) + payload, data)
        return self.number

    def answer(self, number: int, what: str) -> bytes:
        """The answer to a request.

        Raises: Refused.
        """
        while number not in self.answers:
            kind, came, payload = self._answer()
            self.places.pop(came, None)
            if came in self.unwanted:
                self.unwanted.remove(came)
            else:
                self.answers[came] = kind, payload
        kind, payload = self.answers.pop(number)
        if kind == _STATUS:
            status = struct.unpack(">I", payload[:4])[0]
            if status != _OK:
                said = next(_strings(payload[4:]), b"").decode("utf-8", "replace")
                meant = {_NO_SUCH_FILE: "no such file or folder", _PERMISSION_DENIED: "permission denied"}.get(status, said or f"refused ({status})")
                raise Refused(f"{what}: {meant}", status)
        return payload

    def call(self, kind: int, payload: bytes, what: str) -> bytes:
        return self.answer(self.ask(kind, payload), what)

    # --- calls --------------------------------------------------------------------------------------------------------

    def attributes(self, path: str, *, follow: bool = True) -> Attributes:
        """Of a file, or with `follow` of what a link leads to."""
        return _attributes(self.call(_STAT if follow else _LSTAT, _string(path), path))[0]

    def real_path(self, path: str) -> str:
        """The path without links."""
        return _text(_cut(self.call(_REALPATH, _string(path), path)[4:])[0])

    def names(self, path: str) -> list[tuple[str, Attributes]]:
        """What is in a folder; links are told as links."""
        handle = self.call(_OPENDIR, _string(path), path)
        found: list[tuple[str, Attributes]] = []
        try:
            while True:
                payload = self.call(_READDIR, handle, path)
                count, rest = struct.unpack(">I", payload[:4])[0], payload[4:]
                for _ in range(count):
                    name, rest = _cut(rest)
                    _, rest = _cut(rest)
                    attributes, rest = _attributes(rest)
                    if name not in (b".", b".."):
                        found.append((_text(name), attributes))
        except Refused as error:
            if error.status != _EOF:
                raise
        finally:
            if not self.errors.closed:
                self.call(_CLOSE, handle, path)
        return sorted(found)

    def read(self, path: str, start: int, end: int, expected: tuple[int, int] | None = None) -> bytearray | None:
        """Bytes of a file; None if they aren't there, or it has another size or time than `expected`. A small one costs two round trips."""
        [handle] = self._opened([path], _FOR_READING)
        data = bytearray(end - start)
        left = deque(_cuts(data, self.read_block))
        asked: dict[int, tuple[int, memoryview]] = {}
        facts = 0
        try:
            while left or asked:
                while left and len(asked) * self.read_block < _UNDER_WAY:
                    at, piece = left.popleft()
                    asked[self._ask_for(handle, start + at, piece)] = at, piece
                    if not left:
                        facts = self.ask(_FSTAT, handle)
                number = next(iter(asked))
                at, piece = asked[number]
                count = struct.unpack(">I", self.answer(number, path))[0]
                del asked[number]
                if not count:
                    return None
                if count < len(piece):  # a server may give less than was asked for
                    left.append((at + count, piece[count:]))
            found = _attributes(self.answer(facts or self.ask(_FSTAT, handle), path))[0]
        except Refused as error:
            if error.status != _EOF:
                raise
            return None
        finally:
            if not self.errors.closed:
                self.unwanted.update(asked, [self.ask(_CLOSE, handle)])
        return data if expected in (None, (found.size, found.mtime)) else None

    def _ask_for(self, handle: bytes, at: int, place: memoryview) -> int:
        """Ask for bytes of an open file, which go where they belong when they come. Returns the request's number."""
        number = self.ask(_READ, handle + struct.pack(">QI", at, len(place)))
        self.places[number] = place
        return number

    def write(self, path: str, start: int, data: Data, *, is_new: bool) -> None:
        """Put bytes into a file, which is made; with `is_new` it is emptied first."""
        flags = _FOR_WRITING | _CREATE | (_TRUNCATE if is_new else 0)
        [handle] = self._opened([path], flags)
        self._all([(number, path) for number in (*self._written(handle, start, data), self.ask(_CLOSE, handle))])

    def _written(self, handle: bytes, start: int, data: Data) -> list[int]:
        """Ask for bytes to be put into an open file."""
        return [self.ask(_WRITE, handle + struct.pack(">QI", start + at, len(piece)), piece) for at, piece in _cuts(data, self.write_block)]

    def put(self, files: Sequence[tuple[str, Data, float]]) -> list[bytearray]:
        """Make small files, each of its content, with its time, and on the disk if the host can. Returns what is read back of each.

        All is asked for at once, so that together they cost two round trips: first all that is to be written, since the host
        answers in order, and must not wait for us to read while we wait for it.
        """
        handles = self._opened([path for path, _, _ in files], _FOR_READING | _FOR_WRITING | _CREATE | _TRUNCATE)
        todo = [(handle, path, data, mtime, bytearray(len(data))) for handle, (path, data, mtime) in zip(handles, files, strict=True)]
        numbers = [(number, path) for handle, path, data, _, _ in todo for number in self._written(handle, 0, data)]
        reads = [(self._ask_for(handle, at, piece), path) for handle, path, _, _, back in todo for at, piece in _cuts(back, self.read_block)]
        numbers += [(number, path) for handle, path, _, mtime, _ in todo for number in self._settled(handle, mtime)]
        for number, path in reads:
            with suppress(Refused):  # what is missing is seen by who compares
                self.answer(number, path)
        self._all(numbers)
        return [back for *_, back in todo]

    def take(self, files: Sequence[tuple[str, int, int]]) -> list[bytearray | None]:
        """The contents of small files; None for one that has another size or time than was said. Together they cost two round trips."""
        handles = self._opened([path for path, _, _ in files], _FOR_READING)
        asked = []
        for handle, (path, size, mtime) in zip(handles, files, strict=True):
            data = bytearray(size)
            numbers = [(self._ask_for(handle, at, piece), len(piece)) for at, piece in _cuts(data, self.read_block)]
            asked.append((path, data, numbers, self.ask(_FSTAT, handle), (size, mtime)))
            self.unwanted.add(self.ask(_CLOSE, handle))
        taken: list[bytearray | None] = []
        for path, data, numbers, facts, expected in asked:
            came = [self._came(number, path) for number, _ in numbers]
            found = _attributes(self.answer(facts, path))[0]
            is_whole = came == [length for _, length in numbers] and (found.size, found.mtime) == expected
            taken.append(data if is_whole else None)
        return taken

    def _came(self, number: int, path: str) -> int:
        """How many bytes came of those that were asked for."""
        try:
            return int(struct.unpack(">I", self.answer(number, path))[0])
        except Refused:
            return 0

    def _opened(self, paths: Sequence[str], flags: int) -> list[bytes]:
        """Open files, all or none."""
        numbers = [self.ask(_OPEN, _string(path) + struct.pack(">II", flags, 0)) for path in paths]
        handles, failed = [], None
        for number, path in zip(numbers, paths, strict=True):
            try:
                handles.append(self.answer(number, path))
            except Refused as error:
                failed = failed or error
        if failed:
            self.unwanted.update(self.ask(_CLOSE, handle) for handle in handles)
            raise failed
        return handles

    def _settled(self, handle: bytes, mtime: float) -> list[int]:
        """Ask for a file's time, the flush and the end."""
        numbers = [self.ask(_FSETSTAT, handle + struct.pack(">III", 8, int(mtime), int(mtime)))]
        if self._can("fsync@openssh.com"):
            numbers.append(self.ask(_EXTENDED, _string("fsync@openssh.com") + handle))
        return [*numbers, self.ask(_CLOSE, handle)]

    def settle(self, path: str, mtime: float) -> None:
        """Give a file its time, and have it on the disk if the host can."""
        [handle] = self._opened([path], _FOR_WRITING)
        self._all([(number, path) for number in self._settled(handle, mtime)])

    def _all(self, numbers: Sequence[tuple[int, str]]) -> None:
        """Wait for all answers to requests about files, and then raise what the first failed one said."""
        failed: list[Refused] = []
        for number, what in numbers:
            try:
                self.answer(number, what)
            except Refused as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def rename(self, *pairs: tuple[str, str]) -> None:
        """Give files other names, each in one step and in the place of what is there."""
        kind, head = (_EXTENDED, _string("posix-rename@openssh.com")) if self._can("posix-rename@openssh.com") else (_RENAME, b"")
        self._all([(self.ask(kind, head + _string(path) + _string(to)), to) for path, to in pairs])

    def remove(self, path: str) -> None:
        """Remove a file; none is no error."""
        try:
            self.call(_REMOVE, _string(path), path)
        except Refused as error:
            if not error.is_missing:
                raise

    def make_folder(self, path: str) -> None:
        """Make a folder; one that is there is no error."""
        try:
            self.call(_MKDIR, _string(path) + struct.pack(">I", 0), path)
        except Refused as error:
            if error.status != _FAILURE:
                raise

    def free(self, path: str) -> int | None:
        """Bytes that there is room for; None if the host can't tell."""
        if not self._can("statvfs@openssh.com"):
            return None
        numbers = struct.unpack(">11Q", self.call(_EXTENDED, _string("statvfs@openssh.com") + _string(path), path))
        return int(numbers[1] * numbers[4])


class Shell(_Process):
    """A POSIX shell on the host, for what SFTP can't do: checksums of what is there."""

    def __init__(self, command: Sequence[str], place: str) -> None:
        super().__init__([*command, "exec sh"], place)
        found = self._lines(" || ".join(f"command -v {name}" for name in _TOOLS))
        self.tool = _TOOLS.get(found[0].rpartition("/")[2] if found else "")

    def _lines(self, script: str) -> list[str]:
        mark = f"done-{os.urandom(8).hex()}"
        self.send(f"{{ {script}; }} < /dev/null 2> /dev/null; echo {mark}\n".encode("utf-8", "surrogateescape"))
        self.flush()
        lines: list[str] = []
        while True:
            line = self.output.readline().decode("utf-8", "replace")
            if not line:
                raise self.ended()
            if line.strip() == mark:
                return lines
            lines.append(line.strip())

    def hashes(self, path: str, part_bytes: int, numbers: Sequence[int]) -> list[str]:
        """SHA-256 of parts of a file; an empty text for what can't be read."""
        name = shlex.quote(path)
        block = part_bytes if part_bytes % _BLOCK_ON_HOST else _BLOCK_ON_HOST  # fresh memory for a large one takes longer than hashing it
        blocks = part_bytes // block
        script = f"for i in {' '.join(map(str, numbers))}; do dd if={name} bs={block} skip=$((i * {blocks})) count={blocks} | {self.tool}; done"
        found = [line.partition(" ")[0] for line in self._lines(script)]
        return found if len(found) == len(numbers) else [""] * len(numbers)

    def hashes_of(self, paths: Sequence[str]) -> list[str]:
        """SHA-256 of files; an empty text for each if one of them can't be read."""
        names = " ".join(shlex.quote(path if path.startswith("/") else f"./{path}") for path in paths)
        found = [line.removeprefix("\\").partition(" ")[0] for line in self._lines(f"{self.tool} {names}")]  # names that are odd have a backslash before the line
        return found if len(found) == len(paths) else [""] * len(paths)


def _cuts(data: Data, length: int) -> Iterator[tuple[int, memoryview]]:
    """Where each piece of some bytes begins, and the piece."""
    view = memoryview(data)
    return ((at, view[at : at + length]) for at in range(0, len(data), length))


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack(">I", len(data)) + data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _cut(data: bytes) -> tuple[bytes, bytes]:
    length = struct.unpack(">I", data[:4])[0]
    return data[4 : 4 + length], data[4 + length :]


def _strings(data: bytes) -> Iterator[bytes]:
    while len(data) >= 4:
        text, data = _cut(data)
        yield text


def _attributes(data: bytes) -> tuple[Attributes, bytes]:
    flags, data = struct.unpack(">I", data[:4])[0], data[4:]
    size = mode = mtime = 0
    if flags & 1:
        size, data = struct.unpack(">Q", data[:8])[0], data[8:]
    if flags & 2:
        data = data[8:]
    if flags & 4:
        mode, data = struct.unpack(">I", data[:4])[0], data[4:]
    if flags & 8:
        mtime, data = struct.unpack(">II", data[:8])[1], data[8:]
    if flags & 0x80000000:
        count, data = struct.unpack(">I", data[:4])[0], data[4:]
        for _ in range(2 * count):
            data = _cut(data)[1]
    return Attributes(size, mode, mtime), data
