"""A slow model holds nobody up, too many questions are refused at once, and a process that dies is started again."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.serve.processes import package_in_process
from tests.serve.running import until

from trueup.bundle.errors import ModelFailed
from trueup.bundle.golden import Output
from trueup.bundle.loading import open_process
from trueup.bundle.scoring import ModelProcess
from trueup.bundle.signing import public_key_path
from trueup.serve.pauses import MOST_SECONDS
from trueup.serve.slow_models import SlowModel

REQUEST = '{"amount":0.5,"age":40}'


class Gated:
    """Answers each request with its length, once the gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.closed = threading.Event()
        self.has_ended = False
        self.seconds = 0.0

    def score_requests(self, requests: Sequence[str]) -> list[Output]:
        self.gate.wait()
        if self.has_ended:
            raise ModelFailed("ended")
        return [(float(len(request)),) for request in requests]

    def answer_within(self, seconds: float) -> None:
        self.seconds = seconds

    def end(self) -> None:
        self.has_ended = True
        self.gate.set()

    def close(self) -> None:
        self.closed.set()


class Starts:
    """Starts what it is given, one after the other, or fails with it."""

    def __init__(self, *each: Gated | Exception) -> None:
        self.left = list(each)

    def __call__(self) -> Gated:
        found = self.left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def test_questions_wait_their_turn_and_more_than_agreed_are_refused_at_once() -> None:
    scoring = Gated()

    async def journey() -> list[list[Output]]:
        model = SlowModel(scoring, Starts(), most_waiting=2)
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
        model = SlowModel(scoring, Starts(), most_waiting=1)
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
        model = SlowModel(scoring, Starts())
        asked = asyncio.create_task(model.score(["x"]))
        await asyncio.sleep(0)
        model.close()
        assert not scoring.closed.is_set()
        scoring.gate.set()
        return await asked

    assert asyncio.run(journey()) == [(1.0,)]
    assert scoring.closed.wait(60)


def test_a_process_that_died_is_started_again_after_a_pause_and_meanwhile_questions_fail_at_once() -> None:
    first, second, now = Gated(), Gated(), [0.0]
    starts = Starts(second)
    model = SlowModel(first, starts, clock=lambda: now[0])
    first.end()
    assert not model.look_after()
    assert "started again after 1 s" in str(model.problem)
    with pytest.raises(ModelFailed, match="ended"):
        asyncio.run(model.score(["x"]))
    assert not model.look_after()
    assert starts.left == [second]
    now[0] += 1
    until(model.look_after)
    second.gate.set()
    assert asyncio.run(model.score(["xx"])) == [(2.0,)]
    assert (model.problem, model.restarts) == (None, 1)
    assert first.closed.wait(60)
    model.close().result()


def test_while_it_does_not_start_or_dies_again_the_pauses_grow_and_a_long_life_makes_them_short_again() -> None:
    first, second, third, now = Gated(), Gated(), Gated(), [0.0]
    model = SlowModel(first, Starts(ModelFailed("no memory"), OSError("no space"), second, third), clock=lambda: now[0])
    first.end()
    pauses = []
    for telling in ("ended;", "no memory", "no space"):
        until(lambda telling=telling: not model.look_after() and telling in str(model.problem))  # type: ignore[misc]
        pauses.append(str(model.problem).partition(" after ")[2].partition(",")[0])
        now[0] += 2.0 ** (len(pauses) - 1)
    until(model.look_after)
    second.end()
    model.look_after()
    pauses.append(str(model.problem).partition(" after ")[2].partition(",")[0])
    now[0] += 8
    until(model.look_after)
    now[0] += MOST_SECONDS
    third.end()
    model.look_after()
    pauses.append(str(model.problem).partition(" after ")[2].partition(",")[0])
    assert pauses == ["1 s", "2 s", "4 s", "8 s", "1 s"]
    assert model.restarts == 2
    model.close().result()


def test_closed_while_another_process_starts_it_leaves_neither_behind() -> None:
    first, second, begun, go_on = Gated(), Gated(), threading.Event(), threading.Event()

    def start() -> Gated:
        begun.set()
        go_on.wait()
        return second

    now = [0.0]
    model = SlowModel(first, start, clock=lambda: now[0])
    first.end()
    model.look_after()
    now[0] += 1
    assert not model.look_after()
    assert begun.wait(60)
    ended = model.close()
    go_on.set()
    ended.result()
    assert first.closed.is_set()
    assert second.closed.is_set()
    assert not model.look_after()


def test_ending_it_does_not_wait_for_a_question_that_has_no_answer() -> None:
    scoring = Gated()

    async def journey() -> None:
        model = SlowModel(scoring, Starts())
        asked = asyncio.create_task(model.score(["x"]))
        await asyncio.sleep(0)
        await asyncio.wrap_future(model.end())
        with pytest.raises(ModelFailed):
            await asked

    asyncio.run(journey())
    assert scoring.closed.is_set()


def test_a_real_process_that_is_killed_or_hangs_gives_the_scores_of_before_once_it_runs_again(tmp_path: Path) -> None:
    folder = tmp_path / "bundles" / package_in_process(tmp_path)
    trusted, now = [public_key_path(tmp_path / "signing.pem")], [0.0]
    started = []

    def start() -> ModelProcess:
        started.append(open_process(folder, trusted_keys=trusted))
        return started[-1]

    model = SlowModel(start(), start, clock=lambda: now[0], hangs_after_s=0.2)
    before = asyncio.run(model.score([REQUEST]))
    for ending in (signal.SIGKILL, signal.SIGSTOP):
        os.kill(started[-1].pid, ending)
        with pytest.raises(ModelFailed):
            asyncio.run(model.score([REQUEST]))
        until(lambda: started[-1].has_ended)
        assert not model.look_after()
        now[0] += MOST_SECONDS
        until(model.look_after)
        assert asyncio.run(model.score([REQUEST])) == before
    model.close().result()
    assert len(started) == 3
    assert all(process.has_ended for process in started)
