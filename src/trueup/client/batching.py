"""Which outcomes wait to be sent together, and when is it time? In order and in bounds, until a server has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from trueup.client.errors import BatchFull, ClientError, NotSent, Refused
from trueup.client.facts import Outcome

MOST_AT_ONCE = 1_000
"""A server takes no more facts in one request."""


@dataclass(frozen=True)
class RefusedOutcome:
    """An outcome that the server refuses, however often it is sent."""

    outcome: Outcome
    error: Refused


class WaitingOutcomes:
    """Outcomes that were taken and are not recorded yet.

    Parameters
    ----------
    most : int
        Sent in one request, 1 to 1,000.
    seconds : float
        How long the first may wait before it is time to send.
    room : int
        How many may wait or be set aside in all.
    now : callable
        Seconds of a clock that never goes back.
    """

    def __init__(self, *, most: int, seconds: float, room: int, now: Callable[[], float]) -> None:
        if not 1 <= most <= MOST_AT_ONCE:
            raise ValueError(f"{most} outcomes cannot be sent at once; allowed are 1 to {MOST_AT_ONCE}")
        self._most, self._seconds, self._room, self._now = most, seconds, max(room, most), now
        self._waiting: deque[Outcome] = deque()
        self._since = 0.0
        self.refused: list[RefusedOutcome] = []
        self.problem: ClientError | None = None

    @property
    def waiting(self) -> tuple[Outcome, ...]:
        """Return what is not recorded yet, the oldest first."""
        return tuple(self._waiting)

    def take(self, outcome: Outcome) -> None:
        """Take one.

        Raises
        ------
        BatchFull
        """
        if len(self._waiting) + len(self.refused) >= self._room:
            why = f": {self.problem.message}" if self.problem else ""
            raise BatchFull(
                f"{len(self._waiting)} outcomes wait to be sent and {len(self.refused)} were refused, which is all "
                f"this batch holds{why}; this one was not taken. Flush, or look at waiting and refused"
            ) from self.problem
        if not self._waiting:
            self._since = self._now()
        self._waiting.append(outcome)

    @property
    def is_due(self) -> bool:
        """Return whether it is time to send: there are enough, or the first waits long enough.

        After a failure it is time again when `seconds` are over.
        """
        is_old = self._now() - self._since >= self._seconds
        return bool(self._waiting) and (is_old or (self.problem is None and len(self._waiting) >= self._most))

    def next(self) -> tuple[Outcome, ...]:
        """Return what to send in the next request; empty when nothing waits."""
        return tuple(self._waiting[place] for place in range(min(self._most, len(self._waiting))))

    def sent(self, count: int) -> None:
        """Forget the first, which are recorded."""
        for _ in range(count):
            self._waiting.popleft()
        self._since, self.problem = self._now(), None

    def failed(self, error: ClientError) -> bool:
        """Keep what could not be sent, and return whether to go on at once, without the one that was refused."""
        row = getattr(error, "row", None)
        if isinstance(error, Refused) and row is not None and row < len(self._waiting):
            self.refused.append(RefusedOutcome(self._waiting[row], error))
            del self._waiting[row]
            return True
        self._since, self.problem = self._now(), error
        return False

    def check_sent(self) -> None:
        """Raise when something could not be sent or was refused.

        Raises
        ------
        NotSent
        """
        if self._waiting or self.refused:
            cause = self.problem or self.refused[-1].error
            raise NotSent(
                f"{len(self._waiting)} outcomes could not be sent and {len(self.refused)} were refused "
                f"({cause.message}); they are in the batch's waiting and refused",
                waiting=len(self._waiting),
                refused=len(self.refused),
            ) from cause
