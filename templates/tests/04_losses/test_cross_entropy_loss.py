"""CrossEntropyLoss: one sample, a batch, or a batch of sequences or images, and the mean over what counts."""
import re

import numpy as np
import pytest

from tinytorch.core.losses import CrossEntropyLoss, reduced
from tinytorch.core.tensor import Tensor

pytestmark = pytest.mark.exercise("cross_entropy_loss")

SHAPES = {
    "one": ((5,), ()), "batch": ((7, 5), (7,)), "batch-of-one": ((1, 5), (1,)),
    "sequences": ((3, 5, 4), (3, 4)), "images": ((2, 5, 3, 4), (2, 3, 4)), "square": ((5, 5, 5), (5, 5)),
}
every_shape = pytest.mark.parametrize("name", list(SHAPES), ids=list(SHAPES))


def expected_losses(logits, target, smoothing=0.0):
    """In the shape of target, in float64."""
    log_p = np.moveaxis(logits.astype(np.float64), 1 if logits.ndim > 1 else 0, -1)
    log_p = log_p - log_p.max(axis=-1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=-1, keepdims=True))
    picked = np.take_along_axis(log_p, target[..., None], axis=-1)[..., 0]
    return -(1 - smoothing) * picked - smoothing * log_p.mean(axis=-1)


def reshaped_losses(logits, target):
    """What comes out if the classes are not moved to the end before the reshape."""
    rows = logits.reshape(target.size, 5)
    return expected_losses(rows, target.reshape(-1)).reshape(target.shape)


def test_cross_entropy_loss_by_hand():
    """Worked in the module: scores 1, 2, 4 and class 1 right; beside it a fair coin toss between two of three."""
    assert CrossEntropyLoss()(Tensor([1.0, 2.0, 4.0]), Tensor(1)).item() == pytest.approx(2.16984602, rel=1e-6)
    out = CrossEntropyLoss()(Tensor([[1.0, 2.0, 4.0], [0.0, -200.0, 0.0]]), Tensor([1, 2]))
    assert out.shape == () and out.dtype == np.float32
    assert out.item() == pytest.approx((2.16984602 + 0.69314718) / 2, rel=1e-6)


@every_shape
def test_cross_entropy_loss_of_every_shape(rng, hint, name):
    """The classes are in the second place, or in the only one; the losses have the shape of the target."""
    shape, target_shape = SHAPES[name]
    logits, target = rng.normal(size=shape) * 2, np.asarray(rng.integers(0, 5, size=target_shape))
    out = CrossEntropyLoss(reduction="none")(Tensor(logits), Tensor(target)).numpy()
    hint(
        'With reduction="none" the losses came out in one long row: give them the shape of target.',
        when=out.shape == (target.size,) != target_shape,
    )
    assert out.shape == target_shape
    expected = expected_losses(logits, target)
    many = target.ndim > 1
    hint(
        "A reshape alone does not bring the classes to the end: permute them there first.",
        when=many and np.allclose(out, reshaped_losses(logits, target)),
    )
    if name == "images":
        swapped = expected_losses(logits.swapaxes(2, 3), target.reshape(2, 4, 3)).reshape(2, 3, 4)
        hint(
            "Rows and columns of the images are exchanged: permute(0, 2, 3, 1) keeps their order, transpose(1, -1) does not.",
            when=np.allclose(out, swapped),
        )
    np.testing.assert_allclose(out, expected, rtol=1e-10)


@every_shape
def test_cross_entropy_loss_with_each_reduction(rng, name):
    """The mean is over samples and positions, the sum as well; both are one number in the dtype of the scores."""
    shape, target_shape = SHAPES[name]
    for dtype in ("float32", "float64"):
        logits, target = rng.normal(size=shape).astype(dtype), np.asarray(rng.integers(0, 5, size=target_shape))
        expected = expected_losses(logits, target)
        for loss, value in ((CrossEntropyLoss(), expected.mean()), (CrossEntropyLoss(reduction="sum"), expected.sum())):
            out = loss(Tensor(logits), Tensor(target))
            assert out.shape == () and out.dtype == dtype
            np.testing.assert_allclose(out.numpy(), value, rtol=1e-4)


