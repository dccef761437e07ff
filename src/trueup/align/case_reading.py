"""Which case is a row about, and when did it happen? Read from the row as a server got it: JSON values.

A table knows the type of a column, a JSON row does not. So that a case has one name and one hash everywhere, a row must
write its identity as the table would print it: text and whole numbers always agree; a fractional column that holds 5.0
is sent as 5.0, not 5; a timestamp as ``2016-05-01 10:00:00``, not with a ``T``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping, Sequence
from zoneinfo import ZoneInfo

from trueup.kernel.periods import moment_of
from trueup.kernel.rowplan import Plan, compile_plan
from trueup.kernel.rowvalues import as_text

Row = Mapping[str, object]
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_FIRST_PLAIN_YEAR, _LAST_PLAIN_YEAR = 1, 9999  # moments near the ends of the calendar are read with care


def unit_hash(text: str) -> int:
    """Return the hash of a case by which chance draws it, 0 to 2^64 - 1.

    Equal to DuckDB's ``md5_number_lower``, so that a case is drawn alike in a table and in a server.

    Examples
    --------
    >>> unit_hash("4711")
    6894928153992022276
    """
    digest = hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little")


def association_of(row: Row, columns: Sequence[str]) -> str | None:
    """Return the name of a row's case: the values of `columns` as text, joined by ``|``; None where all are NULL."""
    if len(columns) == 1:
        value = row.get(columns[0])
        return value if type(value) is str else as_text(value)
    parts = [text for text in (as_text(row.get(name)) for name in columns) if text is not None]
    return "|".join(parts) if parts else None


def event_time_reader(plan: Plan, *, timezone: str) -> Callable[[Row], int | None]:
    """Return a function that gives the event time of a row in microseconds UTC; None where it has none.

    Parameters
    ----------
    plan : tuple
        Of ``data.time``.
    timezone : str
        Of the charter: there, times without an offset are read.

    Notes
    -----
    An hour that the clock shows twice counts as the later one, one that it skips as the hour after, as DuckDB does.
    """
    zone, names, evaluate = ZoneInfo(timezone), sorted(set(_moment_columns(plan))), compile_plan(plan)
    column = str(plan[1]) if plan[0] == "column" and names else None

    def read(row: Row) -> int | None:
        if column is not None and (plain := _plain_moment(row.get(column))) is not None:
            return plain
        found = {name: _aware_or_not(row.get(name)) for name in names}
        with_offset = any(isinstance(value, dt.datetime) and value.tzinfo is not None for value in found.values())
        moment = evaluate({**row, **found})
        if not isinstance(moment, dt.datetime):
            return None
        try:
            return moment_of(moment.replace(tzinfo=dt.UTC) if with_offset else _local(moment, zone))
        except OverflowError:
            return None

    return read


def _plain_moment(value: object) -> int | None:
    """Return the moment of a text with an offset, as nearly every caller sends it; None for all else."""
    if type(value) is not str:
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None or not _FIRST_PLAIN_YEAR < moment.year < _LAST_PLAIN_YEAR:
        return None
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _moment_columns(plan: Plan) -> list[str]:
    if plan and plan[0] == "column":
        return [plan[1]] if plan[2] in ("moment", "any") else []
    return [name for part in plan if isinstance(part, tuple) for name in _moment_columns(part)]


def _aware_or_not(value: object) -> object:
    """Return the moment that a text says, with its offset; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return dt.datetime.fromisoformat(value.strip())
    except ValueError:
        return value


def _local(moment: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    first, second = (moment.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    offsets = first.utcoffset() or dt.timedelta(), second.utcoffset() or dt.timedelta()
    return (moment - min(offsets)).replace(tzinfo=dt.UTC)
