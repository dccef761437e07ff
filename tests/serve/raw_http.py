"""What does a caller see who speaks raw bytes to a front on a free port?"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from trueup.serve.http_exchange import Watcher
from trueup.serve.http_front import Front
from trueup.serve.http_limits import FrontLimits
from trueup.serve.http_messages import Handler, Request, Response

LONGEST_S = 20.0


@dataclass
class Seen(Watcher):
    """A watcher that remembers."""

    statuses: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def answered(self, status: int, seconds: float) -> None:
        """Remember the status."""
        assert seconds >= 0
        self.statuses.append(status)

    def refused(self, reason: str) -> None:
        """Remember the reason."""
        self.reasons.append(reason)

    def failed(self, error: Exception) -> None:
        """Remember the error."""
        self.errors.append(error)


@dataclass
class Told:
    """One answer as a caller reads it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Return the error's code."""
        return str(json.loads(self.body)["code"])


class Caller:
    """A connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    async def told(self, *, body: bool = True) -> Told:
        """Return the next answer; fail when none comes."""
        async with asyncio.timeout(LONGEST_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            length = int(headers.get("content-length", 0)) if body else 0
            return Told(int(first.split()[1]), headers, await self.reader.readexactly(length))

    async def asks(self, data: bytes) -> Told:
        """Send bytes and return the answer."""
        self.send(data)
        return await self.told()

    async def rest(self) -> bytes:
        """Return what still comes until the other side closes, or drops, the connection."""
        async with asyncio.timeout(LONGEST_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


class Place:
    """A running front, its clock in the test's hand."""

    def __init__(self, handler: Handler, limits: FrontLimits) -> None:
        self.seen = Seen()
        self.now = 1000.0
        self.waited = 0.0
        self.front = Front(
            handler,
            limits,
            watcher=self.seen,
            clock=lambda: self.now,
            wall_clock=lambda: 784111777.0,  # Sun, 06 Nov 1994 08:49:37 GMT, as in RFC 9110 5.6.7
            turn_began=lambda now: now - self.waited,
        )
        self.socket = socket.create_server(("127.0.0.1", 0))
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self.socket.getsockname()[1])

    async def caller(self, **options: Any) -> Caller:
        """Return a new connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20, **options)
        self._writers.append(writer)
        return Caller(reader, writer)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop go on until something is so."""
        async with asyncio.timeout(LONGEST_S):
            while not condition():
                await asyncio.sleep(0)

    def close(self) -> None:
        """Hang up everywhere."""
        for writer in self._writers:
            writer.transport.abort()
        self.socket.close()


@asynccontextmanager
async def a_front(
    handler: Handler | None = None, limits: FrontLimits | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Place]:
    """Run a front for a while."""
    place = Place(handler or echo, limits or FrontLimits())
    await place.front.start([place.socket], tls)
    try:
        yield place
    finally:
        place.close()
        await place.front.stop(0)


def echo(request: Request) -> Response:
    """Answer with what was understood."""
    facts = [request.method, request.path, request.query, request.body]
    return Response(200, b"|".join(facts), b"text/plain")


def get(path: str = "/", *headers: str, version: str = "1.1") -> bytes:
    """Return the bytes of a GET."""
    return "\r\n".join([f"GET {path} HTTP/{version}", "Host: here", *headers, "", ""]).encode()


def post(body: bytes, *headers: str) -> bytes:
    """Return the bytes of a POST."""
    lines = ["POST / HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
