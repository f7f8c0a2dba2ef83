"""A state dict copies every tensor by its name; it loads into a network of the same architecture or not at all."""
import numpy as np
import pytest

pytestmark = pytest.mark.exercise("state_dict")

SHARED = "Training changed a state dict that was saved before: it must hold copies of the arrays, data.copy()."
REPLACED = "The parameter has lost the array that it had: write into it, data[...] = value, and don't assign data."
BROADCAST = "NumPy broadcast an array over a parameter of another shape: compare the shapes before you write."
HALF = "The load failed when the network was half new, half old: check every shape before you write anything."


@pytest.fixture
def draw(rng):
    return lambda: rng.normal(size=3).astype(np.float32)


@pytest.fixture
def make_pair(student_side, draw):
    """A network with five parameters, and its numbers by name, in the order in which they are saved."""

    def make():
        a, b, c, d, gain = draw(), draw(), draw(), draw(), draw()
        pair = student_side.Pair(student_side.Affine(a, b), student_side.Affine(c, d), gain)
        return pair, {"gain": gain.copy(), "first.scale": a.copy(), "first.shift": b.copy(),
                      "second.scale": c.copy(), "second.shift": d.copy()}

    return make


def check(state, expected):
    """Same names in the same order, and under each its own numbers."""
    assert [str(name) for name in state] == list(expected)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(state[name].numpy(), wanted, err_msg=name)


def values(module, student_side):
    return {str(name): array for name, array in student_side.named(module.named_parameters())}


def same(found, expected):
    assert list(found) == list(expected)
    for name, wanted in expected.items():
        np.testing.assert_array_equal(found[name], wanted, err_msg=name)


def test_state_dict_has_every_parameter(make_pair):
    """Dotted names, the numbers under them, in the order of `named_parameters`."""
    pair, expected = make_pair()
    check(pair.state_dict(), expected)


def test_state_dict_has_buffers_and_keeps_dtypes(student_side, rng):
    """Buffers are saved behind the parameters of their module; integers stay integers, float64 stays float64."""
    mean, weight, count = rng.normal(size=3), rng.normal(size=2).astype(np.float32), rng.integers(1, 1000, size=())
    state = student_side.Running(mean, weight, count).state_dict()
    check(state, {"weight": weight, "mean": mean, "count": count})
    assert [str(state[name].dtype) for name in ("weight", "mean", "count")] == ["float32", "float64", "int64"]


def test_state_dict_is_a_copy(student_side, make_pair, hint):
    """Weights kept as "the best so far" stay what they were when training goes on."""
    pair, expected = make_pair()
    state = pair.state_dict()
    student_side.trained(pair, 0.5)
    moved = state["first.scale"].numpy()
    hint(SHARED, when=np.allclose(moved, expected["first.scale"] - 0.5))
    check(state, expected)


def test_state_dict_needs_no_gradient(make_pair):
    """What is saved are plain tensors, not parameters."""
    pair, expected = make_pair()
    state = pair.state_dict()
    assert [bool(state[name].requires_grad) for name in expected] == [False] * 5
    check(state, expected)


def test_shared_parameter_is_saved_under_both_names(student_side, draw):
    """As in PyTorch: a network that doesn't share can load it too."""
    scale, shift, other = draw(), draw(), draw()
    state = student_side.tied(scale, shift, other).state_dict()
    check(state, {"gain": shift, "first.scale": scale, "first.shift": shift,
                  "second.scale": scale, "second.shift": other})


def test_load_makes_two_networks_equal(student_side, make_pair, rng):
    """Saved from one, loaded into another: the same parameters, the same outputs."""
    (pair, expected), (other, _) = make_pair(), make_pair()
    missing, unexpected = other.load_state_dict(pair.state_dict())
    assert list(missing) == [] and list(unexpected) == []
    same(values(other, student_side), expected)
    x = student_side.parameter(rng.normal(size=(2, 3)).astype(np.float32))
    y = (x.numpy() * expected["first.scale"] + expected["first.shift"]) * expected["second.scale"]
    y = (y + expected["second.shift"]) * expected["gain"]
    np.testing.assert_allclose(other(x).numpy(), y, rtol=1e-4, atol=1e-5)


def test_load_takes_arrays_in_any_order(student_side, make_pair, draw):
    """A dictionary of NumPy arrays, as read from an .npz file, does as well."""
    pair, expected = make_pair()
    new = {name: draw() for name in expected}
    pair.load_state_dict(dict(reversed(new.items())))
    same(values(pair, student_side), new)


