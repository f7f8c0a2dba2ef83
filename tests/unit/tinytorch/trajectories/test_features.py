"""Features: checked whatever the function, and DINO's through a hub repository that a test writes."""
from __future__ import annotations

import pickle
import urllib.error

import numpy as np
import pytest

from tinytorch.errors import ConfigError, DataError
from tinytorch.retry import ExponentialBackoffPolicy
from tinytorch.trajectories.features import DINO_TYPES, Dino, colour_means, extract, named

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 10, 13, 3), np.uint8)
HALF = np.dtype("float16")


# --- any function -------------------------------------------------------------------------------------------------


def test_colour_means_are_those_of_the_cells():
    means = colour_means(FRAMES).reshape(3, 4, 4, 3)
    assert means.dtype == np.float32
    assert np.allclose(means[1, 3, 2], FRAMES[1, 7:10, 6:9].mean(axis=(0, 1)) / 255)
    assert np.allclose(means[0, 0, 0], FRAMES[0, 0:2, 0:3].mean(axis=(0, 1)) / 255)


def test_a_function_is_found_by_its_name():
    assert named("tinytorch.trajectories.features:colour_means") is colour_means
    assert named("numpy:linalg.norm") is np.linalg.norm


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("colour_means", "write package.module:function"),
        (":colour_means", "write package.module:function"),
        ("no_such_package:f", "No module named 'no_such_package'. Is its folder installed"),
        ("numpy:no_such", "numpy has no 'no_such'"),
        ("numpy:pi", "is float; a function of frames was expected"),
        ("numpy:ndarray", "is type; a function of frames was expected"),
    ],
)
def test_a_name_of_no_function_is_refused(name, says):
    with pytest.raises(ConfigError, match=says):
        named(name)


class Tensor:
    """As the course's: its values are `.numpy()`."""

    def __init__(self, values):
        self.values = values

    def numpy(self):
        return self.values


def test_what_a_module_of_the_course_returns_is_taken():
    assert extract(lambda frames: Tensor(colour_means(frames)), FRAMES, HALF).dtype == HALF


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.zeros((2, 4)), r"gave \(2, 4\) float64 for 3 frames; numbers of the shape \(3, d\)"),
        (np.zeros(3), r"gave \(3,\) float64"),
        (np.zeros((3, 0)), r"gave \(3, 0\)"),
        (np.zeros((3, 2), complex), "complex128"),
        (np.array([["a"]] * 3), "<U1"),
        (None, r"gave \(\) object"),
        (np.array([[0.0], [np.nan], [0.0]]), "no finite number, for frame 2 of 3"),
        (np.full((3, 1), 1e6), r"gave 1e\+06, more than float16 holds. Set feature_dtype: float32"),
    ],
    ids=["count", "flat", "nothing", "complex", "text", "none", "nan", "too large"],
)
def test_what_isnt_one_finite_vector_for_each_frame_is_refused(given, says):
    with pytest.raises(DataError, match=says):
        extract(lambda frames: given, FRAMES, HALF)


# --- DINO ---------------------------------------------------------------------------------------------------------

HUBCONF = """
import torch

class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, pictures):
        assert pictures.shape[2] % 14 == 0 and pictures.shape[3] % 14 == 0
        means = self.dropout(pictures.mean(dim=(2, 3)) * self.weight)
        return torch.cat([means, torch.tensor(pictures.shape[2:]).expand(len(pictures), 2)], dim=1)

def dinov2_vits14():
    return Small()
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A hub repository that has only the small network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "a repository").mkdir()
    (tmp_path / "a repository" / "hubconf.py").write_text(HUBCONF, "utf-8")
    return str(tmp_path / "a repository")


def test_dino_sees_normalised_pictures_in_evaluation_and_without_gradients(repository):
    white = np.full((2, 30, 40, 3), 255, np.uint8)
    features = Dino("small", repository=repository, image_size=28, device="cpu")(white)
    expected = (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    assert features.dtype == np.float32
    assert np.allclose(features, [[*expected, 28, 42]] * 2, atol=1e-5)


def test_pictures_keep_their_colours_and_places(repository):
    frames = np.zeros((1, 56, 56, 3), np.uint8)
    frames[0, :28, :, 0], frames[0, :28, :, 2] = 255, 51
    prepared = Dino("small", repository=repository, image_size=28).prepared(frames)[0].numpy()
    assert prepared.shape == (3, 28, 28)
    assert prepared[0, 3, 14] == pytest.approx((1 - 0.485) / 0.229, abs=1e-4)
    assert prepared[2, 3, 14] == pytest.approx((0.2 - 0.406) / 0.225, abs=1e-4)
    assert prepared[0, 24, 14] == pytest.approx(-0.485 / 0.229, abs=1e-4)
    assert prepared[1].max() == pytest.approx(-0.456 / 0.224, abs=1e-4)


def test_dino_is_sent_to_another_process_without_its_network(repository):
    dino = Dino("small", repository=repository, image_size=28, device="cpu")
    first = dino(FRAMES)
    sent = pickle.dumps(dino)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent)(FRAMES), first)


def test_a_repository_without_the_network_is_told(repository):
    with pytest.raises(DataError, match=r"PyTorch Hub could not load dinov2_vitl14: .*dinov2_vitl14"):
        Dino("large", repository=repository)(FRAMES)


def test_the_names_are_those_of_the_hub():
    assert DINO_TYPES == {"small": "dinov2_vits14", "base": "dinov2_vitb14", "large": "dinov2_vitl14", "giant": "dinov2_vitg14"}


def test_a_network_that_fails_is_tried_again_and_then_told(monkeypatch):
    import torch

    tries, pauses = [], []

    def unreachable(*arguments, **options):
        tries.append((arguments, options["source"], options["trust_repo"]))
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "load", unreachable)
    policy = ExponentialBackoffPolicy(attempts=3, sleep=pauses.append)
    with pytest.raises(DataError, match=r"Name or service not known\. Is there a network\? Or put a copy .* dino_repository"):
        Dino("giant", policy=policy)(FRAMES)
    assert tries == [(("facebookresearch/dinov2", "dinov2_vitg14"), "github", True)] * 3 and len(pauses) == 2


def test_without_torch_the_command_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(ConfigError, match=r"pip install 'tinytorch\[dino\]'"):
        Dino("small")(FRAMES)


def test_a_device_that_isnt_there_is_refused(repository):
    with pytest.raises(ConfigError, match="PyTorch finds no tpu on this machine; there is: cpu"):
        Dino("small", repository=repository, device="tpu")(FRAMES)
