"""SGD steps against the gradient; weight decay, momentum and Nesterov's look ahead change what the step is."""
from itertools import product

import numpy as np
import pytest

from tinytorch.core.optimizers import SGD

pytestmark = pytest.mark.exercise("sgd")

UPHILL = "The weight went up the slope: the gradient says where the loss rises, so subtract lr * g."
NEW_ARRAY = "The weight hasn't moved: p = p - ... makes another array and forgets it, p -= ... writes into the one there."
READ_ONLY = "The pieces of g are read-only, since g belongs to others: g = g + ... makes a new piece, g += ... is refused."
FORGOTTEN = "The velocity of the step before is lost: make the zeros only if state is empty, and write into them, v *= ..."
DAMPED = "The gradient goes into the velocity whole: v ← momentum · v + g, without a factor 1 - momentum."
LR_INSIDE = "The rate is outside of the velocity: v collects gradients, and w ← w - lr · v takes the rate of this step."
OLD_VELOCITY = "Nesterov's step is g + momentum · v with the new v, after the gradient has been added to it."
DECAY_LAST = "The weight decay comes first: add it to the gradient before that goes into the velocity."
NO_MOMENTUM = "Without momentum nothing is to be remembered: make the momentum_buffer only if momentum isn't 0."
SHARED = "Two parameters have one velocity: each has a `state` of its own, so keep it there and not on the optimizer."
WHOLE = "There was a temporary as large as the weights: do the whole formula inside the loop over blocks(...)."
GRADIENT = "The gradient was changed; others still need it. The pieces from blocks(g, p, ...) keep it safe."

SETTINGS = {
    "plain": {},
    "decay": {"weight_decay": 0.3},
    "momentum": {"momentum": 0.8},
    "momentum-and-decay": {"momentum": 0.8, "weight_decay": 0.3},
    "nesterov": {"momentum": 0.7, "nesterov": True},
    "nesterov-and-decay": {"momentum": 0.7, "nesterov": True, "weight_decay": 0.2},
}
every_setting = pytest.mark.parametrize("name", list(SETTINGS))


def sgd(w, pushes, lr, momentum=0.0, weight_decay=0.0, nesterov=False):
    """The weights after the last of these gradients, by the formulas, in float64."""
    w, v = w.astype(float), np.zeros(w.shape)
    for g in pushes:
        g = g + weight_decay * w
        v = momentum * v + g
        w = w - lr * (g + momentum * v if nesterov else v)
    return w


def close(found, expected):
    """The same numbers, to what the dtype of `found` allows."""
    tolerance = {"rtol": 1e-4, "atol": 1e-5} if found.dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-10}
    np.testing.assert_allclose(found, expected, **tolerance)


@pytest.fixture
def trace(student_side):
    """The values of one weight, at first 1, after each of these gradients."""

    def run(*pushes, **settings):
        w = student_side.parameters([np.ones(1)])
        steps = student_side.pushed(SGD(w, **settings), w, [[np.array([float(g)])] for g in pushes])
        return [float(value[0]) for (value,) in steps]

    return run


def test_sgd_by_hand(trace, hint):
    """From 1, with the slope 2 and lr 0.1: 1 - 0.1 · 2 = 0.8, then 0.6. With the default rate, 1e-3: 0.998."""
    after = trace(2, 2, lr=0.1)
    hint(UPHILL, when=after[0] > 1)
    hint(NEW_ARRAY, when=after == [1, 1])
    np.testing.assert_allclose(after, [0.8, 0.6], rtol=1e-12)
    np.testing.assert_allclose(trace(2), [0.998], rtol=1e-12)


def test_momentum_by_hand(trace, hint):
    """Momentum 0.9, gradients of 1: velocities 1, 1.9, 2.71, and from 1 with lr 0.1 to 0.9, 0.71, 0.439."""
    after = trace(1, 1, 1, lr=0.1, momentum=0.9)
    hint(FORGOTTEN, when=np.allclose(after, [0.9, 0.8, 0.7]))
    hint(DAMPED, when=np.allclose(after, [0.99, 0.971, 0.9439]))
    np.testing.assert_allclose(after, [0.9, 0.71, 0.439], rtol=1e-12)


