"""How good are the course tests? Everything in full, for every written module: `python -m tests.course.report`.

Prints progress, writes `docs/course-tests.md`, and exits with status 1 if a rule is broken.
"""
from __future__ import annotations

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from pytest_tinytorch.course import curriculum, stubs
from pytest_tinytorch.course.curriculum import Module
from tests.course import liar
from tests.course.candidate import Examiner
from tests.course.catalogue import Mistake, mistakes
from tests.course.mutants import Mutant, mutants
from tests.course.source import read, written_modules
from tests.course.tolerated import Tolerated, as_entry, tolerated

ROOT = Path(__file__).parents[2]
SEEDS = tuple(range(1, 201))
LEAST_SCORE = 0.95
_PROCESSES = 2
_SEEDS_AT_ONCE = 50


@dataclass
class Findings:
    """What was found out about one module's tests."""

    module: Module
    tests: int = 0
    survivors: list[Mutant] = field(default_factory=list)  # in no list of known ones
    known: list[Mutant] = field(default_factory=list)  # alive, and in the list
    killed: int = 0
    slow: int = 0  # of those killed, by the time limit or the end of their process
    broken: list[str] = field(default_factory=list)  # rules
    unlisted_kills: list[Mutant] = field(default_factory=list)  # killed, although listed as living
    parity: str = ""  # what the comparison with PyTorch gave, in a few words

    @property
    def equivalents(self) -> list[Mutant]:
        return [mutant for mutant in self.known if mutant.key in tolerated(self.module).equivalents]

    @property
    def score(self) -> float:
        """The killed among the mutants that some test could kill."""
        alive = len(self.survivors) + len(self.known) - len(self.equivalents)
        return self.killed / max(1, self.killed + alive)


@dataclass(frozen=True)
class Job:
    """One candidate to examine, for what is found out about its module."""

    title: str
    findings: Findings
    run: Callable[[Findings, Examiner], None]
    weight: float = 1.0  # about how long it takes, compared with a mutant


def jobs(findings: Findings, seeds: Sequence[int]) -> Iterator[Job]:
    """Everything that is to be found out about one module."""
    source, known, entries = read(findings.module), tolerated(findings.module), mistakes(findings.module)
    if len(entries) < 5:
        findings.broken.append(f"{len(entries)} known mistakes; at least five were wanted")
    for form in ("py", "ipynb"):
        yield Job("stub", findings, partial(_stub, stub=stubs.stub(source.text), form=form))
    for pretence in liar.PRETENCES:
        yield Job("liar", findings, partial(_liar, pretence=pretence, seeds=seeds), len(seeds) / 2)
    for first in range(0, len(seeds), _SEEDS_AT_ONCE):
        part = seeds[first : first + _SEEDS_AT_ONCE]
        yield Job("seeds", findings, partial(_seeds, text=source.text, seeds=part), len(part) / 2)
    for entry in entries:
        others = [other.named for other in entries if other.named != entry.named]
        run = partial(_mistake, entry=entry, text=entry.put_into(source), others=others, seeds=seeds)
        yield Job("mistakes", findings, run, 4 + len(seeds) / 50)
    for mutant in mutants(source):
        yield Job("mutants", findings, partial(_mutant, mutant=mutant, known=known))


def _reference(findings: Findings, examiner: Examiner) -> None:
    """A module whose reference fails is looked at no further."""
    verdict = examiner.reference(findings.module)
    findings.tests = len(verdict.rounds.get(0, {}))
    if not verdict.is_clean:
        findings.broken.append(f"the reference fails: {', '.join(sorted(verdict.not_passed)) or verdict.end}")


def _stub(findings: Findings, examiner: Examiner, stub: str, form: str) -> None:
    outcomes = examiner.examine(findings.module, stub, form=form, quiet=True).rounds.get(0, {})
    if set(outcomes) != set(examiner.reference(findings.module).rounds[0]) or set(outcomes.values()) != {"failed"}:
        wrong = sorted(test for test, outcome in outcomes.items() if outcome != "failed")
        findings.broken.append(f"the stub ({form}) does not fail each test: {', '.join(wrong) or 'not the same tests'}")


def _liar(findings: Findings, examiner: Examiner, pretence: str, seeds: Sequence[int]) -> None:
    verdict = examiner.examine(findings.module, liar.source(pretence), quiet=True, seeds=seeds)
    if verdict.end != "finished" or len(verdict.rounds) != len(seeds):
        findings.broken.append(f"the liar ({pretence}) was {verdict.end}: {verdict.output[-300:]}")
    for test in sorted(verdict.passed):
        findings.broken.append(f"the liar ({pretence}) passes {test}")


def _seeds(findings: Findings, examiner: Examiner, text: str, seeds: Sequence[int]) -> None:
    verdict = examiner.examine(findings.module, text, quiet=True, strict=True, seeds=seeds)
    if not verdict.is_clean or len(verdict.rounds) != len(seeds):
        wrong = {test: seed for seed, outcomes in verdict.rounds.items() for test, end in outcomes.items() if end != "passed"}
        said = [f"{test} (seed {seed})" for test, seed in sorted(wrong.items())] or [verdict.end]
        findings.broken.append(f"the reference fails for some seed: {', '.join(said)}")


