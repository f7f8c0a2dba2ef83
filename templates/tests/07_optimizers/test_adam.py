"""Adam keeps running means of the gradient and of its square, and steps by the one over the root of the other."""
from itertools import product

import numpy as np
import pytest

from tinytorch.core.optimizers import Adam

pytestmark = pytest.mark.exercise("adam")

UNCORRECTED = "The first step is 3.16 times too long: divide m by 1 - β₁ᵗ and v by 1 - β₂ᵗ."
STEP_ZERO = "At the first step t is 1, since 1 - β⁰ is 0: count `step` up before it is used."
STEP_LATE = "The count runs one ahead, or begins at 1 and is counted up to 2: it is 0 before the first step, 1 in it."
NOT_SQUARED = "v is the mean of g², of g * g and not of g; its root is then a typical size of g."
EPS_INSIDE = "ε stands outside of the root: √v̂ + ε, not √(v̂ + ε)."
EPS_EARLY = "ε is added to √v̂, after the correction: √v / √(1 - β₂ᵗ) + ε."
SWAPPED = "β₁ and β₂ have changed places: (0.9, 0.999) means 0.9 for m, the mean of g."
LOST = "m and v are still zeros after the step: m = ... makes a new piece, m += ... or m[...] = ... writes into the state."
NOT_DECAYED = "Weight decay had no effect: begin with g = self.decayed(p, g, group) for each piece."
PER_PIECE = "`step` was counted up for each piece: t counts steps, so count before the loop over blocks(...)."
ON_OPTIMIZER = "The second parameter was told t = 2 in its first step: each counts in its own `state`."
NEW_ARRAY = "The weight hasn't moved: p -= ... writes into the array that is there, p = p - ... into a new one."
READ_ONLY = "The pieces of g are read-only, since g belongs to others: g * g makes a new piece, g *= g is refused."
WHOLE = "There was a temporary as large as the weights: do the whole formula inside the loop over blocks(...)."

SETTINGS = {
    "default": {},
    "betas": {"betas": (0.5, 0.75)},
    "eps": {"eps": 0.3},
    "decay": {"weight_decay": 0.5},
    "no-means": {"betas": (0.0, 0.0), "eps": 0.1},
}
every_setting = pytest.mark.parametrize("name", list(SETTINGS))


def adam(w, pushes, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """The weights, m and v after the last of these gradients, by the formulas, in float64."""
    w, m, v = w.astype(float), 0.0, 0.0
    for t, g in enumerate(pushes, start=1):
        g = g + weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        w = w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)
    return w, m, v


def close(found, expected):
    """The same numbers, to what the dtype of `found` allows."""
    tolerance = {"rtol": 1e-4, "atol": 2e-5} if found.dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-10}
    np.testing.assert_allclose(found, expected, **tolerance)


@pytest.fixture
def trace(student_side):
    """The values of one weight, at first 1, after each of these gradients."""

    def run(*pushes, **settings):
        w = student_side.parameters([np.ones(1)])
        steps = student_side.pushed(Adam(w, **settings), w, [[np.array([float(g)])] for g in pushes])
        return [float(value[0]) for (value,) in steps]

    return run


@pytest.mark.hint(ZeroDivisionError, STEP_ZERO)
@pytest.mark.hint(ValueError, READ_ONLY)
def test_first_step_is_as_long_as_lr(trace, hint):
    """From 1 with lr 0.1 to 0.9, whether the gradient is 2 or 1000; up, if it is negative; by default lr is 1e-3."""
    after = trace(2, lr=0.1)
    hint(UNCORRECTED, when=np.allclose(after, 1 - 0.1 * 0.2 / np.sqrt(0.004)))
    hint(STEP_LATE, when=np.allclose(after, 1 - 0.1 * (0.2 / 0.19) / np.sqrt(0.004 / 0.001999)))
    hint(NOT_SQUARED, when=np.allclose(after, 1 - 0.1 * 2 / np.sqrt(2)))
    hint(NEW_ARRAY, when=after == [1])
    np.testing.assert_allclose(after, [0.9], rtol=1e-7)
    np.testing.assert_allclose([trace(1000, lr=0.1), trace(-1000, lr=0.1)], [[0.9], [1.1]], rtol=1e-7)
    np.testing.assert_allclose(trace(2), [0.999], rtol=1e-7)


