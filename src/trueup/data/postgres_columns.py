"""How does each type of PostgreSQL come in? SQL that sends it, the Arrow type that holds it, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trueup.data.errors import UnsupportedColumn

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

_OUTSIDE_DAY = 2**31 - 1
_OUTSIDE_MOMENT = 2**63 - 1
_EXACT_DIGITS = 15
_BOOLEAN, _BYTES, _NUMERIC, _MONEY, _DATE, _TIME, _TIME_ZONED = 16, 17, 1700, 790, 1082, 1114, 1184
_WHOLE = (20, 21, 23, 26)
_FLOAT, _DOUBLE = 700, 701
_REFUSED = {"A": "an array", "C": "a record", "P": "a record"}
_DAY_SQL = (
    "CASE WHEN {0} IS NULL THEN NULL WHEN {0} BETWEEN date '0001-01-01' AND date '9999-12-31' "
    f"THEN {{0}} - date '1970-01-01' ELSE {_OUTSIDE_DAY} END"
)
_MOMENT_SQL = (
    "CASE WHEN {0} IS NULL THEN NULL WHEN {0} >= '0001-01-02' AND {0} < '9999-12-31' "
    f"THEN (extract(epoch FROM {{0}}) * 1000000)::int8 ELSE {_OUTSIDE_MOMENT} END"
)


@dataclass(frozen=True)
class Column:
    """A column of the query."""

    name: str
    sql: str
    """Sends it, with ``{0}`` for the column."""
    sent: pa.DataType
    """How the sent text is read."""
    arrow: pa.DataType
    """How it is kept."""
    outside: int | None = None
    """Stands for a moment that is infinite or outside the years 1 to 9999."""


def columns_of(
    names: Sequence[str],
    kinds: Sequence[tuple[int, int]],
    *,
    database: psycopg.Connection[tuple[object, ...]],
    said: str,
) -> tuple[Column, ...]:
    """Return how each column comes in.

    Parameters
    ----------
    kinds : sequence of (int, int)
        Type and type modifier, as the server describes them; domains are described by what they stand on.

    Raises
    ------
    UnsupportedColumn
        For arrays, records and binary values.
    """
    asked = "SELECT oid::int8, typcategory::text, format_type(oid, NULL) FROM pg_type WHERE oid = ANY(%s::oid[])"
    rows = database.execute(asked, ([kind for kind, _ in kinds],)).fetchall()
    known = {int(str(row[0])): (str(row[1]), str(row[2])) for row in rows}
    for name, (kind, _) in zip(names, kinds, strict=True):
        category, typed = known[kind]
        what = "binary" if kind == _BYTES else _REFUSED.get(category)
        if what:
            raise UnsupportedColumn(
                f'{said}: the column "{name}" is {what} ({typed}); leave it out, or make texts or numbers of it in '
                "the query",
                column=name,
                type=typed,
            )
    return tuple(_column(name, kind, modifier) for name, (kind, modifier) in zip(names, kinds, strict=True))


def chunk_of(rows: bytes, columns: Sequence[Column], outside: dict[str, int]) -> pa.Table:
    """Return rows that came as CSV as a table, counting moments outside the calendar in `outside`."""
    import pyarrow as pa
    from pyarrow import csv

    names = [f"c{i}" for i in range(len(columns))]
    sent = csv.read_csv(
        io.BytesIO(rows),
        csv.ReadOptions(column_names=names, block_size=len(rows) + 1, use_threads=False),
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types={name: column.sent for name, column in zip(names, columns, strict=True)},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    kept = [_kept(sent.column(name), column, outside) for name, column in zip(names, columns, strict=True)]
    return pa.table(kept, schema=pa.schema([(column.name, column.arrow) for column in columns]))


def infinite_remarks(outside: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Yield what is said of moments outside the calendar."""
    for name, count in outside.items():
        if count:
            moments = "1 moment" if count == 1 else f"{count:,} moments"
            yield (
                "data.infinite-dates",
                f"{name}: {moments} infinite or outside the years 1 to 9999, read as missing",
            )


def _column(name: str, kind: int, modifier: int) -> Column:
    import pyarrow as pa

    if kind == _NUMERIC and _digits(modifier) <= _EXACT_DIGITS:
        kind = _DOUBLE
    whole, double = Column(name, "{0}", pa.int64(), pa.int64()), Column(name, "{0}", pa.float64(), pa.float64())
    known = {
        **dict.fromkeys(_WHOLE, whole),
        _FLOAT: double,
        _DOUBLE: double,
        _BOOLEAN: Column(name, "{0}", pa.bool_(), pa.bool_()),
        _MONEY: Column(name, "{0}::numeric", pa.float64(), pa.float64()),
        _DATE: Column(name, _DAY_SQL, pa.int32(), pa.date32(), _OUTSIDE_DAY),
        _TIME: Column(name, _MOMENT_SQL, pa.int64(), pa.timestamp("us"), _OUTSIDE_MOMENT),
        _TIME_ZONED: Column(name, _MOMENT_SQL, pa.int64(), pa.timestamp("us", "UTC"), _OUTSIDE_MOMENT),
    }
    return known.get(kind) or Column(name, "{0}::text", pa.string(), pa.string())


def _digits(modifier: int) -> int:
    """Return the precision of a numeric; one without bounds is examined as text, so that no digit is lost unseen."""
    return (modifier - 4) >> 16 if modifier >= 4 else _EXACT_DIGITS + 1


def _kept(sent: pa.ChunkedArray, column: Column, outside: dict[str, int]) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.outside is None:
        return sent
    is_outside = pc.equal(sent, column.outside)
    count = int(pc.sum(is_outside).as_py() or 0)
    if count:
        outside[column.name] += count
        sent = pc.if_else(is_outside, pa.scalar(None, column.sent), sent)
    return sent.cast(column.arrow)
