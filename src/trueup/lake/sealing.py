"""How do finished segments become files that everybody can read, each record exactly once, whatever is killed?

A batch of segments becomes a few Parquet files, and one manifest entry that names them all: with it the records are in
the log, before it they are not. A segment that an entry names is never sealed again; it is only removed. Of a damaged
one every whole record is sealed, and the entry says how much could not be read; its bytes are kept aside. Segments that
cannot be sealed yet wait, and keep nothing else waiting.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.lake.errors import LakeError, StoreFull, StoreReadOnly, StoreUnavailable
from trueup.lake.feature_schemas import FeatureColumn, columns_of, keep_schema, read_schema
from trueup.lake.log_features import features_as_arrow
from trueup.lake.log_files import write_log_file
from trueup.lake.log_manifest import AlreadySealed, Draft, LogManifest
from trueup.lake.log_records import PredictionRecord, Record, SchemaRecord, decode_record
from trueup.lake.log_tables import COLUMNS, as_arrow, rows_by_table
from trueup.lake.segments import DAMAGED, finished, list_segments, read_segment
from trueup.lake.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_BYTES = 64 * 1024 * 1024
_BATCH_SEGMENTS = 200  # held open at once
_CHUNK_BYTES = 8 * 1024 * 1024  # of frames that are records at once
_POSITION = ".position"
_LOCK = ".sealing"
_REMEMBER_EVERY = 32
Tables = dict[str, list[Any]]


class SealingElsewhere(LakeError):
    """Another process seals this folder."""

    code = "lake.sealing-elsewhere"


@dataclass(frozen=True)
class Sealed:
    """What one pass did."""

    segments: int = 0
    rows: int = 0
    """Of all tables but features."""
    torn_bytes: int = 0
    waiting: dict[str, str] = field(default_factory=dict)
    """Segments that could not be sealed, with why."""
    damaged: dict[str, int] = field(default_factory=dict)
    """Bytes that could not be read, by segment; all else of these is sealed."""


@dataclass
class _Batch:
    names: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    torn_bytes: int = 0
    damaged: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    tables: Tables = field(default_factory=dict)


@contextmanager
def sealing_alone(hot: Path) -> Iterator[None]:
    """Hold a folder of segments as the only one who seals it.

    Raises
    ------
    SealingElsewhere
    """
    hot.mkdir(parents=True, exist_ok=True)
    with (hot / _LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SealingElsewhere(f'another process seals "{hot}"; one is enough', place=str(hot)) from None
        yield


class Sealer:
    """Seals the segments of one project that lie in one folder; within `sealing_alone`.

    Parameters
    ----------
    store : Store
    project : str
    hot : Path
        The folder of segments.
    clock : callable
        Microseconds UTC.
    """

    def __init__(self, store: Store, project: str, *, hot: Path, clock: Callable[[], int]) -> None:
        self.manifest = LogManifest(store, project)
        self._store, self._project, self._hot, self._clock = store, project, hot, clock
        self._checked: int | None = None
        """Entry up to which no segment in the folder is named; None: not known."""
        self._passes = 0
        self._kept: set[str] = set()
        """Schemas of segments that the lake has."""

    def seal_finished(self) -> Sealed:
        """Seal every segment whose writer is done or dead, and return what was done.

        Raises
        ------
        StoreFull, StoreReadOnly, StoreUnavailable
            The segments stay, for another pass.
        """
        self.manifest.refresh()
        self._remove_named()
        total = Sealed()
        left = list(list_segments(self._hot))
        while left:
            with ExitStack() as held:
                batch, left = self._gather(left, held, total.waiting)
                self._publish(batch)
            total = Sealed(
                total.segments + len(batch.paths),
                total.rows + batch.rows,
                total.torn_bytes + batch.torn_bytes,
                total.waiting,
                total.damaged | batch.damaged,
            )
        self._remember()
        return total

    def _gather(self, paths: Sequence[Path], held: ExitStack, waiting: dict[str, str]) -> tuple[_Batch, list[Path]]:
        """Read segments until a batch is full, and return it with those that are left."""
        batch, size = _Batch(), 0
        for place, path in enumerate(paths):
            if size >= BATCH_BYTES or place >= _BATCH_SEGMENTS:
                return batch, list(paths[place:])
            if not held.enter_context(finished(path)):
                continue
            try:
                size += path.stat().st_size
                segment = read_segment(path)
                tables = self._tables_of(segment.frames)
            except (StoreFull, StoreReadOnly, StoreUnavailable):
                raise  # so it would be with every other segment
            except LakeError as error:
                waiting[path.name] = error.message
                continue
            except Exception as error:  # noqa: BLE001  # told as waiting: no segment keeps the others waiting
                waiting[path.name] = f"{type(error).__name__} while sealing"
                continue
            batch.names.append(path.name)
            batch.paths.append(path)
            batch.torn_bytes += segment.torn_bytes
            if segment.damaged_bytes:
                batch.damaged[path.name] = segment.damaged_bytes
            for table, pieces in tables.items():
                batch.tables.setdefault(table, []).extend(pieces)
                batch.rows += sum(piece.num_rows for piece in pieces) if table in COLUMNS else 0
        return batch, []

    def _tables_of(self, frames: Sequence[bytes]) -> Tables:
        found: Tables = {}
        known: dict[str, tuple[FeatureColumn, ...]] = {}
        for chunk in _chunks(frames):
            records = [decode_record(frame) for frame in chunk]
            for told in records:
                if isinstance(told, SchemaRecord):
                    known[told.schema_digest] = columns_of(told.kinds)
            for table, rows in rows_by_table(records).items():
                if rows:
                    found.setdefault(table, []).append(as_arrow(table, rows))
            for digest, served in _by_schema(records).items():
                found.setdefault(f"features/{digest}", []).append(
                    features_as_arrow(served, self._schema(digest, known))
                )
        return found

    def _schema(self, digest: str, known: Mapping[str, tuple[FeatureColumn, ...]]) -> tuple[FeatureColumn, ...]:
        """Return the columns of a schema, which the lake has from now on, for readers."""
        if digest in known and digest not in self._kept:
            keep_schema(self._store, digest, known[digest])
            self._kept.add(digest)
        return known.get(digest) or read_schema(self._store, digest)

    def _publish(self, batch: _Batch) -> None:
        if not batch.paths:
            return
        if batch.tables or batch.damaged:
            added = tuple(
                write_log_file(self._store, self._project, table=table, rows=_joined(pieces), now=self._clock())
                for table, pieces in batch.tables.items()
            )
            draft = Draft(
                kind="sealed",
                at=self._clock(),
                added=added,
                segments=tuple(batch.names),
                torn_bytes=batch.torn_bytes,
                damaged=batch.damaged,
            )
            try:
                self.manifest.append(draft, after=self._checked)
            except AlreadySealed:
                for file in added:
                    self._store.delete(file.path)
                self._remove_named()
                return
        for path in batch.paths:
            _put_away(path, batch.damaged)
        self._checked = self.manifest.position

    def _remove_named(self) -> None:
        """Remove the segments that the manifest names: a kill came between the entry and their removal."""
        if self._checked is None:
            self._checked = _read_position(self._hot)
        if not list_segments(self._hot):
            self._checked = self.manifest.position
            return
        if self._checked < self.manifest.position:
            for entry in self.manifest.entries(after=self._checked):
                for name in entry.segments:
                    _put_away(self._hot / name, entry.damaged)
            self._checked = self.manifest.position

    def _remember(self) -> None:
        """Write down from which entry on segments may be named, now and then: a start need not read all entries."""
        if self._passes % _REMEMBER_EVERY == 0 and self._checked is not None:
            unnamed = self._hot / f"{_POSITION}.new"
            with suppress(OSError):
                unnamed.write_text(str(self._checked))
                unnamed.replace(self._hot / _POSITION)
        self._passes += 1


def _put_away(path: Path, damaged: Mapping[str, int]) -> None:
    """Remove a segment that is sealed; keep the bytes of a damaged one."""
    if path.name in damaged:
        with suppress(FileNotFoundError):
            path.rename(path.with_name(path.name + DAMAGED))
    else:
        path.unlink(missing_ok=True)


def count_waiting(hot: Path) -> int:
    """Return how many rows of all tables but features a folder holds, as far as they can be read."""
    rows = 0
    for path in list_segments(hot):
        with suppress(LakeError, OSError):
            records = map(decode_record, read_segment(path).frames)
            rows += sum(map(len, rows_by_table(records).values()))
    return rows


def remove_unnamed(hot: Path) -> None:
    """Remove files that a killed writer had not yet named; within `sealing_alone`."""
    for path in hot.glob(".*~*~*"):
        with finished(path) as done:
            if done:
                path.unlink(missing_ok=True)


def _chunks(frames: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    first = size = 0
    for place, frame in enumerate(frames):
        size += len(frame)
        if size >= _CHUNK_BYTES:
            yield frames[first : place + 1]
            first, size = place + 1, 0
    if first < len(frames):
        yield frames[first:]


def _by_schema(records: Sequence[Record]) -> dict[str, list[PredictionRecord]]:
    found: dict[str, list[PredictionRecord]] = {}
    for record in records:
        if isinstance(record, PredictionRecord) and record.body:
            found.setdefault(record.schema_digest, []).append(record)
    return found


def _joined(pieces: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(pieces)


def _read_position(hot: Path) -> int:
    try:
        return int((hot / _POSITION).read_text())
    except (FileNotFoundError, ValueError):
        return 0