def _mistake(
    findings: Findings, examiner: Examiner, entry: Mistake, text: str, others: list[str], seeds: Sequence[int]
) -> None:
    name, hints = entry.name, "\n".join(examiner.examine(findings.module, text, quiet=True).hints)
    if entry.named not in hints:
        findings.broken.append(f"mistake {name}: no hint says {entry.named!r}")
    findings.broken += [f"mistake {name}: a hint says {other!r}, which names another one" for other in others if other in hints]
    verdict = examiner.examine(findings.module, text, stop=True, quiet=True, seeds=seeds)
    if verdict.clean_seeds or (verdict.end == "finished" and len(verdict.rounds) != len(seeds)):
        findings.broken.append(f"mistake {name} passes every test for seeds {verdict.clean_seeds}")


def _mutant(findings: Findings, examiner: Examiner, mutant: Mutant, known: Tolerated) -> None:
    verdict = examiner.examine(findings.module, mutant.text, stop=True, quiet=True, first=mutant.exercise)
    if verdict.is_clean:
        (findings.known if mutant in known else findings.survivors).append(mutant)
        return
    findings.killed += 1
    findings.slow += verdict.end != "finished"
    if mutant in known:
        findings.unlisted_kills.append(mutant)


# Running them


def examine_all(findings: Sequence[Findings], seeds: Sequence[int], show: Callable[[str], None]) -> None:
    """Do every job, with two processes at a time; `show` gets a line of progress now and then."""
    with ExitStack() as stack:
        examiners = [stack.enter_context(Examiner()) for _ in range(_PROCESSES)]
        for found in findings:
            _reference(found, examiners[0])
        work = [job for found in findings if not found.broken for job in jobs(found, seeds)]
        progress = Progress(sum(job.weight for job in work), show)
        free: SimpleQueue[Examiner] = SimpleQueue()
        for examiner in examiners:
            free.put(examiner)

        def do(job: Job) -> None:
            examiner = free.get()
            try:
                job.run(job.findings, examiner)
            finally:
                free.put(examiner)
            progress.step(job)

        with ThreadPoolExecutor(_PROCESSES) as pool:
            for done in [pool.submit(do, job) for job in work]:
                done.result()


@dataclass
class Progress:
    """How far the work is, and how long the rest will take at the pace so far."""

    total: float  # weights
    show: Callable[[str], None]
    done: float = 0.0
    began: float = field(default_factory=time.monotonic)
    shown: float = 0.0

    def step(self, job: Job) -> None:
        self.done += job.weight
        now = time.monotonic()
        if now - self.shown >= 1:
            self.shown = now
            rest = (now - self.began) / self.done * (self.total - self.done)
            self.show(f"{self.done / self.total:4.0%}  {job.findings.module.folder} {job.title}, {rest / 60:.1f} min left")


def _show(text: str) -> None:
    end = "" if sys.stderr.isatty() else "\n"
    print(f"\r\x1b[K{text}" if not end else text, end=end, file=sys.stderr, flush=True)


def compare_with_torch(findings: Findings) -> None:
    path = Path(__file__).parent / "parity" / f"test_{findings.module.slug}.py"
    if not path.is_file():
        findings.parity = "no tests"
        return
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
        if done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED:
            findings.parity = "not run: PyTorch is not installed"
            return
        suite = next(ElementTree.parse(report).iter("testsuite"))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    findings.parity = f"{int(suite.get('tests', 0)) - failed} of {suite.get('tests')} agree"
    if failed:
        findings.broken.append(f"parity: {findings.parity}")


# Writing them down


def check(findings: Findings) -> None:
    """Add what the mutants say about the rules."""
    made = mutants(read(findings.module))
    lines = len({mutant.line for mutant in made})
    if findings.score < LEAST_SCORE:
        findings.broken.append(f"{findings.score:.1%} of the mutants are killed; at least {LEAST_SCORE:.0%} were wanted")
    if len(made) < 3 * lines:
        findings.broken.append(f"{len(made)} mutants for {lines} lines; at least three per line were wanted")
    if findings.survivors:
        findings.broken.append(f"{len(findings.survivors)} mutants live and are not in the list")
    known = tolerated(findings.module)
    keys = {mutant.key for mutant in made}
    findings.broken += [f"the list has a mutant that is not made: {key}" for key in (*known.equivalents, *known.survivors) if key not in keys]
    findings.broken += [f"the list says that it lives, and it is killed: {mutant}" for mutant in findings.unlisted_kills]


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def document(findings: Sequence[Findings], seeds: Sequence[int], command: str, minutes: float) -> str:
    """The page for the docs."""
    parts = [_INTRODUCTION.format(
        date=date.today().isoformat(), command=command, minutes=minutes, seeds=len(seeds), python=platform.python_version(),
        numpy=np.__version__, pytest=pytest.__version__, system=f"{platform.system()} {platform.machine()}",
        processors=os.cpu_count(), pretences=", ".join(liar.PRETENCES),
    )]
    parts.append(table(
        ["module", "exercises", "tests", "mutable lines", "mutants", "killed", "equivalent", "alive", "score"],
        [_mutation_row(found) for found in findings],
    ))
    parts.append(_CANDIDATES.format(seeds=len(seeds)))
    parts.append(table(
        ["module", "stub passes", "liars pass", "known mistakes", "found, named, for all seeds", "reference, all seeds", "values against PyTorch"],
        [_candidate_row(found) for found in findings],
    ))
    parts.append("## Mutants that live\n\nEach with the reason why no test is there for it.")
    parts.extend(_living(found) for found in findings)
    broken = [f"- {found.module.label}: {rule}" for found in findings for rule in found.broken]
    if broken:
        parts.append("## Broken rules\n\n" + "\n".join(broken))
    return "\n\n".join(parts) + "\n"


