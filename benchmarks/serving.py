"""What does a prediction cost over HTTP, with its decision and its log, and what does it cost elsewhere?

One core for the server, another for wrk; the same model and rows for all. Every server is started anew in each of
several rounds, in which all take turns, and figures are medians of the rounds. Beside each load stands whether the
machine was busy. Run alone as ``python -m benchmarks.serving --rounds 1 --seconds 1 --only process static``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import serving_parts
from benchmarks.asking import (
    CONNECTIONS,
    Load,
    NotAnswered,
    Running,
    cpu_seconds,
    load_of,
    memory_mb,
    on_core,
    serving,
)
from benchmarks.contestants import ROWS, Contestant, contestants, spool_of
from benchmarks.measuring import Figure
from benchmarks.peers.environments import PeerMissing
from benchmarks.serving_model import PROJECT, ServedModel, make_model
from benchmarks.telling import write_figures

ROUNDS, SECONDS = 3, 2
MOST_REFUSED = 0.01
"""Of requests of one row: more is no measurement. A busy machine makes servers late, and ours then says so (429)."""
PARTS_TARGET, TAIL_TARGET, TIMES_TARGET, LOG_TARGET = 1.6, 2.0, 10.0, 0.25
START_TARGET_S, MEMORY_TARGET_MB = 1.0, 100.0
_JUDGED = (8, 32)
"""Connections at which one row is held against what was promised."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
Cell = tuple[int, int]
"""Rows of a request, and connections."""


@dataclass
class Found:
    """What was found of one server, once for each round."""

    loads: dict[Cell, list[Load]] = field(default_factory=dict)
    start_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    whole_mb: list[float] = field(default_factory=list)
    missing: str = ""
    """Why there is nothing of it."""

    def median(self, cell: Cell, name: str) -> float | None:
        """Return the median of a figure of a load; None where it was not measured."""
        values = [getattr(load, name) for load in self.loads.get(cell, ())]
        return statistics.median(values) if values else None


def figures(folder: Path) -> Iterator[Figure]:
    """Yield the figures of every server, and what was promised of ours."""
    yield from compared(folder, list(contestants()), rounds=ROUNDS, seconds=SECONDS)


def compared(folder: Path, names: Sequence[str], *, rounds: int, seconds: int) -> Iterator[Figure]:
    """Yield the figures of some servers."""
    if shutil.which("wrk") is None or len(os.sched_getaffinity(0)) < 2 or not on_core(0):
        yield Figure("serve", 0, "", note="not measured: wrk, taskset or a second core is missing")
        return
    model = make_model(folder)
    busy = f"load average before the run {os.getloadavg()[0]:.1f}, by others"
    yield Figure("serve.load_average", os.getloadavg()[0], "processes", note=busy)
    chosen = {name: contestants()[name] for name in names}
    found = {name: Found() for name in names}
    for _ in range(rounds):
        for name, contestant in chosen.items():
            if not found[name].missing:
                _measure(contestant, model, found[name], seconds=seconds)
    peers = [name for name, contestant in chosen.items() if contestant.is_peer]
    for name in names:
        yield from _told(name, found, [] if name in peers else peers)
    parts = serving_parts.parts_of(model)
    yield from serving_parts.figures_of(parts)
    if "process" in found:
        yield from _judged(found, peers, parts)
        yield _sealing(model, chosen["process"], seconds=2 * seconds)


# --- measuring


def _measure(contestant: Contestant, model: ServedModel, found: Found, *, seconds: int) -> None:
    """Start a server, put every load on it, and end it."""
    with _folder(model) as folder:
        try:
            with _running(contestant, model, folder) as running:
                load_of(running, contestant.question(1), connections=8, seconds=1, folder=folder)
                for rows in ROWS:
                    question = contestant.question(rows)
                    for connections in CONNECTIONS:
                        load = load_of(running, question, connections=connections, seconds=seconds, folder=folder)
                        if rows == 1 and load.refused_share > MOST_REFUSED:
                            raise NotAnswered(f"{load.refused_share:.1%} of its requests got a 429")
                        found.loads.setdefault((rows, connections), []).append(load)
                largest, whole = memory_mb(running.process)
        except (PeerMissing, NotAnswered) as error:
            if not contestant.is_peer:
                raise NotAnswered(f"{contestant.name}: {error}") from error
            found.missing = f"NOT MEASURED: {error}"
            return
        found.start_s.append(running.start_s)
        found.rss_mb.append(largest)
        found.whole_mb.append(whole)


@contextmanager
def _folder(model: ServedModel) -> Iterator[Path]:
    """Give an empty folder, and take away what a log of minutes under load leaves in it."""
    with tempfile.TemporaryDirectory(dir=model.folder) as folder:
        yield Path(folder)


@contextmanager
def _running(contestant: Contestant, model: ServedModel, folder: Path) -> Iterator[Running]:
    def command(port: int) -> list[str]:
        return contestant.command(model, folder, port)

    with serving(command, contestant.question(1), folder=folder, environment=_ONE_THREAD) as running:
        yield running


