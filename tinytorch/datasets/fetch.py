"""One file from one of several sources: resumed wherever it stopped, and seen by nobody before its checksum is right.

What has arrived lies in `NAME.part`; `NAME.part.json` says of which source, and of which version of its content. A kill
at any instant leaves both as they are, and the next call goes on from there. Measured, pooch, parfive and
huggingface_hub begin again at zero.
"""
from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tinytorch import files, http
from tinytorch.datasets.registry import File
from tinytorch.errors import DataError
from tinytorch.files import readable_size
from tinytorch.places import local_path
from tinytorch.retry import RetryPolicy

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from hashlib import _Hash

__all__ = ["Fetch", "NotFetched", "NotWritten", "Progress", "Stopped"]

_HEADER = re.compile(r"[ -~\x80-\xff]*")  # what can be sent as a header
_SIZE = r"\d{1,19}"  # a number of bytes; int() refuses thousands of digits


@dataclass(frozen=True)
class Progress:
    """How far a file is."""

    file: str  # DATASET/NAME
    state: str  # "waiting" (for another process), "receiving", "retrying", "refused" (by a source), "present", "done"
    arrived: int  # bytes
    size: int | None  # bytes
    text: str = ""  # the source of what is received; what went wrong


class Stopped(Exception):
    """The download was told to stop."""


class NotWritten(DataError):
    """Bytes arrived and could not be written: no other source would help."""


class NotFetched(DataError):
    """No source has the file; `reasons` says of each why."""

    def __init__(self, name: str, reasons: Mapping[str, str], *, retryable: bool) -> None:
        super().__init__(f"{name}: no source has it: {'; '.join(reasons.values())}", retryable=retryable)
        self.reasons = reasons


@dataclass(frozen=True)
class _Origin:
    """Where a part came from; what its JSON file says."""

    url: str = ""
    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None  # of the whole file, as the source says
    pieces: int = 0  # answers that it was put together from

    @property
    def validator(self) -> str | None:
        """What `If-Range` takes: a strong ETag, else a date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified

    def is_changed(self, answer: _Answer) -> bool:
        """Whether the same address has other content now."""
        pairs = ((self.etag, answer.etag), (self.last_modified, answer.last_modified), (self.size, answer.size))
        return any(before is not None and now is not None and before != now for before, now in pairs)


@dataclass(frozen=True)
class _Answer:
    """What a source gives."""

    start: int | None  # the offset of its first byte; None if it can't go on where we asked it to
    size: int | None  # of the whole file
    etag: str | None
    last_modified: str | None
    chunks: Iterator[bytes]


class _Part:
    """The bytes that have arrived, their hash, and where they are from."""

    def __init__(self, path: Path, algorithm: str) -> None:
        self.path = path
        self.note = path.with_name(f"{path.name}.json")
        self.next_note = path.with_name(f"{path.name}.json.part")  # a name that the next run finds if this one is killed
        self.algorithm = algorithm
        self.origin = self._noted()
        self.digest: _Hash | None = None
        self.length = self.furthest = path.stat().st_size if self.origin.pieces and path.is_file() else 0
        if self.length:  # what an earlier run left, perhaps at a power cut, counts as a piece of its own
            self.origin = replace(self.origin, pieces=self.origin.pieces + 1)

    def _noted(self) -> _Origin:
        """What the note says. A part without a usable one is begun again."""
        with suppress(OSError, ValueError, TypeError, RecursionError):
            noted = _Origin(**json.loads(self.note.read_bytes()))
            is_typed = isinstance(noted.pieces, int) and isinstance(noted.size, int | None) and isinstance(noted.url, str)
            if is_typed and all(_HEADER.fullmatch(text) for text in (noted.etag or "", noted.last_modified or "")):
                return noted
        return _Origin()

    def hashed(self) -> _Hash:
        """The hash of what is there; it is read once."""
        if self.digest is None:
            import hashlib

            self.digest = files.hash_of(self.path, self.algorithm) if self.length else hashlib.new(self.algorithm, usedforsecurity=False)
        return self.digest

    def begin(self, answer: _Answer, url: str) -> None:
        """Make ready for the answer's bytes, after those that are there or in their place."""
        with self.writing():
            if answer.start == 0:
                self.discard()
            self.origin = _Origin(url, answer.etag, answer.last_modified, answer.size, self.origin.pieces + 1)
            self.next_note.write_bytes(json.dumps(asdict(self.origin), indent=2).encode())
            files.publish(self.next_note, self.note)

    def discard(self) -> None:
        """Forget all that has arrived."""
        with self.writing():
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)
        self.length, self.digest, self.origin = 0, None, _Origin()

    @contextmanager
    def writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = f"{readable_size(self.length)} of {self.path.name.removesuffix('.part')} have arrived and are kept in {self.path.parent}"
            if files.is_full(error):
                raise NotWritten(f"the disk is full: {kept}. Make room and run the same again: it goes on from there.") from error
            raise NotWritten(f"{self.path} can't be written: {error.strerror or error}") from error


