"""What the tests run beside the student's code, in its process: there NumPy's error handling and memory can be seen."""
import numpy as np

from tinytorch.core.tensor import Context


def strictly(op, x, **options):
    """The forward of `op`, with every overflow, division by zero and invalid operation as a FloatingPointError."""
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        return op.forward(Context(), x, **options)


def shared(op, x, **options):
    """Which memory is the same: (the result's and the input's, the first saved value's and the result's)."""
    ctx = Context()
    y = op.forward(ctx, x, **options)
    return np.shares_memory(y, x), np.shares_memory(ctx.saved[0], y)
