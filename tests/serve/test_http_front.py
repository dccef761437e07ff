"""What does the front promise its callers? Real sockets, raw bytes, the clock in the test's hand."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from tests.serve.raw_http import Caller, Place, a_front, echo, get, post

from trueup.serve.http_limits import FrontLimits
from trueup.serve.http_messages import Request, Response


def on_a_front(
    scene: Callable[[Place], Awaitable[None]],
    *,
    handler: Callable[[Request], Response | None] = echo,
    limits: FrontLimits | None = None,
) -> None:
    async def play() -> None:
        async with a_front(handler, limits) as place:
            await scene(place)

    uvloop.run(play())


class Later:
    """A handler that keeps its requests until it is told to answer."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def __call__(self, request: Request) -> None:
        self.asked.append(request)


def test_a_request_is_answered_and_the_connection_kept() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        told = await caller.asks(post(b"rows"))
        assert (told.status, told.body) == (200, b"POST|/||rows")
        assert told.headers == {
            "date": "Sun, 06 Nov 1994 08:49:37 GMT",
            "content-type": "text/plain",
            "content-length": "12",
        }
        assert (await caller.asks(get("/a/b?c=1"))).body == b"GET|/a/b|c=1|"
        assert place.front.connections == 1

    on_a_front(scene)


def test_pipelined_requests_are_answered_in_order_however_late_and_mixed_the_answers_come() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(get("/1") + get("/2") + get("/3") + get("/4"))
        await place.until(lambda: len(later.asked) == 4)
        assert place.front.in_flight == 4
        for number in (3, 1, 0, 2):
            later.asked[number].reply(Response(200, b"%d" % (number + 1)))
        assert [(await caller.told()).body for _ in range(4)] == [b"1", b"2", b"3", b"4"]
        assert place.front.in_flight == 0

    on_a_front(scene, handler=later)


def test_an_answer_given_at_once_waits_for_an_earlier_one() -> None:
    kept: list[Request] = []

    def handler(request: Request) -> Response | None:
        if request.path == b"/late":
            kept.append(request)
            return None
        return Response(200, request.path)

    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(get("/late") + get("/soon"))
        await place.until(lambda: place.seen.statuses == [200])
        kept[0].reply(Response(200, b"/late"))
        assert [(await caller.told()).body, (await caller.told()).body] == [b"/late", b"/soon"]

    on_a_front(scene, handler=handler)


def test_a_request_answered_twice_is_a_mistake_that_is_told() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(get())
        await place.until(lambda: len(later.asked) == 1)
        later.asked[0].reply(Response(200, b"once"))
        with pytest.raises(RuntimeError, match="answered twice"):
            later.asked[0].reply(Response(200, b"again"))
        assert (await caller.told()).body == b"once"

    on_a_front(scene, handler=later)


def test_a_handler_that_raises_gets_a_500_that_leaks_nothing() -> None:
    def handler(request: Request) -> Response:
        raise ValueError("secret iban")

    async def scene(place: Place) -> None:
        caller = await place.caller()
        told = await caller.asks(get())
        assert (told.status, told.code) == (500, "serve.internal")
        assert b"iban" not in told.body
        assert (await caller.asks(get())).status == 500
        assert [str(error) for error in place.seen.errors] == ["secret iban"] * 2

    on_a_front(scene, handler=handler)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"no http at all\r\n\r\n", 400, "serve.bad-request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "serve.bad-request"),
        (get("/", "Host: there"), 400, "serve.bad-request"),
        (get("/", "Bad Name: 1"), 400, "serve.bad-request"),
        (get("here"), 400, "serve.bad-request"),
        (get(version="2.0"), 505, "serve.version-unknown"),
        (b"GET /\r\n\r\n", 505, "serve.version-unknown"),
        (b"CONNECT here:1 HTTP/1.1\r\nHost: here\r\n\r\n", 405, "serve.method-not-allowed"),
        (post(b"abc", "Content-Length: 3"), 400, "serve.bad-request"),
        (post(b"0\r\n\r\n", "Transfer-Encoding: chunked"), 400, "serve.bad-request"),
        (get("/", "Transfer-Encoding: gzip, chunked"), 415, "serve.coding-unknown"),
        (post(b"abc", "Content-Encoding: gzip"), 415, "serve.coding-unknown"),
        (post(b"abc", "Expect: a miracle"), 417, "serve.expectation-unknown"),
        (get("/" + "a" * 8192), 414, "serve.target-too-long"),
        (get("/", *(f"x-{n}: 1" for n in range(100))), 431, "serve.headers-too-large"),
        (get("/", "x: " + "a" * 40_000), 431, "serve.headers-too-large"),
    ],
)
def test_what_is_no_clean_request_is_refused_and_the_connection_closed(data: bytes, status: int, code: str) -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        told = await caller.asks(data)
        assert (told.status, told.code) == (status, code)
        assert told.headers["connection"] == "close"
        assert await caller.rest() == b""
        assert place.seen.reasons == [code.removeprefix("serve.")]

    on_a_front(scene)


