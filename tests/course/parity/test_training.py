"""Module 08 clips, schedules and trains as PyTorch does."""
import math

import numpy as np
import pytest
import torch

SHAPES = [(), (7,), (3, 4), (2, 3, 5)]


def pairs(course, rng, dtype, scale=1.0):
    """The same parameters with the same gradients twice; one of them has none."""
    ours, theirs = [], []
    for shape in [*SHAPES, (2,)]:
        value, grad = (np.asarray(rng.normal(size=shape) * s, dtype) for s in (1.0, scale))
        ours.append(course.tensor.Tensor(value, requires_grad=True))
        theirs.append(torch.tensor(value, requires_grad=True))
        if shape != (2,):
            ours[-1].grad, theirs[-1].grad = course.tensor.Tensor(grad), torch.tensor(grad)
    return ours, theirs


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, 0.5, math.inf], ids=str)
@pytest.mark.parametrize("max_norm", [0.0, 0.1, 1e9], ids=str)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_grad_norm(course, rng, agree, norm_type, max_norm, scale, dtype):
    ours, theirs = pairs(course, rng, dtype, scale)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    mine = course.training.clip_grad_norm_(ours, max_norm, norm_type)
    others = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    np.testing.assert_allclose(mine, others.item(), rtol=rtol)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None:
            agree(one.grad, other.grad, rtol=rtol, atol=0)


def test_clip_grad_norm_of_nothing(course):
    assert course.training.clip_grad_norm_([], 1.0) == torch.nn.utils.clip_grad_norm_([], 1.0).item() == 0


def optimizers(course):
    """Two groups with rates of their own, twice."""
    ours = [{"params": [course.tensor.Tensor([0.0], requires_grad=True)], "lr": lr} for lr in (0.1, 0.02)]
    theirs = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.02)]
    return course.optimizers.SGD(ours), torch.optim.SGD(theirs, lr=1.0)


def rates(optimizer, schedule, steps):
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()  # PyTorch warns otherwise
        schedule.step()
    return found


@pytest.mark.parametrize("step_size", [1, 3, 10])
@pytest.mark.parametrize("options", [{}, {"gamma": 0.7}], ids=["default", "gamma"])
def test_step_schedule(course, step_size, options):
    ours, theirs = optimizers(course)
    mine = rates(ours, course.training.StepSchedule(ours, step_size, **options), 30)
    others = rates(theirs, torch.optim.lr_scheduler.StepLR(theirs, step_size, **options), 30)
    np.testing.assert_allclose(mine, others, rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 10, 31])
@pytest.mark.parametrize("options", [{}, {"eta_min": 0.003}], ids=["default", "eta-min"])
def test_cosine_schedule(course, steps, options):
    """Up to T_max; beyond it PyTorch's rises again."""
    ours, theirs = optimizers(course)
    mine = rates(ours, course.training.CosineSchedule(ours, steps, **options), steps + 1)
    others = rates(theirs, torch.optim.lr_scheduler.CosineAnnealingLR(theirs, steps, **options), steps + 1)
    np.testing.assert_allclose(mine, others, rtol=1e-9, atol=1e-15)


def test_warmup_then_cosine(course):
    """PyTorch needs three classes for it."""
    ours, theirs = optimizers(course)
    schedule = course.training.WarmupSchedule(ours, 5, course.training.CosineSchedule(ours, 20))
    ramp = torch.optim.lr_scheduler.LambdaLR(theirs, lambda t: (t + 1) / 5)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 20)
    both = torch.optim.lr_scheduler.SequentialLR(theirs, [ramp, cosine], milestones=[5])
    np.testing.assert_allclose(rates(ours, schedule, 25), rates(theirs, both, 25), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_thirty_steps(course, rng, dtype):
    """A small network, Adam, a cosine, clipping, and two unequal batches to a step: losses, and weights in the end."""
    layers, activations, tensor, training = course.layers, course.activations, course.tensor, course.training
    x = np.asarray(rng.normal(size=(30, 14, 6)), dtype)  # steps, samples, features
    t = rng.integers(0, 4, size=(30, 14))
    theirs = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4)).to(getattr(torch, dtype))
    ours = layers.Sequential(layers.Linear(6, 8), activations.Tanh(), layers.Linear(8, 4))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        mine.data = other.detach().numpy().copy()
    optimizer = course.optimizers.Adam(ours.parameters(), lr=0.03)
    trainer = training.Trainer(
        ours, course.losses.CrossEntropyLoss(), optimizer, training.CosineSchedule(optimizer, 30, 1e-4),
        clip_norm=0.5, accumulate=2,
    )
    batches = [
        (tensor.Tensor(x[step, part]), tensor.Tensor(t[step, part]))
        for step in range(30) for part in (slice(9), slice(9, None))
    ]
    history = trainer.fit(batches, 1)

    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 30, 1e-4)
    total, clipped = 0.0, 0
    for step in range(30):
        loss = torch.nn.functional.cross_entropy(theirs(torch.tensor(x[step])), torch.tensor(t[step]))
        loss.backward()
        clipped += torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.5).item() > 0.5
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        total += loss.item() * 14
    rtol, atol = (2e-3, 2e-4) if dtype == "float32" else (1e-9, 1e-10)
    assert 0 < clipped <= 30
    np.testing.assert_allclose(history[0]["loss"], total / (30 * 14), rtol=rtol)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.numpy(), other.detach().numpy(), rtol=rtol, atol=atol)
