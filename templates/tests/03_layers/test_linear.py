"""Linear computes x @ weight.T + bias over the last dimension, and starts as PyTorch's does."""
import math

import numpy as np
import pytest

from tinytorch.core.layers import Linear
from tinytorch.core.tensor import Tensor

SHAPE = "The weight has the shape (out_features, in_features), as PyTorch's: one row for each output."
NOT_TRANSPOSED = "That is x @ weight + bias. Row i of the weight belongs to output i: the product is with weight.T."
ZERO = "The bias starts uniform on [-1/√in, 1/√in], as the weight does, not at zero."

pytestmark = [
    pytest.mark.exercise("linear"),
    pytest.mark.hint(AttributeError, "Linear has a `weight` and a `bias`; without bias, self.bias is None."),
]


@pytest.fixture(autouse=True)
def seeded(student_side, rng):
    """What the layers draw is fixed by the test's own generator, and so the same at every run."""
    student_side.seed(int(rng.integers(2**31)))


def test_linear_by_hand(student_side, hint):
    """Two inputs 1 and 2, three outputs: 1, 2, and their sum plus 10."""
    weight, bias = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([0.0, 0.0, 10.0])
    own = Linear(2, 3).weight.shape
    hint(SHAPE, when=own == (2, 3))
    assert own == (3, 2)
    out = student_side.linear(weight, bias)(Tensor([[1.0, 2.0]])).numpy()
    np.testing.assert_array_equal(out, [[1.0, 2.0, 13.0]])


LEADING = [(), (1,), (6,), (2, 5), (2, 1, 3), (0,)]


@pytest.mark.parametrize("leading", LEADING, ids=["one", "batch-1", "batch", "sequences", "4-d", "empty"])
def test_linear_of_any_leading_dimensions(rng, leading):
    """The last dimension is transformed, those in front stay."""
    layer = Linear(4, 3)
    x = rng.normal(size=(*leading, 4)).astype(np.float32)
    w, b = layer.weight.numpy().astype(float), layer.bias.numpy().astype(float)
    out = layer(Tensor(x)).numpy()
    assert out.shape == (*leading, 3) and out.dtype == np.float32
    np.testing.assert_allclose(out, x.astype(float) @ w.T + b, rtol=1e-4, atol=1e-5)
    assert w.shape == (3, 4) and len(np.unique(w)) == 12 and len(np.unique(b)) == 3


def test_linear_of_a_square(rng, hint):
    """With as many outputs as inputs both x @ weight and x @ weight.T fit, and only one is right."""
    layer = Linear(5, 5)
    x, w, b = rng.normal(size=(3, 5)).astype(np.float32), layer.weight.numpy(), layer.bias.numpy()
    out = layer(Tensor(x)).numpy()
    hint(NOT_TRANSPOSED, when=np.allclose(out, x @ w + b, atol=1e-5))
    np.testing.assert_allclose(out, x @ w.T + b, rtol=1e-4, atol=1e-5)


def test_linear_without_bias(rng):
    """`bias` is None then, and no parameter."""
    layer = Linear(4, 3, bias=False)
    assert layer.bias is None
    assert [str(name) for name, _ in layer.named_parameters()] == ["weight"]
    x = rng.normal(size=(2, 4)).astype(np.float32)
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), x @ layer.weight.numpy().T, rtol=1e-4, atol=1e-5)


def test_linear_has_two_parameters():
    """float32, which require gradients, the weight first; the output requires one too."""
    layer = Linear(7, 2)
    found = [(str(name), p.shape, str(p.dtype), bool(p.requires_grad)) for name, p in layer.named_parameters()]
    assert found == [("weight", (2, 7), "float32", True), ("bias", (2,), "float32", True)]
    out = layer(Tensor(np.ones((3, 7), dtype=np.float32)))
    assert out.requires_grad is True
    sums = layer.weight.numpy().sum(axis=1) + layer.bias.numpy()
    np.testing.assert_allclose(out.numpy(), [sums] * 3, rtol=1e-4, atol=1e-5)


