"""Does a server go on deciding while its lake is gone, and catch up when it is back?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tests.serve.lakes import ServedLake
from tests.serve.running import RunningServer

from benchmarks.enduring.asking import Asked, Askers, Requests, port_of
from benchmarks.enduring.killing import Acknowledged
from trueup.lake.desired_state import BundleRole, DesiredState, change_desired, read_statuses


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

    def __init__(self, lake: ServedLake) -> None:
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
    ) -> Lost:
        """Let it be gone for some seconds under load; then change the champion."""
        result, told = self.result, self.result.told.decisions
        askers = Askers(lambda: port_of(server.url), Requests(self._lake.project), self._look_at)
        askers.start(connections)
        await self._until(lambda: len(told) > 100)
        take()
        before, ends = len(told), time.monotonic() + seconds
        await self._until(lambda: time.monotonic() > ends and len(told) > before + 100, seconds=seconds + 60)
        result.answered_without = len(told) - before
        give()
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
