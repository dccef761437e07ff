"""What does the log ask of a disk? The few calls that can fail half-way, in one place, so that failing is tested."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

_MOST_PARTS = 1024  # IOV_MAX of Linux


class Disk(Protocol):
    """Files that are only appended to. Every call may raise `OSError`."""

    def create(self, path: Path) -> int:
        """Create a file for appending, locked as ours while this process lives, and return its number."""
        ...

    def write(self, file: int, parts: Sequence[bytes]) -> int:
        """Append with one call, and return how many bytes were taken, which may be fewer than given."""
        ...

    def flush(self, file: int) -> None:
        """Return when the content is on the disk."""
        ...

    def flush_folder(self, folder: Path) -> None:
        """Return when the names in the folder are on the disk."""
        ...

    def cut(self, file: int, size: int) -> None:
        """Take away what lies beyond `size` bytes."""
        ...


class SystemDisk:
    """The operating system's files."""

    def create(self, path: Path) -> int:
        """Create a file that only we may read, and lock it."""
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(file)
            raise
        return file

    def write(self, file: int, parts: Sequence[bytes]) -> int:
        """Append with one system call."""
        return os.writev(file, parts if len(parts) <= _MOST_PARTS else [b"".join(parts)])

    def flush(self, file: int) -> None:
        """Wait for fdatasync."""
        os.fdatasync(file)

    def flush_folder(self, folder: Path) -> None:
        """Wait for fsync of the folder."""
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)

    def cut(self, file: int, size: int) -> None:
        """Shorten the file."""
        os.ftruncate(file, size)
