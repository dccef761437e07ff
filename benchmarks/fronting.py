"""What does HTTP alone cost? A fixed answer from our front and from Granian, one core each, asked by wrk."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.asking import CONNECTIONS, Load, Question, load_of, serving
from benchmarks.measuring import Figure
from benchmarks.peers.environments import PeerMissing, environment_of
from benchmarks.peers.granian import ANSWER

_SECONDS = 3
_BODY = '{"inputs":[{"name":"amount","shape":[1],"datatype":"FP64","data":[120.5]}]}'
_QUESTION = Question("/", [_BODY], {"authorization": "Bearer 0123456789abcdef"})


def figures(folder: Path) -> Iterator[Figure]:
    """Yield requests/s, latencies and CPU of both for each number of connections; nothing where wrk is missing."""
    if shutil.which("wrk") is None:
        yield Figure("front.wrk", 0, "", note="not measured: wrk is missing")
        return
    ours = loads([sys.executable, "-m", "benchmarks.fronting"], folder)
    missing, theirs = "", dict[int, Load]()
    try:
        theirs = loads([str(environment_of("granian")), "-m", "benchmarks.peers.granian"], folder)
    except PeerMissing as error:
        missing = f"the peer was not measured: {error}"
    for connections, load in ours.items():
        peer = theirs.get(connections)
        for name, unit in (("requests_per_s", "1/s"), ("p50_us", "us"), ("p99_us", "us"), ("cpu_us", "us")):
            beside = getattr(peer, name) if peer else None
            yield Figure(f"front.{connections}.{name}", getattr(load, name), unit, "granian", beside, missing)


def loads(server: list[str], folder: Path) -> dict[int, Load]:
    """Return what a server does under each number of connections, after a warm-up."""
    with serving(lambda port: [*server, str(port)]) as running:
        load_of(running, _QUESTION, connections=8, seconds=1, folder=folder)
        return {
            each: load_of(running, _QUESTION, connections=each, seconds=_SECONDS, folder=folder) for each in CONNECTIONS
        }


async def serve(port: int) -> None:
    """Give the fixed answer until the end."""
    from trueup.serve.http_front import Front
    from trueup.serve.http_limits import FrontLimits
    from trueup.serve.http_messages import Response

    front = Front(lambda _: Response(200, ANSWER), FrontLimits())
    await front.start([socket.create_server(("127.0.0.1", port), backlog=1024)])
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
