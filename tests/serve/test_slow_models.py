"""A slow model holds nobody up, and too many questions are refused at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from trueup.bundle.errors import ModelFailed
from trueup.bundle.golden import Output
from trueup.serve.slow_models import SlowModel


class Gated:
    """Answers each request with its length, once the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.closed = threading.Event()

    def score_requests(self, requests: Sequence[str]) -> list[Output]:
        self.gate.wait()
        return [(float(len(request)),) for request in requests]

    def close(self) -> None:
        self.closed.set()


def test_questions_wait_their_turn_and_more_than_agreed_are_refused_at_once() -> None:
    scoring = Gated()

    async def journey() -> list[list[Output]]:
        model = SlowModel(scoring, most_waiting=2)
        asked = [asyncio.create_task(model.score(["x" * length])) for length in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(ModelFailed, match="2 questions wait"):
            await model.score(["y"])
        scoring.gate.set()
        answers = await asyncio.gather(*asked)
        assert await model.score(["zzz"]) == [(3.0,)]
        return answers

    assert asyncio.run(journey()) == [[(1.0,)], [(2.0,)]]


def test_a_caller_that_stops_waiting_does_not_make_room_before_the_model_is_done() -> None:
    scoring = Gated()

    async def journey() -> None:
        model = SlowModel(scoring, most_waiting=1)
        asked = asyncio.create_task(model.score(["x"]))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        with pytest.raises(ModelFailed):
            await model.score(["x"])
        scoring.gate.set()

    asyncio.run(journey())


def test_closing_lets_what_is_under_way_be_answered_first() -> None:
    scoring = Gated()

    async def journey() -> list[Output]:
        model = SlowModel(scoring)
        asked = asyncio.create_task(model.score(["x"]))
        await asyncio.sleep(0)
        model.close()
        assert not scoring.closed.is_set()
        scoring.gate.set()
        return await asked

    assert asyncio.run(journey()) == [(1.0,)]
    assert scoring.closed.wait(60)
