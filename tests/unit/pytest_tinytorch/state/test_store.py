"""State files are valid or they stop everybody; unknown keys stay; no update is lost."""
from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_tinytorch.state import store as store_module
from pytest_tinytorch.state.store import STATE_FILES, Store, empty, is_date, way_out
from tinytorch import files
from tinytorch.errors import StateError

GOOD = {
    "config.json": {"logo_theme": "standard"},
    "progress.json": {
        "version": "1.0",
        "completed_modules": [1, 2],
        "completion_dates": {"1": "2025-11-16T10:00:00"},
        "results": {"3": {"outcome": "failed"}},
        "tests_modified": {"1": ["tests/a.py"]},
        "forced": {"2": ["01"]},
        "reset": {"4": "2025-11-16T10:00:00"},
        "hints": {"4": {"tests/a.py::test": 2}},
    },
    "milestones.json": {
        "version": "1.0",
        "completed_milestones": ["03"],
        "completion_dates": {"03": "2025-11-16T15:00:00"},
        "attempts": {"03": 2},
    },
    "version.json": {
        "workspace_version": "1.0",
        "template_version": "1.0.0",
        "created": "2025-11-16T10:00:00Z",
        "last_updated": "2025-11-16T10:00:00Z",
        "files": {"README.md": {"version": "1.0.0", "modified_by_student": False, "sha256": "0" * 64}},
    },
}


@pytest.fixture
def store(tmp_path):
    (tmp_path / "workspace" / ".tito").mkdir(parents=True)
    return Store(tmp_path / "workspace" / ".tito")


