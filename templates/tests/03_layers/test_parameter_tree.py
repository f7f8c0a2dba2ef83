"""A module finds every parameter and buffer below it, each under the way that leads there."""
import numpy as np
import pytest

from tinytorch.core.layers import Linear, Module

BY_VALUE = "The truth of a whole tensor was asked for: `thing in seen` compares with ==, so remember id(thing) instead."
ONLY_OWN = "Only the module's own parameters came: `_walk` goes into every attribute that is a module."
PARENT_LAST = "A module's own tensors stand before those of its children: `_walk` yields the parent first."
ONE_LEVEL = "The children of children are missing: `_walk` calls `_walk` of each child, which goes on in the same way."
SHORT_NAME = "A name is the whole way from the top: hand path + '.' + name down to a child, not its name alone."
TWICE = "One and the same thing came under two names: `first_of_each` lets a thing through only the first time."
NOT_REGISTERED = "A tensor that was never registered came as a buffer: only the names in `_buffer_names` are buffers."

pytestmark = [pytest.mark.exercise("parameter_tree"), pytest.mark.hint(ValueError, BY_VALUE)]


@pytest.fixture
def draw(rng):
    """Random float32 arrays of three numbers, one for each parameter of a test."""
    return lambda: rng.normal(size=3).astype(np.float32)


def listing(pairs):
    """Names and arrays of what yields (name, tensor)."""
    return [(str(name), tensor.numpy()) for name, tensor in pairs]


def names(pairs):
    return [str(name) for name, _ in pairs]


def check(found, expected):
    """Same names in the same order, and under each its own numbers."""
    assert names(found) == names(expected)
    for (name, got), (_, wanted) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted, err_msg=name)


def test_parameters_of_one_module(student_side, draw):
    """Attributes that are parameters, under the names that they were assigned to, in that order."""
    scale, shift = draw(), draw()
    module = student_side.Affine(scale, shift)
    check(listing(module.named_parameters()), [("scale", scale), ("shift", shift)])


def test_parameters_of_modules_in_a_module(student_side, draw, hint):
    """First the module's own, though `gain` was assigned last; then those of each child in turn, under its name."""
    a, b, c, d, gain = draw(), draw(), draw(), draw(), draw()
    pair = student_side.Pair(student_side.Affine(a, b), student_side.Affine(c, d), gain)
    expected = [("gain", gain), ("first.scale", a), ("first.shift", b), ("second.scale", c), ("second.shift", d)]
    found = listing(pair.named_parameters())
    hint(ONLY_OWN, when=names(found) == ["gain"])
    hint(PARENT_LAST, when=sorted(names(found)) == sorted(names(expected)) and names(found)[0] != "gain")
    check(found, expected)


def test_parameters_far_below(student_side, draw, hint):
    """Two levels below the top, a name has two dots: it is the whole way down."""
    a, b, c, d, inner, outer = (draw() for _ in range(6))
    pair = student_side.Pair(student_side.Affine(a, b), student_side.Affine(c, d), inner)
    top = student_side.Pair(student_side.Affine(b, a), pair, outer)
    expected = [
        ("gain", outer), ("first.scale", b), ("first.shift", a), ("second.gain", inner), ("second.first.scale", a),
        ("second.first.shift", b), ("second.second.scale", c), ("second.second.shift", d),
    ]
    found = listing(top.named_parameters())
    hint(ONE_LEVEL, when=names(found) == names(expected)[:4])
    hint(SHORT_NAME, when=len(found) == len(expected) and "first.scale" in names(found)[4:])
    check(found, expected)


def test_a_shared_parameter_comes_once(student_side, draw, hint):
    """One tensor at two places is one parameter, or an optimizer would move it twice. Its first name counts."""
    scale, shift, other = draw(), draw(), draw()
    found = listing(student_side.tied(scale, shift, other).named_parameters())
    hint(TWICE, when="second.scale" in names(found))
    check(found, [("gain", shift), ("first.scale", scale), ("first.shift", shift), ("second.shift", other)])


def test_a_shared_module_comes_once(student_side, draw, hint):
    """A module at two places is one module, and `named_modules` starts with the asked one, whose path is empty."""
    scale, shift, gain = draw(), draw(), draw()
    pair = student_side.twice(student_side.Affine(scale, shift), gain)
    modules = names(pair.named_modules())
    hint(TWICE, when=modules == ["", "first", "second"])
    assert modules == ["", "first"]
    assert names(pair.named_children()) == ["first"]
    check(listing(pair.named_parameters()), [("gain", gain), ("first.scale", scale), ("first.shift", shift)])


