"""To a host, from it, and through this machine: with OpenSSH on both sides."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.unit.tinytorch.transfer.conftest import AT_ONCE, PART, contents, objects
from tests.unit.tinytorch.transfer.sshd import Host, needs_sshd, running
from tinytorch import transfer as package
from tinytorch.errors import TransferError
from tinytorch.transfer.listing import Found, digest_of
from tinytorch.transfer.location import DataLocation
from tinytorch.transfer.sftp import Connection, Ways
from tinytorch.transfer.ssh import SshArrival, SshStore

pytestmark = needs_sshd
transfer = partial(package.transfer, engine="sftp", jobs=2)
sync = partial(package.sync, engine="sftp", jobs=2)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with running(tmp_path / "host") as host:
        yield host


def test_there_and_back_is_the_same(host: Host, source: Path, tmp_path: Path, small_parts: int) -> None:
    there = tmp_path / "there 🙂"
    result = transfer(str(source), host.address(there))
    assert contents(there) == contents(source) and not result.failed
    assert {path.stat().st_mtime for path in there.rglob("*") if path.is_file()} == {1_600_000_000}
    assert transfer(str(source), host.address(there)).plan.unchanged == 5
    transfer(host.address(there), str(tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(source)


def test_checksum_compares_on_the_host(host: Host, source: Path, tmp_path: Path) -> None:
    transfer(str(source), host.address(tmp_path / "there"))
    (source / "sub" / "-rf").write_bytes(b"+")
    os.utime(source / "sub" / "-rf", (1_600_000_000, 1_600_000_000))
    result = transfer(str(source), host.address(tmp_path / "there"), checksum=True)
    assert [step.name for step in result.plan.send] == ["sub/-rf"] and result.plan.compared == "size and checksum"


def test_a_line_that_drops_again_and_again_costs_parts(host: Host, source: Path, tmp_path: Path, small_parts: int) -> None:
    host.line.drops = [200_000, 10_000, 300_000, 50_000]
    result = transfer(str(source), host.address(tmp_path / "there"), policy=AT_ONCE)
    assert not result.failed and contents(tmp_path / "there") == contents(source) and host.line.drops == []


def test_a_line_that_falls_silent_is_given_up(host: Host, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYTORCH_SSH", f"{host.command} -o ServerAliveInterval=1 -o ServerAliveCountMax=1")
    host.line.stalls = [100_000]
    result = transfer(str(source), host.address(tmp_path / "there"), jobs=1, policy=AT_ONCE)
    assert not result.failed and contents(tmp_path / "there") == contents(source) and host.line.stalls == []


def test_a_host_that_has_gone_is_a_failure_that_may_pass(host: Host, source: Path, tmp_path: Path) -> None:
    host.line.go()
    with pytest.raises(TransferError, match="connection was lost") as caught:
        transfer(str(source), host.address(tmp_path / "there"), policy=AT_ONCE)
    assert caught.value.retryable


@pytest.mark.parametrize("case", ["changed", "unknown"])
def test_a_host_key_that_isnt_the_known_one_is_refused(host: Host, source: Path, tmp_path: Path, case: str) -> None:
    if case == "changed":
        host.new_host_key()
    else:
        (host.folder / "known").write_text("")
    with pytest.raises(TransferError, match="not the one that was seen before.*ssh-keygen -R" if case == "changed" else "isn't known. Connect once"):
        transfer(str(source), host.address(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_keys_that_the_host_doesnt_know_are_named(host: Host, source: Path, tmp_path: Path) -> None:
    (host.folder / "user.pub").write_text("")
    with pytest.raises(TransferError, match="lets nobody in with these keys.*ssh-copy-id"):
        transfer(str(source), host.address(tmp_path / "there"))


def killed_half_way(source: Path, address: str) -> int:
    """Send files in another process until half of the large one has arrived, and no further. Returns how much that is."""
    half = (source / "big.bin").stat().st_size // 2
    program = (
        "import os, sys\nfrom tinytorch.transfer import listing, transfer\n"
        f"listing.PART = {PART}\n"
        f"transfer(sys.argv[1], sys.argv[2], engine='sftp', report=lambda now: now.arrived > {half} and os.kill(os.getpid(), 9))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(source), address], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return half


def test_a_killed_transfer_goes_on_inside_the_file(host: Host, source: Path, tmp_path: Path, small_parts: int) -> None:
    half = killed_half_way(source, host.address(tmp_path / "there"))
    assert not (tmp_path / "there" / "big.bin").exists()
    result = transfer(str(source), host.address(tmp_path / "there"))
    assert result.nbytes < half + 5 * PART and contents(tmp_path / "there") == contents(source)


def test_what_came_of_a_file_that_is_small_by_now_is_removed(host: Host, source: Path, tmp_path: Path, small_parts: int) -> None:
    killed_half_way(source, host.address(tmp_path / "there"))
    (source / "big.bin").write_bytes(b"small")
    transfer(str(source), host.address(tmp_path / "there"))
    assert contents(tmp_path / "there") == contents(source)


@pytest.mark.parametrize("has_tool", [True, False])
def test_a_part_that_is_damaged_on_its_way_is_sent_again(
    host: Host, source: Path, tmp_path: Path, small_parts: int, monkeypatch: pytest.MonkeyPatch, has_tool: bool
) -> None:
    """Where the host can't compute SHA-256, what is there is read back."""
    write, damaged = SshArrival.write, []

    def flip(self: SshArrival, number: int, start: int, data: bytes, digest: Any) -> bool | None:
        if number == 7 and not damaged:
            damaged.append(number)
            data = b"\0" * len(data)
        return write(self, number, start, data, digest)

    monkeypatch.setattr(SshArrival, "write", flip)
    if not has_tool:
        host.config.write_text(host.config.read_text() + "ForceCommand internal-sftp\n")
        make = SshStore.__init__

        def without(self: SshStore, *arguments: Any) -> None:
            make(self, *arguments)
            self.has_tool = False

        monkeypatch.setattr(SshStore, "__init__", without)
    assert not transfer(str(source), host.address(tmp_path / "there")).failed
    assert damaged and contents(tmp_path / "there") == contents(source)


