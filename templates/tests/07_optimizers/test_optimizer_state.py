"""An optimizer's settings and state can be saved as plain data, and another one goes on from there, bit by bit."""
import numpy as np
import pytest

from tinytorch.core.optimizers import SGD, Adam, AdamW

pytestmark = pytest.mark.exercise("optimizer_state")

SHARED = "Further steps changed what was saved before: the state dict must hold copies, copied(state)."
KEPT_REFERENCES = "Steps after loading changed the dictionary that was loaded: take copies of its arrays, copied(state)."
RESTARTED = "The numbers begin again in each group: number the parameters of all groups together, 0, 1, 2, ..."
EMPTY_STATE = "Parameters of which nothing is remembered were saved with an empty dictionary: leave them out."
NUMBERS_FOR_PARAMS = "The optimizer has lost its parameters: group['params'] must stay, not become the saved numbers."
OLD_STATE = "What was remembered before is still there: clear the state before the loaded one goes in."
HALF = "The load failed when the optimizer was half new, half old: check everything before you write anything."
OWN_NUMBERS = "Take the numbers from the saved groups: the first parameter there is the first one here, whatever its number."
OLD_SETTINGS = "The settings are still the optimizer's own: take over those of the saved groups."
PLAIN_DICT = "`state` has become a plain dict, and step() needs an entry for each parameter: clear() and update() the old one."

KINDS = {
    "momentum": (SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "adam": (Adam, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.1}),
    "adamw": (AdamW, {"lr": 0.1, "betas": (0.8, 0.9), "weight_decay": 0.3}),
}
every_kind = pytest.mark.parametrize("name", list(KINDS))


