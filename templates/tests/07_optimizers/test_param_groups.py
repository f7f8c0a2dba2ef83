"""An optimizer holds its parameters in groups, each with settings of its own, and refuses what it can't move."""
import numpy as np
import pytest

from tinytorch.core.optimizers import SGD, ParamGroups
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("param_groups")

USED_UP = "The generator was used up by the checks, and the list that is kept is empty: call list(...) on it first."
OVERRULED = "The defaults have overruled the group's own settings: in {**a, **b} the later one wins."
KEPT = "The caller's dictionary was kept or changed: append a new one, {**self.defaults, **group, ...}."
BY_VALUE = "Equal numbers are not the same parameter: `in` asks ==, which compares elements. Collect id(p) in a set."
NOT_NOTICED = "The same tensor was accepted two times: remember the id of those in all groups, and of each you pass."
STORED = "The group was refused, and yet it is there: do all the checks first, and append at the very end."
NOT_NONE = "zero_grad() left arrays of zeros: unless set_to_none is False, the gradient itself becomes None."
NEW_ZEROS = "The old gradient array still has its numbers: write zeros into it, p.grad.data[...] = 0."
FIRST_ONLY = "Only the first group's gradients were cleared: loop over all groups."
TIMES_ZERO = "NaN times 0 is NaN, and would stay for ever: assign 0."


