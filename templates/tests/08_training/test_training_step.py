"""Gradients of several batches add up, weighed by their samples, and a step is taken by their mean."""
import numpy as np
import pytest

from tinytorch.core.optimizers import SGD
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import StepSchedule, TrainingStep

pytestmark = pytest.mark.exercise("training_step")

ALIKE = "Each batch has counted the same, whatever its size: weigh it by its samples, by a gradient full of n."
BY_BATCHES = "The sum over all samples was divided by the number of batches: divide by self.samples."
NOT_DIVIDED = "The step goes by the sum over all samples: divide the gradients by self.samples before it."
OLD_GRADIENT = "The second step goes by the first one's gradient too: clear the gradients after each step."
TOO_EARLY = "The gradients were clipped before they were divided, and the step is too short: divide, then clip."
RATE_AHEAD = "The step was taken with the rate of the next one: the optimizer comes first, then the schedule."
NOT_RESET = "The samples of the last step were counted again: set self.samples to 0 after each step."
POISONED = "The gradients changed although the loss is not finite: look at it before the backward pass."
EVERY_BATCH = "The rate has changed although no step was taken: the schedule counts steps, not batches."


def slope_batch(*values):
    """Inputs for `weight * x`; the target is not looked at."""
    return Tensor(np.array(values)[:, None]), Tensor(np.zeros((len(values), 1)))


@pytest.fixture
def make(student_side):
    """A TrainingStep with one weight, the loss `output.mean()`, and plain gradient descent with the rate 1."""

    def make(weight=0.0, loss=student_side.mean, **options):
        model = student_side.Slope(weight)
        return TrainingStep(model, loss, SGD(model.parameters(), lr=1.0), **options)

    return make


@pytest.fixture
def problem(student_side, rng):
    """Ten samples, and what belongs to a linear model in float64: a maker of it, the loss and its gradients in NumPy."""

    class Problem:
        x, t = rng.normal(size=(10, 4)), rng.normal(size=(10, 2))
        w, b = rng.normal(size=(2, 4)), rng.normal(size=2)

        def trainer(self, lr=0.1, **options):
            model = student_side.Affine(self.w, self.b)
            return TrainingStep(model, student_side.mean_square, SGD(model.parameters(), lr=lr), **options)

        def batch(self, *bounds):
            part = slice(*bounds)
            return Tensor(self.x[part]), Tensor(self.t[part])

        def gradients(self, part=slice(None), w=None, b=None):
            """Loss and gradients of the mean over the samples of a part."""
            w, b = (self.w, self.b) if w is None else (w, b)
            x, t = self.x[part], self.t[part]
            error = x @ w.T + b - t
            return (error**2).mean(), 2 * error.T @ x / error.size, 2 * error.sum(axis=0) / error.size

    return Problem()


def test_add_batch_returns_the_loss(make, student_side):
    """2 · 3 for a target of 5: the squared error is 1, as a float."""
    trainer = make(2.0, student_side.mean_square)
    loss = trainer.add_batch(Tensor([[3.0]]), Tensor([[5.0]]))
    assert isinstance(loss, float) and loss == 1


def test_two_parts_by_hand(make, student_side, hint):
    """Means of 2 over 64 samples and of 5 over 16 make 2.6: the module's example, as a step of that size."""
    trainer = make()
    for count, value in ((64, 2.0), (16, 5.0)):
        trainer.add_batch(*slope_batch(*[value] * count))
    trainer.take_step()
    moved = -student_side.weights(trainer.model)[0].item()
    hint(ALIKE, when=min(abs(moved - 3.5), abs(moved - 7 / 80)) < 1e-9)
    hint(BY_BATCHES, when=abs(moved - 104) < 1e-9)
    hint(NOT_DIVIDED, when=abs(moved - 208) < 1e-9)
    assert moved == pytest.approx(2.6, rel=1e-12)


