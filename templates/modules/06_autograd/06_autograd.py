# %% [markdown]
# # Module 06: Autograd
#
# A network that reads digits has 101,770 weights. To improve it we must know, for each of them, whether the loss rises
# or falls if that weight grows a little: the *gradient*. Moving each weight and computing the loss again would take
# 101,770 forward passes. This module finds all of them in a single backward pass, which costs about as much as two
# forward passes, for anything that was computed with your tensors.

# %% tags=["export"]
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinytorch.core.activations import GELUOp, LogSoftmaxOp, ReLUOp, SigmoidOp, SoftmaxOp, TanhOp
from tinytorch.core.losses import BCEOp, BCEWithLogitsOp, CrossEntropyOp, SquaredErrorOp
from tinytorch.core.tensor import (
    Add, Context, Div, Exp, Function, Log, MaskedFill, MatMul, Max, Mean, Mul, Neg, Node, Permute, Pow, Reshape,
    Slice, Sub, Sum, Tensor, Transpose, Where, wrap,
)

# %% [markdown]
# ## 1. The chain rule, with numbers
#
# Take y = (a·b + c)² at a = 2, b = 3, c = 1. Forwards: m = a·b = 6, s = m + c = 7, y = s² = 49. Now backwards, asking
# at each step how fast y changes with the number at hand. With s it changes 2s = 14 times as fast. s = m + c moves as
# much as m and as c, so y changes 14 times as fast as either. m = a·b moves b = 3 times as much as a, so y changes
# 14 · 3 = 42 times as fast as a, and 14 · 2 = 28 times as fast as b. Your code will find these numbers.
#
# So an operation has one question to answer: *given the gradient of the loss with respect to my result, what is it with
# respect to my inputs?* It knows nothing of the rest of the network. The answer is its *rule*: a function of the
# context that `forward` filled, and of g, the gradient that arrives, in the shape of the result. It returns a gradient
# for each input, in the input's shape, in float32 for float32, and never writes into g, since others may hold that
# array. `@gradient(Neg)` enters the function below it; later modules enter theirs next to their forward. Two rules are
# given: -x changes as fast as x, downwards, and eˣ is its own slope, so Exp saved its result.

# %% tags=["export"]
Rule = Callable[[Context, np.ndarray], Any]
GRADIENTS: dict[type[Function], Rule] = {}  # what `backward` looks up

def gradient(operation: type[Function]) -> Callable[[Rule], Rule]:
    """Enter the function below as the rule of `operation`: `rule(ctx, g)` gives the gradient of its input, an array.

    Several inputs: a tuple of arrays, with None for inputs that have no gradient, or that `ctx.needs_input_grad` (a
    bool for each input, as in PyTorch) doesn't ask for. `ctx.saved` is what `forward` saved.
    """
    def enter(rule: Rule) -> Rule:
        GRADIENTS[operation] = rule
        return rule
    return enter

@gradient(Neg)
def neg_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    return -g

@gradient(Exp)
def exp_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    return g * ctx.saved[0]

# %% [markdown]
# ## 2. What was repeated is added up
#
# In x + b with x of shape (64, 10) and b of shape (10,), each bias is used 64 times, and its gradient is the sum of 64.
# In general: wherever broadcasting repeated an input along a dimension, the gradient is summed along it. For b of shape
# (3,), g = [[1, 2, 3], [10, 20, 30]] sums to [11, 22, 33].
#
# **Exercise `unbroadcast`.** Sum `g` over the dimensions that broadcasting added in front of `shape`, and over those
# where `shape` has 1, so that the result has that shape. If `g` has it already, return `g` itself.

