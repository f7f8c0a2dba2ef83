"""Makes what is derived from the course and kept in files: `make generate`. A test fails when one of them is out of date.

- `tinytorch/_course_modules.py`: where each module is exported, for the overlay's message about a missing export
- `templates/required_tests.json`: the tests that a module needs to pass, collected from a pristine workspace
- `templates/history.json`: the hashes of all files in all released versions, by which a lost `version.json` is made again
"""
from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pytest_tinytorch.course.curriculum import Course, load
from pytest_tinytorch.workspace.manifest import collect
from tests.course import releases

ROOT = Path(__file__).parent.parent


def course_modules(course: Course) -> str:
    """The source of `tinytorch/_course_modules.py`."""
    rows = "".join(f'    "{m.exports}": ("{m.number}", "{m.title}"),\n' for m in course.modules)
    return (
        '"""Where each course module is exported: made from `templates/curriculum.toml` by `make generate`."""\n'
        f"\nCOURSE_MODULES = {{\n{rows}}}\n"
    )


def required_tests(course: Course) -> str:
    """The text of `templates/required_tests.json`: every test that pytest collects in a new workspace."""
    tests = collect(course, [part for part in course.parts if course.is_written(part)])
    return json.dumps(tests, indent=1) + "\n"


def history() -> str:
    """The text of `templates/history.json`, from the archives of the releases."""
    with tempfile.TemporaryDirectory() as folder:
        return releases.history([releases.unpacked(version, Path(folder)) for version in releases.versions()])


def main() -> None:
    course = load()
    (ROOT / "tinytorch" / "_course_modules.py").write_text(course_modules(course), "utf-8")
    (course.folder / "history.json").write_text(history(), "utf-8")
    tests = required_tests(course)
    (course.folder / "required_tests.json").write_text(tests, "utf-8")
    for marker, ids in json.loads(tests).items():
        print(f"{marker}: {len(ids)} required tests")


if __name__ == "__main__":
    main()
