"""When may an answer leave? When its record is written (`process`), or on the disk (`disk`); else it is refused.

One recorder belongs to one event loop. Records that arrive in one turn of the loop are written with one call. With
`disk`, a thread writes and syncs one batch while the next one gathers: the more arrive, the more share a sync. What
waits is bounded, and a disk that cannot take more stops the server from taking requests, until a probe succeeds.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trueup.kernel.errors import TrueupError
from trueup.lake.errors import LakeError, StoreFull
from trueup.lake.frame_search import LARGEST_FRAME
from trueup.lake.rolling import RollingSegments
from trueup.lake.segments import SegmentBroken
from trueup.serve.errors import ServeError

Then = Callable[[Exception | None], None]


class NotLogged(ServeError):
    """An answer could not be logged, so it must not be given. It may still be in the log."""

    code = "serve.not-logged"


class DiskFull(NotLogged):
    """The disk of the log has no room."""

    code = "serve.disk-full"


class LogBehind(NotLogged):
    """More waits to be logged than may wait: the disk is slower than the requests."""

    code = "serve.log-behind"


@dataclass(frozen=True)
class RecorderLimits:
    """What may wait, and how a failing disk is treated."""

    buffered_bytes: int = 32 * 1024 * 1024
    buffered_frames: int = 20_000
    probe_seconds: float = 1.0
    """Between two attempts to write to a disk that failed."""


@dataclass
class RecorderCounts:
    """Since the recorder was made."""

    rows: int = 0
    """Logged."""
    frames: int = 0
    """Logged."""
    bytes: int = 0
    """Logged, without the frames' heads."""
    commits: int = 0
    """Writes, and with `disk` syncs, that succeeded."""
    refused_rows: int = 0
    """Not logged, and told so."""


@dataclass
class _Batch:
    frames: list[bytes] = field(default_factory=list)
    waiting: list[Then] = field(default_factory=list)
    size: int = 0
    rows: int = 0