# %% exercise="unbroadcast" points=2 task="sum g over the dimensions in which an input of this shape was repeated"
def unbroadcast(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of an input of this `shape`, whose broadcast copy has the gradient `g`; it has that shape."""
    ### BEGIN SOLUTION
    if g.shape == shape:
        return g
    added = g.ndim - len(shape)
    repeated = tuple(range(added)) + tuple(added + i for i, length in enumerate(shape) if length == 1)
    return g.sum(axis=repeated).reshape(shape)
    ### END SOLUTION

# %% [markdown]
# ## 3. Arithmetic
#
# The rules of school, each times g. For a + b both inputs get g. For a · b, a gets g·b and b gets g·a. The quotient a/b
# changes with a as 1/b, and with b as -a/b². aᵇ changes with a as b·aᵇ⁻¹, and with b as aᵇ·log a. log x has 1/x.
#
# Two traps: a⁰ doesn't change with a, but at a = 0 the formula says 0 · 0⁻¹ = 0 · ∞, which is NaN. For b = 0 the answer
# is 0. Nor does 0ᵇ change with b, and the formula says 0 · -∞. For a = 0 and b ≥ 0 the answer is 0, as in PyTorch.
#
# **Exercise `arithmetic_gradients`.** Write the six rules. Add and Sub saved the two shapes, Mul and Div the inputs,
# Pow the inputs and its result, Log its input; those of the first five may have been broadcast. For Pow, compute a
# gradient only if `ctx.needs_input_grad` asks for it, else return None: exponents are mostly constants.

# %% exercise="arithmetic_gradients" points=4 task="return g times the slope, for each input, in the input's shape"
@gradient(Add)
def add_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    a_shape, b_shape = ctx.saved
    return unbroadcast(g, a_shape), unbroadcast(g, b_shape)
    ### END SOLUTION

@gradient(Sub)
def sub_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    a_shape, b_shape = ctx.saved
    return unbroadcast(g, a_shape), unbroadcast(-g, b_shape)
    ### END SOLUTION

@gradient(Mul)
def mul_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    a, b = ctx.saved
    return unbroadcast(g * b, a.shape), unbroadcast(g * a, b.shape)
    ### END SOLUTION

@gradient(Div)
def div_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    a, b = ctx.saved
    return unbroadcast(g / b, a.shape), unbroadcast(-g * a / (b * b), b.shape)
    ### END SOLUTION

@gradient(Pow)
def pow_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    a, b, y = ctx.saved
    for_a, for_b = ctx.needs_input_grad
    grad_a = unbroadcast(g * np.where(b == 0, 0, b * a ** (b - 1)), a.shape) if for_a else None
    grad_b = unbroadcast(g * np.where((a == 0) & (b >= 0), 0, y * np.log(a)), b.shape) if for_b else None
    return grad_a, grad_b
    ### END SOLUTION

@gradient(Log)
def log_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    return g / ctx.saved[0]
    ### END SOLUTION

# %% [markdown]
# ## 4. The walk
#
# A tensor that came out of an operation carries its `Node`: function, context and inputs. Following inputs from the
# loss leads through everything that it was computed from, the *graph*. In which order? In y = x·x + x at x = 3, the
# tensor x is used three times, and its gradient is the sum of what the uses send back: 3 + 3 + 1 = 7. A tensor that
# hands on its gradient after the first use must do so again after each; in a chain of 20 sums t = t + t, that makes
# 2²⁰ = 1,048,576 steps. So: *a tensor's turn comes when all its uses have reported.* Two loops do it, no recursion:
#
# 1. *Count.* From the loss on, visit every tensor below once, and count how often each is an input.
# 2. *Send.* Keep a list of tensors whose turn it is, at first the loss alone, and a dictionary of the gradients that
#    have arrived so far. Take a tensor off the list. One without a node is a *leaf*, a parameter for instance: its
#    gradient is complete, and `add_to_grad` takes it. Otherwise its rule says what its inputs get: add that up for each
#    input, in a new array, and when the last use of an input has reported, put it on the list.
#
# A second `backward` adds to `grad`, as in PyTorch: two halves of a batch give the gradient of the whole. But not over
# the same graph: once a tensor has had its turn, `FREED` takes the place of its node, and the arrays that were saved
# are freed *while* the walk goes on, unless it was asked to `retain_graph`.
#
# Given code checks that a rule's gradients have their inputs' shapes, and brings them to their dtypes. It also gives
# each leaf a `grad` of its own: both inputs of a sum get g itself, and scaling one of the two must not scale both.

# %% tags=["export"]
FREED = Node(Function, Context(), ())  # in the place of a node whose turn is over

def needs_gradient(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad

def input_gradients(node: Node, g: np.ndarray) -> list[tuple[Tensor, np.ndarray]]:
    """What the rule of a node says: (input, gradient) for each input that needs one, as often as it is an input."""
    name = node.function.__name__
    if node.function not in GRADIENTS:
        raise ValueError(f"backward: {name} has no gradient; enter its rule with @gradient({name})")
    node.context.needs_input_grad = [needs_gradient(x) for x in node.inputs]
    grads = GRADIENTS[node.function](node.context, g)
    pairs = zip(node.inputs, grads if isinstance(grads, tuple) else (grads,))
    pairs = [(x, grad) for x, grad in pairs if needs_gradient(x)]
    for x, grad in pairs:
        if np.shape(grad) != x.shape:
            raise ValueError(f"backward: {name} gave a gradient of shape {np.shape(grad)} to an input {x.shape}")
    return [(x, grad.astype(x.dtype, copy=False)) for x, grad in pairs]

def add_to_grad(leaf: Tensor, g: np.ndarray) -> None:
    """Add to the gradient that a leaf has so far, in place; the first is copied."""
    if leaf.grad is None:
        leaf.grad = wrap(g.copy(order="K"))
    else:
        leaf.grad.data += g

# %% [markdown]
# **Exercise `backward`.** Write the two loops. Only inputs that need a gradient count (`needs_gradient`). Tensors are
# told apart by `id`, as in module 03. If the first loop meets `FREED`, it raises a ValueError that says 'freed', before
# any gradient is written. The second may count `uses` down; it frees a node (`tensor._node = FREED`) after its rule,
# unless `retain_graph`.

# %% exercise="backward" points=6 task="count the uses of every tensor, then send gradients to those whose turn it is"
def backward(tensor: Tensor, gradient: Any = None, retain_graph: bool = False) -> None:
    """Add to the `grad` of every leaf that `tensor` was computed from its gradient of the sum of tensor · gradient.

    Raises: ValueError if the tensor requires no gradient, if `gradient` is missing (only a tensor of one element can do
    without, it is 1 then) or has another shape, and for a graph that was freed; then no `grad` has changed.
    """
    if not tensor.requires_grad:
        raise ValueError("backward: this tensor does not require a gradient, and neither does anything it came from")
    if gradient is None and tensor.size != 1:
        raise ValueError(f"backward: shape {tensor.shape} is no scalar; reduce it with sum() or pass a gradient")
    g = np.ones(tensor.shape, tensor.dtype) if gradient is None else Tensor(gradient, tensor.dtype).data
    if g.shape != tensor.shape:
        raise ValueError(f"backward: the gradient has shape {g.shape}, the tensor {tensor.shape}; they must be equal")
    with np.errstate(all="ignore"):  # as in Function.apply
        send(tensor, g, count_uses(tensor), retain_graph)

def count_uses(tensor: Tensor) -> dict[int, int]:
    """How often each tensor below `tensor` that needs a gradient is an input, by its `id`."""
    ### BEGIN SOLUTION
    uses: dict[int, int] = {}
    unvisited = [tensor]
    while unvisited:
        node = unvisited.pop()._node
        if node is FREED:
            raise ValueError("backward: the graph was freed by an earlier backward; use retain_graph=True there")
        for x in filter(needs_gradient, node.inputs if node else ()):
            if id(x) not in uses:
                unvisited.append(x)
            uses[id(x)] = uses.get(id(x), 0) + 1
    return uses
    ### END SOLUTION

def send(tensor: Tensor, g: np.ndarray, uses: dict[int, int], retain_graph: bool) -> None:
    """Walk from `tensor`, whose gradient is `g`, to the leaves; each tensor once, after all its `uses`."""
    ### BEGIN SOLUTION
    arrived = {id(tensor): g}
    ready = [tensor]
    while ready:
        current = ready.pop()
        g, node = arrived.pop(id(current)), current._node
        if node is None:
            add_to_grad(current, g)
            continue
        for x, grad in input_gradients(node, g):
            arrived[id(x)] = arrived[id(x)] + grad if id(x) in arrived else grad
            uses[id(x)] -= 1
            if uses[id(x)] == 0:
                ready.append(x)
        if not retain_graph:
            current._node = FREED
    ### END SOLUTION

# %%
# once this module is complete, `y.backward()` of module 01 does the same as `backward(y)` here
a, b, c, x = (Tensor(value, requires_grad=True) for value in (2.0, 3.0, 1.0, 3.0))
backward((a * b + c) ** 2)
backward(x * x + x)
assert [leaf.grad.item() for leaf in (a, b, c, x)] == [42, 28, 14, 7]

t = x
for _ in range(20):
    t = t + t
backward(t)
assert x.grad.item() == 7 + 2**20  # by 20 rules
assert unbroadcast(np.array([[1, 2, 3], [10, 20, 30]]), (3,)).tolist() == [11, 22, 33]

# %% [markdown]
# ## 5. Is it right?
#
# A wrong gradient doesn't crash. The network learns a little worse, and nobody knows why. So compare it with what
# can't be wrong in the same way, a small step: (f(x + ε) - f(x - ε)) / 2ε. In float64, ε = 1e-6 gives six digits or
# more; a smaller one drowns in rounding, and float32 has too few digits for any. The slope of eˣ at 1 is e:

# %%
steps = np.array([1e-6]), np.array([1e-12]), np.array([1e-6], dtype=np.float32)
error = [abs((np.exp(1 + eps) - np.exp(1 - eps)) / (2 * eps) - math.e) for eps in steps]
assert error[0] < 1e-8 and error[1] > 1e-6 and error[2] > 1e-2

# %% [markdown]
# A result of several elements is checked as their sum with `weights` 1/n, 2/n, ... 1: `backward(out, weights)` gives
# the gradient of that. Were all weights equal, a rule that sends a gradient to the wrong place might go unnoticed.
#
# **Exercise `grad_check`.** For each input that needs a gradient, compare what `backward` finds with the quotient for
# each element, moved in place by ±eps and put back. Return True if all agree: |difference| <= atol + rtol · |quotient|.
# Otherwise raise a ValueError that has the number of the input (from 0), the index of the element (a tuple), and both
# values. A `grad` that stays None counts as 0. If all agree, each input has the `grad` that it had before.

# %% exercise="grad_check" points=4 task="compare each element's gradient with the difference quotient"
def grad_check(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3
) -> bool:
    """Whether the gradients of `function(*inputs)` agree with central differences: `torch.autograd.gradcheck`."""
    checked = {number: x for number, x in enumerate(inputs) if needs_gradient(x)}
    if not checked or any(x.dtype != np.float64 for x in checked.values()):
        raise TypeError("grad_check: needs inputs that require a gradient, in float64; pass dtype='float64'")

    out = function(*inputs)
    weights = np.arange(1, out.size + 1).reshape(out.shape) / out.size
    ### BEGIN SOLUTION
    before = {number: x.grad for number, x in checked.items()}
    for x in checked.values():
        x.grad = None
    backward(out, weights)
    for number, x in checked.items():
        found, x.grad = x.grad, before[number]
        for index in np.ndindex(x.shape):
            center = x.data[index]
            x.data[index] = center + eps
            above = (function(*inputs).data * weights).sum()
            x.data[index] = center - eps
            below = (function(*inputs).data * weights).sum()
            x.data[index] = center
            quotient = (above - below) / (2 * eps)
            grad = 0.0 if found is None else found.data[index]
            if not abs(grad - quotient) <= atol + rtol * abs(quotient):  # so written, nan is no agreement
                raise ValueError(f"grad_check: input {number} at {index} has gradient {grad}, and quotient {quotient}")
    return True
    ### END SOLUTION

# %%
rng = np.random.default_rng(6)

def doubles(*shape: int) -> Tensor:
    return Tensor(rng.normal(size=shape), requires_grad=True)

assert grad_check(lambda a, b: a * b + a / b - (a - 2 * b) ** 3, [doubles(2, 3), doubles(3)])
assert grad_check(lambda a, b: a.exp().log() ** b, [Tensor([1.0, 2.0], "float64", True), doubles(2)])

# %% [markdown]
# ## 6. The matrix product
#
# In y = a @ b, the element a[i, k] reaches every y[i, j] of its row, with the factor b[k, j]. So its gradient is the
# sum over j of g[i, j] · b[k, j]: a matrix product again, and so is the other.
#
#     for a:  g @ bᵀ   (M, N) @ (N, K) = (M, K)
#     for b:  aᵀ @ g   (K, M) @ (M, N) = (K, N)
#
# If you forget them, the shapes leave no other choice. Two products of the size of the one forwards: so a backward pass
# costs two forward passes. Mostly b is a matrix of weights, and a has batch dimensions in front, over which b's
# gradient is summed. Don't multiply for each sample and add: flatten a to rows (-1, K) and g to (-1, N), and *one*
# product does both. It also costs nothing to write the result in the memory order of b, which `np.empty_like` keeps:
# `np.matmul(..., out=np.empty_like(b))`. In `Linear`, b is a transposed view of the weight, so the gradient, transposed
# back, lies in memory as the weight does, and the optimizer will run straight through both. And the first layer's a,
# the data, needs no gradient: skip it.
#
# **Exercise `matmul_gradient`.** Return both gradients, or None where one is not needed. For b a matrix, one product
# each, and b's gradient in b's memory order. For b with batch dimensions use `swapaxes(-1, -2)` and `unbroadcast`.

# %% tags=["export"]
@gradient(MatMul)
def matmul_gradient(ctx: Context, g: np.ndarray) -> tuple:
    a, b = ctx.saved
    rows = a[None] if a.ndim == 1 else a  # a vector counts as a row at the left, and as a column at the right
    columns = b[:, None] if b.ndim == 1 else b
    g = np.expand_dims(g, -1) if b.ndim == 1 else g
    g = np.expand_dims(g, -2) if a.ndim == 1 else g
    grads = matrix_gradients(rows, columns, g, *ctx.needs_input_grad)
    return tuple(grad if grad is None else grad.reshape(x.shape) for grad, x in zip(grads, (a, b)))

# %% exercise="matmul_gradient" points=4 task="g @ b.T and a.T @ g, where they are needed"
def matrix_gradients(a: np.ndarray, b: np.ndarray, g: np.ndarray, for_a: bool, for_b: bool) -> tuple:
    """The gradients of a and b, if asked for, for y = a @ b.

    Shapes: a (..., M, K), b (K, N) or (..., K, N), g (..., M, N); the results have the shapes of a and b.
    """
    ### BEGIN SOLUTION
    if b.ndim == 2:
        rows, g = a.reshape(-1, a.shape[-1]), g.reshape(-1, g.shape[-1])
        grad_a = (g @ b.T).reshape(a.shape) if for_a else None
        grad_b = np.matmul(rows.T, g, out=np.empty_like(b)) if for_b else None
        return grad_a, grad_b
    grad_a = unbroadcast(g @ b.swapaxes(-1, -2), a.shape) if for_a else None
    grad_b = unbroadcast(a.swapaxes(-1, -2) @ g, b.shape) if for_b else None
    return grad_a, grad_b
    ### END SOLUTION

# %%
for shapes in ([(2, 3, 4), (4, 5)], [(4,), (4,)], [(2, 1, 3, 4), (5, 4, 2)]):
    assert grad_check(lambda a, b: a @ b, [doubles(*shape) for shape in shapes])

# %% [markdown]
# ## 7. What was moved is moved back
#
# A reshape, a transpose, a permutation only rearrange, and their gradients rearrange back. The permutation (2, 0, 1) is
# undone by (1, 2, 0): the input's dimension 0 stands in place 1 of it, dimension 1 in place 2, dimension 2 in place 0.
# `np.argsort` finds these places, once negative dimensions are counted from the front.
#
# What was selected by an index gets its gradient, and the rest zero. A list of indices may select an element twice;
# then it gets the sum of both. `grad[index] += g` reads all, adds, and writes the last; `np.add.at` adds one by one. It
# is slower, and not needed for numbers and slices.

# %%
assert np.argsort([2, 0, 1]).tolist() == [1, 2, 0]

# %% [markdown]
# **Exercise `movement_gradients`.** Write the six rules. Saved were: the input's shape (Reshape), dim0 and dim1
# (Transpose), dims (Permute), the input's shape and the index (Slice), the condition and the shapes of a and b (Where),
# the mask and the shape of x (MaskedFill). Where a condition took a, or b, that one gets g, else 0; what a mask
# overwrote gets 0. Condition and mask themselves get None, and their partners may have been broadcast.

# %% tags=["export"]
def selects_once(index: Any) -> bool:
    """Whether an index consists of numbers, slices, `...` and None only, so that no element comes twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is ... or isinstance(part, (int, np.integer, slice)) for part in parts)