def test_add_batch_sends_back_n_times_the_loss(problem, student_side):
    """A batch's gradient is that of its mean loss, times its samples; two of them add up."""
    trainer = problem.trainer()
    expected = [0, 0]
    for bounds in ((0, 4), (4, 10)):
        loss = trainer.add_batch(*problem.batch(*bounds))
        value, *grads = problem.gradients(slice(*bounds))
        expected = [total + (bounds[1] - bounds[0]) * grad for total, grad in zip(expected, grads, strict=True)]
        assert loss == pytest.approx(value, rel=1e-12)
        for found, wanted in zip(student_side.waiting(trainer.model), expected, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_add_batch_moves_no_weight(problem, student_side):
    """The weights are those from before until the step is taken."""
    trainer = problem.trainer()
    trainer.add_batch(*problem.batch(0, 10))
    before = student_side.weights(trainer.model)
    np.testing.assert_array_equal(before[0], problem.w)
    np.testing.assert_array_equal(before[1], problem.b)
    trainer.take_step()
    assert not np.allclose(student_side.weights(trainer.model)[0], problem.w)


PARTS = {
    "whole": [10], "halves": [5, 5], "unequal": [7, 3], "many": [1, 2, 3, 4], "single": [1] * 10,
}


@pytest.mark.parametrize("name", list(PARTS))
def test_parts_give_the_step_of_the_whole(problem, student_side, name):
    """However 10 samples are divided into batches, the step is that of one batch of 10."""
    trainer, at = problem.trainer(lr=0.3), 0
    for size in PARTS[name]:
        trainer.add_batch(*problem.batch(at, at + size))
        at += size
    trainer.take_step()
    _, grad_w, grad_b = problem.gradients()
    w, b = student_side.weights(trainer.model)
    np.testing.assert_allclose(w, problem.w - 0.3 * grad_w, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(b, problem.b - 0.3 * grad_b, rtol=1e-10, atol=1e-12)


def test_samples_are_counted(problem, hint):
    """3 and 5 are 8; after a step it is 0, and counting begins again."""
    trainer = problem.trainer()
    counts = [trainer.samples]
    for bounds in ((0, 3), (3, 8)):
        trainer.add_batch(*problem.batch(*bounds))
        counts.append(trainer.samples)
    trainer.take_step()
    counts.append(trainer.samples)
    counts = [int(count) for count in counts]
    hint(NOT_RESET, when=counts == [0, 3, 8, 8])
    assert counts == [0, 3, 8, 0]


def test_two_steps(problem, student_side, hint):
    """The second step goes by the second batch alone, from where the first one led."""
    trainer = problem.trainer(lr=0.2)
    w, b = problem.w, problem.b
    for bounds in ((0, 4), (4, 10)):
        trainer.add_batch(*problem.batch(*bounds))
        trainer.take_step()
        before, (_, grad_w, grad_b) = w, problem.gradients(slice(*bounds), w, b)
        w, b = w - 0.2 * grad_w, b - 0.2 * grad_b
    found = student_side.weights(trainer.model)
    first = problem.gradients(slice(0, 4))[1]
    with_first = [before - 0.2 * grad_w - 0.2 * first * factor for factor in (4 / 6, 1 / 6)]
    hint(OLD_GRADIENT, when=any(np.allclose(found[0], wrong, rtol=1e-9) for wrong in with_first))
    hint(NOT_RESET, when=np.allclose(found[0], before - 0.2 * grad_w * 6 / 10, rtol=1e-9))
    np.testing.assert_allclose(found[0], w, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[1], b, rtol=1e-10, atol=1e-12)


def test_gradients_are_cleared_after_a_step(problem, student_side, hint):
    """What waits afterwards is nothing: no gradient, or zeros."""
    trainer = problem.trainer()
    trainer.add_batch(*problem.batch(0, 10))
    waited = student_side.waiting(trainer.model)
    np.testing.assert_allclose(waited[0], 10 * problem.gradients()[1], rtol=1e-9, atol=1e-12)
    trainer.take_step()
    left = student_side.waiting(trainer.model)
    hint(OLD_GRADIENT, when=any(grad.any() for grad in left))
    assert not any(grad.any() for grad in left)


def test_clipping_comes_after_the_division(make, student_side, hint):
    """Gradients 3 of 4 samples sum to 12; their mean 3 is clipped to 1. Clipped first, the step would be a quarter."""
    trainer = make(clip_norm=1.0)
    trainer.add_batch(*slope_batch(3.0, 3.0, 3.0, 3.0))
    trainer.take_step()
    moved = -student_side.weights(trainer.model)[0].item()
    hint(TOO_EARLY, when=abs(moved - 0.25) < 1e-6)
    assert moved == pytest.approx(3 / (3 + 1e-6), rel=1e-9)


@pytest.mark.parametrize("limit", [None, 1e9, 0.5, 0.0], ids=["none", "far", "near", "zero"])
def test_clip_norm(problem, student_side, limit):
    """None doesn't clip, as a limit far away doesn't; 0 is a limit like any other."""
    trainer = problem.trainer(clip_norm=limit)
    trainer.add_batch(*problem.batch(0, 10))
    trainer.take_step()
    _, *grads = problem.gradients()
    norm = np.sqrt(sum((grad**2).sum() for grad in grads))
    factor = 1 if limit is None else min(1, limit / (norm + 1e-6))
    for found, before, grad in zip(student_side.weights(trainer.model), (problem.w, problem.b), grads, strict=True):
        np.testing.assert_allclose(found, before - 0.1 * factor * grad, rtol=1e-9, atol=1e-12)


def test_schedule_is_stepped_with_the_optimizer(student_side, hint):
    """Two batches make a step: it has the rate of t = 0, and the next one that of t = 1."""
    model = student_side.Slope(0.0)
    optimizer = SGD(model.parameters(), lr=1.0)
    trainer = TrainingStep(model, student_side.mean, optimizer, StepSchedule(optimizer, 1, gamma=0.5))
    moved, counts, before = [], [], 0.0
    for step in range(3):
        for _ in range(2):
            trainer.add_batch(*slope_batch(1.0))
            counts.append(trainer.schedule.steps)
        trainer.take_step()
        after = student_side.weights(model)[0].item()
        moved.append(before - after)
        before = after
        hint(EVERY_BATCH, when=len(counts) == 2 and counts[1] > 0)
        hint(RATE_AHEAD, when=step == 0 and abs(moved[0] - 0.5) < 1e-9)
    np.testing.assert_allclose(moved, [1, 0.5, 0.25], rtol=1e-9)
    assert counts == [0, 0, 1, 1, 2, 2]
    assert trainer.schedule.steps == 3
    np.testing.assert_allclose(student_side.rates(optimizer), [0.125], rtol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "infinite", "minus-infinite"])
def test_loss_that_is_not_finite(problem, student_side, hint, value):
    """A ValueError that says so; weights, gradients that wait, and their samples are those from before."""
    trainer = problem.trainer()
    trainer.add_batch(*problem.batch(0, 4))
    before = student_side.state_of(trainer)
    with pytest.raises(ValueError, match="not finite"):
        trainer.add_batch(Tensor(problem.x[4:7]), Tensor(np.full((3, 2), value)))
    after = student_side.state_of(trainer)
    hint(POISONED, when=not np.isfinite(after["grads"][0]).all())
    for name in ("weights", "grads"):
        for found, wanted in zip(after[name], before[name], strict=True):
            np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(after["grads"][0], 4 * problem.gradients(slice(0, 4))[1], rtol=1e-9, atol=1e-12)
    assert after["samples"] == 4


def test_training_goes_on_after_a_loss_that_is_not_finite(problem, student_side):
    """Whoever catches the error may leave out that batch; the step is the one without it."""
    trainer = problem.trainer()
    trainer.add_batch(*problem.batch(0, 6))
    with pytest.raises(ValueError, match="not finite"):
        trainer.add_batch(Tensor(np.full((2, 4), np.inf)), Tensor(problem.t[:2]))
    trainer.add_batch(*problem.batch(6, 10))
    trainer.take_step()
    np.testing.assert_allclose(
        student_side.weights(trainer.model)[0], problem.w - 0.1 * problem.gradients()[1], rtol=1e-10, atol=1e-12
    )


def test_loss_of_shape_one(make, student_side):
    """A loss may have one element and a dimension: what is sent back has its shape."""
    trainer = make(loss=student_side.mean_of_shape_one)
    assert trainer.add_batch(*slope_batch(1.0, 2.0, 6.0)) == 0
    trainer.take_step()
    assert student_side.weights(trainer.model)[0].item() == pytest.approx(-3, rel=1e-12)


def test_parameters_are_those_of_the_optimizer(student_side, rng):
    """Of all its groups, in order; one that isn't in it stays, and one without a gradient too."""
    model = student_side.Slope(1.0, spare=5.0)
    other = Tensor(np.array([3.0]), requires_grad=True)
    optimizer = SGD([{"params": [other]}, {"params": [model.weight, model.spare], "lr": 2.0}], lr=1.0)
    trainer = TrainingStep(model, student_side.mean, optimizer)
    assert [p.item() for p in trainer.parameters()] == [3, 1, 5]
    value = rng.uniform(1, 2)
    trainer.add_batch(*slope_batch(value, value))
    trainer.take_step()
    assert [p.item() for p in trainer.parameters()] == pytest.approx([3, 1 - 2 * value, 5])


def test_batch_is_counted_by_its_first_dimension(student_side, rng):
    """Samples of any shape: (6, 2, 3) are six."""
    model = student_side.Slope(0.5)
    trainer = TrainingStep(model, student_side.mean, SGD(model.parameters(), lr=1.0))
    x = rng.normal(size=(6, 2, 3))
    loss = trainer.add_batch(Tensor(x), Tensor(x))
    assert loss == pytest.approx(0.5 * x.mean(), rel=1e-9) and trainer.samples == 6
    trainer.take_step()
    assert student_side.weights(model)[0].item() == pytest.approx(0.5 - x.mean(), rel=1e-9)


def test_step_keeps_float32(student_side, rng):
    """float32 weights have float32 gradients, and stay float32."""
    w, b = rng.normal(size=(2, 4)).astype(np.float32), np.zeros(2, np.float32)
    model = student_side.Affine(w, b)
    trainer = TrainingStep(model, student_side.mean_square, SGD(model.parameters(), lr=0.1), clip_norm=1e3)
    x, t = rng.normal(size=(5, 4)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    trainer.add_batch(Tensor(x), Tensor(t))
    assert [str(grad.dtype) for grad in student_side.waiting(model)] == ["float32"] * 2
    trainer.take_step()
    found = student_side.weights(model)
    assert [str(p.dtype) for p in found] == ["float32"] * 2
    error = x.astype(float) @ w.astype(float).T - t
    np.testing.assert_allclose(found[0], w - 0.1 * 2 * error.T @ x / 10, rtol=1e-4, atol=1e-6)


def test_accumulate_is_at_least_one(make, student_side):
    """0 batches make no step: a ValueError; 1 is the default."""
    for count in (0, -2):
        with pytest.raises(ValueError, match="accumulate"):
            make(accumulate=count)
    trainer = make()
    assert trainer.accumulate == 1 and trainer.samples == 0
    trainer.add_batch(*slope_batch(2.0))
    trainer.take_step()
    assert student_side.weights(trainer.model)[0].item() == -2
