"""A student who works from top to bottom hears of each exercise when it is written, not only when the last one is."""
from pytest_tinytorch.course import stubs
from tests.course.source import Source, read

LEAST_SHARE = 0.5  # of an exercise's tests; the others may need later exercises, as a `view` needs `reshape`


def solved_up_to(source: Source, last: str) -> str:
    """The module with the solutions of the exercises up to `last`, and stubs in the later ones."""
    done = list(source.exercises)[: list(source.exercises).index(last) + 1]
    stub = Source(stubs.stub(source.text))
    for exercise in done:
        solved = source.exercises[exercise]
        stub = Source(stub.text.replace(stub.exercises[exercise].text, solved.text))
    return stub.text


def test_each_exercise_can_be_tested_when_it_is_written(module, examiner):
    source, tested = read(module), examiner.reference(module).exercises
    for exercise in source.exercises:
        verdict = examiner.examine(module, solved_up_to(source, exercise), quiet=True)
        own = {test for test, about in tested.items() if about == exercise and "progressive" not in test}
        passed = own & verdict.passed
        assert len(passed) >= LEAST_SHARE * len(own), f"{exercise}: {len(passed)} of {len(own)} pass; these wait: {sorted(own - passed)}"
