"""How many of a period's cases were acted on by all processes of this host? One small locked file for each period.

A token is an entry of 32 bytes, appended under the file's lock before a decision leaves. What is used is the number of
such entries: one that was torn, by a kill or a full disk, counts as used, so a crash may waste a token and never makes
one. It is keyed by the prediction: a retry at another process finds it and takes no second token. An entry also marks
where a slot began, so that all processes solve one cut-off. A process that dies lets go of the lock; one that is merely
stopped while it holds the lock is not waited for longer than a moment.

Each process reads only what was appended since it last looked, and asks for no lock for a prediction that it knows to
have a token, nor once nothing is left. Where tokens must outlive a lost power nobody waits for the disk under the lock:
`CapacityFile.sync` makes all entries that this process knows of durable at once, also those of others, before the
answers leave that were decided by them. Nothing slower than the standard library is imported.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from trueup.lake.disk import Disk, SystemDisk
from trueup.lake.errors import LakeError

_ENTRY = struct.Struct("<B3x16sQI")
_VALUES = struct.Struct("<QQ")
_SLOT_START = struct.Struct("<q8x")
_TOKEN, _RANDOM, _LOWERED, _LIMIT, _SLOT, _RAISED = 1, 2, 3, 4, 5, 6
_NOTHING = bytes(16)
_SUFFIX = ".tokens"
_PAUSE_SECONDS = 0.0005
_CLOSED = (1 << 62, 0)
_NO_LIMIT = 1 << 62
KEPT_PERIODS = 62
"""Periods whose counts stay: a clock that was wrong by less finds them again."""


class CapacityUnavailable(LakeError):
    """Tokens cannot be counted, so none may be taken."""

    code = "lake.capacity-unavailable"


class _Period:
    """One period's file as this process knows it."""

    def __init__(self, path: Path, *, synced: bool) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.entries = 0
        self.unsynced = bytearray()
        """The last of the entries: those not known to be on the disk, where it is asked for that."""
        self._synced = synced
        self.is_named = self.is_doubtful = False
        """Whether the file's name is on the disk; whether the disk refused, and may have lost what it was given."""
        self.tokens: dict[bytes, bool] = {}
        self.torn = 0
        self.explored = 0
        self.lowered = _NO_LIMIT
        """The most before anything that was raised."""
        self.raised = 0
        self.limit, self.limit_version = _NO_LIMIT, -1
        self.slots: dict[int, tuple[int, int]] = {}
        """What was used before each slot."""

    @property
    def used(self) -> int:
        """Tokens taken or wasted."""
        return len(self.tokens) + self.torn

    @property
    def most(self) -> int:
        """The most tokens of all kinds, as the file says."""
        return min(self.lowered + self.raised, self.limit)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)
        self.descriptor = -1

    def has_none_left(self, *, exploring: bool, most: int, in_all: int) -> bool:
        """Return whether no token of a kind is left."""
        kind = self.explored if exploring else self.used - self.explored
        return kind >= most or self.used >= min(in_all, self.most)

    def is_all_read(self) -> bool:
        """Return whether nothing was appended since."""
        return os.fstat(self.descriptor).st_size == self.entries * _ENTRY.size

    def read_new(self) -> None:
        """Read what was appended since."""
        size = os.fstat(self.descriptor).st_size
        known = self.entries * _ENTRY.size
        if size <= known:
            return
        content = os.pread(self.descriptor, size - known, known)
        content += bytes(-len(content) % _ENTRY.size)  # a torn entry fails its checksum
        for offset in range(0, len(content), _ENTRY.size):
            self._count(content[offset : offset + _ENTRY.size])

    def append(self, kind: int, payload: bytes) -> None:
        """Append an entry; the lock must be held and everything read."""
        body = struct.pack("<B3x16sQ", kind, payload, 0)
        content = body + struct.pack("<I", zlib.crc32(body))
        _write_at(self.descriptor, content, self.entries * _ENTRY.size)
        self._count(content)

    def _count(self, content: bytes) -> None:
        self.entries += 1
        if self._synced:
            self.unsynced += content
        kind, payload, _, checksum = _ENTRY.unpack(content)
        if checksum != zlib.crc32(content[:-4]) or not _TOKEN <= kind <= _RAISED:
            self.torn += 1
        elif kind == _LOWERED:
            cases, raised = _VALUES.unpack(payload)
            self.lowered = min(self.lowered, cases - raised)
        elif kind == _RAISED:
            self.raised = max(self.raised, _VALUES.unpack(payload)[0])
        elif kind == _LIMIT:
            cases, version = _VALUES.unpack(payload)
            if version >= self.limit_version:
                self.limit, self.limit_version = cases, version
        elif kind == _SLOT:
            self.slots.setdefault(_SLOT_START.unpack(payload)[0], (self.used, self.explored))
        else:
            self.tokens[payload] = kind == _RANDOM
            self.explored += kind == _RANDOM


