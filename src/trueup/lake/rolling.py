"""When does a process begin a new segment? When the present one is large, full of frames, old, or broken."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trueup.lake.disk import Disk, SystemDisk
from trueup.lake.errors import lake_error_of
from trueup.lake.segments import SegmentBroken, SegmentWriter

_PROBE = b"\0" * 65536


@dataclass(frozen=True)
class RollingLimits:
    """A segment that reaches one of these is closed, and can be sealed."""

    size: int = 64 * 1024 * 1024
    """Bytes."""
    frames: int = 200_000
    seconds: float = 5.0
    """Since it was begun; a clock that goes back ends it too."""


class RollingSegments:
    """The segments one process appends to, one after the other. For one thread at a time.

    Parameters
    ----------
    folder : Path
        Of the project's hot segments; a local disk, also where the lake is an object store.
    clock : callable
        Microseconds UTC.
    """

    def __init__(
        self,
        folder: Path,
        project: str,
        *,
        clock: Callable[[], int],
        limits: RollingLimits | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.folder, self.project = folder, project
        self.limits = limits or RollingLimits()
        self._clock = clock
        self._disk: Disk = disk or SystemDisk()
        self._writer: SegmentWriter | None = None
        self._announced: tuple[bytes, ...] = ()
        self._told = 0
        """How many of them the present segment has."""

    def announce(self, frame: bytes) -> None:
        """Let each segment hold a frame before what is appended from now on, so that it explains itself; again is fine.

        May be called in another thread than `append`.
        """
        if frame not in self._announced:
            self._announced = (*self._announced, frame)

    def append(self, frames: Sequence[bytes]) -> None:
        """Append all frames with one write, or none.

        Raises
        ------
        StoreFull, StoreReadOnly, StoreUnavailable, SegmentBroken
            Nothing of `frames` counts as written. The next call tries again, where needed in a new segment.
        """
        self.roll_if_due()
        if self._writer is None:
            self._writer = SegmentWriter(self.folder, self.project, disk=self._disk, now=self._clock())
            self._told = 0
        announced = self._announced
        try:
            self._writer.append([*announced[self._told :], *frames])
        except SegmentBroken:
            self.roll()
            raise
        self._told = len(announced)

    def sync(self) -> None:
        """Return when everything appended to the present segment is on the disk.

        Raises
        ------
        SegmentBroken
            What was appended since the last `sync` is not known to be there.
        """
        if self._writer is None:
            return
        try:
            self._writer.sync()
        except SegmentBroken:
            self.roll()
            raise

    def roll_if_due(self) -> None:
        """Close the present segment when it reached a limit."""
        writer = self._writer
        if writer is None:
            return
        age = self._clock() - writer.started_at
        limits = self.limits
        if writer.size >= limits.size or writer.frames >= limits.frames or not 0 <= age < limits.seconds * 1e6:
            self.roll()

    def roll(self) -> None:
        """Close the present segment; the next frames begin a new one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def probe(self) -> None:
        """Return when the folder takes 64 KiB again; nothing stays of it.

        Raises
        ------
        StoreFull, StoreReadOnly, StoreUnavailable
        """
        path = self.folder / f".probe~{os.getpid()}~{secrets.token_hex(8)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = self._disk.create(path)
            try:
                if self._disk.write(file, [_PROBE]) < len(_PROBE):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._disk.flush(file)
            finally:
                os.close(file)
                with suppress(OSError):
                    path.unlink()
        except OSError as error:
            raise lake_error_of(error, str(self.folder)) from error
