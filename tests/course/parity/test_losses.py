"""Module 04 gives PyTorch's losses, for scores of any size, and saves what PyTorch's gradients are made of."""
import numpy as np
import pytest
import torch

REDUCTIONS = ["mean", "sum", "none"]
SHAPES = {"one": ((5,), ()), "batch": ((7, 5), (7,)), "sequences": ((3, 5, 4), (3, 4)), "images": ((2, 5, 3, 4), (2, 3, 4))}


def both(course, x, requires_grad=False):
    return course.tensor.Tensor(x, requires_grad=requires_grad), torch.tensor(x, requires_grad=requires_grad)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (6,), (3, 4)], ids=str)
@pytest.mark.parametrize("name", ["MSELoss", "BCEWithLogitsLoss"])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0], ids=str)
def test_losses_of_any_number(course, rng, agree, name, reduction, shape, scale):
    x, t = both(course, np.asarray(rng.normal(size=shape) * scale, np.float32)), both(course, np.asarray(rng.random(shape), np.float32))
    ours, theirs = getattr(course.losses, name)(reduction=reduction), getattr(torch.nn, name)(reduction=reduction)
    agree(ours(x[0], t[0]), theirs(x[1], t[1]), rtol=1e-5)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bce(course, rng, agree, reduction, dtype):
    probabilities = np.concatenate([rng.random(20), [0, 1, 0, 1, 1e-12, 1e-45]]).astype(dtype)
    x, t = both(course, probabilities), both(course, np.concatenate([rng.random(20), [0, 1, 1, 0, 0, 1]]).astype(dtype))
    agree(course.losses.BCELoss(reduction=reduction)(x[0], t[0]), torch.nn.BCELoss(reduction=reduction)(x[1], t[1]), rtol=1e-5, atol=1e-13)


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan], ids=str)
def test_bce_refuses_what_is_no_probability(course, value):
    x, t = both(course, np.array([0.5, value], np.float32)), both(course, np.zeros(2, np.float32))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        torch.nn.BCELoss()(x[1], t[1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        course.losses.BCELoss()(x[0], t[0])


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0], ids=str)
@pytest.mark.parametrize("ignore_index", [-100, 2], ids=str)
@pytest.mark.parametrize("scale", [1.0, 1e3], ids=str)
def test_cross_entropy(course, rng, agree, reduction, name, smoothing, ignore_index, scale):
    shape, target_shape = SHAPES[name]
    x = both(course, np.asarray(rng.normal(size=shape) * scale, np.float32))
    numbers = np.asarray(rng.integers(0, 5, size=target_shape))
    if numbers.ndim:
        numbers[..., :1] = 1  # some are kept, whatever is ignored
    options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": smoothing}
    target = both(course, numbers)
    ours, theirs = course.losses.CrossEntropyLoss(**options), torch.nn.CrossEntropyLoss(**options)
    agree(ours(x[0], target[0]), theirs(x[1], target[1]), rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_where_everything_is_ignored_or_nothing_is_there(course, agree, reduction):
    for rows in (3, 0):
        x, target = both(course, np.ones((rows, 4), np.float32)), both(course, np.full(rows, -100))
        agree(course.losses.CrossEntropyLoss(reduction=reduction)(x[0], target[0]), torch.nn.CrossEntropyLoss(reduction=reduction)(x[1], target[1]))


def test_cross_entropy_of_masked_scores(course, rng, agree):
    scores = rng.normal(size=(4, 6)).astype(np.float32)
    scores[:, 3:] = -np.inf
    x, target = both(course, scores), both(course, np.array([0, 1, 2, 4]))
    agree(course.losses.CrossEntropyLoss(reduction="none")(x[0], target[0]), torch.nn.CrossEntropyLoss(reduction="none")(x[1], target[1]))


@pytest.mark.parametrize("number", [-1, 4, 99], ids=str)
def test_cross_entropy_refuses_other_classes(course, number):
    x, target = both(course, np.zeros((2, 4), np.float32)), both(course, np.array([0, number]))
    with pytest.raises(IndexError, match="out of bounds"):
        torch.nn.CrossEntropyLoss()(x[1], target[1])
    with pytest.raises(IndexError, match="out of bounds"):
        course.losses.CrossEntropyLoss()(x[0], target[0])


@pytest.mark.parametrize("smoothing", [0.0, 0.2], ids=str)
def test_cross_entropy_saves_pytorchs_gradient(course, rng, smoothing):
    x, target = rng.normal(size=(6, 5)), rng.integers(0, 5, size=6)
    target[2] = -100
    ctx = course.tensor.Context()
    course.losses.CrossEntropyOp.forward(ctx, x, target, -100, smoothing)
    p, targets, kept, saved_smoothing = ctx.saved
    ours = p - saved_smoothing / 5
    ours[np.arange(6), targets] -= 1 - saved_smoothing
    theirs = torch.tensor(x, requires_grad=True)
    torch.nn.CrossEntropyLoss(reduction="sum", label_smoothing=smoothing)(theirs, torch.tensor(target)).backward()
    np.testing.assert_allclose(ours * kept[:, None], theirs.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_binary_losses_save_pytorchs_gradients(course, rng):
    x, t = rng.normal(size=8), rng.random(8)
    p = 1 / (1 + np.exp(-x))
    ctx = course.tensor.Context()
    course.losses.BCEWithLogitsOp.forward(ctx, x, t)
    score, target = ctx.saved
    theirs = torch.tensor(x, requires_grad=True)
    torch.nn.BCEWithLogitsLoss(reduction="sum")(theirs, torch.tensor(t)).backward()
    np.testing.assert_allclose(1 / (1 + np.exp(-score)) - target, theirs.grad.numpy(), rtol=1e-10)
    course.losses.BCEOp.forward(ctx, p, t)
    probability, target = ctx.saved
    theirs = torch.tensor(p, requires_grad=True)
    torch.nn.BCELoss(reduction="sum")(theirs, torch.tensor(t)).backward()
    np.testing.assert_allclose((probability - target) / (probability * (1 - probability)), theirs.grad.numpy(), rtol=1e-10)
