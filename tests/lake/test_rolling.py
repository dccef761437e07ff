"""Does a process go on logging in a new segment when the present one is done or broken?"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.lake.failing_disk import BROKEN, FULL, SHORT, FailingDisk, in_turn

from trueup.lake.errors import LakeError, StoreFull
from trueup.lake.rolling import RollingLimits, RollingSegments
from trueup.lake.segments import SegmentBroken, list_segments, read_segment


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


def segments(folder: Path, clock: Callable[[], int] | None = None, **limits: float) -> RollingSegments:
    return RollingSegments(folder, "p", clock=clock or Clock(), limits=RollingLimits(**limits))  # type: ignore[arg-type]  # int or float as named


def frames_by_segment(folder: Path) -> list[tuple[bytes, ...]]:
    return [read_segment(path).frames for path in list_segments(folder)]


def test_a_segment_ends_at_its_number_of_frames(tmp_path: Path) -> None:
    clock = Clock()
    log = segments(tmp_path, clock, frames=2)
    for number in range(5):
        clock.now += 1
        log.append([b"%d" % number])
    log.roll()
    assert frames_by_segment(tmp_path) == [(b"0", b"1"), (b"2", b"3"), (b"4",)]


def test_a_segment_ends_at_its_size(tmp_path: Path) -> None:
    clock = Clock()
    log = segments(tmp_path, clock, size=1000)
    for _ in range(4):
        clock.now += 1
        log.append([b"x" * 600])
    log.roll()
    assert [len(frames) for frames in frames_by_segment(tmp_path)] == [2, 2]


@pytest.mark.parametrize("step", [5_000_000, -1])
def test_a_segment_ends_by_age_and_when_the_clock_goes_back(tmp_path: Path, step: int) -> None:
    clock = Clock()
    log = segments(tmp_path, clock, seconds=5)
    log.append([b"a"])
    clock.now += step
    log.append([b"b"])
    log.roll()
    assert sorted(frames_by_segment(tmp_path)) == [(b"a",), (b"b",)]


def test_a_young_segment_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    log = segments(tmp_path, clock, seconds=5)
    log.append([b"a"])
    clock.now += 4_999_999
    log.append([b"b"])
    log.roll()
    assert frames_by_segment(tmp_path) == [(b"a", b"b")]


def test_a_broken_segment_is_followed_by_a_new_one(tmp_path: Path) -> None:
    disk = FailingDisk()
    clock = Clock()
    log = RollingSegments(tmp_path, "p", clock=clock, disk=disk)
    log.append([b"a"])
    disk.on_write = in_turn(BROKEN)
    with pytest.raises(SegmentBroken):
        log.append([b"refused"])
    clock.now += 1
    log.append([b"b"])
    disk.on_flush = in_turn(BROKEN)
    with pytest.raises(SegmentBroken):
        log.sync()
    log.sync()
    clock.now += 1
    log.append([b"c"])
    log.sync()
    log.roll()
    assert frames_by_segment(tmp_path) == [(b"a",), (b"b",), (b"c",)]


@pytest.mark.parametrize("fate", [FULL, SHORT])
def test_a_probe_tells_whether_there_is_room_and_leaves_nothing(tmp_path: Path, fate: str | int) -> None:
    disk = FailingDisk(on_write=in_turn(fate))
    log = RollingSegments(tmp_path / "hot", "p", clock=Clock(), disk=disk)
    with pytest.raises(StoreFull):
        log.probe()
    log.probe()
    assert list((tmp_path / "hot").iterdir()) == []


class AnyDisk(RuleBasedStateMachine):
    """Whatever the disk does: what was acknowledged is there once and in order, and each failure was told."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.disk = FailingDisk()
        self.clock = Clock()
        self.log = RollingSegments(
            Path(self.folder.name), "p", clock=self.clock, limits=RollingLimits(frames=7), disk=self.disk
        )
        self.number = 0
        self.appended: list[bytes] = []
        self.unsure: set[bytes] = set()

    @rule(
        count=st.integers(1, 4),
        fates=st.lists(st.sampled_from([None, SHORT, FULL, BROKEN]), max_size=3),
        cuts=st.sampled_from([None, BROKEN]),
        create=st.sampled_from([None, None, FULL, BROKEN]),
    )
    def append(self, count: int, fates: list[str | int | None], cuts: int | None, create: int | None) -> None:
        self.clock.now += 1
        frames = [b"%d" % (self.number + i) for i in range(count)]
        self.number += count
        self.disk.on_write, self.disk.on_cut, self.disk.on_create = in_turn(*fates), in_turn(cuts), in_turn(create)
        try:
            self.log.append(frames)
        except LakeError:
            self.unsure.update(frames)
        else:
            self.appended += frames
        self.disk.on_write = self.disk.on_cut = self.disk.on_create = in_turn()

    @rule(fate=st.sampled_from([None, FULL, BROKEN]))
    def sync(self, fate: int | None) -> None:
        self.disk.on_flush = in_turn(fate)
        try:
            self.log.sync()
        except SegmentBroken:
            assert fate is not None

    @rule()
    def roll(self) -> None:
        self.clock.now += 1
        self.log.roll()

    @invariant()
    def acknowledged_is_there_once(self) -> None:
        there = [frame for frames in frames_by_segment(Path(self.folder.name)) for frame in frames]
        assert [frame for frame in there if frame not in self.unsure] == self.appended
        assert len(set(there)) == len(there)

    def teardown(self) -> None:
        self.log.roll()
        self.folder.cleanup()


AnyDisk.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
test_any_disk = AnyDisk.TestCase
