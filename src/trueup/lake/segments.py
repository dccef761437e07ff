"""How does a process append to the log so that a killed process loses nothing it was told is written?

A segment is a file of one process: a line of JSON and its checksum that says whose it is, then frames, each with its
length and a checksum over both, and a mark where the process ended it. Checksums begin with a number of chance that the
first line says, so nothing that was sent looks like a frame. Only whole frames are read; what a killed process or a
full disk left behind them is never taken for one, and damage costs no frame that it does not touch. A process holds a
lock on the segment it appends to, which the operating system frees when the process dies. Nothing slower than msgspec
is imported: prediction servers append here.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import socket
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from trueup.lake.disk import Disk
from trueup.lake.errors import LakeError, StoreFull, lake_error_of
from trueup.lake.frame_search import HEAD, LARGEST_FRAME, FrameSearch

FORMAT = 2
SUFFIX = ".segment"
DAMAGED = ".damaged"
"""Added to the name of a sealed segment of which not all could be read; retention drops it, and nothing else."""
_LONGEST_HEADER = 65536
_ATTEMPTS = 3
_NAME = re.compile(r"(\d{16})~[A-Za-z0-9._-]+~\d+~[0-9a-f]{16}\.segment")


class SegmentBroken(LakeError):
    """What is in the file is no longer known: nothing more may be appended to it."""

    code = "lake.segment-broken"


class BadSegment(LakeError):
    """A file is no segment of this version."""

    code = "lake.bad-segment"


class SegmentHeader(msgspec.Struct, frozen=True):
    """The first line of a segment."""

    project: str
    process: str
    """Host and number of the process that wrote it."""
    started_at: int
    salt: int
    """Of 32 bits; what checksums begin with."""
    format: int = FORMAT


@dataclass(frozen=True)
class Segment:
    """What a segment holds."""

    header: SegmentHeader
    frames: tuple[bytes, ...]
    torn_bytes: int
    """Behind the last whole frame: of a write that never ended. 0 in a segment that has its end mark."""
    damaged_bytes: int
    """All else that is no whole frame: it was written otherwise."""


class SegmentWriter:
    """Appends frames to one new segment.

    Parameters
    ----------
    folder : Path
        Created when missing.
    project : str
    disk : Disk
    now : int
        Microseconds UTC; orders the names.

    Raises
    ------
    StoreFull, StoreReadOnly, StoreUnavailable
        When no file could be begun; none is left behind.

    Notes
    -----
    The file is locked and has its first line before it gets its name, so whoever finds it unlocked knows that its
    writer is done or dead.
    """

    def __init__(self, folder: Path, project: str, *, disk: Disk, now: int) -> None:
        self._disk = disk
        self._broken = False
        self._named = False
        process = f"{_plain(socket.gethostname())}~{os.getpid()}"
        self.path = folder / f"{now:016d}~{process}~{secrets.token_hex(8)}{SUFFIX}"
        self.started_at = now
        self.frames = 0
        self._salt = secrets.randbits(32)
        header = SegmentHeader(project=project, process=process, started_at=now, salt=self._salt)
        try:
            self._file = self._begin(header_line(header))
        except OSError as error:
            raise lake_error_of(error, str(folder)) from error

    @property
    def size(self) -> int:
        """Return how many bytes of header and whole frames the segment has."""
        return self._size

    def append(self, frames: Sequence[bytes]) -> None:
        """Append all frames with one write, or none of them.

        Raises
        ------
        StoreFull
            When the disk has no room. The segment ends with the last frame it had, and takes more when there is room.
        SegmentBroken
            When writing failed otherwise, or before.
        """
        self._refuse_broken()
        parts: list[bytes] = []
        for frame in frames:
            parts += (framed_head(frame, salt=self._salt), frame)
        size = sum(map(len, parts))
        try:
            self._write(parts, size)
        except OSError as error:
            self._take_back(error)
        self._size += size
        self.frames += len(frames)

    def sync(self) -> None:
        """Return when everything appended is on the disk.

        Raises
        ------
        SegmentBroken
            When the disk refused. What was appended since the last `sync` may be there or not.
        """
        self._refuse_broken()
        try:
            self._disk.flush(self._file)
            if not self._named:
                self._disk.flush_folder(self.path.parent)
                self._named = True
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Mark the end of the segment, and give the lock back; one without frames is removed."""
        with suppress(OSError):  # without the mark it is read as one of a killed process
            if self.frames == 0 and not self._broken:
                self.path.unlink(missing_ok=True)
            elif not self._broken:
                mark = end_mark(salt=self._salt)
                self._write([mark], len(mark))
        with suppress(OSError):
            os.close(self._file)

    def _begin(self, header: bytes) -> int:
        for _ in range(_ATTEMPTS):
            with suppress(FileNotFoundError, BlockingIOError):  # taken for a dead writer's before we had locked it
                return self._begin_once(header)
        return self._begin_once(header)

    def _begin_once(self, header: bytes) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unnamed = self.path.with_name(f".{self.path.name}")
        file = self._disk.create(unnamed)
        try:
            self._file, self._size = file, len(header)
            self._write([header], len(header))
            unnamed.rename(self.path)
        except BaseException:
            os.close(file)
            unnamed.unlink(missing_ok=True)
            raise
        return file

    def _write(self, parts: list[bytes], size: int) -> None:
        taken = self._disk.write(self._file, parts)
        if taken < size:
            rest = b"".join(parts)
            while taken < size:
                more = self._disk.write(self._file, [rest[taken:]])
                if more <= 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                taken += more

    def _take_back(self, error: OSError) -> None:
        told = lake_error_of(error, str(self.path.parent))
        if not isinstance(told, StoreFull):
            self._give_up(error)
        try:
            self._disk.cut(self._file, self._size)
        except OSError as refused:
            self._give_up(refused)
        raise told from error

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        raise SegmentBroken(
            f'the disk under "{self.path.parent}" failed ({error.strerror or error}), so what was written last is not '
            "known to be there; the log goes on in a new segment",
            place=str(self.path.parent),
            segment=self.path.name,
            errno=error.errno,
        ) from error

    def _refuse_broken(self) -> None:
        if self._broken:
            raise SegmentBroken(f'"{self.path.name}" was given up after the disk failed', segment=self.path.name)