class CapacityFile:
    """The tokens of one project on this host; a `TokenCounter` of `align/streaming.py`.

    Parameters
    ----------
    folder : Path
        Of this project, on a local disk (file locks of a network share cannot be trusted); made where it is missing.
    sync : bool
        Whether `sync` puts tokens on the disk: then no power cut creates one either. Without it, none is lost with a
        process.
    kept_periods : int
        Files of older periods are removed, and those periods closed.
    wait_seconds : float
        For a lock, at most; after a wait in vain the next calls only try once, until one has it.
    disk : Disk, optional

    Raises
    ------
    CapacityUnavailable
        By every method: when the files cannot be locked, read or written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sync: bool = False,
        kept_periods: int = KEPT_PERIODS,
        wait_seconds: float = 0.25,
        disk: Disk | None = None,
    ) -> None:
        self._folder, self._sync, self._kept = folder, sync, kept_periods
        self._disk: Disk = disk or SystemDisk()
        self._known, self._flushing = threading.Lock(), threading.Lock()
        # the first for what `sync` looks at from its own thread, never while the disk is waited for
        self._tries, self._in_vain = max(1, round(wait_seconds / _PAUSE_SECONDS)), False
        self._open: dict[int, _Period] = {}
        with _said(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def used(self, period_start: int) -> tuple[int, int]:
        """Return the tokens taken of a period, and how many of them for exploration."""
        with _said(self._folder), self._locked(period_start) as period:
            return _CLOSED if period is None else (period.used, period.explored)

    def used_before(self, period_start: int, slot_start: int) -> tuple[int, int]:
        """Return what `used` said when the first process asked for this slot: its entry stands where the slot began."""
        known = self._open.get(period_start)
        if known is not None and slot_start in known.slots:
            return known.slots[slot_start]
        with _said(self._folder), self._locked(period_start) as period:
            if period is None:
                return _CLOSED
            if slot_start not in period.slots:
                self._append(period, _SLOT, _SLOT_START.pack(slot_start))
            return period.slots[slot_start]

    def allowed(self, period_start: int, cases: int) -> tuple[int, float]:
        """Return how many of `cases` may be acted on in a period, and the share of all cases that come here."""
        with _said(self._folder), self._locked(period_start) as period:
            return (0 if period is None else min(cases, period.most)), 1.0

    def take(self, period_start: int, prediction_id: bytes, *, exploring: bool, most: int, in_all: int) -> bool:
        """Take a token for a prediction, or say no; see `TokenCounter`."""
        name = _name_of(prediction_id)
        known = self._open.get(period_start)
        if known is not None:
            if name in known.tokens:
                return True
            if known.has_none_left(exploring=exploring, most=most, in_all=in_all) and known.is_all_read():
                return False
        with _said(self._folder), self._locked(period_start) as period:
            if period is None:
                return False
            if name in period.tokens:
                return True
            if period.has_none_left(exploring=exploring, most=most, in_all=in_all):
                return False
            self._append(period, _RANDOM if exploring else _TOKEN, name)
            return True

    def taken(self, period_start: int, prediction_id: bytes) -> bool | None:
        """Return whether the token that a prediction has is for exploration; None where it has none."""
        name = _name_of(prediction_id)
        known = self._open.get(period_start)
        if known is not None and (name in known.tokens or known.is_all_read()):
            return known.tokens.get(name)
        with _said(self._folder), self._locked(period_start) as period:
            return None if period is None else period.tokens.get(name)

    def limit(self, period_start: int, cases: int, *, version: int) -> None:
        """Say to all processes of the host what a version of the desired state allows in a period.

        Each process then honours the lower of this and what it was told itself, so that a capacity is lowered for all
        at once. Of several limits the one of the highest version counts, so that a limit can also be lifted.
        """
        is_news = False
        with _said(self._folder), self._locked(period_start) as period:
            if period is not None and version > period.limit_version:
                self._append(period, _LIMIT, _VALUES.pack(cases, version))
                is_news = True
        if period is not None and is_news:
            self._flush(period)

    def lower(self, period_start: int, cases: int) -> int:
        """Allow no more than `cases` in a period and return what is allowed: never below what is used.

        It holds for good, but for what `raised` adds later.
        """
        with _said(self._folder), self._locked(period_start) as period:
            if period is None:
                return 0
            left = max(cases, period.used)
            if left - period.raised < period.lowered:
                self._append(period, _LOWERED, _VALUES.pack(left, period.raised))
            left = min(left, period.lowered + period.raised)
        self._flush(period)
        return left

    def raised(self, period_start: int, cases: int) -> None:
        """Allow so many more cases in a period than what was lowered leaves; in all since its start, not once more."""
        is_news = False
        with _said(self._folder), self._locked(period_start) as period:
            if period is not None and cases > period.raised:
                self._append(period, _RAISED, _VALUES.pack(cases, 0))
                is_news = True
        if period is not None and is_news:
            self._flush(period)

    def sync(self) -> None:
        """Return when every token that this process took or heard of is on the disk; at once without `sync`.

        May be called in another thread than the other methods, by one thread at a time. What follows from a token must
        not leave before; one that was refused here is tried again by the next call.
        """
        with self._known:
            waiting = [period for period in self._open.values() if period.unsynced]
        for period in waiting:
            self._flush(period)

    def close(self) -> None:
        """Close the files. May be called twice."""
        while self._open:
            self._open.popitem()[1].close()

    def _append(self, period: _Period, kind: int, payload: bytes) -> None:
        with self._known:
            period.append(kind, payload)

    def _flush(self, period: _Period) -> None:
        """Return when everything known of a period is on the disk."""
        with _said(self._folder), self._flushing:
            with self._known:
                if period.descriptor < 0:
                    return  # closed since, and so on the disk
                descriptor, entries, content = os.dup(period.descriptor), period.entries, bytes(period.unsynced)
            try:
                if period.is_doubtful:  # a later sync may succeed without what an earlier one could not keep
                    _write_at(descriptor, content, entries * _ENTRY.size - len(content))
                period.is_doubtful = True
                self._disk.flush(descriptor)
                if not period.is_named:
                    self._disk.flush_folder(self._folder)
            finally:
                os.close(descriptor)
            period.is_named, period.is_doubtful = True, False
            with self._known:
                del period.unsynced[: len(content)]

    @contextlib.contextmanager
    def _locked(self, start: int) -> Iterator[_Period | None]:
        """Hold the lock of a period's file, with everything in it read; None for a closed period."""
        period = self._open.get(start) or self._opened(start)
        if period is None:
            yield None
            return
        with self._lock(period.descriptor):
            with self._known:
                period.read_new()
            yield period

    @contextlib.contextmanager
    def _lock(self, descriptor: int) -> Iterator[None]:
        tries, self._in_vain = 1 if self._in_vain else self._tries, True
        with _lock(descriptor, tries=tries):
            self._in_vain = False
            yield

    def _opened(self, start: int) -> _Period | None:
        """Open the file of a period, and remove those of old ones; None when the period is closed."""
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with self._lock(descriptor):
                starts = {int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}")}
                if start not in starts and sum(other > start for other in starts) >= self._kept:
                    return None
                opened = _Period(self._folder / f"{start}{_SUFFIX}", synced=self._sync)
                for old in sorted(starts | {start})[: -self._kept]:
                    (self._folder / f"{old}{_SUFFIX}").unlink()
        finally:
            os.close(descriptor)
        with self._known:
            self._open[start] = opened
            for old in sorted(self._open.keys() - {start})[:-3]:
                if not self._open[old].unsynced:
                    self._open.pop(old).close()
        return opened


def _write_at(descriptor: int, content: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, content, offset)
    if written != len(content):
        raise OSError(f"{written} of {len(content)} bytes were written")


def _name_of(prediction_id: bytes) -> bytes:
    return hashlib.blake2b(prediction_id, digest_size=16).digest()


@contextlib.contextmanager
def _lock(descriptor: int, *, tries: int) -> Iterator[None]:
    for left in range(tries, 0, -1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if left > 1:
                time.sleep(_PAUSE_SECONDS)
    else:
        raise OSError("another process has held the lock for too long")
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextlib.contextmanager
def _said(folder: Path) -> Iterator[None]:
    """Say it as our own error where the disk is to blame."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise CapacityUnavailable(
            f"the tokens in {folder} cannot be counted: {reason}. Nobody is acted on meanwhile; free some space, or "
            "make the folder readable and writable for the server",
            folder=str(folder),
        ) from error
