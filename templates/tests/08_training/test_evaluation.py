"""Evaluation gives means over all samples, in evaluation mode, without a graph, and leaves everything as it was."""
import numpy as np
import pytest

from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.optimizers import SGD
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import Evaluation, accuracy

pytestmark = pytest.mark.exercise("evaluation")

MEAN_OF_MEANS = "That is the mean of the batches' means: a batch counts as often as it has samples."
STAYS_IN_EVALUATION = "The model is in evaluation mode afterwards, and would be trained on so: put back the mode it was in."
ALWAYS_TRAINING = "The model was in evaluation mode before, and is in training mode now: note the mode, and put back that."
NOT_AFTER_ERROR = "After an error the model stays in evaluation mode: put the mode back in a `finally`."
DROPS_OUT = "The model was in training mode while it was evaluated, so that dropout was at work: call eval() before."
RECORDS = "The outputs require a gradient, so a graph was recorded: evaluate inside of no_grad()."


@pytest.fixture
def make(student_side):
    """An Evaluation of a linear model in float64."""

    def make(w, b, loss=student_side.mean_square, **options):
        model = student_side.Affine(w, b)
        return Evaluation(model, loss, SGD(model.parameters(), lr=0.1), **options)

    return make


@pytest.fixture
def slope(student_side):
    """An Evaluation of weight * x with weight 1, whose loss is the mean output."""

    def make(loss=student_side.mean, **options):
        model = student_side.Slope(1.0)
        return Evaluation(model, loss, SGD(model.parameters(), lr=0.1), **options)

    return make


def column(*values):
    return np.array(values)[:, None]


def test_mean_over_samples_by_hand(slope, student_side, hint):
    """A loss of 1 for four samples, and of 6 for the fifth: (4 · 1 + 6) / 5 = 2, and not (1 + 6) / 2 = 3.5."""
    x = column(1.0, 1.0, 1.0, 1.0, 6.0)
    found = slope().evaluate(student_side.batches(x, x, 4))
    hint(MEAN_OF_MEANS, when=abs(found["loss"] - 3.5) < 1e-9)
    assert dict(found) == {"loss": pytest.approx(2.0, rel=1e-12)}


@pytest.mark.parametrize("size", [10, 5, 4, 3, 1], ids=["whole", "halves", "four", "three", "single"])
def test_batches_do_not_matter(make, student_side, rng, size):
    """The loss is that of all ten samples together, however they are divided."""
    x, t, w, b = rng.normal(size=(10, 4)), rng.normal(size=(10, 3)), rng.normal(size=(3, 4)), rng.normal(size=3)
    found = make(w, b).evaluate(student_side.batches(x, t, size))
    assert found["loss"] == pytest.approx(((x @ w.T + b - t) ** 2).mean(), rel=1e-10)
    assert isinstance(found["loss"], float)


def test_metrics_are_means_too(slope, student_side, hint):
    """Each under its name, a mean over samples, called with output and target in this order."""
    x, t = column(1.0, 2.0, 3.0, 9.0), column(0.0, 0.0, 0.0, 4.0)
    metrics = {"top": student_side.largest, "above": student_side.furthest}
    found = slope(metrics=metrics).evaluate(student_side.batches(x, t, 3))
    hint(MEAN_OF_MEANS, when=abs(found["top"] - 6) < 1e-9)
    assert dict(found) == {"loss": pytest.approx(3.75), "top": pytest.approx(4.5), "above": pytest.approx(3.5)}


