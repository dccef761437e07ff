"""How does a server fare under more than it can do? Requests that come when they come, whatever became of earlier ones.

A process of its own asks: ``python -m benchmarks.enduring.overloading PORT RATE SECONDS CONNECTIONS ROWS`` prints an
`Offered` as JSON. A rate of 0 asks without a pause instead: each connection again once it is answered.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import msgspec
import uvloop
from tests.serve.lakes import TOKEN

from benchmarks.enduring.asking import case_rows, quantiles
from benchmarks.enduring.wires import Answer, Wire, connect, post

PROJECT = "small-fraud"


@dataclass
class Offered:
    """What became of requests that were offered."""

    seconds: float = 0.0
    offered: int = 0
    accepted: int = 0
    busy: int = 0
    """Refused with 429."""
    other: dict[int, int] = field(default_factory=dict)
    """Other statuses; 0 for connections that ended."""
    unsent: int = 0
    """Due when no connection was free."""
    accepted_ms: list[float] = field(default_factory=list)
    """Median, 99 % and longest, from when a request was sent."""
    busy_ms: list[float] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        """Return accepted requests per second."""
        return self.accepted / self.seconds


def offer(port: int, *, rate: float, seconds: float, connections: int, rows: int) -> Offered:
    """Offer requests from a process of its own."""
    numbers = [str(each) for each in (port, rate, seconds, connections, rows)]
    command = [sys.executable, "-m", "benchmarks.enduring.overloading", *numbers]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return msgspec.json.decode(told, type=Offered)


class Offering:
    """Sends what is due every millisecond, each on a connection that waits for nothing."""

    def __init__(self, port: int, *, rows: int) -> None:
        self.result = Offered()
        body = msgspec.json.encode({"rows": case_rows(rows)})
        self._port, self._request = port, post(f"/predict/{PROJECT}", TOKEN, body)
        self._free: deque[Wire] = deque()
        self._accepted: list[float] = []
        self._busy: list[float] = []
        self._again = False
        self._ends = 0.0

    async def run(self, *, rate: float, seconds: float, connections: int) -> Offered:
        """Offer so many requests a second."""
        for _ in range(connections):
            self._free.append(await connect(self._port))
        began = time.monotonic()
        self._ends = began + seconds
        if rate:
            await self._offer(rate, began)
        else:
            self._again = True
            while self._free:
                self._ask(self._free.popleft())
        await asyncio.sleep(max(0.0, self._ends - time.monotonic()))
        result = self.result
        result.seconds = time.monotonic() - began
        result.accepted_ms = _in_ms(self._accepted)
        result.busy_ms = _in_ms(self._busy)
        return result

    async def _offer(self, rate: float, began: float) -> None:
        done = 0
        while (now := time.monotonic()) < self._ends:
            due = int((now - began) * rate)
            for _ in range(due - done):
                while self._free and not self._free[0].is_open:
                    self._free.popleft()
                    self._free.append(await connect(self._port))
                if self._free:
                    self._ask(self._free.popleft())
                else:
                    self.result.unsent += 1
            done = due
            await asyncio.sleep(0.001)

    def _ask(self, wire: Wire) -> None:
        self.result.offered += 1
        wire.ask(self._request, lambda answer: self._told(wire, answer))

    def _told(self, wire: Wire, answer: Answer) -> None:
        result = self.result
        if answer.status == 200:
            result.accepted += 1
            self._accepted.append(answer.seconds)
        elif answer.status == 429:
            result.busy += 1
            self._busy.append(answer.seconds)
        else:
            result.other[answer.status] = result.other.get(answer.status, 0) + 1
        if self._again and wire.is_open and answer.received < self._ends:
            self._ask(wire)
        else:
            self._free.append(wire)


def _in_ms(seconds: list[float]) -> list[float]:
    return [1e3 * each for each in quantiles(seconds, 0.5, 0.99, 1.0)] if seconds else []


def main() -> None:
    """Offer what the arguments say."""
    port, rate, seconds, connections, rows = map(float, sys.argv[1:])
    offering = Offering(int(port), rows=int(rows))
    offered = uvloop.run(offering.run(rate=rate, seconds=seconds, connections=int(connections)))
    print(msgspec.json.encode(offered).decode())


if __name__ == "__main__":
    main()