class Recorder:
    """Logs with durability `process`: a killed process loses nothing it answered, a lost power may.

    Parameters
    ----------
    log : RollingSegments
        Belongs to the recorder from now on.
    loop : asyncio.AbstractEventLoop
        All methods are called in its thread.
    clock : callable
        Monotonic seconds; paces the probes.
    limits : RecorderLimits, optional
    logged : callable, optional
        Told how many rows a write that succeeded put into the log, before anybody is answered.
    """

    def __init__(
        self,
        log: RollingSegments,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        limits: RecorderLimits | None = None,
        logged: Callable[[int], None] | None = None,
    ) -> None:
        self.counts = RecorderCounts()
        self.problem: str | None = None
        """What keeps the recorder from logging; None when nothing does."""
        self._told = NotLogged("the log takes no records now; try again later")
        self._log, self._loop, self._clock = log, loop, clock
        self._logged = logged or _nobody_counts
        self._limits = limits or RecorderLimits()
        self._batch = _Batch()
        self._buffered_bytes = self._buffered_frames = 0
        self._scheduled = self._stopped = self._failed_last = self._closed = False
        self._probing: asyncio.Future[None] | None = None
        self._probe_at = 0.0
        self._rolling: asyncio.TimerHandle | None = None

    def record(self, frame: bytes, then: Then, *, rows: int = 1) -> None:
        """Log a frame, and call `then` once, from the loop, with None, or with why it is not logged.

        Parameters
        ----------
        frame : bytes
            1 byte to `LARGEST_FRAME`.
        then : callable
            Called after this method returned.
        rows : int
            Answers in the frame, for the counts.

        Raises
        ------
        ValueError
            For an empty or too large frame; `then` is not called.
        """
        size = _size_of(frame)
        if self._closed or not self._fits(size):
            self.counts.refused_rows += rows
            self._loop.call_soon(then, self._no_room())
            return
        batch = self._batch
        batch.frames.append(frame)
        batch.waiting.append(then)
        batch.size += size
        batch.rows += rows
        self._buffered_bytes += size
        self._buffered_frames += 1
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def record_all(self, frames: Sequence[bytes], then: Then, *, rows: int = 0) -> None:
        """Log frames together, all or none, and call `then` once for them.

        Parameters
        ----------
        frames : sequence of bytes
            At least one, each as for `record`.
        then, rows
            As for `record`; `rows` of all together.

        Raises
        ------
        ValueError
            For an empty or too large frame, or without any; nothing is logged, and `then` is not called.
        """
        if not frames:
            raise ValueError("records that are logged together must be one or more")
        size = sum(map(_size_of, frames))
        if self._closed or not self._fits(size, len(frames)):
            self.counts.refused_rows += rows
            self._loop.call_soon(then, self._no_room())
            return
        for frame in frames[:-1]:  # one batch is one write: no turn of the loop lies between them
            self.record(frame, _not_yet, rows=0)
        self.record(frames[-1], then, rows=rows)

    def announce(self, frame: bytes) -> None:
        """Log a frame in each segment before the records that come from now on (`RollingSegments.announce`)."""
        self._log.announce(frame)

    def room(self) -> bool:
        """Return whether a request may be taken: what waits is within the limits, and the disk takes it."""
        if not self._stopped:
            return not self._closed and self._fits(1)
        if self._probing is None and not self._closed and self._clock() >= self._probe_at:
            self._probing = self._loop.run_in_executor(None, self._log.probe)
            self._probing.add_done_callback(self._probed)
        return False

    def refusal(self) -> NotLogged:
        """Return why there is no room, as those are told who could have been refused later."""
        return self._told if self._stopped else self._no_room()

    async def close(self) -> None:
        """Log what waits, and end the segment. What comes later is refused."""
        self._closed = True
        self._flush()
        if self._rolling is not None:
            self._rolling.cancel()
        if self._probing is not None:
            await asyncio.wait([self._probing])
        self._log.roll()

    def _fits(self, size: int, frames: int = 1) -> bool:
        limits = self._limits
        if self._buffered_frames == 0:
            return True  # a record larger than all that may wait is logged alone
        return (
            self._buffered_bytes + size <= limits.buffered_bytes
            and self._buffered_frames + frames <= limits.buffered_frames
        )

    def _no_room(self) -> NotLogged:
        if self._closed:
            return NotLogged("the server is stopping, and takes no more requests; ask another one")
        return LogBehind("the disk of the prediction log is slower than the requests come; try again later")

    def _flush(self) -> None:
        self._scheduled = False
        batch = self._take()
        if batch.frames:
            self._settle(batch, self._commit(batch))

    def _take(self) -> _Batch:
        batch, self._batch = self._batch, _Batch()
        return batch

    def _commit(self, batch: _Batch) -> Exception | None:
        try:
            self._log.append(batch.frames)
        except LakeError as error:
            return error
        return None

    def _settle(self, batch: _Batch, error: Exception | None) -> None:
        """Tell everybody in a batch what became of it."""
        self._buffered_bytes -= batch.size
        self._buffered_frames -= len(batch.frames)
        if error is None:
            self._kept(batch)
            told: NotLogged | None = None
        else:
            self.counts.refused_rows += batch.rows
            told = self._refused(error)
        for then in batch.waiting:
            try:
                then(told)
            except Exception as failure:  # noqa: BLE001  # one caller's failure must not silence the others
                self._loop.call_exception_handler({"message": "an answer could not be sent", "exception": failure})

    def _kept(self, batch: _Batch) -> None:
        counts = self.counts
        counts.rows += batch.rows
        self._logged(batch.rows)
        counts.frames += len(batch.frames)
        counts.bytes += batch.size
        counts.commits += 1
        self._stopped = self._failed_last = False
        self.problem = None
        if self._rolling is None and not self._closed:
            self._rolling = self._loop.call_later(self._log.limits.seconds, self._roll)

    def _refused(self, error: Exception) -> NotLogged:
        """Return what callers are told, and stop where the next record would fail too."""
        again, self._failed_last = self._failed_last, True
        if again or not isinstance(error, SegmentBroken):
            self._stopped = True
            self._probe_at = self._clock() + self._limits.probe_seconds
        self.problem = error.message if isinstance(error, TrueupError) else f"{type(error).__name__} while logging"
        if isinstance(error, StoreFull):
            self._told = DiskFull("the disk of the prediction log is full, so no answer is given; try again later")
        else:
            self._told = NotLogged("the answer could not be logged, so it is not given; try again")
        return self._told

    def _probed(self, probe: asyncio.Future[None]) -> None:
        self._probing = None
        if (error := probe.exception()) is None:
            self._stopped = self._failed_last = False
            self.problem = None
        else:
            self._probe_at = self._clock() + self._limits.probe_seconds
            self.problem = error.message if isinstance(error, TrueupError) else str(error)

    def _roll(self) -> None:
        self._rolling = None
        self._log.roll()


