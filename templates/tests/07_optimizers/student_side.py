"""What has to run beside your code: gradients that are set by hand, and looks at memory and at identity."""
import numpy as np

from tinytorch import measure, random
from tinytorch.core.optimizers import Optimizer
from tinytorch.core.tensor import Tensor


def within(array):
    """A view of every other element of a larger array, along each dimension, with these values."""
    larger = np.zeros([2 * length for length in array.shape], array.dtype)
    view = larger[tuple([slice(None, None, 2)] * array.ndim)]
    view[...] = array
    return view


LAYOUTS = {  # of an array in memory; all make a copy
    "rows": lambda array: array.copy(order="C"),
    "columns": lambda array: array.copy(order="F"),
    "transposed": lambda array: array.T.copy(order="C").T,
    "backwards": lambda array: array[::-1].copy()[::-1],
    "within": within,
}


class Halving(Optimizer):
    """Halves a parameter at each step, whatever its gradient, and remembers the last gradient and a count."""

    def __init__(self, params):
        super().__init__(params, {"lr": 1.0, "weight_decay": 0.0})

    def update(self, p, g, state, group):
        p *= 0.5
        state["last"] = g.copy()
        state["count"] = state.get("count", 0) + 1


def tensor(array, layout):
    """A Tensor whose array has this layout; the constructor shares an array's memory."""
    return Tensor(LAYOUTS[layout](array), requires_grad=True)


def parameters(arrays, layout="rows"):
    return [tensor(array, layout) for array in arrays]


def stream(params):
    """A generator, as `net.parameters()` is one."""
    yield from params


def used_up(params):
    """A generator that somebody has looped over before."""
    generator = stream(params)
    for _ in generator:
        pass
    return generator


def values(params):
    return [p.numpy().copy() for p in params]


def gradients(params):
    """The gradient of each parameter as an array, or None."""
    return [None if p.grad is None else p.grad.numpy().copy() for p in params]


def set_gradients(params, arrays, layout="rows"):
    for p, array in zip(params, arrays):
        p.grad = None if array is None else Tensor(LAYOUTS[layout](array))


def pushed(optimizer, params, pushes, layout="rows"):
    """A step for each of `pushes`, which has an array, or None, for each parameter; the values after each step."""
    trace = []
    for arrays in pushes:
        set_gradients(params, arrays, layout)
        optimizer.step()
        trace.append(values(params))
    return trace


def groups(optimizer, params):
    """The groups with all settings; each parameter is replaced by its place in `params`, found by identity."""
    places = {id(p): place for place, p in enumerate(params)}
    return [
        {str(name): value for name, value in group.items() if name != "params"}
        | {"params": [places.get(id(p)) for p in group["params"]], "kind": type(group["params"]).__name__}
        for group in optimizer.param_groups
    ]


def set_option(optimizer, number, name, value):
    optimizer.param_groups[number][name] = value


def added(optimizer, params, **settings):
    """Add a group from a dictionary, then change that: what was in it after adding, and the optimizer's last group."""
    group = {"params": stream(params), **settings}
    optimizer.add_param_group(group)
    names = sorted(group)
    group["lr"] = -1.0
    return names, groups(optimizer, params)[-1]


def memory(optimizer, params):
    """What is remembered of each parameter: names and copies."""
    return [
        {str(name): np.copy(value) if isinstance(value, np.ndarray) else value for name, value in known.items()}
        for known in [optimizer.state.get(p, {}) for p in params]
    ]


def zeroed(optimizer, params):
    """Fill the gradients with zeros: what stands afterwards in the arrays that they had before."""
    held = [p.grad.numpy() for p in params if p.grad is not None]
    optimizer.zero_grad(set_to_none=False)
    return held


def pushed_in_place(optimizer, params, pushes):
    """What stands, after the steps, in views of the arrays that the parameters had before."""
    held = [p.numpy()[...] for p in params]
    pushed(optimizer, params, pushes)
    return held


def gradients_after(optimizer, params, arrays):
    """The gradients after a step, in which nothing may change them."""
    pushed(optimizer, params, [arrays])
    return gradients(params)


def peak(kind, array, push, **settings):
    """How many bytes the last of three steps took for a moment, and the values after it."""
    params = [Tensor(array.copy(), requires_grad=True)]
    optimizer = kind(params, **settings)
    pushed(optimizer, params, [[push]])
    return measure.allocation(optimizer.step).peak, params[0].numpy()


def decayed(optimizer, p, g):
    """Call `decayed` on these arrays: `p` afterwards, what was returned, and `g` afterwards."""
    p, g = p.copy(), g.copy()
    returned = optimizer.decayed(p, g, optimizer.param_groups[0])
    return p, returned, g


def saved_then_pushed(optimizer, params, pushes):
    """A state dict that was saved before further steps."""
    saved = optimizer.state_dict()
    pushed(optimizer, params, pushes)
    return saved


def loaded_then_pushed(optimizer, params, saved, pushes):
    """A state dict after it was loaded and further steps were taken."""
    optimizer.load_state_dict(saved)
    pushed(optimizer, params, pushes)
    return saved


def seed(number):
    random.manual_seed(number)
