"""Trajectories of every form, whole and broken."""
from __future__ import annotations

import hashlib
import io
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unit.tinytorch.trajectories.recordings import record, straight
from tinytorch.errors import ConfigError, DataError
from tinytorch.trajectories import reading, synthetic
from tinytorch.trajectories.reading import checksum, find, open_trajectory

in_every_form = pytest.mark.parametrize("form", synthetic.FORMS)


def read(path):
    with open_trajectory(path) as trajectory:
        return trajectory.poses, trajectory.frames.read(0, len(trajectory.poses))


# --- whole --------------------------------------------------------------------------------------------------------


@in_every_form
@pytest.mark.parametrize("quaternion", [True, False], ids=["with quaternion", "without"])
def test_what_was_written_is_read(tmp_path, form, quaternion):
    table, frames = straight(quaternion=quaternion)
    poses, found = read(synthetic.write(tmp_path / "a b \N{CAMERA}", table, frames, form))
    assert np.array_equal(poses.table, table) and np.array_equal(found, frames)
    assert poses.frames.tolist() == [0, 2, 4, 6, 8] and poses.positions[1].tolist() == [20.0, 0.0, 0.0]


@in_every_form
def test_frames_are_read_in_any_order(tmp_path, form):
    path = record(tmp_path, "t", form)
    with open_trajectory(path) as trajectory:
        assert [trajectory.frames.read(n, n + 1)[0, 0, 0, 0] for n in (3, 0, 4)] == [3, 0, 4]


def test_a_table_as_spreadsheets_write_it(tmp_path):
    path = record(tmp_path, "t", "pictures")
    csv = path / "poses.csv"
    header, *lines = csv.read_text("utf-8").splitlines()
    moved = ["qw, " + header.removesuffix(",qw"), *(f"{line.rsplit(',', 1)[1]},{line.rsplit(',', 1)[0]}" for line in lines)]
    csv.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*moved, ""]).encode())
    assert np.array_equal(read(path)[0].table, straight()[0])


def test_pictures_may_be_jpeg_grey_and_named_without_zeros(tmp_path):
    path = record(tmp_path, "t", "pictures")
    (path / "frames" / "000002.png").unlink()
    Image.new("L", (8, 6), 200).save(path / "frames" / "2.JPG", "JPEG")
    (path / "frames" / "._2.png").write_bytes(b"what macOS leaves")
    assert read(path)[1][1].tolist() == np.full((6, 8, 3), 200).tolist()


def test_a_dataset_has_folders_and_archives_and_nothing_else(tmp_path):
    for name in ("b.npz", "a.h5", "README.md", ".hidden.npz"):
        (tmp_path / name).touch()
    for name in ("c.d", ".git"):
        (tmp_path / name).mkdir()
    assert list(find(tmp_path)) == ["a", "b", "c.d"]


def test_two_of_one_id_are_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a.npz").touch()
    with pytest.raises(DataError, match=r"a\.npz: a has the same id 'a'"):
        find(tmp_path)


def test_a_dataset_without_trajectories_is_told(tmp_path):
    with pytest.raises(DataError, match="there is no trajectory in it"):
        find(tmp_path)
    with pytest.raises(DataError, match="nowhere: this folder of trajectories can't be read"):
        find(tmp_path / "nowhere")


def test_the_checksum_follows_bytes_and_names(tmp_path):
    path = record(tmp_path, "t", "pictures")
    before = checksum(path)
    assert before == checksum(path.rename(tmp_path / "other")) and len(before) == 16
    (tmp_path / "other" / "frames" / "000000.png").rename(tmp_path / "other" / "frames" / "000001.png")
    assert checksum(tmp_path / "other") != before