def test_linear_starts_as_in_pytorch(hint):
    """Weight and bias are uniform within 1 / √in_features: within the bound, and all the way to it."""
    layer = Linear(400, 300)
    w, b, bound = layer.weight.numpy(), layer.bias.numpy(), 1 / 20
    hint(ZERO, when=not b.any())
    for draws, tolerance in ((w, 0.01), (b, 0.15)):
        assert 0.95 * bound < np.abs(draws).max() <= bound * (1 + 1e-6)
        assert draws.std() == pytest.approx(bound / math.sqrt(3), rel=tolerance * 2)
        assert abs(draws.mean()) < tolerance * bound * 2
    assert abs(np.corrcoef(w[:, 0], b)[0, 1]) < 0.5


def test_linear_bound_is_that_of_the_inputs():
    """16 inputs, 1,024 outputs: the bound is 1/4 for both."""
    layer = Linear(16, 1024)
    for draws in (layer.weight.numpy(), layer.bias.numpy()):
        assert 0.24 < np.abs(draws).max() <= 0.25 * (1 + 1e-6)


def test_linear_is_fixed_by_a_seed(student_side):
    """One seed, bit-identical layers; the weight is drawn first, so that it doesn't depend on `bias`."""
    layers = []
    for number, bias in ((5, True), (5, True), (6, True), (5, False)):
        student_side.seed(number)
        layers.append(Linear(3, 4, bias=bias))
    weights = [layer.weight.numpy() for layer in layers]
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(layers[0].bias.numpy(), layers[1].bias.numpy())
    assert not np.array_equal(weights[0], weights[2])
    np.testing.assert_array_equal(weights[0], weights[3])
    assert not np.array_equal(weights[0], Linear(3, 4).weight.numpy())


def test_linear_draws_from_its_rng(student_side):
    """Both parameters come from the generator that is given."""
    first, second = (Linear(3, 4, rng=student_side.generator(9)) for _ in range(2))
    np.testing.assert_array_equal(first.weight.numpy(), second.weight.numpy())
    np.testing.assert_array_equal(first.bias.numpy(), second.bias.numpy())
    other = Linear(3, 4, rng=student_side.generator(10))
    assert not np.array_equal(first.weight.numpy(), other.weight.numpy())
    assert not np.array_equal(first.bias.numpy(), other.bias.numpy())


@pytest.mark.parametrize("shape", [(2, 5), (3, 2), (4,), ()], ids=["too-wide", "transposed", "one-input", "number"])
def test_linear_refuses_other_widths(rng, shape):
    """A ValueError that has the input's shape and in_features in it; what fits goes through."""
    layer = Linear(3, 4)
    with pytest.raises(ValueError, match="in_features") as error:
        layer(Tensor(rng.normal(size=shape)))
    assert str(shape) in str(error.value) and "3" in str(error.value).replace(str(shape), "")
    x = rng.normal(size=(2, 3)).astype(np.float32)
    expected = x @ layer.weight.numpy().T + layer.bias.numpy()
    np.testing.assert_allclose(layer(Tensor(x)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_linear_leaves_its_input_alone(rng):
    """Neither the input nor the parameters change by a call; two calls give the same."""
    layer, array = Linear(4, 4), rng.normal(size=(3, 4)).astype(np.float32)
    x, w, b = Tensor(array.copy()), layer.weight.numpy().copy(), layer.bias.numpy().copy()
    first, second = layer(x).numpy(), layer(x).numpy()
    np.testing.assert_array_equal(x.numpy(), array)
    np.testing.assert_array_equal(layer.weight.numpy(), w)
    np.testing.assert_array_equal(layer.bias.numpy(), b)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, array @ w.T + b, rtol=1e-4, atol=1e-5)


def test_linear_says_what_it_is():
    """As PyTorch writes it; sizes below 1 are refused."""
    assert str(Linear(3, 4)) == "Linear(in_features=3, out_features=4, bias=True)"
    assert repr(Linear(2, 1, bias=False)) == "Linear(in_features=2, out_features=1, bias=False)"
    with pytest.raises(ValueError, match="in_features=0"):
        Linear(0, 4)
    with pytest.raises(ValueError, match="out_features=-1"):
        Linear(4, -1)
