"""Initialisation fills a tensor in place, with draws of the right width, from the generator that it is told to use."""
import math

import numpy as np
import pytest

from tinytorch.core.layers import (
    kaiming_normal_,
    kaiming_std,
    kaiming_uniform_,
    normal_,
    uniform_,
    xavier_normal_,
    xavier_std,
    xavier_uniform_,
)
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("init_fill")

SIGMA = "Draws from [-b, b] have the standard deviation b / √3: for a standard deviation of σ, b is √3·σ, not σ."
REPLACED = "The tensor has another array than before, float64 at that: write into it, tensor.data[...] = values."
PASSED_OVER = "This passes over the rng it was given: the common generator is only for those who give none."

FILLS = {
    "uniform": uniform_, "normal": normal_, "kaiming-uniform": kaiming_uniform_, "kaiming-normal": kaiming_normal_,
    "xavier-uniform": xavier_uniform_, "xavier-normal": xavier_normal_,
}
every_fill = pytest.mark.parametrize("name", list(FILLS))


@pytest.fixture(autouse=True)
def seeded(student_side, rng):
    """What the layers draw is fixed by the test's own generator, and so the same at every run."""
    student_side.seed(int(rng.integers(2**31)))


def zeros(*shape):
    return Tensor(np.zeros(shape, dtype=np.float32))


def is_like(draws, std, kind):
    """32,768 draws around 0, their standard deviation within 3 % (7 sigma) of `std`; their tails tell the kind."""
    assert draws.size == 2**15
    assert draws.std() == pytest.approx(std, rel=0.03)
    assert abs(draws.mean()) < 0.04 * std
    largest = np.abs(draws).max() / std
    assert largest <= math.sqrt(3) * (1 + 1e-6) if kind == "uniform" else largest > 3


def test_uniform_draws():
    """From a to b, everywhere and not beyond: the mean is in the middle, the standard deviation (b - a) / √12."""
    draws = uniform_(zeros(128, 256), -1.0, 3.0).numpy()
    assert draws.min() >= -1 and draws.max() <= 3
    is_like(draws - 1, 4 / math.sqrt(12), "uniform")
    default = uniform_(zeros(128, 256)).numpy()
    assert default.min() >= 0
    is_like(default - 0.5, 1 / math.sqrt(12), "uniform")


def test_normal_draws():
    """Mean and standard deviation as asked; by default 0 and 1."""
    is_like(normal_(zeros(128, 256), 5.0, 0.5).numpy() - 5, 0.5, "normal")
    is_like(normal_(zeros(128, 256)).numpy(), 1, "normal")


KAIMING = [{}, {"a": 1.0}, {"mode": "fan_out"}, {"nonlinearity": "tanh"}]
kaiming_options = pytest.mark.parametrize("options", KAIMING, ids=["default", "slope-1", "fan-out", "tanh"])


@kaiming_options
def test_kaiming_draws(hint, options):
    """Both kinds have the standard deviation of `kaiming_std`."""
    tensor = zeros(64, 512)
    std = float(kaiming_std(tensor, **options))
    is_like(kaiming_normal_(tensor, **options).numpy(), std, "normal")
    draws = kaiming_uniform_(tensor, **options).numpy()
    hint(SIGMA, when=abs(draws.std() * math.sqrt(3) / std - 1) < 0.03)
    is_like(draws, std, "uniform")


@pytest.mark.parametrize("gain", [1.0, 2.5], ids=["gain-1", "gain-2.5"])
def test_xavier_draws(gain):
    """Both kinds have the standard deviation of `xavier_std`."""
    tensor = zeros(64, 512)
    std = float(xavier_std(tensor, gain))
    is_like(xavier_normal_(tensor, gain).numpy(), std, "normal")
    is_like(xavier_uniform_(tensor, gain).numpy(), std, "uniform")


@every_fill
def test_fill_works_in_place(student_side, rng, hint, name):
    """The tensor keeps its array and so its dtype, every number in it is new, and the tensor is returned."""
    before = rng.normal(size=(7, 9)).astype(np.float32)
    array, data, returned = student_side.filled(FILLS[name], before.copy())
    hint(REPLACED, when=data.dtype == np.float64)
    assert data.dtype == np.float32
    np.testing.assert_array_equal(array, data)
    np.testing.assert_array_equal(returned, data)
    assert not np.isclose(data, before, rtol=1e-6).all(axis=None)
    assert len(np.unique(data)) > 55  # 63 draws, hardly two equal


@every_fill
def test_fill_uses_the_generator_given(student_side, hint, name):
    """Two generators with one seed fill alike, whatever the common generator does; one generator goes on."""
    first, again = student_side.generator(7), student_side.generator(7)
    fill = FILLS[name]
    a, b = fill(zeros(3, 5), rng=first).numpy().copy(), fill(zeros(3, 5), rng=first).numpy().copy()
    student_side.seed(3)
    c = fill(zeros(3, 5), rng=again).numpy().copy()
    hint(PASSED_OVER, when=not np.array_equal(a, c))
    np.testing.assert_array_equal(a, c)
    assert not np.array_equal(a, b)


@every_fill
def test_fill_uses_the_common_generator(student_side, name):
    """Without one, `manual_seed` decides: one seed, bit-identical numbers."""
    fill = FILLS[name]
    filled = []
    for number in (3, 3, 4):
        student_side.seed(number)
        filled.append([fill(zeros(3, 5)).numpy().copy() for _ in range(2)])
    np.testing.assert_array_equal(filled[0], filled[1])
    assert not np.array_equal(filled[0], filled[2])
    assert not np.array_equal(filled[0][0], filled[0][1])


@pytest.mark.parametrize("shape", [(4,), (), (2, 3, 4)], ids=["1-d", "0-d", "3-d"])
def test_fill_of_any_shape(student_side, shape):
    """`uniform_` and `normal_` fill biases, numbers and tables as well, float64 in float64."""
    for fill in (uniform_, normal_):
        array, data, _ = student_side.filled(fill, np.zeros(shape), 5.0, 6.0)
        assert data.shape == shape and data.dtype == np.float64
        assert (np.asarray(data) != 0).all() and np.array_equal(array, data)
        assert not np.array_equal(data, np.float32(data))  # all the digits of a float64
