"""Who keeps the server's processes running? One small process that holds the sockets and computes nothing.

It makes the workers by forking, so that all of them answer on the same sockets and none of them pays for imports twice;
it starts again what died, ends everything when it is told to, and when it dies itself its workers end too.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from trueup.lake.told_output import tell_into

_PR_SET_PDEATHSIG = 1
_QUICK_SECONDS = 5.0
"""A process that ends sooner than this after its start was no good: it is started again later and later."""
_LONGEST_WAIT_SECONDS = 10.0
FAILED = 3
"""With this exit code a worker says at its first start that another cannot help before something is changed."""
CRASHED = 1


@dataclass(frozen=True)
class Companion:
    """A program that should run beside the workers."""

    name: str
    command: tuple[str, ...]
    output: Path
    """File that what it says is added to; a full one is begun anew with each start."""
    unblocks_sigterm: bool = False
    """It starts with SIGTERM blocked, and unblocks it when it is ready: told to end before, it ends in order."""


@dataclass
class _Place:
    """One process that should be there."""

    name: str
    start: Callable[[], int]
    """Starts it and returns its number."""
    pid: int = 0
    started: float = 0.0
    quick_ends: int = 0
    due: float = 0.0
    """When to start it, by the monotonic clock."""
    starts: int = 0
    gave_up: bool = False


@dataclass
class Supervisor:
    """Keeps workers and companions running until it is told to stop.

    Parameters
    ----------
    worker : callable
        Runs one worker in a new process, given its number; what it returns is the exit code.
    workers : int
        How many there should be.
    companions : sequence of Companion
        Such as the process that seals the log.
    grace_seconds : float
        How long processes may take to end before they are killed.
    say : callable
        Told what happens, in words.
    """

    worker: Callable[[int], int]
    workers: int
    companions: Sequence[Companion] = ()
    grace_seconds: float = 30.0
    say: Callable[[str], None] = print
    _stopping: bool = field(default=False, init=False)

    def run(self) -> int:
        """Start everything, watch it, and return the exit code once all has ended."""
        places = [_Place(f"worker {number}", self._forking(number)) for number in range(self.workers)]
        places += [_Place(companion.name, _executing(companion)) for companion in self.companions]
        wake_read, wake_write = os.pipe()
        for end in (wake_read, wake_write):
            os.set_blocking(end, False)
        before = {number: signal.signal(number, self._told) for number in (signal.SIGTERM, signal.SIGINT)}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _nothing)
        signal.set_wakeup_fd(wake_write)
        try:
            self._watch(places, wake_read)
            return self._end(places, wake_read)
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(wake_read)
            os.close(wake_write)

    def _told(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _watch(self, places: list[_Place], wake: int) -> None:
        while not self._stopping:
            self._collect(places)
            now = time.monotonic()
            for place in places:
                if not place.pid and not place.gave_up and place.due <= now:
                    place.pid, place.started = place.start(), now
                    place.starts += 1
            workers = places[: self.workers]
            if all(place.gave_up for place in workers):
                return
            waits = [place.due - now for place in places if not place.pid and not place.gave_up]
            _wait(wake, min([1.0, *waits]))

    def _collect(self, places: list[_Place]) -> None:
        for place in places:
            if not place.pid:
                continue
            ended, status = os.waitpid(place.pid, os.WNOHANG)
            if ended:
                self._note_end(place, os.waitstatus_to_exitcode(status))

    def _note_end(self, place: _Place, code: int) -> None:
        place.pid = 0
        if self._stopping:
            return
        if code == FAILED and place.starts == 1:
            place.gave_up = True
            return
        now = time.monotonic()
        place.quick_ends = place.quick_ends + 1 if now - place.started < _QUICK_SECONDS else 0
        wait = min(_LONGEST_WAIT_SECONDS, 0.1 * 2**place.quick_ends) if place.quick_ends else 0.0
        place.due = now + wait
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        with suppress(OSError, ValueError):  # nobody reads what is said any more: the workers go on all the same
            self.say(f"{place.name} {how}; it is started again")

    def _end(self, places: list[_Place], wake: int) -> int:
        """Ask everything to end, companions last: they finish what the workers leave."""
        gave_up = all(place.gave_up for place in places[: self.workers])
        for part in (places[: self.workers], places[self.workers :]):
            deadline = time.monotonic() + self.grace_seconds
            _signal(part, signal.SIGTERM)
            while any(place.pid for place in part) and time.monotonic() < deadline:
                self._stopping = True
                self._collect(part)
                if any(place.pid for place in part):
                    _wait(wake, 0.2)
            late = [place for place in part if place.pid]
            _signal(late, signal.SIGKILL)
            for place in late:
                os.waitpid(place.pid, 0)
        return FAILED if gave_up else 0

    def _forking(self, number: int) -> Callable[[], int]:
        return lambda: _fork(lambda: self.worker(number))


def _fork(body: Callable[[], int]) -> int:
    """Run `body` in a new process, which ends with what it returns, and return that process's number."""
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = CRASHED
    try:
        _end_with(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the supervisor tells when to end
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        code = body()
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # noqa: BLE001  # the process boundary: what happened is said, and it is started again
        with suppress(OSError, ValueError):
            traceback.print_exc()
    finally:
        os._exit(code)


def _executing(companion: Companion) -> Callable[[], int]:
    def body() -> int:
        tell_into(companion.output)
        if companion.unblocks_sigterm:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        os.execv(companion.command[0], companion.command)  # noqa: S606  # our own command, no shell wanted

    return lambda: _fork(body)


def _end_with(parent: int) -> None:
    """Let this process be told to end when its parent dies, however that dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(0)


def _signal(places: Sequence[_Place], number: int) -> None:
    for place in places:
        if place.pid:
            os.kill(place.pid, number)


def _wait(wake: int, seconds: float) -> None:
    readable, _, _ = select.select([wake], [], [], max(0.0, seconds))
    if readable:
        os.read(wake, 4096)


def _nothing(number: int, frame: FrameType | None) -> None:
    """Let a signal interrupt a wait."""
