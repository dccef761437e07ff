"""What did an interrupted run decide already? A small file beside the log, so that the same command goes on with it.

A run is the rows, the bundle that decides them, and how the capacity is given out. Its file says when it began and what
was solved for that moment, then what was decided, in the order of the rows. Decisions are written down before they are
logged: of those written last it is not known whether they are in the log, of all before it is. So the last ones are
logged again, as they were, under the same ids, which views of the log count once.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trueup.align.streaming import Found
from trueup.lake.errors import StoreFull, told_as_lake_errors
from trueup.loop.predict_deciding import REASONS, ROLES, Decisions
from trueup.loop.predict_reading import CannotPredict

FORMAT = 1
KEPT_DAYS = 400
_SUFFIX = ".run"
_HEAD = struct.Struct("<cII")
_BEGIN, _DECIDED, _END = b"B", b"D", b"E"
_COLUMNS = {"acted": "?", "qualifies": "?", "reasons": "u1", "roles": "u1", "propensities": "<f8"}
_ROW_BYTES = sum(np.dtype(kind).itemsize for kind in _COLUMNS.values())
_CODES = [*REASONS, *ROLES]


class RunElsewhere(CannotPredict):
    """Another process is deciding the same rows."""

    code = "loop.run-elsewhere"


class RunDiffers(CannotPredict):
    """The id is one of another run."""

    code = "loop.run-differs"


@dataclass(frozen=True)
class Beginning:
    """How a run began."""

    run: str
    """Its id, in hexadecimal digits."""
    moment: int
    """At which all rows are decided, in microseconds UTC."""
    found: Found | None = None
    """What was solved for that moment, where there is a capacity."""
    used: int | None = None
    """Tokens of the period that were taken before."""


class RunJournal:
    """What one run decided; opened by `open_journal`.

    Attributes
    ----------
    beginning : Beginning
    decided : int
        Rows that were decided before this attempt.
    logged : int
        Of them known to be in the log.
    ended : bool
        Whether the run came to its end.
    """

    def __init__(self, file: int, path: Path, *, durable: bool) -> None:
        self._file, self._path, self._durable = file, path, durable
        self._size = 0
        self._held: Decisions | None = None
        self._replayed = 0
        self.beginning = Beginning("", 0)
        self.decided = self.logged = 0
        self.ended = False

    def replay(self, rows: int) -> Decisions | None:
        """Return what was decided for the next rows, as many as there are up to `rows`; None for none."""
        while self._held is None and self._replayed < self._size:
            kind, content = self._read(self._replayed)
            self._replayed += _HEAD.size + len(content)
            if kind == _DECIDED:
                self._held = _decisions_in(content)
        if self._held is None:
            return None
        given, left = self._held.part(0, rows), self._held.part(rows, len(self._held))
        self._held = left if len(left) else None
        return given

    def note(self, decisions: Decisions) -> None:
        """Write down what was decided for the rows after those before."""
        columns = [getattr(decisions, name).astype(kind).tobytes() for name, kind in _COLUMNS.items()]
        self._append(_DECIDED, zlib.compress(b"".join(columns), 1))
        self._replayed = self._size

    def end(self) -> None:
        """Write down that all rows were decided and logged."""
        if not self.ended:
            self._append(_END, b"{}")
            self.ended = True

    def close(self) -> None:
        """Let go of the run."""
        os.close(self._file)

    # --- the file

    def begin(
        self, key: str, begin: Callable[[], Beginning], *, counts: Callable[[Beginning], bool], anew: bool
    ) -> None:
        """Go on with the run in the file, or begin one.

        Raises
        ------
        RunDiffers
        """
        told: dict[str, Any] = {}
        for kind, content, end in self._frames():
            if kind == _BEGIN:
                told = json.loads(content)
            elif kind == _DECIDED:
                self.logged, self.decided = self.decided, self.decided + len(_decisions_in(content))
            else:
                self.logged, self.ended = self.decided, True
            self._size = end
        if told and not anew:
            found = Found(*told["found"]) if told["found"] else None
            self.beginning = Beginning(told["run"], told["moment"], found, told["used"])
            if self.decided or counts(self.beginning):
                self._check(told, key)
                self._cut(self._size)
                return
        self._cut(0)
        self._size = self.decided = self.logged = 0
        self.ended = False
        self.beginning = begin()
        self._append(
            _BEGIN, json.dumps({**asdict(self.beginning), "key": key, "format": FORMAT, "codes": _CODES}).encode()
        )
        self._replayed = self._size

    def _check(self, told: dict[str, Any], key: str) -> None:
        if told["key"] != key:
            raise RunDiffers(
                "the run with this id decided other rows, or by another bundle or allocation; give another --id, or "
                "leave it out",
                run=told["run"],
            )
        if told["format"] != FORMAT or told["codes"] != _CODES:
            raise RunDiffers(
                "the run was begun with another version of Trueup; end it with that one, or decide anew: --again",
                run=told["run"],
            )

    def _frames(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Yield kind, content and end of every whole frame."""
        at = 0
        while True:
            try:
                kind, content = self._read(at)
            except ValueError:
                return
            at += _HEAD.size + len(content)
            yield kind, content, at

    def _read(self, at: int) -> tuple[bytes, bytes]:
        head = os.pread(self._file, _HEAD.size, at)
        if len(head) < _HEAD.size:
            raise ValueError
        kind, length, checksum = _HEAD.unpack(head)
        content = os.pread(self._file, length, at + _HEAD.size)
        if len(content) < length or zlib.crc32(kind + content) != checksum:
            raise ValueError
        return kind, content

    def _append(self, kind: bytes, content: bytes) -> None:
        frame = _HEAD.pack(kind, len(content), zlib.crc32(kind + content)) + content
        with told_as_lake_errors(str(self._path.parent)):
            if os.pwrite(self._file, frame, self._size) < len(frame):
                raise StoreFull(
                    f'no space left while writing to "{self._path.parent}"; free some space, then run the same command '
                    "again: it goes on where it stopped",
                    place=str(self._path.parent),
                )
            if self._durable:
                os.fdatasync(self._file)
        self._size += len(frame)

    def _cut(self, size: int) -> None:
        with told_as_lake_errors(str(self._path.parent)):
            os.ftruncate(self._file, size)


