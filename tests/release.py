"""`make release-check`: whether what is to be released fits together. What it is built of is tested like everything else."""
from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def faults(root: Path) -> list[str]:
    """What keeps this commit from being released, and what to do about each; the last release is the newest tag `v*`."""
    version = _package_version((root / "tinytorch" / "__init__.py").read_text("utf-8"))
    course = (root / "templates" / "VERSION").read_text("utf-8").strip()
    if wrong := [f"{what} {text!r} is no version such as 1.2.0." for what, text in (("tinytorch", version), ("templates", course)) if not _VERSION.fullmatch(text)]:
        return wrong
    found = (_notes(root, version), _pages(root, version), _since_last(root, version, course), _frozen(root, course), _uncommitted(root))
    return [fault for faults in found for fault in faults]


def _package_version(source: str) -> str:
    found = re.search(r'^__version__ = "(.*)"$', source, flags=re.MULTILINE)
    return found[1] if found else ""


def _notes(root: Path, version: str) -> Iterator[str]:
    sections = re.findall(r"^## (\S+)", (root / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    if sections[:1] != [version]:
        newest = f"{sections[0]} on top" if sections else "no release yet"
        yield f"CHANGELOG.md has {newest}, and the version is {version}: towncrier build --version {version}"
    if left := sorted(path.name for path in (root / "changelog.d").iterdir() if path.name != "README.md"):
        yield f"changelog.d/ still has {', '.join(left)}: towncrier build --version {version}"


def _pages(root: Path, version: str) -> Iterator[str]:
    """A page that tells people to install the wheel of another version."""
    for path in [root / "README.md", *sorted(root.glob("docs/*.md"))]:
        for named in sorted(set(re.findall(r"tinytorch-(\d+\.\d+\.\d+)", path.read_text("utf-8"))) - {version}):
            yield f"{path.relative_to(root).as_posix()} names tinytorch-{named}, and the version is {version}."


def _since_last(root: Path, version: str, course: str) -> Iterator[str]:
    tags = [tag for tag in _git(root, "tag", "--list", "v*", "--merged", "HEAD").split() if _VERSION.fullmatch(tag[1:]) and tag != f"v{version}"]
    if not tags:
        return
    last = max(tags, key=lambda tag: _numbers(tag[1:]))
    if _numbers(version) <= _numbers(last[1:]):
        yield f"The version is {version}, and {last} is released: raise it in tinytorch/__init__.py."
    before = _git(root, "show", f"{last}:templates/VERSION").strip()
    changed = _git(root, "diff", "--name-only", last, "--", "templates").split("\n")
    if changed != [""] and _numbers(course) <= _numbers(before):
        yield f"templates/ changed since {last} ({changed[0]}), and its version is {course}, where it was {before}: raise templates/VERSION."


def _frozen(root: Path, course: str) -> Iterator[str]:
    """A released course is kept as it was, so that updates from it can be tested for ever."""
    if not (root / "tests" / "releases" / f"{course}.tar.xz").is_file():
        yield f"Version {course} of the course is not frozen: python -m tests.course.releases, then: make generate"


def _uncommitted(root: Path) -> Iterator[str]:
    if changed := _git(root, "status", "--porcelain").splitlines():
        yield f"Not committed: {', '.join(line[3:] for line in changed)}. A release is made of a commit."


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, encoding="utf-8", check=True).stdout


def main() -> int:
    found = faults(ROOT)
    for fault in found:
        print(fault, file=sys.stderr)
    print("Not ready to be released." if found else "Versions, notes and course fit together.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