def test_accuracy(make, student_side, rng):
    """The share of samples whose largest score is that of their class, with a last batch of one."""
    x, w, b = rng.normal(size=(7, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
    t = (x @ w.T + b).argmax(axis=1)
    wrong = rng.permutation(7)[: rng.integers(1, 7)]  # neither none nor all of them
    t[wrong] = (t[wrong] + 1) % 3
    trainer = make(w, b, loss=student_side.largest_loss, metrics={"accuracy": accuracy})
    found = trainer.evaluate(student_side.batches(x, t, 3))
    assert float(found["accuracy"]) == pytest.approx(1 - len(wrong) / 7)


def test_evaluation_mode(make, student_side, rng, hint):
    """While it is evaluated the model isn't training, and nothing is recorded."""
    trainer = make(rng.normal(size=(2, 4)), rng.normal(size=2))
    x, t = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    trainer.evaluate(student_side.batches(x, t, 4))
    modes, recorded = student_side.modes(trainer.model)
    hint(DROPS_OUT, when=any(modes))
    hint(RECORDS, when=any(recorded))
    assert len(modes) >= 2
    assert not any(modes) and not any(recorded)


def test_dropout_is_off(student_side, rng, hint):
    """With dropout of one half, the loss is exactly that of the whole network, and no random number was drawn."""
    weight, x, t = rng.uniform(1, 2, size=200), rng.uniform(1, 2, size=(3, 200)), rng.normal(size=(3, 200))
    model = student_side.Thinned(weight)
    trainer = Evaluation(model, student_side.mean_square, SGD(model.parameters(), lr=0.1))
    before = student_side.random_state()
    found = float(trainer.evaluate(student_side.batches(x, t, 3))["loss"])
    expected = ((x * weight - t) ** 2).mean()
    hint(DROPS_OUT, when=abs(found - expected) > 1e-3)
    assert found == pytest.approx(expected, rel=1e-10)
    assert student_side.random_state() == before


def test_metrics_see_what_the_loss_sees(student_side, rng):
    """Loss and all metrics get the model's output for the batch."""
    model = student_side.Affine(rng.normal(size=(1, 2)), rng.normal(size=1))
    metrics = {"first": student_side.largest, "second": student_side.largest}
    x = rng.normal(size=(5, 2))
    trainer = Evaluation(model, student_side.mean, SGD(model.parameters(), lr=0.1), metrics=metrics)
    found = trainer.evaluate(student_side.batches(x, x, 2))
    out = x @ student_side.weights(model)[0].T + student_side.weights(model)[1]
    top = (2 * out[:2].max() + 2 * out[2:4].max() + out[4:].max()) / 5
    assert dict(found) == {"loss": pytest.approx(out.mean()), "first": pytest.approx(top), "second": pytest.approx(top)}


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_mode_is_restored(slope, student_side, hint, training):
    """In training before, in training after; in evaluation before, in evaluation after."""
    trainer = slope()
    trainer.model.train(training)
    x = column(1.0, 2.0)
    loss = float(trainer.evaluate(student_side.batches(x, x, 1))["loss"])
    mode = student_side.is_training(trainer.model)
    hint(STAYS_IN_EVALUATION, when=training and not mode)
    hint(ALWAYS_TRAINING, when=mode and not training)
    assert mode is training
    assert loss == pytest.approx(1.5)


def restores(trainer, student_side):
    """Whether the model is in training mode after an evaluation without an error, as it was before."""
    trainer.evaluate(student_side.batches(column(1.0), column(1.0), 1))
    return student_side.is_training(trainer.model)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_mode_is_restored_after_an_error(slope, student_side, hint, training):
    """The error comes out, and the model is in the mode that it was in; afterwards gradients are recorded again."""
    trainer = slope(loss=student_side.broken)
    trainer.model.train(training)
    x = column(1.0, 2.0)
    with pytest.raises(ValueError, match="the loss is broken"):
        trainer.evaluate(student_side.batches(x, x, 2))
    mode = student_side.is_training(trainer.model)
    hint(NOT_AFTER_ERROR, when=training and not mode and restores(slope(), student_side))
    assert mode is training
    assert student_side.is_recording()


def test_no_batches(slope, student_side, hint):
    """There is no mean of nothing: a ValueError that says so, and the mode is restored."""
    trainer = slope()
    with pytest.raises(ValueError, match="no batches"):
        trainer.evaluate([])
    mode = student_side.is_training(trainer.model)
    hint(NOT_AFTER_ERROR, when=not mode and restores(slope(), student_side))
    assert mode is True


def test_evaluation_changes_nothing(make, student_side, rng):
    """In the middle of a step: weights, gradients, and samples that wait are the same before and after."""
    trainer = make(rng.normal(size=(2, 4)), rng.normal(size=2))
    x, t = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    trainer.add_batch(Tensor(x[:3]), Tensor(t[:3]))
    before = student_side.state_of(trainer)
    first, second = (float(trainer.evaluate(student_side.batches(x, t, 4))["loss"]) for _ in range(2))
    after = student_side.state_of(trainer)
    assert first == second > 0
    for name in ("weights", "grads"):
        for found, wanted in zip(after[name], before[name], strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert after["samples"] == before["samples"] == 3
    trainer.take_step()
    assert float(trainer.evaluate(student_side.batches(x, t, 4))["loss"]) != first


def test_evaluation_of_a_loader(make, rng):
    """A DataLoader does as well as a list."""
    x, t, w, b = rng.normal(size=(9, 4)), rng.normal(size=(9, 2)), rng.normal(size=(2, 4)), rng.normal(size=2)
    loader = DataLoader(TensorDataset(Tensor(x), Tensor(t)), batch_size=4, shuffle=True)
    found = make(w, b).evaluate(loader)
    assert float(found["loss"]) == pytest.approx(((x @ w.T + b - t) ** 2).mean(), rel=1e-10)
