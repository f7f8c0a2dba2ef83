"""Who moves the bytes, and why.

Small files are brought many at a time, by other programs too. What those brought is compared as if we had; what is missing
or wrong goes the way of a file alone, which has the errors that say what to do, and so do large files, which only we go
on with in the middle.
"""
from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tinytorch.errors import ConfigError, TransferError
from tinytorch.transfer.listing import digest_of, part_bytes_for
from tinytorch.transfer.location import DataLocation

if TYPE_CHECKING:
    from tinytorch.transfer.local import LocalArrival
    from tinytorch.transfer.moving import Mover
    from tinytorch.transfer.planning import Step

__all__ = ["Engine", "Rsync", "S5cmd", "Sftp", "chosen"]

_BATCH = 1000  # files that are brought by one call of another program
_FILES, _BYTES = 64, 1 << 20  # of a batch of ours, at most; a larger file is alone
_WORTH = 20  # small files for which another program is called at all
_LOOK = 0.1  # seconds between two looks at whether to stop


class Engine:
    """Our own: parts through this process."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason

    @contextmanager
    def at_work(self, mover: Mover, steps: Sequence[Step]) -> Iterator[Callable[[Step], str]]:
        """What sends one file."""
        yield mover.move


class _Batched(Engine):
    """The small files many at a time."""

    @contextmanager
    def at_work(self, mover: Mover, steps: Sequence[Step]) -> Iterator[Callable[[Step], str]]:
        with ThreadPoolExecutor(self.at_once(mover), thread_name_prefix="tinytorch-engine") as pool:
            coming: dict[str, Future[dict[str, str]]] = {}
            for batch in self.batches([step for step in steps if _is_small(step) and step.name and step.target and not mover.is_begun(step)]):
                future = pool.submit(self._bring, mover, batch)
                coming.update((step.name, future) for step in batch)

            def work(step: Step) -> str:
                if step.name in coming and (digest := coming[step.name].result().get(step.name)):
                    mover.counter.add(sent=step.found.size, files=1)
                    return digest
                return mover.move(step)

            try:
                yield work
            finally:
                pool.shutdown(cancel_futures=True)

    def at_once(self, mover: Mover) -> int:
        """How many batches may be under way."""
        raise NotImplementedError

    def batches(self, small: Sequence[Step]) -> Iterator[Sequence[Step]]:
        """The small files in portions. A kill may cost those that are under way."""
        raise NotImplementedError

    def _bring(self, mover: Mover, batch: Sequence[Step]) -> dict[str, str]:
        """Bring some files. Returns the SHA-256 of each that is in its place as it should be."""
        with suppress(TransferError, OSError):
            return {} if mover.stop else self.brought(mover, batch)
        return {}

    def brought(self, mover: Mover, batch: Sequence[Step]) -> dict[str, str]:
        """See `_bring`. Raises: TransferError, OSError if something is in the way of the batch."""
        raise NotImplementedError


class Sftp(_Batched):
    """Our own SFTP. The files of a batch are asked for together, so that a long line's delay is that of the batch, not of each file."""

    def at_once(self, mover: Mover) -> int:
        return mover.jobs

    def batches(self, small: Sequence[Step]) -> Iterator[Sequence[Step]]:
        batch: list[Step] = []
        for step in small:
            if batch and (len(batch) == _FILES or sum(one.found.size for one in batch) + step.found.size > _BYTES):
                yield batch
                batch = []
            batch.append(step)
        if batch:
            yield batch

    def brought(self, mover: Mover, batch: Sequence[Step]) -> dict[str, str]:
        from tinytorch.transfer.ssh import SshStore

        mover.throttle.take(sum(step.found.size for step in batch))
        if isinstance(mover.target, SshStore):
            contents = [mover.source.read(step.name, 0, step.found.size, step.found) for step in batch]
            are_right = mover.target.put_all([(step.target, step.found, data) for step, data in zip(batch, contents, strict=True)])
            return {step.name: digest_of(data, md5=False).sha256 for step, data, is_right in zip(batch, contents, are_right, strict=True) if is_right}
        host: Any = mover.source
        digests: dict[str, str] = {}
        for step, data in zip(batch, host.read_all([(step.name, step.found) for step in batch]), strict=True):
            if data is not None and not mover.stop:
                arrival, digest = mover.target.begin(step.target, step.found, len(data), None), digest_of(data, md5=False)
                if arrival.write(0, 0, data, digest):
                    arrival.finish({0: digest}, step.found.mtime)
                    digests[step.name] = digest.sha256
        return digests