def with_axes(g: np.ndarray, axis: Any, keepdims: bool) -> np.ndarray:
    """g with the dimensions that a reduction along `axis` dropped, as length 1, so that it broadcasts to the input."""
    return g if keepdims or axis is None else np.expand_dims(g, axis)

# %% exercise="movement_gradients" points=3 task="send each gradient back to where its element came from"
@gradient(Reshape)
def reshape_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    return g.reshape(*ctx.saved)
    ### END SOLUTION

@gradient(Transpose)
def transpose_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    return g.swapaxes(*ctx.saved)
    ### END SOLUTION

@gradient(Permute)
def permute_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    (dims,) = ctx.saved
    return g.transpose(np.argsort([dim % g.ndim for dim in dims]))
    ### END SOLUTION

@gradient(Slice)
def slice_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    shape, index = ctx.saved
    grad = np.zeros(shape, g.dtype)
    if selects_once(index):
        grad[index] = g
    else:
        np.add.at(grad, index, g)
    return grad
    ### END SOLUTION

@gradient(Where)
def where_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    condition, a_shape, b_shape = ctx.saved
    return None, unbroadcast(np.where(condition, g, 0), a_shape), unbroadcast(np.where(condition, 0, g), b_shape)
    ### END SOLUTION

@gradient(MaskedFill)
def masked_fill_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    mask, shape = ctx.saved
    return unbroadcast(np.where(mask, 0, g), shape), None
    ### END SOLUTION

