"""The walk: every tensor once, after all its uses have reported; gradients end in the leaves, and the graph is freed."""
import numpy as np
import pytest

from tinytorch.core.autograd import backward
from tinytorch.core.tensor import Tensor

pytestmark = [
    pytest.mark.exercise("backward"),
    pytest.mark.hint(KeyError, "A tensor had a second turn, and what had arrived for it was gone: it has one turn, after its last use."),
    pytest.mark.hint(RecursionError, "A graph may be deeper than Python's stack: keep a list of tensors, and don't call yourself."),
]

NUMBERS = "Numbers and arrays are inputs too, and have no node: only those for which needs_gradient holds count."
OVERWRITTEN = "A tensor that is used twice got the gradient of one use only: add up what arrives."
LEAF_OVERWRITTEN = "The second backward has replaced the first one's gradient: `add_to_grad` adds to it."
IN_PLACE = "What had arrived for one tensor was added to in place, and others hold that array too: arrived + grad makes a new one."
OF_ITS_OWN = "Two gradients are one array, so that scaling one scales the other: leave leaves to `add_to_grad`, which copies."
TOO_EARLY = "A tensor had its turn before all its uses had reported, and the later ones are lost or come in a second turn."
PER_USE = "A rule ran once for each way that leads to it, and their number doubles: put a tensor on the list after its last use only."
TWICE_VISITED = "A tensor with two uses was visited twice by the first loop, which then counts its inputs twice, and waits for ever."
NOT_FREED = "The graph is still there after backward: put FREED in the place of each node after its rule."
FREED_LATE = "Nothing is freed before the walk is over: free each node as soon as its rule has run."
FREED_TWICE = "The second backward over a freed graph did something: if the first loop meets FREED, it raises a ValueError."
FREED_WORD = "The error of a freed graph has to say 'freed': raise it in the first loop, when it meets FREED."
FREED_RETAINED = "With retain_graph=True the nodes have to stay."


def numbers(*values, dtype="float32"):
    return [Tensor(value, dtype=dtype, requires_grad=True) for value in values]


def followed(plan, arrays, g):
    """The gradients of a plan's first values, forwards: each value with its derivatives by all elements of all arrays."""
    sizes = [array.size for array in arrays]
    values, slopes = [array.ravel() for array in arrays], []
    for k, size in enumerate(sizes):
        slopes.append(np.hstack([np.eye(size) if k == j else np.zeros((size, other)) for j, other in enumerate(sizes)]))
    for name, i, j in plan:
        a, b = values[i], values[j]
        values.append(a + b if name == "plus" else a * b)
        slopes.append(slopes[i] + slopes[j] if name == "plus" else slopes[i] * b[:, None] + slopes[j] * a[:, None])
    total = g.ravel() @ slopes[-1]
    return [part.reshape(array.shape) for part, array in zip(np.split(total, np.cumsum(sizes)[:-1]), arrays)]


def test_chain_by_hand():
    """y = (a·b + c)² at a = 2, b = 3, c = 1: y changes 42, 28 and 14 times as fast as they do."""
    a, b, c = numbers(2.0, 3.0, 1.0)
    y = (a * b + c) ** 2
    y.backward()
    assert [x.grad.item() for x in (a, b, c)] == [42.0, 28.0, 14.0]
    assert a.grad.shape == () and str(a.grad.dtype) == "float32" and y.grad is None


def test_uses_add_up_by_hand():
    """y = x·x + x at 3: the three uses of x send back 3 + 3 + 1 = 7."""
    (x,) = numbers(3.0)
    backward(x * x + x)
    assert x.grad.item() == 7.0


def test_product_with_itself(student_side, rng, hint):
    """x·x uses x twice in one operation: 2x."""
    x = rng.uniform(1, 2, size=3)
    grad = student_side.product_with_itself(x)
    hint(OVERWRITTEN, when=np.allclose(grad, x))
    np.testing.assert_allclose(grad, 2 * x, rtol=1e-12)


