"""What a frame is turned into: a vector, by DINOv2 or by any function that takes frames and gives vectors.

Such a function takes frames (n, h, w, 3) uint8, RGB, and returns (n, d) real numbers: an array, or something that has
`.numpy()`, as a Tensor of the course has. What it returns for a frame may not depend on the other frames.

Source: M. Oquab et al., *DINOv2: Learning Robust Visual Features without Supervision* (2023), arXiv:2304.07193.
"""
from __future__ import annotations

import importlib
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinytorch import http
from tinytorch.errors import ConfigError, DataError
from tinytorch.retry import ExponentialBackoffPolicy

if TYPE_CHECKING:
    import torch

__all__ = ["DINO_PATCH", "DINO_REPOSITORY", "DINO_TYPES", "Dino", "Features", "colour_means", "extract", "named"]

Features = Callable[[np.ndarray], Any]

DINO_REPOSITORY = "facebookresearch/dinov2"
DINO_TYPES = {"small": "dinov2_vits14", "base": "dinov2_vitb14", "large": "dinov2_vitl14", "giant": "dinov2_vitg14"}
DINO_PATCH = 14  # pixels of a side of what DINOv2 sees as one token
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels in [0, 1], red, green and blue
_GRID = 4  # cells of a side


def named(name: str) -> Features:
    """The function that `package.module:function` names.

    Raises: ConfigError if it can't be imported, isn't there, or can't be called.
    """
    module_name, _, path = name.partition(":")
    if not module_name or not path:
        raise ConfigError(f"features: {name!r} names no function; write package.module:function")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigError(f"features: {name!r}: {error}. Is its folder installed, or in PYTHONPATH?") from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"features: {name!r}: {getattr(found, '__name__', type(found).__name__)} has no {part!r}")
        found = getattr(found, part)
    if not callable(found) or isinstance(found, type):
        raise ConfigError(f"features: {name!r} is {type(found).__name__}; a function of frames was expected")
    function: Features = found
    return function


def extract(features: Features, frames: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """What `features` makes of frames (n, h, w, 3): (n, d) of `dtype`.

    Raises: DataError if it isn't one vector of finite numbers for each frame, or doesn't fit into `dtype`.
    """
    given = features(frames)
    if hasattr(given, "numpy"):
        given = given.numpy()
    array = np.asarray(given)
    if array.ndim != 2 or len(array) != len(frames) or not array.shape[1] or array.dtype.kind not in "fiu":
        raise DataError(f"features gave {array.shape} {array.dtype} for {len(frames)} frames; numbers of the shape ({len(frames)}, d) were expected")
    if not np.isfinite(array).all():
        raise DataError(f"features gave a value that is no finite number, for frame {int(np.argmin(np.isfinite(array).all(axis=1))) + 1} of {len(frames)}")
    with np.errstate(over="ignore"):
        stored = array.astype(dtype)
    if not np.isfinite(stored).all():
        raise DataError(f"features gave {np.abs(array).max():.3g}, more than {dtype} holds. Set feature_dtype: float32")
    return stored


def colour_means(frames: np.ndarray) -> np.ndarray:
    """Mean red, green and blue of a grid of 4x4 cells: what to begin with, and to compare a network with.

    Shapes: frames (n, h, w, 3) uint8, h and w at least 4; the result (n, 48) float32 in [0, 1].

    >>> colour_means(np.full((2, 8, 8, 3), 255, np.uint8)).tolist() == [[1.0] * 48] * 2
    True
    """
    height, width = frames.shape[1:3]
    rows = np.arange(_GRID) * height // _GRID
    columns = np.arange(_GRID) * width // _GRID
    sums = np.add.reduceat(np.add.reduceat(frames, rows, axis=1, dtype=np.uint32), columns, axis=2, dtype=np.uint32)
    pixels = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))
    means: np.ndarray = sums / (255.0 * pixels[None, :, :, None])
    return means.reshape(len(frames), -1).astype(np.float32)


class Dino:
    """DINOv2 through PyTorch Hub: frames to the embedding of the whole picture.

    A picture is scaled so that its shorter side is `image_size` and both sides are multiples of 14, and normalised as
    DINOv2's training was. The network is loaded with the first frames, so that an object of this class can be sent to
    another process.
    """

    def __init__(
        self, model_type: str, *, repository: str = DINO_REPOSITORY, image_size: int = 224, device: str = "auto",
        policy: ExponentialBackoffPolicy | None = None,
    ) -> None:
        self.model_type, self.repository, self.image_size, self.device = model_type, repository, image_size, device
        self.policy = policy
        self._model: torch.nn.Module | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_model": None}

    @property
    def model(self) -> torch.nn.Module:
        """The network, on its device. Raises: ConfigError or DataError if there is no torch, device, or repository."""
        if self._model is None:
            torch = _torch()
            device = _device(torch, self.device)
            self._model = (self.policy or ExponentialBackoffPolicy()).call(self._load).eval().to(device)
        return self._model

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Embeddings (n, d) float32 of frames (n, h, w, 3) uint8; d is 384, 768, 1024 or 1536 by size of the network."""
        model, torch = self.model, _torch()
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        with torch.no_grad():
            embedded = model(self.prepared(frames).to(device))
        array: np.ndarray = embedded.float().cpu().numpy()
        return array

    def prepared(self, frames: np.ndarray) -> torch.Tensor:
        """Frames as the network takes them: (n, 3, h', w') float32, h' and w' multiples of 14."""
        torch = _torch()
        pixels = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).float() / 255.0
        scale = self.image_size / min(frames.shape[1:3])
        size = [max(1, round(side * scale / DINO_PATCH)) * DINO_PATCH for side in frames.shape[1:3]]
        scaled = torch.nn.functional.interpolate(pixels, size=size, mode="bicubic", align_corners=False, antialias=True)
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
        return (scaled.clamp(0.0, 1.0) - mean) / std

    def _load(self) -> torch.nn.Module:
        torch = _torch()
        local = Path(self.repository).is_dir()
        where = "" if local else " Or put a copy of the repository and its weights on this machine, and set dino_repository to its folder"
        try:
            return torch.hub.load(
                self.repository, DINO_TYPES[self.model_type], source="local" if local else "github", verbose=False,
                **({} if local else {"trust_repo": True, "skip_validation": True}),
            )  # fmt: skip
        except urllib.error.HTTPError as error:
            with error:
                raise DataError(
                    f"{self.repository}: PyTorch Hub could not load it: {error.code} {error.reason}.{where}", retryable=error.code in http.TRANSIENT
                ) from error
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            raise DataError(f"{self.repository}: PyTorch Hub could not load it: {getattr(error, 'reason', error)}. Is there a network?{where}", retryable=True) from error
        except (OSError, RuntimeError, ImportError, SyntaxError) as error:  # a repository without the model, or a broken one
            raise DataError(f"{self.repository}: PyTorch Hub could not load {DINO_TYPES[self.model_type]}: {error}.{where}") from error


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            "DINO's features need PyTorch: pip install 'tinytorch[dino]'. Or name another function with features: package.module:function"
        ) from error
    return torch


def _device(torch: Any, name: str) -> Any:
    """The device of that name; `auto` is the best there is."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    if not there.get(name.partition(":")[0], False):
        raise ConfigError(f"device: PyTorch finds no {name} on this machine; there is: {', '.join(word for word, is_there in there.items() if is_there)}")
    return torch.device(name)
