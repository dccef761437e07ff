"""Where do rows land that DuckDB cannot read itself? In one Parquet file, examined like any other afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.data.duck import quoted_text
from trueup.data.reading import SourceTable
from trueup.lake.errors import told_as_lake_errors

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 8_192
Texts = Sequence[str | None]


def land_texts(rows: Iterable[Texts], names: Sequence[str], file: Path) -> SourceTable:
    """Write rows of texts, in flat memory, and return them as a table of texts.

    Parameters
    ----------
    rows : iterable of sequences of str or None
        One entry for each name; None is missing. An error it raises passes unchanged.

    Raises
    ------
    StoreFull, StoreReadOnly, StoreUnavailable
        When the disk refuses.
    """
    import pyarrow as pa

    schema = pa.schema([(name, pa.string()) for name in names])
    waiting = iter(rows)
    batches = iter(lambda: list(islice(waiting, _BATCH_ROWS)), [])
    tables = (
        pa.Table.from_arrays([pa.array(column, pa.string()) for column in zip(*batch, strict=True)], schema=schema)
        for batch in batches
    )
    land_tables(tables, schema, file)
    return SourceTable(landed(file), dict.fromkeys(names, "VARCHAR"))


def land_tables(tables: Iterable[pa.Table], schema: pa.Schema, file: Path) -> None:
    """Write tables of one schema, one below the other; an error that `tables` raises passes unchanged.

    Raises
    ------
    StoreFull, StoreReadOnly, StoreUnavailable
        When the disk refuses.
    """
    import pyarrow.parquet as pq

    with told_as_lake_errors(str(file.parent)):
        file.parent.mkdir(parents=True, exist_ok=True)
        writer = pq.ParquetWriter(file, schema)
    try:
        for table in tables:
            with told_as_lake_errors(str(file.parent)):
                writer.write_table(table)
    finally:
        with told_as_lake_errors(str(file.parent)):
            writer.close()


def landed(file: Path) -> str:
    """Return a landed file as SQL after FROM."""
    return f"read_parquet({quoted_text(str(file))})"
