"""The loop trains epoch after epoch, tells how it goes, and goes on from any batch as if it had never stopped."""
import signal

import numpy as np
import pytest

from tinytorch.core.optimizers import SGD
from tinytorch.core.tensor import Tensor
from tinytorch.core.training import CosineSchedule, Trainer

pytestmark = pytest.mark.exercise("fit")

LEFT_OUT = "The last batches of the epoch made no full step and were dropped: step once more if samples are waiting."
SUMMED = "The loss of an epoch is the mean over its samples: add loss times the batch's samples to progress[\"total\"]."
EACH_BATCH = "A step was taken after each batch: take one when `accumulate` batches have come."
NEW_ORDER = "After resuming in the middle of an epoch its samples came in a new order: put back progress[\"order\"] first."
NOT_SKIPPED = "After resuming, batches came that had been trained on before: begin at progress[\"batch\"]."
DISPLACED = "The rest of the epoch is the same, and what is drawn after that is not: set the process-wide generator back."
OWN_FORGOTTEN = "A loader's own generator has to get the state in progress[\"order\"] at the beginning of an epoch too."
REWOUND = "The process-wide generator was wound back at the beginning of an epoch: there it is where it should be."
UNTOLD = "The callbacks were told before the progress was counted: count the batch first, and step, then after_batch()."


class Linear:
    """A training by hand: a linear model in float64, its mean squared error, and plain gradient descent."""

    def __init__(self, rng, samples=10):
        self.x, self.t = rng.normal(size=(samples, 3)), rng.normal(size=(samples, 2))
        self.w, self.b = rng.normal(size=(2, 3)), rng.normal(size=2)

    def trainer(self, student_side, lr=0.1, schedule=None, **options):
        model = student_side.Affine(self.w, self.b)
        optimizer = SGD(model.parameters(), lr=lr)
        return Trainer(model, student_side.mean_square, optimizer, schedule and schedule(optimizer), **options)

    def error(self, w, b, part=slice(None)):
        return self.x[part] @ w.T + b - self.t[part]

    def train(self, epochs, size, accumulate=1, rate=lambda t: 0.1, limit=None):
        """Weights, and the mean loss of each epoch, computed batch by batch."""
        w, b, losses, steps = self.w, self.b, [], 0
        starts = list(range(0, len(self.x), size))
        for _ in range(epochs):
            total = 0.0
            for first in range(0, len(starts), accumulate):
                chosen = starts[first : first + accumulate]
                part = slice(chosen[0], min(chosen[-1] + size, len(self.x)))
                error = self.error(w, b, part)
                total += (error**2).mean() * len(error)  # no weight changes within a step
                grad_w, grad_b = 2 * error.T @ self.x[part] / error.size, 2 * error.sum(axis=0) / error.size
                norm = np.sqrt((grad_w**2).sum() + (grad_b**2).sum())
                factor = 1 if limit is None else min(1, limit / (norm + 1e-6))
                w, b, steps = w - rate(steps) * factor * grad_w, b - rate(steps) * factor * grad_b, steps + 1
            losses.append(total / len(self.x))
        return w, b, losses


def check(trainer, w, b, student_side, rtol=1e-9):
    found = student_side.weights(trainer.model)
    np.testing.assert_allclose(found[0], w, rtol=rtol, atol=1e-11)
    np.testing.assert_allclose(found[1], b, rtol=rtol, atol=1e-11)


def test_two_epochs_by_hand(student_side, hint):
    """For weight * x and the loss `output.mean()` each step moves the weight by the mean of x; 3 samples in batches of 2."""
    model = student_side.Slope(10.0)
    trainer = Trainer(model, student_side.mean, SGD(model.parameters(), lr=1.0))
    x = np.array([[1.0], [2.0], [3.0]])
    history = trainer.fit(student_side.batches(x, x, 2), 2)
    assert student_side.weights(model)[0].item() == 10 - 2 * (1.5 + 3)
    # losses: 10 · 1.5 and 8.5 · 3, then 5.5 · 1.5 and 4 · 3, weighed 2 : 1
    losses = [record["loss"] for record in history]
    hint(SUMMED, when=np.allclose(losses, [(15 + 25.5) / 3, (8.25 + 12) / 3]))
    np.testing.assert_allclose(losses, [(2 * 15 + 25.5) / 3, (2 * 8.25 + 12) / 3], rtol=1e-12)


