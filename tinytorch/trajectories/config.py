"""What `dino_cache.yaml` says: which trajectories, which features, where the cache is."""
from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinytorch import yaml_file
from tinytorch.errors import ConfigError
from tinytorch.trajectories.chunking import Limits
from tinytorch.trajectories.features import DINO_PATCH, DINO_REPOSITORY, DINO_TYPES, Dino, Features, named
from tinytorch.yaml_file import Value

__all__ = ["CacheConfig", "read_config"]

_LARGEST = 100_000  # bytes of a configuration
_WORDS = {"dino_model_type": tuple(DINO_TYPES), "feature_dtype": ("float16", "float32")}  # what some keys may say


@dataclass(frozen=True)
class CacheConfig:
    """One cache; the defaults are those of the file.

    Raises: ConfigError for a value out of its range.
    """

    dataset: Path  # a folder of trajectories
    cache_dir: Path
    dataset_name: str = ""  # the dataset's folder, if it is empty
    limits: Limits = field(default_factory=Limits)
    features: str = ""  # package.module:function; DINOv2, if it is empty
    dino_model_type: str = "large"
    dino_repository: str = DINO_REPOSITORY  # of PyTorch Hub, or a folder with a hubconf.py
    image_size: int = 224  # pixels of the shorter side that DINOv2 sees
    device: str = "auto"  # of PyTorch, for DINOv2: auto (the best there is), cpu, cuda, cuda:1, mps
    feature_dtype: str = "float16"
    frames_per_batch: int = 16  # in memory at once, and given to the function together
    workers: int = 0  # processes beside this one
    enable_progress_tracking: bool = True
    force_rebuild: bool = False

    def __post_init__(self) -> None:
        if not self.dataset_name:
            object.__setattr__(self, "dataset_name", self.dataset.resolve().name)
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise ConfigError(f"{name} can't be {getattr(self, name)!r}. It is one of: {', '.join(words)}")
        if self.image_size < DINO_PATCH or self.image_size % DINO_PATCH:
            raise ConfigError(f"image_size is {self.image_size}; a multiple of {DINO_PATCH} was expected, which DINOv2 needs")
        for name, least in (("frames_per_batch", 1), ("workers", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; a number from {least} on was expected")
        cache, dataset = self.cache_dir.resolve(), self.dataset.resolve()
        if cache == dataset or dataset in cache.parents:
            raise ConfigError(f"cache_dir {self.cache_dir} is in the dataset {self.dataset}: it would count as a trajectory. Choose another folder")

    @property
    def processing(self) -> dict[str, Any]:
        """Whatever changes what is in the cache; the `processing_config` of its progress file."""
        facts = {**vars(self.limits), "dino_model_type": self.dino_model_type}
        if self.features:
            facts["features"] = self.features
        else:
            facts |= {"dino_repository": self.dino_repository, "image_size": self.image_size}
        return facts | {"feature_dtype": self.feature_dtype}

    def make_features(self) -> Features:
        """The function that the configuration names. Raises: ConfigError if there is none."""
        if self.features:
            return named(self.features)
        return Dino(self.dino_model_type, repository=self.dino_repository, image_size=self.image_size, device=self.device)


def read_config(path: Path) -> CacheConfig:
    """The configuration in a YAML file; folders in it are relative to the file's own.

    Raises: ConfigError with file and line for what isn't known, missing, of the wrong type or out of its range.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ConfigError(f"{path}: a configuration is smaller than {_LARGEST} bytes")
        document = yaml_file.read(data.decode("utf-8-sig"), str(path), "the configuration")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: it is not UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{path}: this configuration can't be read ({error.strerror})") from error
    values = {key.text(): (key, value) for key, value in document.table(list(_TYPES))}
    for name in ("dataset", "cache_dir"):
        if name not in values:
            document.refuse(f"there is no {name}. Add a line such as {name}: folder")
    found = {name: _value(name, value, path.parent) for name, (_, value) in values.items()}
    distances = {field.name: found.pop(field.name) for field in dataclasses.fields(Limits) if field.name in found}
    try:
        return CacheConfig(**found, limits=Limits(**distances))
    except ConfigError as error:  # what is out of its range is told by the first word of what is said
        key, _ = values.get(str(error).split()[0], (document, None))
        key.refuse(str(error))


# The keys of the file, and their types as the classes state them.
_TYPES = {own.name: str(own.type) for kind in (CacheConfig, Limits) for own in dataclasses.fields(kind) if own.name != "limits"}


def _value(name: str, value: Value, folder: Path) -> Any:
    if _TYPES[name] == "Path":
        return Path(os.path.normpath(folder / Path(value.text()).expanduser()))
    if name == "dino_repository":  # a folder, if there is one of that name
        local = folder / Path(value.text()).expanduser()
        return str(local) if local.is_dir() else value.text()
    if name in _WORDS:
        return value.word(_WORDS[name])
    return {"str": value.text, "float": value.real, "int": value.number, "bool": value.truth}[_TYPES[name]]()
