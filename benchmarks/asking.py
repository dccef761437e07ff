"""What does a server do under load? One core for it, another one for wrk, which asks with other bodies each time."""

from __future__ import annotations

import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.environments import PeerMissing

CONNECTIONS = (1, 8, 32)
_LONGEST_START_S, _LONGEST_END_S = 120.0, 30.0
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_SCRIPT = """
local requests, place, asking = {}, 0, nil
refused, wrong = 0, 0
function setup(thread) asking = thread end
function init()
  for body in io.lines(%(bodies)s) do
    requests[#requests + 1] = wrk.format("POST", %(path)s, nil, body)
  end
end
function request()
  place = place %% #requests + 1
  return requests[place]
end
%(response)s
function done(summary, latency)
  local errors = summary.errors
  local broken = asking:get("wrong") + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format('\\ntold {"requests": %%d, "us": %%d, "p50": %%d, "p99": %%d', summary.requests,
    summary.duration, latency:percentile(50), latency:percentile(99)))
  io.write(string.format(', "status": %%d, "refused": %%d, "broken": %%d}\\n', errors.status,
    asking:get("refused"), broken))
end
"""
_LOOK = """
function response(status)
  if status == 429 then refused = refused + 1 elseif status ~= 200 then wrong = wrong + 1 end
end
"""
"""Looking at every answer costs wrk time, so it is done only where a server may refuse."""


class NotAnswered(Exception):
    """A server gave something else than answers, so that nothing was measured."""


@dataclass(frozen=True)
class Question:
    """What is asked."""

    path: str
    bodies: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    may_be_refused: bool = False
    """Whether a 429 is an answer too: of a server that takes no more than it can answer in time."""


@dataclass(frozen=True)
class Load:
    """What wrk saw, and what the server took for it."""

    requests_per_s: float
    """Answered with 200."""
    p50_us: float
    p99_us: float
    cpu_us: float
    """Of the server's processes, per request."""
    preempted_per_s: float
    """How often the server was put aside for something else: many mean that the machine was busy."""
    wrk_share: float
    """Of its core that wrk used: near 1 the server could have done more."""
    server_share: float
    """Of its core that the server used."""
    refused_share: float = 0.0
    """Of requests that got a 429."""


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    port: int
    process: int
    start_s: float
    """From the start of its process to its first answer with 200, or to its first connection where none was asked."""


def load_of(running: Running, question: Question, *, connections: int, seconds: int, folder: Path) -> Load:
    """Ask for some seconds.

    Raises
    ------
    NotAnswered
        When an answer is anything but 200, or a connection breaks.
    """
    script = folder / "ask.lua"
    script.write_text(_written(question, folder))
    url = f"http://127.0.0.1:{running.port}{question.path}"
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
    cpu, preempted, own = cpu_seconds(running.process), _preempted(running.process), _children_seconds()
    ran = subprocess.run([*on_core(-1), *wrk], capture_output=True, text=True, check=False)
    cpu, preempted = cpu_seconds(running.process) - cpu, _preempted(running.process) - preempted
    line = next((line for line in ran.stdout.splitlines() if line.startswith("told ")), None)
    if line is None:
        raise NotAnswered(f"wrk ended without figures: {ran.stdout}{ran.stderr}")
    told = json.loads(line[5:])
    refused = told["refused"] if question.may_be_refused else 0
    answered = told["requests"] - told["status"]
    if told["status"] != refused or told["broken"] or not answered:
        raise NotAnswered(f"{told['status']} refused, {told['broken']} broken of {told['requests']} requests")
    wall = told["us"] / 1e6
    return Load(
        requests_per_s=answered / wall,
        p50_us=told["p50"],
        p99_us=told["p99"],
        cpu_us=1e6 * cpu / answered,
        preempted_per_s=preempted / wall,
        wrk_share=(_children_seconds() - own) / wall,
        server_share=cpu / wall,
        refused_share=refused / told["requests"],
    )


@contextmanager
def serving(
    command: Callable[[int], list[str]],
    question: Question | None = None,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Run a server on the first core until the block ends; it is there once it answered.

    Parameters
    ----------
    command : callable
        Given a port.
    question : Question, optional
        Asked until it is answered with 200; left out, a connection is enough.
    folder : Path, optional
        Keeps what the server says.
    environment : mapping, optional
        Beside that of this process.

    Raises
    ------
    PeerMissing
        When it ends, or gives no answer in time.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    output = (folder / "server.log") if folder else Path(os.devnull)
    began = time.monotonic()
    with (
        output.open("ab") as said,
        subprocess.Popen(
            [*on_core(0), *command(port)], stdout=said, stderr=said, env={**os.environ, **(environment or {})}
        ) as server,
    ):
        try:
            _wait_for(port, server, question, output)
            yield Running(port, server.pid, time.monotonic() - began)
        finally:
            _end(server)


def cpu_seconds(process: int) -> float:
    """Return what a process and its descendants that live took, all threads."""
    return sum(map(_own_cpu_seconds, tree_of(process)))


def memory_mb(process: int) -> tuple[float, float]:
    """Return the resident memory of the largest process of a server, and of all, shared pages counted once."""
    largest = whole = 0.0
    for each in tree_of(process):
        with suppress(OSError):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            sizes = {line.split()[0]: int(line.split()[1]) * 1024 / 1e6 for line in lines[1:]}
            largest, whole = max(largest, sizes["Rss:"]), whole + sizes["Pss:"]
    return largest, whole


def tree_of(process: int) -> list[int]:
    """Return a process and all its descendants that live."""
    found = [process]
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):
            for child in (thread / "children").read_text().split():
                found += tree_of(int(child))
    return found


def on_core(place: int) -> list[str]:
    """Return how a command is bound to one of the cores, where that can be done."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[place])] if shutil.which("taskset") and len(cores) > 1 else []


def _written(question: Question, folder: Path) -> str:
    bodies = folder / "bodies.txt"
    bodies.write_text("".join(f"{body}\n" for body in question.bodies))
    headers = {"content-type": "application/json", **question.headers}
    set_headers = "".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}\n" for name, value in headers.items())
    parts = {"bodies": json.dumps(str(bodies)), "path": json.dumps(question.path)}
    return set_headers + _SCRIPT % {**parts, "response": _LOOK if question.may_be_refused else ""}


def _wait_for(port: int, server: subprocess.Popen[bytes], question: Question | None, output: Path) -> None:
    ends, status = time.monotonic() + _LONGEST_START_S, 0
    while time.monotonic() < ends and server.poll() is None:
        try:
            if question is None:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            status = _asked_once(port, question)
        except (OSError, http.client.HTTPException):
            status = 0
        if status == 200:
            return
        time.sleep(0.005)
    lines = output.read_text(errors="replace").strip().splitlines() if output.is_file() else []
    raise PeerMissing(f"the server did not answer (last status {status}): {lines[-1][:200] if lines else ''}")


def _asked_once(port: int, question: Question) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"content-type": "application/json", **question.headers}
        connection.request("POST", question.path, question.bodies[0], headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(_LONGEST_END_S)
    except subprocess.TimeoutExpired:
        for each in reversed(tree_of(server.pid)):
            with suppress(OSError):
                os.kill(each, signal.SIGKILL)


def _own_cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def _preempted(process: int) -> int:
    found = 0
    for each in tree_of(process):
        for status in Path(f"/proc/{each}/task").glob("*/status"):
            with suppress(OSError):
                found += int(status.read_text().rpartition("nonvoluntary_ctxt_switches:")[2])
    return found


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