def test_equal_parameters_are_two(student_side, draw):
    """Two parameters that start with the same numbers are still two: sharing is about objects, not about values."""
    same = draw()
    found = listing(student_side.Affine(same.copy(), same.copy()).named_parameters())
    check(found, [("scale", same), ("shift", same)])


def test_paths_of_modules(student_side, draw):
    """Parents first, children in order, at every level; `named_children` has only the next level."""
    a, b, gain = draw(), draw(), draw()
    inner = student_side.Pair(student_side.Affine(a, b), student_side.Affine(b, a), gain)
    top = student_side.Pair(inner, student_side.Affine(a, a), b)
    assert names(top.named_modules()) == ["", "first", "first.first", "first.second", "second"]
    assert names(top.named_children()) == ["first", "second"]
    np.testing.assert_array_equal([m.scale.numpy() for _, m in list(top.named_modules())[2:]], [a, b, a])


def test_buffers_are_found_apart_from_parameters(student_side, rng, draw, hint):
    """A buffer is saved, not trained; and a plain tensor that nobody registered is neither."""
    mean, weight, count = draw(), draw(), rng.integers(1, 100, size=2)
    running = student_side.Running(mean, weight, count)
    pair = student_side.Pair(running, student_side.Affine(weight, mean), weight)
    buffers = listing(pair.named_buffers())
    hint(NOT_REGISTERED, when="first.scratch" in names(buffers))
    check(buffers, [("first.mean", mean), ("first.count", count)])
    found = listing(pair.named_parameters())
    check(found, [("gain", weight), ("first.weight", weight), ("second.scale", weight), ("second.shift", mean)])


def test_a_buffer_can_be_replaced(student_side, draw):
    """What counts is the name that was registered: another tensor there is the buffer from then on, and once."""
    mean, weight, new = draw(), draw(), draw()
    running = student_side.Running(mean, weight, mean)
    running.register_buffer("mean", student_side.parameter(new).detach())
    check(listing(running.named_buffers()), [("mean", new), ("count", mean)])


def test_parameters_follow_the_attributes(student_side, draw):
    """The tree is what the attributes are now: a parameter can be replaced, taken away, or added."""
    scale, shift, new, late = draw(), draw(), draw(), draw()
    module = student_side.Affine(scale, shift)
    check(listing(module.named_parameters()), [("scale", scale), ("shift", shift)])
    student_side.set_attribute(module, "shift", None)
    student_side.set_attribute(module, "scale", student_side.parameter(new))
    student_side.set_attribute(module, "late", student_side.parameter(late))
    student_side.set_attribute(module, "number", 7)
    check(listing(module.named_parameters()), [("scale", new), ("late", late)])


def test_a_tensor_cannot_replace_a_parameter(student_side, draw):
    """`self.scale = self.scale * 2` would take the parameter out of training without a word, so it is a TypeError."""
    scale, shift = draw(), draw()
    module = student_side.Affine(scale, shift)
    with pytest.raises(TypeError, match=r"Affine\.scale is a Parameter"):
        student_side.set_attribute(module, "scale", module.scale * 2.0)
    check(listing(module.named_parameters()), [("scale", scale), ("shift", shift)])


def test_parameters_require_gradients(student_side, draw):
    """Parameters ask for a gradient, buffers don't, and `parameters()` and `buffers()` leave the names away."""
    mean, weight = draw(), draw()
    running = student_side.Running(mean, weight, mean)
    (parameter,) = list(running.parameters())
    np.testing.assert_array_equal(parameter.numpy(), weight)
    assert parameter.requires_grad is True
    buffers = list(running.buffers())
    assert [bool(b.requires_grad) for b in buffers] == [False, False]
    np.testing.assert_array_equal([b.numpy() for b in buffers], [mean, mean])


def test_a_module_without_parameters(student_side, draw):
    """Nothing assigned, nothing found; a first parameter changes that."""
    module, array = Module(), draw()
    assert list(module.named_parameters()) == [] and list(module.named_buffers()) == []
    student_side.set_attribute(module, "only", student_side.parameter(array))
    check(listing(module.named_parameters()), [("only", array)])


def test_count_of_a_small_network(student_side):
    """By hand: 4·3 + 4 numbers in the first layer, 2·4 + 2 in the second, and one gain make 27, of 4 bytes each."""
    net = student_side.Pair(Linear(3, 4), Linear(4, 2), np.ones(1, np.float32))
    assert sum(p.size for p in net.parameters()) == 27
    assert sum(p.nbytes for p in net.parameters()) == 108
