"""Is the next whole frame behind damage found, at its place, in a time that a large segment bears?"""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.lake.frame_search import LARGEST_FRAME, FrameSearch
from trueup.lake.segments import framed_head

SALT = 0x5EED5A17


def framed(frame: bytes, *, salt: int = SALT) -> bytes:
    return framed_head(frame, salt=salt) + frame


@given(
    before=st.binary(max_size=300),
    size=st.integers(1, 20_000),
    behind=st.binary(max_size=50),
    salt=st.integers(0, (1 << 32) - 1),
    seed=st.integers(0, 1 << 16),
)
def test_a_frame_is_found_behind_whatever_lies_before_it(
    before: bytes, size: int, behind: bytes, salt: int, seed: int
) -> None:
    frame = random.Random(seed).randbytes(size)
    content = b"header" + before + framed(frame, salt=salt) + behind
    search = FrameSearch(content, salt=salt)
    assert search.next_whole(6) == 6 + len(before)
    assert search.whole_at(6 + len(before)) == frame
    assert search.next_whole(7 + len(before)) is None


def test_frames_are_found_one_after_the_other() -> None:
    frames = [bytes([number]) * (5_000 * number + 1) for number in range(1, 6)]
    content = b"x" + b"".join(b"damage" + framed(frame) for frame in frames)
    search, at, found = FrameSearch(content, salt=SALT), 1, []
    while (place := search.next_whole(at)) is not None:
        frame = search.whole_at(place)
        assert frame is not None
        found.append(frame)
        at = place + 8 + len(frame)
    assert found == frames


def test_a_frame_of_another_salt_is_none() -> None:
    assert FrameSearch(b"x" + framed(b"abc", salt=1), salt=2).next_whole(1) is None
    assert FrameSearch(b"x", salt=0).whole_at(0) is None


def test_a_head_that_says_more_than_there_is_says_nothing() -> None:
    search = FrameSearch(struct.pack("<II", LARGEST_FRAME + 1, 0) + bytes(100), salt=SALT)
    assert (search.length_at(0), search.length_at(20), search.length_at(103)) == (0, 0, 0)


def test_what_is_read_again_does_not_grow_with_the_square_of_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place says a frame of half the segment: were its bytes read for each, that would be 30 GB of them."""
    size = 1 << 18
    misleading = struct.pack("<I", size // 2) * (size // 4) + framed(b"found")
    read, real = [], zlib.crc32

    def counted(data: bytes, start: int = 0) -> int:
        read.append(len(data))
        return real(data, start)

    monkeypatch.setattr(zlib, "crc32", counted)
    assert FrameSearch(misleading, salt=SALT).next_whole(1) == size
    assert sum(read) < size * 4096  # at most a step or two for each place, and half of the places say such a length
