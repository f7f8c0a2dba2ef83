# %% [markdown]
# # Module 01: Tensor
#
# What is a neural network made of? Multiplications and additions, on a great many numbers at once. A *tensor* is those
# numbers: a block of memory, and a description of how to walk through it. Here you build one, with PyTorch's names, on
# top of NumPy's arrays, together with the eighteen operations that later modules consist of. In module 06 each of them
# receives its derivative, and no line that you write here will have to change.

# %% tags=["export"]
from __future__ import annotations

from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

# %% [markdown]
# ## 1. Numbers have a type
#
# How many bytes is a number? NumPy stores Python's `0.1` in 8 (float64, about 16 digits). Training needs fewer digits,
# so PyTorch stores it in 4 (float32, about 7): ten million weights are 40 MB instead of 80. Its rule becomes ours:
# Python floats become float32, Python ints int64, Python bools bool. NumPy arrays and NumPy scalars keep their dtype,
# since somebody chose it. Text, `None`, complex numbers and ints of more than 64 bits are a TypeError.
#
# And which dtype has `a + b`? There are three *kinds*: bool, then integers, then floats.
#
# 1. If the kinds differ, the higher kind decides: int64 with float32 is float32.
# 2. If they are the same, a Python number gives way: float32 times `2.0` stays float32, int8 plus `1` stays int8. An
#    `np.float64`, such as `np.sqrt(2.0)`, is a float to Python's `isinstance`, and gives way too, as in PyTorch.
# 3. Two arrays of one kind meet in the smallest dtype that holds both, `np.promote_types`.
#
# NumPy's own first rule differs, and would double the memory of all that follows:

# %%
assert [10_000_000 * np.dtype(name).itemsize for name in ("float64", "float32")] == [80_000_000, 40_000_000]
assert (np.ones(1, np.int64) + np.ones(1, np.float32)).dtype == np.float64
assert np.promote_types(np.int8, np.int32) == np.int32

# %% [markdown]
# **Exercise `dtypes`.** Turn `data` into an array by these rules, and find the dtype in which two operands meet.
# *Hint:* `array.dtype.kind` is "b" for bool, "i" or "u" for integers, "f" for floats, and something else for the rest.

# %% exercise="dtypes" points=3 task="turn data into an array with PyTorch's dtype, and find the dtype of two operands"
RANK = {"b": 0, "u": 1, "i": 1, "f": 2}  # bool < integers < floats
DEFAULT_DTYPE = {"b": np.bool_, "i": np.int64, "f": np.float32, "u": np.uint64}  # "u": ints too large for int64
PYTHON_NUMBER = (int, float)  # for isinstance; a bool is an int, an np.float64 is a float
FROM_NUMPY = (np.ndarray, np.generic)

def as_array(data: Any, dtype: Any = None) -> np.ndarray:
    """`data` as an array of real numbers or booleans.

    An array keeps its memory (nothing is copied) and its dtype; Python numbers, also nested in lists, get PyTorch's
    default. A `dtype` that is given overrides both.
    Raises: TypeError, saying 'number' or 'bool', if the data or the asked dtype holds anything but these.
    """
    ### BEGIN SOLUTION
    array = np.asarray(data)
    if array.dtype.kind not in RANK or np.dtype(dtype).kind not in RANK:  # np.dtype(None) is float64
        raise TypeError(f"a tensor holds real numbers or booleans, got {array.dtype} for dtype={dtype}")
    if dtype is None and not isinstance(data, FROM_NUMPY):
        dtype = DEFAULT_DTYPE[array.dtype.kind]
    return np.asarray(array, dtype)
    ### END SOLUTION

def common_dtype(a: Any, b: Any) -> np.dtype:
    """The dtype in which `a` and `b` meet; each is an array or a Python number."""
    ### BEGIN SOLUTION
    left, right = as_array(a).dtype, as_array(b).dtype
    if RANK[left.kind] != RANK[right.kind]:
        return left if RANK[left.kind] > RANK[right.kind] else right
    if isinstance(b, PYTHON_NUMBER):
        return left
    if isinstance(a, PYTHON_NUMBER):
        return right
    return np.promote_types(left, right)
    ### END SOLUTION

