"""What a session tests follows from its command line alone: the expression, the arguments, and what is begun."""
from __future__ import annotations

from pathlib import Path

import pytest

from pytest_tinytorch.selected import select
from tinytorch.errors import ConfigError

ROOT = Path("/home/me/mein Ordner")


def chosen(course, expression="", *arguments, begun=(), absent=()):
    """Markers of what is tested, what `-m` names, and what was left out."""
    paths = [ROOT / argument for argument in arguments or ("",)]
    selected = select(
        course, ROOT, expression=expression, arguments=paths, is_begun=lambda module: module.number in begun,
        has_tests=lambda part: part.marker not in absent,
    )
    return tuple(
        " ".join(part.marker for part in parts) for parts in (selected.parts, selected.named, selected.left_out)
    )


@pytest.mark.parametrize(
    ("begun", "tested", "left_out"),
    [
        ((), "", "module01 module02"),
        (("01",), "module01", "module02"),
        (("02", "01"), "module01 module02", ""),
        (("03", "99"), "", "module01 module02"),
    ],
    ids=["nothing", "the first", "both", "one that is not written"],
)
def test_a_plain_run_tests_what_is_begun(course, begun, tested, left_out):
    assert chosen(course, begun=begun) == (tested, "", left_out)


@pytest.mark.parametrize(
    ("expression", "tested", "named"),
    [
        ("module01", "module01", "module01"),
        ("module02 or module01", "module01 module02", "module01 module02"),
        ("milestone01", "milestone01", "milestone01"),
        ("module02 or milestone01", "module02 milestone01", "module02 milestone01"),
        ("module01 and slow", "module01", "module01"),
        ("module01 and module02", "", ""),
        ("not module01", "", ""),
        ("slow", "", ""),
    ],
)
def test_what_the_expression_names_is_tested_begun_or_not(course, expression, tested, named):
    assert chosen(course, expression)[:2] == (tested, named)


def test_what_has_no_tests_here_is_no_news_unless_it_is_named(course):
    assert chosen(course, begun=("01", "02"), absent=("module02",)) == ("module01", "", "")
    assert chosen(course, absent=("module01",))[2] == "module02"
    with pytest.raises(ConfigError, match=r"module02 \(Activations\) has no tests in this workspace; .*tito update"):
        chosen(course, "module02 or module01", absent=("module02",))


def test_what_the_expression_cannot_select_is_no_news(course):
    """Modules that were left out because of the expression aren't counted among those not begun."""
    assert chosen(course, "module01")[2] == ""
    assert chosen(course, "not module01", begun=("01", "02")) == ("module02", "", "")
    assert chosen(course, "slow", begun=("01",)) == ("module01", "", "module02")


@pytest.mark.parametrize(
    ("arguments", "tested", "left_out"),
    [
        (("tests/01_tensor/test_root.py",), "module01", ""),
        (("tests/01_tensor",), "module01", ""),
        (("tests/01_tensor", "tests/02_activations/test_root.py"), "module01 module02", ""),
        (("tests",), "", "module01 module02"),
        (("modules",), "", ""),
        (("milestones/01_1958_perceptron/test_perceptron.py",), "milestone01", ""),
        (("tests/01_tensor_old",), "", ""),
        (("..",), "", ""),
    ],
    ids=["file", "folder", "two", "above", "elsewhere", "milestone", "a longer name", "outside"],
)
def test_an_argument_that_points_into_the_tests_is_enough(course, arguments, tested, left_out):
    assert chosen(course, "", *arguments) == (tested, "", left_out)


def test_a_name_whose_tests_no_argument_covers_is_named_and_not_tested(course):
    """--tito-complete then says that none of its tests ran."""
    assert chosen(course, "module02", "tests/01_tensor") == ("", "module02", "")
    assert chosen(course, "module01 or module02", "tests/01_tensor") == ("module01", "module01 module02", "")


def test_a_milestone_is_no_part_of_a_plain_run(course):
    assert chosen(course, "", begun=("01", "02"))[0] == "module01 module02"
    assert chosen(course, "not slow", begun=("01", "02"))[0] == "module01 module02"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("module77", "-m names module77, which the course doesn't have: use module01 to module03"),
        ("module1", "-m names module1, which the course doesn't have"),
        ("module01 or not milestone02", "-m names milestone02, which the course doesn't have: use milestone01$"),
        ("module03", r"module03 \(Layers\) is planned, but this version of the course doesn't have it yet"),
        ("module01 or module03", r"module03 \(Layers\) is planned"),
    ],
)
def test_a_name_that_the_course_lacks_is_told(course, expression, message):
    with pytest.raises(ConfigError, match=message):
        chosen(course, expression)
