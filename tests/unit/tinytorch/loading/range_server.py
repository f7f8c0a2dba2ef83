"""A web server for shards, whose faults are told beforehand."""
from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class RangeServer(ThreadingHTTPServer):
    """Serves the files of a folder.

    `ranges` is whether it serves parts of files. `drops` has, for the next answers with a body, after how many bytes
    the connection ends; `statuses` what the next requests are answered instead.
    """

    daemon_threads = False
    block_on_close = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.ranges = True
        self.retry_after: int | None = None  # seconds, which a refusal asks for
        self.refused = threading.Event()
        self.drops: list[int] = []
        self.statuses: list[int] = []
        self.asked: list[tuple[str, str | None]] = []  # file, range
        self.sent = 0
        self.connections: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        self.connections.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in tuple(self.connections):  # which clients keep open for their next request
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None: ...  # a client may go at any time


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RangeServer

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        name, asked = self.path.lstrip("/"), self.headers.get("Range")
        self.server.asked.append((name, asked))
        path = self.server.folder / name
        status = self.server.statuses.pop(0) if self.server.statuses else 200 if path.is_file() else 404
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if self.server.retry_after is not None:
                self.send_header("Retry-After", str(self.server.retry_after))
            self.end_headers()
            self.server.refused.set()
            return
        data = path.read_bytes()
        whole = len(data)
        if asked and self.server.ranges:
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
            assert match
            start, end = int(match[1]), int(match[2] or whole - 1) + 1
            data = data[start:end]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/{whole}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            cut = self.server.drops.pop(0) if self.server.drops else len(data)
            self.server.sent += len(data[:cut])
            self.wfile.write(data[:cut])
            if cut < len(data):
                self.wfile.flush()
                self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None: ...


@contextmanager
def serving(folder: Path) -> Iterator[RangeServer]:
    with RangeServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
