# %% [markdown]
# # Module 02: Activations
#
# A linear layer multiplies by a matrix and adds a vector. What do two of them in a row compute? With plain numbers:
# first 2x + 1, then 3 times that minus 4, is 6x - 1. Two lines make a line, and a hundred layers make one layer:
# without something that bends between them, depth buys nothing. The same with matrices, x W V = x (WV):

# %% tags=["export"]
from __future__ import annotations

import math

import numpy as np

from tinytorch.core.tensor import Context, Function, Tensor, to_float

# %%
from tinytorch import measure  # small tables and timings, for the demonstrations only

rng = np.random.default_rng(2)
x, W, V = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(5, 2))
assert 3 * (2 * 5 + 1) - 4 == 6 * 5 - 1 == 29
assert np.allclose((x @ W) @ V, x @ (W @ V))

# %% [markdown]
# The functions that bend are the *activations*. This module builds six: four that treat each number by itself (ReLU,
# sigmoid, tanh, GELU), and two that turn a row of scores into probabilities (softmax) and their logarithms. The
# formulas take a line each. The work is in making them hold for *every* input: float32 ends near 3.4e38, which eˣ
# passes at x = 89, and a program that computes ∞/∞ on the way has lost, however harmless its formula looks.
#
# Every operation is a `Function`, as in module 01: `forward` takes arrays and returns an array, and `ctx.save` keeps
# what the gradient will ask for in module 06. That is worth planning now, because what is saved stays in memory until
# then.
#
# Floating-point input keeps its dtype everywhere. With integers we do what PyTorch does: ReLU keeps them (and reads
# booleans as 0 and 1, which PyTorch's refuses), sigmoid and tanh answer in float32 (`to_float`, from module 01), and
# GELU, softmax and log-softmax refuse them:

# %% tags=["export"]
def require_float(x: np.ndarray, name: str) -> None:
    """Raise TypeError, naming the operation, unless `x` holds floating-point numbers."""
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: expected floats, got {x.dtype}; make them so with Tensor(..., dtype='float32')")

# %% [markdown]
# ## 1. ReLU: the simplest bend
#
# max(x, 0): negative numbers become 0, the others pass. Is one corner enough to bend anything? The absolute value,
# which no straight line comes near, is two of them: |x| = relu(x) + relu(-x). For x = -3 that is 0 + 3.

# %%
assert max(-3, 0) + max(3, 0) == abs(-3)

# %% [markdown]
# How will its gradient work? The slope is 1 where x > 0 and 0 elsewhere, and the result tells where: it is positive
# exactly where x is. So save y and not x. Both are as large, but the next layer keeps y anyway, as its input, and two
# names for one array cost nothing.
#
# One input deserves a thought: NaN, "not a number", which is how a mistake further up shows itself. Every comparison
# with NaN is false, so a ReLU that asks `x > 0` and answers 0 otherwise makes the evidence disappear. Let it through.
#
# **Exercise `relu_forward`.** Return max(x, 0) for each element, in a new array of the same shape and dtype; NaN stays
# NaN. Save the result.