def test_history(student_side, rng):
    """A record for each epoch: its number, the learning rate, the mean loss, and what validation says."""
    problem = Linear(rng)
    trainer = problem.trainer(
        student_side, schedule=lambda optimizer: CosineSchedule(optimizer, 12), metrics={"top": student_side.largest}
    )
    batches = student_side.batches(problem.x, problem.t, 4)
    history = trainer.fit(batches, 3, batches[:1])
    assert [sorted(record) for record in history] == [["epoch", "loss", "lr", "val_loss", "val_top"]] * 3
    rate = lambda t: 0.05 * (1 + np.cos(np.pi * t / 12))
    assert [record["epoch"] for record in history] == [1, 2, 3]
    np.testing.assert_allclose([record["lr"] for record in history], [rate(3), rate(6), rate(9)], rtol=1e-9)
    w, b, losses = problem.train(3, 4, rate=rate)
    np.testing.assert_allclose([record["loss"] for record in history], losses, rtol=1e-9)
    check(trainer, w, b, student_side)
    assert history[2]["val_loss"] == pytest.approx((problem.error(w, b, slice(4)) ** 2).mean(), rel=1e-8)
    assert history[2]["val_top"] == pytest.approx((problem.x[:4] @ w.T + b).max(), rel=1e-8)
    assert [dict(record) for record in trainer.history] == [dict(record) for record in history]


STEPS = {"one": (4, 1), "two": (2, 2), "two-with-a-rest": (4, 2), "three": (3, 3), "three-with-a-rest": (2, 3), "more": (3, 9)}


@pytest.mark.parametrize("name", list(STEPS))
def test_accumulate(student_side, rng, hint, name):
    """So many batches make a step, and what is left at the end of an epoch makes one more."""
    size, accumulate = STEPS[name]
    problem = Linear(rng)
    trainer = problem.trainer(student_side, accumulate=accumulate)
    history = trainer.fit(student_side.batches(problem.x, problem.t, size), 2)
    w, b, losses = problem.train(2, size, accumulate)
    found = student_side.weights(trainer.model)[0]
    left = {"two-with-a-rest": 2, "three-with-a-rest": 4}.get(name)
    hint(LEFT_OUT, when=trainer.samples == left)
    hint(EACH_BATCH, when=accumulate > 1 and np.allclose(found, problem.train(2, size)[0]))
    check(trainer, w, b, student_side)
    np.testing.assert_allclose([record["loss"] for record in history], losses, rtol=1e-9)
    assert trainer.samples == 0


def test_schedule_counts_steps(student_side, rng):
    """With 5 batches in an epoch and 2 to a step, two epochs are 6 steps, clipped, each with its own rate."""
    problem = Linear(rng)
    trainer = problem.trainer(
        student_side, schedule=lambda optimizer: CosineSchedule(optimizer, 6), accumulate=2, clip_norm=0.7
    )
    trainer.fit(student_side.batches(problem.x, problem.t, 2), 2)
    w, b, _ = problem.train(2, 2, 2, rate=lambda t: 0.05 * (1 + np.cos(np.pi * t / 6)), limit=0.7)
    check(trainer, w, b, student_side)
    assert trainer.schedule.steps == 6


def test_every_epoch_has_a_new_order(student_side, rng):
    """The loader draws: the first order is the generator's first permutation, and the epochs visit every sample once."""
    number = int(rng.integers(2**31))
    _, seen, _, _ = student_side.run(number, 3, dropout=0.0)
    epochs = np.array([sum(seen[at : at + 4], []) for at in (0, 4, 8)], int)
    generator = np.random.default_rng(number)
    np.testing.assert_array_equal(epochs, [generator.permutation(10) for _ in range(3)])
    assert [len(batch) for batch in seen] == [3, 3, 3, 1] * 3


