"""Are these the same rows? A SHA-256 over the values of Arrow batches, however they were cut."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trueup.kernel.digests import digest_of

_CHUNK_ROWS = 65_536
_CHUNK_VALUES = 2_000_000


class RowDigest:
    """Digest of rows in their order: names, types and values count; file layout, batches and time do not.

    Feed it the batches of `recut`, which depend only on the rows. A missing value differs from every present one.
    Memory is one batch.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._columns = [hashlib.sha256() for _ in schema]
        self.rows = 0

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        self.rows += batch.num_rows
        for digest, column in zip(self._columns, batch.columns, strict=True):
            for part in _canonical_parts(column):
                digest.update(part)

    def hexdigest(self) -> str:
        """Return the digest of everything added so far."""
        columns = [
            [field.name, _type_name(field.type), digest.hexdigest()]
            for field, digest in zip(self._schema, self._columns, strict=True)
        ]
        return digest_of({"rows": self.rows, "columns": columns})


def recut(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches whose size depends only on the number of columns.

    65,536 rows, fewer for more than 30 columns (2 million values), never under 1,024; the last one may be shorter.
    """
    size = max(1_024, min(_CHUNK_ROWS, _CHUNK_VALUES // max(1, len(schema))))
    held: list[pa.RecordBatch] = []
    held_rows = 0
    for batch in batches:
        held.append(batch)
        held_rows += batch.num_rows
        if held_rows < size:
            continue
        table = pa.Table.from_batches(held, schema)
        whole = held_rows - held_rows % size
        for start in range(0, whole, size):
            yield _one_batch(table.slice(start, size))
        held = table.slice(whole).to_batches()
        held_rows -= whole
    if held_rows:
        yield _one_batch(pa.Table.from_batches(held, schema))


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    columns = [column.combine_chunks() for column in table.columns]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _canonical_parts(column: pa.Array) -> Iterator[bytes | memoryview]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        yield np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes()
    yield column.null_count.to_bytes(8, "little")
    kind = column.type
    if pa.types.is_null(kind):
        return
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield from _text_parts(column)
    elif pa.types.is_boolean(kind):
        yield np.packbits(pc.fill_null(column, False).to_numpy(zero_copy_only=False)).tobytes()
    elif pa.types.is_temporal(kind):
        width = pa.int64() if kind.bit_width == 64 else pa.int32()
        yield _number_bytes(column.cast(width))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        yield _number_bytes(column)
    else:
        yield json.dumps(column.to_pylist(), default=str).encode()


def _number_bytes(column: pa.Array) -> bytes:
    values: np.ndarray[tuple[int], np.dtype[np.generic]] = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
    return values.tobytes()


def _text_parts(column: pa.Array) -> Iterator[bytes | memoryview]:
    text = pc.fill_null(column, "").cast(pa.large_string())
    _, offsets_buffer, data = text.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[text.offset : text.offset + len(text) + 1]
    yield np.diff(offsets).tobytes()
    if data is not None:
        yield memoryview(data)[int(offsets[0]) : int(offsets[-1])]


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return "string" if pa.types.is_large_string(kind) else str(kind)
