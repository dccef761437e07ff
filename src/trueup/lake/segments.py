"""How does a process append to the log so that a killed process loses nothing it was told is written?

A segment is a file of one process: a line of JSON that says whose it is, then frames, each with its length and a
checksum over both. Checksums begin with a number of chance that the first line says, so nothing that was sent looks
like a frame. Only whole frames are read; what a killed process or a full disk left behind them is never taken for one,
and damage costs no frame that it does not touch. A process holds a lock on the segment it appends to, which the
operating system frees when the process dies. Nothing slower than msgspec is imported: prediction servers append here.
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
"""Format 1 had no salt."""
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
    format: int = FORMAT
    salt: int = 0
    """Of 32 bits; what checksums begin with."""


@dataclass(frozen=True)
class Segment:
    """What a segment holds."""

    header: SegmentHeader
    frames: tuple[bytes, ...]
    torn_bytes: int
    """Behind the last whole frame: of a write that never ended. 0 in a segment that was closed."""
    damaged_bytes: int
    """Between whole frames, or of a last one that has its length and not its content: they were written otherwise."""


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
            self._file = self._begin(msgspec.json.encode(header) + b"\n")
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
        """End the segment, and with it the lock; one without frames is removed."""
        if self.frames == 0 and not self._broken:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
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


def read_segment(path: Path) -> Segment:
    """Return the whole frames of a segment, in order, also while it is written.

    Behind damage it goes on with the next frame whose length and checksum hold. Without one, what is left is a write
    that never ended, unless its frame has all its bytes.

    Raises
    ------
    BadSegment
        When the first line is none of ours.
    """
    content = path.read_bytes()
    end = content.find(b"\n", 0, _LONGEST_HEADER)
    try:
        header = msgspec.json.decode(content[: max(end, 0)], type=SegmentHeader)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadSegment(f'"{path.name}" does not begin as a segment of the log', segment=path.name) from error
    if header.format not in (1, FORMAT):
        raise BadSegment(
            f'"{path.name}" has format {header.format}, and this version of Trueup reads format {FORMAT}',
            segment=path.name,
        )
    search = FrameSearch(content, salt=header.salt)
    frames, at, damaged = [], end + 1, 0
    while at < len(content):
        frame = search.whole_at(at)
        if frame is not None:
            frames.append(frame)
            at += HEAD.size + len(frame)
            continue
        following = search.next_whole(at + 1)
        if following is None and not search.length_at(at):
            break
        following = len(content) if following is None else following
        damaged += following - at
        at = following
    return Segment(header, tuple(frames), len(content) - at, damaged)


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
