"""The examiner tells how a candidate ended, whatever it does, and goes on with the next."""
import pytest

from tests.course.source import read, written_modules

FIRST = written_modules()[0]


def with_line(line):
    """The first module's reference with one more line in its package."""
    return f'{read(FIRST).text}\n# %% tags=["export"]\n{line}\n'


@pytest.mark.parametrize(
    ("line", "end"), [("while True: pass", "out of time"), ("import os; os._exit(0)", "died")], ids=["loops", "leaves"]
)
def test_a_candidate_that_does_not_come_back_is_not_clean(examiner, line, end):
    verdict = examiner.examine(FIRST, with_line(line), limit=3)
    assert verdict.end == end
    assert not verdict.is_clean
    assert not verdict.passed
    assert examiner.examine(FIRST, read(FIRST).text).is_clean


def test_a_candidate_that_is_no_python_fails(examiner):
    verdict = examiner.examine(FIRST, with_line("def"))
    assert not verdict.is_clean
    assert not verdict.passed


def test_seeds_are_rounds_with_other_inputs(examiner):
    verdict = examiner.examine(FIRST, with_line("x = 1"), seeds=[3, 7])
    assert list(verdict.rounds) == [3, 7]
    assert verdict.is_clean


def test_other_modules_can_be_replaced_for_one_run(examiner):
    last = written_modules()[-1]
    broken = examiner.examine(last, read(last).text, others={FIRST.number: with_line("raise ValueError")}, quiet=True)
    assert not broken.passed
    assert examiner.examine(last, read(last).text, quiet=True).is_clean
