"""What does a server do on a full disk? A real one: a small file system in memory, where we may mount one."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.serve.lakes import TOKEN, ServedLake
from tests.serve.running import serving

from benchmarks.enduring.asking import Asked, Askers, Requests, port_of
from benchmarks.enduring.killing import Acknowledged


@dataclass
class Filled:
    """What callers saw."""

    told: Acknowledged
    codes: set[bytes] = field(default_factory=set)
    """Bodies of the refusals."""
    refusal_seconds: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    recovered_seconds: list[float] = field(default_factory=list)
    """From space that is back to the first answer."""


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[Path | None]:
    """Mount a disk of a few megabytes in memory; None where we may not."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
    may = os.geteuid() == 0 and shutil.which("mount") is not None
    if not may or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class Filling:
    """Fills the disk of a server's log under load, and frees it, several times."""

    def __init__(self, lake: ServedLake, disk: Path) -> None:
        self.result = Filled(Acknowledged())
        self._lake, self._disk = lake, disk
        self._full = False
        self._freed = 0.0

    async def run(self, *, times: int, full_seconds: float, connections: int) -> Filled:
        """Serve over the disk, and fill it again and again."""
        options = ("--trust", *map(str, self._lake.trusted))
        with serving(self._lake.store.folder, *options, spool=self._disk / "spool", token=TOKEN) as server:
            askers = Askers(lambda: port_of(server.url), Requests(self._lake.project), self._look_at, insists=True)
            askers.start(connections)
            for _ in range(times):
                await self._until_more(100)
                await asyncio.to_thread(self._fill)
                await self._until_refused()
                await asyncio.sleep(full_seconds)
                (self._disk / "filler").unlink()
                self._freed = time.monotonic()
                await self._until_more(100)
            await askers.stop()
            await asyncio.to_thread(server.stop)
        return self.result

    def _fill(self) -> None:
        with (self._disk / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 20, 1 << 16, 1 << 12, 1):
                try:
                    while filler.write(bytes(size)):
                        pass
                except OSError:
                    continue

    async def _until_more(self, count: int) -> None:
        before = len(self.result.told.decisions)
        async with asyncio.timeout(60):
            while len(self.result.told.decisions) < before + count:
                await asyncio.sleep(0.01)

    async def _until_refused(self) -> None:
        before = len(self.result.refusal_seconds)
        async with asyncio.timeout(60):
            while len(self.result.refusal_seconds) < before + 50:
                await asyncio.sleep(0.01)

    def _look_at(self, asked: Asked) -> None:
        result, answer = self.result, asked.answer
        result.told.add(asked)
        if answer.status == 200:
            if self._freed:
                result.recovered_seconds.append(answer.received - self._freed)
                self._freed = 0.0
        elif answer.status == 503:
            result.codes.add(answer.body)
            result.refusal_seconds.append(answer.seconds)
            result.without_retry_after += b"retry-after:" not in answer.head