def test_load_brings_buffers_too(student_side, draw, rng):
    """Also one without dimensions."""
    running = student_side.Running(draw(), draw(), np.array(3))
    new = {"weight": draw(), "mean": draw(), "count": rng.integers(10, 1000, size=())}
    running.load_state_dict(new)
    np.testing.assert_array_equal(running.weight.numpy(), new["weight"])
    np.testing.assert_array_equal(running.mean.numpy(), new["mean"])
    assert running.count.item() == int(new["count"])


def test_load_writes_into_the_same_arrays(student_side, make_pair, draw, hint):
    """An optimizer that holds on to a parameter's array must see what was loaded; and float32 stays float32."""
    pair, expected = make_pair()
    new = {name: draw().astype(np.float64) for name in expected}
    held = student_side.loaded_in_place(pair, new)
    hint(REPLACED, when=all(np.array_equal(held[name], expected[name]) for name in expected))
    same({name: held[name] for name in expected}, {name: array.astype(np.float32) for name, array in new.items()})
    assert {name: str(p.dtype) for name, p in pair.named_parameters()} == dict.fromkeys(expected, "float32")


def test_load_keeps_nothing_of_the_dictionary(student_side, make_pair):
    """Training after loading leaves the dictionary alone, so that it can be loaded again."""
    (pair, expected), (other, _) = make_pair(), make_pair()
    state = pair.state_dict()
    other.load_state_dict(state)
    student_side.trained(other, 0.5)
    check(state, expected)
    np.testing.assert_allclose(other.first.scale.numpy(), expected["first.scale"] - 0.5, rtol=1e-6)


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "not-strict"])
@pytest.mark.parametrize("shape", [(4,), (1,), (), (3, 1), (1, 3)], ids=["longer", "one", "scalar", "column", "row"])
def test_load_refuses_another_shape(student_side, make_pair, rng, hint, shape, strict):
    """A shape that differs is a ValueError with the name and both shapes, also where NumPy would broadcast."""
    pair, expected = make_pair()
    fitting = {name: rng.normal(size=3).astype(np.float32) for name in expected}
    pair.load_state_dict(fitting, strict=strict)
    same(values(pair, student_side), fitting)
    hint(BROADCAST, when=shape in [(1,), (), (1, 3)])
    with pytest.raises(ValueError, match=r"second\.shift") as error:
        pair.load_state_dict(fitting | {"second.shift": rng.normal(size=shape)}, strict=strict)
    assert str(shape) in str(error.value) and "(3,)" in str(error.value)


def test_load_that_fails_changes_nothing(student_side, make_pair, rng, hint):
    """If the last tensor doesn't fit, the first ones are not written either."""
    pair, expected = make_pair()
    state = {name: rng.normal(size=3) for name in expected} | {"second.shift": rng.normal(size=4)}
    with pytest.raises(ValueError, match=r"second\.shift"):
        pair.load_state_dict(state)
    after = values(pair, student_side)
    hint(HALF, when=not np.array_equal(after["gain"], expected["gain"]))
    same(after, expected)
    pair.load_state_dict(state | {"second.shift": expected["gain"]})
    np.testing.assert_array_equal(pair.second.shift.numpy(), expected["gain"])


@pytest.mark.parametrize("change", ["missing", "unexpected"])
def test_load_refuses_other_names(student_side, make_pair, rng, change):
    """Strictly, a name too few or too many is a ValueError that has it in its message, and nothing was written."""
    pair, expected = make_pair()
    state = {name: rng.normal(size=3).astype(np.float32) for name in expected}
    name = "second.shift" if change == "missing" else "third.shift"
    if change == "missing":
        del state[name]
    else:
        state[name] = rng.normal(size=3)
    with pytest.raises(ValueError, match=name):
        pair.load_state_dict(state)
    same(values(pair, student_side), expected)
    pair.load_state_dict(state, strict=False)
    same(values(pair, student_side), expected | {name: array for name, array in state.items() if name in expected})


def test_load_not_strict_says_what_did_not_fit(student_side, make_pair, draw):
    """What is there is loaded, what is missing stays, and the two lists tell."""
    pair, expected = make_pair()
    new = {"first.scale": draw(), "head.weight": draw(), "gain": draw(), "tail": draw()}
    missing, unexpected = pair.load_state_dict(new, strict=False)
    assert list(missing) == ["first.shift", "second.scale", "second.shift"]
    assert list(unexpected) == ["head.weight", "tail"]
    same(values(pair, student_side), expected | {"gain": new["gain"], "first.scale": new["first.scale"]})
