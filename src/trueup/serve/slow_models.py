"""How does a model answer that lives in another process, without holding up others, and what if that process dies?

Its process takes one question at a time from a thread that waits for it, so the event loop goes on. Questions that
wait are few: with more the caller falls back at once, as with a model that fails.

A process that died is started again, in the same thread, after pauses that grow while it keeps dying; one that gives no
answer is ended first. A new one takes the place of the old in one assignment, once it is verified and gave the golden
rows. Until then every question fails at once, so the fallback decides.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from trueup.bundle.errors import ModelFailed
from trueup.bundle.golden import Output
from trueup.kernel.errors import TrueupError
from trueup.serve.answering import DEADLINE_S
from trueup.serve.pauses import MOST_SECONDS, pause_after

MOST_WAITING = 64
HANGS_AFTER_S = 10 * DEADLINE_S
"""A question without an answer for so long has none: its callers were told something else long ago."""


class Scoring(Protocol):
    """What answers in another process; blocks until it has."""

    @property
    def has_ended(self) -> bool:
        """Return whether the process is dead, however it died."""

    def score_requests(self, requests: Sequence[str]) -> list[Output]:
        """Return one output for each request; None where the model refuses the row."""

    def answer_within(self, seconds: float) -> None:
        """End the process where a question takes longer from now on."""

    def end(self) -> None:
        """Kill the process; what waits for its answer fails."""

    def close(self) -> None:
        """End the process in order."""


class SlowModel:
    """A model in a process of its own.

    Parameters
    ----------
    scoring : Scoring
    start : callable
        Starts another process of the same bundle, verifies it, and returns it when its golden rows are reproduced.
    clock : callable, optional
        Monotonic seconds; paces the starts.
    hangs_after_s : float
        A process that lets a question wait for longer is ended.
    most_waiting : int
        Questions that may wait or be under way at once.

    Attributes
    ----------
    problem : str or None
        Why it cannot answer, and what is done about it; None while it can.
    restarts : int
        How often a new process took the place of one that died.
    """

    def __init__(
        self,
        scoring: Scoring,
        start: Callable[[], Scoring],
        *,
        clock: Callable[[], float] = time.monotonic,
        hangs_after_s: float = HANGS_AFTER_S,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self.problem: str | None = None
        self.restarts = 0
        self._start, self._clock, self._hangs_after_s = start, clock, hangs_after_s
        self._most = most_waiting
        self._waiting = 0
        self._failures = 0
        """Deaths and vain starts in a row."""
        self._due = 0.0
        self._starting: Future[Scoring] | None = None
        self._closing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._scoring = self._seated(scoring)

    async def score(self, requests: Sequence[str]) -> list[Output]:
        """Return one output for each request (a JSON object); None where the model refuses the row.

        Raises
        ------
        ModelFailed
            It failed, its process is dead, or too many wait for it already.
        RowBreaksSchema
            A row is not what the model takes.
        """
        if self._waiting >= self._most:
            raise ModelFailed(f"{self._waiting} questions wait for the model already")
        if self._starting is not None or self._scoring.has_ended:
            raise ModelFailed("the model's process ended")  # behind a start, a question would only wait
        self._waiting += 1
        # counted down when the process has answered, not when the caller stopped waiting
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._scoring.score_requests, requests)
        answer.add_done_callback(self._answered)
        return await asyncio.shield(answer)

    def look_after(self) -> bool:
        """Start the process again where it died; return whether a new one has just taken its place. Never blocks."""
        if self._closing is not None:
            return False
        if self._starting is not None:
            return self._starting.done() and self._take(self._starting)
        if self._scoring.has_ended:
            if self.problem is None:
                lived_long = self._clock() - self._seated_at >= MOST_SECONDS
                self._failed("the model's process ended", failures=0 if lived_long else self._failures)
            if self._clock() >= self._due:
                self._starting = self._thread.submit(self._start)
        return False

    def close(self) -> Future[None]:
        """End the process once the questions under way are answered; returns at once what is done when it has ended."""
        if self._closing is None:
            self._closing = self._thread.submit(self._close)
            self._thread.shutdown(wait=False)
        return self._closing

    def end(self) -> Future[None]:
        """End the process now, for nobody waits for an answer; returns at once what is done when it has ended."""
        if self._waiting:
            self._scoring.end()
        return self.close()

    def _seated(self, scoring: Scoring) -> Scoring:
        scoring.answer_within(self._hangs_after_s)
        self._seated_at = self._clock()
        return scoring

    def _take(self, starting: Future[Scoring]) -> bool:
        """Let the process that was started answer from now on, or note why there is none."""
        self._starting = None
        try:
            started = starting.result()
        except Exception as error:  # noqa: BLE001  # whatever keeps it from starting is told and tried again
            why = error.message if isinstance(error, TrueupError) else f"{type(error).__name__}: {error}"
            self._failed(f"the model's process ended and does not start: {why}", failures=self._failures)
            return False
        before, self._scoring = self._scoring, self._seated(started)
        self._thread.submit(before.close)
        self.restarts += 1
        self.problem = None
        return True

    def _failed(self, why: str, *, failures: int) -> None:
        self._failures = failures + 1
        pause = pause_after(self._failures)
        self._due = self._clock() + pause
        self.problem = f"{why}; it is started again after {pause:g} s, and until it answers it decides nothing"

    def _close(self) -> None:
        self._scoring.close()
        starting = self._starting
        if starting is not None and starting.exception() is None:  # it was before this in the same thread
            starting.result().close()

    def _answered(self, answer: asyncio.Future[list[Output]]) -> None:
        self._waiting -= 1
        if not answer.cancelled():
            answer.exception()  # whoever still waits is told; nobody else needs to be
