"""What has to run beside your code: rules by themselves, operations made for a test, called functions, and memory."""
import tracemalloc
import weakref

import numpy as np

from tinytorch import random
from tinytorch.core.activations import Tanh
from tinytorch.core.autograd import GRADIENTS, backward, grad_check, gradient, no_grad, unbroadcast
from tinytorch.core.layers import Dropout, Linear, Parameter
from tinytorch.core.tensor import Context, Function, Slice, Tensor

# A rule by itself


def prepared(operation, arrays, needs, options):
    """The context of an operation after its forward."""
    ctx = Context()
    operation.forward(ctx, *arrays, **options)
    ctx.needs_input_grad = [True] * len(arrays) if needs is None else list(needs)
    return ctx


def rule(operation, *arrays, g, needs=None, **options):
    """The forward of an operation on `arrays`, then its rule alone, for the gradient g; always a tuple."""
    with np.errstate(all="ignore"):
        ctx = prepared(operation, arrays, needs, options)
        grads = GRADIENTS[operation](ctx, g)
    return grads if isinstance(grads, tuple) else (grads,)


def sliced_back(x, index, g):
    """The rule of x[index]; the text "..." in an index stands for Python's `...`, which is no plain value."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(... if isinstance(part, str) else part for part in parts)
    return rule(Slice, x, g=g, index=parts if isinstance(index, tuple) else parts[0])[0]


def written(operation, *arrays, g, **options):
    """Whether the rule wrote into g, and whether into what the forward saved."""
    with np.errstate(all="ignore"):
        ctx = prepared(operation, arrays, None, options)
        held = [g, *[value for value in ctx.saved if isinstance(value, np.ndarray)]]
        before = [array.copy() for array in held]
        GRADIENTS[operation](ctx, g)
    changed = [not np.array_equal(new, old, equal_nan=True) for new, old in zip(held, before)]
    return changed[0], any(changed[1:])


def returns_the_same(g, shape):
    """Whether `unbroadcast` returns the very array that it was given."""
    return unbroadcast(g, shape) is g


def peak(operation, *arrays, g, needs):
    """The rule's largest use of memory beyond what was there before it, in bytes."""
    ctx = prepared(operation, arrays, needs, {})
    GRADIENTS[operation](ctx, g)
    tracemalloc.start()
    try:
        grads = GRADIENTS[operation](ctx, g)
        return tracemalloc.get_traced_memory()[1], sum(grad.nbytes for grad in grads if grad is not None)
    finally:
        tracemalloc.stop()


# Operations with rules of their own, so that the walk can be tested before any other rule is right


class Plus(Function):
    """a + b. Both get the very array g."""

    @staticmethod
    def forward(ctx, a, b):
        return a + b


@gradient(Plus)
def plus_gradient(ctx, g):
    return g, g


class Times(Function):
    """a * b. Saves: a, b."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save(a, b)
        return a * b


@gradient(Times)
def times_gradient(ctx, g):
    a, b = ctx.saved
    return g * b, g * a


def leaf(array, dtype=None):
    return Tensor(array, dtype=dtype, requires_grad=True)


def gradients(*leaves):
    """The gradients of leaves as arrays, None where there is none."""
    return [None if x.grad is None else x.grad.data.copy() for x in leaves]


def product_with_itself(array):
    x = leaf(array)
    backward(Times.apply(x, x), np.ones(array.shape))
    return gradients(x)[0]


def plan_followed(plan, arrays, g):
    """Values made one after the other, by ("plus", i, j) or ("times", i, j) of the ones before; the last goes back."""
    leaves = [leaf(array) for array in arrays]
    values = list(leaves)
    for name, i, j in plan:
        values.append((Plus if name == "plus" else Times).apply(values[i], values[j]))
    backward(values[-1], g)
    return gradients(*leaves)


class TooMany(Exception):
    """A walk that doesn't end in a reasonable number of steps."""


class Inputs(tuple):
    """The inputs of a node, which can be looked through only so often in all."""

    looks = 0

    def __iter__(self):
        Inputs.looks += 1
        if Inputs.looks > 20_000:
            raise TooMany
        return super().__iter__()


