"""Does a segment keep every frame it took, and only those, whatever fails?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lake.failing_disk import BROKEN, FULL, QUOTA, SHORT, FailingDisk, in_turn

from trueup.lake.disk import SystemDisk
from trueup.lake.errors import StoreFull, StoreUnavailable
from trueup.lake.segments import (
    BadSegment,
    SegmentBroken,
    SegmentHeader,
    SegmentWriter,
    end_mark,
    finished,
    header_line,
    list_segments,
    read_segment,
)

NOW = 1_700_000_000_000_000
HEADER = header_line(SegmentHeader(project="p", process="h~1", started_at=1, salt=0))
HEADER_OF_FORMAT_3 = header_line(SegmentHeader(project="p", process="h~1", started_at=1, salt=0, format=3))
# CRC-32 (polynomial 0xEDB88320) of b"abc" continued from its length, 3: worked out bit by bit, without zlib
FRAMED_ABC = bytes.fromhex("03000000") + bytes.fromhex("9bff6237") + b"abc"


def a_writer(folder: Path, disk: FailingDisk | None = None, *, now: int = NOW) -> SegmentWriter:
    return SegmentWriter(folder, "p", disk=disk or SystemDisk(), now=now)


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    writer = a_writer(tmp_path)
    writer.append([b"one", b"two"])
    writer.append([b"three"])
    while_written = read_segment(writer.path)
    writer.close()
    segment = read_segment(writer.path)
    assert segment == while_written
    assert segment.frames == (b"one", b"two", b"three")
    assert segment.torn_bytes == 0
    assert (segment.header.project, segment.header.started_at) == ("p", NOW)


def test_all_frames_of_an_append_are_one_write(tmp_path: Path) -> None:
    disk = FailingDisk()
    writer = a_writer(tmp_path, disk)
    before = disk.writes
    frames = [b"%d" % i for i in range(5000)]  # more parts than one writev takes
    writer.append(frames)
    assert disk.writes == before + 1
    writer.close()
    assert read_segment(writer.path).frames == tuple(frames)


def test_only_the_owner_may_read_a_segment(tmp_path: Path) -> None:
    writer = a_writer(tmp_path)
    writer.append([b"x"])
    assert writer.path.stat().st_mode & 0o077 == 0
    writer.close()


@given(cut=st.integers(0, 33))
def test_a_torn_end_is_dropped_and_reported(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "s"
    whole = FRAMED_ABC * 3
    path.write_bytes(HEADER + whole[:cut])
    segment = read_segment(path)
    assert segment.frames == (b"abc",) * (cut // 11)
    assert segment.torn_bytes == cut % 11


def a_damaged_segment(folder: Path, frames: list[bytes], start: int, damage: bytes, *, cut: int) -> tuple[Path, range]:
    """Write a segment with damage instead of `cut` bytes, and return it with the numbers of the frames it touches."""
    writer = a_writer(folder)
    before = writer.size
    writer.append(frames)
    writer.close()
    content = writer.path.read_bytes()
    start = before + start % (len(content) - before)
    end = min(start + cut, len(content))
    writer.path.write_bytes(content[:start] + damage + content[end:])
    edges = [before]
    for frame in frames:
        edges.append(edges[-1] + 8 + len(frame))
    touched = [
        number for number in range(len(frames)) if edges[number] < max(end, start + 1) and start < edges[number + 1]
    ]
    return writer.path, range(touched[0], touched[-1] + 1) if touched else range(0)


def is_part_of(some: Sequence[bytes], frames: Sequence[bytes]) -> bool:
    """Return whether all of some frames are among others, in their order."""
    left = iter(frames)
    return all(frame in left for frame in some)


@given(
    frames=st.lists(st.binary(min_size=1, max_size=40) | st.integers(1, 9_000).map(bytes), min_size=1, max_size=12),
    start=st.integers(0, 1 << 20),
    damage=st.binary(max_size=60),
    cut=st.integers(0, 10_000),
)
def test_damage_costs_at_most_the_frames_it_touches(
    tmp_path_factory: pytest.TempPathFactory, frames: list[bytes], start: int, damage: bytes, cut: int
) -> None:
    path, touched = a_damaged_segment(tmp_path_factory.mktemp("damaged"), frames, start, damage, cut=cut)
    segment = read_segment(path)
    kept = [frame for number, frame in enumerate(frames) if number not in touched]
    assert is_part_of(kept, segment.frames)
    assert is_part_of(segment.frames, frames)
    if touched and touched[-1] + 1 < len(frames):
        assert segment.torn_bytes == 0


@given(
    frames=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=12),
    start=st.integers(0, 1 << 10),
    damage=st.binary(min_size=1, max_size=60),
)
def test_of_a_segment_that_was_closed_every_byte_that_is_no_frame_is_told(
    tmp_path_factory: pytest.TempPathFactory, frames: list[bytes], start: int, damage: bytes
) -> None:
    folder, size = tmp_path_factory.mktemp("damaged"), sum(8 + len(frame) for frame in frames)
    start %= size
    damage = damage[: size - start]  # before the end mark
    path, _ = a_damaged_segment(folder, frames, start, damage, cut=len(damage))
    segment = read_segment(path)
    assert segment.torn_bytes == 0
    assert segment.damaged_bytes == size - sum(8 + len(frame) for frame in segment.frames)


@given(place=st.integers(0, 21), bit=st.integers(0, 7))
def test_what_lies_behind_damage_is_read_and_what_could_not_be_is_counted(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "s"
    damaged = bytearray(FRAMED_ABC * 3)
    damaged[place] ^= 1 << bit
    path.write_bytes(HEADER + damaged)
    segment = read_segment(path)
    assert segment.frames == (b"abc",) * 2
    assert (segment.torn_bytes, segment.damaged_bytes) == (0, 11)


def test_a_last_frame_that_has_its_length_and_not_its_content_is_no_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(HEADER + FRAMED_ABC + FRAMED_ABC[:-1] + b"d")
    segment = read_segment(path)
    assert (segment.frames, segment.torn_bytes, segment.damaged_bytes) == ((b"abc",), 0, 11)


def test_bytes_that_somebody_sent_are_never_taken_for_a_frame(tmp_path: Path) -> None:
    writer = a_writer(tmp_path)
    writer.append([b"before", FRAMED_ABC * 3, b"after"])
    writer.close()
    content = bytearray(writer.path.read_bytes())
    content[content.index(FRAMED_ABC) - 8] ^= 1  # the length of the frame that holds them
    writer.path.write_bytes(content)
    assert read_segment(writer.path).frames == (b"before", b"after")


@given(place=st.integers(0, len(HEADER) - 1), bit=st.integers(0, 7))
def test_a_damaged_first_line_is_refused_and_no_frame_is_taken_for_damaged(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "s"
    content = bytearray(HEADER + FRAMED_ABC)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(BadSegment):
        read_segment(path)


@given(bit=st.integers(0, 63), closed=st.booleans())
def test_damage_to_the_head_of_the_last_frame_is_told_whether_its_writer_ended_or_was_killed(
    tmp_path_factory: pytest.TempPathFactory, bit: int, closed: bool
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "s"
    last = bytearray(FRAMED_ABC)
    last[bit // 8] ^= 1 << bit % 8
    path.write_bytes(HEADER + FRAMED_ABC + last + (end_mark(salt=0) if closed else b""))
    segment = read_segment(path)
    assert (segment.frames, segment.torn_bytes, segment.damaged_bytes) == ((b"abc",), 0, 11)


@given(cut=st.integers(1, 10))
def test_nothing_of_a_segment_that_was_closed_counts_as_a_write_that_never_ended(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "s"
    path.write_bytes(HEADER + FRAMED_ABC + FRAMED_ABC[:cut] + end_mark(salt=0))
    segment = read_segment(path)
    assert (segment.frames, segment.torn_bytes, segment.damaged_bytes) == ((b"abc",), 0, cut)


@pytest.mark.parametrize("fates", [[FULL], [SHORT, FULL], [BROKEN]])
def test_a_disk_that_does_not_take_the_end_mark_costs_no_frame(tmp_path: Path, fates: list[str | int | None]) -> None:
    disk = FailingDisk()
    writer = a_writer(tmp_path, disk)
    writer.append([b"one", b"two"])
    disk.on_write = in_turn(*fates)
    writer.close()
    segment = read_segment(writer.path)
    assert (segment.frames, segment.damaged_bytes) == ((b"one", b"two"), 0)
    with finished(writer.path) as done:
        assert done


def test_zeros_that_a_lost_power_left_are_no_frames(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(HEADER + FRAMED_ABC + bytes(4096))
    assert read_segment(path).frames == (b"abc",)
    assert read_segment(path).torn_bytes == 4096


def test_an_empty_frame_is_refused(tmp_path: Path) -> None:
    writer = a_writer(tmp_path)
    with pytest.raises(ValueError, match="1 to"):
        writer.append([b""])
    writer.close()


@pytest.mark.parametrize("content", [b"", b"{}\n", b"no header", HEADER_OF_FORMAT_3])
def test_a_file_that_is_no_segment_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s"
    path.write_bytes(content)
    with pytest.raises(BadSegment):
        read_segment(path)


@pytest.mark.parametrize("fates", [[FULL], [QUOTA], [SHORT, FULL], [SHORT, SHORT, FULL]])
def test_a_full_disk_takes_the_segment_back_and_it_goes_on(tmp_path: Path, fates: list[str | int | None]) -> None:
    disk = FailingDisk()
    writer = a_writer(tmp_path, disk)
    writer.append([b"before"])
    disk.on_write = in_turn(*fates)
    with pytest.raises(StoreFull):
        writer.append([b"refused", b"refused too"])
    assert read_segment(writer.path).torn_bytes == 0
    writer.append([b"after"])
    writer.close()
    assert read_segment(writer.path).frames == (b"before", b"after")


def test_a_short_write_is_finished_when_there_is_room(tmp_path: Path) -> None:
    disk = FailingDisk()
    writer = a_writer(tmp_path, disk)
    disk.on_write = in_turn(SHORT, SHORT)
    writer.append([b"one", b"two"])
    writer.close()
    assert read_segment(writer.path).frames == (b"one", b"two")


@pytest.mark.parametrize("fates", [[BROKEN], [SHORT, BROKEN]])
def test_a_segment_is_given_up_after_a_failed_write(tmp_path: Path, fates: list[str | int | None]) -> None:
    disk = FailingDisk()
    writer = a_writer(tmp_path, disk)
    writer.append([b"before"])
    disk.on_write = in_turn(*fates)
    with pytest.raises(SegmentBroken):
        writer.append([b"refused"])
    with pytest.raises(SegmentBroken, match="given up"):
        writer.append([b"after"])
    writer.close()
    assert read_segment(writer.path).frames == (b"before",)


def test_a_segment_is_given_up_when_it_cannot_be_taken_back(tmp_path: Path) -> None:
    disk = FailingDisk(on_cut=in_turn(BROKEN))
    writer = a_writer(tmp_path, disk)
    disk.on_write = in_turn(SHORT, FULL)
    with pytest.raises(SegmentBroken):
        writer.append([b"refused"])
    with pytest.raises(SegmentBroken):
        writer.append([b"after"])
    writer.close()


@pytest.mark.parametrize("fate", [BROKEN, FULL])
def test_a_segment_is_given_up_after_a_failed_sync(tmp_path: Path, fate: int) -> None:
    writer = a_writer(tmp_path, FailingDisk(on_flush=in_turn(fate)))
    writer.append([b"unknown"])
    with pytest.raises(SegmentBroken):
        writer.sync()
    with pytest.raises(SegmentBroken):
        writer.append([b"after"])
    with pytest.raises(SegmentBroken):
        writer.sync()
    writer.close()


@pytest.mark.parametrize(
    ("disk", "error"),
    [
        (FailingDisk(on_create=in_turn(FULL)), StoreFull),
        (FailingDisk(on_write=in_turn(FULL)), StoreFull),
        (FailingDisk(on_write=in_turn(BROKEN)), StoreUnavailable),
    ],
)
def test_a_segment_that_cannot_be_begun_leaves_nothing(
    tmp_path: Path, disk: FailingDisk, error: type[Exception]
) -> None:
    with pytest.raises(error):
        a_writer(tmp_path, disk)
    assert list(tmp_path.iterdir()) == []


class Sweeping(SystemDisk):
    """Somebody removes the file before it is locked, as what a dead writer left; so often."""

    def __init__(self, times: int) -> None:
        self.times = times

    def create(self, path: Path) -> int:
        file = super().create(path)
        if self.times > 0:
            path.unlink()
        self.times -= 1
        return file


def test_a_segment_that_was_swept_away_before_it_was_locked_is_begun_again(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "p", disk=Sweeping(2), now=NOW)
    writer.append([b"x"])
    writer.close()
    assert read_segment(writer.path).frames == (b"x",)
    with pytest.raises(StoreUnavailable):
        SegmentWriter(tmp_path, "p", disk=Sweeping(99), now=NOW)


def test_segments_are_listed_by_time(tmp_path: Path) -> None:
    writers = [a_writer(tmp_path, now=NOW + step) for step in (2, 0, 1)]
    for writer in writers:
        writer.append([b"x"])
        writer.close()
    (tmp_path / "other").write_bytes(b"")
    assert list_segments(tmp_path) == tuple(writers[i].path for i in (1, 2, 0))
    assert list_segments(tmp_path / "absent") == ()


def test_a_segment_without_frames_is_removed_when_it_ends(tmp_path: Path) -> None:
    a_writer(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_segment_is_finished_when_its_writer_closed_it(tmp_path: Path) -> None:
    writer = a_writer(tmp_path)
    writer.append([b"x"])
    with finished(writer.path) as done:
        assert not done
    writer.close()
    with finished(writer.path) as done:
        assert done
        with finished(writer.path) as by_another:
            assert not by_another
    writer.path.unlink()
    with finished(writer.path) as done:
        assert not done


def test_a_killed_writer_leaves_every_frame_it_was_told_is_written(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from trueup.lake.disk import SystemDisk
from trueup.lake.segments import SegmentWriter
writer = SegmentWriter(Path(sys.argv[1]), "p", disk=SystemDisk(), now=1)
for number in range(10**9):
    writer.append([b"%d" % number])
    print(number, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while process.stdout.readline() != b"500\n":
            pass
        with finished(list_segments(tmp_path)[0]) as done:
            assert not done
        process.kill()
        told = 500 + len(process.stdout.read().split())
    (path,) = list_segments(tmp_path)
    with finished(path) as done:
        assert done
    frames = read_segment(path).frames
    assert frames == tuple(b"%d" % number for number in range(len(frames)))
    assert len(frames) >= told


def test_a_server_appends_without_data_libraries() -> None:
    code = "import sys, trueup.lake.rolling, trueup.lake.log_records; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"pyarrow", "pandas", "duckdb", "numpy", "cryptography"}.isdisjoint(ran.stdout.split())


def test_a_segment_that_ends_gives_its_file_back(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        writer = a_writer(tmp_path)
        writer.append([b"x"])
        writer.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
