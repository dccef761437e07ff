"""How are answers written, in batches, by the ending of the file's name?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trueup.loop.predict_reading import CannotPredict

if TYPE_CHECKING:
    import pyarrow as pa


class Writer(Protocol):
    """Takes batches with one schema."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write the rows after those before."""
        ...


@contextmanager
def open_writer(path: Path, ending: str, *, facts: Mapping[str, str]) -> Iterator[Writer]:
    """Give a writer of ``.parquet``, ``.csv`` or ``.jsonl``; with Parquet, `facts` stand in the file's metadata.

    Raises
    ------
    CannotPredict
        The disk is full or the folder is not there or read-only, or CSV cannot hold a kept column.
    """
    import pyarrow as pa

    writer: _JsonLines | _Columns = _Columns(path, ending, facts)
    try:
        if ending == ".jsonl":
            writer = _JsonLines(path)
        yield writer
        writer.close()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise CannotPredict(
            f"the answers cannot be written as {ending[1:]}: a column to keep holds lists or records; write .jsonl or "
            ".parquet, or keep fewer columns"
        ) from error
    except OSError as error:
        raise CannotPredict(
            f"{path.parent} cannot be written: {error.strerror or error}; nothing was published", path=str(path.parent)
        ) from error
    finally:
        writer.close()


class _Columns:
    def __init__(self, path: Path, ending: str, facts: Mapping[str, str]) -> None:
        self._path, self._ending, self._facts = path, ending, facts
        self._writer: Any = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            self._writer = self._opened(batch.schema)
        self._writer.write_batch(batch)

    def _opened(self, schema: pa.Schema) -> Any:
        import pyarrow.parquet as pq
        from pyarrow import csv

        if self._ending == ".csv":
            return csv.CSVWriter(self._path, schema)
        return pq.ParquetWriter(self._path, schema.with_metadata({f"trueup.{k}": v for k, v in self._facts.items()}))

    def close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.close()


class _JsonLines:
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write(self, batch: pa.RecordBatch) -> None:
        self._file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in batch.to_pylist())

    def close(self) -> None:
        self._file.close()