class Fetch:
    """Brings `folder/NAME` here. One at a time for one file: the caller holds a lock."""

    def __init__(
        self, file: File, folder: Path, *, policy: RetryPolicy, timeout: tuple[float, float] = http.TIMEOUT,
        report: Callable[[str, int, int | None, str], None] = lambda state, arrived, size, text: None,
        stop: threading.Event | None = None,
    ) -> None:
        self.file = file
        self.path = folder / file.name
        self.part = _Part(folder / f"{file.name}.part", file.algorithm)
        self.policy = policy
        self.timeout = timeout
        self.report = report
        self.stop = stop or threading.Event()
        self._reasons: dict[str, str] = {}  # by source, what was wrong with it last
        self._left: list[str] = []  # sources that may still do, the best first
        self._begun_again: set[str] = set()

    def run(self, sources: list[str]) -> None:
        """Fetch the file from the first source that has it.

        Raises: NotFetched if none has; NotWritten if there is no room; Stopped.
        """
        self._left = list(sources)
        try:
            while not self.policy.call(self._round, report=lambda error, delay: self._tell("retrying", f"{error}; again in {delay:.1f} s")):
                pass
        except NotWritten:
            raise
        except DataError as error:
            raise NotFetched(self.file.name, self._reasons, retryable=error.retryable) from error
        arrived = self.part.length
        with self.part.writing():
            files.publish(self.part.path, self.path)
        self.part.discard()
        self.report("done", arrived, arrived, "")

    def _round(self) -> bool:
        """Ask each source once, until one has given everything. False if one gave something: it is asked again at once."""
        failed: list[DataError] = []
        for source in list(self._left):
            furthest = self.part.furthest
            try:
                self._receive(source)
                return True
            except NotWritten:
                raise
            except DataError as error:
                self._reasons[source] = str(error)
                if not error.retryable:
                    self._left.remove(source)
                    self._tell("refused", str(error))
                elif self.part.furthest > furthest:
                    self._left.remove(source)
                    self._left.insert(0, source)
                    return False
                else:
                    failed.append(error)
        if not failed:
            raise DataError("every source was refused")
        raise min(failed, key=lambda error: error.retry_after or 0.0)

    def _receive(self, source: str) -> None:
        """Bring the part to its end from this source."""
        if self.stop.is_set():
            raise Stopped
        part = self.part
        offset = part.length
        while not part.length or part.length != self._expected(part.origin.size):
            with self._asked(source, offset) as answer:
                if self._fits(source, answer, offset):
                    part.begin(answer, source)
                    self._take(source, answer)
                    break
            if not offset:
                raise DataError(f"{source}: it does not give the beginning of the file")
            offset = 0  # it has other content now, or lies about what it sends: the whole file
        self._check(source)

    def _fits(self, source: str, answer: _Answer, offset: int) -> bool:
        """Whether the answer goes on after `offset` bytes, or is the whole file."""
        if answer.start == 0:
            if None not in (self.file.size, answer.size) and answer.size != self.file.size:
                raise DataError(f"{source}: it has another file, of {answer.size:,} bytes instead of {self.file.size:,}")
            return True
        origin = self.part.origin
        is_other = answer.size not in (None, self._expected(origin.size)) or (origin.url == source and origin.is_changed(answer))
        return answer.start == offset and not is_other

    def _take(self, source: str, answer: _Answer) -> None:
        part, expected = self.part, self._expected(answer.size)
        part.hashed()  # before the file grows
        self._tell("receiving", source)
        with part.writing():
            out = part.path.open("ab", buffering=0)
        is_longer = False
        with out:
            for chunk in answer.chunks:
                if self.stop.is_set():
                    raise Stopped
                if is_longer := expected is not None and part.length + len(chunk) > expected:
                    break
                self._write(out, chunk)
                self._tell("receiving", source)
        if is_longer:
            part.discard()
            raise DataError(f"{source}: it sends more than the {expected:,} bytes of the file")
        if expected is not None and part.length < expected:
            raise DataError(f"{source}: the connection ended after {part.length:,} of {expected:,} bytes", retryable=True)

    def _write(self, out: IO[bytes], chunk: bytes) -> None:
        """Write, hash and count; where there is no room, what has got in."""
        part, left = self.part, memoryview(chunk)
        with part.writing():
            while left:
                count = out.write(left)
                part.hashed().update(left[:count])
                part.length += count
                left = left[count:]
        part.furthest = max(part.furthest, part.length)

    def _check(self, source: str) -> None:
        """Compare the checksum; bytes that are wrong are not kept."""
        part = self.part
        if part.hashed().hexdigest() == self.file.checksum:
            return
        pieces = part.origin.pieces
        part.discard()
        if pieces > 1 and source not in self._begun_again:  # whose fault is it? One try in one piece will tell
            self._begun_again.add(source)
            raise DataError(f"{source}: the pieces that arrived don't make the file; once more from the beginning", retryable=True)
        raise DataError(f"{source}: it has another file, whose {self.file.algorithm.upper()} is wrong")

    def _expected(self, promised: int | None) -> int | None:
        return self.file.size if self.file.size is not None else promised

    def _asked(self, source: str, offset: int) -> AbstractContextManager[_Answer]:
        path = local_path(source) if source.startswith("file://") else None
        return _from_disk(path, offset) if path else _from_server(source, offset, self.part.origin, self.timeout)

    def _tell(self, state: str, text: str = "") -> None:
        self.report(state, self.part.length, self._expected(self.part.origin.size), text)


