"""A real HTTP server on this machine that does to its clients what servers and networks do: faults, by plan.

    with Server() as server:
        server.put("mnist/a.gz", data, etag='"1"')
        server.plan(Drop(1000), Status(503, retry_after="1"), Stall(10))   # one fault for each request, then none
        ... server.url + "mnist/a.gz" ...
        assert server.sent < 1.05 * len(data)
"""
from __future__ import annotations

import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


@dataclass
class Stored:
    """A file of the server."""

    data: bytes
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request; nothing, as it stands here."""

    ignores_range: bool = False
    status: int | None = None  # the whole answer
    headers: tuple[tuple[str, str], ...] = ()
    location: str | None = None  # of a redirect
    drops_after: int | None = None  # bytes of the body
    resets: bool = False  # drops with a TCP reset instead of an end
    stalls_after: int | None = None  # bytes of the body; then silence, until the client goes or the server closes
    body: Callable[[bytes], bytes] = lambda data: data
    length: Callable[[int], int | None] = lambda length: length  # what Content-Length says; None for chunks without a length
    content_range: Callable[[int, int, int], str] = lambda first, last, size: f"bytes {first}-{last}/{size}"
    before: Callable[[Server], None] = lambda server: None  # what happens before the request is answered


def Drop(after: int, *, resets: bool = False, **more: object) -> Fault:
    return Fault(drops_after=after, resets=resets, **more)  # type: ignore[arg-type]


def Stall(after: int = 0) -> Fault:
    return Fault(stalls_after=after)


def Status(status: int, *, retry_after: str | None = None) -> Fault:
    return Fault(status=status, headers=(("Retry-After", retry_after),) if retry_after is not None else ())


def in_seconds(seconds: float) -> str:
    """A date for `Retry-After`."""
    import time

    return formatdate(time.time() + seconds, usegmt=True)


@dataclass
class Asked:
    """A request as it came."""

    path: str
    range: str | None
    if_range: str | None
    headers: dict[str, str] = field(repr=False)


class Server:
    """Serves what was put, with ranges and validators, on a port of its own."""

    def __init__(self) -> None:
        self.files: dict[str, Stored] = {}
        self.asked: list[Asked] = []
        self.sent = 0  # bytes of bodies
        self.closing = threading.Event()
        self._faults: deque[Fault] = deque()
        self._always: Callable[[Asked], Fault] = lambda asked: Fault()
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = False
        self._http.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/"

    def put(self, path: str, data: bytes, *, etag: str | None = None, last_modified: str | None = None) -> str:
        """Serve `data` at `path`; returns its address."""
        self.files[path] = Stored(data, etag, last_modified)
        return self.url + path

    def plan(self, *faults: Fault) -> None:
        """One fault for each of the next requests, in this order."""
        self._faults.extend(faults)

    def plan_nothing(self) -> None:
        """What is left of the plan is dropped."""
        self._faults.clear()

    def always(self, fault: Fault | Callable[[Asked], Fault]) -> None:
        """What happens to requests beyond the plan."""
        self._always = fault if callable(fault) else lambda asked: fault

    def next_fault(self, asked: Asked) -> Fault:
        with self._lock:
            self.asked.append(asked)
            return self._faults.popleft() if self._faults else self._always(asked)

    def count(self, sent: int) -> None:
        with self._lock:
            self.sent += sent

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()  # waits for the threads of the requests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Connection", "close")
        super().end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.close_connection = True
        owner: Server = self.server.owner  # type: ignore[attr-defined]
        asked = Asked(self.path.lstrip("/"), self.headers["Range"], self.headers["If-Range"], dict(self.headers))
        fault = owner.next_fault(asked)
        fault.before(owner)
        stored = owner.files.get(asked.path)
        if fault.location or fault.status or stored is None:
            self._refuse(302 if fault.location else fault.status or 404, fault)
            return
        first, last, status = self._place(asked, stored, fault)
        if status == 416:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(stored.data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = fault.body(stored.data[first : last + 1])
        self.send_response(status)
        for name, value in (("ETag", stored.etag), ("Last-Modified", stored.last_modified), *fault.headers):
            if value is not None:
                self.send_header(name, value)
        if status == 206:
            self.send_header("Content-Range", fault.content_range(first, last, len(stored.data)))
        if (length := fault.length(last + 1 - first)) is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self._give(body, fault, owner, chunked=length is None)

    def _refuse(self, status: int, fault: Fault) -> None:
        self.send_response(status)
        for name, value in fault.headers:
            self.send_header(name, value)
        if fault.location:
            self.send_header("Location", fault.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _place(self, asked: Asked, stored: Stored, fault: Fault) -> tuple[int, int, int]:
        """First and last byte, and the status."""
        end = len(stored.data) - 1
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.range or "")
        is_current = asked.if_range is None or asked.if_range in (stored.etag, stored.last_modified)
        if wanted is None or fault.ignores_range or not is_current:
            return 0, end, 200
        first = int(wanted[1])
        return first, min(int(wanted[2] or end), end), 416 if first > end else 206

    def _give(self, body: bytes, fault: Fault, owner: Server, *, chunked: bool) -> None:
        ends = [end for end in (fault.drops_after, fault.stalls_after) if end is not None]
        part = body[: min(ends)] if ends else body
        try:
            for start in range(0, len(part), 1 << 16):
                piece = part[start : start + (1 << 16)]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                owner.count(len(piece))
            if chunked and not ends:
                self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:  # the client has gone
            return
        if fault.stalls_after is not None:
            self._be_silent(owner)
        if fault.resets:
            self._wait_until_delivered(owner)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _wait_until_delivered(self, owner: Server) -> None:
        """A reset throws away what the system still has to send: megabytes that never left, and were counted as sent."""
        try:
            import fcntl
            import termios
        except ImportError:  # Windows can't be asked
            return
        for _ in range(5000):
            if not struct.unpack("i", fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4)))[0] or owner.closing.wait(0.001):
                return

    def _be_silent(self, owner: Server) -> None:
        self.connection.settimeout(0.02)
        while not owner.closing.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
