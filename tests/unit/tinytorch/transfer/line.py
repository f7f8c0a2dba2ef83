"""A line between a client and a server that drops, or falls silent."""
from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Line:
    """Listens on a port of this machine, and passes on what it gets to where `connect` leads, for each connection anew."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self.connect = connect
        self.drops: list[int] = []  # after so many bytes each next connection is dropped
        self.stalls: list[int] = []  # after so many bytes, once there are no drops left, each next one falls silent
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as servers do
                server = self.connect()
                self.open += [client, server]
                drop, stall = ([self.drops.pop(0)], None) if self.drops else (None, [self.stalls.pop(0)] if self.stalls else None)
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(one, other, drop, stall), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket, drop: list[int] | None, stall: list[int] | None) -> None:
        with suppress(OSError):
            while data := one.recv(1 << 16):
                if stall and stall[0] <= 0:
                    continue
                other.sendall(data)
                for left in filter(None, (drop, stall)):
                    left[0] -= len(data)
                if drop and drop[0] <= 0:
                    break
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def go(self) -> None:
        """Nobody listens any more."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # what waits in `accept` would take one more
        self.listener.close()

    def close(self) -> None:
        self.go()
        for end in self.open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