def test_backward_of_a_leaf(rng):
    """Of itself a tensor has the gradient 1, or whatever is passed."""
    x = Tensor(rng.normal(size=3), requires_grad=True)
    g = rng.normal(size=3)
    backward(x, g)
    np.testing.assert_array_equal(x.grad.numpy(), g)
    backward(x, np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(x.grad.numpy(), g + [0, 1, 0], rtol=1e-12)


PLANS = {
    "chain": [("times", 0, 1), ("plus", 2, 1), ("times", 3, 0)],
    "diamond": [("times", 0, 1), ("times", 2, 2), ("plus", 3, 2)],
    "long-way-first": [("plus", 0, 1), ("times", 2, 1), ("times", 3, 1), ("plus", 4, 2)],
    "short-way-first": [("plus", 0, 1), ("times", 2, 1), ("times", 3, 1), ("plus", 2, 4)],
    "nested": [("plus", 0, 1), ("times", 2, 2), ("plus", 3, 2), ("times", 4, 4), ("plus", 5, 4)],
    "unused": [("times", 0, 1), ("plus", 0, 0), ("times", 2, 2)],
    "three-uses": [("times", 0, 1), ("plus", 2, 2), ("times", 3, 2), ("plus", 4, 1)],
}


def test_gradients_of_small_graphs(student_side, rng):
    """Short and long ways to one tensor, in both orders, against derivatives that are carried along forwards."""
    for plan in PLANS.values():
        arrays = [rng.uniform(0.5, 2, size=2) for _ in "ab"]
        g = rng.normal(size=2)
        found = student_side.plan_followed(plan, arrays, g)
        assert all(grad is not None for grad in found), "a leaf got no gradient"
        for grad, expected in zip(found, followed(plan, arrays, g), strict=True):
            np.testing.assert_allclose(grad, expected, rtol=1e-10)


def test_tensors_wait_for_their_last_use(student_side, rng, hint):
    """h + h·b where h = a·b: h is on a short and on a long way, and has to wait for the long one."""
    a, b = (rng.uniform(1, 2, size=2) for _ in "ab")
    plan = [("times", 0, 1), ("times", 2, 1), ("plus", 2, 3)]
    turned = [("times", 0, 1), ("times", 2, 1), ("plus", 3, 2)]
    for way in (plan, turned):
        problem = student_side.error(student_side.plan_followed, way, [a, b], np.ones(2))
        hint(TOO_EARLY, when=problem is not None and problem[0] == "ValueError")
        assert problem is None
        grad_a, grad_b = student_side.plan_followed(way, [a, b], np.ones(2))
        assert grad_a is not None and grad_b is not None, "a leaf got no gradient"
        once = np.allclose(student_side.product_with_itself(a), 2 * a)
        hint(TOO_EARLY, when=once and (np.allclose(grad_a, b) or np.allclose(grad_a, b * b)))
        np.testing.assert_allclose(grad_a, b + b * b, rtol=1e-12)
        np.testing.assert_allclose(grad_b, a + 2 * a * b, rtol=1e-12)


def test_gradients_of_random_graphs(student_side, rng):
    """Ten graphs of sums and products of what was computed before, in any order, against derivatives carried forwards."""
    for _ in range(10):
        arrays = [rng.uniform(0.5, 1, size=(2, 2)) for _ in range(3)]
        plan = []
        for last in range(2, 12):
            name = "times" if rng.random() < 0.4 else "plus"
            plan.append((name, int(rng.integers(max(0, last - 3), last + 1)), int(rng.integers(0, last + 1))))
        plan += [("plus", 12, 0), ("plus", 13, 1), ("plus", 14, 2)]
        g = rng.normal(size=(2, 2))
        found = student_side.plan_followed(plan, arrays, g)
        assert all(grad is not None for grad in found), "a leaf got no gradient"
        for grad, expected in zip(found, followed(plan, arrays, g), strict=True):
            np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-9)


def test_doubling_takes_one_rule_each(student_side, hint):
    """x doubled 40 times: 40 rules, and not one for each of the 2⁴⁰ ways back."""
    for count in (3, 5):
        calls, grad = student_side.doublings(count)
        hint(TWICE_VISITED, when=grad is None and calls == 2)
        hint(PER_USE, when=calls == 2**count - 1)
        assert grad == 2.0**count
        assert calls == count
    calls, grad = student_side.doublings(40)
    hint(PER_USE, when=calls > 40)
    assert grad is not None, "the walk took thousands of steps"
    assert calls == 40
    assert grad == 2.0**40


def test_long_chains(student_side):
    """A sum of 5,001 terms, one addition after the other: x was used 5,001 times, and Python's stack is not that deep."""
    assert student_side.long_sum(5000) == 5001.0


def test_second_backward_adds(rng, hint):
    """A new graph over the same leaf: its gradient is added, so that parts of a batch give the gradient of the whole."""
    x = Tensor(rng.uniform(1, 2, size=3), requires_grad=True)
    backward(x * x, np.ones(3))
    first = x.grad.numpy().copy()
    np.testing.assert_allclose(first, 2 * x.numpy(), rtol=1e-12)
    backward(x * 5.0, np.ones(3))
    hint(LEAF_OVERWRITTEN, when=np.allclose(x.grad.numpy(), 5.0))
    np.testing.assert_allclose(x.grad.numpy(), first + 5.0, rtol=1e-12)