class Double(Function):
    """x + x, as an operation that counts the calls of its rule."""

    calls = 0

    @staticmethod
    def forward(ctx, a, b):
        return a + b


@gradient(Double)
def double_gradient(ctx, g):
    Double.calls += 1
    if Double.calls > 5_000:
        raise TooMany
    return g, g


def doublings(count):
    """x doubled `count` times: calls of the rule, and x's gradient; none if it took thousands of steps."""
    Double.calls = Inputs.looks = 0
    x = leaf(1.0)
    t = x
    for _ in range(count):
        t = Double.apply(t, t)
        t._node = t._node._replace(inputs=Inputs(t._node.inputs))
    try:
        backward(t)
    except TooMany:
        return Double.calls, None
    return Double.calls, None if x.grad is None else x.grad.item()


def long_sum(length):
    """x + x + x + ..., one addition after the other: the gradient of x."""
    x = leaf(1.0)
    t = x
    for _ in range(length):
        t = Plus.apply(t, x)
    backward(t)
    return x.grad.item()


class Token:
    """Something that a context holds, and whose end can be noticed."""


class Watched(Function):
    """x, from a context that holds a token; its rule looks which tokens of this kind are still alive."""

    tokens = ()
    alive = ()

    @staticmethod
    def forward(ctx, x):
        token = Token()
        Watched.tokens += (weakref.ref(token),)
        ctx.save(token)
        return x.copy()


@gradient(Watched)
def watched_gradient(ctx, g):
    Watched.alive += (sum(token() is not None for token in Watched.tokens),)
    return g.copy()


def watched(length, retain_graph=False):
    """How many of the contexts of a chain are alive each time that a rule is called, and after the walk."""
    Watched.tokens = Watched.alive = ()
    x = leaf(1.0)
    t = x
    for _ in range(length):
        t = Watched.apply(t)
    backward(t, retain_graph=retain_graph)
    return Watched.alive, sum(token() is not None for token in Watched.tokens), x.grad.item()


def two_turns(arrays, retain_graph=False):
    """A product's gradients twice over one graph: what they are after the first, the error, and what they are then."""
    leaves = [leaf(array) for array in arrays]
    y = Times.apply(*leaves)
    backward(y, np.ones(y.shape), retain_graph)
    first = gradients(*leaves)
    return first, error(backward, y, np.ones(y.shape)), gradients(*leaves)


def shared_part(arrays):
    """a·b goes back; then a·b + c, which shares the freed product: the error, and all gradients."""
    a, b, c = (leaf(array) for array in arrays)
    h = Times.apply(a, b)
    ones = np.ones(h.shape)
    later = Plus.apply(c, Plus.apply(h, c))
    backward(h, ones)
    return error(backward, later, ones), gradients(a, b, c)


def error(function, *arguments):
    """The class and the text of the error that a call raises, or None."""
    try:
        function(*arguments)
    except (ValueError, TypeError, IndexError, AttributeError) as problem:
        return type(problem).__name__, str(problem)
    return None


def sum_of_leaves(arrays, g):
    """a + b goes back with g: both gradients, whether they share memory with each other, and with g."""
    a, b = (leaf(array) for array in arrays)
    backward(Plus.apply(a, b), g)
    together = np.shares_memory(a.grad.data, b.grad.data)
    with_g = np.shares_memory(a.grad.data, g) or np.shares_memory(b.grad.data, g)
    a.grad.data *= 100.0
    return [b.grad.data, a.grad.data / 100.0], together, with_g


def meeting(arrays, g):
    """(a + b) + a goes back with g: the gradients of a and b."""
    a, b = leaves = [leaf(array) for array in arrays]
    backward(Plus.apply(Plus.apply(a, b), a), g)
    return gradients(*leaves)


class Asked(Function):
    """a + b + c, with a rule that notes what it was asked for, and doesn't give more."""

    asked = None

    @staticmethod
    def forward(ctx, a, b, c):
        return a + b + c


@gradient(Asked)
def asked_gradient(ctx, g):
    Asked.asked = [bool(need) for need in ctx.needs_input_grad]
    return tuple(g if need else None for need in ctx.needs_input_grad)


