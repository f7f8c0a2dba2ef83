"""The reference framework against PyTorch, the same work in one process and on one thread, timed in turn.

`python -m tests.benchmarks.framework NAME --pairs N` prints one measurement as JSON. It is a process of its own, so
that neither library has its threads yet when their number is set.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.benchmarks.pairs import Ratio, in_turn

ROOT = Path(__file__).parents[2]
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PROCESSES = 5
BATCH_SECONDS = 0.05  # calls are timed in batches of about this


@dataclass(frozen=True)
class Work:
    """The same work twice, as calls; `other_is_torch` says whether the memory of the second can be compared."""

    ours: Callable[[], object]
    other: Callable[[], object]
    other_is_torch: bool = True


def run(name: str, pairs: int) -> Ratio:
    """Measure in several processes: the middle one of their ratios, with the lowest and the highest as its range.

    How fast PyTorch is depends on how its first allocations went, and a process keeps that: no number of pairs in one
    process would show it.

    Raises: SystemExit, with what it printed, if one fails.
    """
    command = [sys.executable, "-m", "tests.benchmarks.framework", name, "--pairs", str(pairs)]
    found = []
    for _ in range(PROCESSES):
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | ONE_THREAD, capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        found.append(Ratio(**json.loads(done.stdout.splitlines()[-1])))
    found.sort(key=lambda measured: measured.ratio)
    return replace(found[PROCESSES // 2], low=found[0].ratio, high=found[-1].ratio)


def mlp_step(course: SimpleNamespace) -> Work:
    """784-256-128-10, batch 64: forward, cross-entropy, backward, SGD, gradients cleared."""
    import numpy as np
    import torch

    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((64, 784), dtype=np.float32), rng.integers(0, 10, 64)

    def step(network: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Callable[[], object]:
        def once() -> None:
            optimizer.zero_grad()
            loss_fn(network(x), y).backward()
            optimizer.step()

        return once

    layers, relu = course.layers, course.activations.ReLU
    ours = layers.Sequential(layers.Linear(784, 256), relu(), layers.Linear(256, 128), relu(), layers.Linear(128, 10))
    nn = torch.nn
    theirs = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    Tensor = course.tensor.Tensor
    return Work(
        step(ours, course.losses.CrossEntropyLoss(), course.optimizers.SGD(ours.parameters(), lr=0.01), Tensor(images), Tensor(labels)),
        step(theirs, nn.CrossEntropyLoss(), torch.optim.SGD(theirs.parameters(), lr=0.01), torch.tensor(images), torch.tensor(labels)),
    )


def adam_step(course: SimpleNamespace) -> Work:
    """1,000,000 parameters in one tensor."""
    import numpy as np
    import torch

    rng = np.random.default_rng(0)
    values, grads = (rng.standard_normal((1000, 1000), dtype=np.float32) for _ in "pg")
    Tensor = course.tensor.Tensor
    ours = Tensor(values.copy(), requires_grad=True)
    ours.grad = Tensor(grads.copy())
    theirs = torch.nn.Parameter(torch.tensor(values))
    theirs.grad = torch.tensor(grads)
    return Work(course.optimizers.Adam([ours]).step, torch.optim.Adam([theirs]).step)


def _images() -> tuple[Any, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (50_000, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, 50_000)


def _epoch(course: SimpleNamespace, images: Any, labels: Any) -> Callable[[], object]:
    import numpy as np

    loading, Tensor = course.dataloader, course.tensor.Tensor
    loader = loading.DataLoader(
        loading.TensorDataset(Tensor(images), Tensor(labels)), 128, shuffle=True,
        transform=loading.ToDtype(np.float32, scale=True),
    )
    return lambda: [None for _ in loader]


def _torch_epoch(images: Any, labels: Any) -> Callable[[], object]:
    """PyTorch's fastest DataLoader for data in memory: batches made by the dataset, no workers, nothing to collate."""
    import torch

    class Batched(torch.utils.data.Dataset):
        x, y = torch.from_numpy(images), torch.from_numpy(labels)

        def __len__(self) -> int:
            return len(self.x)

        def __getitems__(self, indices: list[int]) -> tuple[Any, Any]:
            at = torch.tensor(indices)
            return self.x[at].to(torch.float32).mul_(1 / 255), self.y[at]

    loader = torch.utils.data.DataLoader(Batched(), 128, shuffle=True, collate_fn=lambda batch: batch)
    return lambda: [None for _ in loader]