class DiskRecorder(Recorder):
    """Logs with durability `disk`: what was answered survives a lost power too.

    Parameters
    ----------
    log, loop, clock, limits, logged
        As of `Recorder`.
    with_each_commit : callable, optional
        Called in the thread before each write: makes durable what records need to be read, such as keys, and what the
        answers follow from, such as tokens. A `LakeError` of it refuses the batch.
    """

    def __init__(
        self,
        log: RollingSegments,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        limits: RecorderLimits | None = None,
        logged: Callable[[int], None] | None = None,
        with_each_commit: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(log, loop=loop, clock=clock, limits=limits, logged=logged)
        self._with_each_commit = with_each_commit
        self._committing = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: queue.SimpleQueue[_Batch | Literal["roll", "end"]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="trueup-log", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Log what waits, and end the segment and the thread. What comes later is refused."""
        self._closed = True
        self._flush()
        await self._idle.wait()
        self._tasks.put("end")
        await self._loop.run_in_executor(None, self._thread.join)
        await super().close()

    def _flush(self) -> None:
        self._scheduled = False
        if not self._committing and self._batch.frames:
            self._committing = True
            self._idle.clear()
            self._tasks.put(self._take())

    def _work(self) -> None:
        while (task := self._tasks.get()) != "end":
            if isinstance(task, _Batch):
                error = self._commit(task)
                try:
                    self._loop.call_soon_threadsafe(self._committed, task, error)
                except RuntimeError:
                    return  # the loop is closed: nobody waits any more
            else:
                self._log.roll()

    def _commit(self, batch: _Batch) -> Exception | None:
        try:
            if self._with_each_commit is not None:
                self._with_each_commit()
            self._log.append(batch.frames)
            self._log.sync()
        except Exception as error:  # noqa: BLE001  # the thread's boundary: told to everybody who waits
            return error
        return None

    def _committed(self, batch: _Batch, error: Exception | None) -> None:
        self._committing = False
        self._settle(batch, error)
        self._flush()
        if not self._committing:
            self._idle.set()

    def _roll(self) -> None:
        self._rolling = None
        self._tasks.put("roll")


def make_recorder(
    log: RollingSegments,
    *,
    durability: Literal["process", "disk"],
    loop: asyncio.AbstractEventLoop,
    clock: Callable[[], float],
    limits: RecorderLimits | None = None,
    logged: Callable[[int], None] | None = None,
    with_each_commit: Callable[[], None] | None = None,
) -> Recorder:
    """Return the recorder of a durability; the parameters are those of `DiskRecorder`."""
    if durability == "disk":
        return DiskRecorder(
            log, loop=loop, clock=clock, limits=limits, logged=logged, with_each_commit=with_each_commit
        )
    return Recorder(log, loop=loop, clock=clock, limits=limits, logged=logged)


def _size_of(frame: bytes) -> int:
    size = len(frame)
    if not 0 < size <= LARGEST_FRAME:
        raise ValueError(f"a record must have 1 to {LARGEST_FRAME} bytes, not {size}")
    return size


def _not_yet(error: Exception | None) -> None:
    """Tell nobody: the last record of those that are logged together tells for all."""


def _nobody_counts(rows: int) -> None:
    """Nobody counts besides the recorder."""