# %% [markdown]
# ## 8. Reductions
#
# A sum passes its gradient to every element that went into it, a mean an n-th of it. Put the reduced dimensions back as
# length 1 (`with_axes`, above), then `np.broadcast_to` the input's shape: it is stored once and *read* n times. The
# maximum passes everything to the largest element; if there are several, they share equally, as in PyTorch's `amax`.
#
# **Exercise `reduction_gradients`.** Write the three rules. Sum and Mean saved the input's shape, axis and keepdims;
# Max its input, its result with the dimensions kept, axis and keepdims.

# %% exercise="reduction_gradients" points=3 task="send the gradient of a result to the elements that it came from"
@gradient(Sum)
def sum_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    shape, axis, keepdims = ctx.saved
    return np.broadcast_to(with_axes(g, axis, keepdims), shape)
    ### END SOLUTION

@gradient(Mean)
def mean_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    shape, axis, keepdims = ctx.saved
    count = math.prod(shape) / max(g.size, 1)
    return np.broadcast_to(with_axes(g / count, axis, keepdims), shape)
    ### END SOLUTION

@gradient(Max)
def max_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    x, y, axis, keepdims = ctx.saved
    largest = x == y
    return with_axes(g, axis, keepdims) * largest / largest.sum(axis=axis, keepdims=True, dtype=x.dtype)
    ### END SOLUTION

