"""A file arrives whole whatever the network and the server do, and no wrong byte of it is ever published."""
from __future__ import annotations

import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.tinytorch.datasets.conftest import QUICK, TIMEOUT, file_of, noise
from tests.unit.tinytorch.dropped import sent_twice
from tests.unit.tinytorch.server import Drop, Fault, Server, Stall, Status
from tinytorch.datasets.fetch import Fetch, NotWritten, Stopped
from tinytorch.datasets.registry import File
from tinytorch.errors import DataError
from tinytorch.places import local_path

DATA = noise(300_000)
OTHER = noise(300_000, seed=1)


class Folder:
    """Where a file is fetched to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[tuple[str, int, str]] = []

    def fetch(self, *sources: str, file: File | None = None, stop: threading.Event | None = None) -> None:
        def tell(state: str, arrived: int, size: int | None, text: str) -> None:
            self.told.append((state, arrived, text))

        Fetch(file or file_of(DATA), self.path, policy=QUICK, timeout=TIMEOUT, report=tell, stop=stop).run(list(sources))

    def was_told(self, part: str) -> bool:
        return any(part in text for _, _, text in self.told)

    @property
    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.path.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "to").mkdir()
    return Folder(tmp_path / "to")


WHOLE = {"data.bin": DATA}


def test_a_file_comes_in_one_request(server: Server, folder: Folder) -> None:
    folder.fetch(server.put("data.bin", DATA))
    assert folder.content == WHOLE and server.sent == len(DATA)
    assert server.asked[0].range is None and server.asked[0].headers["Accept-Encoding"] == "identity"


def test_fifty_drops_at_random_places_cost_hardly_a_byte() -> None:
    """`python -m tests.unit.tinytorch.dropped` does this with files of one's own."""
    share, connections = sent_twice(DATA, drops=50, seed=5)
    assert share < 0.05 and connections >= 51