def open_journal(
    folder: Path,
    name: str,
    *,
    key: str,
    begin: Callable[[], Beginning],
    counts: Callable[[Beginning], bool],
    anew: bool,
    durable: bool,
    now: int,
) -> RunJournal:
    """Return the journal of a run, with what it decided before.

    Parameters
    ----------
    folder : Path
        Of the project's runs; those not touched for `KEPT_DAYS` are removed.
    name : str
        Of the file.
    key : str
        Digest of what is decided, and by what.
    begin : callable
        Says how the run begins, where it does.
    counts : callable
        Tells of a beginning whether it must be gone on with, although nothing was decided: it took tokens.
    anew : bool
        Whether to begin again, whatever was decided.
    durable : bool
        Whether what is noted survives a lost power.
    now : int
        Microseconds UTC.

    Raises
    ------
    RunElsewhere, RunDiffers
    StoreFull, StoreReadOnly, StoreUnavailable
    """
    path = folder / f"{name}{_SUFFIX}"
    with told_as_lake_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_old(folder, now)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunElsewhere(
                "another process is deciding the same rows with the same bundle; wait for it", run=name
            ) from None
        os.utime(file, ns=(now * 1000, now * 1000))
        journal = RunJournal(file, path, durable=durable)
        journal.begin(key, begin, counts=counts, anew=anew)
    except BaseException:
        os.close(file)
        raise
    return journal


def _remove_old(folder: Path, now: int) -> None:
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < now / 1e6 - KEPT_DAYS * 86_400:
                path.unlink()


def _decisions_in(content: bytes) -> Decisions:
    plain, at = zlib.decompress(content), 0
    rows = len(plain) // _ROW_BYTES
    columns = []
    for kind in _COLUMNS.values():
        columns.append(np.frombuffer(plain, np.dtype(kind), count=rows, offset=at))
        at += rows * np.dtype(kind).itemsize
    return Decisions(*columns)