# %%
assert grad_check(lambda x: x.permute(2, -3, 1).reshape(4, -1)[1:].transpose(0, 1), [doubles(2, 3, 4)])
assert grad_check(lambda x: x[[0, 2, 0]] * x.masked_fill(np.eye(3, 4) > 0, 0.5), [doubles(3, 4)])
assert grad_check(lambda x: x.mean(axis=(0, 2)) - x.sum(axis=1).max() * x.max(axis=-1).mean(), [doubles(2, 3, 4)])

# %% [markdown]
# ## 9. Activations
#
# Module 02 has named the slopes, and what its forwards save:
#
# | operation | saved | gradient |
# |---|---|---|
# | ReLU | y | g where y > 0, else 0 |
# | Sigmoid | y | g y (1 - y) |
# | Tanh | y | g (1 - y²) |
# | Softmax | p, dim | p (g - Σ g p), the sum along dim, dimensions kept |
# | LogSoftmax | y, dim | g - eʸ Σ g |
# | GELU | x, c, approximate | g (c + x c′) |
#
# The c of the exact GELU is Φ(x), whose slope c′ is the bell curve e^(-x²/2) / √(2π). That of the approximation is
# (1 + tanh u) / 2 with u = √(2/π) (z + 0.044715 z³) and z = x clipped to [-10, 10]. Since tanh u = 2c - 1, and the
# slope of tanh is 1 - tanh², c′ = 2c (1 - c) u′ with u′ = √(2/π) (1 + 3 · 0.044715 z²). The clip keeps z² finite.
#
# **Exercise `activation_gradients`.** Write the six rules.

