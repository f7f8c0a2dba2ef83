"""Trajectories that nobody recorded: a camera that wanders over a picture, for tests, and for trying the cache out.

`python -m tinytorch.trajectories.synthetic DIR --count 20 --corrupted 1 --immobile 1` writes them.
"""
from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinytorch.errors import ConfigError, TinyTorchError
from tinytorch.trajectories.reading import COLUMNS, hdf5_package, picture_package

__all__ = ["FORMS", "main", "synthesize", "write"]

FORMS = ("pictures", "arrays", "npz", "hdf5")
_STEP, _TURN = 0.5, 0.15  # metres from pose to pose; standard deviation of the change of direction, in radians
_SECONDS = 0.1  # from pose to pose
_HEIGHT, _WIDTH = 48, 64
CORRUPTED, IMMOBILE = "trajectory_with_corrupted_data", "trajectory_with_insufficient_movement"


def synthesize(
    folder: Path, *, count: int, corrupted: int = 0, immobile: int = 0, seed: int = 0, poses: int = 150, forms: Sequence[str] = ("arrays", "npz")
) -> list[Path]:
    """Write so many trajectories into `folder`, the forms in turn; the last ones are those that are corrupted or immobile.

    The same arguments give the same files. `pictures` needs Pillow and `hdf5` h5py; the others need only NumPy.

    Raises: ConfigError for numbers that don't fit together, an unknown form, or a form whose package is missing.
    """
    if min(corrupted, immobile) < 0 or count < max(1, corrupted + immobile) or poses < 2 or not forms:
        raise ConfigError(f"{count} trajectories, {corrupted} of them corrupted, {immobile} immobile, of {poses} poses: that can't be made")
    if unknown := [form for form in forms if form not in FORMS]:
        raise ConfigError(f"there is no form {unknown[0]!r} of a trajectory; there are: {', '.join(FORMS)}")
    names = [f"traj_{number:03}" for number in range(1, count - corrupted - immobile + 1)]
    names += _numbered(CORRUPTED, corrupted) + _numbered(IMMOBILE, immobile)
    written = []
    for position, name in enumerate(names):
        random = np.random.default_rng((seed, position))
        table, frames = _walk(random, poses, moves=not name.startswith(IMMOBILE))
        path = write(folder / name, table, frames, forms[position % len(forms)])
        if name.startswith(CORRUPTED):
            _corrupt(path)
        written.append(path)
    return written


def write(path: Path, table: np.ndarray, frames: np.ndarray, form: str) -> Path:
    """Write one trajectory at `path`, to which the form's ending is added; returns where it is.

    Shapes: table (n, 5) or (n, 9), columns as `tinytorch.trajectories.reading.COLUMNS`; frames (n, h, w, 3) uint8.
    """
    if form == "npz":
        return _written(path.with_name(f"{path.name}.npz"), _npz(table, frames))
    if form == "hdf5":
        return _written(path.with_name(f"{path.name}.h5"), _hdf5(table, frames, hdf5_package(path)))
    if form == "arrays":
        _written(path / "poses.npy", _npy(table))
        _written(path / "frames.npy", _npy(frames))
        return path
    image = picture_package(path)
    lines = [",".join(COLUMNS[: table.shape[1]])]
    lines += [",".join([str(int(row[0])), *map(repr, row[1:].tolist())]) for row in table]
    _written(path / "poses.csv", ("\n".join(lines) + "\n").encode("utf-8"))
    for number, frame in zip(table[:, 0].astype(int).tolist(), frames, strict=True):
        _written(path / "frames" / f"{number:06}.png", _png(frame, image))
    return path


def _written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)  # can be made again at any time, so nothing has to be flushed
    return path


def _numbered(name: str, count: int) -> list[str]:
    return [name if number == 1 else f"{name}_{number}" for number in range(1, count + 1)]


def _walk(random: np.random.Generator, poses: int, *, moves: bool) -> tuple[np.ndarray, np.ndarray]:
    """Poses (n, 9) along a way that bends, or on the spot, and what the camera sees from there, (n, h, w, 3)."""
    heading = np.cumsum(random.normal(0.0, _TURN, poses))
    steps = np.full(poses, _STEP if moves else 1e-4)
    steps[0] = 0.0
    x, y = np.cumsum(steps * np.cos(heading)), np.cumsum(steps * np.sin(heading))
    zero = np.zeros(poses)
    quaternion = [zero, zero, np.sin(heading / 2), np.cos(heading / 2)]
    table = np.column_stack([np.arange(poses), np.arange(poses) * _SECONDS, x, y, zero + 1.5, *quaternion])
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    waves = [(columns * 0.1 + x[:, None, None]), (rows * 0.1 + y[:, None, None]), ((rows + columns) * 0.05 + heading[:, None, None])]
    frames = np.stack([127.5 + 127.5 * np.sin(wave) for wave in waves], axis=-1)
    return table, frames.astype(np.uint8)


def _corrupt(path: Path) -> None:
    """Cut the last tenth off, as an interrupted copy does."""
    file = path
    if path.is_dir():
        file = path / "frames.npy" if (path / "frames.npy").exists() else max((path / "frames").iterdir())
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * 9 // 10])


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _npz(table: np.ndarray, frames: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, poses=table, frames=frames)
    return stream.getvalue()


def _png(frame: np.ndarray, image: Any) -> bytes:
    stream = io.BytesIO()
    image.fromarray(frame).save(stream, "PNG")
    return stream.getvalue()


def _hdf5(table: np.ndarray, frames: np.ndarray, h5py: Any) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("poses", data=table)
        file.create_dataset("frames", data=frames, chunks=(1, *frames.shape[1:]), compression="gzip")
    return stream.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tinytorch.trajectories.synthetic", description="Write synthetic trajectories, the same for the same seed.",
        epilog="Example: python -m tinytorch.trajectories.synthetic trajectories --count 20 --corrupted 1 --immobile 1",
    )  # fmt: skip
    parser.add_argument("folder", metavar="DIR", type=Path, help="where they are written")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="how many, the bad ones included (default: 20)")
    parser.add_argument("--corrupted", type=int, default=0, metavar="N", help="how many of them are cut off")
    parser.add_argument("--immobile", type=int, default=0, metavar="N", help="how many of them stay where they are")
    parser.add_argument("--poses", type=int, default=150, metavar="N", help="poses of each, half a metre apart (default: 150)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: 0)")
    parser.add_argument("--forms", default="arrays,npz", help=f"which are used in turn, of {', '.join(FORMS)} (default: arrays,npz)")
    chosen = vars(parser.parse_args(arguments))
    try:
        written = synthesize(chosen.pop("folder"), forms=chosen.pop("forms").split(","), **chosen)
    except (TinyTorchError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Wrote {len(written)} trajectories to {written[0].parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
