# %% [markdown]
# # Module 04: Losses
#
# A network answers 2.5 where 3 is right, and gives 10 % to the class that it should have found. How wrong is that?
# Training needs the answer as one number, which falls as the answers improve, and whose slope says where improvement
# lies. That number is the *loss*. This module builds four, with PyTorch's names: `MSELoss` for quantities,
# `CrossEntropyLoss` for one class out of many, `BCELoss` and `BCEWithLogitsLoss` for yes or no.
#
# The formulas fit on a line each. As in module 02, the work is to make them hold where a probability is too small for
# float32. And for language models, whose scores take more memory than any layer, there should be no copy too many.

# %% tags=["export"]
from __future__ import annotations

import numpy as np

from tinytorch.core.activations import require_float
from tinytorch.core.tensor import Context, Elementwise, Function, Tensor

# %%
import math

from tinytorch import measure  # small tables and timings, for the demonstrations only

# %% [markdown]
# ## 1. Quantities: the squared error
#
# Predictions 2.5 and 0, targets 3 and -1: the differences are -0.5 and 1, their squares 0.25 and 1, the mean 0.625.
#
# Why squares? Suppose that the network could say only one number, and the targets are 1, 2 and 6. The squares add up to
# 14 if it says 3, and to 17 if it says 2; nothing beats 3, the mean. The absolute differences are smallest at 2, the
# median. So the choice of the loss is the choice of an answer: with squares, a network learns the mean of what may
# follow from its input. (Gauss turned that round, in *Theoria motus*, 1809: the mean is the most probable answer if
# the errors are normally distributed.)

# %%
assert (0.25 + 1) / 2 == 0.625
squares = {guess: sum((guess - target) ** 2 for target in (1, 2, 6)) for guess in np.linspace(0, 7, 701)}
assert squares[3] == 14 == min(squares.values()) and squares[2] == 17
distances = {guess: sum(abs(guess - target) for target in (1, 2, 6)) for guess in np.linspace(0, 7, 701)}
assert distances[2] == min(distances.values())

# %% [markdown]
# The slope of d² is 2d, so the difference is all that the gradient will ask for.
#
# **Exercise `squared_error`.** Return the squared difference of each element, and save the difference. The operands
# come in one dtype, since this is an `Elementwise` operation of module 01.