def asked(a, b, c):
    """What a rule is asked for, for these operands, and the gradients of those that are leaves."""
    y = Asked.apply(a, b, c)
    backward(y, np.ones(y.shape))
    return Asked.asked


class Misshapen(Function):
    """2x, whose rule forgets what shape x has."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x


@gradient(Misshapen)
def misshapen_gradient(ctx, g):
    return 2 * g.sum()


class Ruleless(Function):
    """3x, and nobody has said how its gradient goes."""

    @staticmethod
    def forward(ctx, x):
        return 3 * x


class Hypotenuse(Function):
    """The length of the vector (a, b), a new operation with its own rule."""

    @staticmethod
    def forward(ctx, a, b):
        c = np.hypot(a, b)
        ctx.save(a, b, c)
        return c


@gradient(Hypotenuse)
def hypotenuse_gradient(ctx, g):
    a, b, c = ctx.saved
    return g * a / c, g * b / c


def hypotenuse(a, b):
    return Hypotenuse.apply(a, b)


def misshapen(x):
    return Misshapen.apply(x)


def ruleless(x):
    return Ruleless.apply(x)


def set_grad(x, array):
    x.grad = None if array is None else Tensor(array)


# What `grad_check` gets


class Cube(Function):
    """x³; its rule says that the slope is `factor` · x², plus `offset`, and 3 and 0 would be right."""

    @staticmethod
    def forward(ctx, x, factor=3.0, offset=0.0):
        ctx.save(x, factor, offset)
        return x**3


@gradient(Cube)
def cube_gradient(ctx, g):
    x, factor, offset = ctx.saved
    return g * (factor * x**2 + offset)


class Roll(Function):
    """The elements one place further on; its rule moves their gradients back by `back`, and 1 would be right."""

    @staticmethod
    def forward(ctx, x, back=1):
        ctx.save(back)
        return np.roll(x, 1)


@gradient(Roll)
def roll_gradient(ctx, g):
    return np.roll(g, -ctx.saved[0])


class Nowhere(Function):
    """x, or NaN if asked, with a gradient that is NaN in any case."""

    @staticmethod
    def forward(ctx, x, value=1.0):
        ctx.save(value)
        return x * value


@gradient(Nowhere)
def nowhere_gradient(ctx, g):
    return g * np.nan


FUNCTIONS = {
    "cube": lambda x, **options: Cube.apply(x, **options),
    "roll": lambda x, **options: Roll.apply(x, **options),
    "nowhere": lambda x, **options: Nowhere.apply(x, **options),
    "product": lambda a, b: Times.apply(a, b),
    "second wrong": lambda a, b, **options: Plus.apply(Cube.apply(a), Cube.apply(b, **options)),
    "third wrong": lambda a, b, c, **options: Plus.apply(Times.apply(a, b), Cube.apply(c, **options)),
    "unused": lambda a, b: Cube.apply(a),
    "hidden": lambda a, b: Plus.apply(Cube.apply(a), Cube.apply(b.detach())),
}


def tensors(arrays, needs):
    """Leaves; those not needed require no gradient."""
    needs = [True] * len(arrays) if needs is None else needs
    return [Tensor(array, requires_grad=need) for array, need in zip(arrays, needs)]


def checked(name, *arrays, needs=None, tolerances=None, **options):
    """`grad_check` of one of the functions above, on leaves with these arrays."""
    def function(*inputs):
        return FUNCTIONS[name](*inputs, **options)

    return grad_check(function, tensors(arrays, needs), **(tolerances or {}))


def verdict(name, *arrays, **options):
    """What the check returns, or None; and the text of its ValueError, or None."""
    try:
        return checked(name, *arrays, **options), None
    except ValueError as problem:
        return None, str(problem)


def left_behind(name, *arrays, grads):
    """A check of leaves that have these gradients: its result, and data and gradients of the leaves afterwards."""
    leaves = tensors(arrays, None)
    for x, grad in zip(leaves, grads):
        set_grad(x, grad)
    result = grad_check(FUNCTIONS[name], leaves)
    return result, [x.data.copy() for x in leaves], gradients(*leaves)


def checked_in_a_closure(array):
    """A check of what the function has in itself, and not by its arguments."""
    x = leaf(array)
    return grad_check(lambda *inputs: Cube.apply(x), [x]), grad_check(lambda *inputs: Cube.apply(x[:1]), [x])


def check_of_nothing():
    return grad_check(lambda: Tensor(1.0), [])


# Without recording


def record_again():
    Function.recording = True


def recorded(x):
    """Whether a result records how it was computed: what it says, and whether there is a node."""
    y = Plus.apply(x, x)
    return y.requires_grad, y._node is not None


def around_no_grad(x):
    """Whether results are recorded before a block, inside, and after."""
    before = recorded(x)
    with no_grad():
        inside = recorded(x)
    return before, inside, recorded(x)


def nested_no_grad(x):
    """Inside two blocks, after the inner one, after both, and inside a third."""
    with no_grad():
        with no_grad():
            innermost = recorded(x)
        between = recorded(x)
    after = recorded(x)
    with no_grad():
        again = recorded(x)
    return innermost, between, after, again


def no_grad_with_an_error(x, nested):
    """What is recorded after a block that ended with an error, and the error's text."""
    text = None
    try:
        with no_grad():
            if nested:
                with no_grad():
                    raise KeyError("lost")
            raise KeyError("lost")
    except KeyError as problem:
        text = problem.args[0]
    return text, recorded(x)


