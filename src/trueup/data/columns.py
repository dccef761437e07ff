"""One column of a Parquet file, as an array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Rows = NDArray[np.int64]


def read_column(path: Path, name: str) -> pa.ChunkedArray:
    """Return a column of a Parquet file."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=[name], use_threads=False).column(0)


def read_numbers(path: Path, name: str, rows: Rows) -> NDArray[np.float64]:
    """Return a column at some positions as floats: missing is NaN, times are microseconds since 1970."""
    import pyarrow as pa

    return numbers_of(read_column(path, name).take(pa.array(rows)))


def read_category_codes(path: Path, name: str, rows: Rows) -> tuple[NDArray[np.int64], list[str]]:
    """Return a column at some positions as codes, -1 for missing, and the names they stand for."""
    import pyarrow as pa

    return category_codes_of(read_column(path, name).take(pa.array(rows)))


def numbers_of(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return the values of a column as floats; see `read_numbers`.

    Whole numbers beyond 2**53 become the nearest float, as do the microseconds of a date such as 9999-12-31.
    """
    import pyarrow as pa

    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def category_codes_of(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Return the values of a column as codes; see `read_category_codes`."""
    import pyarrow as pa

    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [str(v) for v in encoded.dictionary.to_pylist()]