# %% exercise="relu_forward" points=1 task="return max(x, 0) for each element, and save it"
class ReLUOp(Function):
    """max(x, 0) for each element; integers stay integers. Saves: the result.

    Source: Nair and Hinton, *Rectified linear units improve restricted Boltzmann machines* (2010).
    """

    @staticmethod
    def forward(ctx: Context, x: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        y = np.maximum(x, 0)  # of a number and NaN, maximum takes NaN
        ctx.save(y)  # the slope is 1 where y > 0, else 0
        return y
        ### END SOLUTION

# %% [markdown]
# An operation works on arrays. What a network holds is an object that one calls with a `Tensor`, and `Function.apply`
# is the bridge between the two. PyTorch's `nn.ReLU` can also overwrite its input (`inplace=True`); ours cannot, since
# whoever still needs that input, a gradient for instance, would read something else.

# %% tags=["export"]
class ReLU:
    """max(x, 0) for each element of a Tensor: `torch.nn.ReLU` without `inplace`."""

    def __call__(self, x: Tensor) -> Tensor:
        return ReLUOp.apply(x)

    def __repr__(self) -> str:
        return "ReLU()"

# %%
assert ReLU()(Tensor([-2.0, 3.0])).numpy().tolist() == [0.0, 3.0]
assert not math.nan > 0 and np.isnan(ReLU()(Tensor(math.nan)).numpy())

# %% [markdown]
# ## 2. Sigmoid: a probability from one number
#
# "Is this a cat?" wants an answer between 0 and 1. σ(x) = 1 / (1 + e⁻ˣ) gives one for any real x: σ(0) is a half, σ(2)
# = 1 / (1 + 0.1353) = 0.8808, and σ(-2) = 0.1192. The last two add up to one: σ(-x) = 1 - σ(x).

# %%
assert abs(np.exp(-2) - 0.1353) < 5e-5
assert abs(1 / (1 + np.exp(-2)) - 0.8808) < 5e-5 and abs(1 / (1 + np.exp(2)) - 0.1192) < 5e-5

# %% [markdown]
# Now x = -1000. e¹⁰⁰⁰ is past the end of float32 and of float64 (which reaches 1.8e308), so it overflows to ∞, and the
# 1/∞ = 0 that comes out is right by luck. Multiply the fraction by eˣ above and below, and it reads eˣ / (eˣ + 1). That
# one is perfect at -1000, and at +1000 it is ∞/∞, which is NaN. The two forms are the same function, and each is safe
# on one side:
#
# | | x = -1000 | x = 1000 |
# |---|---|---|
# | 1 / (1 + e⁻ˣ) | 1/∞ = 0, with an overflow | 1 / (1 + 0) = 1 |
# | eˣ / (eˣ + 1) | 0 / (0 + 1) = 0 | ∞/∞ = NaN |

# %%
with np.errstate(over="ignore", invalid="ignore"):
    assert np.exp(1000.0) == np.inf and 1 / np.exp(1000.0) == 0 and np.isnan(np.exp(1000.0) / (np.exp(1000.0) + 1))

# %% [markdown]
# Inside `Function.apply` NumPy keeps quiet about overflows, as PyTorch does. But an overflow that happens not to matter
# hides the one that does, so this module's tests run `forward` with overflows as errors.
#
# **Exercise `sigmoid_forward`.** Return σ(x) for each element, without an overflow for any x. Small results must not be
# rounded to zero: σ(-20) is 2.06e-9, not 0. With s = σ(x) the slope is s (1 - s), so save the result.
#
# <details><summary>Hint</summary>
#
# In both forms the denominator that is safe is 1 + e to the power of -|x|. The numerator is 1 on one side and eˣ on the
# other: that is e to the power of whichever is smaller, x or 0. `np.where` works too; it computes both sides for every
# element and then chooses, so both have to be safe everywhere.
#
# </details>

# %% exercise="sigmoid_forward" points=3 task="return 1 / (1 + exp(-x)) without overflow, and save it"
class SigmoidOp(Function):
    """1 / (1 + exp(-x)) for each element, for x of any size; integers become float32. Saves: the result."""

    @staticmethod
    def forward(ctx: Context, x: np.ndarray) -> np.ndarray:
        x = to_float(x)
        ### BEGIN SOLUTION
        y = np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))  # no exponent is above 0
        ctx.save(y)  # the slope is y (1 - y)
        return y
        ### END SOLUTION

# %% tags=["export"]
class Sigmoid:
    """1 / (1 + exp(-x)) for each element of a Tensor: `torch.nn.Sigmoid`."""

    def __call__(self, x: Tensor) -> Tensor:
        return SigmoidOp.apply(x)

    def __repr__(self) -> str:
        return "Sigmoid()"

# %%
assert Sigmoid()(Tensor([-1000.0, 0.0])).numpy().tolist() == [0.0, 0.5]

# %% [markdown]
# Why did ReLU replace it between layers? s (1 - s) is at most 1/4, at x = 0. A gradient that passes ten sigmoids
# shrinks to a millionth at best: 0.25¹⁰ = 9.5e-7. ReLU multiplies it by 1, or stops it.

