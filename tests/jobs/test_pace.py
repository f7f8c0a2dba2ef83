from __future__ import annotations

import pytest

from tinytorch.jobs.pace import Pace


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


def paced(*gaps):
    clock = Clock()
    pace = Pace(clock)
    for gap in gaps:
        clock.now += gap
        pace.note()
    return pace


def test_before_the_first_item_nothing_is_known():
    pace = paced()
    assert (pace.rate, pace.remaining(5)) == (None, None)


@pytest.mark.parametrize("gap", [1e-6, 0.25, 7, 3600])
def test_a_steady_pace_is_known_from_the_first_item_on(gap):
    for count in (1, 2, 100):
        assert paced(*[gap] * count).rate == pytest.approx(1 / gap, rel=1e-3)


def test_the_remaining_time_follows_the_pace():
    assert paced(2, 2, 2).remaining(10) == pytest.approx(20)
    assert paced(2, 2, 2).remaining(0) == 0


def test_a_night_asleep_changes_the_remaining_time_little():
    awake = paced(*[2] * 50).remaining(100)
    slept = paced(*[2] * 50, 8 * 3600, *[2] * 5).remaining(100)
    assert slept == pytest.approx(awake, rel=0.5)


def test_a_pause_among_quick_items_counts_a_second_at_most():
    assert paced(*[0.001] * 1000, 3600).active == pytest.approx(2.0)


def test_the_last_minute_counts_and_not_the_hour_before():
    assert paced(*[1] * 3600, *[5] * 120).rate == pytest.approx(0.2)


def test_bursts_of_several_workers_are_evened_out():
    assert paced(*[4, 0, 0, 0] * 30).rate == pytest.approx(1, rel=0.1)
