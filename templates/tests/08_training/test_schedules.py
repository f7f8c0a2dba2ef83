"""A schedule gives the learning rate after t steps, and writes it into each group of the optimizer."""
import numpy as np
import pytest

from tinytorch.core.training import CosineSchedule, StepSchedule, WarmupSchedule

pytestmark = pytest.mark.exercise("schedules")

RISES = "After T_max the rate rises again: keep t / T_max from growing beyond 1."
SMOOTH = "The rate falls with every step: it stays for step_size steps, and t // step_size counts the full rounds."
ONLY_ONCE = "The rate fell once and never again: it is multiplied by gamma in every round, gamma ** rounds."
TOO_HIGH = "The curve begins above the base: it goes down to eta_min, so base - eta_min is what the cosine scales."
FROM_ZERO = "The first step has a rate of 0 and moves nothing: with t steps done, the next one is number t + 1."
GOES_ON = "What comes after the warmup starts counting there: give it t - warmup_steps."


def curve(optimizer, schedule, steps, student_side):
    """The rates of each group before each of `steps` steps."""
    rates = []
    for _ in range(steps):
        rates.append(student_side.rates(optimizer))
        schedule.step()
    return np.array(rates)


def cosine(base, t, T_max, eta_min=0.0):
    return eta_min + (base - eta_min) * (1 + np.cos(np.pi * np.minimum(t, T_max) / T_max)) / 2


def test_step_by_hand(student_side, hint):
    """0.1 with gamma 0.5 every 10 steps: halved at t = 10 and t = 20, and in between it stays."""
    schedule = StepSchedule(student_side.optimizer(0.1), 10, gamma=0.5)
    found = [float(schedule.rate(0.1, t)) for t in (0, 9, 10, 19, 20, 25)]
    hint(SMOOTH, when=found[1] < 0.099)
    hint(ONLY_ONCE, when=found[2] == found[1] / 2 and found[4] == found[2])
    np.testing.assert_allclose(found, [0.1, 0.1, 0.05, 0.05, 0.025, 0.025], rtol=1e-12)


