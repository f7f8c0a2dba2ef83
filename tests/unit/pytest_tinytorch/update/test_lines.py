"""Changes of different lines go together; two changes of one line are a conflict."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_tinytorch.update.lines import merge


@pytest.mark.parametrize(
    "base, ours, theirs, merged",
    [
        ("abc", "abc", "abc", "abc"),
        ("abc", "axc", "abc", "axc"),
        ("abc", "abc", "ayc", "ayc"),
        ("abc", "axc", "axc", "axc"),
        ("abcd", "axcd", "abyd", "axyd"),
        ("abc", "xbc", "abz", "xbz"),
        ("abc", "ac", "abyc", "ayc"),
        ("abc", "abxc", "abxc", "abxc"),
        ("", "ab", "", "ab"),
        ("abc", "", "abc", ""),
        ("abc", "axc", "ayc", None),
        ("abc", "abxc", "abyc", None),
        ("abc", "ac", "ayc", None),
        ("abcd", "ad", "abxcd", None),
        ("abcd", "axxd", "abyd", None),
    ],
    ids=lambda value: value if isinstance(value, str) and value else repr(value),
)
def test_by_example(base: str, ours: str, theirs: str, merged: str | None):
    assert merge(base, ours, theirs) == (None if merged is None else list(merged))
    if merged is not None:
        assert merge(base, theirs, ours) == list(merged)


@given(st.lists(st.tuples(st.sampled_from(["", "ours", "theirs"]), st.integers(0, 2)), max_size=30))
def test_every_line_changed_by_one_side_gets_that_sides_change(fates: list[tuple[str, int]]):
    def side(name: str) -> list[str]:
        lines: list[str] = []
        for number, (who, count) in enumerate(fates):
            lines += [f"{number} by {who}, {copy}" for copy in range(count)] if who and who in name else [str(number)]
        return lines

    assert merge(side(""), side("ours"), side("theirs")) == side("ours theirs")
