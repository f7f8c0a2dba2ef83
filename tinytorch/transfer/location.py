"""Where files are: a folder or file here, in a bucket of S3, or on a host that ssh reaches."""
from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from tinytorch.errors import ConfigError
from tinytorch.places import local_path

__all__ = ["DataLocation"]

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]+")  # never what ssh would take for an option
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@\\-]*")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")


@dataclass(frozen=True)
class DataLocation:
    """A place that files come from or go to.

    >>> DataLocation.parse("s3://bucket/train/")
    DataLocation(kind='s3', path='train', bucket='bucket', host='', user='', port=None, is_folder=True)
    >>> str(DataLocation.parse("ssh://me@gpu1:2222/~/data"))
    'ssh://me@gpu1:2222/~/data'
    """

    kind: str  # "local", "s3" or "ssh"
    path: str  # of S3 the prefix, without a slash at either end
    bucket: str = ""
    host: str = ""
    user: str = ""
    port: int | None = None
    is_folder: bool = False  # whether it was written with a slash at its end

    @classmethod
    def parse(cls, text: str) -> DataLocation:
        """The place that a path, `file://...`, `s3://bucket/prefix` or `ssh://[user@]host[:port]/path` names.

        Raises: ConfigError if it names none.
        """
        if not text or "\0" in text:
            raise ConfigError(f"{text!r} is no place: name a path, s3://bucket/prefix or ssh://[user@]host[:port]/path")
        scheme, found, rest = text.partition("://")
        is_folder = text.endswith(("/", "\\") if not found else "/")
        if not found or scheme == "file":
            path = local_path(text) if found else Path(text).expanduser()
            return cls("local", str(path.absolute()), is_folder=is_folder)
        if scheme == "s3":
            bucket, _, prefix = rest.partition("/")
            if not _BUCKET.fullmatch(bucket):
                raise ConfigError(f"{text}: {bucket!r} is no name of a bucket; expected s3://bucket/prefix")
            return cls("s3", prefix.strip("/"), bucket=bucket, is_folder=is_folder or not prefix)
        if scheme == "ssh":
            return cls._on_host(text, is_folder)
        raise ConfigError(f"{text}: {scheme}:// isn't known. Name a path, s3://bucket/prefix or ssh://[user@]host[:port]/path")

    @classmethod
    def _on_host(cls, text: str, is_folder: bool) -> DataLocation:
        try:
            parts = urlsplit(text.replace("?", "%3F").replace("#", "%23"))  # both may stand in the names of files
            host, user, port = parts.hostname or "", unquote(parts.username or ""), parts.port
        except ValueError as error:
            raise ConfigError(f"{text}: {error}; expected ssh://[user@]host[:port]/path") from error
        if parts.password is not None:
            raise ConfigError("an address with a password is refused, since others can read it in the list of processes. Use a key: ssh-copy-id")
        if not _HOST.fullmatch(host) or (user and not _USER.fullmatch(user)) or parts.path in ("", "/~"):
            raise ConfigError(f"{text}: expected ssh://[user@]host[:port]/path, with /~/path for a path below the home folder")
        path = unquote(parts.path)
        path = path[3:].rstrip("/") or "." if path.startswith("/~/") else path.rstrip("/") or "/"
        return cls("ssh", path, host=host, user=user, port=port, is_folder=is_folder)

    def __str__(self) -> str:
        if self.kind == "local":
            return self.path
        if self.kind == "s3":
            return f"s3://{self.bucket}/{self.path}".rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        path = self.path if self.path.startswith("/") else f"/~/{self.path}"
        return f"ssh://{quote(self.user, safe='@') + '@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}{path}"