def test_a_body_of_100_mb_is_refused_before_it_is_sent() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        told = await caller.asks(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100000000\r\n\r\n")
        assert (told.status, told.code) == (413, "serve.body-too-large")
        assert await caller.rest() == b""

    on_a_front(scene)


def test_a_refused_caller_that_goes_on_sending_still_sees_why() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(40):
            caller.send(bytes(250_000))
            await caller.writer.drain()
        assert (await caller.told()).status == 413

    on_a_front(scene)


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_long() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
        caller.send(b"3\r\nabc\r\n4\r\ndefg\r\n4\r\n")
        caller.send(b"hijk")
        assert (await caller.told()).status == 413

    on_a_front(scene, limits=FrontLimits(body_bytes=10))


def test_a_chunked_body_arrives_whole_and_its_trailers_say_nothing() -> None:
    headers: list[bytes | None] = []

    def handler(request: Request) -> Response:
        headers.append(request.headers.get(b"authorization"))
        return echo(request)

    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
        caller.send(b"3;note=1\r\nabc\r\n4\r\ndefg\r\n0\r\nAuthorization: Bearer stolen\r\n\r\n")
        assert (await caller.told()).body == b"POST|/||abcdefg"
        assert headers == [None]
        assert (await caller.asks(get())).status == 200

    on_a_front(scene, handler=handler)


def test_http_1_0_is_closed_unless_it_asks_to_be_kept() -> None:
    async def scene(place: Place) -> None:
        kept = await place.caller()
        told = await kept.asks(get("/", "Connection: keep-alive", version="1.0"))
        assert told.headers["connection"] == "keep-alive"
        told = await kept.asks(get(version="1.0"))
        assert told.headers["connection"] == "close"
        assert await kept.rest() == b""

    on_a_front(scene)


def test_what_follows_a_request_that_closes_is_not_answered() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        told = await caller.asks(get("/last", "Connection: close") + get("/more"))
        assert told.body == b"GET|/last||"
        assert await caller.rest() == b""

    on_a_front(scene)


def test_a_caller_that_asks_first_is_invited_to_send_its_body() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        head = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        caller.send(head)
        assert (await caller.told()).status == 100
        assert (await caller.asks(b"rows")).body == b"POST|/||rows"

    on_a_front(scene)


def test_head_is_answered_as_get_without_a_body() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(get("/x").replace(b"GET", b"HEAD"))
        told = await caller.told(body=False)
        assert (told.status, told.headers["content-length"]) == (200, str(len(b"GET|/x||")))
        assert (await caller.asks(get("/y"))).body == b"GET|/y||"

    on_a_front(scene)


def test_a_204_has_neither_body_nor_length() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        told = await caller.asks(get())
        assert (told.status, told.headers) == (204, {"date": "Sun, 06 Nov 1994 08:49:37 GMT", "allow": "GET"})
        assert (await caller.asks(get())).status == 204

    on_a_front(scene, handler=lambda _: Response(204, b"", headers=((b"allow", b"GET"),)))


@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_an_upgrade_is_ignored_and_its_body_read(framing: str) -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        body = b"abc" if "Length" in framing else b"3\r\nabc\r\n0\r\n\r\n"
        head = f"POST /up HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{framing}\r\n\r\n".encode()
        caller.send(head + body + get("/next"))
        assert (await caller.told()).body == b"POST|/up||abc"
        assert (await caller.told()).body == b"GET|/next||"
        assert (await caller.asks(get("/g", "Connection: Upgrade", "Upgrade: h2c") + get("/n"))).body == b"GET|/g||"
        assert (await caller.told()).body == b"GET|/n||"

    on_a_front(scene)


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET / HTTP/1.1\r\nHo", 408), (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", 408), (b"", None)],
)
def test_a_request_that_stays_unfinished_is_ended(sent: bytes, status: int | None) -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        told_before = await caller.asks(get())
        assert told_before.status == 200
        caller.send(sent)
        probe = await place.caller()
        assert (await probe.asks(get())).status == 200
        place.front.expire(place.now + 9)
        assert place.front.connections == 2
        place.now += 100
        place.front.expire(place.now)
        if status:
            assert (await caller.told()).status == status
        assert await caller.rest() == b""

    on_a_front(scene, limits=FrontLimits(head_s=10, body_s=10, idle_s=10))


