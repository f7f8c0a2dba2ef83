"""RunPod's pods, over its HTTP API: listed, what they cost per hour, stopped.

A pod has no tags; its environment variables stand for them: `tinytorch=PROJECT`, and `tinytorch_protected` for the tag
that protects it. Only these two are read, since the others may be secrets.
"""
from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from tinytorch.cloud.resource import PROTECTED_TAG, TAG, CloudResource, NotFound, has_tags
from tinytorch.errors import CloudError, DataError
from tinytorch.retry import ExponentialBackoffPolicy, RetryPolicy

__all__ = ["KEY_VARIABLE", "RunPod"]

KEY_VARIABLE = "RUNPOD_API_KEY"
URL_VARIABLE = "RUNPOD_REST_URL"  # of a fake or a proxy
_URL = "https://rest.runpod.io/v1"
_TAGS = {"tinytorch": TAG, "tinytorch_protected": PROTECTED_TAG}


class RunPod:
    """The pods of the account whose key is in `RUNPOD_API_KEY`."""

    name = "runpod"

    def __init__(self, *, retry: RetryPolicy | None = None) -> None:
        self.retry = retry or ExponentialBackoffPolicy()
        self.url = (os.environ.get(URL_VARIABLE) or _URL).rstrip("/")

    def resources(self, *, tags: Mapping[str, str] | None = None) -> list[CloudResource]:
        return [pod for entry in self._entries() if has_tags(pod := _pod(entry), tags)]

    def current(self, resource: CloudResource) -> CloudResource | None:
        return next((pod for pod in self.resources() if pod.id == resource.id), None)

    def remove(self, resource: CloudResource) -> None:
        """Stop the pod. It isn't deleted, since that would delete its disk."""
        try:
            self._ask(f"pods/{quote(resource.id, safe='')}/stop", method="POST")
        except NotFound:
            return

    def _entries(self) -> list[dict[str, Any]]:
        answer = self._ask("pods")
        if not isinstance(answer, list) or not all(isinstance(entry, dict) and "id" in entry for entry in answer):
            raise CloudError(f"{self.url}/pods: RunPod answered something else than a list of pods. Is {URL_VARIABLE} right?")
        return answer

    def _ask(self, path: str, *, method: str = "GET") -> Any:
        return self.retry.call(lambda: self._asked(f"{self.url}/{path}", method))

    def _asked(self, url: str, method: str) -> Any:
        import json

        from tinytorch import http

        key = os.environ.get(KEY_VARIABLE)
        if not key:
            raise CloudError(f"{url}: no key. Make one in RunPod's settings, and set {KEY_VARIABLE}")
        try:
            with http.request(url, method=method, headers={"Authorization": f"Bearer {key}"}, answers=(401, 403, 404)) as response:
                if response.status_code == 401:
                    raise CloudError(f"{url}: the key isn't accepted. Make another in RunPod's settings, and set {KEY_VARIABLE}")
                if response.status_code == 403:
                    raise CloudError(f"{url}: the key may not do this. Give it the right in RunPod's settings")
                if response.status_code == 404:
                    raise NotFound(f"{url}: there is no such pod; it may have been removed")
                body = response.content
        except DataError as error:
            refused = CloudError(str(error), retryable=error.retryable)
            refused.retry_after = error.retry_after
            raise refused from error
        try:
            return json.loads(body) if body else None
        except ValueError as error:
            raise CloudError(f"{url}: RunPod answered something that is no JSON. Is {URL_VARIABLE} right?") from error


def _pod(entry: Mapping[str, Any]) -> CloudResource:
    said = entry.get("env")
    environment: dict[str, Any] = said if isinstance(said, dict) else {}
    gpu, machine = entry.get("gpu") or {}, entry.get("machine") or {}
    return CloudResource(
        provider="runpod", kind="pod", id=str(entry["id"]), name=str(entry.get("name") or ""), region=str(machine.get("dataCenterId") or ""),
        type=str(gpu.get("displayName") or gpu.get("id") or ""), state=str(entry.get("desiredStatus") or ""),
        created=_time(entry.get("createdAt") or entry.get("lastStartedAt")),
        tags={tag: str(environment[name]) for name, tag in _TAGS.items() if name in environment},
        size_gb=float(entry["volumeInGb"]) if isinstance(entry.get("volumeInGb"), int | float) else None, attached_to=None,
        usd_per_hour=_dollars(entry.get("adjustedCostPerHr")) or _dollars(entry.get("costPerHr")),
    )  # fmt: skip


def _dollars(said: object) -> float | None:
    """A price, which RunPod writes as a number or as a text; None for what is none, and for 0, which no pod costs."""
    try:
        price = float(said)  # type: ignore[arg-type]  # what it is is found out here
    except (TypeError, ValueError):
        return None
    return price if 0 < price < math.inf else None


def _time(text: object) -> datetime | None:
    """A time as RunPod writes it, with `Z`, which Python 3.10 doesn't read."""
    try:
        at = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)
