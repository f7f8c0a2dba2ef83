"""A test that takes `module` runs for every module that is written; `examiner` runs course tests on candidates."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.course.candidate import Examiner
from tests.course.source import written_modules


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "module" in metafunc.fixturenames and not any(
        "module" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")
    ):
        metafunc.parametrize("module", written_modules(), ids=lambda module: module.folder)


@pytest.fixture(scope="session")
def examiner() -> Iterator[Examiner]:
    with Examiner() as examiner:
        yield examiner
