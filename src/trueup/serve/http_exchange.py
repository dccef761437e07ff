"""What do all connections of a front share: who answers, what is taken, who is waiting?"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from trueup.serve.admission import Admission
from trueup.serve.errors import AnswerFailed, RequestRefused, TooBusy
from trueup.serve.http_limits import FrontLimits
from trueup.serve.http_messages import Handler, Request, Response, response_to
from trueup.serve.http_writing import AnswerWriter

TICK_S = 0.01


class Watcher(Protocol):
    """Who is told what a front does; called in the loop's thread for every request, so it must be cheap."""

    def answered(self, status: int, seconds: float) -> None:
        """An answer was given, so long after the request's last byte."""

    def refused(self, reason: str) -> None:
        """A request or a connection was turned away by the front."""

    def failed(self, error: Exception) -> None:
        """The handler raised; the caller was told nothing of why."""


class Unwatched:
    """A watcher who does not look."""

    def answered(self, status: int, seconds: float) -> None:
        """Look away."""

    def refused(self, reason: str) -> None:
        """Look away."""

    def failed(self, error: Exception) -> None:
        """Look away."""


class Kept(Protocol):
    """An open connection."""

    deadline: float

    def release(self) -> None:
        """Read on after a refusal."""

    def expire(self, now: float) -> None:
        """End what takes too long: the deadline is over."""

    def close_if_quiet(self) -> None:
        """End the connection where nothing is asked on it."""

    def close(self) -> None:
        """End the connection now."""


class Exchange:
    """Who answers, under which limits, and what is in flight.

    Attributes
    ----------
    connections : set
        All that are open.
    held_bytes : int
        Of bodies that are not whole yet.
    draining : bool
        The front stops: every answer is the last of its connection.
    """

    def __init__(
        self,
        handler: Handler,
        limits: FrontLimits,
        *,
        watcher: Watcher,
        clock: Callable[[], float],
        turn_began: Callable[[float], float] | None,
        writer: AnswerWriter,
    ) -> None:
        self.limits = limits
        self.watcher = watcher
        self.clock = clock
        self.writer = writer
        self.admission = Admission(limits)
        self.connections: set[Kept] = set()
        self.draining = False
        self.held_bytes = 0
        self._handler = handler
        self._turn_began = turn_began or self._note_turn
        self._turn_at: float | None = None
        self._released_at = 0.0
        self._held: deque[Kept] = deque()
        self._too_busy = response_to(
            TooBusy(
                "more requests came than can be answered in time; send it again later",
                retry_after_s=limits.retry_after_s,
            )
        )
        self._failed = response_to(AnswerFailed("the server failed at this request; it was told who runs it"))

    def response_to(self, request: Request) -> Response | None:
        """Return the handler's answer, or None when it comes later."""
        try:
            return self._handler(request)
        except Exception as error:  # noqa: BLE001 - the caller is told, the watcher gets it, the server goes on
            self.watcher.failed(error)
            return self._failed

    def refusal_of(self, request: Request) -> Response | None:
        """Return a refusal when the request would not be answered in time."""
        now = request.received_at
        if self.admission.reason_against(now=now, waited=now - self._turn_began(now)) is None:
            return None
        self.watcher.refused("too-busy")
        return self._too_busy

    def refused(self, error: RequestRefused) -> Response:
        """Return how a caller is told that the front refused."""
        self.watcher.refused(error.code.partition(".")[2])
        return response_to(error)

    def hold(self, connection: Kept) -> None:
        """Let a refused connection wait for its turn to be read again; `release_held` ends it."""
        if not self._held:
            self._released_at = time.process_time()
            asyncio.get_running_loop().call_later(TICK_S, self._tick)
        self._held.append(connection)

    def release_held(self, most: int) -> None:
        """Read on from connections that were refused, the longest held first."""
        for _ in range(min(most, len(self._held))):
            self._held.popleft().release()

    def _tick(self) -> None:
        now = time.process_time()  # a process that shares its core has less time to refuse, too
        self.release_held(max(1, int(self.limits.refusals_per_cpu_s * (now - self._released_at))))
        self._released_at = now
        if self._held:
            asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _note_turn(self, now: float) -> float:
        """Return when the loop's present turn took its first request: all it takes in a turn were there by then."""
        if self._turn_at is None:
            self._turn_at = now
            asyncio.get_running_loop().call_soon(self._end_turn)
        return self._turn_at

    def _end_turn(self) -> None:
        self._turn_at = None