# %% exercise="activation_gradients" points=3 task="return g times the slope, by the table"
@gradient(ReLUOp)
def relu_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    return np.where(ctx.saved[0] > 0, g, 0)
    ### END SOLUTION

@gradient(SigmoidOp)
def sigmoid_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    (y,) = ctx.saved
    return g * y * (1 - y)
    ### END SOLUTION

@gradient(TanhOp)
def tanh_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    (y,) = ctx.saved
    return g * (1 - y * y)
    ### END SOLUTION

@gradient(SoftmaxOp)
def softmax_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    p, dim = ctx.saved
    return p * (g - (g * p).sum(axis=dim, keepdims=True))
    ### END SOLUTION

@gradient(LogSoftmaxOp)
def log_softmax_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    y, dim = ctx.saved
    return g - np.exp(y) * g.sum(axis=dim, keepdims=True)
    ### END SOLUTION

@gradient(GELUOp)
def gelu_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    ### BEGIN SOLUTION
    x, c, approximate = ctx.saved
    if approximate == "none":
        slope = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    else:
        z = np.clip(x, -10, 10)
        slope = 2 * c * (1 - c) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z * z)
    return g * (c + x * slope)
    ### END SOLUTION

# %% [markdown]
# ## 10. Losses
#
# The cross-entropy of a row is log Σ eˣ - x[target], and the slope of the log-sum-exp is the softmax p. So its gradient
# is p, minus 1 at the target: p = (0.2, 0.8) with target 0 gives (-0.8, 0.8). Each class hears by how much its
# probability is too high. With label smoothing s, the 1 is 1 - s, and all C classes lose s/C.
#
# | operation | saved | gradient of the input | of the target |
# |---|---|---|---|
# | SquaredErrorOp | d = input - target | 2 g d | -2 g d |
# | CrossEntropyOp | p, target, kept, s | as above, each row times its g | None |
# | BCEOp | x, t | g (x - t) / (x (1 - x)), denominator at least 1e-12 | g (log(1 - x) - log x), logs at least -100 |
# | BCEWithLogitsOp | x, t | g (σ(x) - t) | -g x |
#
# **Exercise `loss_gradients`.** Write the four rules. For σ, module 02's `SigmoidOp.forward(Context(), x)` is safe for
# all x. Don't write into the saved p: whoever retains the graph needs it again. Rows not kept get 0, even if p is NaN.

