"""What two values have to do with each other, in the words of somebody who looks for a mistake.

Only plain data is looked at: numbers, texts, containers of these, and NumPy's arrays. Nothing of the student's is called.
"""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_WHOLE = 12  # elements up to which an array is shown whole
_ROWS = 5  # differing elements that are shown
_WIDTH = 200  # characters of a value that isn't an array
_COMPARED = 1_000_000  # elements up to which an order is looked for
_NEAR = 1e-6  # of a number: nearer ones are no multiple of it
_MULTIPLE = 1000  # up to which a number is recognised as a multiple
_NUMBERS = (bool, int, float, complex)
_PLAIN = (*_NUMBERS, str, bytes, type(None), slice, type)


def is_plain(value: object, depth: int = 4) -> bool:
    """Whether showing and comparing a value runs none of the student's code."""
    kind = type(value)
    if kind in (list, tuple, set, frozenset):
        return depth > 0 and all(is_plain(item, depth - 1) for item in value)  # type: ignore[attr-defined]
    if kind is dict:
        return depth > 0 and all(is_plain(pair, depth - 1) for pair in value.items())  # type: ignore[attr-defined]
    if kind.__name__ == "ndarray":
        return _is_array(value)
    return kind in _PLAIN or kind.__module__ in ("numpy", "numpy.dtypes")


def _is_array(value: object) -> bool:
    """Whether a value is NumPy's own kind of array, and holds numbers."""
    kind = type(value)
    return (kind.__module__, kind.__name__) == ("numpy", "ndarray") and value.dtype.kind in "biufc"  # type: ignore[attr-defined]


def shown(value: object) -> str:
    """A plain value as one reads it: small arrays whole, larger ones by shape, dtype and range."""
    text = _shown(value)
    return text if len(text) <= _WIDTH or _is_array(value) else f"{text[: _WIDTH - 3]}..."


def _shown(value: object) -> str:
    kind = type(value)
    if _is_array(value):
        return _shown_array(value)
    if isinstance(value, type):
        return value.__name__
    if kind.__module__ in ("numpy", "numpy.dtypes"):
        return str(value)  # float32, and not dtype('float32'); 3.0, and not np.float32(3.0)
    if kind in (list, tuple, dict):
        return _shown_items(value)
    return repr(value)


def _shown_items(value: Any) -> str:
    if type(value) is dict:
        return f"{{{', '.join(f'{key!r}: {_shown_item(item)}' for key, item in value.items())}}}"
    items = ", ".join(map(_shown_item, value))
    return f"[{items}]" if type(value) is list else f"({items}{',' if len(value) == 1 else ''})"


def _shown_item(item: Any) -> str:
    if not _is_array(item):
        return _shown(item)
    if item.size > _WHOLE // 2:
        return f"array of shape {item.shape}, {item.dtype}"
    import numpy as np

    numbers = np.array2string(item, separator=", ", precision=6)
    return f"array({' '.join(numbers.split())}, {item.dtype})"


def _shown_array(array: Any) -> str:
    import numpy as np

    if array.size <= _WHOLE:
        whole = np.array2string(array, separator=", ", max_line_width=100)
        return f"{whole}, {array.dtype}" if array.size else f"shape {array.shape}, {array.dtype}"
    text = f"shape {array.shape}, {array.dtype}"
    if array.dtype.kind not in "iuf":
        return text
    finite = array[np.isfinite(array)]
    if finite.size:
        text += f", from {finite.min():.6g} to {finite.max():.6g}"
    return text + "".join(f", {name} in it" for name, found in _not_finite(array) if found.any())


def _not_finite(array: Any) -> list[tuple[str, Any]]:
    import numpy as np

    return [("nan", np.isnan(array)), ("inf", array == np.inf), ("-inf", array == -np.inf)]


def difference(got: object, expected: object, *, rtol: float = 0.0, atol: float = 0.0) -> list[str]:
    """How an array differs from the one that was expected, in lines; none where the values aren't arrays.

    Lists of numbers count as arrays. An element differs if it is further from the expected one than atol + rtol times
    that one; nan is equal to nan.
    """
    mine, right = _as_array(got), _as_array(expected)
    if mine is None or right is None:
        return []
    if not (mine.ndim or right.ndim):
        return _multiple(mine, right, max(rtol, 1e-6))
    if mine.shape != right.shape and mine.ndim and right.ndim:
        return _shapes(mine, right)
    import numpy as np

    with np.errstate(all="ignore"):
        mine, right = np.broadcast_arrays(mine, right)
        differs = _differing(mine, right, rtol, atol)
        return _elements(mine, right, differs, max(rtol, 1e-6), atol) if differs.any() else _dtypes(mine, right)


def _as_array(value: object) -> np.ndarray[Any, Any] | None:
    """An array of numbers, or None where `value` is none: a tuple is a shape more often than data."""
    import numpy as np

    if _is_array(value):
        return value  # type: ignore[return-value]
    if type(value) not in (list, *_NUMBERS) and type(value).__module__ != "numpy":
        return None
    if not is_plain(value):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # rows of several lengths
        return None
    return array if array.dtype.kind in "biufc" else None


def _multiple(got: Any, expected: Any, rtol: float) -> list[str]:
    """A single number that is another one a few times over: a mean for a sum, for instance."""
    number, wanted = got.item(), expected.item()
    if not (isinstance(number, float) and isinstance(wanted, float)) or wanted.is_integer() or not number:
        return []
    if 0 < abs(number - wanted) <= _NEAR * abs(wanted):
        return [f"the difference is {abs(number - wanted):.6g}"]  # which may not be seen in the digits that are shown
    for factor in (number / wanted, wanted / number):
        if 1 < abs(factor) <= _MULTIPLE and abs(factor - round(factor)) <= rtol * abs(factor):
            return [f"got is {number / wanted:.6g} x expected"]
    return ["got is -expected: the sign"] if number == -wanted else []