def inner_error(x):
    """An error in an inner block that the outer one survives: recorded in between?"""
    with no_grad():
        try:
            with no_grad():
                raise KeyError("lost")
        except KeyError:
            between = recorded(x)
    return between, recorded(x)


def decorated_twice(x):
    """Two calls of a decorated function: what is recorded inside, between and after, and what the second returned."""

    @no_grad()
    def doubled(x, times=1):
        for _ in range(times):
            y = Plus.apply(x, x)
        return y, recorded(x)

    _, inside = doubled(x)
    between = recorded(x)
    y, inside_again = doubled(x, times=2)
    return inside, between, inside_again, recorded(x), y.data


def kept_by_a_chain(array, length):
    """Bytes that a chain of sums keeps when it has been computed: recorded, and in a no_grad block."""
    x = leaf(array)

    def chain():
        t = x
        for _ in range(length):
            t = Plus.apply(t, x)
        return t

    def kept():
        tracemalloc.start()
        try:
            t = chain()
            return tracemalloc.get_traced_memory()[0], t
        finally:
            tracemalloc.stop()

    with_graph, result = kept()
    with no_grad():
        without, again = kept()
    return with_graph, without, [result.data, again.data]


def constant_inside(array):
    """The gradient of x·x + x·c, where c = x + x + x was computed in a block, and c."""
    x = leaf(array)
    y = Times.apply(x, x)
    with no_grad():
        c = Plus.apply(Plus.apply(x, x), x)
    backward(Plus.apply(y, Times.apply(x, c)), np.ones(array.shape))
    return x.grad.data, c.data


# Networks


def seed(number):
    """Fix what layers draw; and record, whatever a test has left behind."""
    random.manual_seed(number)
    record_again()


def linear(weight, bias):
    """A Linear with these numbers, in their dtype."""
    layer = Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = Parameter(weight), Parameter(bias)
    return layer


def dropout(p, number):
    return Dropout(p, rng=np.random.default_rng(number))


def moved_along_gradients(parameters, rate):
    """A step of gradient descent, in place, which also takes the gradients away."""
    for parameter in parameters:
        parameter.data -= rate * parameter.grad.data
        parameter.grad = None


def is_contiguous_gradient(x):
    return x.grad.data.flags.c_contiguous


def strides_of_gradients(operation, *arrays, g):
    """The strides of what a rule returns."""
    return [grad.strides for grad in rule(operation, *arrays, g=g)]


def checked_network(weight, bias, x):
    """`grad_check` of a layer's parameters, which the function has in itself; and their gradients by backward."""
    layer, tanh = linear(weight, bias), Tanh()

    def loss(*parameters):
        return (tanh(layer(Tensor(x))) ** 2).sum()

    result = grad_check(loss, list(layer.parameters()))
    backward(loss())
    return result, gradients(*layer.parameters())


def evaluated(net, x):
    with no_grad():
        y = net(x)
    return y.data, y.requires_grad