# %% exercise="loss_gradients" points=4 task="return the gradients of input and target, by the table"
@gradient(SquaredErrorOp)
def squared_error_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    grad = 2 * g * ctx.saved[0]
    return grad, -grad
    ### END SOLUTION

@gradient(CrossEntropyOp)
def cross_entropy_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    p, target, kept, smoothing = ctx.saved
    grad = p - smoothing / p.shape[1]
    grad[np.arange(len(target)), target] -= 1 - smoothing
    grad *= g[:, None]
    grad[~kept] = 0  # a product with kept would leave NaN
    return grad, None
    ### END SOLUTION

@gradient(BCEOp)
def bce_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    x, t = ctx.saved
    grad = g * (x - t) / np.maximum(x * (1 - x), 1e-12)
    return grad, g * (np.maximum(np.log(1 - x), -100) - np.maximum(np.log(x), -100))
    ### END SOLUTION

@gradient(BCEWithLogitsOp)
def bce_with_logits_gradient(ctx: Context, g: np.ndarray) -> tuple:
    ### BEGIN SOLUTION
    x, t = ctx.saved
    return g * (SigmoidOp.forward(Context(), x) - t), -g * x
    ### END SOLUTION

# %%
from tinytorch.core import activations, losses
for activation in (*map(activations.GELU, ("none", "tanh")), activations.Softmax(-1), activations.LogSoftmax(0)):
    assert grad_check(activation, [doubles(3, 4)])
