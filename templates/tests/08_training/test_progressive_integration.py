"""Data, layers, losses, gradients, optimizers and the loop around them: a network that reads digits."""
import numpy as np
import pytest

from tinytorch.core.activations import ReLU
from tinytorch.core.dataloader import DataLoader, TensorDataset
from tinytorch.core.layers import Linear, Sequential
from tinytorch.core.losses import CrossEntropyLoss, MSELoss
from tinytorch.core.optimizers import SGD, Adam
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import CosineSchedule, StepSchedule, Trainer, WarmupSchedule, accuracy


@pytest.fixture(autouse=True)
def seeded(student_side, rng):
    """What the layers and loaders draw is fixed by the test's own generator, and so the same at every run."""
    student_side.seed(int(rng.integers(2**31)))


@pytest.mark.exercise("fit")
def test_digits_are_learned(course_data):
    """A network of 64-32-10 reads more than 90 % of the digits that it was trained with, and of 297 others 80 %."""
    digits = course_data("digits")
    x, t = digits.images.reshape(-1, 64).astype(np.float32) / 16, digits.labels
    train, test = (TensorDataset(Tensor(x[part]), Tensor(t[part])) for part in (slice(1500), slice(1500, None)))
    net = Sequential(Linear(64, 32), ReLU(), Linear(32, 10))
    optimizer = Adam(net.parameters(), lr=0.01)
    schedule = WarmupSchedule(optimizer, 5, CosineSchedule(optimizer, 91))
    trainer = Trainer(net, CrossEntropyLoss(), optimizer, schedule, clip_norm=5.0, metrics={"accuracy": accuracy})
    before = trainer.evaluate(DataLoader(test, 100))
    history = trainer.fit(DataLoader(train, 64, shuffle=True), 4, DataLoader(test, 100))
    w1, b1, w2, b2 = (p.numpy().astype(float) for p in net.parameters())
    answers = (np.maximum(x @ w1.T + b1, 0) @ w2.T + b2).argmax(axis=1)
    assert (answers[:1500] == t[:1500]).mean() > 0.9
    assert history[-1]["val_accuracy"] == pytest.approx((answers[1500:] == t[1500:]).mean(), abs=0.004)
    assert history[-1]["val_accuracy"] > 0.8 > before["accuracy"]
    assert history[0]["loss"] > history[1]["loss"] > history[3]["loss"]


@pytest.mark.exercise("training_step")
def test_all_at_once_against_numpy(student_side, rng):
    """Warmup, cosine, clipping and accumulation with unequal batches, four epochs in float64."""
    x, t, w, b = rng.normal(size=(14, 3)), rng.normal(size=(14, 2)), rng.normal(size=(2, 3)), rng.normal(size=2)
    model = student_side.Affine(w, b)
    optimizer = SGD(model.parameters(), lr=0.3)
    schedule = WarmupSchedule(optimizer, 3, CosineSchedule(optimizer, 6, eta_min=0.01))
    trainer = Trainer(model, MSELoss(), optimizer, schedule, clip_norm=0.9, accumulate=2)
    trainer.fit(DataLoader(TensorDataset(Tensor(x), Tensor(t)), 4), 4)
    clipped = 0
    for step in range(8):  # 4 + 4 and 4 + 2 samples, four times
        part = slice(8) if step % 2 == 0 else slice(8, 14)
        error = x[part] @ w.T + b - t[part]
        grad_w, grad_b = 2 * error.T @ x[part] / error.size, 2 * error.sum(axis=0) / error.size
        norm = np.sqrt((grad_w**2).sum() + (grad_b**2).sum())
        rate = 0.1 * (step + 1) if step < 3 else 0.01 + 0.29 * (1 + np.cos(np.pi * (step - 3) / 6)) / 2
        factor = min(1, 0.9 / (norm + 1e-6))
        clipped += factor < 1
        w, b = w - rate * factor * grad_w, b - rate * factor * grad_b
    found = student_side.weights(model)
    np.testing.assert_allclose(found[0], w, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(found[1], b, rtol=1e-9, atol=1e-11)
    assert trainer.schedule.steps == 8


@pytest.mark.exercise("evaluation")
def test_history_says_what_evaluate_says(student_side, rng):
    """The last record's validation is what `evaluate` gives afterwards."""
    x, t = rng.normal(size=(20, 3)).astype(np.float32), rng.integers(0, 4, size=20)
    net = Sequential(Linear(3, 4))
    trainer = Trainer(net, CrossEntropyLoss(), Adam(net.parameters(), lr=0.1), metrics={"accuracy": accuracy})
    loader = DataLoader(TensorDataset(Tensor(x), Tensor(t)), 6)
    last = trainer.fit(loader, 3, loader)[-1]
    found = trainer.evaluate(loader)
    assert dict(found) == {"loss": last["val_loss"], "accuracy": last["val_accuracy"]}
    w, b = (p.astype(float) for p in student_side.weights(net))
    scores = x @ w.T + b
    loss = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(20), t]
    assert found["loss"] == pytest.approx(loss.mean(), rel=1e-4)
    assert last["loss"] > 0


