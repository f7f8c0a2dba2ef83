from __future__ import annotations

import json

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.jobs import chores
from tinytorch.jobs import Job
from tinytorch.jobs.telemetry import JsonLog, Metrics


def test_the_log_has_a_line_for_each_thing_that_happened(tmp_path):
    path = tmp_path / "log.jsonl"
    log = JsonLog(path)
    job = Job(tmp_path / "job", notice=log.notice)
    reports = []
    for outcome in job.outcomes(chores.items(3), chores.fail_on_odd, report=lambda p: (reports.append(p), log.report(p))):
        log.outcome(outcome)
    log.notice("something was mended")
    log.ended(reports[-1])
    log.close()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["started", "done", "failed", "done", "notice", "ended"]
    assert (lines[2]["item"], lines[2]["error"]) == ("item_0000001", "ValueError: item_0000001 is odd")
    assert (lines[-1]["done"], lines[-1]["failed"], lines[-1]["total"]) == (2, 1, 3)
    assert all(line["time"].endswith("Z") for line in lines)


def test_the_log_says_how_far_it_is_every_ten_seconds(tmp_path):
    now = 0.0
    log = JsonLog(tmp_path / "log.jsonl", clock=lambda: now)

    def work(item):
        nonlocal now
        now += 4
        return 1

    Job(tmp_path / "job", clock=lambda: now).run(chores.items(8), work, report=log.report)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    assert [(line["event"], line["processed"]) for line in lines] == [("started", 0), ("progress", 3), ("progress", 6)]


def test_the_metrics_are_openmetrics(tmp_path):
    path = tmp_path / "metrics.prom"
    metrics = Metrics(path, 'a "strange"\\name\n')
    metrics.ended(Job(tmp_path / "job").run(chores.items(5), chores.fail_on_odd))
    families = {family.name: family for family in text_string_to_metric_families(path.read_text("utf-8"))}
    items = {sample.labels["state"]: sample.value for sample in families["tinytorch_job_items"].samples}
    assert items == {"done": 3, "failed": 2, "left": 0}
    (units,) = families["tinytorch_job_units"].samples
    assert (units.value, units.labels) == (3, {"job": 'a "strange"\\name\n'})
    assert families["tinytorch_job_work_seconds"].samples[0].value > 0
    assert families["tinytorch_job_items_per_second"].type == "gauge"


def test_what_is_not_known_is_left_out_of_the_metrics(tmp_path):
    path = tmp_path / "metrics.prom"
    Metrics(path, "job").ended(Job(tmp_path / "job").run(iter([]), chores.number))
    text = path.read_text("utf-8")
    assert "None" not in text
    assert "left" not in text


def test_the_metrics_are_replaced_every_ten_seconds(tmp_path, monkeypatch):
    now = 0.0
    written = []
    metrics = Metrics(tmp_path / "metrics.prom", "job", clock=lambda: now)
    monkeypatch.setattr("tinytorch.files.write_atomic", lambda path, data: written.append(now) if path == metrics.path else None)

    def work(item):
        nonlocal now
        now += 4
        return 1

    Job(tmp_path / "job", clock=lambda: now).run(chores.items(8), work, report=metrics.report)
    assert written == [0, 12, 24]