@pytest.fixture
def draw(rng):
    """Arrays of these shapes."""
    return lambda *shapes: [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def test_a_list_is_one_group(student_side, draw, rng):
    """With the defaults as its settings; and the parameters stay as they are."""
    arrays, lr = draw((2, 3), (4,)), float(rng.uniform(0.1, 1))
    w = student_side.parameters(arrays)
    optimizer = ParamGroups(w, {"lr": lr, "depth": 3})
    assert student_side.groups(optimizer, w) == [{"lr": lr, "depth": 3, "params": [0, 1], "kind": "list"}]
    for after, before in zip(student_side.values(w), arrays):
        np.testing.assert_array_equal(after, before)


def test_sgd_has_its_settings_in_the_group(student_side, draw):
    """All of them, under PyTorch's names, with PyTorch's defaults."""
    w = student_side.parameters(draw(3))
    assert student_side.groups(SGD(w), w) == [
        {"lr": 1e-3, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False, "params": [0], "kind": "list"}
    ]


def test_a_generator_is_enough(student_side, draw, hint):
    """`net.parameters()` can be looped over only once; the group has a list, for all the steps to come."""
    w = student_side.parameters(draw(3, 2, ()))
    for given in (student_side.stream(w), [{"params": student_side.stream(w)}]):
        (group,) = student_side.groups(ParamGroups(given, {"lr": 0.1}), w)
        hint(USED_UP, when=not group["params"])
        assert group == {"lr": 0.1, "params": [0, 1, 2], "kind": "list"}


def test_groups_have_settings_of_their_own(student_side, draw, rng, hint):
    """What a group leaves out comes from the defaults."""
    w, rates = student_side.parameters(draw(3, 2, 4)), rng.uniform(0.1, 1, size=3).tolist()
    given = [{"params": [w[2], w[0]]}, {"params": (w[1],), "lr": rates[1], "name": "slow"}]
    found = student_side.groups(ParamGroups(given, {"lr": rates[0], "decay": rates[2]}), w)
    hint(OVERRULED, when=found[1]["lr"] == rates[0])
    assert found == [
        {"lr": rates[0], "decay": rates[2], "params": [2, 0], "kind": "list"},
        {"lr": rates[1], "decay": rates[2], "name": "slow", "params": [1], "kind": "list"},
    ]


def test_a_group_may_be_added_later(student_side, draw):
    """Here for a layer that was frozen so far; the groups that are there stay as they are."""
    w = student_side.parameters(draw(3, 2))
    optimizer = SGD([w[1]], lr=0.5)
    optimizer.add_param_group({"params": [w[0]], "momentum": 0.9})
    rest = {"weight_decay": 0.0, "nesterov": False, "kind": "list"}
    assert student_side.groups(optimizer, w) == [
        {"lr": 0.5, "momentum": 0.0, "params": [1], **rest}, {"lr": 0.5, "momentum": 0.9, "params": [0], **rest}
    ]


def test_one_tensor_counts_as_a_list_of_one(student_side, draw):
    """In a group, as in PyTorch: a tensor of three numbers is one parameter, not three."""
    w = student_side.parameters(draw(3, ()))
    optimizer = ParamGroups([{"params": w[0]}], {"lr": 0.1})
    optimizer.add_param_group({"params": w[1]})
    assert student_side.groups(optimizer, w) == [
        {"lr": 0.1, "params": [0], "kind": "list"}, {"lr": 0.1, "params": [1], "kind": "list"}
    ]


def test_the_callers_dictionary_stays_the_callers(student_side, draw, hint):
    """It gets no further settings from the optimizer, and later changes to it don't reach the optimizer."""
    w = student_side.parameters(draw(3, 2))
    names, group = student_side.added(ParamGroups(w[:1], {"lr": 0.1, "decay": 0.2}), w[1:], decay=0.3)
    hint(KEPT, when=names != ["decay", "params"] or group["lr"] == -1)
    assert names == ["decay", "params"]
    assert group == {"lr": 0.1, "decay": 0.3, "params": [0], "kind": "list"}  # its place in w[1:]


@pytest.mark.hint(ValueError, BY_VALUE)
def test_equal_parameters_are_two(student_side, rng):
    """Two biases may well have the same numbers, or the same single number, and are yet two parameters."""
    x, y = rng.normal(size=1), rng.normal(size=3)
    w = student_side.parameters([x, x, y, y])
    optimizer = ParamGroups(w[:3], {"lr": 0.1})
    optimizer.add_param_group({"params": w[3]})
    assert [group["params"] for group in student_side.groups(optimizer, w)] == [[0, 1, 2], [3]]


def test_a_tensor_that_was_given_is_a_leaf(student_side, draw):
    """So is one that was cut off from its history; it need not require a gradient."""
    (a,) = draw(3)
    w = [Tensor(a), (Tensor(a, requires_grad=True) * 2.0).detach()]
    (group,) = student_side.groups(ParamGroups(w, {"lr": 0.1}), w)
    assert group == {"lr": 0.1, "params": [0, 1], "kind": "list"}


EMPTY = {
    "list": lambda side, w: [],
    "generator": lambda side, w: side.used_up(w),
    "group": lambda side, w: [{"params": []}],
    "second-group": lambda side, w: [{"params": w}, {"params": side.used_up(w)}],
}


@pytest.mark.parametrize("name", list(EMPTY))
def test_no_parameters_are_refused(student_side, draw, name):
    """An optimizer of nothing would train nothing, and say nothing."""
    w = student_side.parameters(draw(3))
    with pytest.raises(ValueError, match="empty"):
        ParamGroups(EMPTY[name](student_side, w), {"lr": 0.1})


@pytest.mark.parametrize("name", ["array", "number", "name"])
def test_what_is_no_tensor_is_refused(student_side, draw, name):
    """A TypeError, at whatever place it stands; `name` is a pair as `named_parameters` gives it."""
    arrays = draw(3, 2)
    w = student_side.parameters(arrays)
    wrong = {"array": arrays[0], "number": 1.0, "name": ("weight", w[1])}[name]
    for params in ([wrong, w[0]], [w[0], wrong]):
        with pytest.raises(TypeError, match="(?i)tensor"):
            ParamGroups(params, {"lr": 0.1})


def test_one_tensor_alone_is_refused(student_side, draw):
    """As in PyTorch: not a list, and not a group; in a list it is fine."""
    (w,) = student_side.parameters(draw(3))
    with pytest.raises(TypeError, match="list"):
        SGD(w, lr=0.1)
    assert student_side.groups(ParamGroups([w], {"lr": 0.1}), [w]) == [{"lr": 0.1, "params": [0], "kind": "list"}]


@pytest.mark.parametrize("name", ["product", "slice", "after-backward"])
def test_what_was_computed_is_refused(student_side, draw, name):
    """A step would move the result, and not what it was computed from."""
    w, other = student_side.parameters(draw(3, 2))
    made = w[1:] if name == "slice" else (w * w).sum()
    if name == "after-backward":
        made.backward()
    for params in ([made], [other, made]):
        with pytest.raises(ValueError, match="leaf"):
            ParamGroups(params, {"lr": 0.1})


@pytest.mark.hint(pytest.fail.Exception, NOT_NOTICED)
@pytest.mark.parametrize("name", ["one-group", "two-groups", "alone"])
def test_a_parameter_given_twice_is_refused(student_side, draw, name):
    """It would be moved two times a step."""
    w = student_side.parameters(draw(3, 2))
    if name == "alone":
        with pytest.raises(ValueError, match="twice"):
            ParamGroups(w, {"lr": 0.1}).add_param_group({"params": w[1]})
    else:
        params = [w[0], w[1], w[0]] if name == "one-group" else [{"params": w}, {"params": [w[1]]}]
        with pytest.raises(ValueError, match="twice"):
            ParamGroups(params, {"lr": 0.1})


WRONG = {
    "empty": (ValueError, "empty", lambda w: []),
    "no-tensor": (TypeError, "(?i)tensor", lambda w: [w[2], 3.0]),
    "computed": (ValueError, "leaf", lambda w: [w[2], w[3] * 2.0]),
    "twice": (ValueError, "twice", lambda w: [w[2], w[0]]),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_group_that_is_refused_is_not_stored(student_side, draw, hint, name):
    """After the error everything is as it was, and its good parameters can still be added."""
    w = student_side.parameters(draw(3, 2, 4, 1))
    optimizer = ParamGroups(w[:2], {"lr": 0.1})
    kind, words, params = WRONG[name]
    with pytest.raises(kind, match=words):
        optimizer.add_param_group({"params": params(w), "lr": 0.2})
    found = student_side.groups(optimizer, w)
    hint(STORED, when=len(found) > 1)
    assert found == [{"lr": 0.1, "params": [0, 1], "kind": "list"}]
    optimizer.add_param_group({"params": [w[2]]})
    assert student_side.groups(optimizer, w)[1:] == [{"lr": 0.1, "params": [2], "kind": "list"}]


def test_zero_grad_sets_gradients_to_none(student_side, draw, hint):
    """All of them, in all groups; what has none keeps none."""
    arrays = draw(3, (2, 2), (), 4)
    w = student_side.parameters(arrays)
    optimizer = ParamGroups([{"params": w[:2]}, {"params": [w[2]]}, {"params": [w[3]]}], {"lr": 0.1})
    student_side.set_gradients(w, [*draw(3, (2, 2), ()), None])
    optimizer.zero_grad()
    found = student_side.gradients(w)
    hint(FIRST_ONLY, when=found[0] is None and found[1] is None and found[2] is not None)
    hint(NOT_NONE, when=all(found[i] is not None and not found[i].any() for i in range(3)))
    assert [gradient is None for gradient in found] == [True] * 4
    student_side.set_gradients(w, arrays)
    optimizer.zero_grad(set_to_none=True)
    assert [gradient is None for gradient in student_side.gradients(w)] == [True] * 4


def test_zero_grad_can_fill_the_arrays(student_side, draw, hint):
    """With set_to_none=False, whoever holds a gradient's array sees the zeros; what has no gradient gets none."""
    arrays = draw(3, (2, 2), (), 4)
    w = student_side.parameters(arrays)
    optimizer = ParamGroups([{"params": w[:1]}, {"params": w[1:]}], {"lr": 0.1})
    student_side.set_gradients(w, [*draw(3, (2, 2), ()), None])
    held = student_side.zeroed(optimizer, w)
    found = student_side.gradients(w)
    assert [gradient is None for gradient in found] == [False, False, False, True]
    hint(NEW_ZEROS, when=held[0].any() and not found[0].any())
    for gradient, before, array in zip(found, held, arrays):
        np.testing.assert_array_equal(gradient, np.zeros(array.shape))
        np.testing.assert_array_equal(before, np.zeros(array.shape))
    for after, before in zip(student_side.values(w), arrays):
        np.testing.assert_array_equal(after, before)


def test_zero_grad_clears_nan_too(student_side, draw, hint):
    """Gradients that overflowed once are no reason to spoil the next step."""
    (a,) = draw(3)
    w = student_side.parameters([a])
    student_side.set_gradients(w, [np.array([np.nan, np.inf, 1], dtype=np.float32)])
    ParamGroups(w, {"lr": 0.1}).zero_grad(set_to_none=False)
    (found,) = student_side.gradients(w)
    hint(TIMES_ZERO, when=np.isnan(found).any())
    np.testing.assert_array_equal(found, [0, 0, 0])
    np.testing.assert_array_equal(w[0].numpy(), a)