class _Program(_Batched):
    """Another program, called for many files."""

    def at_once(self, mover: Mover) -> int:
        return 2

    def batches(self, small: Sequence[Step]) -> Iterator[Sequence[Step]]:
        return (small[at : at + _BATCH] for at in range(0, len(small), _BATCH))

    def brought(self, mover: Mover, batch: Sequence[Step]) -> dict[str, str]:
        self._call(mover, batch)
        return self.compared(mover, batch)

    def _call(self, mover: Mover, batch: Sequence[Step]) -> None:
        with tempfile.TemporaryFile() as list_of_files:
            command = self.command(mover, batch, list_of_files)
            if mover.stop or command is None:
                return
            list_of_files.seek(0)
            with suppress(OSError):  # it can't be run after all: the files go our way
                process = subprocess.Popen(
                    command, stdin=list_of_files, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=os.name != "nt"
                )
                while True:
                    try:
                        process.wait(_LOOK)
                        break
                    except subprocess.TimeoutExpired:
                        if mover.stop:
                            process.kill()

    def command(self, mover: Mover, batch: Sequence[Step], list_of_files: Any) -> list[str] | None:
        """What is called, with what it reads written to `list_of_files`; None if there is nothing to be called."""
        raise NotImplementedError

    def compared(self, mover: Mover, batch: Sequence[Step]) -> dict[str, str]:
        """By name, the SHA-256 of each file that is in its place as it should be."""
        raise NotImplementedError


class S5cmd(_Program):
    """s5cmd, between here and S3."""

    def command(self, mover: Mover, batch: Sequence[Step], list_of_files: Any) -> list[str]:
        s3: Any = mover.target if self.is_upload(mover) else mover.source
        for step in batch:
            key = f"s3://{s3.bucket}/{s3.key(step.target if self.is_upload(mover) else step.name)}"
            if self.is_upload(mover):
                local: Any = mover.source
                words = ["cp", "--raw", "--metadata", f"mtime={step.found.mtime:.6f}", str(local.path(step.name)), key]
            else:
                try:
                    words = ["cp", "--raw", key, str(self.arrival(mover, step).part)]
                except TransferError:  # our own way says it again
                    continue
            if not any("\n" in word for word in words):
                list_of_files.write((shlex.join(words) + "\n").encode("utf-8", "surrogateescape"))
        endpoint = s3.client.meta.endpoint_url
        there = [] if "amazonaws.com" in endpoint else ["--endpoint-url", endpoint]
        return ["s5cmd", *there, "--retry-count", "0", "--numworkers", str(max(mover.jobs, 8)), "run"]

    @staticmethod
    def is_upload(mover: Mover) -> bool:
        from tinytorch.transfer.s3 import S3Store

        return isinstance(mover.target, S3Store)

    @staticmethod
    def arrival(mover: Mover, step: Step) -> LocalArrival:
        target: Any = mover.target
        arrival: LocalArrival = target.begin(step.target, step.found, part_bytes_for(step.found.size), None)
        return arrival

    def compared(self, mover: Mover, batch: Sequence[Step]) -> dict[str, str]:
        if not self.is_upload(mover):
            return {step.name: taken for step in batch if (taken := self._taken(mover, step))}
        target: Any = mover.target
        there = target.between(batch[0].target, batch[-1].target)
        right: dict[str, str] = {}
        for step in batch:
            if step.target in there:
                digest = digest_of(mover.source.read(step.name, 0, step.found.size, step.found), md5=True)
                if digest.md5 == there[step.target].etag and (target.verify != "read" or target.sha256(step.target, there[step.target]) == digest.sha256):
                    right[step.name] = digest.sha256
        return right

    @staticmethod
    def _taken(mover: Mover, step: Step) -> str | None:
        """Put a file in its place that s5cmd has brought beside it, if it is right. Returns its SHA-256."""
        from tinytorch.transfer.local import LocalArrival

        local: Any = mover.target
        with suppress(TransferError, OSError):
            arrival = LocalArrival(local, local.path(step.target), step.found, part_bytes_for(step.found.size), is_new=False)
            data = arrival.part.read_bytes()
            digest = digest_of(data, md5=True)
            if len(data) == step.found.size and not mover.source.unproved(step.name, step.found, {0: digest}):
                arrival.finish({0: digest}, mover.source.detailed(step.name, step.found).mtime)
                return digest.sha256
        return None


