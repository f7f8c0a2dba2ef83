"""Chunks by travelled distance."""
from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytorch.errors import ConfigError
from tinytorch.trajectories.chunking import Chunk, Limits, chunks, travelled

steps = st.lists(st.one_of(st.just(0.0), st.floats(0.0, 5.0), st.floats(20.0, 200.0)), min_size=0, max_size=60)
limits = st.builds(
    Limits, max_chunk_distance_m=st.floats(2.0, 60.0), overlap_distance_m=st.floats(0.0, 1.9), min_chunk_distance_m=st.floats(0.0, 1.9)
)  # fmt: skip


def distances(steps):
    return np.cumsum([0.0, *steps])


def test_a_chunk_ends_at_the_first_pose_beyond_the_maximum_and_the_next_starts_the_overlap_before():
    found = chunks(np.arange(0.0, 121.0, 0.5), Limits())
    assert [(0.5 * c.start, 0.5 * (c.stop - 1)) for c in found] == [(0.0, 50.5), (49.5, 100.0), (99.0, 120.5)]


def test_a_way_of_exactly_the_maximum_is_one_chunk():
    assert chunks(np.arange(0.0, 51.0), Limits()) == [Chunk(0, 51)]


def test_a_rest_below_the_minimum_is_dropped():
    way = np.array([0.0, 51.0, 51.2])
    assert chunks(way, Limits(overlap_distance_m=0.0)) == [Chunk(0, 2)]
    assert chunks(way, Limits(overlap_distance_m=0.0, min_chunk_distance_m=0.1)) == [Chunk(0, 2), Chunk(1, 3)]


@pytest.mark.parametrize("way", [[0.0], [0.0, 0.0], [0.0, 0.2]], ids=["one pose", "still", "little"])
def test_a_trajectory_that_hardly_moves_has_no_chunk(way):
    assert chunks(np.array(way), Limits()) == []


def test_standing_still_is_no_chunk_even_if_the_minimum_is_nothing():
    assert chunks(np.zeros(5), Limits(min_chunk_distance_m=0.0)) == []
    assert chunks(np.array([0.0, 51.0, 51.0]), Limits(min_chunk_distance_m=0.0)) == [Chunk(0, 2)]


@given(steps, limits)
def test_every_way_between_two_poses_is_in_a_chunk_but_a_short_rest(steps, limits):
    way = distances(steps)
    found = chunks(way, limits)
    covered = {pose for c in found for pose in range(c.start, c.stop - 1)}
    missed = [pose for pose in np.flatnonzero(np.diff(way)) if pose not in covered]
    rest = found[-1].stop - 1 if found else 0
    assert not missed or (min(missed) >= rest and way[-1] - way[rest] < max(limits.min_chunk_distance_m, 1e-9))


@given(steps, limits)
def test_chunks_are_within_the_limits_and_go_on(steps, limits):
    way = distances(steps)
    found = chunks(way, limits)
    for chunk in found:
        assert 0 <= chunk.start < chunk.stop - 1 < len(way)
        assert way[chunk.stop - 1] - way[chunk.start] >= limits.min_chunk_distance_m - 1e-9
        assert way[chunk.stop - 2] - way[chunk.start] <= limits.max_chunk_distance_m + 1e-9
    for before, after in itertools.pairwise(found):
        assert before.start < after.start < before.stop < after.stop
        assert way[before.stop - 1] - way[after.start] <= limits.overlap_distance_m + 1e-9
        assert after.start - 1 <= before.start or way[before.stop - 1] - way[after.start - 1] > limits.overlap_distance_m - 1e-9


def test_the_way_is_measured_in_space_and_whatever_the_type():
    assert travelled(np.array([[0, 0, 0], [3, 4, 0], [3, 4, 12], [3, 4, 12]], dtype=np.int64)).tolist() == [0.0, 5.0, 17.0, 17.0]


def test_a_way_beyond_what_floats_resolve_ends():
    far = 1e17 + np.arange(100) * 64.0
    assert all(c.stop > c.start for c in chunks(far, Limits()))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"overlap_distance_m": 50.0}, "overlap_distance_m is 50.0, max_chunk_distance_m 50.0: it must be smaller"),
        ({"min_chunk_distance_m": 51.0}, "min_chunk_distance_m is 51.0, max_chunk_distance_m 50.0"),
        ({"max_chunk_distance_m": 0.0}, "max_chunk_distance_m is 0"),
        ({"max_chunk_distance_m": float("inf")}, "max_chunk_distance_m is inf; a finite distance"),
        ({"overlap_distance_m": -1.0}, "overlap_distance_m is -1.0; a finite distance"),
    ],
    ids=["overlap", "minimum", "no maximum", "infinite", "negative"],
)
def test_limits_that_no_trajectory_could_be_cut_by_are_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Limits(**wrong)
