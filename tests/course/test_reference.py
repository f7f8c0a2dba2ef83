"""The two ends of the scale: the reference passes every course test, and what a student starts from fails every one."""
import pytest

from pytest_tinytorch.course import stubs
from tests.course.source import read


def test_reference_passes_every_test(module, examiner):
    verdict = examiner.reference(module)
    assert verdict.is_clean, verdict.output


@pytest.mark.parametrize("form", ["py", "ipynb"])
def test_stub_is_collected_and_fails_every_test(module, examiner, form):
    verdict = examiner.examine(module, stubs.stub(read(module).text), form=form)
    assert set(verdict.rounds[0]) == set(examiner.reference(module).rounds[0])
    wrong = {test: outcome for test, outcome in verdict.rounds[0].items() if outcome != "failed"}
    assert not wrong, "every test should fail on the stub, in its call, by touching an exercise"
