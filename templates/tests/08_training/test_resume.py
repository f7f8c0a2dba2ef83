"""A trainer's state is all that is needed to go on; it is a copy, and is put in place as a whole or not at all."""
import numpy as np
import pytest

from tinytorch.core.losses import MSELoss
from tinytorch.core.optimizers import SGD
from tinytorch.core.training import Resumable

pytestmark = pytest.mark.exercise("resume")

SHALLOW = "The history in the saved state has grown since: progress holds a list, so copy it with copy.deepcopy."
SHALLOW_LOAD = "Training on changed the state that was loaded: progress holds a list, so copy it with copy.deepcopy."
NO_RANDOM = "The random generator stands where it stood before loading: put back state_dict[\"random\"] too."
HALF = "The optimizer refused its state, and the model has the new weights already: put the old ones back."
MIDDLE = "Gradients wait for a step and are not in the state: refuse with a ValueError while self.samples isn't 0."
STALE = "Gradients from before the loading were added to the next step: clear them, and set samples to 0."


@pytest.fixture
def make(student_side, rng):
    """Trainers of small networks, each with other weights, for the same samples."""

    student_side.seed(int(rng.integers(2**31)))
    x = rng.normal(size=(8, 3))

    def make(**options):
        return student_side.Steps(Resumable, x, **options)

    return make