def put(store, name, content):
    data = (
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    (store.tito / name).write_bytes(data)


# --- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATE_FILES)
def test_a_valid_file_is_read_as_it_is(store, name):
    put(store, name, GOOD[name] | {"unknown": [1, {"deep": None}]})
    assert store.read(name) == GOOD[name] | {"unknown": [1, {"deep": None}]}
    assert store.fault(name) is None


@pytest.mark.parametrize("name", ["config.json", "progress.json", "milestones.json"])
def test_a_missing_file_reads_as_nothing_done(store, name):
    assert store.read(name) == empty(name)
    assert store.fault(name) is None
    assert list(store.tito.iterdir()) == [], "reading writes nothing"


def test_a_missing_version_json_is_an_error_of_ours(store):
    with pytest.raises(ValueError, match=r"version\.json has no empty form"):
        store.read("version.json")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_editors_newlines_and_byte_order_marks_are_no_fault(store, newline, start):
    text = json.dumps(GOOD["progress.json"], indent=2).encode()
    put(store, "progress.json", start + text.replace(b"\n", newline))
    assert store.read("progress.json") == GOOD["progress.json"]
    store.update("progress.json", lambda state: state["completed_modules"].append(9))
    assert store.read("progress.json")["completed_modules"] == [1, 2, 9]


def without(key):
    return {k: v for k, v in GOOD["progress.json"].items() if k != key}


def with_(key, value, name="progress.json"):
    return json.dumps(GOOD[name] | {key: value}, indent=2)


FAULTS = {
    "empty": ("progress.json", "", "line 1, column 1: Expecting value"),
    "cut off": ("progress.json", '{"version": "1.0",\n "completed_modules": [1,', "line 2, column 26: Expecting value"),
    "not utf-8": ("progress.json", b'{\n\n"x": "\xff"}', "line 3: not UTF-8 text"),
    "utf-16": ("progress.json", "{}".encode("utf-16"), "line 1: not UTF-8 text"),
    "conflict": ("progress.json", "<<<<<<< HEAD\n{}", "line 1, column 1: Expecting value"),
    "nested absurdly": ("progress.json", "[" * 100_000, "line 1: nested too deeply"),
    "absurd number": ("progress.json", '{"a": ' + "1" * 5000 + "}", "line 1: .*4300"),
    "a list": ("progress.json", "[]", "line 1: a JSON object was expected, found list"),
    "null": ("config.json", "null", "line 1: a JSON object was expected, found NoneType"),
    "no version": ("progress.json", without("version"), "line 1: the key 'version' is missing"),
    "no modules": ("progress.json", without("completed_modules"), "line 1: the key 'completed_modules' is missing"),
    "no dates": ("progress.json", without("completion_dates"), "line 1: the key 'completion_dates' is missing"),
    "empty object": ("milestones.json", {}, "line 1: the key 'version' is missing"),
    "modules as text": (
        "progress.json",
        with_("completed_modules", "1, 2"),
        r"line 3: 'completed_modules' must be a list of module numbers",
    ),
    "numbers as texts": ("progress.json", with_("completed_modules", ["01"]), "line 3: 'completed_modules' must be"),
    "half a module": ("progress.json", with_("completed_modules", [1.5]), "line 3: 'completed_modules' must be"),
    "truth as number": ("progress.json", with_("completed_modules", [True]), "line 3: 'completed_modules' must be"),
    "dates as list": (
        "progress.json",
        with_("completion_dates", []),
        "'completion_dates' must be a table of dates by module number",
    ),
    "odd date": (
        "progress.json",
        with_("completion_dates", {"1": "yesterday"}),
        "line 7: 'completion_dates' must be a table of dates",
    ),
    "date as number": ("progress.json", with_("completion_dates", {"1": 1763287200}), "'completion_dates' must be"),
    "results as list": ("progress.json", with_("results", []), "'results' must be a table of results by module number"),
    "result as text": ("progress.json", with_("results", {"1": "passed"}), "'results' must be"),
    "edited tests as text": (
        "progress.json",
        with_("tests_modified", {"1": "a.py"}),
        "'tests_modified' must be a table of lists of paths",
    ),
    "forced as numbers": (
        "progress.json",
        with_("forced", {"1": [1]}),
        "'forced' must be a table of lists of module numbers",
    ),
    "hints as counts": ("progress.json", with_("hints", {"1": 2}), "'hints' must be a table of counts by test"),
    "hint as text": ("progress.json", with_("hints", {"1": {"t": "2"}}), "'hints' must be a table of counts by test"),
    "reset without date": ("progress.json", with_("reset", {"1": True}), "'reset' must be a table of dates"),
    "version as number": ("progress.json", with_("version", 1.0), "line 2: 'version' must be a text"),
    "newer format": (
        "progress.json",
        with_("version", "2.0"),
        r"line 2: format 2\.0, made by a newer TinyTorch; upgrade with pip",
    ),
    "milestones as numbers": (
        "milestones.json",
        with_("completed_milestones", [3], "milestones.json"),
        "'completed_milestones' must be a list of milestone numbers as texts",
    ),
    "attempts as texts": (
        "milestones.json",
        with_("attempts", {"03": "2"}, "milestones.json"),
        "'attempts' must be a table of counts",
    ),
    "theme as number": ("config.json", '{\n "logo_theme": 1}', "line 2: 'logo_theme' must be a text"),
    "files as list": (
        "version.json",
        with_("files", [], "version.json"),
        "'files' must be a table of versions by path",
    ),
    "file as text": ("version.json", with_("files", {"a": "1.0"}, "version.json"), "'files' must be"),
    "created never": ("version.json", with_("created", "", "version.json"), "'created' must be a date"),
}


@pytest.mark.parametrize(("name", "content", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_broken_file_stops_readers_and_writers_and_stays_as_it_is(store, name, content, fault):
    put(store, name, content)
    before = (store.tito / name).read_bytes()
    message = (
        rf"\.tito/{name} is malformed: .*{fault}(.|\n)*rm \.tito/{name}\n  tito system health (.|\n)*"
        rf"cp \.tito_backup_YYYYMMDD/\.tito/{name} \.tito/\n(.|\n)*--repair"
    )
    with pytest.raises(StateError, match=message):
        store.read(name)
    with pytest.raises(StateError, match=fault):
        store.update(name, lambda state: state.update(changed=True))
    assert (store.tito / name).read_bytes() == before


@pytest.mark.parametrize("name", ["config.json", "version.json"])
@pytest.mark.parametrize("version", [3, "2.0", None], ids=str)
def test_a_version_means_something_only_where_the_format_has_one(store, name, version):
    put(store, name, GOOD[name] | {"version": version})
    assert store.read(name)["version"] == version


def test_the_ways_out_name_the_newest_valid_backup(store):
    put(store, "progress.json", "{")
    for folder, content in {
        ".tito_backup_20251114": GOOD["progress.json"],
        ".tito_backup_20251115": GOOD["progress.json"],
        ".tito_backup_20251115_120000": GOOD["progress.json"],
        ".tito_backup_20251116": "{ broken too",
        ".tito_backup_20251117.tmp": GOOD["progress.json"],  # a backup that was killed half way
    }.items():
        tito = store.tito.parent / folder / ".tito"
        tito.mkdir(parents=True)
        put(Store(tito), "progress.json", content)
    (store.tito.parent / ".tito_backup_20251118" / ".tito" / "progress.json").mkdir(parents=True)
    with pytest.raises(StateError, match=r"cp \.tito_backup_20251115_120000/\.tito/progress\.json \.tito/"):
        store.read("progress.json")


def test_a_file_that_is_a_folder_is_told(store):
    (store.tito / "progress.json").mkdir()
    with pytest.raises(StateError, match=r"progress\.json can't be read: Is a directory"):
        store.read("progress.json")
    assert store.fault("progress.json") == "can't be read: Is a directory"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("2025-11-16T10:00:00", True),
        ("2025-11-16T10:00:00Z", True),
        ("2025-11-16", True),
        ("2025-11-16T10:00:00+01:00", True),
        ("2025-13-16T10:00:00", False),
        ("10:00", False),
        ("", False),
        ("Z", False),
        (None, False),
        (20251116, False),
    ],
    ids=str,
)
def test_is_date(text, good):
    assert is_date(text) is good


# --- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Übung \N{SNAKE}", "\ud83d", "a\u2028b", "\x00", 'quote " and \\'], ids=ascii)
def test_unknown_keys_survive_a_rewrite_whatever_they_hold(store, text):
    """Half an emoji is valid as an escape in JSON and can't be written as UTF-8."""
    odd = {"mine": {text: [text, 1e300, -0.0, None, 10**30]}}
    put(store, "progress.json", GOOD["progress.json"] | odd)
    store.update("progress.json", lambda state: state["completed_modules"].append(9))
    assert store.read("progress.json") == GOOD["progress.json"] | odd | {"completed_modules": [1, 2, 9]}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=30)  # each writes twice, to the disk