def _mutation_row(found: Findings) -> list[object]:
    made = mutants(read(found.module))
    alive = len(found.survivors) + len(found.known) - len(found.equivalents)
    return [
        found.module.label, len(read(found.module).exercises), found.tests, len({mutant.line for mutant in made}), len(made),
        f"{found.killed} ({found.slow} by a limit)" if found.slow else found.killed, len(found.equivalents), alive, f"{found.score:.1%}",
    ]


def _candidate_row(found: Findings) -> list[object]:
    def count(*beginnings: str) -> int:
        return sum(rule.startswith(beginnings) for rule in found.broken)

    entries = len(mistakes(found.module))
    wrong = len({rule.split()[1].strip(":") for rule in found.broken if rule.startswith("mistake ")})
    return [
        found.module.label, count("the stub") or "nothing", count("the liar") or "nothing", entries, f"{entries - wrong} of {entries}",
        "failures" if count("the reference") else "passes", found.parity,
    ]


def _living(found: Findings) -> str:
    known = tolerated(found.module)
    lines = [f"### {found.module.label}"]
    for title, alive in (
        ("equivalent", found.equivalents),
        ("alive", [mutant for mutant in found.known if mutant not in found.equivalents]),
        ("alive, and not looked at", found.survivors),
    ):
        for mutant in sorted(alive, key=lambda mutant: mutant.line):
            reason = known.because(mutant)
            lines.append(f"- {title}: `{mutant.function}`, `{mutant.before}` to `{mutant.after}`" + (f". {reason}" if reason else ""))
    return "\n".join(lines) if len(lines) > 1 else f"{lines[0]}\n\nNone."


_INTRODUCTION = """\
# How good are the course tests?

A student trusts a test that passes, and learns from one that fails. So the tests are tested, by running them on
solutions that are known to be wrong. This page is written by a command, and its rules are checked by it:

    {command}

It ran for {minutes:.0f} minutes on {date}, on {system} with {processors} processors, Python {python}, NumPy {numpy} and
pytest {pytest}.

## Mutants

A mutant is the reference solution with one small fault: an operator, constant or comparison changed, a statement
removed, an axis, flag or name confused with another, two arguments swapped, an argument returned in the place of the
result. A mutant is killed if a test of its module fails. At least 95 % must be, not counting those that mean the same as
the solution; and each that lives stands below with the reason."""

_CANDIDATES = """\
## Other wrong solutions

- The *stub* is what a student starts with: it must pass no test, as a script and as a notebook.
- A *liar* takes every call, agrees to every comparison and predicate, and its arrays are zeros, ones, or the first or last
  argument given back. It must pass no test, for any of {seeds} seeds of the random inputs.
- A *known mistake* is a wrong solution that students write. It must fail for each of the {seeds} seeds, and the hints
  that are printed must name it and none of the module's other mistakes.
- The *reference* must pass every test for each of the {seeds} seeds, with warnings as errors, and agree with PyTorch."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.course.report", description="Measure how good the course tests are.")
    parser.add_argument("--module", action="append", default=[], metavar="NAME", help="only this module (may be repeated); default: all")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds to try (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "course-tests.md", help="the page to write (default: %(default)s)")
    options = parser.parse_args(arguments)
    course = curriculum.load()
    wanted = [course.module(name) for name in options.module] or written_modules()
    findings = [Findings(module) for module in wanted]
    seeds = SEEDS[: options.seeds]
    began = time.monotonic()
    examine_all(findings, seeds, _show)
    for found in findings:
        compare_with_torch(found)
        check(found)
    given = sys.argv[1:] if arguments is None else arguments
    command = shlex.join(["python", "-m", "tests.course.report", *given])
    options.output.write_text(document(findings, seeds, command, (time.monotonic() - began) / 60), "utf-8")
    print(f"\nwritten: {options.output}")
    for found in findings:
        print(f"{found.module.label}: {found.killed} killed, {len(found.survivors)} alive and not looked at, score {found.score:.1%}")
        for rule in found.broken:
            print(f"  broken: {rule}")
        for mutant in found.survivors:
            print(f"\n# {mutant}\n{as_entry(mutant)}")
    return int(any(found.broken for found in findings))


if __name__ == "__main__":
    raise SystemExit(main())