# %% [markdown]
# ## 2. The shape of an operation
#
# Why not write `def add(a, b): return a + b`? Because module 06 will ask of a number that came out of a long
# computation: which operation made you, from which inputs, and what did it remember? So each operation is a small class
# with a function `forward`, from arrays to an array. What its derivative will need, it puts aside with `ctx.save(...)`:
# references, not copies, so saving costs nothing.
#
# `Function.apply` does the rest: it takes the arrays out of the tensors, runs `forward`, and wraps the result. If an
# input requires a gradient, so does the result, and it carries a `Node` with the three answers. A chain of such nodes
# is all that the "graph" of module 06 will be. This code is given; read it, since all of yours runs in it.

# %% tags=["export"]
class Context:
    """What one run of an operation keeps for its derivative."""

    saved: tuple = ()

    def save(self, *values: Any) -> None:
        self.saved = values

class Node(NamedTuple):
    """How a tensor came to be."""

    function: type[Function]
    context: Context
    inputs: tuple  # as they were given: Tensors, arrays or Python numbers

class Function:
    """One differentiable operation: `forward(ctx, *arrays, **options)` in each derived class, and `apply` for all."""

    recording = True  # module 06 switches this off where nobody will ask for gradients

    @classmethod
    def arrays(cls, *operands: Any) -> tuple[np.ndarray, ...]:
        """What `forward` gets for these operands."""
        return tuple([x.data if isinstance(x, Tensor) else as_array(x) for x in operands])

    @classmethod
    def apply(cls, *operands: Any, **options: Any) -> Tensor:
        """Run the operation on Tensors, arrays or Python numbers; options (`axis`, `shape`, ...) go to `forward`."""
        ctx = Context()
        with np.errstate(all="ignore"):  # 1 / 0 is inf and 0 / 0 is nan, without a warning, as in PyTorch
            data = cls.forward(ctx, *cls.arrays(*operands), **options)
        if not isinstance(data, FROM_NUMPY):
            raise TypeError(f"{cls.__name__}.forward: should return an array, not a {type(data).__name__}")
        result = wrap(data)
        if Function.recording:
            for x in operands:
                if isinstance(x, Tensor) and x.requires_grad:
                    result.requires_grad = True
                    result._node = Node(cls, ctx, operands)
                    break
        return result

def wrap(data: np.ndarray) -> Tensor:
    """A Tensor around an array that is known to be a good one: without the constructor's checks."""
    tensor = Tensor.__new__(Tensor)
    tensor.data = np.asarray(data)  # where NumPy answers with a scalar, an array without dimensions
    return tensor