@pytest.fixture
def draw(rng):
    """Arrays of these shapes, the same for parameters and for gradients."""
    return lambda *shapes: [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def settings(saved):
    """The groups of a state dict, as dictionaries."""
    return [dict(group) for group in saved["param_groups"]]


def regrouped(optimizer, numbers):
    """Saved groups of these numbers, with the settings of the optimizer's first group, and the rate 9."""
    (first, *_) = settings(optimizer.state_dict())
    return [first | {"lr": 9.0, "params": group} for group in numbers]


def velocities(saved):
    """The state of each number in a state dict of SGD with momentum."""
    assert all(list(state) == ["momentum_buffer"] for state in saved["state"].values())
    return {number: state["momentum_buffer"] for number, state in saved["state"].items()}


def same(found, expected):
    """The same numbers with the same arrays under them."""
    assert sorted(found) == sorted(expected)
    for number, array in expected.items():
        np.testing.assert_array_equal(found[number], array)


def test_state_dict_of_sgd(student_side, draw):
    """In PyTorch's form: after one step, the velocity of each parameter is its gradient."""
    w, g = student_side.parameters(draw(3, (2, 2))), draw(3, (2, 2))
    optimizer = SGD(w, lr=0.5, momentum=0.9)
    student_side.pushed(optimizer, w, [g])
    saved = optimizer.state_dict()
    assert sorted(saved) == ["param_groups", "state"]
    assert settings(saved) == [
        {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.0, "nesterov": False, "params": [0, 1]}
    ]
    same(velocities(saved), dict(enumerate(g)))


def test_state_dict_of_adam(student_side, draw):
    """After three steps with one gradient, its mean is (1 - 0.5³) g and the mean of its square (1 - 0.75³) g²."""
    w, g = student_side.parameters(draw((2, 3))), draw((2, 3))
    optimizer = Adam(w, lr=0.5, betas=(0.5, 0.75))
    student_side.pushed(optimizer, w, [g] * 3)
    saved = optimizer.state_dict()
    assert settings(saved) == [{"lr": 0.5, "betas": (0.5, 0.75), "eps": 1e-8, "weight_decay": 0.0, "params": [0]}]
    assert list(saved["state"]) == [0] and sorted(saved["state"][0]) == ["exp_avg", "exp_avg_sq", "step"]
    assert saved["state"][0]["step"] == 3
    np.testing.assert_allclose(saved["state"][0]["exp_avg"], 0.875 * g[0], rtol=1e-5)
    np.testing.assert_allclose(saved["state"][0]["exp_avg_sq"], 0.578125 * g[0].astype(float) ** 2, rtol=1e-5)


def test_parameters_are_numbered_through_all_groups(student_side, draw, hint):
    """In the order of the groups, and not in that in which they were made."""
    w, g = student_side.parameters(draw(3, 2, 4, 1)), draw(3, 2, 4, 1)
    optimizer = SGD([{"params": [w[2], w[0]]}, {"params": [w[3]], "lr": 0.2}, {"params": [w[1]]}], momentum=0.9)
    student_side.pushed(optimizer, w, [g])
    saved = optimizer.state_dict()
    numbers = [list(group["params"]) for group in saved["param_groups"]]
    hint(RESTARTED, when=numbers == [[0, 1], [0], [0]])
    assert numbers == [[0, 1], [2], [3]]
    assert [group["lr"] for group in saved["param_groups"]] == [1e-3, 0.2, 1e-3]
    same(velocities(saved), {0: g[2], 1: g[0], 2: g[3], 3: g[1]})


def test_only_parameters_with_state_are_saved(student_side, draw, hint):
    """Without momentum, or before the first step, or without a gradient, nothing is remembered."""
    w, g = student_side.parameters(draw(3, 2)), draw(3, 2)
    plain, moving = SGD(w, lr=0.1), SGD(w, lr=0.1, momentum=0.5)
    student_side.pushed(plain, w, [g])
    found = dict(plain.state_dict()["state"])
    hint(EMPTY_STATE, when=found == {0: {}, 1: {}})
    assert found == {}
    assert dict(moving.state_dict()["state"]) == {}
    student_side.pushed(moving, w, [[None, g[1]]])
    same(velocities(moving.state_dict()), {1: g[1]})


def test_any_optimizer_can_be_saved(student_side, draw):
    """Whatever it remembers: here the last gradient, under a name of its own, and a count."""
    w, (g, h) = student_side.parameters(draw((2, 2))), draw((2, 2), (2, 2))
    first, second = student_side.Halving(w), student_side.Halving(w)
    student_side.pushed(first, w, [[g], [h]])
    saved = first.state_dict()
    assert list(saved["state"]) == [0] and sorted(saved["state"][0]) == ["count", "last"]
    assert saved["state"][0]["count"] == 2
    np.testing.assert_array_equal(saved["state"][0]["last"], h)
    second.load_state_dict(saved)
    student_side.pushed(second, w, [[g]])
    assert student_side.memory(second, w)[0]["count"] == 3


def test_saving_changes_nothing(student_side, draw):
    """The optimizer has its parameters afterwards, and goes on."""
    a, g, h = draw(3, 3, 3)
    w = student_side.parameters([a])
    optimizer = SGD(w, lr=0.5, momentum=0.5)
    student_side.pushed(optimizer, w, [[g]])
    same(velocities(optimizer.state_dict()), {0: g})
    assert student_side.groups(optimizer, w)[0]["params"] == [0]
    ((found,),) = student_side.pushed(optimizer, w, [[h]])
    np.testing.assert_allclose(found, a - 0.5 * g - 0.5 * (0.5 * g + h), rtol=1e-4, atol=1e-5)


def test_state_dict_is_a_copy(student_side, draw, hint):
    """What was saved in the evening stays what it was, though training goes on."""
    w, (g, h) = student_side.parameters(draw(3)), draw(3, 3)
    optimizer = SGD(w, lr=0.1, momentum=0.5)
    student_side.pushed(optimizer, w, [[g]])
    found = velocities(student_side.saved_then_pushed(optimizer, w, [[h]]))
    hint(SHARED, when=np.allclose(found[0], 0.5 * g + h))
    same(found, {0: g})


@every_kind
def test_training_goes_on_bit_by_bit(student_side, rng, name):
    """Three steps, saved and loaded into a new optimizer, and three more are the same as six."""
    kind, options = KINDS[name]
    start = [rng.normal(size=shape).astype(np.float32) for shape in [(3, 4), (2,), ()]]
    pushes = [[rng.normal(size=w.shape).astype(np.float32) for w in start] for _ in range(6)]
    w = student_side.parameters(start)
    six = student_side.pushed(kind(w, **options), w, pushes)
    w = student_side.parameters(start)
    first = kind([{"params": w[:1]}, {"params": w[1:]}], **options)
    three = student_side.pushed(first, w, pushes[:3])
    w = student_side.parameters(three[-1])
    second = kind([{"params": w[:1]}, {"params": w[1:]}], lr=7.0)
    second.load_state_dict(first.state_dict())
    rest = student_side.pushed(second, w, pushes[3:])
    for step in range(3):
        for found, expected in zip(rest[step], six[3 + step]):
            np.testing.assert_array_equal(found, expected)
    for before, after in zip(three[-1], rest[0]):
        assert not np.isclose(before, after, rtol=1e-6, atol=0).all()


@pytest.mark.hint(AttributeError, NUMBERS_FOR_PARAMS)
def test_loading_leaves_the_parameters(student_side, draw):
    """Its own tensors, with their numbers, are in the groups, and are what it moves."""
    a, b, g = draw(3, 3, 3)
    w, other = student_side.parameters([a]), student_side.parameters([b])
    first, second = SGD(w, lr=0.5, momentum=0.5), SGD(other, lr=0.1, momentum=0.1)
    student_side.pushed(first, w, [[g]])
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(other[0].numpy(), b)
    ((found,),) = student_side.pushed(second, other, [[g]])
    np.testing.assert_allclose(found, b - 0.5 * 1.5 * g, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(w[0].numpy(), a - 0.5 * g, rtol=1e-4, atol=1e-5)
    assert student_side.groups(second, other)[0]["params"] == [0]


def test_loading_takes_over_settings(student_side, draw, rng, hint):
    """Of each group its own."""
    rates = rng.uniform(0.1, 1, size=4).tolist()
    w = student_side.parameters(draw(3, 2))
    first = Adam([{"params": w[0], "lr": rates[0]}, {"params": w[1], "betas": (0.5, 0.6)}], lr=rates[1], eps=0.1)
    second = Adam([{"params": w[0]}, {"params": w[1]}], lr=rates[2], weight_decay=rates[3])
    second.load_state_dict(first.state_dict())
    found = student_side.groups(second, w)
    hint(OLD_SETTINGS, when=[group["lr"] for group in found] == [rates[2]] * 2)
    rest = {"eps": 0.1, "weight_decay": 0.0, "kind": "list"}
    assert found == [
        {"lr": rates[0], "betas": (0.9, 0.999), "params": [0], **rest},
        {"lr": rates[1], "betas": (0.5, 0.6), "params": [1], **rest},
    ]


def test_loading_copies(student_side, draw, hint):
    """Training after loading leaves the dictionary alone, so that it can be loaded again."""
    w, (g, h, v) = student_side.parameters(draw(3)), draw(3, 3, 3)
    optimizer = SGD(w, lr=0.1, momentum=0.5)
    student_side.pushed(optimizer, w, [[g]])
    saved = optimizer.state_dict() | {"state": {0: {"momentum_buffer": v.copy()}}}
    after = velocities(student_side.loaded_then_pushed(optimizer, w, saved, [[h]]))
    hint(KEPT_REFERENCES, when=np.allclose(after[0], 0.5 * v + h))
    same(after, {0: v})
    np.testing.assert_allclose(
        student_side.memory(optimizer, w)[0]["momentum_buffer"], 0.5 * v + h, rtol=1e-4, atol=1e-6
    )


def test_numbers_are_matched_by_their_place(student_side, draw, hint):
    """The saved numbers may be any: what counts is where they stand in the groups."""
    w, (u, v) = student_side.parameters(draw(3, 3, 3)), draw(3, 3)
    optimizer = SGD([{"params": w[:2]}, {"params": w[2:]}], momentum=0.5)
    state = {0: {"momentum_buffer": u}, 7: {"momentum_buffer": v}}
    optimizer.load_state_dict({"state": state, "param_groups": regrouped(optimizer, [[7, 4], [0]])})
    found = student_side.memory(optimizer, w)
    hint(OWN_NUMBERS, when="momentum_buffer" in found[0] and np.array_equal(found[0]["momentum_buffer"], u))
    same(found[0], {"momentum_buffer": v})
    assert found[1] == {}
    same(found[2], {"momentum_buffer": u})


@pytest.mark.hint(KeyError, PLAIN_DICT)
def test_loading_forgets_what_was_before(student_side, draw, hint):
    """A state dict from before the first step takes an optimizer back to its beginning, ready for a first step."""
    a, g, h = draw(3, 3, 3)
    w = student_side.parameters([a])
    optimizer = SGD(w, lr=0.5, momentum=0.9)
    fresh = optimizer.state_dict()
    ((after,),) = student_side.pushed(optimizer, w, [[g]])
    optimizer.load_state_dict(fresh)
    hint(OLD_STATE, when=np.array_equal(student_side.memory(optimizer, w)[0].get("momentum_buffer"), g))
    assert student_side.memory(optimizer, w) == [{}]
    ((found,),) = student_side.pushed(optimizer, w, [[h]])
    np.testing.assert_allclose(after, a - 0.5 * g, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found, a - 0.5 * g - 0.5 * h, rtol=1e-4, atol=1e-5)


@pytest.fixture
def make_trained(student_side, draw):
    """Makes an optimizer of two groups and takes a step: the optimizer, its parameters, and their velocities."""

    def make():
        w, g = student_side.parameters(draw(3, 2, (2, 2))), draw(3, 2, (2, 2))
        optimizer = SGD([{"params": w[:2]}, {"params": w[2:], "lr": 0.3}], lr=0.1, momentum=0.9)
        student_side.pushed(optimizer, w, [g])
        return optimizer, w, g

    return make


GROUPS = {"split": [[0], [1, 2]], "joined": [[0, 1, 2]], "fewer": [[0, 1]], "more": [[0, 1], [2, 3]], "none": []}


@pytest.mark.parametrize("name", list(GROUPS))
def test_loading_refuses_other_groups(student_side, make_trained, name):
    """As many parameters in each group: otherwise a ValueError has both lists, and nothing has changed."""
    optimizer, w, g = make_trained()
    wrong = {"state": {}, "param_groups": regrouped(optimizer, GROUPS[name])}
    with pytest.raises(ValueError, match=r"\[2, 1\]") as error:
        optimizer.load_state_dict(wrong)
    assert str([len(numbers) for numbers in GROUPS[name]]) in str(error.value)
    assert [group["lr"] for group in student_side.groups(optimizer, w)] == [0.1, 0.3]
    same(velocities(optimizer.state_dict()), dict(enumerate(g)))


@pytest.mark.parametrize("shape", [(2, 3), (4,), (1,), (), (2, 1)], ids=["wider", "flat", "one", "0-d", "column"])
def test_loading_refuses_another_shape(student_side, make_trained, hint, draw, shape):
    """Also one that NumPy would broadcast: a ValueError has both shapes, and nothing has changed."""
    optimizer, w, g = make_trained()
    arrays = draw(3, 2, shape)
    state = {number: {"momentum_buffer": array} for number, array in enumerate(arrays)}
    wrong = {"state": state, "param_groups": regrouped(optimizer, [[0, 1], [2]])}
    with pytest.raises(ValueError, match=r"\(2, 2\)") as error:
        optimizer.load_state_dict(wrong)
    assert str(shape) in str(error.value)
    rates = [group["lr"] for group in student_side.groups(optimizer, w)]
    found = [known.get("momentum_buffer") for known in student_side.memory(optimizer, w)]
    hint(HALF, when=9.0 in rates or np.array_equal(found[0], arrays[0]))
    assert rates == [0.1, 0.3]
    same(dict(enumerate(found)), dict(enumerate(g)))
    optimizer.load_state_dict(wrong | {"state": {2: {"momentum_buffer": g[2]}}})
    assert [group["lr"] for group in student_side.groups(optimizer, w)] == [9.0, 9.0]
