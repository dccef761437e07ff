"""Is every answer that left in the log exactly once, and is every other one told to be refused?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lake.failing_disk import BROKEN, FULL, SHORT, FailingDisk, in_turn

from trueup.lake.errors import StoreFull
from trueup.lake.rolling import RollingLimits, RollingSegments
from trueup.lake.segments import list_segments, read_segment
from trueup.serve.recording import DiskFull, LogBehind, NotLogged, Recorder, RecorderLimits, make_recorder

Durability = Literal["process", "disk"]
BOTH: list[Durability] = ["process", "disk"]
DEADLINE = 60.0


@dataclass
class Bench:
    """A recorder on a real folder, with what its callers were told."""

    folder: Path
    recorder: Recorder
    disk: FailingDisk
    told: dict[bytes, Exception | None] = field(default_factory=dict)
    seconds: float = 0.0

    def record(self, *frames: bytes) -> None:
        for frame in frames:
            self.recorder.record(frame, lambda error, frame=frame: self._tell(frame, error))  # type: ignore[misc]

    def _tell(self, frame: bytes, error: Exception | None) -> None:
        assert frame not in self.told, "told twice"
        self.told[frame] = error

    async def answered(self, *frames: bytes) -> list[Exception | None]:
        """Record, and return what each was told."""
        self.record(*frames)
        await until(lambda: all(frame in self.told for frame in frames))
        return [self.told[frame] for frame in frames]

    @property
    def logged(self) -> list[bytes]:
        return [frame for path in list_segments(self.folder) for frame in read_segment(path).frames]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0)


def run(
    folder: Path,
    durability: Durability,
    play: Callable[[Bench], Awaitable[None]],
    *,
    limits: RecorderLimits | None = None,
    rolling: RollingLimits | None = None,
    with_each_commit: Callable[[], None] | None = None,
) -> Bench:
    async def playing() -> Bench:
        disk = FailingDisk()
        moments = iter(range(1_700_000_000_000_000, 1_800_000_000_000_000))
        log = RollingSegments(
            folder, "p", clock=lambda: next(moments), limits=rolling or RollingLimits(seconds=3600), disk=disk
        )
        recorder = make_recorder(
            log,
            durability=durability,
            loop=asyncio.get_running_loop(),
            clock=lambda: bench.seconds,
            limits=limits,
            with_each_commit=with_each_commit,
        )
        bench = Bench(folder, recorder, disk)
        await play(bench)
        await recorder.close()
        return bench

    return asyncio.run(playing())


@pytest.mark.parametrize("durability", BOTH)
def test_records_of_one_turn_of_the_loop_are_one_write(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        await bench.answered(b"first")
        writes = bench.disk.writes
        frames = [b"%d" % i for i in range(100)]
        assert await bench.answered(*frames) == [None] * 100
        assert bench.disk.writes == writes + 1
        assert bench.logged == [b"first", *frames]

    bench = run(tmp_path, durability, play)
    assert (bench.recorder.counts.rows, bench.recorder.counts.commits, bench.recorder.counts.bytes) == (101, 2, 195)


@pytest.mark.parametrize("durability", BOTH)
def test_nobody_is_told_before_the_record_is_written(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        there: list[bool] = []
        bench.recorder.record(b"x", lambda _: there.append(b"x" in bench.logged))
        assert there == []
        await until(lambda: bool(there))
        assert there == [True]

    run(tmp_path, durability, play)


def test_with_disk_nobody_is_told_before_the_sync(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        await bench.answered(b"a")
        gate = threading.Event()
        bench.disk.on_flush = lambda: None if gate.wait(DEADLINE) else BROKEN
        bench.record(b"b")
        await until(lambda: b"b" in bench.logged)
        assert b"b" not in bench.told
        gate.set()
        await until(lambda: b"b" in bench.told)
        assert bench.told[b"b"] is None

    run(tmp_path, "disk", play)


def test_with_disk_those_who_come_during_a_sync_share_the_next_one(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        entered, gate = threading.Event(), threading.Event()

        def waits() -> None:
            entered.set()
            assert gate.wait(DEADLINE)

        bench.disk.on_flush = waits
        bench.record(b"a")
        await until(entered.is_set)
        for number in range(50):
            bench.record(b"%d" % number)
            await asyncio.sleep(0)
        gate.set()
        await until(lambda: len(bench.told) == 51)
        assert bench.disk.flushes == 2

    run(tmp_path, "disk", play)


def test_with_disk_keys_are_durable_before_the_records_that_need_them(tmp_path: Path) -> None:
    logged_at_call: list[list[bytes]] = []

    async def play(bench: Bench) -> None:
        await bench.answered(b"a")
        await bench.answered(b"b")

    def keys() -> None:
        logged_at_call.append([f for path in list_segments(tmp_path) for f in read_segment(path).frames])

    run(tmp_path, "disk", play, with_each_commit=keys)
    assert logged_at_call == [[], [b"a"]]


def test_with_disk_a_record_whose_key_is_not_durable_is_refused(tmp_path: Path) -> None:
    fates = [StoreFull("full"), None]

    def keys() -> None:
        if (fate := fates.pop(0)) is not None:
            raise fate

    async def play(bench: Bench) -> None:
        (told,) = await bench.answered(b"a")
        assert isinstance(told, DiskFull)
        assert await bench.answered(b"b") == [None]
        assert bench.logged == [b"b"]

    run(tmp_path, "disk", play, with_each_commit=keys)


@pytest.mark.parametrize("durability", BOTH)
@pytest.mark.parametrize("fates", [[FULL], [SHORT, FULL]])
def test_a_full_disk_refuses_early_and_recovers_without_a_restart(
    tmp_path: Path, durability: Durability, fates: list[str | int | None]
) -> None:
    async def play(bench: Bench) -> None:
        await bench.answered(b"before")
        bench.disk.on_write = in_turn(*fates)
        told = await bench.answered(b"a", b"b")
        assert [type(error) for error in told] == [DiskFull, DiskFull]
        assert "full" in str(bench.recorder.problem)
        writes = bench.disk.writes
        bench.disk.on_write = lambda: FULL
        assert not bench.recorder.room()
        assert isinstance(bench.recorder.refusal(), DiskFull)
        assert bench.disk.writes == writes  # not before its time
        bench.seconds = 1.0
        assert not bench.recorder.room()
        await until(lambda: bench.disk.writes == writes + 1)
        assert not bench.recorder.room()
        bench.disk.on_write = in_turn()
        await until(lambda: bench.recorder._probing is None)
        assert not bench.recorder.room()
        bench.seconds = 2.0
        await until(bench.recorder.room)
        assert await bench.answered(b"after") == [None]
        assert bench.recorder.problem is None
        assert bench.logged == [b"before", b"after"]

    bench = run(tmp_path, durability, play)
    assert bench.recorder.counts.refused_rows == 2


@pytest.mark.parametrize("durability", BOTH)
def test_a_broken_segment_refuses_those_who_wait_and_the_next_go_on(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        await bench.answered(b"before")
        bench.disk.on_write = in_turn(BROKEN)
        (told,) = await bench.answered(b"lost")
        assert type(told) is NotLogged
        assert bench.recorder.room()
        assert await bench.answered(b"after") == [None]
        assert bench.logged == [b"before", b"after"]
        assert len(list_segments(bench.folder)) == 2

    run(tmp_path, durability, play)


@pytest.mark.parametrize("durability", BOTH)
def test_a_disk_that_keeps_failing_stops_the_taking(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        bench.disk.on_write = lambda: BROKEN
        await bench.answered(b"a")
        await bench.answered(b"b")
        assert not bench.recorder.room()
        bench.disk.on_write = in_turn()
        bench.seconds = 1.0
        await until(bench.recorder.room)
        assert await bench.answered(b"c") == [None]

    run(tmp_path, durability, play)


def test_with_disk_a_failed_sync_refuses_all_of_its_batch(tmp_path: Path) -> None:
    async def play(bench: Bench) -> None:
        await bench.answered(b"before")
        bench.disk.on_flush = in_turn(BROKEN)
        told = await bench.answered(b"a", b"b")
        assert [type(error) for error in told] == [NotLogged, NotLogged]
        assert await bench.answered(b"after") == [None]
        kept = [read_segment(path).frames for path in list_segments(bench.folder)]
        assert kept[1] == (b"after",)

    run(tmp_path, "disk", play)


@pytest.mark.parametrize("durability", BOTH)
@pytest.mark.parametrize("limits", [RecorderLimits(buffered_frames=3), RecorderLimits(buffered_bytes=3)])
def test_more_than_may_wait_is_refused_at_once(tmp_path: Path, durability: Durability, limits: RecorderLimits) -> None:
    async def play(bench: Bench) -> None:
        bench.record(b"a", b"b")
        assert bench.recorder.room()
        bench.record(b"c")
        assert not bench.recorder.room()
        bench.record(b"d")
        await until(lambda: len(bench.told) == 4)
        assert isinstance(bench.told.pop(b"d"), LogBehind)
        assert set(bench.told.values()) == {None}
        assert bench.recorder.room()
        assert bench.logged == [b"a", b"b", b"c"]

    run(tmp_path, durability, play, limits=limits)


@pytest.mark.parametrize("durability", BOTH)
@pytest.mark.parametrize("limits", [RecorderLimits(buffered_frames=3), RecorderLimits(buffered_bytes=3)])
def test_records_that_belong_together_are_logged_all_or_none(
    tmp_path: Path, durability: Durability, limits: RecorderLimits
) -> None:
    async def play(bench: Bench) -> None:
        heard: list[Exception | None] = []
        bench.recorder.record_all([b"a", b"b"], heard.append, rows=2)
        bench.recorder.record_all([b"c", b"d"], heard.append, rows=2)  # only one of them would fit
        with pytest.raises(ValueError, match="must have 1"):
            bench.recorder.record_all([b"e", b""], heard.append)
        with pytest.raises(ValueError, match="one or more"):
            bench.recorder.record_all([], heard.append)
        await until(lambda: len(heard) == 2)
        assert sum(isinstance(error, LogBehind) for error in heard) == 1
        assert bench.logged == [b"a", b"b"]
        assert (bench.recorder.counts.rows, bench.recorder.counts.refused_rows) == (2, 2)

    run(tmp_path, durability, play, limits=limits)


@pytest.mark.parametrize("durability", BOTH)
@pytest.mark.parametrize("faults", [[FULL], [SHORT, FULL], [BROKEN]])
def test_a_write_that_fails_keeps_none_of_what_belongs_together(
    tmp_path: Path, durability: Durability, faults: list[str | int | None]
) -> None:
    async def play(bench: Bench) -> None:
        assert await bench.answered(b"before") == [None]
        heard: list[Exception | None] = []
        bench.disk.on_write = in_turn(*faults)
        bench.recorder.record_all([b"a", b"b"], heard.append, rows=2)
        await until(lambda: len(heard) == 1)
        assert isinstance(heard[0], NotLogged)
        assert bench.logged == [b"before"]
        assert bench.recorder.counts.rows == 1

    run(tmp_path, durability, play)


@pytest.mark.parametrize("durability", BOTH)
def test_a_record_larger_than_all_that_may_wait_is_logged_alone(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        assert await bench.answered(b"x" * 100) == [None]

    run(tmp_path, durability, play, limits=RecorderLimits(buffered_bytes=10))


@pytest.mark.parametrize("durability", BOTH)
def test_closing_logs_what_waits_and_refuses_what_comes_later(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        bench.record(b"a", b"b")
        await bench.recorder.close()
        assert bench.told == {b"a": None, b"b": None}
        assert not bench.recorder.room()
        (told,) = await bench.answered(b"c")
        assert isinstance(told, NotLogged)

    bench = run(tmp_path, durability, play)
    assert bench.logged == [b"a", b"b"]


@pytest.mark.parametrize("durability", BOTH)
def test_an_idle_server_ends_its_segment(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        await bench.answered(b"a")
        await until(lambda: bench.recorder._log._writer is None)
        await bench.answered(b"b")

    run(tmp_path, durability, play, rolling=RollingLimits(seconds=0.01))
    assert len(list_segments(tmp_path)) == 2


@pytest.mark.parametrize("durability", BOTH)
def test_a_caller_that_fails_does_not_silence_the_others(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        seen: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["exception"]))

        def fails(_: Exception | None) -> None:
            raise ConnectionResetError

        bench.recorder.record(b"a", fails)
        assert await bench.answered(b"b") == [None]
        assert [type(error) for error in seen] == [ConnectionResetError]

    run(tmp_path, durability, play)


@pytest.mark.parametrize("durability", BOTH)
def test_an_empty_record_is_a_mistake_of_ours(tmp_path: Path, durability: Durability) -> None:
    async def play(bench: Bench) -> None:
        with pytest.raises(ValueError, match="1 to"):
            bench.record(b"")

    run(tmp_path, durability, play)


FATES = st.lists(st.sampled_from([None, None, None, SHORT, FULL, BROKEN]), max_size=8)


@pytest.mark.parametrize("durability", BOTH)
@settings(max_examples=40, deadline=None)
@given(
    bursts=st.lists(st.integers(1, 5), min_size=1, max_size=12), writes=FATES, flushes=FATES, cuts=FATES, creates=FATES
)
def test_whatever_fails_what_was_acknowledged_is_there_once_and_all_else_was_refused(
    tmp_path_factory: pytest.TempPathFactory,
    durability: Durability,
    bursts: list[int],
    writes: Iterable[str | int | None],
    flushes: Iterable[str | int | None],
    cuts: Iterable[str | int | None],
    creates: Iterable[str | int | None],
) -> None:
    async def play(bench: Bench) -> None:
        whole = [[fate for fate in fates if fate != SHORT] for fates in (flushes, cuts, creates)]
        bench.disk.on_write = in_turn(*writes)
        bench.disk.on_flush, bench.disk.on_cut, bench.disk.on_create = (in_turn(*fates) for fates in whole)
        number = 0
        for burst in bursts:
            await bench.answered(*(b"%d" % (number + i) for i in range(burst)))
            number += burst
        assert len(bench.told) == number
        there = bench.logged
        acknowledged = [frame for frame, error in bench.told.items() if error is None]
        assert [frame for frame in there if bench.told[frame] is None] == acknowledged
        assert len(set(there)) == len(there)
        assert all(isinstance(error, NotLogged | None) for error in bench.told.values())
        assert bench.recorder.counts.rows == len(acknowledged)
        assert bench.recorder.counts.refused_rows == number - len(acknowledged)

    run(tmp_path_factory.mktemp("log"), durability, play, rolling=RollingLimits(frames=6, seconds=3600))


SERVER = """
import asyncio, sys, time
from pathlib import Path
from trueup.lake.rolling import RollingLimits, RollingSegments
from trueup.serve.recording import make_recorder

async def main():
    log = RollingSegments(Path(sys.argv[1]), "p", clock=lambda: time.time_ns() // 1000, limits=RollingLimits(frames=50))
    loop = asyncio.get_running_loop()
    recorder = make_recorder(log, durability=sys.argv[2], loop=loop, clock=time.monotonic)
    def ask(number):
        def then(error):
            assert error is None
            sys.stdout.write(f"{number}\\n"); sys.stdout.flush()
            ask(number + 8)
        recorder.record(b"%d" % number, then)
    for number in range(8):
        ask(number)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("durability", BOTH)
@pytest.mark.parametrize("after", [1, 77, 400])
def test_a_killed_server_loses_nothing_it_answered(tmp_path: Path, durability: Durability, after: int) -> None:
    command = [sys.executable, "-c", SERVER, str(tmp_path), durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline() for _ in range(after)]
        process.kill()
        answered += process.stdout.read().splitlines(keepends=True)
    acknowledged = {int(line) for line in answered if line.endswith(b"\n")}
    there = [int(frame) for path in list_segments(tmp_path) for frame in read_segment(path).frames]
    assert len(set(there)) == len(there)
    assert acknowledged <= set(there)
