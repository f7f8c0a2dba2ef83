"""AdamW shrinks the weights themselves, all by one factor, and leaves the gradient to Adam."""
from itertools import product

import numpy as np
import pytest

from tinytorch.core.optimizers import Adam, AdamW

pytestmark = pytest.mark.exercise("adamw")

COUPLED = "The decay was added to the gradient, as Adam does: multiply p by 1 - lr · weight_decay, and return g as it is."
WRONG_SIGN = "The weights grew: the factor is 1 - lr · weight_decay, below 1."
NO_RATE = "The factor has lr in it too: 1 - lr · weight_decay, since a small step decays little."
NEW_ARRAY = "p is as it was: p = p * ... makes another array and forgets it, p *= ... writes into the piece that is there."
NOTHING = "`decayed` returns the gradient, with which the formula goes on: end with return g."

SETTINGS = {"default": {}, "strong": {"weight_decay": 0.9}, "none": {"weight_decay": 0.0},
            "all": {"betas": (0.6, 0.8), "eps": 0.2, "weight_decay": 0.4}}
every_setting = pytest.mark.parametrize("name", list(SETTINGS))


def adamw(w, pushes, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
    """The weights after the last of these gradients, by the formulas, in float64."""
    w, m, v = w.astype(float), 0.0, 0.0
    for t, g in enumerate(pushes, start=1):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g.astype(float) ** 2
        w = (1 - lr * weight_decay) * w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w


def close(found, expected):
    """The same numbers, to what the dtype of `found` allows."""
    tolerance = {"rtol": 1e-4, "atol": 2e-5} if found.dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-10}
    np.testing.assert_allclose(found, expected, **tolerance)


def test_decayed_by_hand(student_side, hint):
    """With lr 0.1 and weight decay 0.5 the factor is 0.95: from (1, -2) to (0.95, -1.9), and g stays (3, 4)."""
    optimizer = AdamW(student_side.parameters([np.ones(2)]), lr=0.1, weight_decay=0.5)
    p, returned, g = student_side.decayed(optimizer, np.array([1.0, -2.0]), np.array([3.0, 4.0]))
    hint(NOTHING, when=returned is None)
    hint(WRONG_SIGN, when=np.allclose(p, [1.05, -2.1]))
    hint(NO_RATE, when=np.allclose(p, [0.5, -1]))
    hint(NEW_ARRAY, when=np.allclose(p, [1, -2]) and returned is not None and np.allclose(returned, [3, 4]))
    hint(COUPLED, when=returned is not None and np.allclose(returned, [3.5, 3]))
    np.testing.assert_allclose(p, [0.95, -1.9], rtol=1e-12)
    np.testing.assert_array_equal(returned, [3, 4])
    np.testing.assert_array_equal(g, [3, 4])


def test_a_weight_that_is_left_alone_shrinks(student_side):
    """No gradient but zeros: 100 steps of the factor 0.999 lead from 1 to 0.90479, with Adam far below."""
    w = student_side.parameters([np.ones(1)])
    found = student_side.pushed(AdamW(w, lr=0.01, weight_decay=0.1), w, [[np.zeros(1)]] * 100)[-1][0]
    np.testing.assert_allclose(found, [0.999**100], rtol=1e-9)


def test_one_step_by_hand(student_side):
    """From 1, with g = 2, lr = 0.1 and decay 0.5: 0.95, less a step of lr, is 0.85; by default the decay is 0.01."""
    w = student_side.parameters([np.ones(1), np.ones(1)])
    push = [[np.full(1, 2.0)] * 2]
    found = student_side.pushed(AdamW([{"params": w[0], "weight_decay": 0.5}, {"params": w[1]}], lr=0.1), w, push)[0]
    np.testing.assert_allclose(found, [[0.85], [1 - 0.1 * 0.01 - 0.1]], rtol=1e-7)


def test_all_weights_decay_alike(student_side, rng):
    """Two weights, gradients of 0.001 and of 1000: from 2 and from 1, the difference of the paths is the factor's."""
    small, large = rng.uniform(1e-3, 2e-3, size=(5, 3)), rng.uniform(1e3, 2e3, size=(5, 3))
    found = []
    for start in (1.0, 2.0):
        w = student_side.parameters([np.full(3, start), np.full(3, start)])
        pushes = [[s, g] for s, g in zip(small, large)]
        found.append(student_side.pushed(AdamW(w, lr=0.1, weight_decay=0.5), w, pushes)[-1])
    np.testing.assert_allclose(np.subtract(found[1], found[0]), np.full((2, 3), 0.95**5), rtol=1e-9)


