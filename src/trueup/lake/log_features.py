"""How do the rows that were served become columns? By the kinds in their schema; a misfit is kept as it came."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from trueup.lake.feature_schemas import KEY_COLUMNS, SEALED, FeatureColumn
from trueup.lake.log_records import PredictionRecord
from trueup.lake.log_tables import arrow_type, row_names

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECONDS_A_DAY = 86_400_000_000
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
_ARROW_KIND = {"number": "number", "boolean": "flag", "date": "moment", "moment": "moment"}
_PARSED = ("boolean", "date", "moment")
_decode_rows = msgspec.json.Decoder(list[dict[str, Any]])
_split_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_NOT_JSON = (msgspec.DecodeError, RecursionError, ValueError)
_WHOLE = "_rows"
_encode = msgspec.json.Encoder().encode


def features_as_arrow(records: Iterable[PredictionRecord], columns: Sequence[FeatureColumn]) -> pa.Table:
    """Return the rows of records of one schema: our key columns, then the features.

    A value that its kind cannot hold is null in its column, and stands in ``_unread``, a JSON object; one that no
    parser reads, such as 1e999, stands there as its text. Fields that the schema does not name are left out. Sealed
    personal values of a row are in ``_personal``.
    """
    import pyarrow as pa

    keys: list[tuple[Any, ...]] = []
    rows: list[dict[str, Any]] = []
    unread: list[dict[str, Any]] = []
    names = frozenset(column.name for column in columns) | {SEALED}
    for record in records:
        if record.body:
            served, misfits = _served_rows(record, names)
            name = row_names(record)
            cases = {decided.row: decided.association_id for decided in record.rows}
            numbers = (
                list(cases) if len(cases) == len(served) else range(len(served))
            )  # a batch run counts all its rows
            keys += [(name(number), cases.get(number), record.caller, record.decided_at) for number in numbers]
            rows += served
            unread += misfits
    arrays = [_column(column, rows, unread) for column in columns]
    sealed = [_sealed(row) for row in rows]
    left = [_encode(fields).decode() if fields else None for fields in unread]
    heads: list[Sequence[Any]] = [*(zip(*keys, strict=True) if keys else ([], [], [], [])), sealed, left]
    kinds = ("text", "text", "text", "moment", "bytes", "text")
    ours = [pa.array(values, arrow_type(kind)) for values, kind in zip(heads, kinds, strict=True)]
    return pa.table([*ours, *arrays], names=[*KEY_COLUMNS, *(column.name for column in columns)])


def _served_rows(record: PredictionRecord, names: frozenset[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of a record, and beside each what no parser reads of it.

    A server reads only the fields it needs, so what it took may hold others that are JSON by their form alone.
    """
    try:
        rows = _decode_rows.decode(record.body)
        return rows, [{} for _ in rows]
    except _NOT_JSON:
        pass
    try:
        split = _split_rows.decode(record.body)
    except _NOT_JSON:
        count = len({decided.row for decided in record.rows})
        whole = [{_WHOLE: _as_came(record.body)}] if count else []
        return [{} for _ in range(count)], [*whole, *({} for _ in range(count - 1))]
    pairs = [_read_fields({name: raw for name, raw in row.items() if name in names}) for row in split]
    return [read for read, _ in pairs], [unread for _, unread in pairs]


def _read_fields(fields: dict[str, msgspec.Raw]) -> tuple[dict[str, Any], dict[str, Any]]:
    read: dict[str, Any] = {}
    unread: dict[str, Any] = {}
    for name, raw in fields.items():
        try:
            read[name] = msgspec.json.decode(raw)
        except _NOT_JSON:
            unread[name] = _as_came(bytes(raw))
    return read, unread


def _as_came(content: bytes) -> str:
    return content.decode(errors="backslashreplace")


def _sealed(row: dict[str, Any]) -> bytes | None:
    """Return the sealed values of a row; a field of that name that a caller sent is none."""
    try:
        return base64.b64decode(row.get(SEALED, ""), validate=True) or None
    except (TypeError, ValueError):
        return None


def _column(column: FeatureColumn, rows: Sequence[dict[str, Any]], unread: Sequence[dict[str, Any]]) -> pa.Array:
    import pyarrow as pa

    kind = arrow_type(_ARROW_KIND.get(column.kind, "text"))
    values = [row.get(column.name) for row in rows]
    if column.kind not in _PARSED:
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError):
            return pa.array(values, kind)  # nearly always: all are of the kind's own type
    read: Callable[[Any], Any] = _READERS.get(column.kind, _as_text)
    for place, value in enumerate(values):
        if value is not None:
            try:
                values[place] = read(value)
            except (TypeError, ValueError, OverflowError):
                unread[place][column.name] = value
                values[place] = None
    return pa.array(values, kind)


def _as_number(value: Any) -> float:
    if isinstance(value, float | int):
        return float(value)
    raise TypeError


def _as_flag(value: Any) -> bool:
    found = _FLAGS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        if isinstance(value, str) or value not in (0, 1):
            raise ValueError
        found = bool(value)
    return found


def _as_moment(value: Any) -> int:
    if isinstance(value, str):
        moment = dt.datetime.fromisoformat(value)
        return (moment.replace(tzinfo=moment.tzinfo or dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)
    moment_us = round(_as_number(value) * _MICROSECONDS_A_DAY)
    if not -(1 << 62) < moment_us < 1 << 62:
        raise OverflowError
    return moment_us


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _encode(value).decode()


_READERS: dict[str, Callable[[Any], Any]] = {
    "number": _as_number,
    "boolean": _as_flag,
    "date": _as_moment,
    "moment": _as_moment,
}
