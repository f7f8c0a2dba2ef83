"""Clipping scales all gradients by one factor, so that together they are no longer than the limit."""
import math

import numpy as np
import pytest

pytestmark = pytest.mark.exercise("clip_grad_norm")

EACH = "Each gradient was clipped by itself. All of them are one long vector, with one norm and one factor."
ENLARGED = "Gradients shorter than the limit were made longer: the factor is only used if it is below 1."
USED_UP = "The norm is right and nothing was scaled: a generator can be gone through only once, so make a list first."
REPLACED = "The arrays of the gradients were replaced: scale them in place, g *= factor."
AFTER = "What is returned is the norm that the gradients have now, and not the one that they had before."


def drawn(rng, shapes=((3,), (2, 4), (), (2, 1, 3)), dtype="float64"):
    return [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def length(grads, p=2.0):
    """The p-norm of all numbers together, in float64."""
    return float(np.linalg.norm(np.concatenate([np.asarray(g, float).ravel() for g in grads]), p))


def test_clip_of_three_and_four(student_side, hint):
    """(3, 0) and (0, 4) have length 5; with a limit of 1 they are multiplied by 1/5."""
    norm, grads, _ = student_side.clipped([[3.0, 0.0], [0.0, 4.0]], 1.0)
    hint(EACH, when=np.allclose(grads, [[1, 0], [0, 1]], atol=1e-5))
    hint(AFTER, when=abs(norm - 1) < 1e-5)
    assert norm == 5
    np.testing.assert_allclose(grads, [[0.6, 0.0], [0.0, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3], ids=["tiny", "usual", "huge"])
def test_clip_factor_has_a_millionth(student_side, rng, scale):
    """The factor is max_norm / (norm + 1e-6), as PyTorch's: it matters for tiny gradients."""
    grads = [scale * g for g in drawn(rng)]
    limit = length(grads) / 3
    norm, found, _ = student_side.clipped(grads, limit)
    assert norm == pytest.approx(length(grads), rel=1e-12)
    for g, wanted in zip(found, grads, strict=True):
        np.testing.assert_allclose(g, wanted * limit / (length(grads) + 1e-6), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_leaves_short_gradients_alone(student_side, rng, hint, dtype):
    """Below the limit every bit stays, and the norm is returned all the same."""
    grads = drawn(rng, dtype=dtype)
    norm, found, _ = student_side.clipped(grads, 2 * length(grads))
    hint(ENLARGED, when=np.allclose(length(found), 2 * length(grads), rtol=1e-3))
    for g, wanted in zip(found, grads, strict=True):
        np.testing.assert_array_equal(g, wanted)
    assert float(norm) == pytest.approx(length(grads), rel=1e-6)


def test_clip_of_one_gradient_at_the_limit(student_side):
    """At the limit the factor is a millionth below 1; just above the limit plus a millionth, nothing is scaled."""
    norm, (grad,), _ = student_side.clipped([[2.0]], 2.0)
    assert norm == 2
    np.testing.assert_allclose(grad, [4 / (2 + 1e-6)], rtol=1e-12)
    _, (grad,), _ = student_side.clipped([[2.0]], 2 + 2e-6)
    np.testing.assert_array_equal(grad, [2.0])


NORMS = {"one": 1.0, "two": 2.0, "three": 3.0, "half": 0.5, "infinity": math.inf, "integer": 2}


@pytest.mark.parametrize("name", list(NORMS))
def test_clip_by_any_norm(student_side, rng, name):
    """The p-norm of all elements together is limited, and returned; for infinity it is the largest absolute value."""
    grads, p = drawn(rng), NORMS[name]
    limit = length(grads, p) / 4
    norm, found, _ = student_side.clipped(grads, limit, p)
    assert norm == pytest.approx(length(grads, p), rel=1e-12)
    for g, wanted in zip(found, grads, strict=True):
        np.testing.assert_allclose(g, wanted * limit / (norm + 1e-6), rtol=1e-10)
    assert length(found, p) == pytest.approx(limit, rel=1e-4)


def test_clip_options_have_pytorchs_names(student_side):
    """max_norm and norm_type; the 2-norm by default."""
    norm, grads, _ = student_side.clipped([[3.0], [-4.0]], max_norm=2.0, norm_type=math.inf)
    assert norm == 4
    np.testing.assert_allclose(grads, [[1.5], [-2.0]], rtol=1e-6)


def test_clip_sees_one_vector(student_side, rng):
    """However the numbers are divided among parameters, they are scaled alike."""
    whole = rng.normal(size=24)
    norms, scaled = [], []
    for parts in ([whole], np.split(whole, 4), [whole[:1], whole[1:].copy()], [whole.reshape(2, 3, 4)]):
        norm, grads, _ = student_side.clipped(parts, 0.7)
        norms.append(norm)
        scaled.append(np.concatenate([g.ravel() for g in grads]))
    np.testing.assert_allclose(norms, [length([whole])] * 4, rtol=1e-12)
    np.testing.assert_allclose(scaled, [whole * 0.7 / (length([whole]) + 1e-6)] * 4, rtol=1e-10)


def test_clip_passes_over_parameters_without_gradient(student_side, rng):
    """They count for nothing, and still have none."""
    grads = drawn(rng)
    norm, found, _ = student_side.clipped([None, *grads, None], 0.5)
    assert [found[0], found[-1]] == [None, None]
    assert norm == pytest.approx(length(grads), rel=1e-12)
    assert length(found[1:-1]) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize("grads", [[], [None, None]], ids=["no-parameters", "no-gradients"])
def test_clip_of_nothing(student_side, grads):
    """Without any gradient the norm is 0, a float, whichever norm is asked for."""
    for norm_type in (2.0, 1.0, math.inf):
        norm, found, _ = student_side.clipped(grads, 1.0, norm_type)
        assert isinstance(norm, float) and norm == 0
        assert list(found) == grads


def test_clip_takes_a_generator(student_side, rng, hint):
    """`net.parameters()` is one, and is empty when it is gone through again."""
    grads = drawn(rng)
    norm, found = student_side.clipped_from_generator(grads, 0.5)
    hint(USED_UP, when=abs(norm - length(grads)) < 1e-9 and all(map(np.array_equal, found, grads)))
    assert length(found) == pytest.approx(0.5, rel=1e-5)
    assert norm == pytest.approx(length(grads), rel=1e-12)


def test_clip_works_in_place(student_side, rng, hint):
    """Whoever holds a gradient's array sees it clipped."""
    grads = drawn(rng)
    _, found, held = student_side.clipped(grads, 0.5)
    hint(REPLACED, when=not np.array_equal(held[0], found[0]) and np.array_equal(held[0], grads[0]))
    for array, g, before in zip(held, found, grads, strict=True):
        np.testing.assert_array_equal(array, g)
        np.testing.assert_allclose(array, before * 0.5 / (length(grads) + 1e-6), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (5, 0), (2, 3, 4)], ids=["0-d", "one", "empty", "3-d"])
def test_clip_keeps_shapes_and_dtypes(student_side, rng, shape, dtype):
    """Beside a gradient of the other dtype, each keeps its own; the norm is a Python float."""
    other = np.array([3.0, 4.0], "float64" if dtype == "float32" else "float32")
    grad = np.asarray(rng.normal(size=shape), dtype)
    norm, found, _ = student_side.clipped([grad, other], 1.0)
    assert isinstance(norm, float)
    assert [g.shape for g in found] == [shape, (2,)]
    assert [g.dtype for g in found] == [grad.dtype, other.dtype]
    np.testing.assert_allclose(found[0], np.asarray(grad, float) / (length([grad, other]) + 1e-6), rtol=1e-5)
    np.testing.assert_allclose(found[1], other / (length([grad, other]) + 1e-6), rtol=1e-5)


def test_clip_of_float32_returns_a_float(student_side):
    """Also where every gradient is float32."""
    norm, (grad,), _ = student_side.clipped([np.array([3.0, 4.0], "float32")], 10.0)
    assert isinstance(norm, float) and norm == 5
    np.testing.assert_array_equal(grad, [3, 4])


def test_clip_to_nothing(student_side, rng):
    """A limit of 0 stops everything; gradients of zero stay zero, without a division by zero."""
    norm, grads, _ = student_side.clipped(drawn(rng), 0.0)
    assert norm > 0 and not any(g.any() for g in grads)
    norm, grads, _ = student_side.clipped([np.zeros(3)], 1.0)
    assert isinstance(norm, float) and norm == 0
    np.testing.assert_array_equal(grads, [[0, 0, 0]])


def test_clip_of_strange_gradients(student_side):
    """A gradient a thousand times as long as usual leaves a step of the usual length, in its own direction."""
    grad = np.array([6000.0, -8000.0])
    norm, (found,), _ = student_side.clipped([grad], 10.0)
    assert norm == 10_000
    np.testing.assert_allclose(found, [6.0, -8.0], rtol=1e-6)
