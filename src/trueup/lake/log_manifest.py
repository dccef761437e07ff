"""Which files hold the log of a project now? Those that its manifest says, never those that lie in a folder.

The manifest is a chain of numbered entries that never change, under ``log/<project>/manifest/``. Each names the SHA-256
of the one before, so nothing can be taken out or changed without notice. Two writers never overwrite each other: who
comes second finds the number taken, reads what the other wrote, and takes the next one. A checkpoint every 64 entries
saves readers the way from the beginning; it is a copy, and `LogManifest.verify` does without it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Literal

import msgspec

from trueup.kernel.digests import digest_of_bytes
from trueup.lake.errors import KeyMissing, KeyTaken, LakeError
from trueup.lake.store import Store

FORMAT = 1
CHECKPOINT_EVERY = 64
_BEGINNING = "0" * 64
_PIECE = 1 << 20
_SHOWN = 20

Kind = Literal["sealed", "replaces", "dropped", "erased"]
"""Segments became files; files became others with the same rows; files became too old; keys of a case were removed."""


class BrokenManifest(LakeError):
    """The chain of entries, or a file it names, is not what was written."""

    code = "lake.broken-manifest"


class ManifestConflict(LakeError):
    """What an entry would take away is no longer there: somebody else was faster."""

    code = "lake.manifest-conflict"


class AlreadySealed(LakeError):
    """A segment is in the manifest already."""

    code = "lake.already-sealed"


class LoggedFile(msgspec.Struct, frozen=True):
    """One Parquet file of the log."""

    path: str
    """Key in the lake."""
    table: str
    """predictions, outcomes, interventions, verdicts, events, or ``features/`` and a schema's digest."""
    rows: int
    first_time: int
    """Microseconds UTC: when predictions were decided, facts recorded."""
    last_time: int
    first_id: str
    last_id: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256 of the file."""
    by_case: bool = False
    """Whether its rows are sorted by case."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says, before it has its place in the chain."""

    kind: Kind
    at: int
    """Moment in microseconds UTC."""
    added: tuple[LoggedFile, ...] = ()
    removed: tuple[LoggedFile, ...] = ()
    """With the digests they had."""
    segments: tuple[str, ...] = ()
    """Names of those whose records are in `added`."""
    torn_bytes: int = 0
    """At the ends of the segments, of writes that never ended and were never acknowledged."""
    damaged: dict[str, int] = {}
    """Bytes that could not be read, by segment; each of these is kept where it lay, as NAME.damaged."""
    keys: int = 0
    """Removed, of a case that was erased. The case itself is not named."""
    reason: str = ""
    before: int = 0
    """Moment in microseconds UTC: files that were dropped are older, and so is damage that counts no more."""


class ManifestEntry(Draft, frozen=True, kw_only=True):
    """A link of the chain."""

    number: int
    previous: str
    """SHA-256 of the entry before; zeros in the first."""
    nonce: str
    """Tells entries of two writers apart that say the same."""
    format: int = FORMAT


class _Checkpoint(msgspec.Struct, frozen=True):
    position: int
    head: str
    files: tuple[LoggedFile, ...]


