"""Who asks without a pause and looks at every answer? A few connections, each with one request at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.serve.lakes import TOKEN

from benchmarks.enduring.wires import Answer, Wire, connect, post
from trueup.kernel.ids import IdMint, id_as_text

_decode = msgspec.json.Decoder().decode


def case_rows(count: int) -> list[dict[str, Any]]:
    """Return rows that all score differently."""
    return [
        {"case": f"A-{i}", "amount": (i % 97) / 13 - 2, "age": 18 + i % 71, "happened": "2026-05-01T10:00:00Z"}
        for i in range(count)
    ]


@dataclass
class Requests:
    """Requests of one row each, every one with an id of its own, so that it may be sent again."""

    project: str
    rows: Sequence[dict[str, Any]] = field(default_factory=lambda: case_rows(200))
    token: str = TOKEN
    _mint: IdMint = field(default_factory=IdMint)

    def __post_init__(self) -> None:
        self._texts = [msgspec.json.encode(row) for row in self.rows]
        self._next = 0

    def new(self) -> tuple[int, str, bytes]:
        """Return which row is asked, under which id, and the request."""
        row, self._next = self._next, (self._next + 1) % len(self._texts)
        name = id_as_text(self._mint.new(time.time_ns() // 1000))
        body = b'{"rows":[%b],"prediction_id":"%b"}' % (self._texts[row], name.encode())
        return row, name, post(f"/predict/{self.project}", self.token, body)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what came of it."""

    row: int
    prediction_id: str
    answer: Answer
    tries: int

    @property
    def told(self) -> dict[str, Any]:
        """Return the prediction; only of an answer with status 200."""
        prediction: dict[str, Any] = _decode(self.answer.body)["predictions"][0]
        return prediction


class Askers:
    """Connections that ask one after the other until they are told to stop.

    Parameters
    ----------
    port : callable
        Where the server is now; it may move.
    requests : Requests
    then : callable
        Told of every answer, also of connections that ended (status 0).
    insists : bool
        Whether a request without a 200 is sent again, under its id, until it has one.
    pause_seconds : float
        Of each connection after an answer.
    """

    def __init__(
        self,
        port: Callable[[], int],
        requests: Requests,
        then: Callable[[Asked], None],
        *,
        insists: bool = False,
        pause_seconds: float = 0.0,
    ) -> None:
        self._port, self._requests, self._then, self._insists = port, requests, then, insists
        self._pause_seconds = pause_seconds
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, connections: int) -> None:
        """Let connections begin."""
        self._tasks += [asyncio.create_task(self._go_on()) for _ in range(connections)]

    async def stop(self) -> None:
        """Let each finish the request it is in."""
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _go_on(self) -> None:
        wire = None
        while not self._stopped:
            row, name, request = self._requests.new()
            tries, status = 0, -1
            while status != 200 and (tries == 0 or (self._insists and not self._stopped)):
                wire = await self._connected(wire)
                if wire is None:
                    break
                tries += 1
                answer = await ask(wire, request)
                status = answer.status
                self._then(Asked(row, name, answer, tries))
                if self._insists and status != 200:
                    await asyncio.sleep(0.01)
            if self._pause_seconds:
                await asyncio.sleep(self._pause_seconds)
        if wire is not None:
            wire.close()

    async def _connected(self, wire: Wire | None) -> Wire | None:
        while wire is None or not wire.is_open:
            if self._stopped:
                return None
            with suppress(OSError):
                wire = await connect(self._port())
                break
            await asyncio.sleep(0.01)
        return wire


async def ask(wire: Wire, request: bytes) -> Answer:
    """Send a request and wait for its answer."""
    waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    wire.ask(request, waiter.set_result)
    return await waiter


def port_of(url: str) -> int:
    """Return the port of a server's address."""
    return int(url.rsplit(":", 1)[1])


def quantiles(values: Sequence[float], *shares: float) -> Iterator[float]:
    """Yield values below which a share lies; NaN of nothing."""
    ordered = sorted(values)
    for share in shares:
        yield ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