@given(st.dictionaries(st.text(), json_values, max_size=3))
def test_any_unknown_keys_survive_a_rewrite(tmp_path_factory, unknown):
    store = Store(tmp_path_factory.mktemp("store") / ".tito")
    before = {key: value for key, value in unknown.items() if key not in GOOD["progress.json"]} | GOOD["progress.json"]
    store.write("progress.json", before)
    store.update("progress.json", lambda state: state["completed_modules"].append(9))
    assert store.read("progress.json") == before | {"completed_modules": [1, 2, 9]}


def test_update_returns_what_it_wrote(store):
    state = store.update("progress.json", lambda state: state["completed_modules"].append(5))
    assert state == store.read("progress.json") == empty("progress.json") | {"completed_modules": [5]}


def test_update_that_changes_nothing_writes_nothing(store):
    put(store, "progress.json", "  " + json.dumps(GOOD["progress.json"]))
    before = (store.tito / "progress.json").read_bytes()
    store.update("progress.json", lambda state: None)
    assert (store.tito / "progress.json").read_bytes() == before


def test_update_makes_a_missing_file_and_folder(tmp_path):
    store = Store(tmp_path / "new" / ".tito")
    store.update("progress.json", lambda state: None)
    assert store.read("progress.json") == empty("progress.json")


def test_update_whose_change_fails_writes_nothing(store):
    put(store, "progress.json", GOOD["progress.json"])

    def change(state):
        state.clear()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.update("progress.json", change)
    assert store.read("progress.json") == GOOD["progress.json"]
    store.update("progress.json", lambda state: state.update(mine=1))  # and the lock is free


def test_state_is_readable_by_people(store):
    store.write("progress.json", {"version": "1.0", "größe": "ö"})
    assert (store.tito / "progress.json").read_text("utf-8") == '{\n  "version": "1.0",\n  "größe": "ö"\n}\n'


