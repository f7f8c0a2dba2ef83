"""Course tests draw random inputs; their answer must not depend on the draw. The report tries 200 seeds, this file five."""
from tests.course.report import SEEDS
from tests.course.source import read


def test_reference_passes_for_every_seed(module, examiner):
    verdict = examiner.examine(module, read(module).text, strict=True, seeds=SEEDS[:5])
    assert verdict.is_clean, verdict.output
    assert len(verdict.rounds) == 5
