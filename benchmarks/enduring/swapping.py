"""Are models changed without one failed or wrongly attributed answer, and within a tenth of a second?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec
from tests.serve.lakes import ServedLake

from benchmarks.enduring.asking import Asked, Askers, Requests
from trueup.bundle.loading import open_bundle
from trueup.lake.desired_state import DesiredState, change_desired, read_history
from trueup.release.serving import rolled_back, with_champion

Scores = Mapping[str, Sequence[float | None]]


@dataclass
class _Flip:
    digest: str
    began: float
    """When writing it began."""
    written: float = float("inf")
    seen: float = float("inf")
    """When the first answer of it came."""


@dataclass
class Swapped:
    """What came of many changes under load."""

    answers: int = 0
    failed: list[int] = field(default_factory=list)
    """Statuses other than 200."""
    wrong: list[str] = field(default_factory=list)
    """What was wrongly attributed, in words."""
    flip_seconds: list[float] = field(default_factory=list)
    """From the written document to the first answer of a model that is open already."""
    cold_seconds: list[float] = field(default_factory=list)
    """The same for a model that is opened first."""
    answer_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0
    """All changes of open models took, with the waits between them; longer than asked where one came late."""
    fallbacks: int = 0


def scores_of(
    folder: Path, digest: str, *, trusted: Sequence[Path], rows: Sequence[Mapping[str, object]]
) -> list[float]:
    """Return exactly what a bundle gives for some rows."""
    asked = [msgspec.json.encode({name: row[name] for name in ("amount", "age")}).decode() for row in rows]
    with open_bundle(folder / digest, trusted_keys=trusted, digest=digest, today=date.today()) as opened:
        outputs = opened.answering.score_requests(asked)
    return [output[0] for output in outputs if output is not None]


class Swapping:
    """Changes the champion again and again while a server is asked, and looks at every answer.

    An answer must come from a model that was desired between the sending of the request and the answer: written before
    the answer came, and not replaced by one that was seen answering before the request was sent.
    """

    def __init__(self, lake: ServedLake, requests: Requests, scores: Scores) -> None:
        self.result = Swapped()
        self._lake, self._requests, self._scores = lake, requests, scores
        self._flips = [_Flip(lake.old, 0.0, 0.0, 0.0)]
        self._confirmed = asyncio.Event()

    async def run(self, port: int, *, flips: int, seconds: float, connections: int, others: Sequence[str]) -> Swapped:
        """Open all others; then go to each of them and back, in turn, evenly over some seconds."""
        askers = Askers(lambda: port, self._requests, self._look_at)
        askers.start(connections)
        for digest in others:
            self.result.cold_seconds.append(await self._flip(digest))
            await self._flip(None)
        began = time.monotonic()
        for number in range(flips):
            wait = began + number * seconds / flips - time.monotonic()
            await asyncio.sleep(max(0.0, wait))
            other = others[number // 2 % len(others)]
            self.result.flip_seconds.append(await self._flip(None if number % 2 else other))
        self.result.seconds = time.monotonic() - began
        await asyncio.sleep(0.1)
        await askers.stop()
        return self.result

    async def _flip(self, digest: str | None) -> float:
        """Go over to a champion, or back to the one before; return after how many seconds it answered."""
        flip = _Flip(digest or self._flips[-2].digest, time.monotonic())
        self._flips.append(flip)
        self._confirmed.clear()
        flip.written = await asyncio.to_thread(self._write, digest)
        await asyncio.wait_for(self._confirmed.wait(), 300)
        return flip.seen - flip.written

    def _write(self, digest: str | None) -> float:
        store, project = self._lake.store, self._lake.project

        def change(state: DesiredState | None) -> DesiredState:
            assert state is not None
            if digest is None:
                return rolled_back(state, read_history(store, project))
            return with_champion(state, digest, pace=None)

        change_desired(store, project, change)
        return time.monotonic()

    def _look_at(self, asked: Asked) -> None:
        result, answer = self.result, asked.answer
        result.answers += 1
        if answer.status != 200:
            result.failed.append(answer.status)
            return
        result.answer_seconds.append(answer.seconds)
        told = asked.told
        digest, last = told["model_version"], self._flips[-1]
        # an answer to an earlier request may be late, from when this model was champion before
        if digest == last.digest and last.seen == float("inf") and answer.sent >= last.began:
            last.seen = answer.received
            self._confirmed.set()
        if told["score"] is None:
            result.fallbacks += 1
        elif told["score"] != self._scores[digest][asked.row]:
            result.wrong.append(f"{digest[:8]} scored row {asked.row} {told['score']}")
        if not self._was_desired(digest, sent=answer.sent, received=answer.received):
            result.wrong.append(f"{digest[:8]} answered {answer.received - last.written:.3f} s after a change")

    def _was_desired(self, digest: str, *, sent: float, received: float) -> bool:
        ended = float("inf")
        for flip in reversed(self._flips):
            if flip.digest == digest and flip.began <= received and sent <= ended:
                return True
            ended = flip.seen
        return False
