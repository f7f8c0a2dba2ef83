"""A course.yml makes a course of the installed one, or is refused with its file, its line and what to write instead."""
from __future__ import annotations

import re
from datetime import datetime

import pytest

from pytest_tinytorch.course import curriculum, custom, points
from tests.plugin.conftest import OWN_MODULE, write_instructors_course
from tinytorch.errors import ConfigError


@pytest.fixture
def made(tmp_path, course):
    """The course of a course.yml with a text: `made("modules: [1]")`."""

    def make(text):
        return custom.read(write_instructors_course(tmp_path / "mine", text), course)

    return make


EXTRA = 'extra: ["../shared/tripling"]\n'


# --- what it can say ----------------------------------------------------------------------------------------------


def test_a_title_alone_leaves_the_course_as_it_is(made, course):
    mine = made("title: Mine")
    assert (mine.modules, mine.milestones, mine.title) == (course.modules, course.milestones, "Mine")


@pytest.mark.parametrize(
    ("text", "numbers", "milestones"),
    [
        ("modules: [1-3]", ["01", "02", "03"], ["01"]),
        ("modules: [01, 2]", ["01", "02"], ["01"]),
        ("modules: ['1']", ["01"], []),
        ("modules:\n  - 1 - 2\n", ["01", "02"], ["01"]),
        (f"{EXTRA}modules: [1, 51, 2]", ["01", "51", "02"], ["01"]),
        (f"{EXTRA}", ["01", "02", "03", "51"], ["01"]),
        ("modules: [1-2]\nmilestones: []", ["01", "02"], []),
        ("modules: [1-2]\nmilestones: [1]", ["01", "02"], ["01"]),
    ],
)
def test_it_chooses_modules_and_milestones_and_their_order(made, text, numbers, milestones):
    mine = made(text)
    assert [module.number for module in mine.modules] == numbers
    assert [milestone.number for milestone in mine.milestones] == milestones


def test_needs_are_in_the_courses_order(made, course):
    mine = made(EXTRA)
    (mine.module("51").home / "module.toml").write_text(changed('["01"]', '["02", "01"]'), "utf-8")
    assert custom.read(mine.config, course).module("51").needs == ("01", "02")


def test_a_module_of_ones_own_is_one_like_any_other(made):
    mine = made(f"{EXTRA}modules: [1, 51, 2]")
    module = mine.module("tripling")
    assert (module.label, module.folder, module.needs) == ("51 Tripling", "51_tripling", ("01",))
    assert mine.is_written(module)
    assert sorted(mine.files_of(module)) == ["modules/51_tripling/README.md", "tests/51_tripling/test_triple.py"]


def test_dates_are_local_and_a_day_ends_at_its_last_minute(made):
    mine = made("due: {1: 2026-10-01T12:30, 2: 2026-10-01}")
    assert [module.due for module in mine.modules] == [datetime(2026, 10, 1, 12, 30), datetime(2026, 10, 1, 23, 59), None]
    zoned = made("due: {1: 2026-10-01T12:30Z}").module("1").due
    assert zoned == datetime.fromisoformat("2026-10-01T12:30+00:00").astimezone().replace(tzinfo=None)


@pytest.mark.parametrize("text", ["2026-10-01T12:30:15", "2026-10-01T12:30+02:00", "2026-10-01T12:30:15-05:30", "2026-10-01T12:30Z"])
def test_times_are_those_that_every_python_reads(made, text):
    expected = datetime.fromisoformat(text.replace("Z", "+00:00"))
    assert made(f"due: {{1: {text}}}").module("1").due == (expected.astimezone().replace(tzinfo=None) if expected.tzinfo else expected)


def test_points_are_the_modules_or_its_exercises(made):
    mine = made("points: {1: {double: 9}, 2: 40}")
    assert [points.worth(mine, module) for module in mine.modules] == [9 + 1, 40, 0]
    assert [exercise.points for exercise in points.exercises(mine, mine.module("1"))] == [9, 1]
    assert [exercise.points for exercise in points.exercises(mine, mine.module("2"))] == [1]


def test_newlines_of_windows_and_a_byte_order_mark_do_no_harm(made, course):
    path = made("title: x\nmodules: [1, 2]\n").config
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    mine = custom.read(path, course)
    assert (mine.title, len(mine.modules)) == ("x", 2)


# --- faults -------------------------------------------------------------------------------------------------------

NO_DATES = ["20261001", "2026-W40-4", "2026-10-01 23:59", "2026-10-01T23", "2026-10-01T23:59:59.5", "2026-10-01T2359", "2026-10-01T24:00", "2026-10-01T23:59+02", "\u0662026-10-01"]