class Rsync(_Program):
    """rsync over ssh, between here and a host."""

    def command(self, mover: Mover, batch: Sequence[Step], list_of_files: Any) -> list[str] | None:
        from tinytorch.transfer.ssh import SshStore

        list_of_files.write(b"\0".join(step.name.encode("utf-8", "surrogateescape") for step in batch))
        host: Any = mover.target if isinstance(mover.target, SshStore) else mover.source
        is_upload = host is mover.target
        local: Any = mover.source if is_upload else mover.target
        with suppress(TransferError):
            if is_upload:
                host.make_folders(host.root)
            else:
                local.root.mkdir(parents=True, exist_ok=True)
            *ssh, name = host.command
            remote = f"{f'[{name}]' if ':' in name else name}:{host.root}/"
            sides = (f"{local.root}/", remote) if is_upload else (remote, f"{local.root}/")
            return ["rsync", "-t", "-O", "-s", "--no-motd", "--from0", "--files-from=-", "-e", shlex.join(ssh), "--", *sides]
        return None

    def compared(self, mover: Mover, batch: Sequence[Step]) -> dict[str, str]:
        from tinytorch.transfer.ssh import SshStore

        is_upload = isinstance(mover.target, SshStore)
        host: Any = mover.target if is_upload else mover.source
        local: Any = mover.source if is_upload else mover.target
        hashes = host.hashes([step.target if is_upload else step.name for step in batch])
        right: dict[str, str] = {}
        for step, there in zip(batch, hashes, strict=True):
            with suppress(TransferError, OSError):
                name = step.name if is_upload else step.target
                data = local.read(name, 0, step.found.size, step.found if is_upload else local.found(name))
                if digest_of(data, md5=False).sha256 == there:
                    right[step.name] = there
        return right


def _is_small(step: Step) -> bool:
    return step.found.size <= part_bytes_for(step.found.size)


def chosen(engine: str, places: tuple[DataLocation, DataLocation], steps: Sequence[Step], *, bandwidth: float | None) -> Engine:
    """The engine for two places and what is to be sent.

    Raises: ConfigError if the one that is asked for can't do that.
    """
    kinds = {place.kind for place in places}
    ours = " and ".join(name for kind, name in (("s3", "boto3"), ("ssh", "sftp")) if kind in kinds) or "copy"
    why = "both are on this machine" if ours == "copy" else "it streams through this machine, and nothing stays here" if "local" not in kinds else ""
    other = {frozenset({"local", "s3"}): S5cmd, frozenset({"local", "ssh"}): Rsync}.get(frozenset(kinds))
    name = other.__name__.lower() if other else ""
    if engine not in ("auto", name, *ours.split(" and ")):
        raise ConfigError(f"--engine {engine} can't be used between {places[0]} and {places[1]}: there it is {' or '.join(filter(None, (name, ours)))}")
    if other is None or engine in ours.split(" and "):
        return (Sftp if other is Rsync else Engine)(ours, why or "it was asked for")
    is_there = shutil.which(name) is not None
    if engine == name:
        if not is_there:
            raise ConfigError(f"--engine {name}: there is no {name} on the PATH. Install it, or leave --engine out")
        if bandwidth is not None:
            raise ConfigError(f"--engine {name} and --bandwidth don't go together: leave one of them out")
        return other(name, f"it was asked for; large files go by {ours}, which goes on inside a file")
    if other is Rsync:  # measured: comparing included, it takes longer
        return Sftp(ours, "it goes on inside a file, and compares as it sends")
    small = sum(map(_is_small, steps))
    if not is_there:
        return Engine(ours, f"{name} is not on the PATH" if small >= _WORTH else "it goes on inside a file")
    if bandwidth is not None:
        return Engine(ours, "it keeps to a bandwidth")
    if small < _WORTH:
        return Engine(ours, "it goes on inside a file")
    if places[0].kind == "s3":  # measured: with the times asked for afterwards, s5cmd takes longer
        return Engine(ours, "it brings the files' times, which s5cmd doesn't tell")
    return other(name, f"it is there, and fast with {small} small files" + (f"; the large ones go by {ours}" if small < len(steps) else ""))