def _shapes(got: Any, expected: Any) -> list[str]:
    told = f"expected shape {expected.shape}, got {got.shape}"
    ones = [axis for axis, length in enumerate(expected.shape) if length == 1]
    if got.ndim == expected.ndim > 1 and got.shape == expected.shape[::-1]:
        return [f"{told}: transposed"]
    if any(expected.shape[:axis] + expected.shape[axis + 1 :] == got.shape for axis in ones):
        return [f"{told}: a dimension of length 1 is missing"]
    ones = [axis for axis, length in enumerate(got.shape) if length == 1]
    if any(got.shape[:axis] + got.shape[axis + 1 :] == expected.shape for axis in ones):
        return [f"{told}: a dimension of length 1 too many"]
    if sorted(got.shape) == sorted(expected.shape):
        return [f"{told}: the same lengths in another order"]
    if got.size == expected.size:
        return [f"{told}: as many elements, in another shape"]
    return [told]


def _dtypes(got: Any, expected: Any) -> list[str]:
    return [f"expected dtype {expected.dtype}, got {got.dtype}"] if got.dtype != expected.dtype else []


def _differing(got: Any, expected: Any, rtol: float, atol: float) -> Any:
    import numpy as np

    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    if rtol or atol:
        near = np.abs(_wide(got) - _wide(expected)) <= atol + rtol * np.abs(_wide(expected))
        same |= near & np.isfinite(got) & np.isfinite(expected)
    return ~same


def _wide(array: Any) -> Any:
    """An array in which differences can be formed: no bools, and no unsigned numbers below zero."""
    return array if array.dtype.kind == "c" else array.astype("float64")


def _elements(got: Any, expected: Any, differs: Any, rtol: float, atol: float) -> list[str]:
    import numpy as np

    if got.size == 1:
        return _multiple(got, expected, rtol)
    count = int(differs.sum())
    lines = [f"{count} of {got.size} elements differ{'s' if count == 1 else ''}"]
    distance = np.where(differs & np.isfinite(got) & np.isfinite(expected), np.abs(_wide(got) - _wide(expected)), -1.0)
    if got.dtype.kind != "b" and distance.max() >= 0:
        where = np.unravel_index(int(distance.argmax()), distance.shape)
        lines[0] += f"; the largest difference is {distance.max():.6g}, at {_index(where)}"
    lines += _strange(got, expected)
    lines += _pattern(got, expected, rtol, atol)[:1]
    if count < got.size or got.size > _WHOLE:
        lines += _table(got, expected, differs)
    return lines


def _strange(got: Any, expected: Any) -> list[str]:
    """Where nan and inf stand that weren't expected."""
    lines = []
    for (name, there), (_, wanted) in zip(_not_finite(got), _not_finite(expected), strict=True):
        if unwanted := int((there & ~wanted).sum()):
            lines.append(f"got has {name} in {'every element' if unwanted == got.size else f'{unwanted} of {got.size} elements'}")
        if missing := int((wanted & ~there).sum()):
            lines.append(f"{name} was expected in {missing} of {got.size} elements where got has none")
    return lines


def _pattern(got: Any, expected: Any, rtol: float, atol: float) -> list[str]:
    """The one simple thing that would turn what was expected into what is there."""
    import numpy as np

    if got.size < 2 or not (np.isfinite(got).all() and np.isfinite(expected).all()):
        return []

    def is_same(left: Any, right: Any) -> bool:
        return bool(not _differing(left, right, rtol, atol).any())

    found = []
    got, expected = _wide(got), _wide(expected)
    if not got.any():
        return ["got is 0 everywhere"]
    if got.ndim == 2 and got.shape[0] == got.shape[1] and is_same(got.T, expected):
        found.append("got is expected transposed")
    if got.ndim and is_same(got[::-1], expected):
        found.append("got is expected in reverse order")
    biggest = int(np.abs(expected).argmax())
    factor = got.flat[biggest] / expected.flat[biggest] if expected.flat[biggest] else np.nan
    if np.count_nonzero(expected) > 1 and np.isfinite(factor) and abs(factor - 1) > _NEAR and is_same(got, factor * expected):
        found.append("got is -expected everywhere: the sign" if factor == -1 else f"got is {factor:.6g} x expected everywhere")
    offset = got.flat[biggest] - expected.flat[biggest]
    if is_same(got, expected + offset):
        found.append(f"got is expected {'-' if offset < 0 else '+'} {abs(offset):.6g} everywhere")
    if got.dtype.kind == "f" and got.size <= _COMPARED and is_same(np.sort(got, axis=None), np.sort(expected, axis=None)):
        found.append("got has the same elements in another order")
    return found


def _table(got: Any, expected: Any, differs: Any) -> list[str]:
    import numpy as np

    places = np.argwhere(differs)
    rows = [("index", "expected", "got")]
    rows += [(_index(place), *_pair(expected[tuple(place)], got[tuple(place)])) for place in places[:_ROWS]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines + ([f"  and {len(places) - _ROWS} more"] if len(places) > _ROWS else [])


def _pair(expected: Any, got: Any) -> tuple[str, str]:
    """Two numbers, with as many digits as it takes to tell them apart."""
    short = (f"{expected:.8g}", f"{got:.8g}") if expected.dtype.kind == got.dtype.kind == "f" else ("", "")
    return short if short[0] != short[1] else (str(expected), str(got))


def _index(place: Any) -> str:
    numbers = [str(int(number)) for number in place]
    return f"[{', '.join(numbers)}]"