def test_leaves_have_gradients_of_their_own(student_side, rng, hint):
    """Both leaves of a + b are sent the array g itself: each keeps a copy, and g stays with whoever passed it."""
    g = rng.normal(size=(2, 3))
    before = g.copy()
    grads, together, with_g = student_side.sum_of_leaves(rng.normal(size=(2, 2, 3)), g)
    hint(OF_ITS_OWN, when=together or with_g)
    assert (together, with_g) == (False, False)
    for grad in grads:
        np.testing.assert_allclose(grad, before, rtol=1e-12)
    np.testing.assert_array_equal(g, before)


def test_gradients_that_meet_are_not_added_in_place(student_side, rng, hint):
    """(a + b) + a sends one array to two places: a gets 2g, and b still g."""
    arrays, g = rng.normal(size=(2, 3)), rng.uniform(1, 2, size=3)
    before = g.copy()
    grad_a, grad_b = student_side.meeting(arrays, g)
    hint(IN_PLACE, when=np.allclose(grad_b, 2 * before) or not np.allclose(g, before))
    np.testing.assert_allclose(grad_a, 2 * before, rtol=1e-12)
    np.testing.assert_allclose(grad_b, before, rtol=1e-12)
    np.testing.assert_array_equal(g, before)


def test_freed_graph_is_refused(student_side, rng, hint):
    """The saved arrays are gone after one walk: a second one is a ValueError that says 'freed', and changes no gradient."""
    arrays = [rng.normal(size=3) for _ in "ab"]
    first, problem, then = student_side.two_turns(arrays)
    np.testing.assert_array_equal(first[0], arrays[1])
    calls, _ = student_side.doublings(4)
    hint(NOT_FREED, when=problem is None and calls == 4)
    assert problem is not None
    hint(FREED_WORD, when="freed" not in problem[1])
    assert problem[0] == "ValueError" and "freed" in problem[1]
    for before, after in zip(first, then, strict=True):
        np.testing.assert_array_equal(before, after)


def test_freed_part_is_found_before_anything_is_written(student_side, rng, hint):
    """A graph that shares a part with a freed one: the error comes first, and the leaves that could be reached get nothing."""
    arrays = [rng.normal(size=3) for _ in "abc"]
    problem, (a, b, c) = student_side.shared_part(arrays)
    np.testing.assert_allclose(a, arrays[1], rtol=1e-12)
    hint(FREED_TWICE, when=c is not None)
    assert c is None
    assert problem is not None and problem[0] == "ValueError" and "freed" in problem[1]
    np.testing.assert_allclose(b, arrays[0], rtol=1e-12)


def test_retained_graph_can_be_walked_again(student_side, rng, hint):
    """With retain_graph the gradients come twice, until a walk without it."""
    arrays = [rng.normal(size=3) for _ in "ab"]
    first, problem, then = student_side.two_turns(arrays, retain_graph=True)
    hint(FREED_RETAINED, when=problem is not None)
    assert problem is None
    for i in (0, 1):
        np.testing.assert_array_equal(first[i], arrays[1 - i])
        np.testing.assert_allclose(then[i], 2 * first[i], rtol=1e-12)
    x = Tensor(arrays[0], requires_grad=True)
    y = x * x
    y.backward(np.ones(3), retain_graph=True)
    y.backward(np.ones(3))
    np.testing.assert_allclose(x.grad.numpy(), 4 * arrays[0], rtol=1e-12)
    with pytest.raises(ValueError, match="freed"):
        y.backward(np.ones(3))


def test_graph_is_freed_while_the_walk_goes_on(student_side, hint):
    """When the rule of an operation runs, what the ones behind it had saved is gone; with retain_graph all of it stays."""
    alive, after, grad = student_side.watched(12)
    assert grad == 1.0 and len(alive) == 12
    hint(FREED_LATE, when=min(alive) > 9 and after == 0)
    for turn, count in enumerate(alive):
        assert count <= 12 - turn + 1, "saved arrays outlive their turn by more than one step"
    assert after == 0
    alive, after, grad = student_side.watched(5, retain_graph=True)
    assert list(alive) == [5] * 5 and grad == 1.0


def test_gradient_argument(rng):
    """A tensor of several elements needs a gradient of its shape, as an array or a Tensor: that of the sum of both's product."""
    array, g = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    for given in (g, Tensor(g)):
        x = Tensor(array, requires_grad=True)
        (x * x).backward(given)
        np.testing.assert_allclose(x.grad.numpy(), 2 * array * g, rtol=1e-12)
    one = Tensor(array[:1, :1], requires_grad=True)
    (one * one).backward()
    np.testing.assert_allclose(one.grad.numpy(), 2 * array[:1, :1], rtol=1e-12)


