import pickle

import numpy as np
import pytest

from tinytorch import random


@pytest.fixture(autouse=True)
def _state_is_put_back():
    state = random.get_state()
    yield
    random.set_state(state)


def test_manual_seed_fixes_what_is_drawn():
    random.manual_seed(7)
    first = random.generator().normal(size=100)
    random.manual_seed(7)
    np.testing.assert_array_equal(random.generator().normal(size=100), first)


def test_manual_seed_draws_what_numpy_draws():
    """Not a stream of our own: anyone can reproduce it with `np.random.default_rng`."""
    random.manual_seed(7)
    np.testing.assert_array_equal(random.generator().random(5), np.random.default_rng(7).random(5))


def test_manual_seed_forgets_half_used_bits():
    """A 32-bit draw uses half of a 64-bit one and keeps the rest; a new seed must drop it."""
    random.manual_seed(7)
    random.generator().integers(0, 2**31, dtype=np.int32)
    random.manual_seed(7)
    drawn = random.generator().integers(0, 2**31, size=3, dtype=np.int32)
    np.testing.assert_array_equal(drawn, np.random.default_rng(7).integers(0, 2**31, size=3, dtype=np.int32))


def test_different_seeds_draw_different_numbers():
    random.manual_seed(0)
    first = random.generator().random(5)
    random.manual_seed(1)
    assert not np.isclose(random.generator().random(5), first).any()


def test_manual_seed_refuses_a_negative_seed_and_changes_nothing():
    before = random.get_state()
    with pytest.raises(ValueError, match="got -1"):
        random.manual_seed(-1)
    assert random.get_state() == before


def test_generator_is_one_for_all_and_keeps_its_identity():
    held = random.generator()
    random.manual_seed(3)
    assert random.generator() is held
    assert held.random() == np.random.default_rng(3).random()


def test_state_taken_is_state_put_back():
    random.generator().random(3)
    state = random.get_state()
    first = random.generator().random(4)
    random.set_state(state)
    np.testing.assert_array_equal(random.generator().random(4), first)


def test_state_is_a_snapshot_and_survives_a_checkpoint():
    state = random.get_state()
    saved = pickle.dumps(state)
    random.generator().random(10)
    assert state == pickle.loads(saved)
    assert random.get_state() != state
