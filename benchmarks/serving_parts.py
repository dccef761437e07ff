"""Where does the time of one answered row go? CPU microseconds of each step, on other rows each time, on one core.

Steps in a row are told as what each adds to those before it, so with the processor's caches as they are in a server;
`decode`, `predict` and `write` also alone, as nobody could do them for less, and `together`, by turns for each row, as
no server could. Medians of runs in which all take turns.
Everything measured is the product's own function, in the order in which a server calls it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.measuring import Figure, apart
from benchmarks.serving_model import PROJECT, TOKEN, ServedModel, bodies_by_name, make_model
from trueup.kernel.ids import IdMint
from trueup.lake.capacity_file import CapacityFile
from trueup.lake.desired_state import read_desired
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_records import PredictionRecord, encode_record
from trueup.lake.personal import PersonalSealer
from trueup.lake.rolling import RollingSegments
from trueup.serve.endpoints import Desk, Endpoints
from trueup.serve.http_messages import Request, Response
from trueup.serve.metrics import ServerMetrics
from trueup.serve.opening import Opening
from trueup.serve.recording import make_recorder
from trueup.serve.replies import Answered, Reply, rows_form
from trueup.serve.row_requests import read_envelope
from trueup.serve.served_project import Sealing, ServedProject
from trueup.serve.single import decide_single, score_single
from trueup.serve.telling import Teller

RUNS, CALLS = 15, 2_000
AT_ONCE = 8
"""Requests that arrive in one turn of the loop, and share a write."""
STEPS = {
    "envelope": "the request's JSON without its rows",
    "rows": "the row's numbers, and what the policy reads",
    "score": "the model",
    "decide": "an id, price, capacity, decision",
    "render": "the answer's JSON",
    "frame": "the log's record",
    "answering": "what joins the steps to bytes in, bytes out",
    "endpoint": "path and token",
    "telling": f"recorder, metrics, write with {AT_ONCE} requests a turn",
}
ALONE = {
    "decode": "envelope and rows, alone",
    "predict": "the model, alone",
    "write_of_1": "a frame written alone",
    "write_of_8": "a frame's share of a write of 8",
    "write_of_32": "a frame's share of a write of 32",
    "together_8": "decode, model and a write of 8, in turns for each row",
    "together_32": "the same with a write of 32",
}
Spent = dict[str, float]


def figures(folder: Path) -> Iterator[Figure]:
    """Yield the CPU of each step; makes the model first."""
    yield from figures_of(parts_of(make_model(folder)))


def figures_of(parts: Mapping[str, float]) -> Iterator[Figure]:
    """Yield what was found as figures."""
    for name, note in {**STEPS, "whole": "all steps; HTTP comes on top", **ALONE}.items():
        yield Figure(f"serve_parts.{name}", parts[name], "CPU us / row", note=note)


def parts_of(model: ServedModel) -> Spent:
    """Return CPU microseconds a row of `STEPS`, of all (`whole`) and of `ALONE`, found by a process of its own."""
    return apart(_measured, model)


def _measured(model: ServedModel) -> Spent:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    here = model.folder / "parts"
    here.mkdir(exist_ok=True)
    return uvloop.run(_measure(model, here))


async def _measure(model: ServedModel, here: Path) -> Spent:
    bench = _Bench.of(model, here)
    log = RollingSegments(here / "alone", PROJECT, clock=_now)
    frames = [frame for place in range(len(bench.bodies)) if (frame := bench.answer(place).frame) is not None]
    depths = list(STEPS)[: list(STEPS).index("answering")]
    works: dict[str, Callable[[int], object]] = {name: bench.until(depth + 1) for depth, name in enumerate(depths)}
    works |= {"answering": bench.answer, "endpoint": bench.handle}
    works |= {"decode": bench.until(2), "predict": bench.predict}
    for count in (1, 8, 32):
        works[f"write_of_{count}"] = _writing(log, frames, count)
        if count > 1:
            works[f"together_{count}"] = _together(bench, works[f"write_of_{count}"], count)
    spent: dict[str, list[float]] = {}
    for run in range(-1, RUNS):
        for name, work in works.items():
            at_once = int(name.rpartition("_")[2]) if name.startswith(("write_of_", "together_")) else 1
            used = _cpu_us(work, CALLS // at_once) / at_once
            spent.setdefault(name, []).extend([used] if run >= 0 else [])  # the first one warms up
        used = await _telling_us(bench)
        spent.setdefault("telling", []).extend([used] if run >= 0 else [])
    return _told({name: statistics.median(found) for name, found in spent.items()})


def _told(medians: Spent) -> Spent:
    """Return steps as what each adds, and the rest as it is."""
    told, before = {"whole": medians["telling"]}, 0.0
    for name in STEPS:
        told[name], before = medians[name] - before, medians[name]
    return {**told, **{name: medians[name] for name in ALONE}}


def _cpu_us(work: Callable[[int], object], calls: int) -> float:
    began = time.process_time_ns()
    for place in range(calls):
        work(place)
    return (time.process_time_ns() - began) / 1e3 / calls


async def _telling_us(bench: _Bench) -> float:
    """Return what a request takes from HTTP's hands to HTTP's hands."""
    began = time.process_time_ns()
    for place in range(0, CALLS, AT_ONCE):
        for more in range(AT_ONCE):
            bench.tell(place + more)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    used = (time.process_time_ns() - began) / 1e3 / CALLS
    bench.expect_answers(CALLS)
    return used


@dataclass
class _Bench:
    """One project as a server's process holds it, and what it is asked."""

    desk: Desk
    endpoints: Endpoints
    teller: Teller
    bodies: list[bytes]
    mint: IdMint
    answered: int = 0

    @classmethod
    def of(cls, model: ServedModel, here: Path) -> _Bench:
        """Open the bundle, and everything that a server opens beside it."""
        state = read_desired(FolderStore(model.lake("process")), PROJECT)
        today = dt.datetime.now(dt.UTC).date()
        opened = Opening((model.trusted,), here).open(model.bundle, digest=model.digest, today=today)
        recorder = make_recorder(
            RollingSegments(here / "hot", PROJECT, clock=_now),
            durability="process",
            loop=asyncio.get_running_loop(),
            clock=time.monotonic,
        )
        project = ServedProject(
            PROJECT,
            recorder=recorder,
            tokens=CapacityFile(here / "capacity", sync=False),
            ticks=time.monotonic_ns,
            sealing=Sealing(lambda columns: PersonalSealer(here / "keys", columns, clock=_now)),
        )
        project.adopt(state, {model.digest: opened})
        desk = project.desk
        if desk is None:
            raise AssertionError("the project was not opened")
        endpoints = Endpoints({PROJECT: desk}, metrics=lambda _openmetrics: b"", is_ready=lambda: True)
        metrics = ServerMetrics(here / "metrics", "parts", started_at=0.0)
        teller = Teller({PROJECT: project}, lambda _: endpoints, clock=_now, ticks=time.monotonic_ns, metrics=metrics)
        return cls(desk, endpoints, teller, [body.encode() for body in bodies_by_name(1)], IdMint())

    def until(self, depth: int) -> Callable[[int], object]:
        """Return what does the first steps of `STEPS` and no more."""
        return lambda place: self._steps(self.bodies[place % len(self.bodies)], depth)

    def _steps(self, body: bytes, depth: int) -> object:
        loadout = self.desk.answerer.loadout
        reader = loadout.champion.reader
        asked = read_envelope(body, most_rows=reader.most_rows)
        read = reader.read_single(asked.rows) if depth > 1 else None
        score = score_single(loadout, read[0]) if read is not None and depth > 2 else None
        if read is None or score is None or depth < 4:
            return None
        now = _now()
        made = self.mint.new(now)
        row = decide_single(loadout, score, read[1], prediction_id=made, moment=now, asked=asked)
        if depth > 4:
            rows_form(Answered(made, (row,), None, loadout))
        if depth > 5:
            version, digest = loadout.policy.version, reader.schema_digest
            encode_record(PredictionRecord(made, now, "benchmark", version, digest, 100, asked.rows, (row,)))
        return row

    def predict(self, place: int) -> object:
        """Ask the model alone."""
        read = self._read[place % len(self._read)]
        return score_single(self.desk.answerer.loadout, read)

    def __post_init__(self) -> None:
        reader = self.desk.answerer.loadout.champion.reader
        envelopes = [read_envelope(body, most_rows=1) for body in self.bodies]
        self._read = [reader.read(asked.rows).numbers for asked in envelopes]

    def answer(self, place: int) -> Reply:
        """Answer a body."""
        body = self.bodies[place % len(self.bodies)]
        return _given(self.desk.answerer.answer(body, caller="benchmark", now=_now(), started_ns=time.monotonic_ns()))

    def handle(self, place: int) -> Reply:
        """Answer a body that came by a path with a token."""
        told = self.endpoints.handle(
            b"POST",
            _PATH,
            headers=_HEADERS,
            body=self.bodies[place % len(self.bodies)],
            now=_now(),
            started_ns=time.monotonic_ns(),
        )
        return _given(told)

    def tell(self, place: int) -> None:
        """Answer a request of the HTTP server; it is counted once it is logged and told."""
        body = self.bodies[place % len(self.bodies)]
        request = Request(_Counted(self), b"POST", _PATH, query=b"", headers=_HEADERS, body=body)
        request.received_at = time.monotonic()
        self.teller.handle(request)

    def expect_answers(self, count: int) -> None:
        """Forget the answers counted so far, which must be so many."""
        found, self.answered = self.answered, 0
        if found != count:
            raise AssertionError(f"{found} of {count} requests were answered")


@dataclass
class _Counted:
    """Where answers go that nobody reads."""

    bench: _Bench

    def answer(self, _: Request, response: Response) -> None:
        """Count it."""
        self.bench.answered += response.status == 200


_PATH = f"/predict/{PROJECT}".encode()
_HEADERS = {b"authorization": f"Bearer {TOKEN}".encode(), b"content-type": b"application/json"}


def _writing(log: RollingSegments, frames: list[bytes], count: int) -> Callable[[int], object]:
    doubled = [*frames, *frames]
    return lambda place: log.append(doubled[place % len(frames) : place % len(frames) + count])


def _together(bench: _Bench, write: Callable[[int], object], count: int) -> Callable[[int], object]:
    ask = bench.until(3)

    def work(place: int) -> None:
        for more in range(count):
            ask(place * count + more)
        write(place * count)

    return work


def _given(told: object) -> Reply:
    if not isinstance(told, Reply) or told.status != 200:
        raise AssertionError(f"not answered: {told}")
    return told


def _now() -> int:
    return time.time_ns() // 1000
