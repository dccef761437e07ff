"""How do rows of a file go to the log? As a caller would have sent them to a server: a JSON object each.

Only what the model and the policy read is kept. Columns are turned into text whole, some 1 us a row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa

_ESCAPED = r'["\\\x00-\x1f]'
_encode = msgspec.json.Encoder(enc_hook=str, decimal_format="number").encode


def bodies_of(rows: pa.Table | Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> pa.Array:
    """Return a JSON object for each row, with the columns of `kinds` that it has.

    Parameters
    ----------
    rows : pyarrow.Table, or sequence of mapping
        The mappings as JSON gave them.
    kinds : mapping of str to str
        Kind of each column (`serve/row_requests.RowReader.schema`); a number in a text column is written as one.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(rows, pa.Table):
        kept = ({name: row[name] for name in kinds if name in row} for row in rows)
        return pa.array([_encode(row).decode() for row in kept], pa.string())
    parts: list[Any] = []
    for name in (name for name in kinds if name in rows.column_names):
        parts += [f"{',' if parts else '{'}{json.dumps(name)}:", _values(rows.column(name), kinds[name])]
    if not parts:
        return pa.array(["{}"] * rows.num_rows, pa.string())
    return pc.binary_join_element_wise(*parts, "}", "")


def _values(column: pa.ChunkedArray, kind: str) -> pa.Array:
    """Return the values of a column as JSON texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values, held = column.combine_chunks(), column.type
    if pa.types.is_string(held) and kind == "number":
        return _numbers_in(values)
    if pa.types.is_string(held) or pa.types.is_timestamp(held) or pa.types.is_date32(held):
        texts = values.cast(pa.string())
        if pa.types.is_timestamp(held):
            texts = pc.replace_substring_regex(texts, r"\.0+(Z?)$", r"\1")
        if pc.any(pc.match_substring_regex(texts, _ESCAPED)).as_py():
            return _one_by_one(texts)
        return pc.binary_join_element_wise('"', texts, '"', "").fill_null("null")
    if pa.types.is_floating(held):
        texts = pc.if_else(pc.is_finite(values), values.cast(pa.string()), "null")
        return texts.fill_null("null")
    if pa.types.is_integer(held) or pa.types.is_boolean(held):
        return values.cast(pa.string()).fill_null("null")
    return _one_by_one(values)


def _numbers_in(texts: pa.Array) -> pa.Array:
    """Return texts that are numbers as numbers, and others as they are."""
    import pyarrow as pa
    from pyarrow import csv

    nothing = {*csv.ConvertOptions().null_values, None}
    found: list[object] = []
    for text in texts.to_pylist():
        try:
            found.append(None if text in nothing else float(text))
        except ValueError:
            found.append(text)
    return pa.array([_encode(value).decode() for value in found], pa.string())


def _one_by_one(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.array([_encode(value).decode() for value in values.to_pylist()], pa.string())
