"""Which promises of a running server are looked at, at which length? Each subject yields figures of one real server."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path

import uvloop
from tests.serve.lakes import TOKEN, Durability, ServedLake, ServedStore, make_lake, make_lake_in, make_two_models
from tests.serve.running import RunningServer, serving

from benchmarks.asking import cpu_seconds
from benchmarks.enduring.asking import Requests, port_of, quantiles
from benchmarks.enduring.filling import Filling, small_disk
from benchmarks.enduring.killing import Acknowledged, children_of, compare, kill_again_and_again, seal_all
from benchmarks.enduring.losing import Losing, StoppedServer, put_aside
from benchmarks.enduring.misbehaving import Enduring, soak
from benchmarks.enduring.overloading import Offered, offer
from benchmarks.enduring.processes import make_models, scores_by
from benchmarks.enduring.swapping import Swapping, scores_of
from benchmarks.measuring import Figure
from trueup.lake.sealing import count_waiting

BOTH: tuple[Durability, ...] = ("process", "disk")


@contextmanager
def _lake(durability: Durability = "process") -> Iterator[tuple[ServedLake, Path]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").mkdir()
        yield make_lake(make_two_models(folder / "models"), folder / "lake", durability=durability), folder


@contextmanager
def _server() -> Iterator[tuple[ServedLake, Path, RunningServer]]:
    with _lake() as (lake, folder):
        trust = ("--trust", *map(str, lake.trusted))
        with serving(lake.store.folder, *trust, spool=folder / "spool", token=TOKEN) as server:
            yield lake, folder, server


def _of_log(name: str, lake: ServedStore, told: Acknowledged) -> Iterator[Figure]:
    logged = compare(lake, told)
    yield Figure(f"{name}.acknowledged", logged.acknowledged, "answers", note=f"other statuses: {told.refused}")
    for what in ("lost", "twice", "different"):
        yield Figure(f"{name}.{what}", getattr(logged, what), "answers", "promised", 0)
    yield Figure(f"{name}.acted", logged.acted, "cases", "capacity", 300)


def swaps() -> Iterator[Figure]:
    """200 changes in 60 s under 32 connections."""
    with _server() as (lake, _, server):
        requests = Requests(lake.project)
        bundles = lake.store.folder / "bundles"
        scores = {
            digest: scores_of(bundles, digest, trusted=lake.trusted, rows=requests.rows)
            for digest in (lake.old, lake.new)
        }
        swapping = Swapping(lake, requests, scores)
        found = uvloop.run(swapping.run(port_of(server.url), flips=200, seconds=60, connections=32, others=[lake.new]))
    yield Figure("swap.seconds", found.seconds, "s", "promised", 60, f"of {len(found.flip_seconds)} changes")
    yield Figure("swap.answers", found.answers, "answers", note="32 connections, 60 s")
    yield Figure("swap.failed", len(found.failed), "answers", "promised", 0)
    yield Figure("swap.wrong", len(found.wrong), "answers", "promised", 0, "; ".join(found.wrong[:3]))
    for share, seconds in zip((0.5, 0.99, 1.0), quantiles(found.flip_seconds, 0.5, 0.99, 1.0), strict=True):
        yield Figure(f"swap.flip.{share:g}", 1e3 * seconds, "ms", "promised", 100, f"of {len(found.flip_seconds)}")
    yield Figure("swap.cold", 1e3 * max(found.cold_seconds), "ms", note="with opening the bundle")


def swaps_elsewhere() -> Iterator[Figure]:
    """100 changes in 60 s under 32 connections, between a model in the server and one in another environment."""
    with tempfile.TemporaryDirectory() as name:
        models = make_models(Path(name))
        os.environ.update(models.variables)
        lake, spool = models.lake, Path(name) / "spool"
        requests = Requests(lake.project)
        scores: dict[str, Sequence[float | None]] = {
            lake.old: scores_of(lake.store.folder / "bundles", lake.old, trusted=lake.trusted, rows=requests.rows),
            models.elsewhere: scores_by(lake, models.elsewhere, spool, rows=requests.rows),
        }
        with serving(lake.store.folder, "--trust", *map(str, lake.trusted), spool=spool, token=TOKEN) as server:
            swapping = Swapping(lake, requests, scores)
            found = uvloop.run(
                swapping.run(port_of(server.url), flips=100, seconds=60, connections=32, others=[models.elsewhere])
            )
            server.stop()
    yield Figure("swap-elsewhere.answers", found.answers, "answers", note="32 connections, 60 s")
    statuses = f"other statuses: {dict(Counter(found.failed))}"
    yield Figure("swap-elsewhere.failed", len(found.failed), "answers", "promised", 0, statuses)
    yield Figure("swap-elsewhere.wrong", len(found.wrong), "answers", "promised", 0, "; ".join(found.wrong[:3]))
    yield Figure("swap-elsewhere.fallbacks", found.fallbacks, "answers", "promised", 0)
    for kind, flips in (("to", found.flip_seconds[::2]), ("back", found.flip_seconds[1::2])):
        for share, seconds in zip((0.5, 0.99, 1.0), quantiles(flips, 0.5, 0.99, 1.0), strict=True):
            yield Figure(f"swap-elsewhere.{kind}.{share:g}", 1e3 * seconds, "ms", note=f"of {len(flips)}")
    yield Figure(
        "swap-elsewhere.cold", 1e3 * max(found.cold_seconds), "ms", note="environment made before, bundle opened"
    )
    [longest] = quantiles(found.answer_seconds, 1.0)
    yield Figure("swap-elsewhere.longest", 1e3 * longest, "ms", note="longest answer")


def kills(kills: int = 100, durabilities: Sequence[Durability] = BOTH) -> Iterator[Figure]:
    """100 kills of workers and supervisors under 16 connections, with both durabilities."""
    for durability in durabilities:
        with _lake(durability) as (lake, folder):
            told = uvloop.run(kill_again_and_again(lake, folder / "spool", kills=kills, connections=16))
            name = f"kill.{durability}"
            waiting = seal_all(lake, folder / "spool" / lake.project / "hot")
            yield Figure(f"{name}.unsealed", waiting, "segments", "promised", 0, f"{kills} kills")
            yield Figure(f"{name}.changed", len(told.changed), "answers", "promised", 0)
            yield from _of_log(name, lake, told)


def full_disks() -> Iterator[Figure]:
    """A real full disk, with both durabilities."""
    for durability in BOTH:
        with _lake(durability) as (lake, folder), small_disk(folder / "disk", megabytes=6) as disk:
            if disk is None:
                yield Figure("full-disk", 0, "", note="not measured: no disk can be mounted here")
                return

            found = uvloop.run(Filling(lake, disk).run(times=5, full_seconds=5, connections=16))
            seal_all(lake, disk / "spool" / lake.project / "hot")
            name = f"full-disk.{durability}"
            yield from _of_log(name, lake, found.told)
            [p99] = quantiles(found.refusal_seconds, 0.99)
            yield Figure(f"{name}.refused", 1e3 * p99, "ms, 99 %", note=f"{len(found.refusal_seconds)} refusals")
            yield Figure(f"{name}.recovered", max(found.recovered_seconds), "s", note="longest, once there is space")


def lost_lakes(seconds: float = 600) -> Iterator[Figure]:
    """A lake in a folder and one in an object store, both gone for ten minutes under 8 unhurried connections."""
    with ThreadPoolExecutor() as pool:
        yield from chain.from_iterable(pool.map(lambda lose: lose(seconds), (_lost_folder, _lost_objects)))


def _lost_folder(seconds: float) -> list[Figure]:
    with _server() as (lake, folder, server):
        take, give = put_aside(lake.store.folder)
        hot = folder / "spool" / lake.project / "hot"
        return list(_lost("lake.folder", lake, server, hot=hot, take=take, give=give, seconds=seconds))


def _lost_objects(seconds: float) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "models").mkdir()
        with closing(StoppedServer("lost", "lake")) as s3:
            lake = make_lake_in(s3.store, make_two_models(folder / "models"))
            trust = ("--trust", *map(str, lake.trusted))
            options, spool = s3.server.options, folder / "spool"
            with serving(lake.store.url, *trust, spool=spool, token=TOKEN, environment=options) as server:
                s3.sealing = server.sealing
                hot = spool / lake.project / "hot"
                return list(_lost("lake.s3", lake, server, hot=hot, take=s3.take, give=s3.give, seconds=seconds))


def _lost(
    name: str,
    lake: ServedStore,
    server: RunningServer,
    *,
    hot: Path,
    take: Callable[[], None],
    give: Callable[[], None],
    seconds: float,
) -> Iterator[Figure]:
    losing = Losing(lake)
    run = losing.run(server, take=take, give=give, seconds=seconds, connections=8, pause_seconds=0.02)
    found = asyncio.run(run)
    server.stop()
    yield Figure(f"{name}.waiting", count_waiting(hot), "records", note="not sealed when the server had ended")
    yield Figure(f"{name}.unsealed", seal_all(lake, hot), "segments", "promised", 0, "of those, then sealed")
    yield Figure(f"{name}.answered_without", found.answered_without, "answers", note=f"in {seconds:g} s")
    yield Figure(f"{name}.caught_up", found.caught_up_seconds, "s", note="a change is carried out and told")
    yield Figure(f"{name}.longest", 1e3 * found.longest_seconds, "ms", note="longest answer")
    yield from _of_log(name, lake, found.told)


def overloads() -> Iterator[Figure]:
    """Three times as many requests as can be answered, of 1 and of 20 rows, on 1,000 connections."""
    with _server() as (_, _, server):
        [worker] = server.workers()

        def offered(rate: float, connections: int, rows: int) -> tuple[Offered, float]:
            before = cpu_seconds(worker)
            found = offer(port_of(server.url), rate=rate, seconds=10, connections=connections, rows=rows)
            return found, found.accepted / (cpu_seconds(worker) - before)

        for rows, connections in ((1, 32), (20, 8)):
            offered(0, connections, rows)
            peak, peak_per_cpu = offered(0, connections, rows)
            cases = (("x3", 3 * peak.goodput), ("insisting", 0.0))
            for case, rate in cases:
                found, per_cpu = offered(rate, 1000, rows)
                name, note = f"overload.{rows}.{case}", f"{found.unsent} had no connection; others {found.other}"
                yield Figure(f"{name}.goodput", found.goodput, "requests/s", "peak", peak.goodput)
                yield Figure(f"{name}.per_cpu_s", per_cpu, "requests/CPU s", "peak", peak_per_cpu)
                yield Figure(f"{name}.accepted_p99", found.accepted_ms[1], "ms", "peak", peak.accepted_ms[1])
                yield Figure(f"{name}.busy", found.busy / found.seconds, "429/s", note=note)
                if found.busy_ms:
                    yield Figure(f"{name}.busy_p99", found.busy_ms[1], "ms")


def misbehaviours() -> Iterator[Figure]:
    """10,000 idle connections, slow heads and bodies, readers that do not read, 100 MB, pipelines, broken requests."""
    with _server() as (lake, _, server):
        [worker] = server.workers()
        enduring = Enduring(port_of(server.url), worker, lake.project)
        found = uvloop.run(enduring.run(idle=10_000, rounds=5, huge_bytes=100 << 20, connections=8))
        yield Figure("misbehaving.same_process", float(server.workers() == [worker]), "", "promised", 1)
        server.stop()
        yield Figure("misbehaving.idle_held", found.idle_held, "connections")
        memory = ", ".join(f"{each:.0f}" for each in found.memory_mb)
        yield Figure("misbehaving.memory", found.memory_mb[-1] - found.memory_mb[1], "MB more", note=memory)
        yield Figure("misbehaving.p99", 1e3 * next(quantiles(found.seconds, 0.99)), "ms", note="of good callers")
        yield from _of_log("misbehaving", lake, found.told)


def soaks(seconds: float = 1800) -> Iterator[Figure]:
    """Half an hour of 8 connections without a pause."""
    with _server() as (lake, _, server):
        pids = children_of(server.process.pid)
        every = max(1.0, seconds / 20)
        answers, refused, seen = uvloop.run(
            soak(port_of(server.url), lake.project, pids=pids, seconds=seconds, connections=8, every=every)
        )
        workers = server.workers()
        server.stop()
        yield Figure("soak.answers", answers, "answers", note=f"in {seconds:g} s; other statuses: {refused}")
        for pid, course in seen.items():
            name = "server" if pid in workers else "sealing"
            note = " ".join(f"{memory:.0f}/{files}" for memory, files in course)
            third = len(course) // 3
            grown = course[-1][0] - course[third][0]
            yield Figure(f"soak.{name}.growth", grown, "MB", note=f"from a third on; MB/files: {note}")


SERVERS: dict[str, Callable[[], Iterator[Figure]]] = {
    "swap": swaps,
    "swap-elsewhere": swaps_elsewhere,
    "kill": kills,
    "full-disk": full_disks,
    "lake": lost_lakes,
    "overload": overloads,
    "misbehaving": misbehaviours,
    "soak": soaks,
}