def test_between_s3_and_a_host_nothing_stays_here(host: Host, s3: Any, source: Path, tmp_path: Path, cache: Path) -> None:
    package.transfer(str(source), "s3://bucket/x")
    result = transfer("s3://bucket/x", host.address(tmp_path / "there"))
    assert contents(tmp_path / "there") == contents(source) and result.plan.engine == "boto3 and sftp"
    assert transfer("s3://bucket/x", host.address(tmp_path / "there")).plan.unchanged == 5
    transfer(host.address(tmp_path / "there"), "s3://bucket/y")
    assert {name: data for name, data in objects(s3).items() if name.startswith("y/")} == {f"y/{name}": data for name, data in contents(source).items()}
    assert not any(b"text\r\n" in data for data in contents(cache).values())


def test_sync_deletes_on_the_host(host: Host, source: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "old").write_bytes(b"old")
    assert sync(str(source), host.address(there), delete=True).deleted == ("old",)
    assert contents(there) == contents(source)


def test_links_on_a_host_never_lead_out(host: Host, source: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    for name, target in {"out": tmp_path / "secret", "loop": source, "in": source / "empty"}.items():
        (source / name).symlink_to(target)
    result = transfer(host.address(source), str(tmp_path / "there"), links="follow")
    assert set(result.plan.left_out) == {"out", "loop"} and (tmp_path / "there" / "in").read_bytes() == b""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "at").mkdir()
    (tmp_path / "at" / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TransferError, match="links are not followed there"):
        transfer(str(source), host.address(tmp_path / "at"))


def test_a_folder_in_the_place_of_a_file_is_refused(host: Host, source: Path, tmp_path: Path) -> None:
    (tmp_path / "there" / "empty").mkdir(parents=True)
    with pytest.raises(TransferError, match="a file here and a folder"):
        transfer(str(source), host.address(tmp_path / "there"))


