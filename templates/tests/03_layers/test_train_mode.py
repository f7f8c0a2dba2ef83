"""train() and eval() reach a module and everything below it."""
import numpy as np
import pytest

from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("train_mode")

ONLY_ITSELF = "Only the module itself was switched: the modules below it must be switched as well, by their `train`."
OVERRULED = "A child's own `train` was not called, its flag was set over its head: call child.train(mode)."
NOTHING = "`train` returns the module itself, so that calls can be chained: end with return self."


@pytest.fixture
def make(student_side, rng):
    """A network of three levels."""

    def array():
        return rng.normal(size=2).astype(np.float32)

    def make_network(last=None):
        inner = student_side.Pair(student_side.Affine(array(), array()), student_side.Mode(), array())
        return student_side.Pair(inner, last or student_side.Affine(array(), array()), array())

    return make_network


def modes(network):
    return [network.training, network.first.training, network.first.first.training, network.first.second.training,
            network.second.training]


def test_modes_of_a_network(make, hint):
    """Training at first; eval() and train() switch every level."""
    network = make()
    assert modes(network) == [True] * 5
    network.eval()
    after = modes(network)
    hint(ONLY_ITSELF, when=after == [False, True, True, True, True])
    assert [mode is False for mode in after] == [True] * 5
    network.train()
    assert [mode is True for mode in modes(network)] == [True] * 5
    network.train(False)
    assert [mode is False for mode in modes(network)] == [True] * 5


def test_one_part_can_be_switched(make):
    """Only what is below is touched: a frozen part in a network that trains."""
    network = make()
    network.first.eval()
    assert [mode is True for mode in modes(network)] == [True, False, False, False, True]


def test_children_may_have_their_own_idea(make, student_side, rng, hint):
    """A child that overrides `train` is asked, not overruled."""
    array = rng.normal(size=2)
    network = make(last=student_side.Frozen(array, array))
    student_side.set_attribute(network.first.first, "training", False)
    network.train()
    hint(OVERRULED, when=network.second.training is True and network.first.first.training is True)
    assert network.second.training is False
    assert [mode is True for mode in modes(network)] == [True, True, True, True, False]


@pytest.mark.hint(AttributeError, NOTHING)
def test_train_and_eval_return_the_module(student_side, rng):
    """`net = Net().eval()` is how a network is made ready for use."""
    array = rng.normal(size=2).astype(np.float32)
    module = student_side.Affine(array, array)
    np.testing.assert_array_equal(module.train().scale.numpy(), array)
    np.testing.assert_array_equal(module.eval().shift.numpy(), array)
    assert module.train(True).training is True and module.train(mode=False).training is False


@pytest.mark.hint(TypeError, NOTHING)
def test_forward_sees_the_mode(student_side, rng):
    """Calling a module runs its forward with all arguments; here it doubles in training and adds at evaluation."""
    x = rng.normal(size=(2, 3)).astype(np.float32)
    module = student_side.Mode()
    np.testing.assert_array_equal(module(Tensor(x)).numpy(), x * 2)
    np.testing.assert_array_equal(module.eval()(Tensor(x), extra=1.0).numpy(), x + 1)
    np.testing.assert_array_equal(module.train()(Tensor(x), 1.0).numpy(), x * 2)
