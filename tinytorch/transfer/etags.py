"""What S3 says about an object's content: the MD5 of its bytes, or the MD5 of the MD5s of its parts."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from tinytorch.transfer.listing import PART, part_bytes_for, spans

__all__ = ["etag_of", "matches", "parts_in"]

_FORM = re.compile(r"([0-9a-f]{32})(?:-(\d+))?")
_SIZES = (PART, 5 << 20, 16 << 20, 50 << 20, 64 << 20, 100 << 20)  # of parts, as programs choose them: ours, boto3 and aws 8 MiB, s5cmd 50


def parts_in(etag: str) -> int | None:
    """How many parts an object was sent in; 0 if in one piece, None if the ETag tells nothing about the content."""
    form = _FORM.fullmatch(etag)
    return int(form[2] or 0) if form else None


def etag_of(md5s: Iterable[str], *, in_parts: bool) -> str:
    """The ETag of an object whose parts have these MD5s.

    >>> etag_of(["d41d8cd98f00b204e9800998ecf8427e"], in_parts=False)
    'd41d8cd98f00b204e9800998ecf8427e'
    >>> etag_of(["d41d8cd98f00b204e9800998ecf8427e"], in_parts=True)
    '59adb24ef3cdbe0297f05b395827453f-1'
    """
    listed = list(md5s)
    if not in_parts:
        assert len(listed) == 1
        return listed[0]
    return f"{hashlib.md5(b''.join(map(bytes.fromhex, listed)), usedforsecurity=False).hexdigest()}-{len(listed)}"


def matches(path: Path, etag: str, size: int) -> bool:
    """Whether a file has the content that an ETag tells of. False too if it tells nothing."""
    count = parts_in(etag)
    if count is None:
        return False
    sizes = {size or 1} if count == 0 else {bytes_ for bytes_ in (*_SIZES, part_bytes_for(size)) if len(spans(size, bytes_)) == count}
    return any(etag_of(_md5s(path, size, bytes_), in_parts=count > 0) == etag for bytes_ in sorted(sizes))


def _md5s(path: Path, size: int, part_bytes: int) -> Iterable[str]:
    with path.open("rb", buffering=0) as file:
        for start, end in spans(size, part_bytes):
            hashed, left = hashlib.md5(usedforsecurity=False), end - start
            while left > 0 and (block := file.read(min(left, 1 << 20))):
                hashed.update(block)
                left -= len(block)
            yield hashed.hexdigest()
