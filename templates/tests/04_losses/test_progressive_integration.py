"""Modules 01, 02 and 04 together: losses of small networks, and losses that have to agree with each other."""
import math

import numpy as np
import pytest

from tinytorch.core.activations import LogSoftmax, Sigmoid, Tanh
from tinytorch.core.losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from tinytorch.core.tensor import Tensor


def log_softmax(scores):
    z = scores - scores.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@pytest.mark.exercise("cross_entropy_loss")
def test_a_classifier_of_two_layers(rng):
    """Eight samples of four features through a hidden layer of six; the loss is -log p of the right ones of three classes."""
    x, W, b, V = rng.normal(size=(8, 4)), rng.normal(size=(4, 6)), rng.normal(size=6), rng.normal(size=(6, 3))
    target = rng.integers(0, 3, size=8)
    scores = Tanh()(Tensor(x) @ Tensor(W, requires_grad=True) + Tensor(b)) @ Tensor(V)
    loss = CrossEntropyLoss()(scores, Tensor(target))
    expected = -log_softmax(np.tanh(x @ W + b) @ V)[np.arange(8), target].mean()
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert loss.requires_grad is True


@pytest.mark.exercise("cross_entropy_loss")
def test_cross_entropy_is_log_softmax_and_a_gather(rng):
    """The fused operation gives what module 02's LogSoftmax gives, in half of the memory."""
    scores, target = rng.normal(size=(6, 5)) * 4, rng.integers(0, 5, size=6)
    picked = LogSoftmax(dim=1)(Tensor(scores))[np.arange(6), target]
    out = CrossEntropyLoss(reduction="none")(Tensor(scores), Tensor(target)).numpy()
    np.testing.assert_allclose(out, -log_softmax(scores)[np.arange(6), target], rtol=1e-10)
    np.testing.assert_allclose(out, -picked.numpy(), rtol=1e-10)


@pytest.mark.exercise("bce_logits_forward")
def test_yes_or_no_is_a_choice_between_two_classes(rng):
    """With scores 0 for no and x for yes, the cross-entropy of two classes is the binary one of x."""
    x, answers = rng.normal(size=9) * 3, rng.integers(0, 2, size=9)
    two = CrossEntropyLoss()(Tensor(np.stack([np.zeros(9), x], axis=1)), Tensor(answers)).item()
    one = BCEWithLogitsLoss()(Tensor(x), Tensor(answers)).item()
    expected = (np.logaddexp(0, x) - x * answers).mean()
    assert one == pytest.approx(expected, rel=1e-10)
    assert two == pytest.approx(expected, rel=1e-10)


@pytest.mark.exercise("bce_forward")
def test_bce_of_a_sigmoid_is_bce_of_its_score(rng):
    """As long as the probability can be told from 0 and 1, both ways give the same."""
    x, answers = rng.normal(size=(3, 4)) * 2, rng.integers(0, 2, size=(3, 4))
    from_probability = BCELoss()(Sigmoid()(Tensor(x)), Tensor(answers)).item()
    from_score = BCEWithLogitsLoss()(Tensor(x), Tensor(answers)).item()
    expected = (np.logaddexp(0, x) - x * answers).mean()
    assert from_probability == pytest.approx(expected, rel=1e-9)
    assert from_score == pytest.approx(expected, rel=1e-9)


@pytest.mark.exercise("elementwise_loss")
def test_the_best_constant_is_the_mean(rng):
    """Moving the prediction away from the targets' mean by d, either way, costs d squared more."""
    target = rng.normal(size=(20, 1))

    def loss(constant):
        return MSELoss()(Tensor(np.full((20, 1), constant)), Tensor(target)).item()

    best = loss(target.mean())
    assert best == pytest.approx(target.var(), rel=1e-9)
    assert loss(target.mean() + 0.5) == pytest.approx(best + 0.25, rel=1e-9)
    assert loss(target.mean() - 0.5) == pytest.approx(best + 0.25, rel=1e-9)


@pytest.mark.exercise("squared_error")
def test_a_linear_prediction_of_a_column(rng):
    """A product x @ w has the shape (N,) for a vector w, and that of the targets: no column meets a row."""
    x, w, noise = rng.normal(size=(10, 3)), rng.normal(size=3), rng.normal(size=10)
    loss = MSELoss(reduction="sum")(Tensor(x) @ Tensor(w), Tensor(x @ w + noise))
    assert loss.item() == pytest.approx((noise**2).sum(), rel=1e-9)


@pytest.mark.exercise("cross_entropy_forward")
def test_label_smoothing_is_least_at_a_finite_distance(rng):
    """For s = 0.1 and ten classes the best gap is log 91: a little more or less costs more, where without s it costs less."""
    target = rng.integers(0, 10, size=4)
    best = math.log(91)

    def loss(gap, smoothing):
        scores = np.zeros((4, 10))
        scores[np.arange(4), target] = gap
        return CrossEntropyLoss(label_smoothing=smoothing)(Tensor(scores), Tensor(target)).item()

    entropy = -(0.91 * math.log(0.91) + 9 * 0.01 * math.log(0.01))
    assert loss(best, 0.1) == pytest.approx(entropy, rel=1e-9)
    assert min(loss(best - 0.5, 0.1), loss(best + 0.5, 0.1)) > entropy + 0.005
    assert loss(best - 0.5, 0) > loss(best, 0) > loss(best + 0.5, 0)


@pytest.mark.exercise("class_targets")
def test_the_likelihood_of_a_batch_is_the_product(rng):
    """The exponential of minus the sum of the losses is the probability that all kept answers are right."""
    scores, target = rng.normal(size=(5, 3)), np.array([0, 2, -100, 1, 2])
    total = CrossEntropyLoss(reduction="sum")(Tensor(scores), Tensor(target)).item()
    rows = [0, 1, 3, 4]
    assert math.exp(-total) == pytest.approx(np.exp(log_softmax(scores))[rows, target[rows]].prod(), rel=1e-9)


@pytest.mark.exercise("loss_reduction")
def test_mean_of_batches_and_of_all(rng):
    """Losses of two batches add up by their sums; their means do not, if the batches differ in size."""
    x, t = rng.normal(size=(2, 10))
    whole = MSELoss()(Tensor(x), Tensor(t)).item()
    first = MSELoss(reduction="sum")(Tensor(x[:7]), Tensor(t[:7])).item()
    second = MSELoss(reduction="sum")(Tensor(x[7:]), Tensor(t[7:])).item()
    assert whole == pytest.approx(((x - t) ** 2).mean(), rel=1e-9)
    assert (first + second) / 10 == pytest.approx(whole, rel=1e-9)
