"""moto's EC2 and S3 over HTTP, behind a proxy that does to requests what the real cloud and networks do.

    with Account() as account:
        account.plan(Refused("RequestLimitExceeded", 503), Lost())   # one fault for each request, then none
        account.before = lambda action: ...                          # called ahead of each request
"""
from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3

from tests.unit.tinytorch import object_store

ERROR = "<Error><Code>{code}</Code><Message>{message}</Message></Error>"  # as S3 writes one
EC2_ERROR = f"<Response><Errors>{ERROR}</Errors><RequestID>0</RequestID></Response>"


@dataclass(frozen=True)
class Refused:
    """A request that the service refuses."""

    code: str
    status: int = 400
    message: str = "no"
    action: str = ""  # which requests it is about; all
    headers: tuple[tuple[str, str], ...] = ()
    clock: float = 0.0  # seconds that the service's clock is ahead of this machine's


@dataclass(frozen=True)
class Lost:
    """A request that is carried out, and whose answer is lost: the connection drops."""

    action: str = ""
    after: int | None = None  # bytes of the answer's body that arrive


@dataclass(frozen=True)
class Silent:
    """A request that is never answered, until the client goes."""

    action: str = ""


Fault = Refused | Lost | Silent


class Account:
    """One empty account of AWS."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self.before: Callable[[str], None] = lambda action: None
        self.asked: list[str] = []
        self.tokens: list[str] = []  # of requests that are to be idempotent
        self._faults: deque[Fault] = deque()
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = False
        self._http.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def client(self, service: str) -> Any:
        """A client of boto3 that goes around the proxy."""
        if service not in self._clients:
            self._clients[service] = boto3.session.Session("key", "secret", region_name="us-east-1").client(service, endpoint_url=self.moto)
        return self._clients[service]

    def instance(self, tags: dict[str, str] | None = None, **more: Any) -> str:
        """A running instance."""
        given = [{"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}] if tags else []
        made = self.client("ec2").run_instances(ImageId="ami-00000000", MinCount=1, MaxCount=1, TagSpecifications=given, **more)
        return str(made["Instances"][0]["InstanceId"])

    def volume(self, tags: dict[str, str], *, zone: str = "us-east-1b") -> str:
        """A volume of 3 GB."""
        given = [{"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}] if tags else []
        made = self.client("ec2").create_volume(AvailabilityZone=zone, Size=3, VolumeType="gp3", TagSpecifications=given)
        return str(made["VolumeId"])

    def attach(self, volume: str) -> str:
        """An instance that has a volume."""
        ec2 = self.client("ec2")
        zone = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["AvailabilityZone"]
        machine = self.instance(Placement={"AvailabilityZone": zone})
        ec2.attach_volume(VolumeId=volume, InstanceId=machine, Device="/dev/sdf")
        return machine

    def volumes(self) -> dict[str, dict[str, str]]:
        """The tags of each volume that there is."""
        found = self.client("ec2").describe_volumes()["Volumes"]
        return {volume["VolumeId"]: {tag["Key"]: tag["Value"] for tag in volume.get("Tags", [])} for volume in found}

    def plan(self, *faults: Fault) -> None:
        self._faults.extend(faults)

    def reset(self) -> None:
        """Everything is gone, plans and hooks too."""
        self._faults.clear()
        self.asked.clear()
        self.tokens.clear()
        self.before = lambda action: None
        object_store.reset(self.moto)

    def fault(self, action: str) -> Fault | None:
        with self._lock:
            self.asked.append(action)
            if self._faults and self._faults[0].action in ("", action):
                return self._faults.popleft()
        return None

    def __enter__(self) -> Account:
        self.moto = self._open.enter_context(object_store.running())
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for client in self._clients.values():
            client.close()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._open.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    clock = 0.0

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        self.close_connection = True
        owner: Account = self.server.owner  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fields = parse_qs(body.decode("latin-1"))
        owner.tokens += fields.get("ClientToken", [])
        action = fields.get("Action", [f"{self.command} {urlsplit(self.path).path}"])[0]
        owner.before(action)
        fault = owner.fault(action)
        if isinstance(fault, Refused):
            form = EC2_ERROR if "Action" in fields else ERROR
            self.clock = fault.clock
            self._give(fault.status, form.format(code=fault.code, message=fault.message).encode(), {"Content-Type": "text/xml", **dict(fault.headers)})
            return
        if isinstance(fault, Silent):
            self.connection.recv(1)  # nothing, once the client has gone
            return
        connection = http.client.HTTPConnection(urlsplit(owner.moto).netloc)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(self.command, self.path, body, headers | {"Host": self.headers["Host"]})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault is None or fault.after is not None:
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in ("content-length", "connection", "transfer-encoding")}
            self._give(answer.status, data, kept, after=fault.after if fault else None)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST  # noqa: N815  # the names that http.server looks for

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(time.time() + self.clock if timestamp is None else timestamp)

    def _give(self, status: int, data: bytes, headers: dict[str, str], after: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:after])
