"""Dropout zeros each value with probability p while training and scales the others up; it is idle at evaluation."""
import numpy as np
import pytest

from tinytorch.core.layers import Dropout
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("dropout")

UNSCALED = "The survivors are not scaled up: divide them by 1 - p while training, so that the mean stays."
SHARE = "p is the share that is dropped, not the share that stays."
BY_P = "The survivors were divided by p: they are a share of 1 - p, so divide by 1 - p."
NO_MODE = "At evaluation something was dropped: look at self.training."
LATE = "At evaluation the input comes back as it is: the scaling is done in training, by 1 / (1 - p)."
COLUMNS = "Whole rows or columns share their fate: draw as many numbers as x has elements, shape x.shape."


@pytest.fixture(autouse=True)
def seeded(student_side, rng):
    """What the layers draw is fixed by the test's own generator, and so the same at every run."""
    student_side.seed(int(rng.integers(2**31)))


def test_dropout_by_hand(rng, hint):
    """With the default p = 0.5 a 3 becomes 0 or 6, and among a thousand there are both."""
    out = Dropout()(Tensor(np.full(1000, 3.0, dtype=np.float32))).numpy()
    hint(UNSCALED, when=set(np.unique(out)) == {0.0, 3.0})
    assert set(np.unique(out).tolist()) == {0.0, 6.0}


@pytest.mark.parametrize("p", [0.1, 0.3, 0.8], ids=["tenth", "third", "most"])
def test_dropout_drops_a_share_of_p(rng, hint, p):
    """Of 100,000 values a share of p is dropped, within 0.01 (six sigma), and the others are x / (1 - p)."""
    x = rng.normal(size=100_000).astype(np.float32)
    out = Dropout(p)(Tensor(x)).numpy()
    dropped = out == 0
    hint(SHARE, when=abs(dropped.mean() - (1 - p)) < 0.01)
    assert abs(dropped.mean() - p) < 0.01
    hint(UNSCALED, when=np.allclose(out[~dropped], x[~dropped]))
    hint(BY_P, when=np.allclose(out[~dropped], x[~dropped] / p, rtol=1e-4))
    np.testing.assert_allclose(out[~dropped], x[~dropped] / (1 - p), rtol=1e-5)
    assert out.dtype == np.float32


@pytest.mark.parametrize("p", [0.5, 0.9], ids=["half", "most"])
def test_dropout_at_evaluation(rng, hint, p):
    """At evaluation the output is the input; in training again it isn't."""
    x = rng.normal(size=(20, 30)).astype(np.float32)
    layer = Dropout(p).eval()
    out = layer(Tensor(x)).numpy()
    hint(NO_MODE, when=(out == 0).any())
    hint(LATE, when=np.allclose(out, x * (1 - p)))
    np.testing.assert_array_equal(out, x)
    assert (layer.train()(Tensor(x)).numpy() == 0).any()


def test_dropout_of_nothing_and_everything(rng):
    """p = 0 changes nothing, p = 1 leaves only zeros, and neither gives a NaN."""
    x = rng.normal(size=(4, 5)).astype(np.float32)
    np.testing.assert_array_equal(Dropout(0)(Tensor(x)).numpy(), x)
    everything = Dropout(1)(Tensor(x)).numpy()
    np.testing.assert_array_equal(everything, np.zeros((4, 5)))
    assert everything.dtype == np.float32


def test_dropout_draws_for_each_element(rng, hint):
    """Every element has a draw of its own: of 40 rows no two have the same pattern, and of 40 columns."""
    pattern = Dropout(0.5)(Tensor(np.ones((40, 40), dtype=np.float32))).numpy() > 0
    hint(COLUMNS, when=1 in (len(np.unique(pattern, axis=0)), len(np.unique(pattern, axis=1))))
    assert len(np.unique(pattern, axis=0)) == 40
    assert len(np.unique(pattern, axis=1)) == 40


def test_dropout_draws_at_every_call(student_side, rng):
    """Two calls have two masks, also with a generator of the layer's own."""
    x = Tensor(rng.uniform(1, 2, size=100).astype(np.float32))
    for layer in (Dropout(0.5), Dropout(0.5, rng=student_side.generator(4))):
        first, second = layer(x).numpy(), layer(x).numpy()
        assert not np.array_equal(first, second)
        both = (first > 0) & (second > 0)
        np.testing.assert_allclose(first[both], 2 * x.numpy()[both], rtol=1e-6)


def test_dropout_is_fixed_by_a_seed(student_side, rng):
    """One seed, the same masks, from the common generator or from the layer's own; evaluation draws nothing."""
    x = Tensor(rng.uniform(1, 2, size=200).astype(np.float32))
    masks = []
    for number in (8, 8, 9):
        student_side.seed(number)
        Dropout(0.4).eval()(x)
        Dropout(0.0)(x)
        masks.append(Dropout(0.4)(x).numpy() > 0)
    np.testing.assert_array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])
    own = []
    for number in (8, 9, 8):
        student_side.seed(number)
        own.append(Dropout(0.4, rng=student_side.generator(21))(x).numpy() > 0)
    np.testing.assert_array_equal(own[0], own[1])
    np.testing.assert_array_equal(own[0], own[2])
    student_side.seed(8)
    np.testing.assert_array_equal(masks[0], Dropout(0.4)(x).numpy() > 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (3, 0), (2, 3, 50)], ids=["0-d", "empty", "3-d"])
def test_dropout_keeps_shape_and_dtype(rng, shape, dtype):
    """Whatever goes in; and values that survive are exact in their dtype."""
    x = rng.uniform(1, 2, size=shape).astype(dtype)
    out = Dropout(0.2)(Tensor(x)).numpy()
    assert out.shape == shape and str(out.dtype) == dtype
    kept = out > 0
    np.testing.assert_allclose(out[kept], x[kept] / 0.8, rtol=1e-6 if dtype == "float32" else 1e-14)
    ones = Dropout(0.2)(Tensor(np.ones(500, dtype=dtype))).numpy()
    assert 300 < (ones > 0).sum() < 480


def test_dropout_passes_gradients_on(rng):
    """The result is computed by tensor operations, so it requires a gradient where the input does."""
    x = rng.uniform(1, 2, size=300).astype(np.float32)
    out = Dropout(0.5)(Tensor(x, requires_grad=True))
    assert out.requires_grad is True
    np.testing.assert_allclose(out.numpy()[out.numpy() > 0], 2 * x[out.numpy() > 0], rtol=1e-6)
    assert Dropout(0.5)(Tensor(x)).requires_grad is False


def test_dropout_leaves_its_input_alone(rng):
    """The input is the same after the call."""
    array = rng.uniform(1, 2, size=(10, 10)).astype(np.float32)
    x = Tensor(array.copy())
    out = Dropout(0.5)(x).numpy()
    np.testing.assert_array_equal(x.numpy(), array)
    assert (out == 0).any() and (out > 1.9).any()


def test_dropout_refuses_what_is_no_probability(rng):
    """p from 0 to 1, real numbers in; the limits themselves are fine."""
    for p in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=str(p)):
            Dropout(p)
    with pytest.raises(TypeError, match="int64"):
        Dropout(0.5)(Tensor([1, 2, 3]))
    np.testing.assert_array_equal(Dropout(1.0)(Tensor(rng.normal(size=6).astype(np.float32))).numpy(), np.zeros(6))
    assert str(Dropout(0.3)) == "Dropout(p=0.3)"