def test_two_steps_by_hand(trace, hint):
    """Gradients 2 and -2: m = 0.9 · 0.2 - 0.2 = -0.02, m̂ = -0.02 / 0.19, √v̂ = 2, so from 0.9 up to 0.90526."""
    after = trace(2, -2, lr=0.1)
    hint(SWAPPED, when=np.allclose(after, [0.9, 0.9 + 0.1 * (0.000002 / 0.001999) / 2], atol=1e-7))
    np.testing.assert_allclose(after, [0.9, 0.9 + 0.1 * (0.02 / 0.19) / 2], rtol=1e-6)


def test_equal_gradients_give_equal_steps(trace):
    """Of lr each, however many: the means, corrected, are g and g² at every step."""
    after = trace(*[3] * 50, lr=0.01)
    np.testing.assert_allclose(after, 1 - 0.01 * np.arange(1, 51), rtol=1e-6)


def test_eps_by_hand(trace, hint):
    """With eps = 1 and g = 2: a step of lr · 2 / (2 + 1), so from 1 to 0.93333."""
    after = trace(2, lr=0.1, eps=1.0)
    hint(EPS_INSIDE, when=np.allclose(after, 1 - 0.1 * 2 / np.sqrt(5)))
    hint(EPS_EARLY, when=np.allclose(after, 1 - 0.1 * 2 / (2 + 1 / np.sqrt(0.001))))
    np.testing.assert_allclose(after, [1 - 0.1 * 2 / 3], rtol=1e-7)


def test_eps_keeps_the_denominator_from_zero(trace):
    """With no gradient at all, 0 / (0 + ε) is 0: nothing moves, and nothing becomes NaN. Its default is 1e-8."""
    np.testing.assert_array_equal(trace(0, 0, lr=0.1), [1, 1])
    np.testing.assert_allclose(trace(1e-8, lr=0.1), [0.95], rtol=1e-6)


def test_weight_decay_by_hand(trace, hint):
    """It is a part of the gradient, and so divided away: 0 + 0.5 · 1 makes a step of lr, as any gradient does."""
    after, pushed = trace(0, lr=0.1, weight_decay=0.5), trace(2, lr=0.1, weight_decay=0.5)
    hint(NOT_DECAYED, when=after == [1] and pushed != [1])
    np.testing.assert_allclose([after, pushed], [[0.9], [0.9]], rtol=1e-6)
    np.testing.assert_allclose(trace(-0.3, lr=0.1, weight_decay=0.5, eps=0.2), [1 - 0.1 * 0.2 / 0.4], rtol=1e-6)


@every_setting
def test_adam_against_the_formulas(student_side, rng, name):
    """Six steps with random gradients, for five shapes and two dtypes, which stay."""
    for shape, dtype in product([(), (1,), (5,), (3, 4), (2, 3, 2)], ["float32", "float64"]):
        w, pushes = rng.normal(size=shape).astype(dtype), rng.normal(size=(6, *shape)).astype(dtype)
        params = student_side.parameters([w])
        found = student_side.pushed(Adam(params, lr=0.1, **SETTINGS[name]), params, [[g] for g in pushes])[-1][0]
        assert found.shape == shape and str(found.dtype) == dtype
        close(found, adam(w, pushes, 0.1, **SETTINGS[name])[0])


