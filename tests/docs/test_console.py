"""Every command of every page is run, in the page's order, and prints what the page shows.

`DOCS_UPDATE=1 python -m pytest tests/docs` puts the real line in the place of one that differs in its numbers only.
"""

import os

import pytest

from tests.docs.page import PAGES, ROOT, Command, steps
from tests.docs.reader import Reader

WALK = ROOT / "docs" / "walk.md"  # test_walk.py runs it, and looks at what it leaves
RUN = [path for path in PAGES if path != WALK and any(isinstance(step, Command) for step in steps(path.read_text("utf-8")))]


@pytest.mark.skipif(os.name == "nt", reason="the pages are written for a POSIX shell")
@pytest.mark.parametrize("path", RUN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page_shows_what_happens(path, tmp_path):
    text = path.read_text("utf-8")
    with Reader(tmp_path, path.name) as reader:
        reader.follow(steps(text))
    if reader.corrections and os.environ.get("DOCS_UPDATE"):
        lines = text.splitlines()
        for number, line in reader.corrections.items():
            lines[number - 1] = line
        path.write_text("\n".join(lines) + "\n", "utf-8")
    if reader.wrong:
        pytest.fail("\n\n".join(reader.wrong), pytrace=False)


def test_pages_have_commands():
    """A page whose blocks were renamed would pass unseen."""
    assert {path.name for path in RUN} >= {
        "README.md",
        "quick-start.md",
        "progress.md",
        "modules.md",
        "milestones.md",
        "pytest.md",
        "commands.md",
        "cache.md",
        "troubleshooting.md",
        "authors.md",
        "instructors.md",
    }
