"""A folder or a file of a host that ssh reaches."""
from __future__ import annotations

import hashlib
import posixpath
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tinytorch.errors import TransferError
from tinytorch.files import readable_size
from tinytorch.retry import RetryPolicy
from tinytorch.transfer.listing import (
    PART,
    Data,
    Digest,
    Found,
    Listing,
    changed,
    is_part_name,
    part_bytes_for,
    part_name,
    spans,
)
from tinytorch.transfer.location import DataLocation
from tinytorch.transfer.sftp import Attributes, Connection, Refused, Shell, Ways, ssh_command

__all__ = ["SshArrival", "SshStore"]


class SshStore:
    """Files below a path of a host, over as many SFTP sessions as there are threads that use it at a time.

    Those for parts of large files have connections of their own, which together are faster than one over a long line.
    """

    mtime_step = 1.0  # SFTP's times are whole seconds

    def __init__(self, place: DataLocation, links: str, policy: RetryPolicy) -> None:
        self.place, self.root, self.links, self.policy = str(place), place.path, links, policy
        self.command = ssh_command(place.host, place.user, place.port)
        self.lock = threading.Lock()
        self.opening = threading.Semaphore(2)  # a host turns away who knocks ten times at once
        self.ways = Ways(self.command)
        self.idle: dict[bool, list[Connection]] = {False: [], True: []}  # whether they have a connection of their own
        self.shells: list[Shell] = []
        self.has_tool: bool | None = None  # whether the host can compute SHA-256; None: not known yet
        self.made: set[str] = set()  # folders
        try:
            self.idle[False].append(Connection(self.ways.shared, self.place))  # logs in while this process gets ready
        except BaseException:
            self.ways.close()
            raise

    def path(self, name: str) -> str:
        return posixpath.join(self.root, name) if name else self.root

    @contextmanager
    def connected(self, *, alone: bool = False) -> Iterator[Connection]:
        """A session for this thread. One that was lost is not used again."""
        idle = self.idle[alone]
        with self.lock:
            connection = idle.pop() if idle else None
        if connection is None:
            with self.opening:
                connection = Connection(self.ways.alone if alone else self.ways.shared, self.place)
                connection.greet()
        else:
            connection.greet()
        try:
            yield connection
        except Refused:
            self._keep(connection, idle)
            raise
        except BaseException:
            connection.close()
            raise
        self._keep(connection, idle)

    def _keep(self, connection: Connection, idle: list[Connection]) -> None:
        with self.lock:
            idle.append(connection)

    # --- what is there ------------------------------------------------------------------------------------------------

    def listing(self) -> Listing:
        return self.policy.call(self._listing)

    def _listing(self) -> Listing:
        found = Listing()
        with self.connected() as connection:
            try:
                root = connection.attributes(self.root)
            except Refused as error:
                if error.is_missing:
                    return found
                raise self._named(error) from error
            if root.kind != stat.S_IFDIR:
                found.is_file, found.files[""] = True, _found(root)
                return found
            found.folders.add("")
            try:
                self._walk(connection, self.root, "", found, (connection.real_path(self.root),))
            except Refused as error:
                raise self._named(error) from error
        return found

    def _walk(self, connection: Connection, folder: str, prefix: str, listing: Listing, above: tuple[str, ...]) -> bool:
        """Take in a folder. Whether there is a file in it."""
        is_full = False
        for base, attributes in connection.names(folder):
            name, path = prefix + base, posixpath.join(folder, base)
            if is_part_name(name):
                continue
            if attributes.kind == stat.S_IFLNK:
                if why := self._not_followed(connection, path, above):
                    listing.links[name] = why
                    continue
                attributes = connection.attributes(path)
            if attributes.kind == stat.S_IFDIR:
                listing.folders.add(name)
                if self._walk(connection, path, f"{name}/", listing, (*above, connection.real_path(path))):
                    is_full = True
                else:
                    listing.empty.add(name)
            elif attributes.kind == stat.S_IFREG:
                listing.files[name] = _found(attributes)
                is_full = True
            else:
                listing.links[name] = "it is neither a file nor a folder"
        return is_full

    def _not_followed(self, connection: Connection, path: str, above: tuple[str, ...]) -> str | None:
        """Why a link isn't followed; None if it is."""
        if self.links == "refuse":
            raise TransferError(f"{self.place}: {path} is a link, and links are refused. Leave them out (skip), or take what they lead to (follow)", retryable=False)
        if self.links == "skip":
            return "a link"
        try:
            connection.attributes(path)
            target = connection.real_path(path)
        except Refused as error:
            return f"a link to what can't be read ({error})"
        if not _is_below(target, above[0]):
            return f"a link to {target}, which is outside of {self.root}"
        return f"a link to {target}, a folder that it is in" if any(_is_below(folder, target) for folder in above) else None

    def _named(self, error: Refused) -> TransferError:
        return TransferError(f"{self.place}: {error}. Mend that, and run the same again", retryable=False)

    def detailed(self, name: str, found: Found) -> Found:
        return found

    def merges_case(self) -> bool:
        with self.connected() as connection:
            path = connection.real_path(".") if self.root == "." else posixpath.join(connection.real_path("."), self.root)
            while path != "/":
                folder, base = posixpath.split(path)
                if base.swapcase() != base and _is_there(connection, path):
                    return _is_there(connection, posixpath.join(folder, base.swapcase()))
                path = folder
        return False

    def free(self) -> int | None:
        with self.connected() as connection:
            path = posixpath.join(connection.real_path("."), self.root)
            while not _is_there(connection, path) and path != "/":
                path = posixpath.dirname(path)
            return connection.free(path)

    def refusal(self, name: str) -> str | None:
        return "it would lead to another place" if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name else None

    # --- checksums ----------------------------------------------------------------------------------------------------

    @contextmanager
    def shell(self) -> Iterator[Shell | None]:
        """A shell that can compute SHA-256; None if the host lets us have none."""
        with self.lock:
            shell = self.shells.pop() if self.shells else None
        if shell is None and self.has_tool is not False:
            with self.opening:
                try:
                    shell = Shell(self.ways.shared, self.place)
                except TransferError as error:
                    if self.has_tool or error.retryable is False:
                        raise
            self.has_tool = shell is not None and shell.tool is not None
        if not self.has_tool or shell is None:
            if shell:
                shell.close()
            yield None
            return
        try:
            yield shell
        except BaseException:
            shell.close()
            raise
        with self.lock:
            self.shells.append(shell)

    def sha256(self, name: str, found: Found) -> str:
        def ask() -> str:
            with self.shell() as shell:
                return shell.hashes_of([self.path(name)])[0] if shell else ""

        if known := self.policy.call(ask):
            return known
        hashed = hashlib.sha256()
        for start, end in spans(found.size, part_bytes_for(found.size)):
            hashed.update(self.policy.call(lambda start=start, end=end: self.read(name, start, end, found)))  # type: ignore[misc]
        return hashed.hexdigest()

    def hashes(self, names: list[str]) -> list[str]:
        """SHA-256 of several small files, an empty text for what isn't known."""
        with self.shell() as shell:
            return shell.hashes_of([self.path(name) for name in names]) if shell else [""] * len(names)

    # --- out of it ----------------------------------------------------------------------------------------------------

    def read(self, name: str, start: int, end: int, found: Found) -> Data:
        with self.connected(alone=end - start < found.size) as connection:
            try:
                data = connection.read(self.path(name), start, end, (found.size, int(found.mtime)))
            except Refused as error:
                raise self._named(error) from error
        if data is None:
            raise changed(f"{self.place}/{name}".rstrip("/"))
        return data

    def read_all(self, files: Sequence[tuple[str, Found]]) -> list[Data | None]:
        """The contents of small files; None for one that isn't as it was found any more."""
        with self.connected() as connection:
            return [*connection.take([(self.path(name), found.size, int(found.mtime)) for name, found in files])]

    def part_bytes(self, name: str, found: Found) -> int:
        return part_bytes_for(found.size)

    def unproved(self, name: str, found: Found, digests: Mapping[int, Digest]) -> str | None:
        return None

    # --- into it ------------------------------------------------------------------------------------------------------

    def begin(self, name: str, found: Found, part_bytes: int, state: Mapping[str, Any] | None) -> SshArrival:
        self.make_folders(posixpath.dirname(self.path(name)))
        arrival = SshArrival(self, self.path(name), found, part_bytes)
        if not arrival.is_small:
            with self.connected() as connection:
                try:
                    connection.write(arrival.part, 0, b"", is_new=state is None)
                except Refused as error:
                    raise self.full_or(error, connection, arrival.part, 1) from error
        return arrival

    def put_all(self, files: Sequence[tuple[str, Found, Data]]) -> list[bool]:
        """Put small files in their places. Returns of each whether it arrived as it was sent; if not, it isn't there."""
        arrivals = [self.begin(name, found, PART, None) for name, found, _ in files]
        contents = [data for _, _, data in files]
        with self.connected() as connection:
            back = connection.put([(arrival.part, data, arrival.found.mtime) for arrival, data in zip(arrivals, contents, strict=True)])
            are_right = [one == data for one, data in zip(back, contents, strict=True)]
            connection.rename(*((arrival.part, arrival.path) for arrival, is_right in zip(arrivals, are_right, strict=True) if is_right))
        return are_right

    def make_folders(self, folder: str) -> None:
        with self.lock:
            if folder in self.made or folder in ("", "/", "."):
                return
        with self.connected() as connection:
            parts = folder.split("/")
            for end in range(1, len(parts) + 1):
                if (head := "/".join(parts[:end])) and not _is_there(connection, head):
                    try:
                        connection.make_folder(head)
                    except Refused as error:
                        raise self._named(error) from error
        with self.lock:
            self.made.add(folder)

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        if is_part_name(part := str(state.get("part"))):
            with self.connected() as connection:
                connection.remove(posixpath.join(posixpath.dirname(self.path(name)), part))

    def delete(self, name: str) -> None:
        with self.connected() as connection:
            try:
                connection.remove(self.path(name))
            except Refused as error:
                raise self._named(error) from error

    def full_or(self, error: Refused, connection: Connection, path: str, needed: int) -> TransferError:
        """What to say of a write that failed: SFTP has no word for a full disk."""
        free = connection.free(posixpath.dirname(path) or ".")
        if free is not None and free < needed:
            return TransferError(f"{self.place}: no space is left on the host ({readable_size(free)}). What has arrived is kept: make room, and run the same again to go on", retryable=False)
        return self._named(error)

    def close(self) -> None:
        with self.lock:
            for process in (*self.shells, *self.idle[True], *self.idle[False]):
                process.close()
            self.shells, self.idle = [], {False: [], True: []}
            self.ways.close()


