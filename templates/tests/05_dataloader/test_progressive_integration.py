"""Tensors and loaders together: from bytes in memory to batches that a network could be trained on."""
import numpy as np
import pytest

from tinytorch.core.dataloader import (
    Compose, DataLoader, Normalize, RandomCrop, RandomHorizontalFlip, Subset, TensorDataset, ToDtype, random_split,
)
from tinytorch.core.tensor import Tensor


def images_and_labels(student_side, rng, total=40):
    """Bytes (total, 3, 6, 6), whose label is their number, and the dataset of both."""
    images = rng.integers(1, 256, size=(total, 3, 6, 6)).astype(np.uint8)
    return images, TensorDataset(*student_side.tensors([images, np.arange(total)]))


@pytest.mark.exercise("data_loader")
def test_training_and_test_parts(student_side, rng):
    """One dataset in two parts: each sample in exactly one of them, in every epoch, with its own label."""
    images, dataset = images_and_labels(student_side, rng)
    training, testing = random_split(dataset, [0.75, 0.25], student_side.generator(int(rng.integers(2**31))))
    seen = []
    for part, size in ((training, 30), (testing, 10)):
        loader = DataLoader(part, 8, shuffle=part is training, rng=student_side.generator(1))
        batches = student_side.epoch(loader)
        for inputs, labels in batches:
            np.testing.assert_array_equal(inputs, images[labels])
        numbers = np.concatenate([labels for _, labels in batches]).tolist()
        assert len(numbers) == size
        seen += numbers
    assert sorted(seen) == list(range(40))


@pytest.mark.exercise("augmentation")
def test_pipeline_of_a_convolutional_network(student_side, rng):
    """Crop, flip, floats, normalise: every input is a mirrored or shifted version of the image with its label."""
    images, dataset = images_and_labels(student_side, rng)
    transform = Compose([
        RandomCrop(6, padding=1), RandomHorizontalFlip(), ToDtype(np.float32, scale=True), Normalize([0.5] * 3, [0.25] * 3),
    ])
    loader = DataLoader(dataset, 16, shuffle=True, transform=transform, prefetch=1, rng=student_side.generator(int(rng.integers(2**31))))
    batches = student_side.epoch(loader)
    assert [len(labels) for _, labels in batches] == [16, 16, 8]
    variants = set()
    for inputs, labels in batches:
        assert inputs.dtype == np.float32
        assert inputs.shape[1:] == (3, 6, 6)
        original = np.rint((inputs.astype(np.float64) * 0.25 + 0.5) * 255)
        for image, label in zip(original, labels):
            border = np.pad(images[label], [(0, 0), (1, 1), (1, 1)])
            windows = {
                (i, j, side): border[:, i : i + 6, j : j + 6][..., ::side] for i in range(3) for j in range(3) for side in (1, -1)
            }
            matches = [place for place, window in windows.items() if np.array_equal(window, image)]
            assert len(matches) == 1, f"image {label} is no shifted or mirrored version of itself"
            variants.add(matches[0])
    assert len(variants) > 5


@pytest.mark.exercise("data_loader")
def test_statistics_of_the_training_set(student_side, rng):
    """Sums over the batches of an epoch are sums over the dataset: every sample is counted once."""
    images, dataset = images_and_labels(student_side, rng, total=23)
    loader = DataLoader(dataset, 5, shuffle=True, rng=student_side.generator(int(rng.integers(2**31))))
    total = sum(inputs.astype(np.float64).sum(axis=(0, 2, 3)) for inputs, _ in student_side.epoch(loader))
    np.testing.assert_allclose(total / (23 * 36), images.astype(np.float64).mean(axis=(0, 2, 3)), rtol=1e-12)


@pytest.mark.exercise("prefetch")
def test_run_that_is_interrupted(student_side, rng):
    """Three epochs in one go; and the same, broken off in the second one and resumed, with and without prefetch."""
    _, dataset = images_and_labels(student_side, rng)
    transform = Compose([RandomCrop(4), RandomHorizontalFlip(), ToDtype(np.float32, scale=True)])
    seed = int(rng.integers(2**31))

    def loader(prefetch):
        options = {"shuffle": True, "drop_last": True, "transform": transform, "prefetch": prefetch}
        return DataLoader(dataset, 7, **options, rng=student_side.generator(seed))

    whole = loader(0)
    run = [batch for _ in range(3) for batch in student_side.epoch(whole)]
    first, second = loader(2), loader(2)
    resumed = student_side.epoch(first) + student_side.firsts(first, 2)
    student_side.firsts(second, 1)  # one epoch is drawn, and left
    resumed += student_side.epoch(second.batches(start=2)) + student_side.epoch(second)
    assert len(run) == len(resumed) == 15
    for (inputs, labels), (expected, numbers) in zip(resumed, run):
        assert labels.tolist() == numbers.tolist()
        np.testing.assert_array_equal(inputs, expected)
    assert run[0][0].shape == (7, 3, 4, 4)
    assert sorted(set(np.concatenate([labels for _, labels in run[:5]]).tolist())) != list(range(35))


@pytest.mark.exercise("data_loader")
def test_linear_model_from_batches(student_side, rng):
    """Batches are Tensors: their products and sums over an epoch are those over the whole data."""
    x, w = rng.normal(size=(20, 3)), rng.normal(size=(3, 1))
    y = x @ w
    dataset = TensorDataset(*student_side.tensors([x, y]))
    total, count = 0.0, 0
    for inputs, targets in DataLoader(dataset, 6, shuffle=True, rng=student_side.generator(int(rng.integers(2**31)))):
        difference = inputs @ Tensor(w + 1.0) - targets
        total += (difference * difference).sum().item()
        count += len(difference.numpy())
    assert count == 20
    np.testing.assert_allclose(total, ((x @ (w + 1) - y) ** 2).sum(), rtol=1e-9)


@pytest.mark.exercise("subset_and_split")
def test_subset_of_one_class(student_side, rng):
    """Numbers found by NumPy pick the samples of a class; a loader takes the subset as it takes the whole."""
    x, labels = rng.normal(size=(30, 2)), rng.integers(0, 3, size=30)
    labels[:3] = [0, 1, 2]
    chosen = np.flatnonzero(labels == 1)
    part = Subset(TensorDataset(*student_side.tensors([x, labels])), chosen)
    batches = student_side.epoch(DataLoader(part, 4))
    np.testing.assert_array_equal(np.concatenate([inputs for inputs, _ in batches]), x[chosen])
    assert set(np.concatenate([targets for _, targets in batches]).tolist()) == {1}
