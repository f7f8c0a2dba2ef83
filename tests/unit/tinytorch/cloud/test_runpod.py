"""RunPod's API, against a server that answers as it does."""
from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.unit.tinytorch.cloud.conftest import AT_ONCE
from tinytorch.cloud import NotFound
from tinytorch.cloud.runpod import RunPod
from tinytorch.errors import CloudError

POD = {
    "id": "xedezhzb9la3ye", "name": "training 🙂", "desiredStatus": "RUNNING", "costPerHr": "0.74", "adjustedCostPerHr": 0.69,
    "env": {"tinytorch": "course", "WANDB_API_KEY": "secret"}, "gpu": {"id": "g", "displayName": "RTX 4090"}, "machine": {"dataCenterId": "EU-RO-1"},
    "volumeInGb": 20, "lastStartedAt": "2024-07-12T19:14:40.144Z",
}  # fmt: skip


class Fake:
    """Some pods, and the statuses that the next requests get instead of an answer."""

    def __init__(self) -> None:
        self.pods: Any = [dict(POD), {"id": "other", "desiredStatus": "EXITED"}]
        self.faults: list[int] = []
        self.asked: list[str] = []


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    state = Fake()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None: ...

        def do_GET(self) -> None:
            state.asked.append(f"{self.command} {self.path}")
            words = self.path.strip("/").split("/")
            status, answer = 200, state.pods
            if state.faults:
                status, answer = state.faults.pop(0), {"error": "no"}
            elif self.headers["Authorization"] != "Bearer key":
                status, answer = 401, {"error": "unauthorized"}
            elif self.command == "POST":
                found = [pod for pod in state.pods if pod["id"] == words[2]]
                status, answer = (200, found[0]) if found and words[3] == "stop" else (404, {})
                for pod in found:
                    pod["desiredStatus"] = "EXITED"
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  # the name that http.server looks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("RUNPOD_REST_URL", f"http://127.0.0.1:{server.server_address[1]}/v1")
    monkeypatch.setenv("RUNPOD_API_KEY", "key")
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_pods_are_listed_by_their_tag_with_what_they_cost(fake: Fake) -> None:
    runpod = RunPod(retry=AT_ONCE)
    (pod,) = runpod.resources(tags={"tinytorch": "course"})
    assert (pod.kind, pod.name, pod.region, pod.type, pod.state, pod.size_gb) == ("pod", "training 🙂", "EU-RO-1", "RTX 4090", "RUNNING", 20.0)
    assert pod.tags == {"tinytorch": "course"}, "other variables may be secrets"
    assert pod.created is not None and pod.created.isoformat() == "2024-07-12T19:14:40.144000+00:00"
    assert pod.usd_per_hour == 0.69, "after discounts"
    assert [other.id for other in runpod.resources()] == [pod.id, "other"]


def test_a_pod_is_stopped_and_one_that_is_gone_is_no_error(fake: Fake) -> None:
    runpod = RunPod(retry=AT_ONCE)
    pod = runpod.resources()[0]
    runpod.remove(pod)
    stopped = runpod.current(pod)
    assert stopped is not None and stopped.state == "EXITED"
    fake.pods = []
    runpod.remove(pod)
    assert runpod.current(pod) is None


@pytest.mark.parametrize(
    "status, says, tries", [(403, "may not do this", 1), (404, "no such pod", 1), (429, "429", 3), (503, "503", 3), (400, "400", 1)],
)
def test_what_it_refuses_is_told_and_tried_again_if_it_may_pass(fake: Fake, status: int, says: str, tries: int) -> None:
    fake.faults = [status] * 3
    with pytest.raises(CloudError, match=says) as caught:
        RunPod(retry=AT_ONCE).resources()
    assert len(fake.asked) == tries and isinstance(caught.value, NotFound) == (status == 404)


def test_a_wrong_key_and_none(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "wrong")
    with pytest.raises(CloudError, match="the key isn't accepted.*RUNPOD_API_KEY"):
        RunPod(retry=AT_ONCE).resources()
    monkeypatch.delenv("RUNPOD_API_KEY")
    with pytest.raises(CloudError, match="no key"):
        RunPod(retry=AT_ONCE).resources()


@pytest.mark.parametrize("answer, says", [({"pods": []}, "something else than a list"), ([{"name": "x"}], "a list of pods"), (b"<html>", "no JSON")])
def test_another_answer_is_an_error(fake: Fake, answer: Any, says: str) -> None:
    fake.pods = answer
    with pytest.raises(CloudError, match=says):
        RunPod(retry=AT_ONCE).resources()


def test_what_a_pod_says_may_be_missing_or_rubbish(fake: Fake) -> None:
    fake.pods = [{"id": 1, "env": None, "gpu": None, "costPerHr": "free", "lastStartedAt": "soon", "desiredStatus": "RUNNING", "volumeInGb": "x"}]
    runpod = RunPod(retry=AT_ONCE)
    (pod,) = runpod.resources()
    assert (pod.id, pod.created, pod.size_gb, pod.tags) == ("1", None, None, {}) and pod.usd_per_hour is None


@pytest.mark.parametrize("said, dollars", [(0.5, 0.5), ("0.5", 0.5), (None, None), ("free", None), (0, None), (-1, None), ("nan", None), ("inf", None), ([], None)])
def test_a_price_that_is_none_is_unknown_and_not_nothing(fake: Fake, said: Any, dollars: float | None) -> None:
    fake.pods = [{"id": "a", "costPerHr": said}, {"id": "b", "adjustedCostPerHr": said, "costPerHr": "0.75"}]
    assert [pod.usd_per_hour for pod in RunPod(retry=AT_ONCE).resources()] == [dollars, dollars or 0.75]