def test_threads_lose_no_update(store):
    def add(number):
        store.update("progress.json", lambda state: state["completed_modules"].append(number))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(100, 108)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(store.read("progress.json")["completed_modules"]) == list(range(100, 108))


def test_readers_beside_writers_see_whole_files(store):
    """Without the lock, as `tito status` reads."""
    done = threading.Event()

    def write():
        for length in range(40):
            store.write("progress.json", empty("progress.json") | {"mine": "x" * 1000 * (length % 7)})
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    reads = 0
    while not done.is_set() or not reads:
        store.read("progress.json")
        reads += 1
    thread.join()


# --- what can't be written ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("what", ["the file", "the lock"])
def test_a_write_that_fails_is_told_and_changes_nothing(store, monkeypatch, number, what):
    put(store, "progress.json", GOOD["progress.json"])
    said = os.strerror(number)
    opened = os.open

    def no_lock(path, *arguments, **keywords):
        if str(path) == str(store.tito / "lock"):
            raise OSError(number, said, str(path))
        return opened(path, *arguments, **keywords)

    def no_file(path, data):
        raise OSError(number, said, str(path))

    if what == "the lock":
        monkeypatch.setattr(os, "open", no_lock)
    else:
        monkeypatch.setattr(files, "write_atomic", no_file)
    name = "lock" if what == "the lock" else r"progress\.json"
    with pytest.raises(StateError, match=rf"{name} can't be written: {said}\. Nothing in it was changed"):
        store.update("progress.json", lambda state: state.update(changed=True))
    monkeypatch.undo()
    assert store.read("progress.json") == GOOD["progress.json"]


@pytest.mark.parametrize(
    ("number", "told", "untold"),
    [(errno.ENOSPC, "Make room, then", "right"), (errno.EROFS, "It is mounted read-only", "right"), (errno.EACCES, "give yourself the right", "mounted")],
    ids=["full", "read-only", "not yours"],
)
def test_the_way_out_of_a_failed_write_is_the_one_that_helps(number, told, untold):
    said = way_out(OSError(number, os.strerror(number)))
    assert told in said and untold not in said


def test_a_tito_that_is_a_file_is_told(tmp_path):
    (tmp_path / ".tito").touch()
    with pytest.raises(StateError, match=r"\.tito/lock can't be written: File exists"):
        Store(tmp_path / ".tito").update("progress.json", lambda state: None)
    with pytest.raises(StateError, match=r"progress\.json can't be read: Not a directory"):
        Store(tmp_path / ".tito").read("progress.json")


def test_a_lock_that_stays_held_is_told_and_worth_another_try(store, monkeypatch):
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT", 0.05)
    program = (
        "import sys; from pathlib import Path; from tinytorch import files\n"
        "with files.lock(Path(sys.argv[1]), timeout=9): print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(store.tito / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(
            StateError, match=r"lock is held by another process, still after 0\.05 seconds\. Wait for it to end"
        ) as raised:
            store.update("progress.json", lambda state: None)
        holder.communicate(b"\n")
    assert raised.value.retryable


def test_errors_inside_the_lock_keep_their_own_names(store):
    with pytest.raises(FileNotFoundError, match="elsewhere"), store.locked():
        raise FileNotFoundError(errno.ENOENT, "gone", "elsewhere")
    with pytest.raises(PermissionError, match="elsewhere"), store.locked():
        raise PermissionError(errno.EACCES, "closed", "elsewhere")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_state_behind_links_is_written_where_it_lies(tmp_path):
    """`.tito` on another disk, and `progress.json` in a synchronised folder."""
    real, cloud = tmp_path / "disk", tmp_path / "cloud.json"
    real.mkdir()
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / ".tito").symlink_to(real)
    (real / "progress.json").symlink_to(cloud)
    store = Store(tmp_path / "workspace" / ".tito")
    assert store.read("progress.json") == empty("progress.json"), "a link to nowhere is a missing file"
    store.update("progress.json", lambda state: state["completed_modules"].append(1))
    assert (real / "progress.json").is_symlink()
    assert json.loads(cloud.read_text())["completed_modules"] == [1]