@pytest.mark.parametrize("size", [32_767, 32_768, 32_769, 100_000], ids=["below", "exact", "above", "four"])
def test_adam_in_pieces(student_side, rng, hint, size):
    """Around the size of a piece, every element moves, by the same rule, and a step counts as one."""
    w, pushes = rng.normal(size=size).astype(np.float32), rng.normal(size=(2, size)).astype(np.float32)
    for settings in ({}, {"weight_decay": 0.5}):
        params = student_side.parameters([w])
        optimizer = Adam(params, lr=0.1, **settings)
        found = student_side.pushed(optimizer, params, [[g] for g in pushes])[-1][0]
        (known,) = student_side.memory(optimizer, params)
        hint(PER_PIECE, when=size > 32_768 and known["step"] == 2 * -(-size // 32_768))
        assert known["step"] == 2
        close(found, adam(w, pushes, 0.1, **settings)[0])


@pytest.mark.parametrize("layout", ["rows", "columns", "transposed", "backwards", "within"])
def test_adam_in_any_memory_order(student_side, rng, layout):
    """Parameters and gradients may lie in memory in different orders, or with gaps."""
    w, pushes = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(3, 3, 4)).astype(np.float32)
    for gradients in ("rows", "columns", "within"):
        params = student_side.parameters([w], layout)
        found = student_side.pushed(Adam(params, lr=0.1), params, [[g] for g in pushes], gradients)[-1][0]
        close(found, adam(w, pushes, 0.1)[0])


def test_adam_of_nothing(student_side, rng):
    """A parameter without elements goes through a step unharmed, and doesn't keep others from theirs."""
    w, g = rng.normal(size=3), rng.normal(size=3)
    params = student_side.parameters([np.zeros((0, 4)), w])
    ((empty, found),) = student_side.pushed(Adam(params, lr=0.1), params, [[np.zeros((0, 4)), g]])
    assert empty.shape == (0, 4)
    close(found, adam(w, [g], 0.1)[0])


def test_adam_works_in_place(student_side, rng):
    """A view that somebody took of the weights sees the step, in any layout."""
    w, pushes = rng.normal(size=(3, 4)), rng.normal(size=(2, 3, 4))
    for layout in ("rows", "transposed", "within"):
        params = student_side.parameters([w], layout)
        (held,) = student_side.pushed_in_place(Adam(params, lr=0.1), params, [[g] for g in pushes])
        close(held, adam(w, pushes, 0.1)[0])


def test_adam_leaves_gradients_alone(student_side, rng):
    """Somebody may want to print their size after the step, or to add to them."""
    w, g = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    for settings in SETTINGS.values():
        params = student_side.parameters([w])
        (gradient,) = student_side.gradients_after(Adam(params, lr=0.1, **settings), params, [g])
        np.testing.assert_array_equal(gradient, g)
        close(params[0].numpy(), adam(w, [g], 0.1, **settings)[0])


def test_adam_remembers_a_count_and_two_means(student_side, rng, hint):
    """Under PyTorch's names, in the shape and dtype of the parameter, and nothing else."""
    w, pushes = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(2, 3, 2)).astype(np.float32)
    params = student_side.parameters([w])
    optimizer = Adam(params, lr=0.1)
    student_side.pushed(optimizer, params, [[g] for g in pushes])
    (known,) = student_side.memory(optimizer, params)
    assert sorted(known) == ["exp_avg", "exp_avg_sq", "step"]
    hint(LOST, when=not known["exp_avg"].any() and not known["exp_avg_sq"].any())
    assert known["step"] == 2
    _, m, v = adam(w, pushes, 0.1)
    for name, expected in {"exp_avg": m, "exp_avg_sq": v}.items():
        assert known[name].dtype == np.float32 and known[name].shape == (3, 2)
        close(known[name], expected)


def test_adam_without_a_gradient(student_side, rng):
    """Such a parameter stays, and its count and means wait: it goes on as if the step had not been."""
    a, b, (first, second) = rng.normal(size=3), rng.normal(size=3), rng.normal(size=(2, 3))
    params = student_side.parameters([a, b])
    pushes = [[first, None], [None, first], [second, second]]
    steps = student_side.pushed(Adam(params, lr=0.1, weight_decay=0.1), params, pushes)
    np.testing.assert_array_equal(steps[0][1], b)
    np.testing.assert_array_equal(steps[1][0], steps[0][0])
    close(steps[2][0], adam(a, [first, second], 0.1, weight_decay=0.1)[0])
    close(steps[2][1], adam(b, [first, second], 0.1, weight_decay=0.1)[0])


