"""Do callers who misbehave cost the others anything? Slow, idle, huge, pipelined and broken requests beside good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.serve.lakes import TOKEN

from benchmarks.enduring.asking import Asked, Askers, Requests
from benchmarks.enduring.killing import Acknowledged
from benchmarks.enduring.wires import Answer, connect

_BAD = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
    b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\nzz\r\n",
    b"POST /predict HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"POST /predict HTTP/9.9\r\nhost: a\r\n\r\n",
    b"\r\n" * 5000 + b"nonsense\r\n\r\n",
)
_MUCH = f"GET /openapi.json HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode()


@dataclass
class Endured:
    """What good callers saw meanwhile, and what it cost the process."""

    told: Acknowledged = field(default_factory=Acknowledged)
    seconds: list[float] = field(default_factory=list)
    idle_held: int = 0
    """Idle connections that were open together."""
    memory_mb: list[float] = field(default_factory=list)
    """Resident memory of the process that answers, from start to end."""
    files: list[int] = field(default_factory=list)
    """Open files of it."""


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def open_files(pid: int) -> int:
    """Return how many files and connections a process holds."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


class Enduring:
    """Asks properly on a few connections while others misbehave."""

    def __init__(self, port: int, pid: int, project: str) -> None:
        self.result = Endured()
        self._port, self._pid, self._project = port, pid, project

    async def run(self, *, idle: int, rounds: int, huge_bytes: int, connections: int) -> Endured:
        """Misbehave in every way, several times over."""
        askers = Askers(lambda: self._port, Requests(self._project), self._look_at)
        askers.start(connections)
        self._note()
        for _ in range(rounds):
            await self._idle(idle)
            await asyncio.gather(
                *(self._send(bad) for bad in _BAD),
                *(self._slow_head() for _ in range(20)),
                *(self._slow_body() for _ in range(20)),
                *(self._unread() for _ in range(5)),
                self._huge(huge_bytes),
                self._pipelined(300),
            )
            self._note()
        await askers.stop()
        return self.result

    def _note(self) -> None:
        self.result.memory_mb.append(memory_mb(self._pid))
        self.result.files.append(open_files(self._pid))

    async def _idle(self, count: int) -> None:
        """Hold many connections that ask nothing."""
        wires = []
        for _ in range(count):
            with suppress(OSError):
                wires.append(await connect(self._port))
        await asyncio.sleep(0.2)
        self.result.idle_held = max(self.result.idle_held, sum(wire.is_open for wire in wires))
        for wire in wires:
            wire.close()

    async def _send(self, content: bytes) -> None:
        """Send something and read what comes until the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError, TimeoutError):
            writer.write(content)
            await asyncio.wait_for(reader.read(), 3)
        writer.close()

    async def _slow_head(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError):
            for each in b"POST /predict HTTP/1.1\r\nhost: here":
                writer.write(bytes([each]))
                await asyncio.sleep(0.02)
        writer.close()

    async def _slow_body(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError):
            writer.write(b"POST /predict HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000\r\n\r\n")
            for _ in range(30):
                writer.write(b"x" * 100)
                await asyncio.sleep(0.02)
        writer.close()

    async def _unread(self) -> None:
        """Ask for much and read nothing."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1024)
        with suppress(ConnectionError, TimeoutError):
            for _ in range(200):
                writer.write(_MUCH * 20)
                await asyncio.wait_for(writer.drain(), 0.5)
        writer.transport.abort()

    async def _huge(self, size: int) -> None:
        head = f"POST /predict HTTP/1.1\r\nhost: here\r\ncontent-length: {size}\r\n\r\n".encode()
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError, TimeoutError):
            writer.write(head)
            for _ in range(0, size, 1 << 20):
                writer.write(bytes(1 << 20))
                await asyncio.wait_for(writer.drain(), 3)
        writer.transport.abort()

    async def _pipelined(self, count: int) -> None:
        """Send many requests at once; answers come in their order."""
        requests, told = Requests(self._project), list[tuple[str, Answer]]()
        wire = await connect(self._port)
        for _ in range(count):
            row, name, request = requests.new()
            wire.ask(request, _noting(told, name, row, self._look_at))
        async with asyncio.timeout(60):
            while len(told) < count:
                await asyncio.sleep(0.01)
        wire.close()
        assert all(answer.status != 200 or name.encode() in answer.body for name, answer in told), "out of order"

    def _look_at(self, asked: Asked) -> None:
        self.result.told.add(asked)
        self.result.seconds.append(asked.answer.seconds)


def _noting(
    told: list[tuple[str, Answer]], name: str, row: int, look_at: Callable[[Asked], None]
) -> Callable[[Answer], None]:
    def note(answer: Answer) -> None:
        told.append((name, answer))
        look_at(Asked(row, name, answer, 1))

    return note


async def soak(
    port: int, project: str, *, pids: Sequence[int], seconds: float, connections: int, every: float
) -> tuple[int, dict[int, int], dict[int, list[tuple[float, int]]]]:
    """Ask for long; return the answers, other statuses, and memory (MB) and open files of each process over time."""
    counts = {"answers": 0}
    refused: dict[int, int] = {}

    def look_at(asked: Asked) -> None:
        if asked.answer.status == 200:
            counts["answers"] += 1
        else:
            refused[asked.answer.status] = refused.get(asked.answer.status, 0) + 1

    askers = Askers(lambda: port, Requests(project), look_at)
    askers.start(connections)
    seen: dict[int, list[tuple[float, int]]] = {pid: [] for pid in pids}
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        await asyncio.sleep(min(every, max(0.0, ends - time.monotonic())))
        for pid in pids:
            seen[pid].append((memory_mb(pid), open_files(pid)))
    await askers.stop()
    return counts["answers"], refused, seen