def test_momentum_grows_to_ten_times_the_gradient(trace):
    """After many equal gradients, each step is lr / (1 - 0.9) = 10 lr long."""
    after = trace(*[1] * 200, lr=0.01, momentum=0.9)
    np.testing.assert_allclose(after[-2] - after[-1], 0.1, rtol=1e-6)


@pytest.mark.hint(ValueError, READ_ONLY)
def test_nesterov_by_hand(trace, hint):
    """Steps g + 0.9 v, with v = 1 and then 1.9: 1.9 and 2.71, so from 1 to 0.81 and 0.539."""
    after = trace(1, 1, lr=0.1, momentum=0.9, nesterov=True)
    hint(OLD_VELOCITY, when=np.allclose(after, [0.9, 0.71]))
    np.testing.assert_allclose(after, [0.81, 0.539], rtol=1e-12)


@pytest.mark.hint(ValueError, READ_ONLY)
def test_weight_decay_by_hand(trace):
    """With decay 0.5, the weight 1 adds 0.5 to the gradient: 1 - 0.1 · 1.5 = 0.85. Without a gradient it shrinks."""
    np.testing.assert_allclose(trace(1, lr=0.1, weight_decay=0.5), [0.85], rtol=1e-12)
    np.testing.assert_allclose(trace(0, 0, lr=0.1, weight_decay=0.5), [0.95, 0.9025], rtol=1e-12)


def test_weight_decay_goes_into_the_velocity(trace, hint):
    """With momentum 0.9 too: v = 1.5 leads to 0.85, then v = 0.9 · 1.5 + 1 + 0.5 · 0.85 = 2.775 to 0.5725."""
    after = trace(1, 1, lr=0.1, momentum=0.9, weight_decay=0.5)
    hint(DECAY_LAST, when=np.allclose(after, [0.85, 0.6175]))
    np.testing.assert_allclose(after, [0.85, 0.5725], rtol=1e-12)


@every_setting
def test_sgd_against_the_formulas(student_side, rng, name):
    """Six steps with random gradients, for five shapes and two dtypes, which stay."""
    for shape, dtype in product([(), (1,), (5,), (3, 4), (2, 3, 2)], ["float32", "float64"]):
        w, pushes = rng.normal(size=shape).astype(dtype), rng.normal(size=(6, *shape)).astype(dtype)
        params = student_side.parameters([w])
        found = student_side.pushed(SGD(params, lr=0.1, **SETTINGS[name]), params, [[g] for g in pushes])[-1][0]
        assert found.shape == shape and str(found.dtype) == dtype
        close(found, sgd(w, pushes, 0.1, **SETTINGS[name]))


@pytest.mark.parametrize("size", [32_767, 32_768, 32_769, 100_000], ids=["below", "exact", "above", "four"])
def test_sgd_in_pieces(student_side, rng, size):
    """Around the size of a piece, every element moves, by the same rule, whatever the settings."""
    w, pushes = rng.normal(size=size).astype(np.float32), rng.normal(size=(2, size)).astype(np.float32)
    for settings in SETTINGS.values():
        params = student_side.parameters([w])
        found = student_side.pushed(SGD(params, lr=0.1, **settings), params, [[g] for g in pushes])[-1][0]
        close(found, sgd(w, pushes, 0.1, **settings))


@pytest.mark.parametrize("layout", ["rows", "columns", "transposed", "backwards", "within"])
def test_sgd_in_any_memory_order(student_side, rng, layout):
    """Parameters and gradients may lie in memory in different orders, or with gaps."""
    w, pushes = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(3, 3, 4)).astype(np.float32)
    for gradients in ("rows", "columns", "within"):
        params = student_side.parameters([w], layout)
        optimizer = SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1)
        found = student_side.pushed(optimizer, params, [[g] for g in pushes], gradients)[-1][0]
        close(found, sgd(w, pushes, 0.1, momentum=0.9, weight_decay=0.1))