def test_loader_with_a_generator_of_its_own(student_side, rng):
    """It draws from that, and from no other: the process-wide one stays where it was."""
    number, own = (int(n) for n in rng.integers(2**31, size=2))
    result, seen, _, _ = student_side.run(number, 2, dropout=0.0, own=own)
    epochs = np.array([sum(seen[at : at + 4], []) for at in (0, 4)], int)
    generator = np.random.default_rng(own)
    np.testing.assert_array_equal(epochs, [generator.permutation(10) for _ in range(2)])
    assert result["random"]["state"] == np.random.default_rng(number).bit_generator.state["state"]
    assert result["own"]["state"] == generator.bit_generator.state["state"]


def test_model_is_trained_in_training_mode(student_side, rng):
    """Also one that was in evaluation mode before: what dropout drops or doubles misses x * weight by its own size."""
    weight = rng.uniform(1, 2, size=50)
    model = student_side.Thinned(weight)
    model.eval()
    trainer = Trainer(model, student_side.mean_square, SGD(model.parameters(), lr=0.0))
    x = rng.uniform(1, 2, size=(4, 50))
    products = x * weight
    loss = float(trainer.fit(student_side.batches(x, products, 2), 1)[0]["loss"])
    assert loss == pytest.approx((products**2).mean(), rel=1e-9)
    assert student_side.is_training(model)


def test_callbacks_are_told(student_side, rng, hint):
    """After each batch, with progress that counts it and its samples; after each epoch, with its record."""
    _, _, batches, epochs = student_side.run(int(rng.integers(2**31)), 2, accumulate=3)
    hint(UNTOLD, when=[batch for _, batch, _, _ in batches] == [0, 1, 2, 3] * 2)
    hint(UNTOLD, when=[waiting for _, _, _, waiting in batches] == [3, 6, 9, 1] * 2)
    expected = [(1, 3, 3), (2, 6, 6), (3, 9, 0), (4, 10, 1)]  # batch, samples of the epoch, samples that wait
    assert [tuple(told) for told in batches] == [(epoch, *numbers) for epoch in (0, 1) for numbers in expected]
    assert [tuple(told) for told in epochs] == [(1, 0, 1), (2, 0, 2)]


def test_total_is_there_during_the_epoch(student_side, rng):
    """progress["total"] is the sum of loss times samples so far."""
    problem = Linear(rng)
    watcher = student_side.Totals()
    trainer = problem.trainer(student_side, lr=0.0, callbacks=[watcher])
    trainer.fit(student_side.batches(problem.x, problem.t, 4), 1)
    squares = (problem.error(problem.w, problem.b) ** 2).mean(axis=1)
    np.testing.assert_allclose(watcher.totals, [squares[:4].sum(), squares[:8].sum(), squares.sum()], rtol=1e-9)


def test_stop(student_side, rng):
    """A callback ends the training after an epoch; the next `fit` goes on from there."""
    number = int(rng.integers(2**31))
    stopped, seen, _, _ = student_side.run(number, 5, callbacks=[student_side.StopAfter(2)])
    assert [record["epoch"] for record in stopped["history"]] == [1, 2]
    assert len(seen) == 8
    result, seen, _, _ = student_side.run(number, 5, again=3, callbacks=[student_side.StopAfter(2)])
    assert [record["epoch"] for record in result["history"]] == [1, 2, 3]
    same(result, student_side.run(number, 3)[0])


def same(found, wanted):
    """The same weights, history, rates and generators, to the last bit."""
    for one, other in zip(found["weights"], wanted["weights"], strict=True):
        np.testing.assert_array_equal(one, other)
    for name in ("history", "lr", "random", "own"):
        assert found[name] == wanted[name], name


@pytest.mark.parametrize("own", [None, 11], ids=["process-wide", "own"])
def test_fit_again_goes_on(student_side, rng, own):
    """Two epochs, then up to four: the same as four at once. As many as are done already are none."""
    number = int(rng.integers(2**31))
    whole, seen, _, _ = student_side.run(number, 4, own=own)
    found, again, _, _ = student_side.run(number, 2, again=4, own=own)
    assert again == seen and len(seen) == 16
    same(found, whole)
    idle, seen, _, _ = student_side.run(number, 2, again=2, own=own)
    assert len(seen) == 8
    same(idle, student_side.run(number, 2, own=own)[0])


