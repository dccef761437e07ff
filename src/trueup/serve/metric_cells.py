"""How do several processes behind one socket count together? Each in a mapped file of its own; any of them can add up.

A file is an index (one line for each series) and one float64 per line, written by one process, which holds a lock on
it for as long as it lives. What a dead process counted is folded into one file of the past, so that counters never go
back and files do not pile up. A value is eight aligned bytes: a reader sees it before or after a change, not between.
"""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trueup.serve.errors import ServeError

_LENGTH_BYTES = 8
_INDEX_BYTES = 256 * 1024 - _LENGTH_BYTES
_CELLS = 4096
_FILE_BYTES = _LENGTH_BYTES + _INDEX_BYTES + 8 * _CELLS
_SUFFIX, _PAST, _LOCK = ".cells", "past.json", "lock"


class TooManySeries(ServeError):
    """A process counts more different things than its file has place for."""

    code = "serve.too-many-series"


class Cells:
    """The numbers of one process; `values` is written by index, about 50 ns a change."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._indices: dict[str, int] = {}
        self._length = 0
        with locked(folder, fcntl.LOCK_EX):
            _fold_the_dead(folder)
            self._file = os.open(folder / f"{name}{_SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if os.pwrite(self._file, bytes(_FILE_BYTES), 0) < _FILE_BYTES:  # with holes, a full disk would kill us
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        self._map = mmap.mmap(self._file, _FILE_BYTES)
        self.values = memoryview(self._map)[_LENGTH_BYTES + _INDEX_BYTES :].cast("d")

    def cell(self, series: str) -> int:
        """Return the index of a series in `values`, made at 0 when it is new.

        Raises
        ------
        TooManySeries
        """
        found = self._indices.get(series)
        if found is not None:
            return found
        line = f"{series}\n".encode()
        if len(self._indices) >= _CELLS or self._length + len(line) > _INDEX_BYTES:
            raise TooManySeries(f"{len(self._indices)} series are counted, as many as fit; use fewer labels")
        start = _LENGTH_BYTES + self._length
        self._map[start : start + len(line)] = line
        self._length += len(line)
        self._map[:_LENGTH_BYTES] = self._length.to_bytes(_LENGTH_BYTES, "little")
        index = self._indices[series] = len(self._indices)
        return index

    def close(self) -> None:
        """Leave the numbers to the past."""
        self.values.release()
        self._map.close()
        os.close(self._file)


@contextmanager
def locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the folder's lock, shared or alone."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


def read_cells(folder: Path) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Return the sums over all processes there ever were, and the numbers of each that lives."""
    with locked(folder, fcntl.LOCK_SH):
        sums = defaultdict(float, _past(folder)["sums"])
        living = []
        for path, lives in _files(folder):
            numbers = _numbers_of(path)
            for series, value in numbers.items():
                sums[series] += value
            if lives:
                living.append(numbers)
    return dict(sums), living


def _fold_the_dead(folder: Path) -> None:
    """Add what the dead counted to the past; a kill half-way counts nothing twice: the past names whom it holds."""
    past = _past(folder)
    dead = [path for path, lives in _files(folder) if not lives]
    if dead:
        sums = defaultdict(float, past["sums"])
        for path in dead:
            for series, value in _numbers_of(path).items():
                sums[series] += value
        written = folder / f"{_PAST}.new"
        written.write_text(json.dumps({"folded": [path.name for path in dead], "sums": sums}))
        written.replace(folder / _PAST)
    for name in [*past["folded"], *(path.name for path in dead)]:
        (folder / name).unlink(missing_ok=True)


def _past(folder: Path) -> dict[str, dict[str, float]]:
    try:
        found: dict[str, dict[str, float]] = json.loads((folder / _PAST).read_text())
    except FileNotFoundError:
        return {"folded": {}, "sums": {}}
    return found


def _files(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield the files the past does not hold, and whether their process lives."""
    folded = _past(folder)["folded"]
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if path.name not in folded:
            with path.open("rb") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield path, True
                else:
                    yield path, False


def _numbers_of(path: Path) -> dict[str, float]:
    data = path.read_bytes()
    if len(data) < _FILE_BYTES:
        return {}
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    names = data[_LENGTH_BYTES : _LENGTH_BYTES + length].decode().splitlines()
    values = memoryview(data)[_LENGTH_BYTES + _INDEX_BYTES :].cast("d")
    return dict(zip(names, values, strict=False))
