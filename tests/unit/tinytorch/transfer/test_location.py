from __future__ import annotations

from pathlib import Path

import pytest

from tinytorch.errors import ConfigError
from tinytorch.transfer import DataLocation


@pytest.mark.parametrize(
    "text",
    ["s3://bucket/a b/c", "s3://bucket", "ssh://host/path", "ssh://me@host:2222/a b", "ssh://host/~/data", "ssh://[::1]:22/x", "ssh://h/a?b#c"],
)
def test_an_address_is_read_and_written(text: str) -> None:
    assert str(DataLocation.parse(text)) == text
    assert DataLocation.parse(str(DataLocation.parse(text))) == DataLocation.parse(text)


def test_a_path_is_absolute_and_knows_that_it_was_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert DataLocation.parse("a b/") == DataLocation("local", str(tmp_path / "a b"), is_folder=True)
    assert DataLocation.parse((tmp_path / "x").as_uri()).path == str(tmp_path / "x")
    assert not DataLocation.parse("a").is_folder


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no place"), ("s3://", "no name of a bucket"), ("s3:///x", "no name of a bucket"), ("gs://b/x", "gs:// isn't known"),
        ("ssh://host", "expected ssh://"), ("ssh:///path", "expected ssh://"), ("ssh://-oProxyCommand=x/path", "expected ssh://"),
        ("ssh://-x@host/path", "expected ssh://"), ("ssh://me:secret@host/path", "password"), ("ssh://host:port/path", "expected ssh://"),
    ],
)  # fmt: skip
def test_what_names_no_place_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        DataLocation.parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("text", "path"), [("ssh://host/~/", "."), ("ssh://host/~/a/", "a"), ("ssh://host/~a", "/~a"), ("ssh://host/", "/")])
def test_a_path_on_a_host_begins_at_its_root_or_in_the_home_folder(text: str, path: str) -> None:
    assert DataLocation.parse(text).path == path