def test_the_checksum_of_a_file_is_that_of_its_bytes(tmp_path):
    path = record(tmp_path, "t")
    assert checksum(path) == hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_memory_is_that_of_one_batch(tmp_path):
    frames = np.zeros((200, 100, 100, 3), np.uint8)  # 6 MB
    table = straight(200)[0]
    path = tmp_path / "big.npz"
    np.savez_compressed(path, poses=table, frames=frames)
    tracemalloc.start()
    try:
        with open_trajectory(path) as trajectory:
            for start in range(0, 200, 10):
                trajectory.frames.read(start, start + 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < frames.nbytes / 4


# --- broken -------------------------------------------------------------------------------------------------------


def with_pose(row, column, value):
    table = straight()[0]
    table[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (with_pose(2, 3, np.nan), "pose 3 of 5 has a value that is no finite number"),
        (with_pose(2, 1, np.inf), "pose 3 of 5 has a value that is no finite number"),
        (with_pose(1, 0, 2.5), "pose 2 of 5 has no whole number from 0 to 2\\*\\*53 as its frame"),
        (with_pose(0, 0, -1.0), "pose 1 of 5 has no whole number"),
        (with_pose(4, 0, 2.0**53 + 2), "pose 5 of 5 has no whole number"),
        (with_pose(2, 2, 1e300), r"pose 3 of 5 is more than 1e\+12 metres from the origin"),
        (with_pose(2, 4, -1e300), "pose 3 of 5 is more than"),
        (with_pose(3, 0, 4.0), "pose 4 of 5 has a frame that doesn't come after"),
        (with_pose(3, 1, 0.0), "pose 4 of 5 has a timestamp before"),
        (with_pose(3, 1, -1e308), "pose 4 of 5 has a timestamp before"),
        (with_pose(4, 8, 0.5), "pose 5 of 5 has a quaternion that isn't of length 1"),
        (with_pose(4, 8, 1e300), "pose 5 of 5 has a quaternion that isn't of length 1"),
        (straight()[0][:, :7], r"poses are \(5, 7\) float64"),
        (straight()[0][0], r"poses are \(9,\) float64"),
        (straight()[0][:0], "it has no pose"),
        (straight(4)[0], "4 poses and 5 frames"),
        (straight()[0].astype(str), "poses are .* <U32"),
        (straight()[0].astype(object), "Python objects"),
        (np.asfortranarray(straight()[0]), "Fortran order"),
    ],
    ids=["nan", "inf", "half a frame", "frame below 0", "frame beyond", "far", "far below", "frame twice", "time", "time beyond", "quaternion", "quaternion beyond", "columns", "one row", "empty", "count", "text", "objects", "fortran"],
)
def test_poses_that_make_no_sense_are_refused(tmp_path, table, says):
    path = tmp_path / "t.npz"
    np.savez(path, poses=table, frames=straight()[1])
    with pytest.raises(DataError, match=says) as caught:
        read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (np.zeros((5, 6, 8), np.uint8), r"frames are \(5, 6, 8\) uint8"),
        (np.zeros((5, 6, 8, 3), np.float32), "float32; .* uint8 was expected"),
        (np.zeros((5, 0, 8, 3), np.uint8), r"frames are \(5, 0, 8, 3\)"),
        (np.zeros((0, 6, 8, 3), np.uint8), "5 poses and 0 frames"),
    ],
    ids=["grey", "floats", "no height", "none"],
)
@pytest.mark.parametrize("form", ["npz", "hdf5", "arrays"])
def test_frames_of_another_kind_are_refused(tmp_path, form, frames, says):
    path = synthetic.write(tmp_path / "t", straight()[0], np.ones((5, 6, 8, 3), np.uint8), form)
    if form == "npz":
        np.savez(path, poses=straight()[0], frames=frames)
    elif form == "arrays":
        np.save(path / "frames.npy", frames)
    else:
        with h5py.File(path, "w") as file:
            file["poses"], file["frames"] = straight()[0], frames
    with pytest.raises(DataError, match=says):
        read(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("frame,timestamp,x,y,height\n0,0,0,0,0\n", "poses.csv:1: unknown columns 'height'"),
        ("frame,timestamp,x,y\n0,0,0,0\n", "poses.csv:1: the columns frame, timestamp, x, y"),
        ("frame,timestamp,x,y,z,z\n0,0,0,0,0,0\n", "poses.csv:1: the columns"),
        ("", "poses.csv:1: the columns of nothing"),
        ("frame,timestamp,x,y,z\n", "it has no pose"),
        ("frame,timestamp,x,y,z\n0,0,0,left,0\n", "could not convert string 'left'"),
        ("frame,timestamp,x,y,z\n0,0,0,0,0\n1,1,0\n", "the number of columns changed"),
        ("frame,timestamp,x,y,z\n0,0,0\n", "lines have 3 values, and there are 5"),
        ("frame,timestamp,x,y,z\n0,0,\udcff,0,0\n", "can't be read"),
        ("x" * 200_000, "can't be read"),
    ],
    ids=["unknown", "missing", "twice", "empty", "no line", "word", "short line", "short lines", "not utf-8", "long"],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path, text, says):
    path = record(tmp_path, "t", "pictures")
    (path / "poses.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=says):
        read(path)


def other_size(folder):
    Image.new("RGB", (9, 6)).save(folder / "frames" / "000004.png")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "poses.csv").unlink(), "neither poses.csv nor poses.npy"),
        (lambda folder: np.save(folder / "poses.npy", straight()[0]), "both poses.csv and poses.npy"),
        (lambda folder: (folder / "frames").rename(folder / "images"), "neither frames nor frames.npy"),
        (lambda folder: np.save(folder / "frames.npy", straight()[1]), "both frames and frames.npy"),
        (lambda folder: (folder / "frames" / "000004.png").unlink(), "no picture of frame 4"),
        (lambda folder: Image.new("RGB", (8, 6)).save(folder / "frames" / "9.png"), "6 pictures, and there are 5 poses"),
        (lambda folder: Image.new("RGB", (8, 6)).save(folder / "frames" / "4.png"), "is the same frame"),
        (lambda folder: Image.new("RGB", (8, 6)).save(folder / "frames" / "left.png"), "its frame's number"),
        (other_size, "000004.png: it is 9x6, the pictures before it 8x6"),
        (lambda folder: (folder / "frames" / "000004.png").write_bytes(b"GIF"), "000004.png: it can't be read"),
    ],
    ids=["no poses", "poses twice", "no frames", "frames twice", "missing", "too many", "frame twice", "name", "size", "no picture"],
)
def test_a_folder_whose_files_dont_fit_is_refused(tmp_path, change, says):
    path = record(tmp_path, "t", "pictures")
    change(path)
    with pytest.raises(DataError, match=says):
        read(path)