@contextmanager
def _from_disk(path: Path, offset: int) -> Iterator[_Answer]:
    try:
        with path.open("rb", buffering=0) as file:
            found = os.fstat(file.fileno())
            file.seek(offset)
            chunks = iter(lambda: file.read(1 << 20), b"")
            yield _Answer(offset, found.st_size, f'"{found.st_size}-{found.st_mtime_ns}"', None, chunks)
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {error.strerror or error}") from error


@contextmanager
def _from_server(url: str, offset: int, origin: _Origin, timeout: tuple[float, float]) -> Iterator[_Answer]:
    headers = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if url == origin.url and origin.validator:
            headers["If-Range"] = origin.validator
    with http.request(url, headers=headers, timeout=timeout, answers=(416,)) as response:
        head = response.headers
        etag, date = head.get("ETag"), head.get("Last-Modified")
        chunks = http.chunks(response)
        if response.status_code == 206:
            place = re.fullmatch(rf"bytes ({_SIZE})-{_SIZE}/({_SIZE}|\*)", head.get("Content-Range", "").strip())
            size = int(place[2]) if place and place[2] != "*" else origin.size
            yield _Answer(int(place[1]) if place else None, size, etag, date, chunks)
        elif response.status_code == 200:
            length = head.get("Content-Length", "")
            yield _Answer(0, int(length) if re.fullmatch(_SIZE, length) else None, etag, date, chunks)
        elif response.status_code == 416:
            yield _Answer(None, None, None, None, chunks)
        else:
            raise DataError(f"{url}: the server answered {response.status_code} {response.reason}, and no file")