def test_an_answer_that_does_not_come_is_told_and_not_awaited() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(get() + get())
        await place.until(lambda: len(later.asked) == 2)
        place.front.expire(place.now + 31)
        told = await caller.told()
        assert (told.status, told.code, told.headers["retry-after"]) == (503, "serve.answer-too-late", "1")
        assert await caller.rest() == b""
        assert place.front.in_flight == 0
        for request in later.asked:
            request.reply(Response(200, b"too late"))

    on_a_front(scene, handler=later)


def test_a_caller_that_never_reads_is_not_read_and_then_dropped() -> None:
    asked = 0

    def handler(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return Response(200, bytes(100_000))

    async def scene(place: Place) -> None:
        with socket.create_connection(("127.0.0.1", place.port)) as greedy:
            greedy.setblocking(False)
            await place.until(lambda: place.front.connections == 1)
            sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(greedy, get() * 1_000_000))
            before = -1
            while before != asked:
                before = asked
                for _ in range(20):
                    await asyncio.sleep(0)
            assert 0 < asked < 3_000
            assert not sending.done()
            place.front.expire(place.now + 31)
            await place.until(lambda: place.front.connections == 0)
            assert place.seen.reasons == ["slow-reader"]
            with pytest.raises(OSError, match=r"reset|pipe"):
                await sending

    on_a_front(scene, handler=handler)


def test_a_connection_with_many_unanswered_requests_is_read_no_further() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        caller = await place.caller()
        for number in range(5_000):
            caller.send(get(f"/{number}", "X-Padding: " + "x" * 200))
        await place.until(lambda: len(later.asked) >= 8)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(later.asked) < 1_000
        for number in range(5_000):
            await place.until(lambda number=number: len(later.asked) > number)  # type: ignore[misc]
            later.asked[number].reply(Response(200, later.asked[number].path))
            assert (await caller.told()).body == b"/%d" % number

    on_a_front(scene, handler=later, limits=FrontLimits(pipelined=8))


def test_one_connection_too_many_is_told_so_and_closed() -> None:
    async def scene(place: Place) -> None:
        first = await place.caller()
        assert (await first.asks(get())).status == 200
        second = await place.caller()
        told = await second.told()
        assert (told.status, told.code, told.headers["retry-after"]) == (503, "serve.too-many-connections", "1")
        assert await second.rest() == b""
        assert (await first.asks(get())).status == 200

    on_a_front(scene, limits=FrontLimits(connections=1))


def test_a_standing_queue_gets_429_before_the_handler_is_called_and_is_gone_with_it() -> None:
    async def scene(place: Place) -> None:
        caller = await place.caller()
        place.waited = 0.4
        told = await caller.asks(get())
        assert (told.status, told.code, told.headers["retry-after"]) == (429, "serve.too-busy", "1")
        assert "connection" not in told.headers
        place.waited = 0.0
        assert (await caller.asks(get())).status == 200
        assert place.seen.reasons == ["too-busy"]

    on_a_front(scene)


def test_a_few_large_requests_may_wait_longer_than_many_small_ones() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        first, second = await place.caller(), await place.caller()
        place.waited = 0.15
        first.send(get())
        await place.until(lambda: len(later.asked) == 1)
        assert (await second.asks(get())).status == 429
        later.asked[0].reply(Response(200, b"done"))
        assert (await first.told()).body == b"done"

    on_a_front(scene, handler=later, limits=FrontLimits(few=1))


def test_more_requests_in_flight_than_allowed_get_429_at_once() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        first, second = await place.caller(), await place.caller()
        first.send(get())
        await place.until(lambda: len(later.asked) == 1)
        assert (await second.asks(get())).status == 429
        later.asked[0].reply(Response(200, b"done"))
        assert (await first.told()).body == b"done"
        second.send(get())
        await place.until(lambda: len(later.asked) == 2)

    on_a_front(scene, handler=later, limits=FrontLimits(in_flight=1))