@every_setting
def test_adamw_against_the_formulas(student_side, rng, name):
    """Six steps with random gradients, for three shapes and two dtypes, which stay."""
    for shape, dtype in product([(), (5,), (3, 4)], ["float32", "float64"]):
        w, pushes = rng.normal(size=shape).astype(dtype), rng.normal(size=(6, *shape)).astype(dtype)
        params = student_side.parameters([w])
        found = student_side.pushed(AdamW(params, lr=0.1, **SETTINGS[name]), params, [[g] for g in pushes])[-1][0]
        assert found.shape == shape and str(found.dtype) == dtype
        close(found, adamw(w, pushes, 0.1, **SETTINGS[name]))


@pytest.mark.parametrize("layout", ["rows", "transposed", "within"])
def test_adamw_in_any_memory_order(student_side, rng, layout):
    """Gradients in rows meet parameters in other orders."""
    w, pushes = rng.normal(size=(3, 4)), rng.normal(size=(3, 3, 4))
    params = student_side.parameters([w], layout)
    found = student_side.pushed(AdamW(params, lr=0.1, weight_decay=0.5), params, [[g] for g in pushes])[-1][0]
    close(found, adamw(w, pushes, 0.1, weight_decay=0.5))


@pytest.mark.parametrize("size", [32_769, 100_000], ids=["above", "four"])
def test_adamw_in_pieces(student_side, rng, size):
    """Every element decays once a step."""
    w, pushes = rng.normal(size=size).astype(np.float32), rng.normal(size=(2, size)).astype(np.float32)
    params = student_side.parameters([w])
    found = student_side.pushed(AdamW(params, lr=0.1, weight_decay=0.5), params, [[g] for g in pushes])[-1][0]
    close(found, adamw(w, pushes, 0.1, weight_decay=0.5))


def test_adamw_obeys_each_group(student_side, rng):
    """Rate and weight decay are the group's own, also for the factor."""
    arrays = [rng.normal(size=(2, 3)) for _ in SETTINGS]
    params = student_side.parameters(arrays)
    pushes = rng.normal(size=(3, len(arrays), 2, 3))
    given = [{"params": [p], "lr": 0.1 * (i + 1), **s} for i, (p, s) in enumerate(zip(params, SETTINGS.values()))]
    found = student_side.pushed(AdamW(given, lr=50.0, weight_decay=0.7), params, list(pushes))[-1]
    for i, settings in enumerate(SETTINGS.values()):
        close(found[i], adamw(arrays[i], pushes[:, i], 0.1 * (i + 1), **{"weight_decay": 0.7} | settings))


def test_adamw_without_decay_is_adam(student_side, rng):
    """Bit by bit; and with decay it isn't."""
    w, pushes = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(3, 3, 4)).astype(np.float32)
    found = []
    for kind, decay in [(Adam, 0.0), (AdamW, 0.0), (AdamW, 0.5)]:
        params = student_side.parameters([w])
        optimizer = kind(params, lr=0.1, weight_decay=decay)
        found.append(student_side.pushed(optimizer, params, [[g] for g in pushes])[-1][0])
    np.testing.assert_array_equal(found[1], found[0])
    close(found[2], adamw(w, pushes, 0.1, weight_decay=0.5))


def test_adamw_leaves_gradients_alone_and_skips_none(student_side, rng):
    """What has no gradient doesn't decay either."""
    a, b, g = rng.normal(size=3), rng.normal(size=3), rng.normal(size=3)
    params = student_side.parameters([a, b])
    gradient, none = student_side.gradients_after(AdamW(params, lr=0.1, weight_decay=0.5), params, [g, None])
    np.testing.assert_array_equal(gradient, g)
    assert none is None
    np.testing.assert_array_equal(params[1].numpy(), b)
    close(params[0].numpy(), adamw(a, [g], 0.1, weight_decay=0.5))


def test_adamw_needs_little_memory(student_side, rng):
    """A million weights are 4 MB; for a moment, a step takes less than half of that."""
    w, g = rng.normal(size=(2, 1_000_000)).astype(np.float32)
    nbytes, found = student_side.peak(AdamW, w, g, lr=0.1, weight_decay=0.5)
    close(found, adamw(w, [g] * 3, 0.1, weight_decay=0.5))
    assert nbytes < 2_000_000


@pytest.mark.parametrize("slip", ["lr", "weight_decay", "eps", "betas"])
def test_adamw_refuses_impossible_settings(student_side, rng, slip):
    """As Adam does; the error has the number."""
    w, g = rng.normal(size=3), rng.uniform(1, 2, size=3)
    params = student_side.parameters([w])
    with pytest.raises(ValueError, match=rf"{slip}=\(?-0\.5"):
        AdamW(params, **{slip: (-0.5, 0.9) if slip == "betas" else -0.5})
    ((found,),) = student_side.pushed(AdamW(params, lr=0.5, weight_decay=1.0), params, [[g]])
    close(found, adamw(w, [g], 0.5, weight_decay=1.0))
