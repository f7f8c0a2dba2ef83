"""Module 07 moves parameters as torch.optim does, gradient by gradient, and saves its state in the same form."""
import numpy as np
import pytest
import torch

SETTINGS = {
    "SGD": ("SGD", {"lr": 0.1}),
    "SGD decay": ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "SGD momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "SGD momentum decay": ("SGD", {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.2}),
    "SGD nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "SGD nesterov decay": ("SGD", {"lr": 0.05, "momentum": 0.7, "nesterov": True, "weight_decay": 0.1}),
    "Adam": ("Adam", {}),
    "Adam settings": ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3}),
    "Adam decay": ("Adam", {"lr": 0.02, "weight_decay": 0.3}),
    "AdamW": ("AdamW", {}),
    "AdamW settings": ("AdamW", {"lr": 0.05, "betas": (0.7, 0.9), "eps": 1e-2, "weight_decay": 0.5}),
}
SHAPES = [(), (5,), (3, 4), (4, 3), (0, 2)]  # the fourth is a transposed view, the last has no elements
STEPS = 20
every_setting = pytest.mark.parametrize("name", SETTINGS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


class Pair:
    """The same parameters here and in PyTorch, with an optimizer each."""

    def __init__(self, course, rng, dtype):
        self.Tensor, self.rng, self.dtype = course.tensor.Tensor, rng, dtype
        arrays = [rng.normal(size=shape).astype(dtype) for shape in SHAPES]
        self.ours = [self.Tensor(array.copy(), requires_grad=True) for array in arrays]
        self.ours[3] = self.Tensor(np.asfortranarray(arrays[3]), requires_grad=True)
        self.theirs = [torch.tensor(array, requires_grad=True) for array in arrays]

    def optimized(self, course, kind, options, split=None):
        """Their optimizers; with `split`, in two groups, of which the second has these settings of its own."""
        given = [
            params if split is None else [{"params": params[:2]}, {"params": params[2:], **split}]
            for params in (self.ours, self.theirs)
        ]
        return getattr(course.optimizers, kind)(given[0], **options), getattr(torch.optim, kind)(given[1], **options)

    def step(self, ours, theirs, without=()):
        for number, (p, q) in enumerate(zip(self.ours, self.theirs, strict=True)):
            gradient = self.rng.normal(size=p.shape).astype(self.dtype)
            p.grad = None if number in without else self.Tensor(gradient)
            q.grad = None if number in without else torch.tensor(gradient)
        ours.step()
        theirs.step()

    def check(self, agree):
        for p, q in zip(self.ours, self.theirs, strict=True):
            if self.dtype == "float64":
                agree(p, q, rtol=1e-12, atol=1e-12)
            else:
                agree(p, q, rtol=1e-5, atol=2e-6)


@every_setting
@every_dtype
def test_twenty_steps(course, rng, agree, name, dtype):
    pair = Pair(course, rng, dtype)
    optimizers = pair.optimized(course, *SETTINGS[name])
    for _ in range(STEPS):
        pair.step(*optimizers)
        pair.check(agree)


@every_setting
def test_groups_changing_rates_and_missing_gradients(course, rng, agree, name):
    pair = Pair(course, rng, "float64")
    optimizers = pair.optimized(course, *SETTINGS[name], split={"lr": 0.3, "weight_decay": 0.05})
    for step in range(STEPS):
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + step)
        pair.step(*optimizers, without={step % 5, step % 3})
        pair.check(agree)


def plain(saved):
    """A state dict with arrays and numbers in the place of PyTorch's tensors."""
    return {
        "state": {
            number: {name: value.item() if name == "step" else value.numpy().copy() for name, value in state.items()}
            for number, state in saved["state"].items()
        },
        "param_groups": saved["param_groups"],
    }


@every_setting
def test_state_dict_has_the_same_form(course, rng, name):
    pair = Pair(course, rng, "float64")
    optimizers = pair.optimized(course, *SETTINGS[name], split={"lr": 0.3})
    for _ in range(3):
        pair.step(*optimizers, without={1})
    ours, theirs = optimizers[0].state_dict(), plain(optimizers[1].state_dict())
    assert set(ours) == set(theirs)
    assert [group["params"] for group in ours["param_groups"]] == [[0, 1], [2, 3, 4]]
    for mine, other in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert mine == {setting: other[setting] for setting in mine}
    assert list(ours["state"]) == [number for number, state in theirs["state"].items() if state]
    for number, state in ours["state"].items():
        assert set(state) == set(theirs["state"][number])
        for value in state:
            np.testing.assert_allclose(state[value], theirs["state"][number][value], rtol=1e-12, atol=1e-15)


@every_setting
def test_goes_on_from_pytorchs_state(course, rng, agree, name):
    pair = Pair(course, rng, "float64")
    ours, theirs = pair.optimized(course, *SETTINGS[name], split={"lr": 0.3})
    for _ in range(5):
        pair.step(ours, theirs, without={0})
    other, _ = pair.optimized(course, SETTINGS[name][0], {"lr": 7.0}, split={})
    other.load_state_dict(plain(theirs.state_dict()))
    for _ in range(5):
        pair.step(other, theirs)
        pair.check(agree)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_defaults(course, rng, kind):
    pair = Pair(course, rng, "float32")
    ours, theirs = pair.optimized(course, kind, {})
    (mine,), (other,) = ours.state_dict()["param_groups"], theirs.state_dict()["param_groups"]
    assert mine == {setting: other[setting] for setting in mine}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {"lr": -1.0}), ("SGD", {"momentum": -1.0}), ("SGD", {"weight_decay": -1.0}), ("SGD", {"nesterov": True}),
        ("Adam", {"betas": (1.0, 0.9)}), ("Adam", {"betas": (0.9, -0.1)}), ("Adam", {"eps": -1.0}),
        ("AdamW", {"weight_decay": -1.0}),
    ],
    ids=str,
)
def test_both_refuse(course, rng, kind, options):
    pair = Pair(course, rng, "float32")
    for params, module in ((pair.ours, course.optimizers), (pair.theirs, torch.optim)):
        with pytest.raises(ValueError, match=r"\w"):
            getattr(module, kind)(params, **options)


@pytest.mark.parametrize("slip", ["empty", "tensor", "no tensor", "computed", "twice"])
def test_both_refuse_parameters(course, rng, slip):
    pair = Pair(course, rng, "float32")
    for params, module in ((pair.ours, course.optimizers), (pair.theirs, torch.optim)):
        wrong = {
            "empty": [], "tensor": params[1], "no tensor": [1.0], "computed": [params[1] * 2],
            "twice": [{"params": params[:2]}, {"params": params[1:]}],
        }[slip]
        with pytest.raises((ValueError, TypeError), match=r"\w"):
            module.SGD(wrong, lr=0.1)


@pytest.mark.parametrize("set_to_none", [True, False], ids=["none", "zeros"])
def test_zero_grad(course, rng, set_to_none):
    pair = Pair(course, rng, "float32")
    ours, theirs = pair.optimized(course, "SGD", {"lr": 0.1})
    pair.step(ours, theirs, without={0})
    ours.zero_grad(set_to_none)
    theirs.zero_grad(set_to_none)
    for p, q in zip(pair.ours, pair.theirs, strict=True):
        if q.grad is None:
            assert p.grad is None
        else:
            np.testing.assert_array_equal(p.grad.numpy(), q.grad.numpy())