def test_a_caller_that_half_closes_still_gets_its_answer() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(get())
        caller.writer.write_eof()
        await place.until(lambda: len(later.asked) == 1)
        for _ in range(5):
            await asyncio.sleep(0)
        later.asked[0].reply(Response(200, b"still"))
        assert (await caller.told()).body == b"still"
        assert await caller.rest() == b""

    on_a_front(scene, handler=later)


def test_an_answer_to_a_caller_who_left_goes_nowhere_and_counts_for_nothing() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        caller = await place.caller()
        caller.send(get())
        await place.until(lambda: len(later.asked) == 1)
        at_once = struct.pack("ii", 1, 0)
        caller.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        caller.writer.transport.abort()
        await place.until(lambda: place.front.connections == 0)
        assert place.front.in_flight == 0
        later.asked[0].reply(Response(200, b"nobody"))

    on_a_front(scene, handler=later)


def test_a_front_that_stops_answers_what_is_in_flight_and_says_goodbye() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        busy, idle = await place.caller(), await place.caller()
        busy.send(get("/1") + get("/2"))
        await place.until(lambda: len(later.asked) == 2 and place.front.connections == 2)
        stopping = asyncio.create_task(place.front.stop(1000))
        await asyncio.sleep(0)
        idle.send(get("/3"))
        await place.until(lambda: len(later.asked) == 3)
        for request in later.asked:
            request.reply(Response(200, request.path))
        first, second = await busy.told(), await busy.told()
        assert ("connection" in first.headers, second.headers["connection"]) == (False, "close")
        assert (await idle.told()).headers["connection"] == "close"
        assert await stopping == 0
        assert await busy.rest() == await idle.rest() == b""

    on_a_front(scene, handler=later)


def test_a_front_that_stops_closes_silent_connections_soon_and_waits_for_answers_until_the_grace_is_over() -> None:
    later = Later()

    async def scene(place: Place) -> None:
        idle, stuck = await place.caller(), await place.caller()
        stuck.send(get())
        await place.until(lambda: place.front.connections == 2 and len(later.asked) == 1)
        stopping = asyncio.create_task(place.front.stop(10))
        await asyncio.sleep(0)
        place.now += 0.9
        await asyncio.sleep(0)
        assert place.front.connections == 2
        place.now += 1
        assert await idle.rest() == b""
        assert place.front.connections == 1
        place.now += 10
        assert await stopping == 1
        assert await stuck.rest() == b""

    on_a_front(scene, handler=later)


def test_no_connection_the_system_has_taken_is_lost_when_a_front_stops() -> None:
    async def scene(place: Place) -> None:
        callers = [socket.create_connection(("127.0.0.1", place.port)) for _ in range(50)]
        stopping = asyncio.create_task(place.front.stop(1000))
        streams = [Caller(*await asyncio.open_connection(sock=each)) for each in callers]
        told = [await each.asks(get()) for each in streams]
        assert {each.status for each in told} == {200}
        assert await stopping == 0
        for each in streams:
            each.writer.close()

    on_a_front(scene)


def test_a_shared_socket_is_still_served_by_the_others_when_one_front_stops() -> None:
    async def play() -> None:
        async with a_front(lambda _: Response(200, b"one")) as one, a_front(lambda _: Response(200, b"two")) as two:
            await two.front.stop(0)
            async with a_front(lambda _: Response(200, b"other")) as other:
                await other.front.start([one.socket])
                await one.front.stop(0)
                caller = await one.caller()
                assert (await caller.asks(get())).body == b"other"

    uvloop.run(play())


def test_bodies_that_are_never_finished_take_no_more_memory_than_they_may() -> None:
    async def scene(place: Place) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        first, second = await place.caller(), await place.caller()
        first.send(head + b"x" * 900)
        assert (await second.asks(get())).status == 200
        refused = await (await place.caller()).asks(head + b"x" * 900)
        assert (refused.status, b"bodies-too-many" in refused.body) == (503, True)
        whole = await first.asks(b"x" * 100)
        assert whole.status == 200
        assert (await second.asks(head + b"x" * 900 + b"x" * 100)).status == 200

    on_a_front(scene, limits=FrontLimits(held_bytes=1_000))