def test_seed_between_two_fits(student_side, rng, hint):
    """Whoever seeds the process-wide generator between two epochs decides on the order of the next one."""
    first, second = (int(number) for number in rng.integers(2**31, size=2))
    _, seen, _, _ = student_side.run(first, 1, again=2, between=second, dropout=0.0)
    order = np.array(sum(seen[4:], []), int)
    generator = np.random.default_rng(first)
    generator.permutation(10)
    hint(REWOUND, when=np.array_equal(order, generator.permutation(10)))
    np.testing.assert_array_equal(order, np.random.default_rng(second).permutation(10))


def test_validation_draws_nothing(student_side, rng):
    """A run that is validated has the weights of one that isn't, to the last bit."""
    number = int(rng.integers(2**31))
    plain, _, _, _ = student_side.run(number, 2)
    validated = student_side.with_validation(number)
    assert [sorted(record) for record in validated["history"]] == [["epoch", "loss", "lr", "val_largest", "val_loss"]] * 2
    for found, wanted in zip(validated["weights"], plain["weights"], strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert validated["random"] == plain["random"]


def test_no_batches(student_side, rng):
    """An empty loader is a ValueError that says so; with batches the same trainer trains."""
    problem = Linear(rng)
    trainer = problem.trainer(student_side)
    with pytest.raises(ValueError, match="no batches"):
        trainer.fit([], 1)
    assert len(trainer.fit(student_side.batches(problem.x, problem.t, 4), 1)) == 1
    check(trainer, *problem.train(1, 4)[:2], student_side)


def test_loss_that_is_not_finite_ends_the_training(student_side, rng):
    """The error comes out of `fit`, and the weights are those of the step before."""
    problem = Linear(rng)
    trainer = problem.trainer(student_side)
    batches = student_side.batches(problem.x, problem.t, 4)
    with pytest.raises(ValueError, match="not finite"):
        trainer.fit([batches[0], (Tensor(problem.x[4:8]), Tensor(np.full((4, 2), np.nan)))], 1)
    problem.x, problem.t = problem.x[:4], problem.t[:4]
    check(trainer, *problem.train(1, 4)[:2], student_side)


# Going on


RUNS = {
    "order": {"dropout": 0.0},
    "dropout": {},
    "in-order": {"shuffle": False},
    "transform": {"transform": True},
    "prefetch": {"transform": True, "prefetch": 2},
    "own": {"own": 3},
    "own-transform": {"own": 3, "transform": True, "prefetch": 2},
    "accumulate": {"accumulate": 3},
    "own-accumulate": {"accumulate": 2, "own": 5},
    "list": {"plain": True},
    "lazy": {"lazy": True},
}


@pytest.mark.parametrize("name", list(RUNS))
def test_resume_after_every_batch(student_side, rng, hint, name):
    """From wherever a run of two epochs is saved, another process ends it with the same bits."""
    options = RUNS[name]
    (whole, seen), others = student_side.resumed_runs(int(rng.integers(2**30)), **options)
    assert len(seen) == 8
    assert len(others) == {1: 9, 2: 5, 3: 3}[options.get("accumulate", 1)]
    for result, rest, (epoch, batch), drawing in others:  # `drawing`: whether loading put the generator back
        done = 4 * epoch + batch
        end = 4 * (epoch + 1) if batch else done  # of the epoch in which it was saved
        hint(NOT_SKIPPED, when=batch and rest[:1] == seen[4 * epoch : 4 * epoch + 1] and len(rest) > 8 - done)
        hint(NEW_ORDER, when=batch and len(rest) == 8 - done and rest[: end - done] != seen[done:end])
        hint(OWN_FORGOTTEN, when=not batch and "own" in options and rest != seen[done:])
        same_epoch = len(rest) == 8 - done and rest[: end - done] == seen[done:end]
        hint(DISPLACED, when=batch and drawing and same_epoch and result["random"] != whole["random"])
        assert rest == seen[done:], f"saved after epoch {epoch}, batch {batch}"
        same(result, whole)


def test_resume_of_a_resumption(student_side, rng):
    """Saved again after it went on, by way of files: no trace is left after any number of times."""
    number = int(rng.integers(2**30))
    whole, found = student_side.relay(number)
    same(found, whole)


def test_resume_after_a_callback_drew(student_side, rng, hint):
    """What a callback draws at the end of an epoch is part of the run, and isn't undone."""
    number = int(rng.integers(2**31))
    _, seen, _, _ = student_side.run(number, 2, dropout=0.0, callbacks=[student_side.Drawing()])
    order = np.array(sum(seen[4:], []), int)
    generator = np.random.default_rng(number)
    generator.permutation(10)
    undone = np.random.default_rng(number)
    undone.permutation(10)
    generator.random(3)
    hint(REWOUND, when=np.array_equal(order, undone.permutation(10)))
    np.testing.assert_array_equal(order, generator.permutation(10))


def test_checkpoint_after_each_epoch(student_side, rng):
    """`fit` saves there at the end of each epoch; what is loaded goes on as the run itself does."""
    number = int(rng.integers(2**30))
    places, whole, resumed = student_side.saved_by_fit(number)
    assert list(places) == [None, (1, 0), (2, 0)]
    assert len(whole["history"]) == 4
    same(resumed, whole)


# Interrupts


@pytest.mark.parametrize("batch", [1, 4, 6], ids=["first", "end-of-epoch", "second-epoch"])
def test_interrupt_saves_and_ends(student_side, rng, batch):
    """Ctrl-C after a batch: saved, then KeyboardInterrupt; the handlers are those from before, and the run goes on."""
    found = student_side.interrupted(signal.SIGINT, int(rng.integers(2**30)), batch)
    assert (found["end"], found["batches"]) == ("KeyboardInterrupt", batch)
    assert tuple(found["place"]) == (batch // 5, batch if batch < 5 else batch - 4)
    assert found["restored"] == [True, True]
    same(found["resumed"], found["whole"])


def test_interrupt_finishes_the_step(student_side, rng):
    """In the first of three batches of a step: the other two are taken, then it is saved. At the end of an epoch the rest."""
    for batch, place in ((1, (0, 3)), (2, (0, 3)), (4, (1, 0))):
        found = student_side.interrupted(signal.SIGINT, int(rng.integers(2**30)), batch, accumulate=3)
        assert (found["end"], tuple(found["place"])) == ("KeyboardInterrupt", place)
        assert found["batches"] == 4 * place[0] + place[1]
        same(found["resumed"], found["whole"])


def test_termination_has_its_exit_code(student_side, rng):
    """SIGTERM, 15, ends the program with 128 + 15, after the checkpoint."""
    found = student_side.interrupted(signal.SIGTERM, int(rng.integers(2**30)), 2)
    assert (found["end"], found["code"], tuple(found["place"])) == ("SystemExit", 143, (0, 2))
    assert found["restored"] == [True, True]
    same(found["resumed"], found["whole"])


def test_interrupt_without_a_checkpoint(student_side, rng):
    """Then nothing is caught: the first signal goes to whoever handled it before."""
    for number, end in ((signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "SystemExit")):
        found = student_side.interrupted(number, int(rng.integers(2**30)), 2, accumulate=4, checkpoint=False)
        assert (found["end"], found["place"], found["batches"]) == (end, None, 2)
        assert found["code"] == (None if number == signal.SIGINT else "ended by our own handler")
        assert found["restored"] == [True, True]
        assert len(found["whole"]["history"]) == 2


def test_second_interrupt_does_not_wait(student_side, rng):
    """Who presses Ctrl-C twice wants out, in the middle of a step, and without a checkpoint of it."""
    found = student_side.interrupted(signal.SIGINT, int(rng.integers(2**30)), 1, accumulate=3, times=2)
    assert (found["end"], found["place"], found["batches"]) == ("KeyboardInterrupt", None, 1)
    assert found["restored"] == [True, True]
    assert len(found["whole"]["history"]) == 2