def promoted(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    """The arrays of two operands (Tensors, arrays, Python numbers), in the dtype in which they meet."""
    a = a.data if isinstance(a, Tensor) else a
    b = b.data if isinstance(b, Tensor) else b
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.dtype == b.dtype:
        return a, b
    dtype = common_dtype(a, b)
    return np.asarray(a, dtype), np.asarray(b, dtype)

def compared(compare: np.ufunc, a: Tensor, b: Any) -> Any:
    """A boolean Tensor; next to anything that holds no numbers, Python's own answer: `t == None` is False."""
    return wrap(compare(*promoted(a, b))) if isinstance(b, (Tensor, *PYTHON_NUMBER, *FROM_NUMPY)) else NotImplemented

def to_float(x: np.ndarray) -> np.ndarray:
    """`x` itself if it holds floats, else as float32."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)

def unpacked(sizes: tuple) -> tuple:
    """`(2, 3)` from both `f(2, 3)` and `f((2, 3))`, since PyTorch allows both."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes

def plain_index(index: Any) -> Any:
    """An index for NumPy, with arrays in the place of Tensors."""
    if isinstance(index, tuple):
        return tuple(map(plain_index, index))
    return index.data if isinstance(index, Tensor) else index

# %% [markdown]
# ## 3. One block of memory, many shapes
#
# Memory has no rows and columns, only addresses. Where is element (i, j)? An array keeps a *stride* per dimension: how
# many elements to step for the next index. Element (i, j) lies i * stride[0] + j * stride[1] after the first. Six
# numbers, read as 2 rows of 3, have strides (3, 1), and element (1, 2) is the last: 1 * 3 + 2 * 1 = 5.
#
# The transpose of this matrix has shape (3, 2) and strides (1, 3). That is all there is to transposing: two entries
# change places, no number moves, and both arrays look at the same memory. The second is a *view* of the first. It costs
# the same for any size, and a write through one is seen through the other.

# %%
numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
assert numbers.ravel()[1 * 3 + 2 * 1] == numbers[1, 2] == 5
assert numbers.strides == (12, 4)  # NumPy counts in bytes, of which a float32 has 4; PyTorch counts in elements
assert numbers.T.strides == (4, 12) and np.shares_memory(numbers, numbers.T)

# %% [markdown]
# A tensor is *contiguous* if walking through it in index order, last index fastest, goes through memory one step at a
# time. Then its shape alone decides its strides: the last is 1, and each other is the product of the lengths to its
# right. Shape (2, 3, 4) has strides (12, 4, 1). A dimension of length 1 is never stepped along, so its stride may be
# anything; and a tensor without elements is contiguous.
#
# `view` promises another shape *without copying*. The transpose above gives the numbers in the order 0 3 1 4 2 5. No
# single stride walks that in memory, so there is no view of shape (6,): `view` raises a ValueError that says "not
# contiguous", where `reshape` quietly copies. (PyTorch's `view` accepts a few other stride patterns; ours doesn't.)
#
# **Exercise `strides`.** Write `stride`, `is_contiguous` and `view` below. `view` checks, then leaves the work to
# `self.reshape`, so that the result remembers where it came from. The rest is given, and names operations that you
# write section by section. Three things differ from PyTorch: `size` is a number, not a method; `numpy()` works for
# tensors that require a gradient too; and `Tensor(array)` shares the array's memory, as `torch.from_numpy` does.

# %% exercise="strides" points=3 task="give strides in elements, recognise what is contiguous, refuse to view the rest"
class Tensor:
    """An n-dimensional array of numbers that can remember how it was computed.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]) @ Tensor([1.0, 1.0])
    Tensor([3., 7.])
    """

    requires_grad: bool = False
    grad: Tensor | None = None  # filled in by backward()
    _node: Node | None = None  # how it was computed; None if it was given
    __array_ufunc__ = None  # so that `array + tensor` asks the tensor
    __hash__ = object.__hash__  # by identity, as in PyTorch: == compares elements, and can't tell tensors apart

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        with np.errstate(all="ignore"):  # 1e300 becomes inf in float32
            self.data = as_array(data.data if isinstance(data, Tensor) else data, dtype)
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(f"only floats can require a gradient, got {self.data.dtype}; pass dtype='float32'")
        self.requires_grad = requires_grad

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)
    nbytes = property(lambda self: self.data.nbytes)

    def stride(self) -> tuple[int, ...]:
        """How many elements to step for the next index, per dimension."""
        ### BEGIN SOLUTION
        return tuple([step // self.data.itemsize for step in self.data.strides])
        ### END SOLUTION

    def is_contiguous(self) -> bool:
        """Whether index order, last index fastest, is the order in memory."""
        ### BEGIN SOLUTION
        if self.size == 0:
            return True
        expected = 1
        for length, step in zip(reversed(self.shape), reversed(self.stride())):
            if length != 1 and step != expected:
                return False
            expected *= length
        return True
        ### END SOLUTION

    def view(self, *shape: int) -> Tensor:
        """The same memory in another shape; one length may be -1.

        Raises: ValueError, saying 'not contiguous', if the tensor isn't: only `reshape` may copy.
        """
        ### BEGIN SOLUTION
        if not self.is_contiguous():
            raise ValueError(f"view: shape {self.shape} with strides {self.stride()} is not contiguous; use reshape")
        return self.reshape(*shape)
        ### END SOLUTION

    # Shapes (section 4) and selection (section 9)
    def reshape(self, *shape: int) -> Tensor: return Reshape.apply(self, shape=unpacked(shape))
    def transpose(self, dim0: int, dim1: int) -> Tensor: return Transpose.apply(self, dim0=dim0, dim1=dim1)
    def permute(self, *dims: int) -> Tensor: return Permute.apply(self, dims=unpacked(dims))
    def masked_fill(self, mask: Any, value: float) -> Tensor: return MaskedFill.apply(self, mask, value=value)
    def __getitem__(self, index: Any) -> Tensor: return Slice.apply(self, index=plain_index(index))

    @property
    def T(self) -> Tensor:
        if self.ndim != 2:
            raise ValueError(f"T: expected 2 dimensions, got shape {self.shape}; use transpose(dim0, dim1)")
        return self.transpose(0, 1)

    # Arithmetic (section 6) and the matrix product (section 7). Of 2 - t, Python asks the 2 first, then t.__rsub__(2).
    def __add__(self, other: Any) -> Tensor: return Add.apply(self, other)
    def __sub__(self, other: Any) -> Tensor: return Sub.apply(self, other)
    def __mul__(self, other: Any) -> Tensor: return Mul.apply(self, other)
    def __truediv__(self, other: Any) -> Tensor: return Div.apply(self, other)
    def __pow__(self, other: Any) -> Tensor: return Pow.apply(self, other)
    def __matmul__(self, other: Any) -> Tensor: return MatMul.apply(self, other)
    def __radd__(self, other: Any) -> Tensor: return Add.apply(other, self)
    def __rsub__(self, other: Any) -> Tensor: return Sub.apply(other, self)
    def __rmul__(self, other: Any) -> Tensor: return Mul.apply(other, self)
    def __rtruediv__(self, other: Any) -> Tensor: return Div.apply(other, self)
    def __rpow__(self, other: Any) -> Tensor: return Pow.apply(other, self)
    def __rmatmul__(self, other: Any) -> Tensor: return MatMul.apply(other, self)
    def __neg__(self) -> Tensor: return Neg.apply(self)
    def exp(self) -> Tensor: return Exp.apply(self)
    def log(self) -> Tensor: return Log.apply(self)

    # Reductions (section 8): all elements, one axis, or a tuple of axes
    def sum(self, axis=None, keepdims=False) -> Tensor: return Sum.apply(self, axis=axis, keepdims=keepdims)
    def mean(self, axis=None, keepdims=False) -> Tensor: return Mean.apply(self, axis=axis, keepdims=keepdims)
    def max(self, axis=None, keepdims=False) -> Tensor: return Max.apply(self, axis=axis, keepdims=keepdims)

    # Comparisons: elementwise, boolean, without a gradient
    def __lt__(self, other: Any) -> Tensor: return compared(np.less, self, other)
    def __le__(self, other: Any) -> Tensor: return compared(np.less_equal, self, other)
    def __gt__(self, other: Any) -> Tensor: return compared(np.greater, self, other)
    def __ge__(self, other: Any) -> Tensor: return compared(np.greater_equal, self, other)
    def __eq__(self, other: Any) -> Tensor: return compared(np.equal, self, other)
    def __ne__(self, other: Any) -> Tensor: return compared(np.not_equal, self, other)

    # Out of the tensor
    def numpy(self) -> np.ndarray: return self.data  # not a copy
    def detach(self) -> Tensor: return wrap(self.data)  # the same memory; how it was computed is forgotten
    def __iter__(self): return iter([self[i] for i in range(len(self))])
    def __float__(self) -> float: return float(self.item())
    def __int__(self) -> int: return int(self.item())

    def item(self) -> bool | int | float:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ValueError(f"item: expected 1 element, got {self.size} in shape {self.shape}; index it first")
        return self.data.item()

    def backward(self, gradient: Any = None, retain_graph: bool = False) -> None:
        """Compute the gradients of all tensors that this one was computed from (module 06)."""
        from tinytorch.core import autograd

        autograd.backward(self, gradient, retain_graph)

    def __repr__(self) -> str:
        dtype = "" if self.data.dtype.name in ("float32", "int64", "bool") else f", dtype={self.data.dtype}"
        grad = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({np.array2string(self.data, separator=', ', prefix='Tensor(')}{dtype}{grad})"

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"bool: the truth of {self.size} elements is ambiguous; use .numpy().all() or .any()")
        return bool(self.item())

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len: a tensor of shape () has no first dimension")
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.data, dtype) if copy else np.asarray(self.data, dtype)

