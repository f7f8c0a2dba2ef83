"""What a rule names, and what is no rule."""
from __future__ import annotations

from pathlib import Path

import pytest

from pytest_tinytorch.cleanup import protection
from tinytorch.cloud.aws import Prefix
from tinytorch.cloud.resource import CloudResource
from tinytorch.errors import ConfigError


def resource(id: str = "vol-0abc", name: str = "data", **tags: str) -> CloudResource:
    return CloudResource("aws", "volume", id, name, "", "", "", None, tags, None, None)


@pytest.mark.parametrize(
    "rule, path, is_protected",
    [
        (".tito/backups/03_*", ".tito/backups/03_layers_20250101_000000.py", True),
        (".tito/backups", ".tito/backups/03_layers_20250101_000000.py", True),
        (".tito/backups/", ".tito/backups/03_layers_20250101_000000.py", True),
        ("*.py", ".tito/backups/03_layers.py", True),
        ("03_layers.PY", ".tito/backups/03_layers.py", True),
        ("./.tito/backups", ".tito/backups/03_layers.py", True),
        ("/*/03_layers.py", ".tito/backups/03_layers.py", True),
        ("backups", ".tito/backups/03_layers.py", False),
        (".tito/backup", ".tito/backups/03_layers.py", False),
        ("03_layers", ".tito/backups/03_layers.py", False),
        ("[x]", "x", True),
        ("[", "[", True),
    ],
)
def test_a_rule_means_the_whole_of_what_it_names_and_what_is_below(tmp_path: Path, rule: str, path: str, is_protected: bool):
    rules = protection.read(tmp_path, [rule])
    assert bool(rules.of_path(tmp_path / path)) == is_protected


def test_a_whole_path_may_lead_over_links_and_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "real" / "cache").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for rule in (f"{tmp_path}/link/cache", f"{tmp_path}/link/c*/x", "~/link/cache/*", "~/real/"):
        assert protection.read(tmp_path / "ws", [rule]).of_path(tmp_path / "real" / "cache" / "x"), rule


def test_a_rule_about_something_in_a_folder_protects_the_folder(tmp_path: Path):
    rules = protection.read(tmp_path, ["old/.tito/progress.json"])
    assert rules.of_path(tmp_path / "old", [".tito", ".tito/progress.json"]) and not rules.of_path(tmp_path / "old", [".tito"])


@pytest.mark.parametrize("rule, is_protected", [("vol-0abc", True), ("vol-*", True), ("DATA", True), ("dat", False), ("data-2", False), ("vol-0ab", False)])
def test_resources_are_named_by_id_or_name(tmp_path: Path, rule: str, is_protected: bool):
    assert bool(protection.read(tmp_path, [rule]).of_resource(resource())) == is_protected


@pytest.mark.parametrize(
    "rule, is_protected",
    [
        ("s3://mine/tmp/", True), ("s3://mine/tmp", True), ("s3://mine", True), ("s3://mine/tmp/keep", True), ("s3://mine/*/keep/", True),
        ("s3://mine/tmp/keep/a", True), ("s3://min", False), ("s3://mine/tm", False), ("s3://mine/tmp2/", False), ("s3://theirs/tmp/", False),
    ],
)  # fmt: skip
def test_something_below_a_prefix_protects_it(tmp_path: Path, rule: str, is_protected: bool):
    plain = CloudResource("aws", "prefix", "s3://mine/tmp/", "tmp/", "", "", "", None, {}, None, None)
    below = Prefix(**vars(plain), objects=("s3://mine/tmp/x", "s3://mine/tmp/keep/a"))
    assert bool(protection.read(tmp_path, [rule]).of_resource(below)) == is_protected


def test_the_tag_protects_whatever_its_value(tmp_path: Path):
    assert protection.read(tmp_path).of_resource(resource(**{"tinytorch:protected": "no"})) == "it has the tag tinytorch:protected"


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf# mine\r\n\r\n  data  \r\n", b"data", b"# a\rdata\r"], ids=["windows", "no end", "old mac"])
def test_the_file_is_read_however_it_was_written(tmp_path: Path, text: bytes):
    (tmp_path / ".tito-protect").write_bytes(text)
    why = protection.read(tmp_path).of_resource(resource())
    assert why is not None and why.startswith(".tito-protect, line ") and why.endswith(" says data")


@pytest.mark.parametrize(
    "data, says",
    [
        (b"data\n\xff\xfe\n", "line 2: not UTF-8 text"),
        (b"data\n\x00\n", "line 2: .* is no rule"),
        (b"/\n", "line 1: '/' is no rule"),
        (b"/ /\n", "is no rule"),
        (b"\n!data\n", "line 2: '!data': a rule can't take another back"),
        (b"x" * 1001, "is no rule"),
        (b"x\n" * 600_000, "larger than a list of rules"),
        (b"{\x1b[2J}", "is no rule"),
    ],
    ids=["latin", "nul", "root", "roots", "negation", "long", "large", "escape"],
)
def test_rubbish_stops_everything(tmp_path: Path, data: bytes, says: str):
    (tmp_path / ".tito-protect").write_bytes(data)
    with pytest.raises(ConfigError, match=f"(?s){says}.*Nothing was removed"):
        protection.read(tmp_path)


def test_a_file_that_cannot_be_read_stops_everything(tmp_path: Path):
    (tmp_path / ".tito-protect").mkdir()
    with pytest.raises(ConfigError, match="can't be read.*Nothing was removed"):
        protection.read(tmp_path)
    (tmp_path / ".tito-protect").rmdir()
    (tmp_path / ".tito-protect").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="a link to something that isn't there"):
        protection.read(tmp_path)