for loss in (losses.MSELoss(), losses.BCEWithLogitsLoss()):
    assert grad_check(loss, [doubles(3), doubles(3)])
assert grad_check(lambda x: losses.CrossEntropyLoss(label_smoothing=0.1)(x, Tensor([1, 0])), [doubles(2, 3)])
scores = Tensor([math.log(0.2), math.log(0.8)], requires_grad=True)
backward(losses.CrossEntropyLoss()(scores, Tensor(0)))
assert np.allclose(scores.grad.numpy(), [-0.8, 0.8])

# %% [markdown]
# ## 11. When nobody will ask
#
# Evaluating a network needs no gradients, but every result keeps its node, and with it all that was saved. The switch
# is `Function.recording`, from module 01.
#
# **Exercise `no_grad`.** Write the body of the generator: up to `yield` happens at the beginning of a `with` block, the
# rest at its end. It restores what `recording` *was*, also after an error: inside another `no_grad` it stays off.
# (`contextmanager` also makes `@no_grad()`, above a function.)

# %% exercise="no_grad" points=2 task="switch Function.recording off, yield, and restore it whatever happens"
@contextmanager
def no_grad() -> Iterator[None]:
    """Inside the block, or the function that this decorates, results do not record how they were computed."""
    ### BEGIN SOLUTION
    before = Function.recording
    Function.recording = False
    try:
        yield
    finally:
        Function.recording = before
    ### END SOLUTION

# %%
with no_grad():
    assert not (x * 2).requires_grad

# %% [markdown]
# ## 12. What does it cost?
#
# Time: a backward pass computes twice as much as a forward one. Memory: what was saved stays until its turn, so the
# graph grows with the depth, O(n), and without recording it doesn't. What if that is too much? Save less, and compute
# it again: `Checkpoint` runs a block of layers without recording, keeps its input alone, and runs it once more at its
# turn. With blocks of √n layers the memory is O(√n), and the price one more forward pass (Chen and others, *Training
# Deep Nets with Sublinear Memory Cost*, 2016). (Our nodes keep their input tensors too, saved or not; PyTorch's don't.)

# %%
from tinytorch import measure

class Checkpoint(Function):
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, block: Callable[[Tensor], Tensor]) -> np.ndarray:
        ctx.save(x, block)
        with no_grad():
            return block(Tensor(x)).data

@gradient(Checkpoint)
def checkpoint_gradient(ctx: Context, g: np.ndarray) -> np.ndarray:
    array, block = ctx.saved
    x = Tensor(array, requires_grad=True)
    backward(block(x), g)  # the block's weights get their gradients here
    return x.grad.data

x = Tensor(rng.standard_normal((256, 512), dtype=np.float32), requires_grad=True)
weights = [Tensor(rng.normal(0, 0.06, (512, 512)).astype(np.float32), requires_grad=True) for _ in range(16)]

def layers(x: Tensor, first: int, last: int) -> Tensor:
    for weight in weights[first:last]:
        x = activations.ReLU()(x @ weight.T)
    return x

def blocks(x: Tensor, depth: int, size: int = 4) -> Tensor:
    for first in range(0, depth, size):
        x = Checkpoint.apply(x, block=lambda x, first=first: layers(x, first, first + size))
    return x

rows = []
for depth in (4, 8, 16):
    for name, run in {"all": lambda: layers(x, 0, depth), "block inputs": lambda: blocks(x, depth)}.items():
        times = map(measure.duration, (measure.time(run), measure.time(lambda: backward(run().sum()))))
        with no_grad():
            free = measure.allocation(run).kept
        sizes = map(measure.memory, (measure.allocation(run).kept, free))
        rows.append([depth, name, *times, *sizes])
measure.table(["layers", "graph keeps", "forward", "and backward", "memory", "in no_grad"], rows)

# %% [markdown]
# What you have now is the heart of every framework. Module 07 takes the step that the gradients point out.