@in_every_form
@given(share=st.floats(0.0, 0.999), flips=st.booleans(), seed=st.integers(0, 2**16))
def test_damage_is_a_data_error_or_harmless(tmp_path_factory, form, share, flips, seed):
    """Cut off anywhere, or a bit changed anywhere: the file is refused, or read in the right shape."""
    path = record(tmp_path_factory.mktemp("t"), "t", form)
    file = path / {"pictures": "poses.csv", "arrays": "frames.npy"}[form] if path.is_dir() else path
    data = bytearray(file.read_bytes())
    if flips:
        data[int(share * len(data))] ^= 1 << seed % 8
    file.write_bytes(data if flips else data[: int(share * len(data))])
    try:
        _, frames = read(path)
    except DataError:
        return
    assert frames.shape == (5, 6, 8, 3)


@pytest.mark.parametrize(("form", "name"), [("hdf5", "h5py"), ("pictures", "PIL")])
def test_a_package_that_is_missing_is_named_with_its_command(tmp_path, monkeypatch, form, name):
    path = record(tmp_path, "t", form)
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'tinytorch\[dino\]'"):
        read(path)
    with pytest.raises(ConfigError, match=r"pip install 'tinytorch\[dino\]'"):
        reading.check_packages([path])


def test_an_array_of_a_negative_shape_is_refused(tmp_path):
    """Whose bytes are as many as it says."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (-5, -6, 8, 3)})
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive, io.BytesIO() as poses:
        np.save(poses, straight()[0])
        archive.writestr("poses.npy", poses.getvalue())
        archive.writestr("frames.npy", stream.getvalue() + bytes(5 * 6 * 8 * 3))
    with pytest.raises(DataError, match=r"an array of the shape \(-5, -6, 8, 3\)"):
        read(tmp_path / "t.npz")


def test_an_hdf5_file_whose_names_are_no_text_is_told(tmp_path):
    path = record(tmp_path, "t", "hdf5")
    data = path.read_bytes()
    assert data.count(b"poses") == 1
    path.write_bytes(data.replace(b"poses", b"p\xffses"))
    with pytest.raises(DataError, match="t.h5: it (has no dataset 'poses'|can't be read)"):
        read(path)


def test_an_archive_without_the_arrays_says_what_it_has(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive, io.BytesIO() as stream:
        np.save(stream, np.zeros(3))
        archive.writestr("positions.npy", stream.getvalue())
    with pytest.raises(DataError, match="no array 'poses'; there is: positions.npy"):
        read(tmp_path / "t.npz")
