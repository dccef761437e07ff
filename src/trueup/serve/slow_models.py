"""How does a model answer that lives in another process, without holding up those that answer at once?

Its process takes one question at a time from a thread that waits for it, so the event loop goes on. Questions that
wait are few: with more the caller falls back at once, as with a model that fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from trueup.bundle.errors import ModelFailed
from trueup.bundle.golden import Output

MOST_WAITING = 64


class Scoring(Protocol):
    """What answers in another process; blocks until it has."""

    def score_requests(self, requests: Sequence[str]) -> list[Output]:
        """Return one output for each request; None where the model refuses the row."""

    def close(self) -> None:
        """End the process."""


class SlowModel:
    """A model in a process of its own.

    Parameters
    ----------
    scoring : Scoring
    most_waiting : int
        Questions that may wait or be under way at once.
    """

    def __init__(self, scoring: Scoring, *, most_waiting: int = MOST_WAITING) -> None:
        self._scoring = scoring
        self._most = most_waiting
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def score(self, requests: Sequence[str]) -> list[Output]:
        """Return one output for each request (a JSON object); None where the model refuses the row.

        Raises
        ------
        ModelFailed
            It failed, or too many wait for it already.
        RowBreaksSchema
            A row is not what the model takes.
        """
        if self._waiting >= self._most:
            raise ModelFailed(f"{self._waiting} questions wait for the model already")
        self._waiting += 1
        # counted down when the process has answered, not when the caller stopped waiting
        answer = asyncio.get_running_loop().run_in_executor(self._thread, self._scoring.score_requests, requests)
        answer.add_done_callback(self._answered)
        return await asyncio.shield(answer)

    def close(self) -> None:
        """End the process once the questions under way are answered; returns at once."""
        self._thread.submit(self._scoring.close)
        self._thread.shutdown(wait=False)

    def _answered(self, answer: asyncio.Future[list[Output]]) -> None:
        self._waiting -= 1
        if not answer.cancelled():
            answer.exception()  # whoever still waits is told; nobody else needs to be
