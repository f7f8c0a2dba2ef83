"""What holds for every page: links lead somewhere, names are right, and nothing of a machine or a fashion is in it."""

import re

import pytest

from pytest_tinytorch.course import curriculum
from pytest_tinytorch.course.curriculum import as_ranges
from tests.docs.page import PAGES, ROOT, without_blocks

COURSE = curriculum.load()
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LATER = ("course-tests.md", "performance.md")  # written by commands, `make course-report` and `make bench`
DECORATION = re.compile("[\U0001f000-\U0001faff\u2500-\u259f\u2700-\u27bf\ufe0f\u200d\u2b50\u2b55]")
DRAWN = ROOT / "docs" / "architecture.md"  # has a picture of what imports what
MACHINE = re.compile(r"/(?:home|Users|root|work|tmp)/|https?://")

for_each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def anchors(text):
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(path, *, columns):
    """The rows of a page's first table with so many columns, without its two header lines."""
    lines = [line for line in path.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if len(row) == columns and re.fullmatch(r"\d\d", row[0])]


@for_each_page
def test_links_lead_somewhere(path):
    for target in LINK.findall(without_blocks(path.read_text("utf-8"))):
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        if page.name in LATER and page.parent == ROOT / "docs":
            continue
        assert page.is_file(), target
        assert not anchor or anchor in anchors(page.read_text("utf-8")), target


@for_each_page
def test_files_that_are_named_exist(path):
    """`docs/x.md`, `tests/x` and the like in prose."""
    prose = re.sub(r"`[^`]*NN[^`]*`", "", without_blocks(path.read_text("utf-8")))
    for name in re.findall(
        r"`((?:docs|tito|pytest_tinytorch|tests/docs|tests/course|changelog\.d|\.github)/[\w./-]*)`", prose
    ):
        assert (ROOT / name).exists() or (ROOT / name).name in LATER, name


@for_each_page
def test_has_no_decoration_and_nothing_of_a_machine(path):
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        assert path == DRAWN or not DECORATION.search(line), f"{path.name}:{number}"
        assert not MACHINE.search(line), f"{path.name}:{number}"


def test_readme_has_no_relative_links():
    """It is the package's page on an index too, where they would lead nowhere."""
    assert not LINK.findall((ROOT / "README.md").read_text("utf-8"))


def test_index_names_every_page():
    linked = {target.partition("#")[0] for target in LINK.findall((ROOT / "docs" / "README.md").read_text("utf-8"))}
    assert linked >= {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_modules_are_those_of_the_course():
    assert rows(ROOT / "docs" / "modules.md", columns=5) == [
        [
            module.number,
            module.title,
            as_ranges(module.needs) or "-",
            "yes" if COURSE.is_written(module) else "no",
            module.goal,
        ]
        for module in COURSE.modules
    ]


def test_milestones_are_those_of_the_course():
    assert rows(ROOT / "docs" / "milestones.md", columns=5) == [
        [
            part.number,
            f"{part.title} ({part.year})",
            as_ranges(part.needs),
            "yes" if COURSE.is_written(part) else "no",
            part.goal,
        ]
        for part in COURSE.milestones
    ]


def test_readme_says_which_modules_there_are():
    written = as_ranges([module.number for module in COURSE.modules if COURSE.is_written(module)]).replace("-", " to ")
    assert f"This version has modules {written} and milestones" in " ".join(
        (ROOT / "README.md").read_text("utf-8").split()
    )