class SshArrival:
    """A file beside its place on the host, which takes it when it is whole."""

    def __init__(self, store: SshStore, path: str, found: Found, part_bytes: int) -> None:
        self.store, self.path, self.found, self.part_bytes = store, path, found, part_bytes
        folder, base = posixpath.split(path)
        self.part = posixpath.join(folder, part_name(base, hashlib.sha256(f"{base}\0{found.identity}".encode("utf-8", "surrogateescape")).hexdigest()))
        self.is_small = found.size <= min(part_bytes, PART)
        self.is_tried = False  # whether the answer to an earlier try may have been lost
        self.state: dict[str, Any] = {"part": posixpath.basename(self.part)}

    def write(self, number: int, start: int, data: Data, digest: Digest) -> bool | None:
        with self.store.connected(alone=not self.is_small) as connection:
            try:
                if self.is_small:  # reading it back takes less than a process on the host
                    return connection.put([(self.part, data, self.found.mtime)]) == [data]
                connection.write(self.part, start, data, is_new=False)
                return None
            except Refused as error:
                raise self.store.full_or(error, connection, self.part, len(data)) from error

    def wrong(self, digests: Mapping[int, Digest]) -> list[int]:
        numbers = sorted(digests)
        with self.store.connected() as connection:
            size = connection.attributes(self.part).size
        if size > self.found.size:
            return numbers
        there = [number for number in numbers if self._span(number)[1] <= size]
        with self.store.shell() as shell:
            hashes = shell.hashes(self.part, self.part_bytes, there) if shell else None
        right = {number for number, found in zip(there, hashes or map(self._read, there), strict=True) if found == digests[number].sha256}
        return [number for number in numbers if number not in right]

    def _span(self, number: int) -> tuple[int, int]:
        return number * self.part_bytes, min((number + 1) * self.part_bytes, self.found.size)

    def _read(self, number: int) -> str:
        """SHA-256 of a part that is read back."""
        with self.store.connected(alone=True) as connection:
            return hashlib.sha256(connection.read(self.part, *self._span(number)) or b"").hexdigest()

    def finish(self, digests: Mapping[int, Digest], mtime: float) -> None:
        with self.store.connected() as connection:
            try:
                if self.is_tried and not _is_there(connection, self.part):
                    return  # it is in its place
                self.is_tried = True
                if not self.is_small or int(mtime) != int(self.found.mtime):
                    connection.settle(self.part, mtime)
                connection.rename((self.part, self.path))
            except Refused as error:
                raise self.store.full_or(error, connection, self.part, 1) from error


def _found(attributes: Attributes) -> Found:
    return Found(attributes.size, float(attributes.mtime))


def _is_there(connection: Connection, path: str) -> bool:
    try:
        connection.attributes(path, follow=False)
    except Refused as error:
        if error.is_missing:
            return False
        raise
    return True


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