# %% exercise="squared_error" points=1 task="return (input - target) squared for each element, and save the difference"
class SquaredErrorOp(Elementwise):
    """(input - target) squared, for each element. Saves: input - target."""

    @staticmethod
    def forward(ctx: Context, input: np.ndarray, target: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        difference = input - target
        ctx.save(difference)
        return difference * difference
        ### END SOLUTION

# %% [markdown]
# ## 2. One number from many
#
# PyTorch's losses have an argument `reduction`: "mean", the default, "sum", or "none" for all the losses as they are.
# What is the difference in training? The gradient of a sum grows with the batch, so that a step of the same size is
# twice as far with twice the samples. The mean makes steps comparable; the division is written out here, since
# section 6 will divide by fewer than there are.
#
# **Exercise `loss_reduction`.** Return `losses` itself, their sum, or their sum divided by `count`. Any other
# `reduction` is a ValueError that names the three. (PyTorch complains at the call too, not when the loss is made.)

# %% exercise="loss_reduction" points=1 task="return the losses, their sum, or their sum divided by count"
def reduced(losses: Tensor, reduction: str, count: int) -> Tensor:
    """The losses themselves for "none", their sum for "sum", their sum divided by `count` for "mean".

    With nothing to count the mean is 0 / 0, NaN, as in PyTorch.
    Raises: ValueError, naming 'mean', 'sum' and 'none', for any other reduction.
    """
    ### BEGIN SOLUTION
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / count
    raise ValueError(f"reduction is {reduction!r}, expected 'mean', 'sum' or 'none'")
    ### END SOLUTION

# %% [markdown]
# A linear layer with one output gives predictions of shape (3, 1), and a file of targets gives (3,). Let the
# predictions be perfect, 1, 2, 3 for 1, 2, 3. Broadcasting subtracts each target from each prediction, and the mean of
# the nine squares is 12 / 9 = 1.333. A training with that loss runs, and learns to predict the mean of all targets.

# %%
predictions, targets = np.array([[1.0], [2.0], [3.0]]), np.array([1.0, 2.0, 3.0])
assert ((predictions - targets) ** 2).size == 9 and abs(((predictions - targets) ** 2).mean() - 1.333) < 5e-4

# %% [markdown]
# PyTorch's MSELoss warns about different shapes, and broadcasts. Ours refuses, since nobody means that. Predictions
# have to be floats, as for GELU (PyTorch's MSELoss takes integers); targets may be integers or booleans, and the
# operation brings both to one dtype (PyTorch's binary losses refuse such targets). And our losses print their options,
# where PyTorch's print their names only.
#
# **Exercise `elementwise_loss`.** Write the call that three of the four losses share: refuse different shapes with a
# ValueError that has both in it, run `self.operation`, and reduce. Every element counts.

# %% exercise="elementwise_loss" points=2 task="refuse different shapes, run self.operation on both, and reduce"
class ElementwiseLoss:
    """A loss that compares each element of `input` with the same element of `target`, by `operation`.

    Shapes: input and target the same; the result () or, with reduction "none", that same shape.
    Raises: TypeError if input holds no floats; ValueError, naming both shapes, if they differ.
    """

    operation: type[Elementwise]

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def __call__(self, input: Tensor, target: Tensor) -> Tensor:
        require_float(input, type(self).__name__)
        ### BEGIN SOLUTION
        if input.shape != target.shape:
            raise ValueError(
                f"{type(self).__name__}: input has shape {input.shape}, target has {target.shape}; they must be equal"
            )
        losses = self.operation.apply(input, target)
        return reduced(losses, self.reduction, losses.size)
        ### END SOLUTION

    def __repr__(self) -> str:
        return f"{type(self).__name__}(reduction={self.reduction!r})"


class MSELoss(ElementwiseLoss):
    """The mean squared error: `torch.nn.MSELoss`.

    >>> MSELoss()(Tensor([2.5, 0.0]), Tensor([3.0, -1.0]))
    Tensor(0.625)
    """

    operation = SquaredErrorOp

# %%
assert MSELoss()(Tensor([2.5, 0.0]), Tensor([3, -1])).item() == 0.625

# %% [markdown]
# ## 3. Classes: the logarithm of a probability
#
# Digit 7 is no closer to 8 than to 1, so the squared difference of class numbers means nothing. Let the network give
# every class a probability instead, and ask only for p, the one of the right class. For three images it says 0.5, 0.9
# and 0.1. If they are independent, the probability that it gets all three is the product, 0.045: the *likelihood*.
# We want it large. Products of many small numbers vanish (0.5 to the power of 200 is 0 in float32), but their logarithm
# is a sum, and with a minus sign in front it is something to make small: the *cross-entropy* -log p, averaged.
#
# | p | 1 | 0.9 | 0.5 | 0.1 | 0.001 |
# |---|---|---|---|---|---|
# | -log p | 0 | 0.105 | 0.693 | 2.303 | 6.908 |
#
# A network that knows nothing gives each of C classes 1/C and has the loss log C: 2.303 for ten digits, 10.825 for the
# 50,257 tokens of GPT-2. That is the first number to check when a training begins.

# %%
assert abs(0.5 * 0.9 * 0.1 - 0.045) < 1e-12 and np.float32(0.5**200) == 0
assert np.allclose(-np.log([1, 0.9, 0.5, 0.1, 0.001]), [0, 0.105, 0.693, 2.303, 6.908], atol=5e-4)
assert abs(math.log(10) - 2.303) < 5e-4 and abs(math.log(50257) - 10.825) < 5e-4

# %% [markdown]
# Why not (1 - p)²? Take two classes, with p = σ(x) for a score x, and let the network be sure and wrong: p = 0.001. Its
# score should be pushed up hard. The slope of -log p with respect to x is p - 1 = -0.999; that of (1 - p)² is
# -2p (1 - p)² = -0.002. The worse the answer, the less a squared error teaches.

# %%
def slope(loss, x, step=1e-6):
    right, left = (1 / (1 + math.exp(-moved)) for moved in (x + step, x - step))
    return (loss(right) - loss(left)) / (2 * step)


x = math.log(0.001 / 0.999)  # where the sigmoid is 0.001
assert abs(slope(lambda p: -np.log(p), x) + 0.999) < 1e-4 and abs(slope(lambda p: (1 - p) ** 2, x) + 0.002) < 1e-5

# %% [markdown]
# ## 4. Which class is right?
#
# Scores before the softmax are called *logits*. They come as (M, C), one row for each of M samples, and the targets as
# M class numbers from 0 to C - 1. Two kinds of numbers need care. Sentences of a batch have different lengths, and the
# shorter ones are padded; padding has nothing to predict, so its target is -100, `ignore_index`, and it must not count.
# Every other number outside the range is a mistake, and -1 a dangerous one, since NumPy takes it for the last class.

# %%
assert np.array([0.2, 0.3, 0.5])[-1] == 0.5

# %% [markdown]
# **Exercise `class_targets`.** Return the targets with 0 in the place of the ignored ones (so that they can be used as
# an index), and a boolean array that is True where a target was kept. Anything but integers is a TypeError that says
# 'integers'. A kept target outside [0, classes) is an IndexError that says 'out of bounds' and names it. `ignore_index`
# may be any number, also one in the range. Leave `target` as it is.

# %% exercise="class_targets" points=2 task="check the class numbers, put 0 for ignored ones, and say which are kept"
def class_targets(target: np.ndarray, classes: int, ignore_index: int) -> tuple[np.ndarray, np.ndarray]:
    """`target` with 0 in the place of ignored ones, in its dtype, and which ones are kept, as booleans.

    Shapes: target (M,), integers of any size (PyTorch takes int64 and uint8 only); both results (M,).
    Raises: TypeError, saying 'integers', for floats and booleans; IndexError, saying 'out of bounds' and the target,
    if one that is kept is not in [0, classes).
    """
    ### BEGIN SOLUTION
    if target.dtype.kind not in "iu":
        raise TypeError(f"CrossEntropyLoss: targets are class numbers, so integers, got {target.dtype}")
    kept = target != ignore_index
    target = np.where(kept, target, 0)
    outside = (target < 0) | (target >= classes)
    if outside.any():
        raise IndexError(f"CrossEntropyLoss: target {target[outside][0]} is out of bounds for {classes} classes")
    return target, kept
    ### END SOLUTION

# %% [markdown]
# ## 5. From scores to the loss, without the probability
#
# The scores are 0 and 200, and class 0 is right. Its probability e⁻²⁰⁰ is 0 in float32, and -log 0 is infinite, where
# the answer is 200. Module 02 has shown the way around: subtract the row's largest score, and take the logarithm of the
# sum and not of the quotient. With z for the shifted scores and t for the right class,
#
#     -log p[t] = log Σ exp(z) - z[t]
#
# For the scores 1, 2, 4 and t = 1: z is -3, -2, 0, and the exponentials 0.0498, 0.1353 and 1 add up to 1.1851. The loss
# is log 1.1851 + 2 = 2.1698.

# %%
with np.errstate(divide="ignore"):
    assert -np.log(np.float32(np.exp(-200.0))) == np.inf
assert np.log(np.exp(0.0 - 200) + np.exp(200.0 - 200)) - (0 - 200) == 200
assert np.allclose(np.exp([-3, -2]), [0.0498, 0.1353], atol=5e-5)
assert abs(math.log(1.1851) + 2 - 2.1698) < 5e-5

# %% [markdown]
# And the gradient? Of z[t] it is 1 for the right class; of the log-sum-exp it is exp(z) / Σ exp(z), the softmax p. So
# with respect to the scores it is p, less 1 at the right class: for the example 0.042, -0.886, 0.844. It needs p, and
# the forward has computed the exponentials already. That is why this is one operation, and not a log-softmax followed
# by a gather: dividing them by their sum, in place, is all that remains to be done.

# %%
p = np.exp([-3.0, -2.0, 0.0]) / np.exp([-3.0, -2.0, 0.0]).sum()
assert np.allclose(p - [0, 1, 0], [0.042, -0.886, 0.844], atol=5e-4)

# %% [markdown]
# One more idea fits in. -log p falls for ever: however sure the network is, larger scores are rewarded. *Label
# smoothing* (Szegedy and others, *Rethinking the Inception Architecture*, 2016) asks for a little less than certainty:
# it moves a part s of the target from the right class to all C classes alike, s/C for each. The loss is the mean of the
# losses of all classes, weighted so:
#
#     log Σ exp(z) - (1 - s) z[t] - s mean(z)
#
# It is smallest at a finite distance. For s = 0.1 and ten classes the network should say 0.91 for the right class and
# 0.01 for each other, and the scores are then log 91 = 4.51 apart. With s = 0.1 the example has z[t] = -2, mean -5/3,
# and the loss 0.1698 + 1.8 + 0.1667 = 2.1365.

# %%
assert abs(1 - 0.1 + 0.1 / 10 - 0.91) < 1e-12 and abs(math.log(0.91 / 0.01) - 4.51) < 5e-3
assert abs(0.1698 + 0.9 * 2 + 0.1 * 5 / 3 - 2.1365) < 5e-5

# %% [markdown]
# **Exercise `cross_entropy_forward`.** Return the loss of each row, 0 for ignored rows whatever their scores. No score
# may overflow, and a score of -∞ must not disturb the others: without smoothing, mean(z) has no business in the
# result, since 0 · -∞ is NaN. At no moment should you hold more than two new arrays of the size of `logits`; so no
# table of ones and zeros for the targets. Save the probabilities p, the two results of `class_targets`, and
# `label_smoothing`, in this order.
#
# <details><summary>Hint</summary>
#
# `z[np.arange(M), target]` takes one element from each row. `np.exp(z, out=z)` writes the exponentials over z; take out
# of z what the loss needs before you do it.
#
# </details>

# %% exercise="cross_entropy_forward" points=4 task="return -log p of the target for each row, and save p"
class CrossEntropyOp(Function):
    """-log(softmax(logits)[target]) for each row, with label smoothing; 0 where target is `ignore_index`.

    Saves: the softmax p, target with 0 for ignored ones, which rows are kept (booleans), label_smoothing.
    Shapes: logits (M, C), target (M,), integers; the result (M,), in the dtype of logits.
    Raises: what `class_targets` raises.
    """

    @staticmethod
    def forward(
        ctx: Context, logits: np.ndarray, target: np.ndarray, ignore_index: int, label_smoothing: float
    ) -> np.ndarray:
        require_float(logits, "CrossEntropyLoss")
        ### BEGIN SOLUTION
        target, kept = class_targets(target, logits.shape[1], ignore_index)
        z = logits - logits.max(axis=1, keepdims=True)  # (M, C), at most 0: the only new array of this size
        losses = (label_smoothing - 1) * z[np.arange(len(z)), target]  # (M,)
        if label_smoothing:
            losses -= label_smoothing * z.mean(axis=1)
        p = np.exp(z, out=z)  # z is no longer needed, and p takes its memory
        total = p.sum(axis=1)  # at least 1
        losses += np.log(total)
        p /= total[:, None]
        losses[~kept] = 0  # a product with kept would leave NaN
        ctx.save(p, target, kept, label_smoothing)
        return losses
        ### END SOLUTION

# %%
scores, first = Tensor([[1.0, 2.0, 4.0]]), Tensor([1])
assert abs(CrossEntropyOp.apply(scores, first, ignore_index=-100, label_smoothing=0.0).item() - 2.1698) < 5e-5
assert abs(CrossEntropyOp.apply(scores, first, ignore_index=-100, label_smoothing=0.1).item() - 2.1365) < 5e-5

# %% [markdown]
# ## 6. Any shape
#
# One image has scores (C,) and a target without dimensions, (). A batch has (N, C) and (N,). Sentences of T tokens have
# (N, C, T) and (N, T): PyTorch keeps the classes in second place however many dimensions follow. The operation wants
# (M, C). So the classes go to the end, by `permute`, and the rest becomes one dimension, by `reshape`; both are
# operations of module 01, and the gradient will find its way back through them. Just reshaping (2, 3, 4) into (8, 3)
# would give the right shape, and rows of three tokens instead of three classes:

# %%
table = np.arange(24).reshape(2, 3, 4)  # N = 2, C = 3, T = 4
assert table[0, :, 0].tolist() == [0, 4, 8]  # the scores of the first token
assert table.transpose(0, 2, 1).reshape(8, 3)[0].tolist() == [0, 4, 8] and table.reshape(8, 3)[0].tolist() == [0, 1, 2]

# %% [markdown]
# And the mean? Losses 2 and 4 beside two ignored targets: their mean is 3, the sum divided by the *kept* two. Dividing
# by all four would give 1.5, and the loss of a sentence would depend on how much padding its neighbours need. If
# everything is ignored, the mean is 0 / 0, NaN, as in PyTorch.
#
# PyTorch's `weight` for each class, and targets that are probabilities instead of numbers, are left out.
#
# **Exercise `cross_entropy_loss`.** Write the call. If the shapes are none of the above, raise a ValueError with both
# in it. Bring everything to (M, C) and (M,), run the operation, and reduce; for "none" the losses get the shape of
# `target`.

# %%
losses, kept = np.array([2.0, 0.0, 4.0, 0.0]), np.array([True, False, True, False])
assert losses.sum() / kept.sum() == 3 and losses.mean() == 1.5

# %% exercise="cross_entropy_loss" points=3 task="bring scores to (M, C), run the operation, and reduce"
class CrossEntropyLoss:
    """-log(softmax(input)) at the class `target`: `torch.nn.CrossEntropyLoss` for class numbers, without `weight`.

    Shapes: input (C,), (N, C) or (N, C, d1, ...); target (), (N,) or (N, d1, ...), integers. The result is (), or
    target's shape with reduction "none". "mean" is that of the targets other than `ignore_index`.
    Raises: ValueError, naming both shapes, if they don't fit; TypeError if input holds no floats or target no integers;
    IndexError if a target is no class number.

    >>> CrossEntropyLoss()(Tensor([1.0, 2.0, 4.0]), Tensor(1))
    Tensor(2.169846)
    """

    def __init__(self, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"CrossEntropyLoss: label_smoothing is {label_smoothing}, expected a part, from 0 to 1")
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def __call__(self, input: Tensor, target: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        classes_at = 1 if input.ndim > 1 else 0
        if input.ndim == 0 or target.shape != input.shape[:classes_at] + input.shape[classes_at + 1 :]:
            raise ValueError(
                f"CrossEntropyLoss: input {input.shape} and target {target.shape} do not fit; "
                "target has the shape of input without its classes, as (N,) for (N, C)"
            )
        rows, numbers = input, target
        if input.ndim != 2:  # (N, C) is as it should be
            dims = [dim for dim in range(input.ndim) if dim != classes_at]
            rows = input.permute(*dims, classes_at).reshape(target.size, input.shape[classes_at])  # (M, C)
            numbers = target.reshape(target.size)  # (M,)
        losses = CrossEntropyOp.apply(
            rows, numbers, ignore_index=self.ignore_index, label_smoothing=self.label_smoothing
        )
        if self.reduction == "none":
            return losses.reshape(target.shape)
        return reduced(losses, self.reduction, np.count_nonzero(target.numpy() != self.ignore_index))
        ### END SOLUTION

    def __repr__(self) -> str:
        options = f"ignore_index={self.ignore_index}, reduction={self.reduction!r}"
        return f"CrossEntropyLoss({options}, label_smoothing={self.label_smoothing})"

# %%
assert abs(CrossEntropyLoss()(Tensor(np.zeros((4, 10))), Tensor([3, 1, 4, 1])).item() - math.log(10)) < 1e-12

# %% [markdown]
# ## 7. Yes or no
#
# Is there a cat in the picture, and is there a dog? Any of the answers may be yes, so each has a probability x of its
# own, and a target t of 1 for yes and 0 for no. The loss is -log of what was given to the right answer,
#
#     -(t log x + (1 - t) log(1 - x))
#
# For x = 0.9 that is 0.105 if the answer is yes, and 2.303 if it is no. Now the perfect answer: x = 1 and t = 1 give
# 1 · 0 + 0 · log 0, and 0 · -∞ is NaN. PyTorch keeps each logarithm at -100 or above, and so do we: the perfect answer
# has the loss 0, and a surely wrong one has 100.

# %%
assert abs(-math.log(0.9) - 0.105) < 5e-4 and abs(-math.log(1 - 0.9) - 2.303) < 5e-4
with np.errstate(all="ignore"):
    assert np.isnan(1 * np.log(1.0) + 0 * np.log(np.float64(0)))

# %% [markdown]
# The logarithm of 1 - x has a trap at the other end. For x = 1e-9, 1 - x rounds to 1 in float32 and the logarithm to 0,
# where it should be -1e-9. `np.log1p(y)` computes log(1 + y) without that sum.

# %%
one, tiny = np.float32(1), np.float32(1e-9)
assert np.log(one - tiny) == 0 and np.isclose(np.log1p(-tiny), -1e-9, atol=0)

# %% [markdown]
# **Exercise `bce_forward`.** Return the loss of each element, with each logarithm at -100 or above, and save `input`
# and `target`. If any x is not between 0 and 1 (NaN isn't), raise a ValueError that says so: it is probably a score.

# %% exercise="bce_forward" points=2 task="return -(t log x + (1 - t) log(1 - x)), with each logarithm at least -100"
class BCEOp(Elementwise):
    """-(t log x + (1 - t) log(1 - x)) for each element, each logarithm at least -100. Saves: input, target.

    `input` holds the probabilities x; t is `target`, usually 0 or 1, or between.
    Raises: ValueError, saying 'between 0 and 1', if an x is not.
    """

    @staticmethod
    def forward(ctx: Context, input: np.ndarray, target: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        outside = ~((input >= 0) & (input <= 1))
        if outside.any():
            raise ValueError(
                f"BCELoss: {input[outside][0]} is no probability, between 0 and 1; use BCEWithLogitsLoss for scores"
            )
        ctx.save(input, target)
        yes, no = np.maximum(np.log(input), -100), np.maximum(np.log1p(-input), -100)
        return -(target * yes + (1 - target) * no)
        ### END SOLUTION

# %% tags=["export"]
class BCELoss(ElementwiseLoss):
    """The binary cross-entropy of probabilities: `torch.nn.BCELoss` without `weight`."""

    operation = BCEOp

# %%
wrong_and_right = BCELoss(reduction="none")(Tensor([1.0, 1.0]), Tensor([0, 1]))
assert wrong_and_right.numpy().tolist() == [100, 0]

# %% [markdown]
# ## 8. Yes or no, from the score
#
# Where does x come from? From a sigmoid. For a score of 20, σ(20) = 0.999999998 is 1 in float32. If the answer is no,
# the loss should be 20, and BCELoss says 100, the largest that it knows. For 18 it should be 18, and it says 100 too:
# it cannot tell them apart, and has no slope to offer. So go from the score to the loss directly, as with the softmax.
# Put σ(x) = 1 / (1 + e⁻ˣ) into the formula, and nearly everything cancels:
#
#     log(1 + eˣ) - x t
#
# For x = 20 and t = 0 that is 20, and for x = 1000 it overflows. Take eˣ out of the sum where x is positive,
# log(1 + eˣ) = x + log(e⁻ˣ + 1), and both sides are one formula whose exponent is never positive:
#
#     max(x, 0) - x t + log(1 + e to the power of -|x|)

# %%
assert np.float32(1 / (1 + math.exp(-20))) == np.float32(1 / (1 + math.exp(-18))) == 1
assert abs(math.log(1 + math.exp(20)) - 20) < 1e-8
for x in (-3.0, 0.5, 20.0):
    assert abs(max(x, 0) + math.log1p(math.exp(-abs(x))) - math.log(1 + math.exp(x))) < 1e-12

# %% [markdown]
# **Exercise `bce_logits_forward`.** Return the loss of each element for scores of any size, with all the digits of
# small losses (`np.log1p`), and save `input` and `target`.

# %% exercise="bce_logits_forward" points=2 task="return max(x, 0) - x t + log(1 + exp(-|x|)), and save both operands"
class BCEWithLogitsOp(Elementwise):
    """The loss of `BCEOp` at sigmoid(input), for scores of any finite size. Saves: input, target."""

    @staticmethod
    def forward(ctx: Context, input: np.ndarray, target: np.ndarray) -> np.ndarray:
        ### BEGIN SOLUTION
        ctx.save(input, target)  # the slope is sigmoid(input) - target
        return np.maximum(input, 0) - input * target + np.log1p(np.exp(-np.abs(input)))
        ### END SOLUTION

# %% tags=["export"]
class BCEWithLogitsLoss(ElementwiseLoss):
    """The binary cross-entropy of scores: `torch.nn.BCEWithLogitsLoss` without `weight` and `pos_weight`."""

    operation = BCEWithLogitsOp

# %% [markdown]
# The two agree where both can, and from 18 on only one of them is right:

# %%
from tinytorch.core.activations import LogSoftmax, Sigmoid

x = np.linspace(-5, 30, 141, dtype=np.float32)
no = Tensor(np.zeros_like(x))
from_score = BCEWithLogitsLoss(reduction="none")(Tensor(x), no).numpy()
from_probability = BCELoss(reduction="none")(Sigmoid()(Tensor(x)), no).numpy()
assert np.allclose(from_score[x < 10], from_probability[x < 10], rtol=1e-2) and (from_probability[x >= 18] == 100).all()
measure.plot(
    {"BCE of sigmoid": np.stack([x, from_probability]), "BCEWithLogits": np.stack([x, from_score])},
    title="Loss if the answer is no", x="score",
)

# %% [markdown]
# ## 9. The largest array of a language model
#
# GPT-2 reads 8 texts of 1024 tokens and scores 50,257 possible next ones at each place: 8 · 1024 · 50,257 numbers of 4
# bytes are 1.65 GB. What comes out of one of its layers, 768 numbers for each token, is 25 MB. A training step holds
# three such giants: the logits, the saved p, and the gradient with respect to the logits, 4.94 GB.

# %%
logits = 8 * 1024 * 50_257 * 4
assert round(logits / 1e9, 2) == 1.65 and round(8 * 1024 * 768 * 4 / 1e6) == 25 and round(3 * logits / 1e9, 2) == 4.94

# %% [markdown]
# So one array more or less is worth a thought. Here is what three ways to the same number take in addition to the
# logits, as multiples of them: at the peak of the forward pass, and kept for the gradient. All of it is O(M C).

# %%
def gathered(logits: Tensor, target: Tensor) -> Tensor:
    return -LogSoftmax(dim=1)(logits)[np.arange(len(logits)), target.numpy()].mean()


def masked(logits: Tensor, target: Tensor) -> Tensor:
    one_hot = np.arange(logits.shape[1]) == target.numpy()[:, None]  # (M, C)
    return -(LogSoftmax(dim=1)(logits) * one_hot.astype(np.float32)).sum(axis=1).mean()


rng = np.random.default_rng(0)
ways = {"one-hot": masked, "LogSoftmax, gather": gathered, "CrossEntropyLoss": CrossEntropyLoss()}
logits = Tensor(rng.standard_normal((256, 5000), dtype=np.float32), requires_grad=True)
target = Tensor(rng.integers(0, 5000, size=256))
rows = []
for name, way in ways.items():
    kept, peak = measure.allocation(way, logits, target)
    rows.append([name, peak / logits.nbytes, kept / logits.nbytes, measure.duration(measure.time(way, logits, target))])
measure.table(["way", "peak", "kept", "time"], rows, title="256 x 5,000 floats, in multiples of the logits")
assert 1 < rows[-1][1] < 1.1 and 1 < rows[-1][2] < 1.1 and rows[0][1] > rows[1][1] > 1.9

# %% [markdown]
# Rows don't know of each other, so one can go further: compute logits, loss and gradient for a few rows at a time, and
# never hold all of them. Wijmans and others (*Cut Your Losses in Large-Vocabulary Language Models*, 2024) do that, and
# bring the gigabytes down to megabytes.
#
# And time, against the number of classes? O(M C), a handful of passes over the array, with a fixed cost for each
# NumPy call that ten classes don't make up for:

# %%
rows = []
for classes in (10, 100, 1000, 10_000):
    logits, target = rng.standard_normal((64, classes), dtype=np.float32), rng.integers(0, classes, size=64)
    seconds = measure.time(CrossEntropyOp.forward, Context(), logits, target, -100, 0.0)
    size, each = measure.memory(logits.nbytes), measure.duration(seconds / logits.size)
    rows.append([classes, size, measure.duration(seconds), each])
measure.table(["classes", "logits", "time", "per score"], rows, title="CrossEntropyOp, 64 rows, O(C)")

# %% [markdown]
# A network, and a number that says how wrong it is: what is missing is the way from the number back to the weights.
# Module 06 finds it, and the rules for these operations are among its shortest: 2d, p less the target, σ(x) less the
# target. They are so short because of what you have saved.
