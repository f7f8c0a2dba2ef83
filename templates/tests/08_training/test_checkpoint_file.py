"""A tree of plain data and arrays becomes JSON and a list of arrays, and comes back as it was; files are whole or refused."""
import math

import numpy as np
import pytest

from tinytorch.core.training import unpack

pytestmark = pytest.mark.exercise("checkpoint_file")

REFERENCES = "What was packed has changed with the original: put copies of the arrays into the list."
TUPLES = "A tuple came back as a list: JSON has no tuples, so pack it under \"tuple\"."
KEYS = "A number as a key came back as text: JSON knows no other keys, so pack a dictionary as pairs."
NUMBERS = "NumPy's number came back as a Python number: pack it as an array, which keeps its dtype."
NUMBERING = "An array's number is its place in the list, from 0 on: the length of the list, counted before it is appended."


def same(found, wanted):
    """Equal to the last bit and in every type."""
    assert type(found) is type(wanted), f"got {found!r}, expected {wanted!r}"
    if isinstance(wanted, dict):
        same(list(found.items()), list(wanted.items()))
    elif isinstance(wanted, (list, tuple)):
        assert len(found) == len(wanted), f"got {found!r}, expected {wanted!r}"
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    elif isinstance(wanted, np.ndarray):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)
    elif isinstance(wanted, float) and math.isnan(wanted):
        assert math.isnan(found)
    else:
        assert found == wanted
        assert math.copysign(1, found) == math.copysign(1, wanted) if isinstance(wanted, float) else True


def test_pack_by_hand(student_side):
    """One of each kind, in the form that the module describes; the array is in the list."""
    tree = {"a": [1, (2.5, None)], 3: np.array([4.0, 5.0])}
    packed, arrays = student_side.packed(tree)
    assert packed == {"dict": [["a", {"list": [1, {"tuple": [2.5, None]}]}], [3, {"array": 0}]]}
    assert len(arrays) == 1
    np.testing.assert_array_equal(arrays[0], [4, 5])


def test_unpack_by_hand(student_side):
    """And back, with arrays taken from the list by their numbers."""
    packed = {"dict": [["b", {"array": 1}], ["a", {"tuple": [{"list": []}, {"array": 0}, True]}]]}
    found = unpack(packed, [np.array([1, 2]), np.array(0.5)])
    same(found, {"b": np.array(0.5), "a": ([], np.array([1, 2]), True)})


def test_arrays_are_appended(student_side, rng, hint):
    """Behind those that are in the list already, in the tree's order."""
    before, first, second = (rng.normal(size=2) for _ in range(3))
    packed, arrays = student_side.packed([first, {"x": second}], [before])
    hint(NUMBERING, when=packed == {"list": [{"array": 2}, {"dict": [["x", {"array": 3}]]}]})
    assert packed == {"list": [{"array": 1}, {"dict": [["x", {"array": 2}]]}]}
    for found, wanted in zip(arrays, (before, first, second), strict=True):
        np.testing.assert_array_equal(found, wanted)


PLAIN = {
    "none": [None], "bools": [True, False], "integers": [0, -3, 2**63, 2**127 + 1], "floats": [0.1, -0.0, 1e-300, 1e300],
    "not-finite": [math.inf, -math.inf, math.nan], "texts": ["", "plain", "ü漢 \"'\\\n", "array", "dict"],
    "empty": [{}, [], ()],
}


@pytest.mark.parametrize("name", list(PLAIN))
def test_plain_data_comes_back(student_side, name):
    """By itself, and inside of lists, tuples and dictionaries; next to an array, which does too."""
    array = np.array([1.5, 2.5])
    for value in PLAIN[name]:
        found = student_side.round_trip([value, {"key": value}, (value, array)])
        same(found, [value, {"key": value}, (value, array)])
        same(student_side.round_trip([[(), value]])[0][1], value)


def test_tuples_stay_tuples(student_side, hint):
    """Adam's betas are one; inside of lists, and lists inside of them."""
    tree = {"betas": (0.9, 0.999), "nested": [(1, [2, (3,)])], "array": (np.array([1.0]),)}
    found = student_side.round_trip(tree)
    hint(TUPLES, when=isinstance(found["betas"], list))
    same(found, tree)


def test_keys_stay_what_they_are(student_side, hint):
    """The optimizer's state has numbers as keys; and 1 is not "1"."""
    tree = {0: np.array([1.0]), 1: "one", "1": "text"}
    found = student_side.round_trip(tree)
    hint(KEYS, when="0" in found)
    same(found, tree)
    tree = {(1, "a"): 1, (1, ("b", 2)): [2], None: 3, True: 4, 2.5: np.array([5])}
    same(student_side.round_trip(tree), tree)


def test_dictionaries_that_look_packed(student_side):
    """A user's dictionary may have the words of the packing as keys."""
    tree = {"array": 0, "dict": {"array": [1]}, "list": {"tuple": {}}}
    same(student_side.round_trip([tree, {"array": 0}, np.array([7])]), [tree, {"array": 0}, np.array([7])])