def _sealing(model: ServedModel, contestant: Contestant, *, seconds: int) -> Figure:
    """Return what making tables of the log takes for a prediction, on the other core, while the server answers."""
    with _folder(model) as folder, _running(contestant, model, folder) as running:
        hot = spool_of(folder) / PROJECT / "hot"
        sealer = [sys.executable, "-m", "trueup.lake.sealing_process", "--lake", str(model.lake("process"))]
        command = [*on_core(-1), *sealer, "--project", PROJECT, "--hot", str(hot)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                load = load_of(running, contestant.question(1), connections=8, seconds=seconds, folder=folder)
                answered = load.requests_per_s * seconds
                ends = time.monotonic() + 60
                while time.monotonic() < ends and len(list(hot.glob("*.segment"))) > 1:
                    time.sleep(0.2)
                used = 1e6 * cpu_seconds(process.pid) / answered
            finally:
                process.terminate()
    note = f"of a process beside the server, its start included; {answered:,.0f} predictions"
    return Figure("serve.sealing.cpu_us", used, "CPU us / prediction", note=note)


# --- telling


def _told(name: str, found: Mapping[str, Found], peers: Iterable[str]) -> Iterator[Figure]:
    """Yield what a server did under each load, beside the best of the peers at it."""
    one = found[name]
    if one.missing:
        yield Figure(f"serve.{name}", 0, "", note=one.missing)
        return
    for cell in one.loads:
        best = _best(found, peers, cell)
        for figure, unit in (("requests_per_s", "1/s"), ("p50_us", "us"), ("p99_us", "us"), ("cpu_us", "CPU us")):
            beside = found[best].median(cell, figure) if best else None
            note = _circumstances(one, cell) if figure == "requests_per_s" else ""
            value = one.median(cell, figure) or 0.0
            yield Figure(f"serve.{name}.{cell[0]}.{cell[1]}.{figure}", value, unit, best, beside, note)
    started = f"process start to first answer; {len(one.start_s)} starts"
    yield Figure(f"serve.{name}.start", statistics.median(one.start_s), "s", note=started)
    note = f"resident, of its largest process; all its processes {statistics.median(one.whole_mb):.0f}"
    yield Figure(f"serve.{name}.memory", max(one.rss_mb), "MB", note=note)


def _best(found: Mapping[str, Found], peers: Iterable[str], cell: Cell) -> str | None:
    """Return the peer with the most requests/s at a load."""
    rates = {name: rate for name in peers if (rate := found[name].median(cell, "requests_per_s")) is not None}
    return max(rates, key=rates.__getitem__) if rates else None


def _circumstances(one: Found, cell: Cell) -> str:
    """Say whether server or wrk was the limit, whether others used the core, and what was refused."""
    used, asked = one.median(cell, "server_share"), one.median(cell, "wrk_share")
    told = f"core used {used:.0%}, wrk's {asked:.0%}; put aside {one.median(cell, 'preempted_per_s'):.0f}/s"
    refused = one.median(cell, "refused_share")
    return f"{told}; {refused:.0%} more got a 429" if refused else told


def _judged(found: Mapping[str, Found], peers: Sequence[str], parts: Mapping[str, float]) -> Iterator[Figure]:
    """Yield what was promised of one row with the `process` log, beside what was found."""
    ours = found["process"]
    for connections in _JUDGED:
        yield from _judged_at((1, connections), found, peers, parts)
    start, memory = statistics.median(ours.start_s), max(ours.rss_mb)
    yield Figure("serve.judged.start", start, "s", "target", START_TARGET_S)
    yield Figure("serve.judged.memory", memory, "MB", "target", MEMORY_TARGET_MB)


def _judged_at(
    cell: Cell, found: Mapping[str, Found], peers: Sequence[str], parts: Mapping[str, float]
) -> Iterator[Figure]:
    ours, where = found["process"], f"serve.judged.{cell[1]}"
    rate, cpu = ours.median(cell, "requests_per_s"), ours.median(cell, "cpu_us")
    if rate is None or cpu is None:
        return
    if best := _best(found, peers, cell):
        times = rate / (found[best].median(cell, "requests_per_s") or 1.0)
        note = f"the best is {best}; by CPU a request {(found[best].median(cell, 'cpu_us') or 0.0) / cpu:.1f} times"
        yield Figure(f"{where}.times_best_peer", times, "times", "target", TIMES_TARGET, note)
    if (static := found.get("static")) and (http := static.median(cell, "cpu_us")) is not None:
        write = parts[f"write_of_{cell[1]}"]
        summed = http + parts["decode"] + parts["predict"] + write
        each = f"http {http:.1f}, decode {parts['decode']:.1f}, model {parts['predict']:.1f}, log {write:.1f}"
        note = f"{cpu:.1f} CPU us; parts: {each}"
        yield Figure(f"{where}.cpu_by_parts", cpu / summed, "times", "target", PARTS_TARGET, note)
        together = parts[f"together_{cell[1]}"]
        note = f"parts: http {http:.1f}, decode, model and log in turns for each row {together:.1f}"
        yield Figure(f"{where}.cpu_by_parts_in_turns", cpu / (http + together), "times", note=note)
        tails = [(one.median(cell, "p99_us") or 0.0) / (one.median(cell, "p50_us") or 1.0) for one in (ours, static)]
        note = f"p99/p50 {tails[0]:.2f}, of the static answer {tails[1]:.2f}"
        yield Figure(f"{where}.tail_by_static", tails[0] / tails[1], "times", "target", TAIL_TARGET, note)
    if (unlogged := found.get("unlogged")) and (without := unlogged.median(cell, "requests_per_s")) is not None:
        by_cpu = 1 - (unlogged.median(cell, "cpu_us") or 0.0) / cpu
        note = f"{by_cpu:.0%} of the CPU a request; records are made all the same"
        yield Figure(f"{where}.log_cost", 1 - rate / without, "share of requests/s", "target", LOG_TARGET, note)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each load")
    parser.add_argument("--only", nargs="*", choices=list(contestants()), default=list(contestants()))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = compared(Path(folder), chosen.only, rounds=chosen.rounds, seconds=chosen.seconds)
        write_figures(found, Path("build/bench.json"))


if __name__ == "__main__":
    main()