@pytest.mark.parametrize("momentum", [0.0, 0.9], ids=["plain", "momentum"])
def test_sgd_of_nothing(student_side, rng, momentum):
    """A parameter without elements goes through a step unharmed, and doesn't keep others from theirs."""
    w, g = rng.normal(size=3), rng.normal(size=3)
    params = student_side.parameters([np.zeros((0, 4)), w])
    ((empty, found),) = student_side.pushed(SGD(params, lr=0.1, momentum=momentum), params, [[np.zeros((0, 4)), g]])
    assert empty.shape == (0, 4)
    close(found, w - 0.1 * g)


def test_sgd_works_in_place(student_side, rng):
    """A view that somebody took of the weights sees the step, in any layout."""
    w, pushes = rng.normal(size=(3, 4)), rng.normal(size=(2, 3, 4))
    for layout in ("rows", "transposed", "within"):
        params = student_side.parameters([w], layout)
        (held,) = student_side.pushed_in_place(SGD(params, lr=0.1, momentum=0.5), params, [[g] for g in pushes])
        close(held, sgd(w, pushes, 0.1, momentum=0.5))


def test_sgd_leaves_gradients_alone(student_side, rng, hint):
    """Somebody may want to print their size after the step, or to add to them."""
    w, g = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    for settings in SETTINGS.values():
        params = student_side.parameters([w])
        (gradient,) = student_side.gradients_after(SGD(params, lr=0.1, **settings), params, [g])
        hint(GRADIENT, when=not np.array_equal(gradient, g))
        np.testing.assert_array_equal(gradient, g)
        close(params[0].numpy(), sgd(w, [g], 0.1, **settings))


def test_sgd_without_a_gradient(student_side, rng):
    """Such a parameter stays, weight decay or not; its velocity waits, and goes on when there is a gradient again."""
    a, b, (first, second) = rng.normal(size=3), rng.normal(size=3), rng.normal(size=(2, 3))
    params = student_side.parameters([a, b])
    settings = {"momentum": 0.9, "weight_decay": 0.1}
    pushes = [[first, first], [None, second], [second, None]]
    steps = student_side.pushed(SGD(params, lr=0.1, **settings), params, pushes)
    np.testing.assert_array_equal(steps[1][0], steps[0][0])
    np.testing.assert_array_equal(steps[2][1], steps[1][1])
    close(steps[2][0], sgd(a, [first, second], 0.1, **settings))
    close(steps[2][1], sgd(b, [first, second], 0.1, **settings))


def test_each_parameter_has_a_velocity_of_its_own(student_side, hint):
    """Two weights 1: only the first is pushed, so only the first moves."""
    params = student_side.parameters([np.ones(2), np.ones(2)])
    pushes = [[np.ones(2), np.zeros(2)]] * 2
    steps = student_side.pushed(SGD(params, lr=0.1, momentum=0.9), params, pushes)
    hint(SHARED, when=np.allclose(steps[0], [[0.9, 0.9], [0.91, 0.91]]))
    np.testing.assert_allclose(steps[0], [[0.9, 0.9], [1, 1]], rtol=1e-12)
    np.testing.assert_allclose(steps[1], [[0.71, 0.71], [1, 1]], rtol=1e-12)


def test_sgd_obeys_each_group(student_side, rng):
    """Every setting is the group's own."""
    arrays = [rng.normal(size=(2, 3)) for _ in SETTINGS]
    params = student_side.parameters(arrays)
    pushes = rng.normal(size=(3, len(arrays), 2, 3))
    given = [{"params": [p], "lr": 0.1 * (i + 1), **s} for i, (p, s) in enumerate(zip(params, SETTINGS.values()))]
    found = student_side.pushed(SGD(given, lr=50.0, momentum=0.99, weight_decay=9.0), params, list(pushes))[-1]
    defaults = {"momentum": 0.99, "weight_decay": 9.0}
    for i, settings in enumerate(SETTINGS.values()):
        np.testing.assert_allclose(
            found[i], sgd(arrays[i], pushes[:, i], 0.1 * (i + 1), **defaults | settings), rtol=1e-9, atol=1e-9
        )