DTYPES = ["float32", "float64", "float16", "int64", "int8", "uint8", "bool", "complex64", "<U5"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_keep_dtypes_and_shapes(student_side, rng, dtype):
    """Of any shape: with no dimension, no element, or several; also through a file."""
    arrays = [np.asarray(rng.integers(0, 2, size=shape)).astype(dtype) for shape in ((), (0,), (2, 0, 3), (3, 2))]
    same(student_side.round_trip(arrays), arrays)
    same(student_side.through_file(arrays)[0], arrays)


def test_arrays_of_any_order_in_memory(student_side, rng):
    """Transposed, reversed, and every second element."""
    x = rng.normal(size=(4, 6))
    tree = {"transposed": x.T, "reversed": x[::-1], "part": x[:, ::2], "fortran": np.asfortranarray(x)}
    same(student_side.round_trip(tree), tree)
    same(student_side.through_file(tree)[0], tree)


def test_numpys_numbers_are_arrays(student_side, hint):
    """np.float64 is a float as well, and would lose nothing; np.float32 would. All come back as arrays."""
    tree = [np.float32(0.1), np.float64(0.1), np.int64(2)]
    packed, arrays = student_side.packed(tree)
    hint(NUMBERS, when=packed["list"][1] == 0.1)
    assert packed == {"list": [{"array": number} for number in range(3)]}
    assert [array.dtype for array in arrays] == [number.dtype for number in tree]
    same(student_side.round_trip(tree), [np.asarray(number) for number in tree])


def test_tensors_come_back_as_arrays(student_side, rng):
    """With their dtype and shape, wherever they stand."""
    tree = {"w": rng.normal(size=(2, 3)), "list": [np.array(3), rng.normal(size=0).astype(np.float32)]}
    same(student_side.round_trip(tree, tensors=True), tree)
    same(student_side.through_file(tree, tensors=True)[0], tree)


def test_pack_copies(student_side, rng, hint):
    """Weights go on changing in place, and what was packed must not, be it an array or a tensor."""
    array = rng.uniform(1, 2, size=(2, 3))
    found = student_side.packed_then_changed(array)
    hint(REFERENCES, when=not found[0].any() or not found[1].any())
    np.testing.assert_array_equal(found[0], array)
    np.testing.assert_array_equal(found[1], array)


@pytest.mark.parametrize("name", ["set", "bytes", "complex", "object", "function", "range"])
def test_pack_refuses_everything_else(student_side, name):
    """A TypeError that names the type, wherever the thing stands; what is left over can be packed."""
    with pytest.raises(TypeError, match=name):
        student_side.pack_refused(name, inside=False)
    with pytest.raises(TypeError, match=name):
        student_side.pack_refused(name, inside=True)
    same(student_side.round_trip({"a": [1, ()]}), {"a": [1, ()]})


def test_arrays_of_objects_are_not_saved(student_side, rng):
    """NumPy would pickle them, and nothing that is loaded may run: better refused now than when it is needed."""
    array = rng.normal(size=3)
    with pytest.raises(TypeError, match="Python objects"):
        student_side.save_objects(array)
    same(student_side.round_trip({"a": array}), {"a": array})


def draws(state):
    generator = np.random.default_rng(0)
    generator.bit_generator.state = state
    return generator.random(4)


def test_generators_state_comes_back(student_side, rng):
    """Two numbers of it have 128 bits; a generator with the state that came back draws the same."""
    generator = np.random.default_rng(int(rng.integers(2**31)))
    state = generator.bit_generator.state
    expected = generator.random(4)
    for found in (student_side.round_trip(state), student_side.through_file(state)[0]):
        same(found, state)
        np.testing.assert_array_equal(draws(found), expected)


def test_large_tree(student_side, rng):
    """Three hundred arrays, each in its place."""
    tree = {number: {"exp_avg": rng.normal(size=3), "step": number} for number in range(300)}
    same(student_side.round_trip(tree), tree)


# Files


def test_file_replaces_the_old_one(student_side, rng):
    """A path or a text names it; the new tree stands in it, and beside it nothing is left."""
    tree = {"w": rng.normal(size=(3, 4)), "lr": [0.1], "betas": (0.9, 0.999)}
    found, names = student_side.through_file(tree)
    same(found, tree)
    assert list(names) == ["run.npz"]
    found, names = student_side.through_file(tree, name="any name")
    same(found, tree)
    assert list(names) == ["any name"]


def test_failed_save_leaves_the_old_file(student_side, rng):
    """A tree that can't be packed is refused before anything is written."""
    tree = {"w": rng.normal(size=3)}
    found, names = student_side.failed_save(tree, {"w": np.zeros(3), "oops": {1, 2}})
    same(found, tree)
    assert list(names) == ["run.npz"]


def test_file_holds_nothing_that_runs(student_side, rng):
    """Arrays of numbers and text only: no Python object, so no pickle, is in it."""
    tree = {"w": rng.normal(size=3), "t": np.array([1, 2]), "betas": (0.9, 0.999), 1: None}
    data, kinds, names = student_side.file_with(tree)
    assert sorted(kinds.values()) == ["U", "f", "i"]
    assert all(name.endswith(".npy") for name in names)
    assert len(names) == 3 and len(data) > 100


def test_file_cut_off_anywhere(student_side, rng):
    """However much of a file is missing, it is a ValueError that names the file; the whole one is read."""
    data, _, _ = student_side.file_with({"w": rng.normal(size=(4, 5)), "progress": {"epoch": 3}})
    lengths = [*range(0, len(data), 61), len(data) - 1]
    said = student_side.errors_of([data[:length] for length in lengths])
    wrong = {length: error for length, error in zip(lengths, said, strict=True) if tuple(error) != ("ValueError", True)}
    assert wrong == {}
    assert [tuple(error) for error in student_side.errors_of([data])] == [("none", False)]


def test_file_of_another_kind(student_side, rng):
    """Text, a single array, an archive of other arrays: each is a ValueError that names the file."""
    data, _, _ = student_side.file_with({"w": rng.normal(size=3)})
    contents = [b"not a checkpoint", b"PK\x03\x04", *student_side.other_files(), data]
    said = [tuple(error) for error in student_side.errors_of(contents)]
    assert said == [("ValueError", True)] * (len(contents) - 1) + [("none", False)]
