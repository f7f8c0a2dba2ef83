from __future__ import annotations

import os
import random

import pytest

from tests.jobs.killed import check


@pytest.mark.skipif(os.name == "nt", reason="what a kill leaves behind is looked at on POSIX")
def test_a_job_that_is_killed_again_and_again_does_every_item_once(tmp_path):
    found = check(tmp_path, 60_000, 8, random.Random(1))
    assert found.kills == 8
    assert found.again <= found.kills
