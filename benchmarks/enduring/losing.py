"""Does a server go on deciding while its lake is gone, and catch up when it is back? A folder, and an object store."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tests.s3_server import running_s3
from tests.serve.lakes import ServedStore
from tests.serve.running import RunningServer

from benchmarks.enduring.asking import Asked, Askers, Requests, port_of
from benchmarks.enduring.killing import Acknowledged
from trueup.lake.desired_state import BundleRole, DesiredState, change_desired, read_statuses
from trueup.lake.store import Store
from trueup.lake.stores import open_store


@dataclass
class Lost:
    """What callers saw while the lake was gone, and afterwards."""

    told: Acknowledged = field(default_factory=Acknowledged)
    answered_without: int = 0
    """While it was gone."""
    caught_up_seconds: float = 0.0
    """From a change after its return until the new model answered and a status told so."""
    longest_seconds: float = 0.0


class Losing:
    """Takes a lake away from a server under load for some seconds, and gives it back."""

    def __init__(self, lake: ServedStore) -> None:
        self.result = Lost()
        self._lake = lake
        self._versions: set[str] = set()

    async def run(
        self,
        server: RunningServer,
        *,
        take: Callable[[], None],
        give: Callable[[], None],
        seconds: float,
        connections: int,
        pause_seconds: float = 0.0,
    ) -> Lost:
        """Let it be gone for some seconds under load; then change the champion."""
        result, told = self.result, self.result.told.decisions
        requests = Requests(self._lake.project)
        askers = Askers(lambda: port_of(server.url), requests, self._look_at, pause_seconds=pause_seconds)
        askers.start(connections)
        await self._until(lambda: len(told) > 100)
        await asyncio.to_thread(take)
        before, ends = len(told), time.monotonic() + seconds
        await self._until(lambda: time.monotonic() > ends and len(told) > before + 100, seconds=seconds + 60)
        result.answered_without = len(told) - before
        await asyncio.to_thread(give)
        began = time.monotonic()
        await asyncio.to_thread(self._change)
        await self._until(lambda: self._lake.new in self._versions)
        await asyncio.to_thread(self._wait_for_status)
        result.caught_up_seconds = time.monotonic() - began
        await askers.stop()
        return result

    def _change(self) -> None:
        def changed(state: DesiredState | None) -> DesiredState:
            assert state is not None
            return msgspec.structs.replace(state, bundles=(BundleRole(self._lake.new, "champion"),))

        change_desired(self._lake.store, self._lake.project, changed)

    def _wait_for_status(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            statuses = read_statuses(self._lake.store, self._lake.project)
            if any(status.version == 2 and status.problem is None for status in statuses):
                return
            time.sleep(0.05)
        raise TimeoutError("no status tells of the change")

    async def _until(self, condition: Callable[[], bool], *, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.01)

    def _look_at(self, asked: Asked) -> None:
        self.result.told.add(asked)
        self.result.longest_seconds = max(self.result.longest_seconds, asked.answer.seconds)
        if asked.answer.status == 200:
            self._versions.add(asked.told["model_version"])


def put_aside(folder: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what takes a lake that is a folder away, and what gives it back."""
    away = folder.with_name(f"{folder.name}-away")

    def take() -> None:
        folder.rename(away)

    def give() -> None:
        if folder.exists():  # somebody wrote meanwhile; nothing there counts
            folder.rename(folder.with_name(f"{folder.name}-{time.monotonic_ns()}"))
        away.rename(folder)

    return take, give


class StoppedServer:
    """Takes a lake away by ending the server of its object store, and gives it back on the same port.

    Nothing may be written while what it holds is copied or put back, so whoever seals stands still for that moment.

    Parameters
    ----------
    bucket, prefix : str
        Where the lake is.

    Attributes
    ----------
    sealing : callable
        Returns the numbers of the processes that seal; to be set once there are some.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self.sealing: Callable[[], list[int]] = list
        self._bucket, self._prefix = bucket, prefix
        self._running = ExitStack()
        self.server = self._running.enter_context(running_s3())
        self.server.create_bucket(bucket)
        self._content: dict[str, bytes] = {}

    @property
    def store(self) -> Store:
        """Return the lake."""
        return open_store(f"s3://{self._bucket}/{self._prefix}", options=self.server.options)

    def take(self) -> None:
        """Copy everything and end the server."""
        with _standing_still(self.sealing()):
            store, keys = self.store, [""]
            while keys != (found := [entry.key for entry in self.store.list()]):
                keys = found
                time.sleep(0.2)  # a write that is on its way arrives
            self._content = {key: store.get(key) for key in keys}
            self._running.close()

    def give(self) -> None:
        """Start it again with everything it held."""
        with _standing_still(self.sealing()):
            port = int(self.server.endpoint.rsplit(":", 1)[1])
            self.server = self._running.enter_context(running_s3(port))
            self.server.create_bucket(self._bucket)
            for key, content in self._content.items():
                self.store.put(key, content)

    def close(self) -> None:
        """End the server."""
        self._running.close()


@contextmanager
def _standing_still(processes: list[int]) -> Iterator[None]:
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