@pytest.mark.parametrize("validator", [{"etag": '"1"'}, {"last_modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, {}], ids=["etag", "date", "none"])
def test_drops_are_gone_on_from_with_any_validator(server: Server, folder: Folder, validator: dict[str, str]) -> None:
    server.plan(*[Drop(1000)] * 9)
    folder.fetch(server.put("data.bin", DATA, **validator))
    assert folder.content == WHOLE and server.sent == len(DATA)


def test_a_connection_that_brings_nothing_uses_up_the_attempts(server: Server, folder: Folder) -> None:
    server.always(Drop(0))
    with pytest.raises(DataError, match="the connection ended"):
        folder.fetch(server.put("data.bin", DATA))
    assert len(server.asked) == QUICK.attempts


def test_the_validator_goes_with_the_range(server: Server, folder: Folder) -> None:
    server.plan(Drop(1000))
    folder.fetch(server.put("data.bin", DATA, etag='"1"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT"))
    assert (server.asked[1].range, server.asked[1].if_range) == ("bytes=1000-", '"1"')


def test_a_weak_etag_is_no_validator_and_a_change_of_it_is_seen(server: Server, folder: Folder) -> None:
    """A file that changed on its server to another of the same length: the first bytes are of no use."""
    url = server.put("data.bin", OTHER, etag='W/"1"')
    server.plan(Drop(1000), Fault(before=lambda server: server.put("data.bin", DATA, etag='W/"2"')))
    folder.fetch(url)
    assert folder.content == WHOLE
    assert [asked.if_range for asked in server.asked] == [None, None, None]
    assert [asked.range for asked in server.asked] == [None, "bytes=1000-", None]
    assert [arrived for _, arrived, _ in folder.told].count(len(DATA)) == 2, "at the end, and done: the change was seen before the bytes came"


def test_a_file_that_changed_is_begun_again(server: Server, folder: Folder) -> None:
    url = server.put("data.bin", OTHER, etag='"1"')
    server.plan(Drop(1000), Fault(before=lambda server: server.put("data.bin", DATA, etag='"2"')))
    folder.fetch(url)
    assert folder.content == WHOLE and server.sent == 1000 + len(DATA)


def test_a_server_that_ignores_ranges_is_read_from_the_beginning(server: Server, folder: Folder) -> None:
    server.plan(Drop(1000), Fault(ignores_range=True))
    folder.fetch(server.put("data.bin", DATA))
    assert folder.content == WHOLE and server.sent == 1000 + len(DATA)


def test_a_server_that_ignores_ranges_and_always_drops_is_given_up(server: Server, folder: Folder) -> None:
    server.always(Drop(1000, ignores_range=True))
    with pytest.raises(DataError):
        folder.fetch(server.put("data.bin", DATA))
    assert len(server.asked) == QUICK.attempts + 1, "only the first connection got further"


@pytest.mark.parametrize(
    "lie",
    [
        lambda first, last, size: f"bytes {first + 1}-{last}/{size}",
        lambda first, last, size: f"bytes 0-{last}/{size}",
        lambda first, last, size: f"bytes {first}-{last}/{size + 1}",
        lambda first, last, size: "nonsense",
        lambda first, last, size: f"bytes {first}-{last}/{'9' * 5000}",
    ],
    ids=["start", "zero", "size", "nonsense", "digits"],
)
def test_a_wrong_content_range_is_not_believed(server: Server, folder: Folder, lie) -> None:  # type: ignore[no-untyped-def]
    server.plan(Drop(1000), Fault(content_range=lie))
    folder.fetch(server.put("data.bin", DATA))
    assert folder.content == WHOLE


def test_a_range_that_can_not_be_had_means_from_the_beginning(server: Server, folder: Folder) -> None:
    server.plan(Drop(1000), Status(416))
    folder.fetch(server.put("data.bin", DATA))
    assert folder.content == WHOLE
    assert [asked.range for asked in server.asked] == [None, "bytes=1000-", None]


def test_a_server_that_always_says_416_is_given_up(server: Server, folder: Folder) -> None:
    server.always(Status(416))
    with pytest.raises(DataError, match="no source has it"):
        folder.fetch(server.put("data.bin", DATA))
    assert len(server.asked) == 1


def test_a_stall_ends_by_timeout_and_what_came_before_is_kept(server: Server, folder: Folder) -> None:
    server.plan(Stall(100_001))
    folder.fetch(server.put("data.bin", DATA))
    assert folder.content == WHOLE and server.sent == len(DATA)


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_server_is_asked_again(server: Server, folder: Folder, status: int) -> None:
    server.plan(Status(status, retry_after="0"), Status(status))
    folder.fetch(server.put("data.bin", DATA))
    assert folder.content == WHOLE and len(server.asked) == 3
    assert [state for state, _, text in folder.told if str(status) in text] == ["retrying"] * 2


def test_what_is_not_found_is_not_asked_for_again(server: Server, folder: Folder) -> None:
    with pytest.raises(DataError, match="no source has it"):
        folder.fetch(server.url + "nowhere")
    assert len(server.asked) == 1 and folder.content == {}


def test_a_redirect_is_followed(server: Server, folder: Folder) -> None:
    server.plan(Fault(location=server.put("data.bin", DATA)))
    folder.fetch(server.url + "old.bin")
    assert folder.content == WHOLE


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
@pytest.mark.parametrize("change", [-1, 1], ids=["shorter", "longer"])
def test_a_body_of_another_length_is_no_file(server: Server, folder: Folder, change: int, chunked: bool) -> None:
    wrong = DATA[:change] if change < 0 else DATA + b"x"
    server.always(Fault(length=(lambda length: None) if chunked else (lambda length: length)))
    with pytest.raises(DataError):
        folder.fetch(server.put("data.bin", wrong))
    assert "data.bin" not in folder.content
    assert folder.was_told("it sends more than the 300,000 bytes") is (chunked and change > 0)


@pytest.mark.parametrize("lie", [len(DATA) + 10, 10], ids=["more", "less"])
def test_a_content_length_that_lies_is_found_out(server: Server, folder: Folder, lie: int) -> None:
    server.plan(Fault(length=lambda length: lie))
    with pytest.raises(DataError, match="no source has it"):
        folder.fetch(server.put("data.bin", DATA))
    assert f"of {lie:,} bytes instead of 300,000" in folder.told[-1][2] and folder.content == {}


def test_chunks_that_break_off_are_gone_on_from(server: Server, folder: Folder) -> None:
    server.plan(Drop(100_000, length=lambda length: None))
    folder.fetch(server.put("data.bin", DATA))
    assert folder.content == WHOLE and server.sent == len(DATA)


def test_wrong_bytes_are_discarded_and_the_next_source_is_asked(server: Server, folder: Folder) -> None:
    wrong, right = server.put("wrong.bin", OTHER), server.put("right.bin", DATA)
    folder.fetch(wrong, right)
    assert folder.content == WHOLE
    assert [asked.path for asked in server.asked] == ["wrong.bin", "right.bin"]
    assert any(state == "refused" and "SHA256 is wrong" in text for state, _, text in folder.told)


def test_wrong_bytes_are_never_published(server: Server, folder: Folder) -> None:
    with pytest.raises(DataError):
        folder.fetch(server.put("wrong.bin", OTHER))
    assert folder.content == {}, "neither the file nor its part"


def test_a_source_is_not_blamed_for_the_bytes_of_another(server: Server, folder: Folder) -> None:
    """Wrong bytes from one, the rest from a good one: it is asked once more for everything."""
    wrong, right = server.put("wrong.bin", OTHER), server.put("right.bin", DATA)
    server.always(lambda asked: Drop(0) if asked.path == "wrong.bin" and asked.range else Fault())
    server.plan(Drop(1000))
    folder.fetch(wrong, right)
    assert folder.content == WHOLE
    assert server.sent == 1000 + len(DATA) - 1000 + len(DATA)


def test_a_source_whose_pieces_are_always_wrong_is_given_up(server: Server, folder: Folder) -> None:
    server.always(lambda asked: Drop(200_000))
    with pytest.raises(DataError):
        folder.fetch(server.put("wrong.bin", OTHER))
    assert folder.content == {} and len(server.asked) == 4


def test_another_source_goes_on_where_the_first_one_failed(server: Server, folder: Folder) -> None:
    first, second = server.put("first.bin", DATA, etag='"1"'), server.put("second.bin", DATA, etag='"x"')
    server.always(lambda asked: Status(404) if asked.path == "first.bin" else Fault())
    server.plan(Drop(100_000))
    folder.fetch(first, second)
    assert folder.content == WHOLE and server.sent == len(DATA)
    assert (server.asked[-1].range, server.asked[-1].if_range) == ("bytes=100000-", None)


def test_the_source_that_brings_something_is_asked_first(server: Server, folder: Folder) -> None:
    down, good = "http://127.0.0.1:1/data.bin", server.put("data.bin", DATA)
    server.plan(Drop(1000), Drop(1000), Drop(1000))
    folder.fetch(down, good)
    assert folder.content == WHOLE
    assert not any("127.0.0.1:1/" in text for state, _, text in folder.told if state == "retrying")


def test_a_part_of_an_earlier_run_is_gone_on_from(server: Server, folder: Folder) -> None:
    url = server.put("data.bin", DATA, etag='"1"')
    server.plan(Drop(100_000), *[Drop(0)] * QUICK.attempts)
    with pytest.raises(DataError):
        folder.fetch(url)
    assert folder.content["data.bin.part"] == DATA[:100_000]
    folder.fetch(url)
    assert folder.content == WHOLE and server.sent == len(DATA)
    assert server.asked[-1].if_range == '"1"'


def test_a_part_that_is_whole_needs_no_network(folder: Folder, server: Server) -> None:
    leave_part(folder, DATA)
    folder.fetch("http://127.0.0.1:1/data.bin")
    assert folder.content == WHOLE


@pytest.mark.parametrize("damage", [bytes(100_000), DATA + b"x" * 9, DATA[:-1] + b"!"], ids=["zeros", "longer", "last byte"])
@pytest.mark.parametrize("kind", ["server", "folder"])
def test_a_part_that_a_power_cut_damaged_costs_a_download_not_the_source(server: Server, folder: Folder, tmp_path: Path, damage: bytes, kind: str) -> None:
    leave_part(folder, damage)
    (tmp_path / "source").write_bytes(DATA)
    folder.fetch(server.put("data.bin", DATA) if kind == "server" else (tmp_path / "source").as_uri())
    assert folder.content == WHOLE


@pytest.mark.parametrize(
    "note",
    [
        None, b"", b"[]", b'{"url": 1}', b"\xff", b'{"unknown": 1}', b'{"pieces": "1"}', b'{"pieces": 1, "size": "2"}', b'{"pieces": 1, "etag": 5}',
        b'{"pieces": 1, "last_modified": ["1"]}', b'{"pieces": 1, "etag": "a\\nb"}', b'{"pieces": 1, "etag": "\\u4e2d"}', b"[" * 100_000,
    ],
    ids=["none", "empty", "list", "url", "bytes", "key", "pieces", "size", "etag", "date", "line", "letter", "deep"],
)  # fmt: skip
def test_a_part_without_a_usable_note_is_begun_again(server: Server, folder: Folder, note: bytes | None) -> None:
    (folder.path / "data.bin.part").write_bytes(OTHER[:1000])
    if note is not None:
        (folder.path / "data.bin.part.json").write_bytes(note)
    folder.fetch(server.put("data.bin", DATA))
    assert folder.content == WHOLE and server.asked[0].range is None


def leave_part(folder: Folder, data: bytes) -> None:
    """What a run that was killed leaves."""
    (folder.path / "data.bin.part").write_bytes(data)
    (folder.path / "data.bin.part.json").write_text('{"url": "http://elsewhere/data.bin", "size": 300000, "pieces": 1}', "utf-8")


# --- an md5, an unknown size ----------------------------------------------------------------------------------------


def test_a_file_of_unknown_size_with_an_md5_is_fetched_and_checked(server: Server, folder: Folder) -> None:
    server.plan(Drop(1000))
    folder.fetch(server.put("data.bin", DATA), file=file_of(DATA, algorithm="md5", size=None))
    assert folder.content == WHOLE and server.sent == len(DATA)
    with pytest.raises(DataError, match="no source has it"):
        folder.fetch(server.put("other.bin", OTHER), file=file_of(DATA, "again.bin", algorithm="md5", size=None))
    assert folder.content == WHOLE


def test_two_sources_that_promise_other_sizes_are_not_mixed(server: Server, folder: Folder) -> None:
    first, second = server.put("first.bin", OTHER + b"x"), server.put("second.bin", DATA)
    server.always(lambda asked: Status(404) if asked.path == "first.bin" else Fault())
    server.plan(Drop(1000))
    folder.fetch(first, second, file=file_of(DATA, algorithm="md5", size=None))
    assert folder.content == WHOLE and not folder.was_told("pieces")


# --- folders as sources ---------------------------------------------------------------------------------------------


def test_a_file_address_is_a_source(tmp_path: Path, folder: Folder) -> None:
    source = tmp_path / "a folder \N{SNAKE}, with 100% #" / "data.bin"
    source.parent.mkdir()
    source.write_bytes(DATA)
    assert local_path(source.as_uri()) == source
    leave_part(folder, DATA[:1000])
    folder.fetch(source.as_uri())
    assert folder.content == WHOLE and folder.told[0][1] == 1000


def test_a_file_address_that_leads_nowhere_is_refused_by_name(tmp_path: Path, folder: Folder) -> None:
    with pytest.raises(DataError, match="no source"):
        folder.fetch((tmp_path / "nowhere").as_uri())
    assert "nowhere" in folder.told[-1][2] and "No such file" in folder.told[-1][2]


# --- this side ------------------------------------------------------------------------------------------------------


def test_it_stops_when_told_and_keeps_what_has_arrived(server: Server, folder: Folder) -> None:
    stop = threading.Event()
    fetch = Fetch(file_of(DATA), folder.path, policy=QUICK, timeout=TIMEOUT, stop=stop)
    fetch.report = lambda state, arrived, size, text: stop.set() if arrived else None
    url = server.put("data.bin", DATA)
    with pytest.raises(Stopped):
        fetch.run([url])
    part = folder.content["data.bin.part"]
    assert 0 < len(part) < len(DATA) and DATA.startswith(part)


def test_a_full_disk_keeps_the_part_and_says_how_to_go_on(server: Server, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    write, left = Fetch._write, [3]

    def full_after_three(self: Fetch, out: object, chunk: bytes) -> None:
        left[0] -= 1
        write(self, out if left[0] else Full(out), chunk)

    url = server.put("data.bin", DATA)
    with monkeypatch.context() as patch:
        patch.setattr(Fetch, "_write", full_after_three)
        with pytest.raises(NotWritten, match=r"the disk is full: .* of data\.bin have arrived and are kept in .*goes on from there"):
            folder.fetch(url)
    part = folder.content["data.bin.part"]
    assert part and DATA.startswith(part)
    folder.fetch(server.url + "data.bin")
    assert folder.content == WHOLE and server.asked[-1].range == f"bytes={len(part)}-"


class Full:
    """A file on a disk that has room for five more bytes."""

    def __init__(self, out: object) -> None:
        self.out = out
        self.room = 5

    def write(self, view: memoryview) -> int:
        import errno

        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.out.write(view[: self.room])  # type: ignore[attr-defined]
        self.room -= written
        return written  # type: ignore[no-any-return]


def test_the_shortest_pause_that_a_source_asks_for_is_kept(server: Server, folder: Folder) -> None:
    naps: list[float] = []
    server.always(lambda asked: Status(503, retry_after="100" if asked.path == "a" else "7"))
    patient = replace(QUICK, attempts=2, sleep=naps.append, total=1000)
    with pytest.raises(DataError):
        Fetch(file_of(DATA), folder.path, policy=patient, timeout=TIMEOUT).run([server.url + "a", server.url + "b"])
    assert naps == [7.0]


# --- everything at once ---------------------------------------------------------------------------------------------


def random_fault(chance: random.Random) -> Fault:
    drop = chance.choice([None, None, 0, 1, chance.randrange(20_000)])
    return chance.choice([
        Fault(), Drop(chance.randrange(20_000)), Drop(chance.randrange(20_000), resets=True), Status(503), Status(404), Status(416), Status(429, retry_after="0"),
        Fault(ignores_range=True, drops_after=drop), Fault(length=lambda length: None, drops_after=drop), Fault(length=lambda length: length + 7, drops_after=drop),
        Fault(body=lambda data: data[:-1]), Fault(body=lambda data: data[::-1], drops_after=drop), Fault(headers=(("Content-Encoding", "gzip"),)),
        Fault(content_range=lambda first, last, size: f"bytes {max(first - 5, 0)}-{last}/{size}"), Fault(content_range=lambda first, last, size: "bytes */*"),
        Fault(before=lambda server: server.put("a", OTHER[:20_000], etag='"2"')), Fault(before=lambda server: server.put("a", DATA[:20_000], etag='"1"')),
    ])  # fmt: skip


def violation(seed: int, server: Server, folder: Folder) -> str | None:
    """What is wrong after random faults of two sources, the second of which is good in the end."""
    chance = random.Random(seed)
    data = DATA[:20_000]
    server.put("a", data if chance.random() < 0.7 else OTHER[:20_000], etag=chance.choice(['"1"', 'W/"1"', None]))
    server.put("b", data)
    server.plan(*(random_fault(chance) for _ in range(chance.randrange(12))))
    file = file_of(data, f"{seed}.bin") if chance.random() < 0.7 else file_of(data, f"{seed}.bin", algorithm="md5", size=None)
    before = len(server.asked)
    try:
        folder.fetch(server.url + "a", server.url + "b", file=file)
    except DataError:
        if (folder.path / file.name).exists():
            return f"{seed}: it failed, and published"
        server.plan_nothing()
        server.put("a", data)
        folder.fetch(server.url + "a", server.url + "b", file=file)  # and the next call gets through
    server.plan_nothing()
    if (folder.path / file.name).read_bytes() != data:
        return f"{seed}: wrong bytes were published"
    return f"{seed}: {len(server.asked) - before} requests" if len(server.asked) - before > 40 else None


def test_random_faults_never_publish_a_wrong_byte_and_the_next_call_gets_through(server: Server, folder: Folder) -> None:
    assert [found for seed in range(60) if (found := violation(seed, server, folder))] == []