FAULTS = {
    "no yaml": ("title: x\nmodules: [1", r"yml:2: no YAML: .*expected"),
    "a tab": ("due:\n\t1: 2026-10-01", r"yml:2: no YAML: .*'\\t'.*\. Use spaces, not a tab$"),
    "a colon": ("title: CS 249r: spring", r'yml:1: no YAML: .*\. A text with a colon is to be quoted: "\.\.\."$'),
    "an escape in a title": (r'title: "a\e[31m"', "yml:1: title must be one line, without control characters"),
    "a title of two lines": ("title: |\n  a\n  b\n", "yml:1: title must be one line"),
    "no modules": ("modules: []", r"yml:1: modules is empty, and a course has at least one: \[1\]"),
    "an own module without its folder": ("modules: [1, 51]", r"yml:1: there is no module 51; there are 01-03\. Is it one of your own\? List its folder in extra"),
    "too large": ("title: x\n" + "#" * 100_000, r"course\.yml has 100 kB, and a course\.yml at most 100"),
    "an unknown alias": ("title: *x", "yml:1: no YAML: found undefined alias 'x'"),
    "a character": ("title: x\n# \x07\n", r"yml:2: no YAML: the character '\\x07'"),
    "nested": ("[" * 3000, "yml:1: nested too deeply"),
    "empty": ("# nothing\n", "yml:1: the course is empty"),
    "a list": ("- 1\n", "yml:1: the course must be a table such as `key: value`, found a list"),
    "unknown key": ("title: x\nmodule: [1]", r"yml:2: there is no key 'module'\. Did you mean modules\? There are: title, "),
    "key twice": ("title: x\ntitle: y", "yml:2: 'title' stands here a second time"),
    "key of another kind": ("[1]: x", "yml:1: a key of the course must be a text, found a list"),
    "empty title": ("title:", "yml:1: title must be a text, found nothing"),
    "modules as a text": ("modules: 1-2", r"yml:1: modules must be a list such as \[1, 2\], found '1-2'"),
    "unknown module": ("modules: [1,\n  4]", "yml:2: there is no module 04; there are 01-03"),
    "range too long": ("modules: [1-9]", "yml:1: there is no module 04"),
    "range backwards": ("modules: [2-1]", "yml:1: 2-1 ends before it begins.*number by number: 2, 1"),
    "module by name": ("modules: [tensr]", r"yml:1: 'tensr' is neither a number nor a range such as 1-6\. Module tensor is 1\."),
    "module twice": ("modules: [1-2, 1]", "yml:1: module 01 stands here a second time"),
    "need left out": ("modules:\n- 2", "yml:2: module 02 Activations needs 01 Tensor, which is left out. Add 1 to modules, or leave 2 out too"),
    "need comes later": ("modules: [2, 1]", "yml:1: module 02 Activations needs 01 Tensor, which comes no earlier. Put 1 first"),
    "own not listed": (f"{EXTRA}modules: [1]", "yml:1: module 51 Tripling stands in extra and not in modules. Add 51 there"),
    "own without what it needs": (f"{EXTRA}modules: [51]", "yml:2: module 51 Tripling needs 01 Tensor, which is left out"),
    "extra elsewhere": ("extra: [nowhere]", r"yml:1: there is no folder .*mine.nowhere"),
    "extra is no module": ('extra: ["."]', r"yml:1: .*mine.* lacks module\.toml; .* NN_slug\.py and tests/"),
    "extra twice": ('extra: ["../shared/tripling", "../shared/tripling"]', r"module\.toml:1: 51 is Tripling already\. Choose a number that is free"),
    "unknown milestone": ("milestones: [2]", "yml:1: there is no milestone 02; there are 01"),
    "milestone without modules": ("modules: [1]\nmilestones: [1]", r"yml:2: milestone 01 - Perceptron \(1958\) needs modules 02, which are left out"),
    "due of nobody": ("modules: [1]\ndue:\n  2: 2026-10-01", "yml:3: module 02 is not in this course, which has 01"),
    "due by name": ("due: {tensor: 2026-10-01}", r"yml:1: 'tensor' is no module's number\. Module tensor is 1\."),
    "due twice": ("due: {1: 2026-10-01, 01: 2026-10-02}", "yml:1: module 01 stands here a second time"),
    "no date": ("due:\n  1: tomorrow", "yml:2: due of 1 is 'tomorrow', and a time such as 2026-10-01T23:59"),
    **{f"no date: {text}": (f"due: {{1: '{text}'}}", f"yml:1: due of 1 is '{re.escape(text)}', and a time such as") for text in NO_DATES},
    "no such day": ("due: {1: 2026-02-30}", "yml:1: due of 1 is '2026-02-30'"),
    "due as a list": ("due: [1]", "yml:1: due must be a table"),
    "points below nothing": ("points: {1: -3}", "yml:1: points of 1 must be a whole number from 0 to 999999, found '-3'"),
    "too many points": ("points: {1: 1000000}", "yml:1: points of 1 must be a whole number from 0 to 999999, found '1000000'"),
    "points as a list": ("points: {1: [3]}", "yml:1: points of 1 must be a whole number from 0 to 999999, found a list"),
    "points of no exercise": ("points:\n  1: {dubble: 3}", r"yml:2: there is no exercise 'dubble'\. Did you mean double\? There are: double, root"),
    "points of an unwritten exercise": ("points: {3: {x: 3}}", "yml:1: module 03 Layers is planned"),
    "solutions": ("solutions: maybe", "yml:1: solutions must be true or false, found 'maybe'"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_told_with_its_file_and_line(made, text, message):
    with pytest.raises(ConfigError, match=message):
        made(text)


def changed(old, new):
    assert old in OWN_MODULE["module.toml"]
    return OWN_MODULE["module.toml"].replace(old, new)


ROWS = {
    "no toml": (changed('"51"', "51"), r"toml:1: \w"),
    "unknown key": (changed("title", "titel"), r"toml:3: there is no key 'titel'\. Did you mean title\?"),
    "missing key": (changed('goal = "Three times"\n', ""), "toml:1: goal is missing; a module has number, slug, title"),
    "wrong type": (changed('["01"]', '"01"'), r"toml:5: needs must be a list of numbers such as \"01\", found '01'"),
    "one digit": (changed('"51"', '"7"'), "toml:1: '7' 'tripling': a number has two digits"),
    "a number of the course": (changed('"51"', '"03"'), r"toml:1: 03 is the installed course's, as all numbers below 50 are, now or later\. .* from 50 to 99"),
    "a slug of the course": (changed('"tripling"', '"layers"'), "toml:2: layers is the slug of module 03 Layers already"),
    "an export of the course": (changed("extra.tripling", "core.layers"), "toml:4: 51 Tripling exports to 'tinytorch.core.layers', as another module does"),
    "a base module": (changed("extra.tripling", "random"), "toml:4: .* which is installed and comes first"),
    "unknown need": (changed('"01"', '"99"'), "yml:1: module 51 Tripling needs '99', and there is no such module"),
    "another slug": (changed('"tripling"', '"threes"'), r"toml:2: .* lacks 51_threes\.py, the module with its solutions"),
    "a title with an escape": (changed('"Tripling"', r'"Tripling\u001b[31m"'), "toml:3: title must be one line, without control characters"),
    "itself": (changed('["01"]', '["01", "51"]'), r"yml:1: modules need each other in a cycle, .*: 51 Tripling needs 51 Tripling\. Correct needs in a module\.toml"),
    "not utf-8": (b"number = \xff", "toml:1: not UTF-8 text"),
}


@pytest.mark.parametrize(("row", "message"), ROWS.values(), ids=ROWS.keys())
def test_a_fault_of_a_module_toml_is_told_with_its_file_and_line(tmp_path, course, row, message):
    path = write_instructors_course(tmp_path / "mine", f"{EXTRA}")
    (tmp_path / "shared" / "tripling" / "module.toml").write_bytes(row if isinstance(row, bytes) else row.encode())
    with pytest.raises(ConfigError, match=message):
        custom.read(path, course)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("tests", "lacks tests;"), ("tests/test_triple.py", r"has no test_\*\.py"), ("module.toml", r"lacks module\.toml"), ("51_tripling.py", r"lacks 51_tripling\.py")],
)
def test_what_the_folder_of_a_module_lacks_is_told(tmp_path, course, missing, message):
    path = write_instructors_course(tmp_path / "mine", EXTRA)
    gone = tmp_path / "shared" / "tripling" / missing
    gone.rename(tmp_path / "gone")
    with pytest.raises(ConfigError, match=message):
        custom.read(path, course)


def test_a_course_yml_that_cannot_be_read_is_told(course, tmp_path):
    with pytest.raises(ConfigError, match=r"course\.yml can't be read: "):
        custom.read(tmp_path / "course.yml", course)
    (tmp_path / "course.yml").write_bytes(b"title: x\n\xff")
    with pytest.raises(ConfigError, match=r"course\.yml:2: not UTF-8"):
        custom.read(tmp_path / "course.yml", course)


def test_the_installed_course_leaves_the_numbers_of_own_modules_alone(monkeypatch):
    monkeypatch.delenv("TINYTORCH_TEMPLATES", raising=False)
    assert [module.label for module in curriculum.load().modules if int(module.number) in custom.OWN_NUMBERS] == []
