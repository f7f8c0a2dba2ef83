from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch import files
from tinytorch.jobs.journal import SYNC_EVERY, Entry, Reader, Writer, line
from tinytorch.jobs.record import Record


def read(path: Path) -> tuple[list[Entry], Reader]:
    reader = Reader(path)
    return [entry for block in reader.blocks() for entry in block], reader


def write(path: Path, *entries: Entry) -> None:
    writer = Writer(path, whole=0)
    for entry in entries:
        writer.append(entry)
    writer.close()


TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)  # lone surrogates too, as file names may have them
ENTRIES = st.lists(st.tuples(TEXT, TEXT, st.integers(), st.floats(allow_nan=False, allow_infinity=False)).map(list), max_size=20)


@given(ENTRIES)
@settings(max_examples=50)
def test_what_was_written_is_read(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(path, *entries)
    assert read(path)[0] == entries


@given(ENTRIES.filter(bool), st.data())
@settings(max_examples=50)
def test_a_journal_that_was_cut_anywhere_has_all_entries_before_the_cut(tmp_path_factory, entries, data):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    write(path, *entries)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:cut])
    found, reader = read(path)
    assert found == entries[: len(found)]
    assert len(found) == whole[:cut].count(b"\n")
    assert reader.is_torn == (not whole[:cut].endswith(b"\n") and cut > 0)
    assert not reader.damaged


def test_a_writer_cuts_off_a_torn_line_and_goes_on_behind_the_last_whole_one(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(line(["a"]) + line(["b"])[:-4])
    writer = Writer(path, whole=read(path)[1].whole)
    writer.append(["c"])
    writer.close()
    assert read(path)[0] == [["a"], ["c"]]


def test_every_flipped_bit_is_noticed_and_costs_one_line(tmp_path):
    path = tmp_path / "journal.jsonl"
    whole = line(["a", 1]) + line(["b", 2]) + line(["c", 3])
    start, end = len(line(["a", 1])), len(line(["a", 1])) + len(line(["b", 2])) - 1
    for position in range(start, end):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[position] ^= 1 << bit
            path.write_bytes(flipped)
            found, reader = read(path)
            assert found == [["a", 1], ["c", 3]]
            assert reader.damaged[0] == 2  # a new line feed makes two damaged lines of one


def test_lines_longer_than_a_block_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("tinytorch.jobs.journal._BLOCK", 7)
    write(tmp_path / "journal.jsonl", ["a" * 100], ["b"], ["c" * 50])
    assert read(tmp_path / "journal.jsonl")[0] == [["a" * 100], ["b"], ["c" * 50]]


def test_a_journal_that_is_not_there_is_empty(tmp_path):
    found, reader = read(tmp_path / "none.jsonl")
    assert (found, reader.is_torn, reader.size) == ([], False, 0)


def test_a_full_disk_leaves_nothing_of_the_entry(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    writer = Writer(path, whole=0)
    writer.append(["a"])
    real = os.write
    written = []

    def full(descriptor, data):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(real(descriptor, data[:5]))
        return written[0]

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        writer.append(["b"])
    monkeypatch.undo()
    assert path.read_bytes() == line(["a"])
    writer.append(["c"])
    writer.close()
    assert read(path)[0] == [["a"], ["c"]]


def test_the_disk_is_flushed_at_most_every_fifty_milliseconds_and_at_the_end(tmp_path, monkeypatch):
    flushes = []
    monkeypatch.setattr(files, "flush", flushes.append)
    now = 0.0
    writer = Writer(tmp_path / "journal.jsonl", whole=0, clock=lambda: now)
    for _ in range(100):
        writer.append(["a"])
        now += SYNC_EVERY / 10
    assert len(flushes) == 10
    writer.close()
    assert len(flushes) == 11


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"bytes"])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path, value):
    writer = Writer(tmp_path / "journal.jsonl", whole=0)
    with pytest.raises((TypeError, ValueError)):
        writer.append(["done", value])
    writer.close()
    assert (tmp_path / "journal.jsonl").read_bytes() == b""


VALUES = st.recursive(st.none() | st.integers() | TEXT | st.sampled_from(["done", '],["done",', [[1], ["done", 2]]]), lambda inner: st.lists(inner, max_size=3), max_leaves=6)
DONE = st.tuples(st.just("done"), TEXT, TEXT, VALUES, st.floats(0, 100)).map(list)
OTHER = st.tuples(st.just("failed"), TEXT, TEXT, st.just({"type": "E", "message": "no"}), st.floats(0, 100)).map(list) | st.just(["end", 1.5])


@given(st.lists(DONE, min_size=2, max_size=9) | st.lists(DONE | OTHER, max_size=9))
@settings(max_examples=300)
def test_entries_that_happen_together_lead_where_they_lead_one_by_one(entries):
    together, one_by_one = Record(counts={}), Record(counts={})
    together.take_json([line(entry).rstrip(b"\n")[9:] for entry in entries])
    one_by_one.take(entries)
    assert together == one_by_one