def many(folder: Path, count: int) -> Path:
    """Small files with one time, as many as there are batches of."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:03}"
        path.write_bytes(bytes([number % 256]) * (1000 + number))
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return folder


def first_session() -> psutil.Process:
    """The ssh process that this one started first, of those that there are."""
    return min((child for child in psutil.Process().children() if child.name() == "ssh"), key=lambda child: child.create_time())


def test_many_small_files_go_together_over_one_login(host: Host, tmp_path: Path) -> None:
    source = many(tmp_path / "many", 200)
    assert not transfer(str(source), host.address(tmp_path / "there")).failed
    assert contents(tmp_path / "there") == contents(source) and len(host.children) == 1
    transfer(host.address(source), str(tmp_path / "back"))
    assert contents(tmp_path / "back") == contents(source) and len(host.children) == 2
    assert {path.stat().st_mtime for path in (tmp_path / "back").iterdir()} == {1_600_000_000}


@pytest.mark.parametrize("way", ["up", "down"])
def test_one_file_that_is_refused_stops_none_of_its_batch(host: Host, tmp_path: Path, way: str) -> None:
    source, there = many(tmp_path / "many", 30), tmp_path / "there"
    expected = {name: data for name, data in contents(source).items() if name != "007"}

    def meanwhile(plan: object) -> bool:
        if way == "up":
            (there / "007").mkdir(parents=True)
        else:
            (source / "007").unlink()
        return True

    places = (str(source), host.address(there)) if way == "up" else (host.address(source), str(there))
    result = transfer(*places, confirm=meanwhile)
    assert set(result.failed) == {"007"} and "007" in result.failed["007"]
    assert contents(there) == expected and result.sent == 29


def test_a_small_file_that_is_damaged_on_its_way_is_sent_again(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, put, damaged = many(tmp_path / "many", 30), Connection.put, []

    def flip(self: Connection, files: list[tuple[str, bytes, float]]) -> list[bytearray]:
        if not damaged:
            damaged.append(files[0][0])
            back = put(self, [(files[0][0], b"\0" * len(files[0][1]), files[0][2]), *files[1:]])
            assert [bytes(one) for one in back[1:]] == [data for _, data, _ in files[1:]]
            return back
        return put(self, files)

    monkeypatch.setattr(Connection, "put", flip)
    assert not transfer(str(source), host.address(tmp_path / "there")).failed
    assert damaged and contents(tmp_path / "there") == contents(source)


def test_a_small_file_that_changes_meanwhile_is_told(host: Host, tmp_path: Path) -> None:
    source = many(tmp_path / "many", 10)
    result = transfer(host.address(source), str(tmp_path / "there"), confirm=lambda plan: bool((source / "003").write_bytes(b"another one")))
    assert "was changed while it was read" in result.failed["003"] and result.sent == 9 and not (tmp_path / "there" / "003").exists()


@pytest.mark.parametrize("size", [PART, PART - 7])
def test_a_part_inside_a_file_that_is_too_short_is_compared(host: Host, source: Path, tmp_path: Path, small_parts: int, size: int) -> None:
    """What has arrived may be cut off, and wrong before the cut as well; parts from S3 may have any size."""
    found = Found((source / "big.bin").stat().st_size, 1_600_000_000.0)
    data = (source / "big.bin").read_bytes()
    digests = {number: digest_of(data[number * size : (number + 1) * size], md5=False) for number in range(4)}
    with closing(SshStore(DataLocation.parse(host.address(tmp_path / "there")), "skip", AT_ONCE)) as store:
        arrival = store.begin("big.bin", found, size, None)
        part = tmp_path / "there" / arrival.state["part"]
        part.write_bytes(data[: 3 * size - 1])
        assert arrival.wrong(digests) == [2, 3]
        part.write_bytes(data[:size] + b"x" + data[size + 1 : 3 * size])
        assert arrival.wrong(digests) == [1, 3]
        store.has_tool = False
        assert arrival.wrong(digests) == [1, 3]


def test_a_login_that_is_lost_is_made_again(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sessions over it end with it."""
    source, put, killed = many(tmp_path / "many", 300), Connection.put, []

    def kill_first(self: Connection, files: list[tuple[str, bytes, float]]) -> list[bytearray]:
        if len(killed) < 2 and files[0][0] > str(tmp_path / "there" / f".{100 * (len(killed) + 1):03}"):
            killed.append(first_session())
            killed[-1].kill()
        return put(self, files)

    monkeypatch.setattr(Connection, "put", kill_first)
    assert not transfer(str(source), host.address(tmp_path / "there"), policy=AT_ONCE).failed
    assert len(killed) == 2 and contents(tmp_path / "there") == contents(source)


def test_ciphers_are_the_users_and_so_is_a_shared_connection(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    command = ["ssh", "-o", "Ciphers=aes256-ctr,aes256-gcm@openssh.com", "host"]
    with closing(Ways(command)) as ways:
        assert "Ciphers=aes256-gcm@openssh.com,aes256-ctr" in ways.alone and "Ciphers=aes256-gcm@openssh.com,aes256-ctr" in ways.shared
        assert "ControlMaster=auto" in ways.shared and "ControlMaster=auto" not in ways.alone and ways.shared[-1] == "host"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with closing(Ways(command)) as ways:
        assert ways.alone == command
    with closing(Ways(["ssh", "-o", "ControlPath=/somewhere/%C", "host"])) as ways:
        assert ways.shared == ways.alone == ["ssh", "-o", "ControlPath=/somewhere/%C", "host"]
    with closing(Ways([sys.executable, "-c", "raise SystemExit(2)", "host"])) as ways:  # a program in ssh's place
        assert ways.shared == ways.alone
    deep = tmp_path / ("long" * 20)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with closing(Ways(command)) as ways:
        assert ways.shared == ways.alone
    assert not any(deep.iterdir())


def test_more_sessions_than_a_host_has_for_a_login_get_logins_of_their_own(host: Host, tmp_path: Path) -> None:
    host.config.write_text(host.config.read_text() + "MaxSessions 1\n")
    source = many(tmp_path / "many", 100)
    assert not transfer(str(source), host.address(tmp_path / "there"), jobs=3).failed
    assert contents(tmp_path / "there") == contents(source)
