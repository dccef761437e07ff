"""Is every acknowledged answer in the log exactly once, however often processes are killed?"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.serve.lakes import TOKEN, ServedLake, ServedStore
from tests.serve.running import RunningServer, serving

from benchmarks.enduring.asking import Asked, Askers, Requests, port_of
from trueup.data.prediction_log import open_log
from trueup.lake.sealing import Sealer, sealing_alone


@dataclass
class Acknowledged:
    """What callers were told."""

    decisions: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Model and decision by prediction id, of answers with status 200."""
    first_try: set[str] = field(default_factory=set)
    """Ids that were sent once."""
    refused: dict[int, int] = field(default_factory=dict)
    """How often each other status came; 0 for connections that ended."""
    changed: list[str] = field(default_factory=list)
    """Ids that were told two different things."""

    def add(self, asked: Asked) -> None:
        """Note an answer."""
        status = asked.answer.status
        if status != 200:
            self.refused[status] = self.refused.get(status, 0) + 1
            return
        told = asked.told
        what = (told["model_version"], told["decision"])
        if self.decisions.setdefault(asked.prediction_id, what) != what:
            self.changed.append(asked.prediction_id)
        if asked.tries == 1:
            self.first_try.add(asked.prediction_id)


@dataclass(frozen=True)
class Logged:
    """How the log compares with what callers were told."""

    acknowledged: int
    lost: int
    """Acknowledged and not in the log."""
    twice: int
    """In the log twice, though asked once."""
    different: int
    """In the log as something else than was told."""
    acted: int
    """Cases that the log says were acted on."""
    rows: int
    """In the log in all."""


def compare(lake: ServedStore, told: Acknowledged) -> Logged:
    """Compare what callers were told with the sealed log."""
    with tempfile.TemporaryDirectory() as scratch, open_log(lake.store, lake.project, scratch=Path(scratch)) as log:
        asked = "SELECT prediction_id, model_version, acted FROM predictions WHERE role != 'shadow'"
        found = {name: (model, acted) for name, model, acted in log.database.execute(asked).fetchall()}
        many = "SELECT prediction_id FROM recorded_predictions GROUP BY prediction_id HAVING count(*) > 1"
        twice = {name for (name,) in log.database.execute(many).fetchall()}
    lost = told.decisions.keys() - found.keys()
    return Logged(
        acknowledged=len(told.decisions),
        lost=len(lost),
        twice=len(twice & told.first_try),
        different=sum(found[name] != what for name, what in told.decisions.items() if name in found),
        acted=sum(acted for _, acted in found.values()),
        rows=len(found),
    )


def seal_all(lake: ServedStore, hot: Path) -> int:
    """Seal what is left when no server runs any more, and return how many segments still wait."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(Exception), sealing_alone(hot):
            return len(
                Sealer(lake.store, lake.project, hot=hot, clock=lambda: time.time_ns() // 1000).seal_finished().waiting
            )
        time.sleep(0.1)
    raise TimeoutError("something still seals the log")


async def kill_again_and_again(
    lake: ServedLake, spool: Path, *, kills: int, connections: int, processes: int = 2, seed: int = 0
) -> Acknowledged:
    """Ask without a pause while processes of the server are killed, and return what callers were told.

    Workers are killed one after the other, then the supervisor alone or everything at once; then the server is started
    again over the same spool.
    """
    told, port = Acknowledged(), [0]
    askers = Askers(lambda: port[0], Requests(lake.project), told.add, insists=True)
    askers.start(connections)
    chance, left = random.Random(seed), kills
    options = ("--trust", *map(str, lake.trusted), "--processes", str(processes))

    def one_server(most: int) -> int:
        with serving(lake.store.folder, *options, spool=spool, token=TOKEN) as server:
            port[0] = port_of(server.url)
            return _kill_one_server(server, most, chance, processes, lambda: len(told.decisions))

    while left > 0:
        left -= await asyncio.to_thread(one_server, min(left, 4))
    with serving(lake.store.folder, *options, spool=spool, token=TOKEN) as server:
        port[0] = port_of(server.url)
        before = len(told.decisions)
        while len(told.decisions) < before + 10 * connections:
            await asyncio.sleep(0.01)
        await askers.stop()
        await asyncio.to_thread(server.stop)
    return told


def _kill_one_server(
    server: RunningServer, most: int, chance: random.Random, processes: int, answered: Callable[[], int]
) -> int:
    """Kill processes of one server, the last time its supervisor; return how many kills that were."""
    for _ in range(most - 1):
        _wait_for(lambda: len(server.workers()) == processes)
        _wait_for_more(answered, chance.randrange(50, 400))
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.kill(chance.choice(server.workers()), signal.SIGKILL)
    _wait_for_more(answered, chance.randrange(50, 400))
    children = children_of(server.process.pid)
    everything = chance.random() < 0.5
    for pid in (server.process.pid, *(children if everything else ())):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _wait_for(lambda: not any(is_running(pid) for pid in children))
    return most


def is_running(pid: int) -> bool:
    """Return whether a process has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int) -> list[int]:
    """Return the processes a process started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _wait_for_more(answered: Callable[[], int], count: int) -> None:
    before = answered()
    _wait_for(lambda: answered() >= before + count)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited for too long")
        time.sleep(0.003)
