"""Which dtype has a tensor made of Python numbers or of arrays, and in which do two operands meet?"""

import numpy as np
import pytest

from tinytorch.core.tensor import Tensor, common_dtype

pytestmark = pytest.mark.exercise("dtypes")

MESSAGE = "You raised TypeError, but its message must say what a tensor holds: 'number' or 'bool'."


def test_python_numbers_get_the_dtypes_of_pytorch(hint):
    """Floats become float32, ints int64, bools bool, alone or in lists; the widest kind in a list decides."""
    data = [1.5, [0.1, 2.5], 7, [1, 2], True, [False, True], [1, 2.5], [True, 3], [[1.5], [2.5]], []]
    out = [Tensor(value).numpy() for value in data]
    dtypes = [array.dtype.name for array in out]
    hint(
        "Python floats become float32: np.asarray makes them float64, so convert what isn't from NumPy.",
        when=dtypes[0] == "float64",
    )
    hint("Integers and booleans stay what they are: only floats become float32.", when=dtypes[3] == "float32")
    assert dtypes == ["float32"] * 2 + ["int64"] * 2 + ["bool"] * 2 + ["float32", "int64", "float32", "float32"]
    assert [array.shape for array in out] == [(), (2,), (), (2,), (), (2,), (2,), (2,), (2, 1), (0,)]
    for array, value in zip(out, data):
        np.testing.assert_allclose(array, value, rtol=1e-6)


def test_arrays_keep_their_dtype_unless_asked(rng, hint):
    """Who made an array chose its dtype; `dtype=` overrides that, as it overrides the default of Python numbers."""
    for name in ("float64", "float32", "float16", "int8", "uint8", "int64", "bool"):
        x = (rng.normal(size=(2, 3)) * 9).astype("int8").astype(name)
        out, converted = Tensor(x).numpy(), Tensor(x, dtype="int32").numpy()
        hint(
            "A NumPy array keeps its dtype: only data that isn't from NumPy gets the default.",
            when=out.dtype != x.dtype,
        )
        assert (out.dtype.name, converted.dtype.name) == (name, "int32")
        np.testing.assert_array_equal(out, x)
        np.testing.assert_array_equal(converted, x.astype("int32"))
    assert Tensor(np.float64(0.1)).numpy().dtype == np.float64
    assert Tensor([1, 2], dtype="float32").numpy().dtype == np.float32
    tenth = Tensor([0.1], dtype="float64").item()
    hint("Go to the asked dtype directly; through float32 the digits are lost.", when=tenth == float(np.float32(0.1)))
    assert tenth == 0.1


def test_an_array_is_not_copied(rng, student_side, hint):
    """The tensor sees the array's own memory. Only another dtype needs other memory."""
    x = rng.normal(size=(3, 4)).astype(np.float32)
    (same, shared), (wider, shared_wider) = student_side.made_from(x), student_side.made_from(x, dtype="float64")
    hint("The array was copied: np.asarray copies only when it must, np.array and astype always.", when=not shared)
    assert (shared, shared_wider) == (True, False)
    assert (same.dtype.name, wider.dtype.name) == ("float32", "float64")
    assert student_side.made_from(x, dtype="float32")[1], "the dtype that the array has already needs no copy"
    np.testing.assert_array_equal(wider, x)


@pytest.mark.hint(AssertionError, MESSAGE)
@pytest.mark.parametrize("dtype", [None, "float32"], ids=["no dtype asked", "asked for float32"])
@pytest.mark.parametrize("data", ["1.5", None, 1j, [1, None], ["1", "2"], {"a": 1}, 2**70], ids=repr)
def test_what_is_not_a_number_is_refused(data, dtype):
    """Text that looks like a number isn't one, a list with a hole in it neither, and 2**70 has more than 64 bits."""
    with pytest.raises(TypeError, match="(?i)number|bool"):
        Tensor(data, dtype=dtype)


