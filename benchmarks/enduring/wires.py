"""How is a server asked by many connections from one cheap thread? Raw HTTP, answers in the order of the requests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 when the connection ended first."""

    status: int
    head: bytes
    body: bytes
    sent: float
    """Seconds of `time.monotonic`."""
    received: float

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.received - self.sent


Then = Callable[[Answer], None]


class Wire(asyncio.Protocol):
    """One connection; requests may be pipelined."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[tuple[float, Then]] = deque()
        self._read = b""

    @property
    def is_open(self) -> bool:
        """Return whether a request can be sent."""
        return self.transport is not None and not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where requests go."""
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes, then: Then, *, at: float | None = None) -> None:
        """Send a request; `at` is when it was due, if not now."""
        assert self.transport is not None
        self.waiting.append((at or time.monotonic(), then))
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Tell each whole answer."""
        self._read = self._read + data if self._read else data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            if len(self._read) < end + 4 + length:
                return
            body, self._read = self._read[end + 4 : end + 4 + length], self._read[end + 4 + length :]
            sent, then = self.waiting.popleft()
            then(Answer(int(head[9:12]), head, body, sent, time.monotonic()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        self.transport = None
        while self.waiting:
            sent, then = self.waiting.popleft()
            then(Answer(0, b"", b"", sent, time.monotonic()))

    def close(self) -> None:
        """End the connection."""
        if self.transport is not None:
            self.transport.abort()


async def connect(port: int) -> Wire:
    """Return a connection to a server of this machine."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", port)
    return wire


def post(path: str, token: str, body: bytes) -> bytes:
    """Return the bytes of a request."""
    head = f"POST {path} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body