# %% [markdown]
# ## 4. New shapes without moving a number
#
# `reshape` keeps the order of the elements and cuts it into other lengths, one of which may be -1 for "what is left":
# six numbers as (-1, 2) are (3, 2). `transpose(dim0, dim1)` swaps two dimensions. `permute(dims)` puts all of them in
# a new order: dimension i of the result is dimension `dims[i]` of the input, so that an image (height, width, colour),
# permuted by (2, 0, 1), is (colour, height, width). A reshape is no transpose, even where the shapes agree:

# %%
assert numbers.reshape(-1, 2).tolist() == [[0, 1], [2, 3], [4, 5]]
assert numbers.T.tolist() == [[0, 3], [1, 4], [2, 5]]
assert np.zeros((5, 7, 3)).transpose(2, 0, 1).shape == (3, 5, 7)

# %% [markdown]
# To be undone, a reshape must know the shape it came from, and the others their dimensions. Each docstring says what
# its operation saves, in this order, because module 06 will unpack it.
#
# **Exercise `shapes`.** Write the three forwards. They copy nothing where a view will do; dimensions may be negative.

# %% exercise="shapes" points=2 task="return x in its new shape, a view where possible, and save what undoing it needs"
class Reshape(Function):
    """The elements of x, in order, in another shape of the same size (else: ValueError). Saves: x.shape."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(x.shape)
        return x.reshape(shape)
        ### END SOLUTION

class Transpose(Function):
    """x with dimensions dim0 and dim1 swapped. Saves: dim0, dim1."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, dim0: int, dim1: int) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(dim0, dim1)
        return x.swapaxes(dim0, dim1)
        ### END SOLUTION

