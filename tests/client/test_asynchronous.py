"""The same client in an event loop, against a real front that has too much to do."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from tests.serve.raw_http import a_front

from trueup.client import AsyncClient, NotReachable, NotSent, Outcome, Unavailable
from trueup.client.retrying import RetryPolicy
from trueup.serve.http_limits import FrontLimits
from trueup.serve.http_messages import Request, Response

TOLD = (
    b'{"predictions":[{"prediction_id":"%s","association_id":null,"score":0.5,"decision":true,'
    b'"decision_by":"champion","reason":"worth_it","qualifies":true,"model_version":"m","policy_version":"p"}]}'
) % b"01890a5d-ac96-774b-bcce-b302099a8057"
RECORDED = b'{"recorded":1,"fact_ids":["01890a5d-ac96-774b-bcce-b302099a8057"]}'


class Held:
    """A handler that keeps its requests until it is told to answer."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> None:
        self.asked.append(request)

    def answer_all(self) -> None:
        for request in self.asked:
            request.reply(Response(200, TOLD))
        self.asked.clear()


def test_a_front_that_is_busy_is_asked_again_after_what_it_says() -> None:
    held = Held()
    slept: list[float] = []

    async def play() -> None:
        async with a_front(held, FrontLimits(in_flight=1)) as place:

            async def sleep(seconds: float) -> None:
                slept.append(seconds)
                held.answer_all()
                await place.until(lambda: place.front.in_flight == 0)

            url = f"http://127.0.0.1:{place.port}"
            async with AsyncClient(url, sleep=sleep, chance=lambda: 0.0) as client:
                first = asyncio.create_task(client.predict([{}]))
                await place.until(lambda: len(held.asked) == 1)
                second = asyncio.create_task(client.predict([{}]))
                assert (await first)[0].decision is True
                await place.until(lambda: len(held.asked) == 1)
                held.answer_all()
                assert (await second)[0].reason == "worth_it"
            assert 429 in place.seen.statuses or place.seen.reasons

    uvloop.run(play())
    assert slept == [1.025]  # a second is asked for, and half of 0.05 is the least that is added


def test_a_front_that_stays_busy_is_told_as_unavailable() -> None:
    async def play() -> None:
        def busy(_: Request) -> Response:
            return Response(
                503, b'{"error":"the disk is full","code":"serve.disk-full"}', headers=((b"retry-after", b"60"),)
            )

        async with a_front(busy) as place, AsyncClient(f"http://127.0.0.1:{place.port}") as client:
            with pytest.raises(Unavailable, match="the disk is full") as told:
                await client.predict([{}])
            assert told.value.code == "serve.disk-full"

    uvloop.run(play())


def test_an_answer_that_does_not_come_ends_with_the_deadline() -> None:
    async def play() -> None:
        policy = RetryPolicy(deadline_s=0.01)
        async with a_front(Held()) as place, AsyncClient(f"http://127.0.0.1:{place.port}", retries=policy) as client:
            with pytest.raises(NotReachable):
                await client.predict([{}])

    uvloop.run(play())


def test_outcomes_are_sent_together_and_kept_while_they_cannot_be() -> None:
    bodies: list[bytes] = []
    works = [False]

    def take(request: Request) -> Response:
        bodies.append(request.body)
        return Response(200, RECORDED) if works[0] else Response(500, b'{"error":"no","code":"serve.internal"}')

    async def play() -> None:
        async with a_front(take) as place, AsyncClient(f"http://127.0.0.1:{place.port}") as client:
            batch = client.outcome_batch(most=2)
            await batch.add(Outcome(outcome=True, association_id="A-1"))
            assert not bodies
            await batch.add(Outcome(outcome=True, association_id="A-2"))
            assert (len(bodies), len(batch.waiting)) == (1, 2)
            with pytest.raises(NotSent):
                await batch.close()
            works[0] = True
            await batch.close()
            assert batch.waiting == ()
            assert bodies[0] == bodies[1] == bodies[2]

    uvloop.run(play())