# %%
s = np.linspace(0, 1, 1001)
assert (s * (1 - s)).max() == 0.25 and abs(0.25**10 - 9.5e-7) < 5e-9

# %% [markdown]
# ## 3. Tanh: the same curve, centred
#
# The outputs of a sigmoid are all positive, so the next layer's inputs are too. tanh(x) = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ) has
# the same shape between -1 and 1, in fact tanh(x) = 2σ(2x) - 1: for x = 1 that is 2 · 0.8808 - 1 = 0.7616.
#
# Should we compute it so? In exact arithmetic, yes. In float32, σ(2e-8) rounds to 0.5, and 2 · 0.5 - 1 = 0: all digits
# are gone, where tanh(1e-8) is 1e-8. Subtracting two nearly equal numbers keeps their errors and cancels the rest. And
# the formula with eˣ overflows. A library's function avoids both, so this exercise is for using one.

# %%
assert abs(2 / (1 + np.exp(-2)) - 1 - 0.7616) < 5e-5
tiny = np.array([1e-8], dtype=np.float32)
assert 2 / (1 + np.exp(-2 * tiny)) - 1 == 0 and np.tanh(tiny) == tiny

# %% [markdown]
# **Exercise `tanh_forward`.** Return tanh(x) for each element, exact for tiny x and without overflow for large. With t
# for the result the slope is 1 - t², so save the result.

# %% exercise="tanh_forward" points=1 task="return tanh(x) for each element, and save it"
class TanhOp(Function):
    """tanh(x) for each element; integers become float32. Saves: the result."""

    @staticmethod
    def forward(ctx: Context, x: np.ndarray) -> np.ndarray:
        x = to_float(x)
        ### BEGIN SOLUTION
        y = np.tanh(x)
        ctx.save(y)  # the slope is 1 - y²
        return y
        ### END SOLUTION

# %% tags=["export"]
class Tanh:
    """tanh(x) for each element of a Tensor: `torch.nn.Tanh`."""

    def __call__(self, x: Tensor) -> Tensor:
        return TanhOp.apply(x)

    def __repr__(self) -> str:
        return "Tanh()"

# %%
assert Tanh()(Tensor([-1000.0, 0.0])).numpy().tolist() == [-1.0, 0.0]

# %% [markdown]
# ## 4. GELU: a gate without a corner
#
# ReLU keeps x or drops it. GELU multiplies x by a number between 0 and 1, Φ(x): the part of a standard normal
# distribution that lies below x. Φ(1) = 0.8413, so GELU(1) = 0.8413, and GELU(-1) = -0.1587: small negative numbers
# leak through, and there is no corner where the slope jumps.
#
# NumPy has no function for Φ. Python's `math.erfc` is exact, but takes one number at a time; `normal_cdf` below calls
# it in a hidden loop. The other way out is PyTorch's `approximate="tanh"`, which GPT-2 was trained with: replace Φ by a
# tanh that runs close to it,
#
#     Φ(x) ≈ (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2
#
# For x = 1: √(2/π) = 0.7979, times 1.044715 is 0.8336, its tanh 0.6824, and (1 + 0.6824) / 2 = 0.8412.

# %% tags=["export"]
def normal_cdf(x: np.ndarray) -> np.ndarray:
    """Φ(x) for each element: the probability that a standard normal number is below x, as x's dtype.

    Φ(x) = erfc(-x / √2) / 2. The complementary error function keeps its digits where Φ is tiny; 1 + erf does not.
    """
    return np.vectorize(math.erfc, otypes=[x.dtype])(x * -math.sqrt(0.5)) / 2

# %%
assert np.allclose(normal_cdf(np.array([1.0, -1.0])), [0.8413, 0.1587], atol=5e-5)
assert abs(math.tanh(math.sqrt(2 / math.pi) * 1.044715) - 0.6824) < 5e-5 and abs((1 + 0.6824) / 2 - 0.8412) < 5e-5

# %% [markdown]
# The approximation has a trap for large x. In float32 x³ is infinite from x = 7e12 on, although tanh has long been 1.
# Outside [-10, 10] tanh's argument is above 43 in size, and the tanh of 20 is 1 to the last digit even in float64. So
# the cube may be taken of x clipped to [-10, 10], and the answer is the same.