@pytest.mark.hint(AssertionError, MESSAGE)
@pytest.mark.parametrize("dtype", ["complex64", "U8", "object", "datetime64[s]"])
def test_a_dtype_that_holds_no_numbers_is_refused(dtype):
    """Whatever the data are."""
    for data in ([1, 2], np.ones(2)):
        with pytest.raises(TypeError, match="(?i)number|bool"):
            Tensor(data, dtype=dtype)


def ones(dtype):
    return np.ones(2, dtype)


HIGHER_KIND = {
    "bool and int8": (ones("bool"), ones("int8"), "int8"),
    "bool and float16": (ones("bool"), ones("float16"), "float16"),
    "int64 and float32": (ones("int64"), ones("float32"), "float32"),
    "uint8 and float16": (ones("uint8"), ones("float16"), "float16"),
    "bool and a Python int": (ones("bool"), 2, "int64"),
    "bool and a Python float": (ones("bool"), 2.5, "float32"),
    "int64 and a Python float": (ones("int64"), 2.5, "float32"),
    "float16 and a Python int": (ones("float16"), 2, "float16"),
    "int8 and a Python bool": (ones("int8"), True, "int8"),
    "two Python numbers": (2, 2.5, "float32"),
}
SAME_KIND = {
    "float32 and a Python float": (ones("float32"), 2.5, "float32"),
    "float64 and a Python float": (ones("float64"), 2.5, "float64"),
    "float16 and a Python float": (ones("float16"), 2.5, "float16"),
    "int8 and a Python int": (ones("int8"), 2, "int8"),
    "uint8 and a Python int": (ones("uint8"), 2, "uint8"),
    "float32 and float64": (ones("float32"), ones("float64"), "float64"),
    "float16 and float32": (ones("float16"), ones("float32"), "float32"),
    "int8 and int32": (ones("int8"), ones("int32"), "int32"),
    "uint8 and int8": (ones("uint8"), ones("int8"), "int16"),
    "float32 and np.float64": (ones("float32"), np.float64(2.5), "float32"),
    "bool and bool": (ones("bool"), ones("bool"), "bool"),
    "float64 without dimensions and float32": (np.array(1.0), ones("float32"), "float64"),
}


@pytest.mark.parametrize("pair", HIGHER_KIND)
def test_the_higher_kind_decides(hint, pair):
    """bool, then integers, then floats; the lower kind's number of bytes does not matter."""
    a, b, expected = HIGHER_KIND[pair]
    out = [str(common_dtype(a, b)), str(common_dtype(b, a))]
    hint(
        "If the kinds differ, the higher kind decides: int64 with float32 is float32, where NumPy says float64.",
        when=pair == "int64 and float32" and "float64" in out,
    )
    assert out == [expected, expected]


@pytest.mark.parametrize("pair", SAME_KIND)
def test_operands_of_one_kind(hint, pair):
    """A Python number gives way; two arrays meet in the smallest dtype that holds both."""
    a, b, expected = SAME_KIND[pair]
    out = [str(common_dtype(a, b)), str(common_dtype(b, a))]
    as_array = np.promote_types(expected, "int64" if isinstance(b, int) else "float32").name
    hint(
        "Between two operands of one kind, a Python number gives way to the array's dtype.",
        when=isinstance(b, (int, float)) and as_array != expected and as_array in out,
    )
    hint(
        "np.float64 is a float to Python, as np.sqrt(2.0) is: it gives way too. Ask isinstance(..., PYTHON_NUMBER).",
        when=isinstance(b, np.float64) and "float64" in out and str(common_dtype(ones("float16"), 2.5)) == "float16",
    )
    assert out == [expected, expected]


def test_comparing_with_a_python_number(student_side):
    """float32(0.1) == 0.1 is true, though 0.1 in float64 is another number; and 1.5 is between the integers 1 and 2."""
    floats, integers = Tensor([0.1, 0.2]), Tensor([1, 2])
    assert student_side.compare("eq", floats, 0.1).numpy().tolist() == [True, False]
    assert student_side.compare("lt", integers, 1.5).numpy().tolist() == [True, False]
    assert student_side.compare("eq", Tensor([0.1, 0.2], dtype="float64"), 0.1).numpy().tolist() == [True, False]