class Permute(Function):
    """x with its dimensions in the order `dims`. Saves: dims."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(dims)
        return x.transpose(dims)
        ### END SOLUTION

# %% [markdown]
# ## 5. Broadcasting
#
# How do you add a row of 4 biases to each of 3 rows? Nobody copies it three times. Write the shapes under each other,
# flush right. Two lengths fit if they are equal, or if one of them is 1 or missing; the result has the other.
#
#     a       (3, 1)
#     b          (4,)
#     a + b   (3, 4)
#
# What is repeated is not stored: the stride of that dimension is 0, so every step stays in place.

# %%
column, row = np.array([[0.0], [10.0], [20.0]]), np.array([1.0, 2.0, 3.0, 4.0])
assert (column + row).shape == (3, 4) and (column + row)[2, 3] == 20 + 4
assert np.broadcast_to(row, (3, 4)).strides == (0, 8)

# %% [markdown]
# Most shape mistakes begin here: predictions (100, 1) minus targets (100,) give a table (100, 100), without complaint.
# When shapes don't fit at all, the error should name both.
#
# **Exercise `broadcasting`.** Return the shape in which two shapes meet, or raise a ValueError that names both.
# *Hint:* `zip_longest(..., fillvalue=1)` pads the end, so walk both from the right; turn the result round at the end.

# %% exercise="broadcasting" points=2 task="return the shape that two shapes broadcast to"
def broadcast_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of x + y, for x of shape `a` and y of shape `b`.

    Raises: ValueError, naming both shapes, if two lengths differ and neither is 1.
    """
    ### BEGIN SOLUTION
    shape = []
    for m, n in zip_longest(reversed(a), reversed(b), fillvalue=1):
        if m != n and m != 1 and n != 1:
            raise ValueError(f"shapes {a} and {b} do not broadcast: from the right, {m} meets {n}, and neither is 1")
        shape.append(n if m == 1 else m)
    return tuple(reversed(shape))
    ### END SOLUTION

