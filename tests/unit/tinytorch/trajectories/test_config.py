"""The configuration file: what it says, and what is said of a wrong one."""
from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from tests.unit.tinytorch.trajectories.recordings import COLOURS, config
from tinytorch import yaml_file
from tinytorch.errors import ConfigError
from tinytorch.trajectories.chunking import Limits
from tinytorch.trajectories.config import CacheConfig, read_config
from tinytorch.trajectories.features import Dino, colour_means


def written(folder, text):
    path = folder / "dino_cache.yaml"
    path.write_bytes(text.encode("utf-8"))
    return path


def test_the_defaults_are_those_of_the_course(tmp_path):
    found = read_config(written(tmp_path, "dataset: a b\ncache_dir: ../cache\n"))
    assert found == CacheConfig(tmp_path / "a b", tmp_path.parent / "cache", dataset_name="a b")
    assert found.limits == Limits(50.0, 1.0, 0.3)
    assert (found.dino_model_type, found.enable_progress_tracking, found.force_rebuild) == ("large", True, False)


def test_everything_can_be_said(tmp_path):
    text = (
        "dataset: in\ncache_dir: out\ndataset_name: walks\nmax_chunk_distance_m: 20\noverlap_distance_m: 0.5\nmin_chunk_distance_m: 1e-1\n"
        f"features: {COLOURS}\ndino_model_type: small\ndino_repository: in\nimage_size: 28\ndevice: cpu\nfeature_dtype: float32\n"
        "frames_per_batch: 4\nworkers: 2\nenable_progress_tracking: False\nforce_rebuild: true  # once\n"
    )
    (tmp_path / "in").mkdir()
    assert read_config(written(tmp_path, text.replace("\n", "\r\n"))) == CacheConfig(
        tmp_path / "in", tmp_path / "out", "walks", Limits(20.0, 0.5, 0.1), COLOURS, "small", str(tmp_path / "in"), 28, "cpu",
        "float32", 4, 2, enable_progress_tracking=False, force_rebuild=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dino_model_typ: large", "yaml:3: there is no key 'dino_model_typ'. Did you mean dino_model_type?"),
        ("dino_model_type: larg", "yaml:3: dino_model_type can't be 'larg'. Did you mean large? It is one of: small, base, large, giant"),
        ("max_chunk_distance_m: far", "yaml:3: max_chunk_distance_m must be a number such as 50.0, found 'far'"),
        ("max_chunk_distance_m: .inf", "yaml:3: max_chunk_distance_m must be a number"),
        ("min_chunk_distance_m: -1", "yaml:3: min_chunk_distance_m must be a number"),
        ("overlap_distance_m: 50", "yaml:3: overlap_distance_m is 50.0, max_chunk_distance_m 50.0: it must be smaller"),
        ("enable_progress_tracking: maybe", "yaml:3: enable_progress_tracking must be true or false, found 'maybe'"),
        ("workers: many", "yaml:3: workers must be a whole number"),
        ("frames_per_batch: 0", "yaml:3: frames_per_batch is 0; a number from 1 on"),
        ("image_size: 225", "yaml:3: image_size is 225; a multiple of 14"),
        ("feature_dtype: float46", "yaml:3: feature_dtype can't be 'float46'. Did you mean float16?"),
        ("dataset: other", "yaml:3: 'dataset' stands here a second time"),
        ("features: [a, b]", "yaml:3: features must be a text, found a list"),
        ("workers: [", "yaml:4: no YAML"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path, line, says):
    path = written(tmp_path, f"dataset: in\ncache_dir: out\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert says in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cache_dir: out\n", "yaml:1: there is no dataset"),
        ("dataset: in\n", "yaml:1: there is no cache_dir"),
        ("dataset: in\ncache_dir: in/cache\n", "yaml:2: cache_dir .* is in the dataset"),
        ("dataset: in\ncache_dir: in\n", "yaml:2: cache_dir .* is in the dataset"),
        ("", "yaml:1: the configuration is empty"),
        ("- a\n", "must be a table"),
        ("a" * 100_001, "smaller than 100000 bytes"),
        ("dataset: \udcff\n", "it is not UTF-8 text"),
    ],
    ids=["dataset", "cache", "inside", "same", "empty", "list", "huge", "encoding"],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path, text, says):
    path = tmp_path / "dino_cache.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError, match=says):
        read_config(path)


def test_a_file_that_isnt_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="this configuration can't be read"):
        read_config(tmp_path / "none.yaml")


def test_what_changes_the_result_is_its_processing_config(tmp_path):
    four = {"max_chunk_distance_m": 50.0, "overlap_distance_m": 1.0, "min_chunk_distance_m": 0.3, "dino_model_type": "large"}
    assert config(tmp_path).processing == four | {"features": COLOURS, "feature_dtype": "float16"}
    assert config(tmp_path, workers=3, frames_per_batch=2).processing == config(tmp_path).processing
    dino = config(tmp_path, features="").processing
    assert dino == four | {"dino_repository": "facebookresearch/dinov2", "image_size": 224, "feature_dtype": "float16"}
    assert list(dino)[:4] == list(four)


def test_the_features_are_made_from_it(tmp_path):
    assert config(tmp_path).make_features() is colour_means
    dino = config(tmp_path, features="", dino_model_type="base", image_size=28).make_features()
    assert isinstance(dino, Dino) and (dino.model_type, dino.image_size) == ("base", 28)


def test_the_example_of_the_docs_has_every_key_with_its_default(tmp_path):
    docs = Path(__file__).parents[4] / "docs"
    text = (docs / "examples" / "dino_cache.yaml").read_text("utf-8")
    assert text in (docs / "cache.md").read_text("utf-8")
    path = tmp_path / "config" / "data" / "dino_cache.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    assert read_config(path) == config(tmp_path, dataset_name="example_dataset")
    assert {key.text() for key, _ in yaml_file.read(text, "", "").table()} == {
        *(field.name for field in fields(CacheConfig)), *(field.name for field in fields(Limits))
    } - {"limits"}  # fmt: skip
