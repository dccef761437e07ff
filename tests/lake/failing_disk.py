"""A real disk that fails on demand: the calls before and after go through to real files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trueup.lake.disk import SystemDisk

SHORT = "short"


def _nothing() -> str | int | None:
    return None


@dataclass
class FailingDisk:
    """Fails as its owner says: an error number, or SHORT for a write that takes only half of what it is given."""

    on_write: Callable[[], str | int | None] = _nothing
    on_flush: Callable[[], str | int | None] = _nothing
    on_cut: Callable[[], str | int | None] = _nothing
    on_create: Callable[[], str | int | None] = _nothing
    real: SystemDisk = field(default_factory=SystemDisk)
    writes: int = 0
    flushes: int = 0

    def create(self, path: Path) -> int:
        _fail(self.on_create())
        return self.real.create(path)

    def write(self, file: int, parts: Sequence[bytes]) -> int:
        self.writes += 1
        fate = self.on_write()
        if fate == SHORT:
            content = b"".join(parts)
            return os.write(file, content[: len(content) // 2])
        _fail(fate)
        return self.real.write(file, parts)

    def flush(self, file: int) -> None:
        self.flushes += 1
        _fail(self.on_flush())
        self.real.flush(file)

    def flush_folder(self, folder: Path) -> None:
        self.real.flush_folder(folder)

    def cut(self, file: int, size: int) -> None:
        _fail(self.on_cut())
        self.real.cut(file, size)


def in_turn(*fates: str | int | None) -> Callable[[], str | int | None]:
    """Return what gives one fate after the other, and then nothing more."""
    left = list(fates)
    return lambda: left.pop(0) if left else None


def _fail(fate: str | int | None) -> None:
    if isinstance(fate, int):
        raise OSError(fate, os.strerror(fate))


FULL, BROKEN, QUOTA = errno.ENOSPC, errno.EIO, errno.EDQUOT