def test_a_changed_rate_is_used(student_side, hint):
    """Momentum 0.9, gradients of 1: 0.9 after lr 0.1, and then 0.9 - 0.01 · 1.9 = 0.881 after lr 0.01."""
    params = student_side.parameters([np.ones(1)])
    optimizer = SGD(params, lr=0.1, momentum=0.9)
    ((first,),) = student_side.pushed(optimizer, params, [[np.ones(1)]])
    student_side.set_option(optimizer, 0, "lr", 0.01)
    ((second,),) = student_side.pushed(optimizer, params, [[np.ones(1)]])
    hint(LR_INSIDE, when=np.allclose([first[0], second[0]], [0.9, 0.8]))
    np.testing.assert_allclose([first[0], second[0]], [0.9, 0.881], rtol=1e-12)


def test_sgd_remembers_the_velocity(student_side, rng):
    """Under PyTorch's name, in the shape and dtype of the parameter, and nothing else."""
    w, pushes = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(2, 3, 2)).astype(np.float32)
    params = student_side.parameters([w])
    optimizer = SGD(params, lr=0.1, momentum=0.5)
    student_side.pushed(optimizer, params, [[g] for g in pushes])
    (known,) = student_side.memory(optimizer, params)
    assert list(known) == ["momentum_buffer"]
    assert known["momentum_buffer"].dtype == np.float32 and known["momentum_buffer"].shape == (3, 2)
    close(known["momentum_buffer"], 0.5 * pushes[0].astype(float) + pushes[1])


def test_sgd_without_momentum_remembers_nothing(student_side, rng, hint):
    """A buffer of zeros would cost as much memory as the weights."""
    w, g = rng.normal(size=3), rng.normal(size=3)
    params = student_side.parameters([w])
    optimizer = SGD(params, lr=0.1, weight_decay=0.1)
    ((found,),) = student_side.pushed(optimizer, params, [[g]])
    (known,) = student_side.memory(optimizer, params)
    hint(NO_MOMENTUM, when="momentum_buffer" in known)
    assert known == {}
    close(found, sgd(w, [g], 0.1, weight_decay=0.1))


@pytest.mark.parametrize("name", ["plain", "nesterov-and-decay"])
def test_sgd_needs_little_memory(student_side, rng, hint, name):
    """A million weights are 4 MB; for a moment, a step takes less than half of that."""
    w, g = rng.normal(size=(2, 1_000_000)).astype(np.float32)
    nbytes, found = student_side.peak(SGD, w, g, lr=0.1, **SETTINGS[name])
    close(found, sgd(w, [g] * 3, 0.1, **SETTINGS[name]))
    hint(WHOLE, when=nbytes > 2_000_000)
    assert nbytes < 2_000_000


@pytest.mark.parametrize("slip", ["lr", "weight_decay", "momentum", "nesterov"])
def test_sgd_refuses_impossible_settings(student_side, rng, slip):
    """Negative ones, and Nesterov's variant without momentum; the error has the number. Zeros are fine."""
    w, g = rng.normal(size=3), rng.normal(size=3)
    params = student_side.parameters([w])
    wrong = {"nesterov": True} if slip == "nesterov" else {slip: -0.5}
    with pytest.raises(ValueError, match=rf"{slip}={'True' if slip == 'nesterov' else '-0.5'}"):
        SGD(params, **wrong)
    still = SGD(params, lr=0.0, momentum=0.0, weight_decay=0.0, nesterov=False)
    ((found,),) = student_side.pushed(still, params, [[g]])
    np.testing.assert_array_equal(found, w)
    ((found,),) = student_side.pushed(SGD(params, lr=0.5), params, [[g]])
    close(found, w - 0.5 * g)