def test_backward_refuses_what_it_cannot_do(rng):
    """No gradient required, none given for several elements, or one of another shape; the right one still works then."""
    array, g = rng.normal(size=3), rng.normal(size=3)
    x = Tensor(array, requires_grad=True)
    y = x * x
    with pytest.raises(ValueError, match="does not require a gradient"):
        (Tensor(array) * 2.0).backward()
    with pytest.raises(ValueError, match="scalar"):
        y.backward()
    with pytest.raises(ValueError, match=r"\(2,\)"):
        y.backward(g[:2])
    assert x.grad is None
    y.backward(g)
    np.testing.assert_allclose(x.grad.numpy(), 2 * array * g, rtol=1e-12)


def test_only_leaves_that_ask_get_gradients(student_side, rng, hint):
    """Neither what was computed on the way nor an input that requires none has a gradient afterwards."""
    array, fixed = rng.normal(size=3), Tensor(rng.normal(size=3))
    x, count = Tensor(array, requires_grad=True), Tensor([1, 2, 3])
    h = x * fixed
    y = h * count * 2.0 + h + 1.0
    problem = student_side.error(backward, y, np.ones(3))
    hint(NUMBERS, when=problem is not None and problem[0] == "AttributeError")
    assert problem is None
    np.testing.assert_allclose(x.grad.numpy(), fixed.numpy() * [3.0, 5.0, 7.0], rtol=1e-12)
    assert fixed.grad is None and count.grad is None and h.grad is None and y.grad is None


def test_detached_tensors_end_the_walk(rng):
    """Through `detach` nothing goes back; the other way counts."""
    array = rng.normal(size=3)
    x = Tensor(array, requires_grad=True)
    h = x * 3.0
    backward(h * h.detach(), np.ones(3))
    np.testing.assert_allclose(x.grad.numpy(), 9.0 * array, rtol=1e-12)


def test_rules_are_told_what_is_needed(student_side, rng):
    """Constants, integers and tensors that require nothing are not asked for; and the leaf between them gets its gradient."""
    array = rng.normal(size=2)
    x = Tensor(array, requires_grad=True)
    assert list(student_side.asked(x, 2.0, Tensor(array))) == [True, False, False]
    assert list(student_side.asked(array, x, x)) == [False, True, True]
    np.testing.assert_array_equal(x.grad.numpy(), [3.0, 3.0])


def test_gradients_have_the_dtype_of_their_leaf(rng):
    """A float64 factor makes a float64 product; its float32 factor has a float32 gradient all the same."""
    array, factor = rng.normal(size=3).astype(np.float32), rng.normal(size=3)
    x, y = Tensor(array, requires_grad=True), Tensor(factor, requires_grad=True)
    backward(x * y, np.ones(3))
    assert str(x.grad.dtype) == "float32" and str(y.grad.dtype) == "float64"
    np.testing.assert_allclose(x.grad.numpy(), factor, rtol=1e-6)
    np.testing.assert_allclose(y.grad.numpy(), array, rtol=1e-6)


def test_rules_that_are_wrong_or_missing(student_side, rng):
    """The error names the operation: one whose gradient has another shape than its input, and one without a rule."""
    array = rng.normal(size=3)
    x = Tensor(array, requires_grad=True)
    with pytest.raises(ValueError, match="Misshapen gave a gradient of shape"):
        student_side.misshapen(x).backward(np.ones(3))
    with pytest.raises(ValueError, match="Ruleless has no gradient"):
        student_side.ruleless(x).backward(np.ones(3))
    assert x.grad is None
    (x * x).backward(np.ones(3))
    np.testing.assert_allclose(x.grad.numpy(), 2 * array, rtol=1e-12)


def test_new_operations_join_in(student_side, rng):
    """An operation that is written elsewhere, with its rule, between those of the course: the length of (x, 2x) is √5 x."""
    array = rng.uniform(1, 2, size=3)
    x = Tensor(array, requires_grad=True)
    student_side.hypotenuse(x, x * 2.0).backward(np.ones(3))
    np.testing.assert_allclose(x.grad.numpy(), [np.sqrt(5.0)] * 3, rtol=1e-12)


def test_invalid_numbers_go_back_without_a_warning():
    """1 / 0 on the way back is inf, as in the forward: no warning, and no error."""
    a, b = numbers(1.0, 0.0)
    backward(a / b)
    assert a.grad.item() == np.inf and b.grad.item() == -np.inf