@pytest.mark.exercise("schedules")
def test_long_steps_first_short_ones_later(student_side, rng):
    """With noise in the gradient a rate that falls ends nearer to the minimum than one that stays."""
    x = np.ones((64, 1))
    t = 3 + rng.normal(size=(64, 1))
    ends = []
    for falling in (True, False):
        model = student_side.Slope(0.0)
        optimizer = SGD([model.weight], lr=0.5)
        schedule = StepSchedule(optimizer, 64, gamma=0.1) if falling else None
        trainer = Trainer(model, student_side.mean_square, optimizer, schedule)
        trainer.fit(student_side.batches(x, t, 1), 3)
        ends.append(student_side.weights(model)[0].item())
    place = 0.0
    for step, target in enumerate([*t.ravel()] * 3):
        place -= 0.5 * 0.1 ** (step // 64) * 2 * (place - target)
    assert ends[0] == pytest.approx(place, rel=1e-9)
    assert abs(ends[0] - t.mean()) < 1  # seven times the noise that is left
    assert ends[1] == pytest.approx(t[-1].item(), abs=1e-9)  # a rate of 0.5 leads to the last sample each time


@pytest.mark.exercise("clip_grad_norm")
def test_clipping_saves_a_training_from_one_batch(student_side, rng):
    """One target of a million among ordinary ones: with a limit the weight stays near, without it is thrown away."""
    x, t = np.ones((20, 1)), rng.normal(size=(20, 1))
    t[-1] = 1e6
    ends = []
    for limit in (1.0, None):
        model = student_side.Slope(0.0)
        trainer = Trainer(model, student_side.mean_square, SGD([model.weight], lr=0.1), clip_norm=limit)
        trainer.fit(student_side.batches(x, t, 1), 1)
        ends.append(student_side.weights(model)[0].item())
    assert abs(ends[0]) < 3
    assert ends[1] > 1e5


@pytest.mark.exercise("resume")
def test_best_weights_are_kept(student_side, rng):
    """A state noted in the middle is put back after the training has gone on: the network is the one from then."""
    x, t = rng.normal(size=(12, 3)).astype(np.float32), rng.normal(size=(12, 1)).astype(np.float32)
    net = Sequential(Linear(3, 4), ReLU(), Linear(4, 1))
    trainer = Trainer(net, MSELoss(), Adam(net.parameters(), lr=0.05))
    batches = student_side.batches(x, t, 4)
    trainer.fit(batches, 2)
    best, weights = trainer.state_dict(), student_side.weights(net)
    trainer.fit(batches, 5)
    assert len(trainer.history) == 5 and not np.array_equal(student_side.weights(net)[0], weights[0])
    trainer.load_state_dict(best)
    for found, wanted in zip(student_side.weights(net), weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert [record["epoch"] for record in trainer.history] == [1, 2]


@pytest.mark.exercise("checkpoint_file")
def test_network_goes_through_a_file(student_side, rng):
    """What is loaded has the weights as arrays, and another network takes them."""
    net = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    found, _ = student_side.through_file(net.state_dict())
    other = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    other.load_state_dict(found)
    x = Tensor(rng.normal(size=(5, 3)).astype(np.float32))
    np.testing.assert_array_equal(other(x).numpy(), net(x).numpy())
    w1, b1, w2, b2 = student_side.weights(net)
    np.testing.assert_allclose(other(x).numpy(), np.maximum(x.numpy() @ w1.T + b1, 0) @ w2.T + b2, rtol=1e-4, atol=1e-5)
