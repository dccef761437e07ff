"""The endpoints of one project with the small model, and the same over HTTP on a free port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.serve.loadouts import NOON, answerer, loadout

from trueup.kernel.ids import IdMint
from trueup.lake.desired_state import TokenGrant, token_digest
from trueup.serve.callers import Callers
from trueup.serve.endpoints import Desk, Endpoints
from trueup.serve.facts import FactDesk
from trueup.serve.http_front import Front
from trueup.serve.http_limits import FrontLimits
from trueup.serve.http_messages import Request, Response
from trueup.serve.loadout import Loadout
from trueup.serve.replies import Reply

AUTHORIZATION = b"Bearer a-token-of-the-tests"
PROJECT = "small-fraud"


def desk(given: Loadout | None = None) -> Desk:
    """Return a desk at which the token of the tests may do everything."""
    grants = [
        TokenGrant("tests", token_digest("a-token-of-the-tests"), ("predict", "facts", "metrics")),
        TokenGrant("watcher", token_digest("only-metrics"), ("metrics",)),
    ]
    return Desk(answerer(given or loadout()), FactDesk(PROJECT, mint=IdMint()), Callers(grants))


def endpoints(given: Loadout | None = None, *, ready: bool = True) -> Endpoints:
    """Return the endpoints of a server with one project."""
    return Endpoints(
        {PROJECT: desk(given)},
        metrics=lambda openmetrics: b"# EOF\n" if openmetrics else b"up 1\n",
        is_ready=lambda: ready,
    )


def ask_endpoint(
    given: Endpoints,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    authorization: bytes | None = AUTHORIZATION,
    accept: bytes | None = None,
) -> Reply:
    """Return the answer at noon."""
    sent = {b"authorization": authorization, b"accept": accept}
    headers = {name: value for name, value in sent.items() if value is not None}
    told = given.handle(method.encode(), path.encode(), headers=headers, body=body, now=NOON, started_ns=0)
    assert isinstance(told, Reply)
    return told


@dataclass
class Served:
    """A front that answers from endpoints, without a log: it keeps what it was to record."""

    port: int = 0
    replies: list[Reply] = field(default_factory=list)


@contextmanager
def serving(given: Endpoints) -> Iterator[Served]:
    """Answer HTTP requests in a thread of its own."""
    served, loop = Served(), asyncio.new_event_loop()
    ended = asyncio.Event()

    def handle(request: Request) -> Response:
        told = given.handle(
            request.method,
            request.path,
            headers=request.headers,
            body=request.body,
            now=NOON,
            started_ns=0,
        )
        assert isinstance(told, Reply)
        served.replies.append(told)
        return Response(told.status, told.body, told.content_type, told.headers)

    async def run(listening: socket.socket, started: threading.Event) -> None:
        front = Front(handle, FrontLimits())
        await front.start([listening])
        started.set()
        await ended.wait()
        await front.stop(0)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        served.port = listening.getsockname()[1]
        started = threading.Event()
        thread = threading.Thread(target=loop.run_until_complete, args=(run(listening, started),))
        thread.start()
        started.wait()
        try:
            yield served
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join()
            loop.close()