class LogManifest:
    """The manifest of one project, read as far as `position`.

    Parameters
    ----------
    store : Store
    project : str
    until : int, optional
        Read no further than this entry, as a replay does; None: all there are.
    """

    def __init__(self, store: Store, project: str, *, until: int | None = None) -> None:
        self.store, self.project, self.until = store, project, until
        self.position = 0
        """Number of the last entry that was read."""
        self._head = _BEGINNING
        self._files: dict[str, LoggedFile] = {}

    def refresh(self) -> int:
        """Read the entries that were appended since, and return the new position.

        Raises
        ------
        BrokenManifest
            When an entry does not follow from the one before.
        StoreUnavailable
            What was read so far stays.
        """
        if self.position == 0:
            self._from_checkpoint()
        while self.until is None or self.position < self.until:
            if self._read_next() is None:
                break
        return self.position

    def files(self, table: str | None = None) -> tuple[LoggedFile, ...]:
        """Return the files of a table (of all when None) as of `position`, the oldest first."""
        found = [file for file in self._files.values() if table in (None, file.table)]
        return tuple(sorted(found, key=lambda file: (file.first_time, file.path)))

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables that have files, sorted."""
        return tuple(sorted({file.table for file in self._files.values()}))

    def entries(self, *, after: int = 0) -> Iterator[ManifestEntry]:
        """Yield the entries after a number, to the last one there is, without moving `position`."""
        number = after + 1
        while (found := self._get(number)) is not None:
            yield found[0]
            number += 1

    def append(self, draft: Draft, *, after: int | None = None) -> ManifestEntry:
        """Append an entry behind all others, and return it.

        Parameters
        ----------
        draft : Draft
        after : int, optional
            Look for the draft's segments in the entries after this one; None: only in those this manifest has not read.

        Raises
        ------
        AlreadySealed
            When a segment of the draft is named by an entry after `after`.
        ManifestConflict
            When a file it removes is not there any more.
        BrokenManifest, StoreFull, StoreReadOnly, StoreUnavailable
            Without an answer from the store the entry may be there or not; `AlreadySealed` tells the next time.
        """
        start = self.position if after is None else after
        self.refresh()
        for seen in self.entries(after=start) if start < self.position else ():
            _refuse_sealed(draft, seen)
        nonce = secrets.token_hex(8)
        while True:
            self._refuse_conflict(draft)
            entry = ManifestEntry(
                number=self.position + 1, previous=self._head, nonce=nonce, **msgspec.structs.asdict(draft)
            )
            content = msgspec.json.encode(entry)
            with suppress(KeyTaken):
                self.store.put_if_absent(self._key(entry.number), content)
            taken = self._read_next()
            if taken == entry:
                self._to_checkpoint()
                return entry
            if taken is not None:
                _refuse_sealed(draft, taken)

    def damaged(self, *, before: int | None = None) -> dict[str, int]:
        """Return how many bytes of which segments could not be read, until what was sealed then is dropped.

        Also where no record of their time is left: it may be the damage that took them all.

        Parameters
        ----------
        before : int, optional
            Only of segments that were sealed before this moment, in microseconds UTC.
        """
        found: list[ManifestEntry] = []
        for entry in self.entries():
            found = [*(kept for kept in found if kept.at >= entry.before), *([entry] if entry.damaged else [])]
        told = [entry for entry in found if before is None or entry.at < before]
        return {name: size for entry in told for name, size in entry.damaged.items()}

    def changed_files(self, *, contents: bool = True) -> dict[str, str]:
        """Return which files are not what was written, by path, with what is wrong: ``missing`` or ``changed``.

        Parameters
        ----------
        contents : bool
            Read every byte; else only sizes are looked at, and what keeps its size is not noticed.
        """
        sizes = {entry.key: entry.size for entry in self.store.list(f"log/{self.project}/data")}
        found = {}
        for file in self.files():
            if file.path not in sizes:
                found[file.path] = "missing"
            elif sizes[file.path] != file.size or (contents and _digest_of(self.store, file.path) != file.digest):
                found[file.path] = "changed"
        return found

    def check_files(self, *, contents: bool = True) -> None:
        """Raise `BrokenManifest` where `changed_files` finds any."""
        changed = self.changed_files(contents=contents)
        if changed:
            raise self._changed(changed)

    def verify(self) -> int:
        """Read the chain from its first entry and every file it names, and return its length.

        Raises
        ------
        BrokenManifest
            Names the first entry that is not what was written, or every file.
        """
        again = LogManifest(self.store, self.project, until=self.until)
        while (again.until is None or again.position < again.until) and again._read_next() is not None:
            if again.position == self.position and (again._head, again._files) != (self._head, self._files):
                raise self._broken("the checkpoint does not follow from the entries before it", entry=again.position)
        if again.position < self.position:
            raise self._broken("an entry is missing", entry=again.position + 1)
        again.check_files()
        return again.position

    def _read_next(self) -> ManifestEntry | None:
        """Read the entry after `position`, check that it follows, and take it in."""
        found = self._get(self.position + 1)
        if found is None:
            return None
        entry, digest = found
        gone = [file.path for file in entry.removed if file.path not in self._files]
        if entry.number != self.position + 1 or entry.previous != self._head or gone:
            raise self._broken("an entry does not follow from the one before", entry=self.position + 1)
        for file in entry.removed:
            del self._files[file.path]
        self._files.update((file.path, file) for file in entry.added)
        self.position, self._head = entry.number, digest
        return entry

    def _get(self, number: int) -> tuple[ManifestEntry, str] | None:
        try:
            content = self.store.get(self._key(number))
        except KeyMissing:
            return None
        try:
            entry = msgspec.json.decode(content, type=ManifestEntry)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self._broken("an entry cannot be read", entry=number) from error
        if entry.format != FORMAT:
            raise self._broken(f"an entry has format {entry.format}, and this version reads {FORMAT}", entry=number)
        return entry, digest_of_bytes(content)

    def _refuse_conflict(self, draft: Draft) -> None:
        gone = [file.path for file in draft.removed if self._files.get(file.path) != file]
        if gone:
            raise ManifestConflict(
                f'"{gone[0]}" is no longer a file of the log of "{self.project}"; read the manifest again', path=gone[0]
            )

    def _from_checkpoint(self) -> None:
        try:
            found = msgspec.json.decode(self.store.get(self._checkpoint), type=_Checkpoint)
        except (KeyMissing, msgspec.DecodeError):
            return
        if self.until is None or found.position <= self.until:
            self.position, self._head = found.position, found.head
            self._files = {file.path: file for file in found.files}

    def _to_checkpoint(self) -> None:
        if self.position % CHECKPOINT_EVERY == 0:
            content = msgspec.json.encode(_Checkpoint(self.position, self._head, self.files()))
            with suppress(LakeError):  # a copy; the next one will do
                self.store.put(self._checkpoint, content)

    @property
    def _checkpoint(self) -> str:
        return f"log/{self.project}/checkpoint.json"

    def _key(self, number: int) -> str:
        return f"log/{self.project}/manifest/{number:08d}.json"

    def _changed(self, files: Mapping[str, str]) -> BrokenManifest:
        shown = [f"  {path}: {what}" for path, what in list(files.items())[:_SHOWN]]
        if len(files) > _SHOWN:
            shown.append(f"  and {len(files) - _SHOWN:,} more")
        return BrokenManifest(
            f'{len(files):,} of {len(self._files):,} files of the log of "{self.project}" are not what was written; '
            "restore them from a copy (every byte is looked at by: trueup log verify)\n" + "\n".join(shown),
            files=dict(files),
        )

    def _broken(self, what: str, **where: object) -> BrokenManifest:
        ((kind, name),) = where.items() if where else (("entry", self.position),)
        return BrokenManifest(
            f'the manifest of the log of "{self.project}" is broken at {kind} {name}: {what}; restore it from a copy',
            **where,
        )


def _refuse_sealed(draft: Draft, entry: ManifestEntry) -> None:
    twice = sorted(set(draft.segments) & set(entry.segments))
    if twice:
        raise AlreadySealed(f'segment "{twice[0]}" is in entry {entry.number} of the manifest', segment=twice[0])


def _digest_of(store: Store, key: str) -> str | None:
    digest = hashlib.sha256()
    try:
        with store.open(key) as content:
            while piece := content.read(_PIECE):
                digest.update(piece)
    except KeyMissing:
        return None
    return digest.hexdigest()