@pytest.mark.parametrize("ignore_index", [-100, 3], ids=["default", "class-3"])
def test_cross_entropy_loss_of_padded_sequences(rng, hint, ignore_index):
    """Two sentences of 4 and 2 tokens, padded to 5: the mean is over 6 tokens, not 10, and the padding costs nothing."""
    logits, target = rng.normal(size=(2, 6, 5)), rng.choice([0, 1, 2, 4, 5], size=(2, 5))
    target[0, 4:] = target[1, 2:] = ignore_index
    kept = target != ignore_index
    expected = np.where(kept, expected_losses(logits, np.where(kept, target, 0)), 0)

    def loss(reduction, given):
        return CrossEntropyLoss(ignore_index=ignore_index, reduction=reduction)(Tensor(logits), given).numpy()

    given = Tensor(target.copy())
    mean = loss("mean", given)
    np.testing.assert_array_equal(given.numpy(), target)
    divides_as_told = reduced(Tensor([2.0, 4.0]), "mean", 1).item() == 6
    hint(
        "The mean was taken over all targets: divide by the number of those that were not ignored.",
        when=divides_as_told and np.isclose(mean, expected.sum() / 10),
    )
    hint(
        "ignore_index was not passed on: class 3 was counted like any other.",
        when=ignore_index == 3 and np.isclose(mean, expected_losses(logits, np.where(kept, target, 3)).sum() / 10),
    )
    np.testing.assert_allclose(mean, expected.sum() / 6, rtol=1e-10)
    np.testing.assert_allclose(loss("sum", Tensor(target)), expected.sum(), rtol=1e-10)
    np.testing.assert_allclose(loss("none", Tensor(target)), expected, rtol=1e-10, atol=1e-15)


def test_cross_entropy_loss_of_nothing_but_padding():
    """0 / 0: the mean of no losses is NaN, as in PyTorch; their sum is 0."""
    logits, target = Tensor(np.ones((3, 4), np.float32)), Tensor(np.full(3, -100))
    assert np.isnan(CrossEntropyLoss()(logits, target).item())
    assert CrossEntropyLoss(reduction="sum")(logits, target).item() == 0
    assert CrossEntropyLoss(reduction="none")(logits, target).numpy().tolist() == [0, 0, 0]


def test_cross_entropy_loss_of_no_samples():
    """An empty batch has no losses, and no mean."""
    logits, target = Tensor(np.empty((0, 4, 3), np.float32)), Tensor(np.empty((0, 3), np.int64))
    assert np.isnan(CrossEntropyLoss()(logits, target).item())
    assert CrossEntropyLoss(reduction="sum")(logits, target).item() == 0
    assert CrossEntropyLoss(reduction="none")(logits, target).shape == (0, 3)


@pytest.mark.parametrize("name", ["one", "images"])
def test_cross_entropy_loss_with_label_smoothing(rng, name):
    """label_smoothing reaches the operation."""
    shape, target_shape = SHAPES[name]
    logits, target = rng.normal(size=shape), np.asarray(rng.integers(0, 5, size=target_shape))
    out = CrossEntropyLoss(label_smoothing=0.25)(Tensor(logits), Tensor(target)).item()
    assert out == pytest.approx(expected_losses(logits, target, 0.25).mean(), rel=1e-10)


WRONG = {
    "one-hot": ((4, 3), (4, 3)), "too-few": ((4, 3), (3,)), "column": ((4, 3), (4, 1)), "one-row": ((3,), (1,)), "number": ((), ()),
    "sequence-for-batch": ((2, 3, 4), (2,)), "flattened": ((2, 3, 4), (8,)), "classes-last": ((2, 4, 3), (2, 4)),
}


@pytest.mark.hint(
    pytest.fail.Exception, "Shapes that don't fit were accepted: target has the shape of input without the dimension of the classes."
)
@pytest.mark.parametrize("name", list(WRONG), ids=list(WRONG))
def test_cross_entropy_loss_refuses_other_shapes(rng, name):
    """Each sample has one class number: a ValueError that has both shapes in it."""
    shape, target_shape = WRONG[name]
    logits, target = np.asarray(rng.normal(size=shape)), np.zeros(target_shape, np.int64)
    with pytest.raises(ValueError, match=re.escape(str(shape))) as error:
        CrossEntropyLoss()(Tensor(logits), Tensor(target))
    assert str(target_shape) in str(error.value)


