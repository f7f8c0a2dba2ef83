"""A folder or a file of this machine."""
from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinytorch import files
from tinytorch.errors import TransferError
from tinytorch.transfer.listing import Data, Digest, Found, Listing, changed, is_part_name, part_bytes_for, part_name

__all__ = ["LocalArrival", "LocalStore"]

_BLOCK = 1 << 20  # bytes that are compared, or hashed, at a time
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{name}{number}" for name in ("COM", "LPT") for number in range(1, 10))}


class LocalStore:
    """Files below `root`. A link is followed only with `links="follow"`, and only if it leads to something below `root`."""

    mtime_step = 1e-6

    def __init__(self, root: Path, links: str = "skip") -> None:
        self.root = root
        self.place = str(root)
        self.links = links
        self.touched: set[Path] = set()  # folders with names that may not be on the disk yet

    def path(self, name: str) -> Path:
        return self.root / name if name else self.root

    # --- what is there ------------------------------------------------------------------------------------------------

    def listing(self) -> Listing:
        found = Listing()
        with _explained(self.place, "read"):
            if not os.path.lexists(self.root):
                return found
            self.root.stat()  # a link that leads nowhere is told
            if self.root.is_file():
                found.is_file, found.files[""] = True, _found(self.root.stat())
                return found
            if not self.root.is_dir():
                raise TransferError(f"{self.root} is neither a file nor a folder", retryable=False)
            found.folders.add("")
            self._walk(self.root, "", found, (os.path.realpath(self.root),))
        return found

    def _walk(self, folder: Path, prefix: str, listing: Listing, above: tuple[str, ...]) -> bool:
        """Take in a folder. Whether there is a file in it."""
        is_full = False
        with _explained(str(folder), "read"), os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = prefix + entry.name
                if is_part_name(name):
                    continue
                if (entry.is_symlink() or _is_junction(entry)) and (why := self._not_followed(entry, above)):
                    listing.links[name] = why
                elif entry.is_dir():
                    listing.folders.add(name)
                    if self._walk(Path(entry.path), f"{name}/", listing, (*above, os.path.realpath(entry.path))):
                        is_full = True
                    else:
                        listing.empty.add(name)
                elif entry.is_file():
                    listing.files[name] = _found(entry.stat())
                    is_full = True
                else:
                    listing.links[name] = "it is neither a file nor a folder"
        return is_full

    def _not_followed(self, entry: os.DirEntry[str], above: tuple[str, ...]) -> str | None:
        """Why a link isn't followed; None if it is."""
        target = os.path.realpath(entry.path)
        if self.links == "refuse":
            raise TransferError(f"{entry.path} is a link to {target}, and links are refused. Leave them out (skip), or take what they lead to (follow)", retryable=False)
        if self.links == "skip":
            return f"a link to {target}"
        if not os.path.exists(target):  # noqa: PTH110  # a path that realpath has made
            return f"a link to {target}, which isn't there"
        if not _is_below(target, above[0]):
            return f"a link to {target}, which is outside of {self.root}"
        return f"a link to {target}, a folder that it is in" if any(_is_below(folder, target) for folder in above) else None

    def detailed(self, name: str, found: Found) -> Found:
        return found

    def sha256(self, name: str, found: Found) -> str:
        with _explained(str(self.path(name)), "read"):
            return files.hash_of(self.path(name)).hexdigest()

    def merges_case(self) -> bool:
        """Whether the folder, or the next one above it that is there, is found under a name in the other case too."""
        path = next(path for path in (Path(os.path.realpath(self.root)), *Path(os.path.realpath(self.root)).parents) if path.exists())
        while path.name.swapcase() == path.name and path != path.parent:
            path = path.parent
        other = path.with_name(path.name.swapcase()) if path.name else path
        return os.name == "nt" if other == path else other.exists() and other.samefile(path)

    def free(self) -> int | None:
        return files.free_space(self.root)

    def refusal(self, name: str) -> str | None:
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\0" in name:
            return "it would lead to another place"
        if os.name == "nt":
            for part in parts:
                if any(character in '<>:"\\|?*' or ord(character) < 32 for character in part) or part[-1] in ". ":
                    return "Windows has no such names"
                if part.partition(".")[0].upper() in _RESERVED:
                    return "Windows keeps that name for itself"
        return None

    def found(self, name: str) -> Found:
        """A file as it is now."""
        return _found(self.path(name).stat())

    # --- out of it ----------------------------------------------------------------------------------------------------

    def read(self, name: str, start: int, end: int, found: Found) -> Data:
        path = self.path(name)
        with _explained(str(path), "read"), path.open("rb", buffering=0) as file:
            if _found(os.fstat(file.fileno())) != found:
                raise changed(str(path))
            file.seek(start)
            data = bytearray(end - start)
            view, at = memoryview(data), 0
            while at < len(data) and (count := file.readinto(view[at:])):
                at += count
            if at < len(data) or _found(os.fstat(file.fileno())) != found:
                raise changed(str(path))
        return data

    def part_bytes(self, name: str, found: Found) -> int:
        return part_bytes_for(found.size)

    def unproved(self, name: str, found: Found, digests: Mapping[int, Digest]) -> str | None:
        return None

    # --- into it ------------------------------------------------------------------------------------------------------

    def begin(self, name: str, found: Found, part_bytes: int, state: Mapping[str, Any] | None) -> LocalArrival:
        path = self.path(name)
        with _explained(str(path), "written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            inside = self.root if name else self.root.parent
            if not _is_below(os.path.realpath(path.parent), os.path.realpath(inside)):
                raise TransferError(f"{path}: a link on its way leads out of {self.root}. Remove the link, or send to the place it leads to", retryable=False)
            if name and path.is_symlink():
                raise TransferError(f"{path} is a link, and links are not followed there. Remove it, and run the same again", retryable=False)
            if path.is_dir():
                raise TransferError(f"{path} is a folder, and a file is to take its place. Rename one of them", retryable=False)
            return LocalArrival(self, path, found, part_bytes, is_new=state is None)

    def discard(self, name: str, state: Mapping[str, Any]) -> None:
        if is_part_name(part := str(state.get("part"))):
            with _explained(str(self.path(name)), "written"):
                self.path(name).with_name(part).unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        with _explained(str(self.path(name)), "removed"):
            self.path(name).unlink(missing_ok=True)

    def close(self) -> None:
        with _explained(self.place, "written"):
            for folder in self.touched:
                files.flush_folder(folder)


class LocalArrival:
    """A file beside its place, which takes it when it is whole."""

    def __init__(self, store: LocalStore, path: Path, found: Found, part_bytes: int, *, is_new: bool) -> None:
        self.store, self.path = store, path
        self.found = found
        self.part_bytes = part_bytes
        self.part = path.with_name(part_name(path.name, hashlib.sha256(f"{path.name}\0{found.identity}".encode("utf-8", "surrogateescape")).hexdigest()))
        self.state: dict[str, Any] = {"part": self.part.name}
        if is_new or not self.part.exists():
            self.part.unlink(missing_ok=True)
            self.part.open("xb").close()
        elif self.part.stat().st_size > found.size:
            os.truncate(self.part, found.size)

    def write(self, number: int, start: int, data: Data, digest: Digest) -> bool:
        with _explained(str(self.part), "written"), self.part.open("r+b", buffering=0) as file:
            _put(file, start, data)
            file.seek(start)
            pieces = (data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK))
            return all(file.read(len(piece)) == piece for piece in pieces)

    def wrong(self, digests: Mapping[int, Digest]) -> list[int]:
        with _explained(str(self.part), "read"), self.part.open("rb", buffering=0) as file:
            buffer = memoryview(bytearray(_BLOCK))
            return [number for number, digest in digests.items() if self._hash(file, number, buffer) != digest.sha256]

    def _hash(self, file: Any, number: int, buffer: memoryview) -> str:
        hashed, left = hashlib.sha256(), min(self.part_bytes, self.found.size - number * self.part_bytes)
        file.seek(number * self.part_bytes)
        while left > 0 and (count := file.readinto(buffer[:left])):
            hashed.update(buffer[:count])
            left -= count
        return hashed.hexdigest()

    def finish(self, digests: Mapping[int, Digest], mtime: float) -> None:
        with _explained(str(self.path), "written"):
            os.utime(self.part, (mtime, mtime))
            files.publish(self.part, self.path, at_once=False)
            self.store.touched.add(Path(os.path.realpath(self.path)).parent)


def _put(file: Any, start: int, data: Data) -> None:
    file.seek(start)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _found(facts: os.stat_result) -> Found:
    return Found(facts.st_size, facts.st_mtime_ns / 1e9)


def _is_junction(entry: os.DirEntry[str]) -> bool:
    """Windows has links of a second kind, which `is_symlink` doesn't know."""
    return os.name == "nt" and bool(getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0)) and stat.S_ISDIR(entry.stat().st_mode)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


@contextmanager
def _explained(what: str, verb: str) -> Iterator[None]:
    try:
        yield
    except TransferError:
        raise
    except OSError as error:
        if files.is_full(error):
            raise TransferError(f"{what}: no space is left. What has arrived is kept: make room, and run the same again to go on", retryable=False) from error
        raise TransferError(f"{what} can't be {verb}: {error.strerror or error}. Mend that, and run the same again to go on", retryable=False) from error
