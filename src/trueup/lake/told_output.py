"""How does what a process tells never fill a disk? It goes into a file that is begun anew when it is large."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 4 * 1024 * 1024
"""Of a file of what was told; with the one before it, twice as much is kept."""
BEFORE = ".1"


def tell_into(path: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Let standard output and error be added to a file; a full one is kept as NAME.1, in place of the one before.

    Called at the start and before each line. Several processes may share the file: each goes over to a new one with its
    next line.

    Raises
    ------
    OSError
        Output goes where it went before.
    """
    file = _opened(path)
    try:
        if os.fstat(file).st_size >= most_bytes:
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):  # somebody else was faster, and has not begun the new one yet
                if os.path.samestat(os.fstat(file), path.stat()):
                    path.replace(path.with_name(path.name + BEFORE))
            os.close(file)
            file = -1
            file = _opened(path)
        os.dup2(file, 1)
        os.dup2(file, 2)
    finally:
        if file >= 0:
            os.close(file)


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