def test_each_parameter_counts_for_itself(student_side, hint):
    """Two weights 1 with gradients 2 and 4: both are at 0.9 after the first step."""
    params = student_side.parameters([np.ones(2), np.ones(2)])
    steps = student_side.pushed(Adam(params, lr=0.1), params, [[np.full(2, 2.0), np.full(2, 4.0)]])
    late = 1 - 0.1 * (0.4 / 0.19) / np.sqrt(0.016 / 0.001999)
    hint(ON_OPTIMIZER, when=np.allclose(steps[0], [[0.9, 0.9], [late, late]]))
    np.testing.assert_allclose(steps[0], [[0.9, 0.9], [0.9, 0.9]], rtol=1e-6)


def test_adam_obeys_each_group(student_side, rng):
    """Every setting is the group's own."""
    arrays = [rng.normal(size=(2, 3)) for _ in SETTINGS]
    params = student_side.parameters(arrays)
    pushes = rng.normal(size=(3, len(arrays), 2, 3))
    given = [{"params": [p], "lr": 0.1 * (i + 1), **s} for i, (p, s) in enumerate(zip(params, SETTINGS.values()))]
    defaults = {"betas": (0.3, 0.6), "eps": 0.7, "weight_decay": 0.9}
    found = student_side.pushed(Adam(given, lr=50.0, **defaults), params, list(pushes))[-1]
    for i, settings in enumerate(SETTINGS.values()):
        close(found[i], adam(arrays[i], pushes[:, i], 0.1 * (i + 1), **defaults | settings)[0])


def test_a_changed_rate_is_used(student_side, rng):
    """A schedule changes group["lr"] between steps."""
    w, g = np.ones(3), rng.uniform(1, 2, size=3)
    params = student_side.parameters([w])
    optimizer = Adam(params, lr=0.1)
    student_side.pushed(optimizer, params, [[g]])
    student_side.set_option(optimizer, 0, "lr", 0.01)
    ((found,),) = student_side.pushed(optimizer, params, [[g]])
    np.testing.assert_allclose(found, [0.89] * 3, rtol=1e-6)


def test_adam_needs_little_memory(student_side, rng, hint):
    """A million weights are 4 MB; for a moment, a step takes less than half of that."""
    w, g = rng.normal(size=(2, 1_000_000)).astype(np.float32)
    nbytes, found = student_side.peak(Adam, w, g, lr=0.1)
    close(found, adam(w, [g] * 3, 0.1)[0])
    hint(WHOLE, when=nbytes > 2_000_000)
    assert nbytes < 2_000_000


SLIPS = {
    "lr": ({"lr": -0.5}, "lr=-0.5"),
    "weight-decay": ({"weight_decay": -0.5}, "weight_decay=-0.5"),
    "eps": ({"eps": -0.5}, "eps=-0.5"),
    "first-beta": ({"betas": (1.0, 0.9)}, r"betas=\(1.0, 0.9\)"),
    "second-beta": ({"betas": (0.9, -0.1)}, r"betas=\(0.9, -0.1\)"),
}


@pytest.mark.parametrize("slip", list(SLIPS))
def test_adam_refuses_impossible_settings(student_side, rng, slip):
    """Negative ones, and betas that aren't in [0, 1); the error has the number. Zeros are fine."""
    w, g = rng.normal(size=3), rng.uniform(1, 2, size=3)
    params = student_side.parameters([w])
    settings, words = SLIPS[slip]
    with pytest.raises(ValueError, match=words):
        Adam(params, **settings)
    ((found,),) = student_side.pushed(Adam(params, lr=0.5, betas=(0.0, 0.0), eps=0.0), params, [[g]])
    close(found, w - 0.5)