def test_cross_entropy_loss_refuses_what_is_no_score_and_no_class():
    """Integers as scores and floats as classes are TypeErrors, class 3 of three an IndexError."""
    scores = Tensor([[0.0, 0.0, 0.0]])
    assert CrossEntropyLoss()(scores, Tensor([2])).item() == pytest.approx(1.09861229, rel=1e-6)
    with pytest.raises(TypeError, match="CrossEntropyLoss.*int64"):
        CrossEntropyLoss()(Tensor([[0, 0, 0]]), Tensor([2]))
    with pytest.raises(TypeError, match="integers"):
        CrossEntropyLoss()(scores, Tensor([2.0]))
    for number in (3, -1):
        with pytest.raises(IndexError, match="out of bounds"):
            CrossEntropyLoss()(scores, Tensor([number]))


def test_cross_entropy_loss_refuses_other_options():
    """Label smoothing is a part, from 0 to 1; the reduction is one of three."""
    scores, target = Tensor([[0.0, 0.0, 0.0]]), Tensor([2])
    assert CrossEntropyLoss(label_smoothing=1.0)(scores, target).item() == pytest.approx(1.09861229, rel=1e-6)
    for smoothing in (-0.1, 1.5):
        with pytest.raises(ValueError, match="label_smoothing"):
            CrossEntropyLoss(label_smoothing=smoothing)
    with pytest.raises(ValueError, match=r"(?s)(?=.*'mean')(?=.*'sum')(?=.*'none')"):
        CrossEntropyLoss(reduction="average")(scores, target)


def test_cross_entropy_loss_of_views(rng):
    """Scores that lie in memory in another order: the classes were last and were moved to the second place."""
    logits, target = rng.normal(size=(3, 4, 5)), rng.integers(0, 5, size=(4, 3))
    out = CrossEntropyLoss()(Tensor(logits).transpose(1, 2), Tensor(target).T)
    np.testing.assert_allclose(out.numpy(), expected_losses(logits.transpose(0, 2, 1), target.T).mean(), rtol=1e-10)
    every_other = CrossEntropyLoss()(Tensor(logits[0])[:, ::2], Tensor(target[:, 0] // 2))
    np.testing.assert_allclose(every_other.numpy(), expected_losses(logits[0, :, ::2], target[:, 0] // 2).mean(), rtol=1e-10)


@pytest.mark.parametrize("name", ["one", "batch", "images"])
def test_cross_entropy_loss_passes_the_wish_for_a_gradient_on(rng, name):
    """Every step from the scores to the loss is an operation on Tensors, so that module 06 finds the way back."""
    shape, target_shape = SHAPES[name]
    logits, target = rng.normal(size=shape), np.asarray(rng.integers(0, 5, size=target_shape))
    expected = expected_losses(logits, target)
    for reduction, value in (("mean", expected.mean()), ("sum", expected.sum()), ("none", expected)):
        tracked = CrossEntropyLoss(reduction=reduction)(Tensor(logits, requires_grad=True), Tensor(target))
        plain = CrossEntropyLoss(reduction=reduction)(Tensor(logits), Tensor(target))
        assert (tracked.requires_grad, plain.requires_grad) == (True, False)
        np.testing.assert_allclose(tracked.numpy(), value, rtol=1e-10)


def test_cross_entropy_loss_says_what_it_is(rng):
    """It prints its options, and one object serves any number of calls."""
    loss = CrossEntropyLoss(ignore_index=0, reduction="sum", label_smoothing=0.1)
    assert str(loss) == "CrossEntropyLoss(ignore_index=0, reduction='sum', label_smoothing=0.1)"
    assert str(CrossEntropyLoss()) == "CrossEntropyLoss(ignore_index=-100, reduction='mean', label_smoothing=0.0)"
    for rows in (2, 5):
        logits, target = rng.normal(size=(rows, 4)), rng.integers(1, 4, size=rows)
        out = loss(Tensor(logits), Tensor(target)).item()
        assert out == pytest.approx(expected_losses(logits, target, 0.1).sum(), rel=1e-10)