# %%
assert math.sqrt(2 / math.pi) * (10 + 0.044715 * 10**3) > 43 and math.tanh(20) == 1

# %% [markdown]
# What does the gradient need? With c for Φ(x) or its approximation the result is x c, and the product rule gives the
# slope c + x c′. c′ follows from x (and from c, if it is the approximation). y alone is no help: GELU falls before it
# rises, so two different x have the same y. Save x, c, and which of the two c is.
#
# **Exercise `gelu_forward`.** Return x c, where c is Φ(x) for `approximate="none"` and the formula above for `"tanh"`,
# without an overflow for any finite x. Anything else is a ValueError that names both choices. Save x, c and
# `approximate`, in this order.
#
# <details><summary>Hint</summary>
#
# Clip once (`np.clip`), and write the cube as z * z * z. The last section shows what `z**3` would cost.
#
# </details>

# %% exercise="gelu_forward" points=3 task="return x times Φ(x), or times its approximation by tanh"
class GELUOp(Function):
    """x Φ(x) for each element, x finite. Saves: x, c (Φ(x) or its approximation), approximate.

    Source: Hendrycks and Gimpel, *Gaussian error linear units* (2016).
    """

    @staticmethod
    def forward(ctx: Context, x: np.ndarray, approximate: str = "none") -> np.ndarray:
        require_float(x, "GELU")
        ### BEGIN SOLUTION
        if approximate == "none":
            c = normal_cdf(x)
        elif approximate == "tanh":
            z = np.clip(x, -10, 10)  # z³ cannot overflow, and the tanh is ±1 beyond
            c = (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z * z * z))) / 2
        else:
            raise ValueError(f"GELU: approximate is {approximate!r}, expected 'none' or 'tanh'")
        ctx.save(x, c, approximate)  # the slope is c + x c′
        return x * c
        ### END SOLUTION

# %% tags=["export"]
class GELU:
    """x Φ(x) for each element of a Tensor: `torch.nn.GELU`, with `approximate` "none" (exact) or "tanh" (faster)."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def __call__(self, x: Tensor) -> Tensor:
        return GELUOp.apply(x, approximate=self.approximate)

    def __repr__(self) -> str:
        return f"GELU(approximate={self.approximate!r})"

# %% [markdown]
# How close is it? The two are nowhere further apart than 0.0005, and the curve follows ReLU except around zero.

# %%
x = np.linspace(-3, 1, 401)
exact, close = GELU()(Tensor(x)).numpy(), GELU("tanh")(Tensor(x)).numpy()
assert 0.0004 < np.abs(exact - close).max() < 0.0005
measure.plot({"GELU": np.stack([x, exact]), "ReLU": np.stack([x, np.maximum(x, 0)])}, title="GELU and ReLU", x="x")

# %% [markdown]
# ## 5. Softmax: from scores to probabilities
#
# A classifier ends with one score per class, any real number. To ask "how sure?" we need numbers that are positive and
# sum to one. Exponentiate, then divide by the sum: for the scores 1 and 2 that is e¹ / (e¹ + e²) = 2.718 / 10.107 =
# 0.269, and 0.731 for the other.

# %%
e1, e2 = np.exp(1.0), np.exp(2.0)
assert abs(e1 / (e1 + e2) - 0.269) < 5e-4

# %% [markdown]
# Only *differences* of scores matter: add 5 to both and the fraction is the same, since e⁵ cancels. That is a gift,
# because float32 ends near 3.4e38 and e⁸⁹ is already past it. Before exponentiating we may subtract whatever we like
# from a row, so we subtract its largest score: every exponent is then at most 0, and nothing overflows.

# %%
with np.errstate(over="ignore"):
    assert np.isinf(np.exp(np.float32(89)))
assert np.isclose(np.exp(6) / (np.exp(6) + np.exp(7)), e1 / (e1 + e2))

# %% [markdown]
# A score of -∞ is allowed, and useful: its probability is exactly 0. That is how attention will hide the future in
# module 12. (A row in which *every* score is -∞ has no softmax; the answer is NaN, as in PyTorch.)
#
# The gradient of one output depends on its whole row, and the outputs are all that it needs: with g for the gradient
# that arrives and p for the result, the one that leaves is p (g - Σ g p), summed along the same dimension. So save p
# and `dim`.
#
# **Exercise `softmax_forward`.** Return the softmax of `x` along `dim`, for scores of any size. `x` keeps its shape and
# dtype, and its values. Save the result and `dim`, in this order.

# %% exercise="softmax_forward" points=3 task="return the softmax of x along dim"
class SoftmaxOp(Function):
    """exp(x) / sum(exp(x)) along one dimension. Saves: the result, dim.

    Shapes: x any (..., C, ...), C at least 1; the result has the same shape, and sums to 1 along `dim`.
    Source: Bridle, *Probabilistic interpretation of feedforward classification network outputs* (1990).
    """

    @staticmethod
    def forward(ctx: Context, x: np.ndarray, dim: int) -> np.ndarray:
        require_float(x, "softmax")
        ### BEGIN SOLUTION
        y = np.exp(x - x.max(axis=dim, keepdims=True))  # exponents at most 0
        y /= y.sum(axis=dim, keepdims=True)
        ctx.save(y, dim)  # all that the gradient will need
        return y
        ### END SOLUTION

# %% tags=["export"]
class Softmax:
    """exp(x) / sum(exp(x)) of a Tensor along `dim`: `torch.nn.Softmax`.

    `dim` has to be given. PyTorch's default, None, guesses it, and warns that this is deprecated.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def __call__(self, x: Tensor) -> Tensor:
        return SoftmaxOp.apply(x, dim=self.dim)

    def __repr__(self) -> str:
        return f"Softmax(dim={self.dim})"

