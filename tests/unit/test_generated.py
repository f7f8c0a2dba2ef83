"""What is derived from the course and kept in files is what `make generate` would write."""
from __future__ import annotations

from pytest_tinytorch.course.curriculum import load
from tests import generate


def test_the_overlays_table_is_that_of_the_curriculum():
    text = (generate.ROOT / "tinytorch" / "_course_modules.py").read_text("utf-8")
    assert text == generate.course_modules(load()), "make it again with: make generate"


def test_the_required_tests_are_those_of_a_new_workspace():
    course = load()
    text = (course.folder / "required_tests.json").read_text("utf-8")
    assert text == generate.required_tests(course), "make it again with: make generate"


def test_the_history_is_that_of_the_released_versions():
    text = (load().folder / "history.json").read_text("utf-8")
    assert text == generate.history(), "make it again with: make generate"