def test_cosine_by_hand(student_side):
    """From 1 over 0.5, in the middle of 10 steps, to 0."""
    schedule = CosineSchedule(student_side.optimizer(1.0), 10)
    found = [float(schedule.rate(1.0, t)) for t in (0, 5, 10)]
    np.testing.assert_allclose(found, [1, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(float(schedule.rate(1.0, 2)), 0.9045084971874737, rtol=1e-12)


def test_warmup_by_hand(student_side, hint):
    """In 4 steps to 1: a quarter, a half, three quarters, one, and there it stays."""
    schedule = WarmupSchedule(student_side.optimizer(1.0), 4)
    found = [float(schedule.rate(1.0, t)) for t in range(6)]
    hint(FROM_ZERO, when=found[0] == 0 and found[4] == 1)
    np.testing.assert_allclose(found, [0.25, 0.5, 0.75, 1, 1, 1], rtol=1e-12)


def test_step_curve(student_side, rng):
    """Forty steps against NumPy, with a rate and a gamma of any size; 0.1 is the default."""
    base, gamma, size = rng.uniform(0.01, 1), rng.uniform(0.3, 0.9), int(rng.integers(2, 9))
    for options, factor in (({"gamma": gamma}, gamma), ({}, 0.1)):
        optimizer = student_side.optimizer(base)
        found = curve(optimizer, StepSchedule(optimizer, size, **options), 40, student_side)
        np.testing.assert_allclose(found[:, 0], base * factor ** (np.arange(40) // size), rtol=1e-9)


@pytest.mark.parametrize("eta_min", [0.0, 0.003], ids=["to-zero", "to-eta-min"])
def test_cosine_curve(student_side, rng, hint, eta_min):
    """Down to eta_min, and then it stays there, where PyTorch's rises again."""
    base, T_max = rng.uniform(0.01, 1), int(rng.integers(5, 20))
    optimizer = student_side.optimizer(base)
    found = curve(optimizer, CosineSchedule(optimizer, T_max, eta_min=eta_min), 45, student_side)[:, 0]
    hint(RISES, when=found[T_max + 2] > found[T_max] + 1e-6)
    hint(TOO_HIGH, when=eta_min > 0 and abs(found[0] - base - eta_min) < 1e-9)
    np.testing.assert_allclose(found, cosine(base, np.arange(45), T_max, eta_min), rtol=1e-9, atol=1e-15)
    assert found[T_max:].tolist() == pytest.approx([eta_min] * (45 - T_max), abs=1e-12)


def test_warmup_curve(student_side, rng):
    """Evenly up, each step by base / warmup_steps; the last of them has the full rate."""
    base, steps = rng.uniform(0.01, 1), int(rng.integers(3, 20))
    optimizer = student_side.optimizer(base)
    found = curve(optimizer, WarmupSchedule(optimizer, steps), 30, student_side)[:, 0]
    np.testing.assert_allclose(found, base * np.minimum(np.arange(1, 31) / steps, 1), rtol=1e-9)


AFTER = {
    "step": (lambda optimizer: StepSchedule(optimizer, 4, gamma=0.5), lambda base, t: base * 0.5 ** (t // 4)),
    "cosine": (lambda optimizer: CosineSchedule(optimizer, 9, 0.002), lambda base, t: cosine(base, t, 9, 0.002)),
    "warmup": (lambda optimizer: WarmupSchedule(optimizer, 1), lambda base, t: base * np.ones(len(t))),
}


@pytest.mark.parametrize("name", list(AFTER))
def test_warmup_then_another(student_side, rng, hint, name):
    """The schedule that comes after the warmup begins at its own t = 0, with the full rate."""
    make, expected = AFTER[name]
    base, steps = rng.uniform(0.01, 1), int(rng.integers(3, 8))
    optimizer = student_side.optimizer(base)
    found = curve(optimizer, WarmupSchedule(optimizer, steps, make(optimizer)), 30, student_side)[:, 0]
    late = expected(base, np.arange(steps, 30))
    hint(GOES_ON, when=name != "warmup" and np.allclose(found[steps:], late, rtol=1e-9))
    np.testing.assert_allclose(found[:steps], base * np.arange(1, steps + 1) / steps, rtol=1e-9)
    np.testing.assert_allclose(found[steps:], expected(base, np.arange(30 - steps)), rtol=1e-9, atol=1e-15)


def test_warmup_of_no_steps(student_side, rng):
    """Then what comes after it is all there is."""
    base = rng.uniform(0.01, 1)
    optimizer = student_side.optimizer(base)
    found = curve(optimizer, WarmupSchedule(optimizer, 0, CosineSchedule(optimizer, 6)), 10, student_side)[:, 0]
    np.testing.assert_allclose(found, cosine(base, np.arange(10), 6), rtol=1e-9, atol=1e-15)


MAKE = {
    "step": lambda optimizer: StepSchedule(optimizer, 2, gamma=0.5),
    "cosine": lambda optimizer: CosineSchedule(optimizer, 4, eta_min=0.1),
    "warmup": lambda optimizer: WarmupSchedule(optimizer, 2),
}
FIRST_THREE = {  # of a group whose rate is 1
    "step": [1, 1, 0.5],
    "cosine": [1, 0.1 + 0.9 * (1 + np.sqrt(0.5)) / 2, 0.55],
    "warmup": [0.5, 1, 1],
}
every_schedule = pytest.mark.parametrize("name", list(MAKE))


@every_schedule
def test_every_group_has_its_own_base(student_side, name):
    """The rates of three groups, 1, 4 and 0.5, follow the same curve from where each began."""
    optimizer = student_side.optimizer(1.0, 4.0, 0.5)
    found = curve(optimizer, MAKE[name](optimizer), 3, student_side)
    bases, shape = np.array([1, 4, 0.5]), np.array(FIRST_THREE[name])
    expected = np.outer(shape, bases)
    if name == "cosine":  # eta_min is the same for all
        expected = 0.1 + np.outer((shape - 0.1) / 0.9, bases - 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@every_schedule
def test_rate_is_applied_at_once_and_after_each_step(student_side, name):
    """The first step has the rate of t = 0 already, and what others write into the group is forgotten."""
    optimizer = student_side.optimizer(1.0)
    schedule = MAKE[name](optimizer)
    found = [student_side.rates(optimizer)[0]]
    for _ in range(2):
        student_side.set_rates(optimizer, 77.0)
        schedule.step()
        found.append(student_side.rates(optimizer)[0])
    np.testing.assert_allclose(found, FIRST_THREE[name], rtol=1e-9)
    assert schedule.steps == 2


@every_schedule
def test_rate_depends_on_t_alone(student_side, name):
    """Asked in any order, for any base, it says the same and changes nothing."""
    optimizer = student_side.optimizer(1.0)
    schedule = MAKE[name](optimizer)
    found = [float(schedule.rate(1.0, t)) for t in (2, 0, 1, 0, 2)]
    np.testing.assert_allclose(found, [FIRST_THREE[name][t] for t in (2, 0, 1, 0, 2)], rtol=1e-9)
    assert student_side.rates(optimizer) == pytest.approx(FIRST_THREE[name][:1])


@every_schedule
def test_schedule_goes_on_from_its_state(student_side, name):
    """The state is the count and the bases; another optimizer's schedule takes it over, and its rates at once."""
    optimizer, other = student_side.optimizer(1.0), student_side.optimizer(9.0)
    schedule, resumed = MAKE[name](optimizer), MAKE[name](other)
    schedule.step()
    state = schedule.state_dict()
    assert dict(state) == {"steps": 1, "base_lrs": [1.0]}
    resumed.load_state_dict(state)
    rates = [student_side.rates(other)[0]]
    resumed.step()
    rates.append(student_side.rates(other)[0])
    np.testing.assert_allclose(rates, FIRST_THREE[name][1:], rtol=1e-9)
    assert schedule.steps == 1