# %%
assert np.allclose(Softmax(dim=-1)(Tensor([1.0, 2.0])).numpy(), [0.269, 0.731], atol=5e-4)

# %% [markdown]
# How much does it cost? Five passes over the array: maximum, subtraction, exponential, sum, division. One would expect
# the exponential to dominate. Measure it: where NumPy computes eight or sixteen of them at a time, it costs no more
# than moving the numbers does, and the price of softmax is the number of its passes.

# %%
measure.cost("softmax", lambda x: SoftmaxOp.forward(Context(), x, -1), sizes=[2**10, 2**14, 2**18], per="element")

scores = rng.standard_normal((256, 256), dtype=np.float32)
parts = {
    "maximum": lambda: scores.max(axis=-1, keepdims=True),
    "subtraction": lambda: scores - scores[:, :1],
    "exponential": lambda: np.exp(scores),
    "sum": lambda: scores.sum(axis=-1, keepdims=True),
    "division": lambda: scores / scores[:, :1],
}
measure.table(
    ["pass", "per element"], [[name, measure.duration(measure.time(f) / scores.size)] for name, f in parts.items()]
)

# %% [markdown]
# ## 6. Log-softmax: when the logarithm is what counts
#
# The loss of module 04 is the logarithm of the probability that the network gave to the right class. Take the scores 0
# and 200. The first has the probability e⁻²⁰⁰ = 1.4e-87, float32 rounds that to 0, and the logarithm of 0 is -∞. Yet
# the answer is an ordinary number, -200. The way through the probability has lost it; do not take it. The logarithm of
# the fraction is a difference,
#
#     log(eˣ / Σ eˣ) = x - log Σ eˣ
#
# and the sum is made safe by the same shift as before, with m for the largest score: log Σ eˣ = m + log Σ eˣ⁻ᵐ, the
# *log-sum-exp*. The largest term of that sum is e⁰ = 1, so its logarithm is of a number from 1 to C, which neither
# overflows nor vanishes. For the scores 1000 and 1000 it is 1000 + log 2, where log(e¹⁰⁰⁰ + e¹⁰⁰⁰) is infinite.

# %%
assert abs(np.exp(-200.0) - 1.4e-87) < 5e-89 and np.float32(np.exp(-200.0)) == 0
assert 0 - (200 + np.log(np.exp(0.0 - 200) + np.exp(200.0 - 200))) == -200