# %% tags=["export"]
class Elementwise(Function):
    """An operation on two operands, which are brought to one dtype and whose shapes must broadcast."""

    @classmethod
    def arrays(cls, a: Any, b: Any) -> tuple[np.ndarray, ...]:
        a, b = promoted(a, b)
        if a.shape != b.shape:
            broadcast_shape(a.shape, b.shape)  # for its error; NumPy does the broadcasting
        return a, b

# %% [markdown]
# ## 6. Arithmetic, element by element
#
# NumPy computes; you decide what to save. What will the derivative need? For a sum only the shapes, since an input that
# was broadcast gets its gradient back in its own shape. For a product both factors, since a * b changes b times as fast
# as a. For eˣ its own result. Saving is free, but it keeps the array alive until the gradient has been computed; that
# is where the memory of training goes.
#
# For integers, `/`, `exp` and `log` answer in float32, which is what `to_float` is for. No operation changes its input.
#
# **Exercise `arithmetic`.** Write the eight forwards.

# %% exercise="arithmetic" points=4 task="return the result, element by element, and save what its derivative needs"
class Add(Elementwise):
    """a + b. Saves: a.shape, b.shape."""
    @staticmethod
    def forward(ctx: Context, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(a.shape, b.shape)
        return a + b
        ### END SOLUTION

class Sub(Elementwise):
    """a - b. Saves: a.shape, b.shape."""
    @staticmethod
    def forward(ctx: Context, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(a.shape, b.shape)
        return a - b
        ### END SOLUTION

class Mul(Elementwise):
    """a * b. Saves: a, b."""
    @staticmethod
    def forward(ctx: Context, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(a, b)
        return a * b
        ### END SOLUTION

class Div(Elementwise):
    """a / b. Saves: a, b, as floats."""
    @staticmethod
    def forward(ctx: Context, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        a, b = to_float(a), to_float(b)
        ctx.save(a, b)
        return a / b
        ### END SOLUTION

class Neg(Function):
    """-x. Saves nothing."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        return -x
        ### END SOLUTION

class Pow(Elementwise):
    """a ** b. Saves: a, b, the result."""
    @staticmethod
    def forward(ctx: Context, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        y = a**b
        ctx.save(a, b, y)
        return y
        ### END SOLUTION

class Exp(Function):
    """e to the power of x. Saves: the result."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        y = np.exp(to_float(x))
        ctx.save(y)
        return y
        ### END SOLUTION

class Log(Function):
    """The natural logarithm of x. Saves: x, as floats."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        x = to_float(x)
        ctx.save(x)
        return np.log(x)
        ### END SOLUTION

# %% [markdown]
# ## 7. The matrix product
#
# Where does the time of a neural network go? Nearly all of it here. For A of shape (M, K) and B of shape (K, N),
# element (i, j) of A @ B is row i of A times column j of B, added up. For row (1, 2) and column (5, 7): 1*5 + 2*7 = 19.

# %%
assert (np.array([[1, 2], [3, 4]]) @ np.array([[5, 6], [7, 8]])).tolist() == [[19, 22], [43, 50]]

# %% [markdown]
# A vector counts as a row at the left and as a column at the right, and that dimension is dropped from the result.
# Dimensions before the last two are a batch, and broadcast: (8, 3, 4) @ (4, 5) is (8, 3, 5). NumPy's `@` does all this,
# and explains little when the columns of a are not as many as the rows of b. That error is the one you will see most
# often in the whole course, so make it a good one: name both shapes, and offer the transpose of b where it would fit.
#
# **Exercise `matmul`.** Check the shapes, then multiply.

# %% exercise="matmul" points=3 task="check that columns of a and rows of b agree, save both, and return a @ b"
class MatMul(Function):
    """a @ b. Saves: a, b.

    Shapes: a (..., M, K) or (K,); b (..., K, N) or (K,).
    Raises: ValueError, naming both shapes (and right.T, if b is a matrix and that would fit), if the two K differ;
    ValueError, naming both shapes, if an operand has no dimensions.
    """
    @classmethod
    def arrays(cls, a: Any, b: Any) -> tuple[np.ndarray, ...]:
        return promoted(a, b)

    @staticmethod
    def forward(ctx: Context, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        if a.ndim == 0 or b.ndim == 0:
            raise ValueError(f"matmul: expected at least 1 dimension each, got shapes {a.shape} and {b.shape}; use *")
        columns, rows = a.shape[-1], b.shape[-2:][0]  # a vector b has one length, and it counts as rows
        if columns != rows:
            hint = "; did you mean right.T?" if b.ndim == 2 and columns == b.shape[1] else ""
            raise ValueError(f"matmul: left {a.shape} has {columns} columns, right {b.shape} has {rows} rows{hint}")
        ctx.save(a, b)
        return a @ b
        ### END SOLUTION

# %% [markdown]
# ## 8. Reductions
#
# A loss is one number, computed from thousands. `sum`, `mean` and `max` reduce all elements, or those along an `axis`,
# or along a tuple of axes. The axis disappears, unless `keepdims` keeps it with length 1; then the result broadcasts
# against its input, and each row can be divided by its sum.

# %%
table = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
assert table.sum(axis=0).tolist() == [5, 7, 9]
assert table.sum(axis=1, keepdims=True).tolist() == [[6], [15]]

# %% [markdown]
# PyTorch calls these arguments `dim` and `keepdim`, and accepts NumPy's names `axis` and `keepdims`, the only ones
# here. As in PyTorch, the sum of integers or booleans is int64, and their mean an error: a TypeError, since nobody can
# say in which dtype it should be. `max` returns the values only, as PyTorch's `amax` does.
#
# **Exercise `reductions`.** Write the three forwards. `Max` saves its result as if `keepdims` were True, so that module
# 06 can find the largest elements by comparing.

# %% exercise="reductions" points=3 task="reduce x along axis, with PyTorch's dtypes"
class Sum(Function):
    """The sum along `axis`. Saves: x.shape, axis, keepdims."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(x.shape, axis, keepdims)
        return x.sum(axis=axis, keepdims=keepdims, dtype=x.dtype if x.dtype.kind == "f" else np.int64)
        ### END SOLUTION

class Mean(Function):
    """The mean along `axis`. Saves: x.shape, axis, keepdims. Raises: TypeError, saying 'float', if x has none."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
        ### BEGIN SOLUTION
        if x.dtype.kind != "f":
            raise TypeError(f"mean: expected floats, got {x.dtype}; make it a float tensor first")
        ctx.save(x.shape, axis, keepdims)
        return x.mean(axis=axis, keepdims=keepdims)
        ### END SOLUTION

class Max(Function):
    """The largest element along `axis`. Saves: x, the result with its dimensions kept, axis, keepdims."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
        ### BEGIN SOLUTION
        y = x.max(axis=axis, keepdims=True)
        ctx.save(x, y, axis, keepdims)
        return y if keepdims else y.squeeze(axis)
        ### END SOLUTION

# %% [markdown]
# ## 9. Selection
#
# Indexing has a derivative too: what was selected gets a gradient, the rest zero. Numbers and slices give views; a
# list, an array or a boolean mask gives a copy. `where(condition, a, b)` takes each element from a or from b, and
# `masked_fill(mask, value)` puts one value wherever the mask is True. Filled with -inf, scores turn into probabilities
# of zero: so module 12 will keep attention from looking ahead.
#
# **Exercise `selection`.** Write the three forwards. Conditions and masks are booleans, and anything else is a
# TypeError that says 'bool'; `masked_fill` keeps the dtype of x.

# %% exercise="selection" points=3 task="select by index, by condition and by mask, and save what the derivative needs"
class Slice(Function):
    """x[index], with NumPy's rules for what an index is. Saves: x.shape, index."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, index: Any) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(x.shape, index)
        return x[index]
        ### END SOLUTION

class Where(Function):
    """a where the condition is True, else b. Saves: condition, a.shape, b.shape. Raises: TypeError if not boolean."""
    @classmethod
    def arrays(cls, condition: Any, a: Any, b: Any) -> tuple[np.ndarray, ...]:
        return *super().arrays(condition), *promoted(a, b)

    @staticmethod
    def forward(ctx: Context, condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        if condition.dtype != bool:
            raise TypeError(f"where: expected a boolean condition, got {condition.dtype}; compare first, as in x > 0")
        ctx.save(condition, a.shape, b.shape)
        return np.where(condition, a, b)
        ### END SOLUTION

class MaskedFill(Function):
    """x, with `value` wherever the mask is True. Saves: mask, x.shape. Raises: TypeError if not boolean."""
    @staticmethod
    def forward(ctx: Context, x: np.ndarray, mask: np.ndarray, value: float) -> np.ndarray:
        ### BEGIN SOLUTION
        if mask.dtype != bool:
            raise TypeError(f"masked_fill: expected a boolean mask, got {mask.dtype}; compare first, as in mask == 0")
        ctx.save(mask, x.shape)
        return np.where(mask, np.asarray(value, x.dtype), x)
        ### END SOLUTION

def where(condition: Any, input: Any, other: Any) -> Tensor:
    """Elements of `input` where the condition is True, of `other` elsewhere; all three broadcast."""
    return Where.apply(condition, input, other)

# %% [markdown]
# ## 10. What does it cost?
#
# A transpose only writes down two strides, O(1). To have its elements in order in memory they must be copied, O(n²) for
# an n x n matrix. Here is both, on your machine:

# %%
from tinytorch import measure

rng, rows = np.random.default_rng(0), []
for n in (128, 512, 2048):
    x = Tensor(rng.standard_normal((n, n), dtype=np.float32))
    view, copy = measure.time(x.transpose, 0, 1), measure.time(np.ascontiguousarray, x.T.numpy())
    rows.append([n, measure.memory(x.nbytes), measure.duration(view), measure.duration(copy)])
measure.table(["n", "matrix", "view, O(1)", "copy, O(n^2)"], rows, title="Transposing n x n floats")

# %% [markdown]
# Now the product. Each of the M*N elements takes K multiplications and K additions, 2*M*N*K floating point operations
# (FLOPs): 2n³ for square matrices. The three matrices are 3n² numbers, 12n² bytes. So a product does n/6 FLOPs for each
# byte that it must read or write, 85 at n = 512, whereas an addition does n² for the same bytes: a twelfth of a FLOP.

# %%
assert 2 * 512**3 / (12 * 512**2) == 512 / 6 > 85
rows = []
for n in (64, 128, 256, 512):
    a, b = (Tensor(rng.standard_normal((n, n), dtype=np.float32)) for _ in "ab")
    for name, operation, flops in (("a + b, O(n^2)", Add, n**2), ("a @ b, O(n^3)", MatMul, 2 * n**3)):
        seconds, nbytes = measure.time(operation.apply, a, b), 3 * a.nbytes
        rows.append([n, name, flops, flops / nbytes, measure.duration(seconds), flops / seconds / 1e9])
measure.table(["n", "operation", "FLOPs", "per byte", "time", "GFLOP/s"], rows, title="FLOPs and bytes")

# %% [markdown]
# The sum is limited by memory: its arithmetic waits for numbers to arrive. The product uses each number n times while
# it is near, and reaches many times the FLOPs per second. That is why networks are built from matrix products.
#
# What you have now computes anything that a network computes, forwards. Module 02 adds what must stand between two
# matrix products: without a nonlinear function, two of them are no more than one.
