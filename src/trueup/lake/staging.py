"""Where do a table's new files wait until they are published, and who clears up after a killed writer?"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from trueup.lake.errors import LakeError, told_as_lake_errors
from trueup.lake.folder_store import flush_to_disk
from trueup.lake.row_digest import RowDigest, recut

_FILE_BYTES = 128 << 20
_LOCK_ENDING = ".lock"


class UnsupportedType(LakeError):
    """A column's type has no place in a table."""

    code = "lake.unsupported-type"


@dataclass(frozen=True)
class StagedTable:
    """Rows on the local disk, finished and flushed, not yet part of any table."""

    write_id: str
    schema: pa.Schema
    files: tuple[Path, ...]
    file_rows: tuple[int, ...]
    digest: str
    """Of the rows; see `RowDigest`."""

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return sum(self.file_rows)


@dataclass(frozen=True)
class StagingFolder:
    """The place of one writer, held by a lock that the operating system frees when the writer dies."""

    write_id: str
    folder: Path

    def write(
        self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, *, on_rows: Callable[[int], None] | None = None
    ) -> StagedTable:
        """Write a stream of batches to Parquet files, in flat memory.

        Parameters
        ----------
        on_rows : callable, optional
            Called with the number of rows written so far.

        Raises
        ------
        UnsupportedType
            For a type that versioned tables do not have.
        StoreFull, StoreReadOnly, StoreUnavailable
            When the disk refuses; an error raised by `batches` passes unchanged.
        """
        check_types(schema)
        digest = RowDigest(schema)
        files: list[Path] = []
        counts: list[int] = []
        stream = recut(batches, schema)
        batch = next(stream, None)
        while batch is not None:
            path = self.folder / f"part-{self.write_id}-{len(files):05d}.parquet"
            rows = 0
            with _parquet_file(path, schema) as (writer, out):
                while batch is not None and out.tell() < _FILE_BYTES:
                    digest.update(batch)
                    with told_as_lake_errors(str(path.parent)):
                        writer.write_batch(batch)
                    rows += batch.num_rows
                    if on_rows is not None:
                        on_rows(digest.rows)
                    batch = next(stream, None)
            files.append(path)
            counts.append(rows)
        return StagedTable(self.write_id, schema, tuple(files), tuple(counts), digest.hexdigest())


@contextmanager
def staging_folder(parent: Path) -> Iterator[StagingFolder]:
    """Hold a new folder below `parent` while writing; it is gone afterwards, published or not."""
    with told_as_lake_errors(str(parent)):
        parent.mkdir(parents=True, exist_ok=True)
        lock, write_id = _new_lock(parent)
    folder = parent / write_id
    try:
        with told_as_lake_errors(str(parent)):
            folder.mkdir()
        yield StagingFolder(write_id, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        (parent / f"{write_id}{_LOCK_ENDING}").unlink(missing_ok=True)
        lock.close()


def clear_dead_writers(parent: Path, forget: Callable[[str], None]) -> None:
    """Call `forget` with the write id of every writer that died, then remove its folder.

    A writer that is alive holds its lock and is left alone.
    """
    for path in sorted(parent.glob(f"*{_LOCK_ENDING}")):
        write_id = path.name.removesuffix(_LOCK_ENDING)
        try:
            lock = path.open("rb+")
        except FileNotFoundError:
            continue
        with lock:
            if not _try_lock(lock) or not _is_same_file(lock, path):
                continue
            forget(write_id)
            shutil.rmtree(parent / write_id, ignore_errors=True)
            path.unlink(missing_ok=True)


def check_types(schema: pa.Schema) -> None:
    """Raise `UnsupportedType` when a column's type has no place in a versioned table."""
    for field in schema:
        if not _is_supported(field.type):
            raise UnsupportedType(
                f'column "{field.name}" has the type {field.type}; a table holds booleans, integers, floats, decimals, '
                "text, dates and timestamps in microseconds; cast it first",
                column=field.name,
                seen=str(field.type),
            )


def _is_supported(kind: pa.DataType) -> bool:
    if pa.types.is_timestamp(kind):
        return bool(kind.unit == "us" and kind.tz in (None, "UTC"))
    checks = (
        pa.types.is_boolean,
        pa.types.is_signed_integer,
        pa.types.is_float32,
        pa.types.is_float64,
        pa.types.is_decimal128,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_date32,
    )
    return any(check(kind) for check in checks)


@contextmanager
def _parquet_file(path: Path, schema: pa.Schema) -> Iterator[tuple[pq.ParquetWriter, BinaryIO]]:
    with told_as_lake_errors(str(path.parent)):
        out = path.open("xb")
        writer = pq.ParquetWriter(out, schema, compression="zstd")
    try:
        yield writer, out
    except BaseException:
        _close_quietly(writer, out)
        raise
    try:
        with told_as_lake_errors(str(path.parent)):
            writer.close()
            flush_to_disk(out)
            out.close()
    except LakeError:
        _close_quietly(writer, out)
        raise


def _close_quietly(*opened: pq.ParquetWriter | BinaryIO) -> None:
    """Close what is thrown away: the first error is the one to tell."""
    for one in opened:
        with suppress(OSError):
            one.close()


def _new_lock(parent: Path) -> tuple[BinaryIO, str]:
    while True:
        write_id = secrets.token_hex(12)
        path = parent / f"{write_id}{_LOCK_ENDING}"
        lock = path.open("xb")
        if _try_lock(lock) and _is_same_file(lock, path):
            return lock, write_id
        lock.close()  # a cleaner saw the file before we held it


def _try_lock(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same_file(lock: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.stat())
    except FileNotFoundError:
        return False