def framed_head(frame: bytes, *, salt: int) -> bytes:
    """Return the eight bytes before a frame: its length, and the CRC-32 of salt, length and bytes, little-endian.

    Raises
    ------
    ValueError
        For an empty frame: it would look like a file's zeros.
    """
    length = len(frame)
    if not 0 < length <= LARGEST_FRAME:
        raise ValueError(f"a frame must have 1 to {LARGEST_FRAME} bytes, not {length}")
    return HEAD.pack(length, zlib.crc32(frame, length ^ salt))


def header_line(header: SegmentHeader) -> bytes:
    """Return the first line of a segment: JSON, a blank, and the CRC-32 of the JSON as eight hexadecimal digits."""
    said = msgspec.json.encode(header)
    return said + b" " + _checksum_of(said)


def end_mark(*, salt: int) -> bytes:
    """Return the eight bytes at the end of a segment that was closed: a length of 0, which no frame has."""
    return HEAD.pack(0, zlib.crc32(b"end", salt))


def read_segment(path: Path) -> Segment:
    """Return the whole frames of a segment, in order, also while it is written.

    Behind damage it goes on with the next frame whose length and checksum hold. Without one, what is left is a write
    that never ended only where the segment has no end mark, and where it can be the beginning of one: not where its
    frame has all its bytes, or a length that no frame has.

    Raises
    ------
    BadSegment
        When the first line is none of ours.
    """
    content = path.read_bytes()
    header, at = _header_of(path.name, content)
    mark = end_mark(salt=header.salt)
    closed = content.endswith(mark, at)
    end = len(content) - (len(mark) if closed else 0)
    search = FrameSearch(content, salt=header.salt)
    frames, damaged = [], 0
    while at < end:
        frame = search.whole_at(at)
        if frame is not None:
            frames.append(frame)
            at += HEAD.size + len(frame)
            continue
        following = search.next_whole(at + 1)
        if following is None and not closed and _may_have_been_cut(content, at, salt=header.salt):
            break
        following = end if following is None else following
        damaged += following - at
        at = following
    return Segment(header, tuple(frames), end - at, damaged)


def _header_of(name: str, content: bytes) -> tuple[SegmentHeader, int]:
    """Return what the first line says, and where the frames begin."""
    line = content[: content.find(b"\n", 0, _LONGEST_HEADER) + 1]
    try:
        said, _, checksum = line.rpartition(b" ")
        header = msgspec.json.decode(said, type=SegmentHeader)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadSegment(f'"{name}" does not begin as a segment of the log', segment=name) from error
    if header.format != FORMAT:
        raise BadSegment(
            f'"{name}" has format {header.format}, and this version of Trueup reads format {FORMAT}', segment=name
        )
    if checksum != _checksum_of(said):
        raise BadSegment(f'the first line of "{name}" is damaged: its checksum does not hold', segment=name)
    return header, len(line)


def _checksum_of(said: bytes) -> bytes:
    return b"%08x\n" % zlib.crc32(said)


def _may_have_been_cut(content: bytes, at: int, *, salt: int) -> bool:
    """Return whether the bytes from a place on can be the beginning of a frame, or zeros that a lost power left."""
    rest = content[at:]
    if len(rest) < HEAD.size or not any(rest):
        return True
    length, checksum = HEAD.unpack_from(rest)
    there = len(rest) - HEAD.size
    if not there < length <= LARGEST_FRAME:
        return False
    return bool(zlib.crc32(memoryview(rest)[HEAD.size :], there ^ salt) != checksum)  # else only its length is damaged


def list_segments(folder: Path) -> tuple[Path, ...]:
    """Return the segments in a folder, the oldest first, also those that are still written."""
    try:
        names = sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return ()
    return tuple(folder / name for name in names)


@contextmanager
def finished(path: Path) -> Iterator[bool]:
    """Hold a segment for ourselves, and tell whether its writer is done or dead; False too where it is gone."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = path.exists()
    except BlockingIOError:
        held = False
    try:
        yield held
    finally:
        os.close(file)


def _plain(host: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", host) or "host"
