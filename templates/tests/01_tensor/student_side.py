"""What has to run beside your code: looks at memory, tensors laid out in odd ways, and truth values."""

import operator

import numpy as np

from tinytorch.core.tensor import Context, Function, Tensor

LAYOUTS = {
    "whole": lambda x: x,
    "transposed": lambda x: x.T,
    "every other column": lambda x: x[:, ::2],
    "left columns": lambda x: x[:, :2],
    "lower rows": lambda x: x[1:],
    "one row": lambda x: x[1:2],
    "one row transposed": lambda x: x[1:2].T,
    "one column": lambda x: x[:, 1:2],
    "columns backwards": lambda x: x[:, ::-1],
    "a row repeated": lambda x: np.broadcast_to(x[:1], x.shape),
    "no rows transposed": lambda x: x[:0].T,
    "one number": lambda x: x[1, 2:3].reshape(()),
}


def laid_out(x, layout):
    """A tensor that sees part of x, or all of it in another order, without a copy."""
    tensor = Tensor(x)
    tensor.data = LAYOUTS[layout](np.ascontiguousarray(x))
    return tensor


def made_from(x, **options):
    """What the constructor makes of an array: the numbers, and whether they are in the array's own memory."""
    tensor = Tensor(x, **options)
    return tensor.data, np.shares_memory(tensor.data, x)


def result_of(forward, *operands):
    """What an operation with this forward gives: forward gets the context and arrays."""
    return type("Made", (Function,), {"forward": staticmethod(forward)}).apply(*operands)


def tensor_as_result(x):
    """An operation whose forward returns a Tensor, where an array is wanted."""
    return result_of(lambda ctx, array: Tensor(array), x)


def same_memory(one, other):
    return np.shares_memory(one.data, other.data)


def run(operation, *arrays, **options):
    """The forward of an operation on copies of arrays: its result, what it saved, and the copies afterwards."""
    ctx, inputs = Context(), [array.copy() for array in arrays]
    result = operation.forward(ctx, *inputs, **options)
    return result, ctx.saved, inputs


def saved_by_reference(operation, *arrays, **options):
    """Of each array that the forward saved: is it in the memory of an input or of the result? No copy was needed."""
    ctx = Context()
    result = operation.forward(ctx, *arrays, **options)
    saved = [value for value in ctx.saved if isinstance(value, np.ndarray)]
    return [any(np.shares_memory(value, known) for known in (result, *arrays)) for value in saved]


def compare(name, a, b):
    """`compare("lt", a, b)` is a < b."""
    return getattr(operator, name)(a, b)


def reflected(name, number, tensor):
    """`reflected("sub", 2, t)` is 2 - t; the number may also be an array."""
    return getattr(operator, name)(number, tensor)


def last_of_each(tensor):
    """t[..., -1]."""
    return tensor[..., -1]


def as_python(tensor):
    """float(t), int(t) and bool(t), and the same truth by way of `if`."""
    return float(tensor), int(tensor), bool(tensor), "yes" if tensor else "no"


def truth(tensor):
    return "yes" if tensor else "no"


def rows(tensor):
    """What a loop over the tensor sees, and its length."""
    return [row.data.copy() for row in tensor], len(tensor)


def found(keys, wanted):
    """Which of the keys of a dictionary is the wanted tensor: its place, or None."""
    return {key: place for place, key in enumerate(keys)}.get(wanted)


def history(tensor):
    """The names of the operations that a tensor came from, the last first, following first inputs."""
    names = []
    while tensor._node is not None:
        names.append(tensor._node.function.__name__)
        tensor = tensor._node.inputs[0]
    return names


def without_recording(function, *operands):
    Function.recording = False
    try:
        return function(*operands)
    finally:
        Function.recording = True
