"""What does HTTP alone cost? A fixed answer from our front and from Granian, one core each, asked by wrk."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import Figure
from benchmarks.peers.environments import PeerMissing, environment_of
from benchmarks.peers.granian import ANSWER

CONNECTIONS = (1, 8, 32)
_SECONDS, _LONGEST_S = 3, 30.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_ASK = """wrk.method = "POST"
wrk.body = '{"inputs":[{"name":"amount","shape":[1],"datatype":"FP64","data":[120.5]}]}'
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer 0123456789abcdef"
"""
_TOLD = re.compile(r"50%\s+([\d.]+)(us|ms|s)\b.*?99%\s+([\d.]+)(us|ms|s)\b.*?Requests/sec:\s+([\d.]+)", re.DOTALL)
_IN_US = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass(frozen=True)
class Load:
    """What wrk saw, and what the server took for it."""

    requests_per_s: float
    p50_us: float
    p99_us: float
    cpu_us: float
    """Of the server's processes, per request."""


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
    script = folder / "ask.lua"
    script.write_text(_ASK)
    with serving(server) as (port, process):
        load_of(port, process, connections=8, script=script)
        return {each: load_of(port, process, connections=each, script=script) for each in CONNECTIONS}


def load_of(port: int, process: int, *, connections: int, script: Path) -> Load:
    """Ask for a few seconds from the last core."""
    before = cpu_seconds(process)
    wrk = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{_SECONDS}",
        "--latency",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}/",
    ]
    told = subprocess.run([*_on(-1), *wrk], capture_output=True, text=True, check=True).stdout
    found = _TOLD.search(told)
    if found is None or "Non-2xx" in told:
        raise RuntimeError(f"wrk was not answered: {told}")
    p50, p50_unit, p99, p99_unit, rate = found.groups()
    asked = int(re.search(r"(\d+) requests in", told).group(1))  # type: ignore[union-attr]
    used = cpu_seconds(process) - before
    return Load(float(rate), float(p50) * _IN_US[p50_unit], float(p99) * _IN_US[p99_unit], 1e6 * used / asked)


@contextmanager
def serving(command: list[str]) -> Iterator[tuple[int, int]]:
    """Run a server on the first core until it answers; its port and process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with subprocess.Popen(
        [*_on(0), *command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait_for(port, server)
            yield port, server.pid
        finally:
            server.terminate()


def cpu_seconds(process: int) -> float:
    """Return what a process and its children that live took, all threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND + sum(cpu_seconds(int(each)) for each in children)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + _LONGEST_S
    while time.monotonic() < ends and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise PeerMissing("the server did not start")


def _on(place: int) -> list[str]:
    """Return how a command is bound to one of the cores, where that can be done."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[place])] if shutil.which("taskset") and len(cores) > 1 else []


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