# %% [markdown]
# **Exercise `log_softmax_forward`.** Return the logarithm of the softmax of `x` along `dim`, for scores of any size.
# The gradient is g - p Σ g with p = eʸ, so save the result and `dim`, in this order.

# %% exercise="log_softmax_forward" points=3 task="return the logarithm of the softmax of x along dim"
class LogSoftmaxOp(Function):
    """x - log(sum(exp(x))) along one dimension. Saves: the result, dim.

    Shapes: x any (..., C, ...), C at least 1; the result has the same shape, and is at most 0.
    """

    @staticmethod
    def forward(ctx: Context, x: np.ndarray, dim: int) -> np.ndarray:
        require_float(x, "log-softmax")
        ### BEGIN SOLUTION
        y = x - x.max(axis=dim, keepdims=True)
        y -= np.log(np.exp(y).sum(axis=dim, keepdims=True))  # the sum is at least 1
        ctx.save(y, dim)  # exp(y) is the softmax
        return y
        ### END SOLUTION

# %% tags=["export"]
class LogSoftmax:
    """log(softmax(x)) of a Tensor along `dim`: `torch.nn.LogSoftmax`, with `dim` required."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def __call__(self, x: Tensor) -> Tensor:
        return LogSoftmaxOp.apply(x, dim=self.dim)

    def __repr__(self) -> str:
        return f"LogSoftmax(dim={self.dim})"

# %%
assert LogSoftmax(dim=-1)(Tensor([0.0, 200.0])).numpy().tolist() == [-200.0, 0.0]

# %% [markdown]
# ## 7. What it costs
#
# All of them take O(n) time for n numbers: sixteen times the input, sixteen times the wait. What the O hides is the
# constant, and here the constants are two orders of magnitude apart. "Kept" is what stays in memory for the gradient
# beside the result, also O(n): nothing where the result is enough.

# %%
runs = {
    "ReLU": ReLUOp.forward,
    "Sigmoid": SigmoidOp.forward,
    "Tanh": TanhOp.forward,
    "GELU tanh": lambda ctx, x: GELUOp.forward(ctx, x, "tanh"),
    "GELU none": lambda ctx, x: GELUOp.forward(ctx, x, "none"),
    "Softmax": lambda ctx, x: SoftmaxOp.forward(ctx, x, -1),
    "LogSoftmax": lambda ctx, x: LogSoftmaxOp.forward(ctx, x, -1),
}
x = rng.standard_normal((256, 256), dtype=np.float32)
rows = []
for name, run in runs.items():
    ctx = Context()
    y = run(ctx, x)
    kept = sum(saved.nbytes for saved in ctx.saved if isinstance(saved, np.ndarray) and saved is not y)
    small, large = measure.time(run, ctx, x[:16]), measure.time(run, ctx, x)
    rows.append([name, "O(n)", measure.duration(large / x.size), f"{large / small:.1f}", f"{kept / x.size:g} B"])
headers = ["activation", "time", "per element", "16n / n", "kept per element"]
measure.table(headers, rows, title="float32, n = 65,536")

# %% [markdown]
# The hidden loop of the exact GELU pays for a Python call per element, which is why approximations of Φ are used at
# all; the others work on whole arrays. "16n / n" is below 16 where starting a NumPy call still weighs against 4,096
# elements.
#
# And the cube: NumPy multiplies for `z**2`, but every other integer power of floats goes through the general power
# function. Where this was written (x86-64 server, NumPy 2.4, November 2026), z * z * z took 0.3 ns per element and
# `z**3` took 43. On yours:

# %%
powers = {"z**2": lambda z: z**2, "z * z * z": lambda z: z * z * z, "z**3": lambda z: z**3}
measure.table(
    ["power", "per element"], [[name, measure.duration(measure.time(f, x) / x.size)] for name, f in powers.items()]
)

# %% [markdown]
# With layers from module 03 between them, these functions make networks that compute what no straight line can, XOR to
# begin with (milestone 02). Softmax comes back in module 12, where it decides what attention looks at.