def equal(found, wanted):
    """Trees of plain data and arrays, and of nothing else, to the last bit."""
    assert isinstance(wanted, (dict, list, np.ndarray, int, float, str, type(None)))
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            equal(found[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            equal(one, other)
    elif isinstance(wanted, np.ndarray):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
    else:
        assert found == wanted


def test_state_has_five_parts(make, student_side):
    """Model, optimizer, schedule and random generator, each with its own state, and the progress."""
    steps = make().take(3)
    state = student_side.arrays_of(steps.trainer.state_dict())
    assert sorted(state) == ["model", "optimizer", "progress", "random", "schedule"]
    equal(list(state["model"].values()), student_side.weights(steps.trainer.model))
    assert [state["optimizer"]["state"][number]["step"] for number in range(4)] == [3] * 4
    equal(state["optimizer"], student_side.arrays_of(steps.trainer.optimizer.state_dict()))
    assert state["schedule"] == {"steps": 3, "base_lrs": [0.1]}
    assert state["random"] == student_side.arrays_of(student_side.random_state())
    assert state["progress"]["epoch"] == 0 and state["progress"]["history"] == []


def test_state_without_a_schedule(make, student_side):
    """There is None in its place, and loading passes over it."""
    steps, other = make(schedule=False).take(2), make(schedule=False)
    state = steps.trainer.state_dict()
    assert state["schedule"] is None
    other.trainer.load_state_dict(state)
    equal(student_side.weights(other.trainer.model), student_side.weights(steps.trainer.model))
    assert steps.trainer.schedule is None


def test_state_is_a_copy(make, student_side, hint):
    """Steps, draws and records after it don't change it."""
    steps = make().take(2)
    state = steps.trainer.state_dict()
    before = student_side.arrays_of(state)
    steps.take(2).record({"loss": 1.0})
    student_side.draw()
    after = student_side.arrays_of(state)
    hint(SHALLOW, when=after["progress"] != before["progress"])
    equal(after, before)
    now = student_side.arrays_of(steps.trainer.state_dict())
    assert now["random"] != before["random"]
    assert not np.array_equal(now["model"]["0.weight"], before["model"]["0.weight"])


def test_loading_keeps_nothing_of_the_state(make, student_side, hint):
    """Training on doesn't change the dictionary that was loaded, so that it can be loaded again."""
    state = make().take(2).trainer.state_dict()
    before = student_side.arrays_of(state)
    other = make()
    other.trainer.load_state_dict(state)
    other.take(2).record({"loss": 2.0})
    after = student_side.arrays_of(state)
    hint(SHALLOW_LOAD, when=after["progress"] != before["progress"])
    equal(after, before)
    equal(student_side.arrays_of(other.trainer.state_dict()["progress"]["history"]), [{"loss": 2.0}])


def test_load_puts_everything_in_place(make, student_side, hint):
    """Another trainer of the same parts has the same state, and its schedule's rate."""
    steps, other = make().take(3).record({"epoch": 1, "loss": 0.5}), make().take(1)
    state = steps.trainer.state_dict()
    before = student_side.arrays_of(state)
    student_side.seed(5)
    other.trainer.load_state_dict(state)
    after = student_side.arrays_of(other.trainer.state_dict())
    hint(NO_RANDOM, when=after["random"] != before["random"])
    equal(after, before)
    assert other.trainer.schedule.steps == 3
    equal(student_side.rates(other.trainer.optimizer), student_side.rates(steps.trainer.optimizer))
    assert [dict(record) for record in other.trainer.history] == [{"epoch": 1, "loss": 0.5}]


def test_resumed_steps_are_the_same_to_the_last_bit(make, student_side, hint):
    """Two more steps after loading, with dropout: weights as if it had never stopped."""
    steps, other = make().take(2), make()
    state = steps.trainer.state_dict()
    steps.take(2)
    student_side.seed(6)
    other.trainer.load_state_dict(state)
    hint(NO_RANDOM, when=student_side.random_state() != state["random"])
    other.take(2, first=2)
    equal(student_side.weights(other.trainer.model), student_side.weights(steps.trainer.model))
    assert not np.array_equal(student_side.weights(steps.trainer.model)[0], student_side.arrays_of(state)["model"]["0.weight"])


def test_no_state_in_the_middle_of_a_step(make, student_side, hint):
    """With gradients that wait, it is a ValueError that says 'step'; after the step there is one."""
    steps = make()
    steps.add(0)
    hint(MIDDLE, when=student_side.gives_state(steps.trainer))
    with pytest.raises(ValueError, match="step"):
        steps.trainer.state_dict()
    steps.trainer.take_step()
    state = student_side.arrays_of(steps.trainer.state_dict())
    equal(list(state["model"].values()), student_side.weights(steps.trainer.model))
    assert state["schedule"]["steps"] == 1


def test_load_drops_gradients_that_wait(make, student_side, hint):
    """The next step goes by its own samples, as it does in the trainer that was saved."""
    steps, other = make().take(2), make()
    other.add(0)
    other.trainer.load_state_dict(steps.trainer.state_dict())
    samples, waiting = other.trainer.samples, student_side.waiting(other.trainer.model)
    hint(STALE, when=samples != 0 or any(grad.any() for grad in waiting))
    equal(samples, 0)
    state = student_side.random_state()
    steps.take(1, first=2)
    student_side.set_random_state(state)
    other.take(1, first=2)
    found, wanted = student_side.weights(other.trainer.model), student_side.weights(steps.trainer.model)
    equal(found, wanted)


REFUSED = {  # how the saved trainer differs, and what the error has in it (modules 03 and 07)
    "model": ({"hidden": 6}, r"0\.weight"), "names": ({"bias": False}, r"0\.bias"), "optimizer": ({"groups": 2}, r"\[2, 2\]"),
    "schedule": ({"schedule": False}, "schedule"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_load_that_is_refused_changes_nothing(make, student_side, hint, name):
    """If a part doesn't fit, weights, schedule, generator and progress are those from before."""
    options, words = REFUSED[name]
    other, steps = make(**options).take(3).record({"loss": 1.0}), make().take(1).record({"loss": 3.0})
    state = other.trainer.state_dict()
    before = student_side.arrays_of(steps.trainer.state_dict())
    student_side.seed(7)
    drawn = student_side.random_state()
    with pytest.raises(ValueError, match=words):
        steps.trainer.load_state_dict(state)
    after = student_side.arrays_of(steps.trainer.state_dict())
    hint(HALF, when=name == "optimizer" and not np.array_equal(after["model"]["0.weight"], before["model"]["0.weight"]))
    assert student_side.random_state() == drawn
    equal(after | {"random": before["random"]}, before)
    fitting = make().take(2).trainer.state_dict()
    steps.trainer.load_state_dict(fitting)
    equal(student_side.arrays_of(steps.trainer.state_dict()), student_side.arrays_of(fitting))


def test_schedule_that_nobody_follows_is_refused(make, student_side):
    """A trainer without a schedule would go on at a constant rate, and nobody would notice."""
    steps, state = make(schedule=False), make().take(2).trainer.state_dict()
    before = student_side.weights(steps.trainer.model)
    with pytest.raises(ValueError, match="schedule"):
        steps.trainer.load_state_dict(state)
    equal(student_side.weights(steps.trainer.model), before)
    steps.trainer.load_state_dict(make(schedule=False).take(2).trainer.state_dict())
    assert not np.array_equal(student_side.weights(steps.trainer.model)[0], before[0])


def test_refused_load_leaves_gradients_that_wait(make, student_side):
    """They belong to the trainer as it was, and their step can still be taken."""
    steps, twin = make(dropout=0.0), make(dropout=0.0)
    twin.trainer.load_state_dict(steps.trainer.state_dict())
    for one in (steps, twin):
        one.add(0)
    with pytest.raises(ValueError, match=r"\[2, 2\]"):
        steps.trainer.load_state_dict(make(groups=2).trainer.state_dict())
    assert steps.trainer.samples == 4
    for one in (steps, twin):
        one.trainer.take_step()
    equal(student_side.weights(steps.trainer.model), student_side.weights(twin.trainer.model))


def test_saved_and_loaded_through_a_file(make, student_side):
    """`save` and `load` do the same by way of a checkpoint file."""
    steps, other = make().take(3).record({"loss": 0.25}), make()
    before = student_side.arrays_of(steps.trainer.state_dict())
    student_side.through_trainers_file(steps.trainer, other.trainer)
    equal(student_side.arrays_of(other.trainer.state_dict()), before)
    assert student_side.random_state() == before["random"]


def test_history_is_the_progress(make, student_side):
    """`history` is what stands in the progress, also in that which was loaded; a new trainer has done nothing."""
    steps = make()
    assert list(steps.trainer.history) == []
    wanted = {"epoch": 0, "batch": 0, "total": 0.0, "samples": 0, "order": None, "history": []}
    assert dict(steps.trainer.state_dict()["progress"]) == wanted
    steps.record({"epoch": 1})
    other = Resumable(student_side.Slope(1.0), MSELoss(), SGD(student_side.parameters([None]), lr=0.1))
    assert list(other.history) == []
    assert [dict(record) for record in steps.trainer.history] == [{"epoch": 1}]