def _floor(images: Any) -> Callable[[], object]:
    """The same bytes in order, cast and scaled into one buffer that is used again and again."""
    import numpy as np

    buffer = np.empty((128, *images.shape[1:]), np.float32)

    def floor() -> None:
        for at in range(0, len(images), 128):
            part = images[at : at + 128]
            np.multiply(part, np.float32(1 / 255), out=buffer[: len(part)])

    return floor


def loader_against_torch(course: SimpleNamespace) -> Work:
    images, labels = _images()
    return Work(_epoch(course, images, labels), _torch_epoch(images, labels))


def loader_against_floor(course: SimpleNamespace) -> Work:
    images, labels = _images()
    return Work(_epoch(course, images, labels), _floor(images), other_is_torch=False)


def _loading_epoch(images: Any, labels: Any) -> Callable[[], object]:
    from tinytorch import loading

    loader = loading.InMemory(images, labels, 128, shuffle=True)
    return lambda: [None for _ in loader]


def loading_against_torch(course: SimpleNamespace) -> Work:
    images, labels = _images()
    return Work(_loading_epoch(images, labels), _torch_epoch(images, labels))


def loading_against_floor(course: SimpleNamespace) -> Work:
    images, labels = _images()
    return Work(_loading_epoch(images, labels), _floor(images), other_is_torch=False)


def loading_against_copy(course: SimpleNamespace) -> Work:
    """Memory bandwidth: a copy that reads and writes as many bytes as the epoch must, 1 read and 4 written per pixel."""
    import numpy as np

    images, labels = _images()
    source = np.ones(images.size * 5 // 2, np.uint8)
    return Work(_loading_epoch(images, labels), partial(np.copyto, np.empty_like(source), source), other_is_torch=False)


def mapped_against_torch(course: SimpleNamespace) -> Work:
    """Shards on disk that were read ahead, against PyTorch with everything in memory."""
    from tinytorch import loading

    images, labels = _images()
    with tempfile.TemporaryDirectory() as folder:
        loading.write_shards(folder, images, labels)
        loader = loading.PreWarmed(folder, 128, shuffle=True)
        loader.wait()
        for _ in loader:  # maps the files, which need no names any more
            pass
    return Work(lambda: [None for _ in loader], _torch_epoch(images, labels))


WORK: dict[str, Callable[[SimpleNamespace], Work]] = {
    "mlp-step": mlp_step,
    "adam-step": adam_step,
    "loader-torch": loader_against_torch,
    "loader-floor": loader_against_floor,
    "loading-torch": loading_against_torch,
    "loading-floor": loading_against_floor,
    "loading-copy": loading_against_copy,
    "loading-mapped": mapped_against_torch,
}


def seconds_of(call: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def torch_peak(call: Callable[[], object]) -> int:
    """The most bytes that PyTorch had in use at a time in one call, beyond what it had before."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    results = profiler.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in results if event.name() == "[memory]")
    held = peak = 0
    for _, change in changes:
        held += change
        peak = max(peak, held)
    return peak


def measure(work: Work, pairs: int) -> Ratio:
    from tinytorch.measure import allocation

    timings = []
    for call in (work.ours, work.other):
        seconds_of(call, 3)  # warm up
        timings.append(partial(seconds_of, call, max(1, round(BATCH_SECONDS / seconds_of(call, 3)))))
    other_memory = torch_peak(work.other) if work.other_is_torch else None
    return replace(in_turn(*timings, pairs), memory=allocation(work.ours).peak, base_memory=other_memory)


def main() -> None:
    import torch

    from tests.course.candidate import make_workspace
    from tests.course.source import written_modules
    from tinytorch import _overlay

    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.framework", description=__doc__)
    parser.add_argument("name", choices=WORK)
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        _overlay.bind(make_workspace(Path(folder) / "workspace").root)
        course = SimpleNamespace(**{module.slug: import_module(module.exports) for module in written_modules()})
        print(json.dumps(asdict(measure(WORK[options.name](course), options.pairs))))


if __name__ == "__main__":
    main()
