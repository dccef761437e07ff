"""Which rules do these rows keep that later rows should keep too? Suggestions in TOML, each with its reason.

Conservative on purpose: a rule is suggested where all rows agree and there are enough of them, with room around what
was seen. No value of a personal column is ever written down.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trueup.align.charter import DataSpec
from trueup.data.duck import quoted, quoted_text
from trueup.data.quality.checking import Rows
from trueup.data.quality.counting import kind_of
from trueup.data.quality.own_sql import VIEW
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.expressions import parse_expression, to_duckdb

MIN_ROWS = 100
"""Below it nothing is suggested: too few rows to tell a rule from chance."""
_SET_MIN_ROWS = 1_000
_SET_MOST = 20
_SET_MIN_EACH = 5
_STALE_DAYS = 60
_DAYS_FOR_A_BAND = 30
_PATTERNS = (
    ("UUIDs", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
    ("e-mail addresses", "[^@ ]+@[^@ ]+[.][^@ ]+"),
    ("IBANs", "[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}"),
    ("ISO dates", "[0-9]{4}-[0-9]{2}-[0-9]{2}"),
    ("two capital letters", "[A-Z]{2}"),
    ("three capital letters", "[A-Z]{3}"),
    ("digits", "[0-9]+"),
    ("capital letters and digits", "[A-Z]+[0-9]+"),
    ("digits and capital letters, with hyphens", "[A-Z0-9]+(-[A-Z0-9]+)+"),
    ("hexadecimal digits", "[0-9a-f]{8,}"),
)


@dataclass(frozen=True)
class Suggestion:
    """One rule, ready to be pasted below ``[data]``."""

    reason: str
    keys: tuple[tuple[str, Any], ...]
    """Key and value in TOML's order: ``check`` first."""

    def as_toml(self) -> str:
        """Return the rule as TOML, its reason in a comment."""
        body = "".join(f"{key} = {_toml(value)}\n" for key, value in self.keys)
        return f"# {self.reason}\n[[data.rule]]\n{body}"

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {"reason": self.reason, "rule": dict(self.keys), "toml": self.as_toml()}


def suggest_rules(rows: Rows, data: DataSpec, *, as_of: int) -> tuple[Suggestion, ...]:
    """Return the rules that these rows keep, and that are worth keeping.

    Parameters
    ----------
    data : DataSpec
        Says which columns name a case, are personal, and when cases happened.
    as_of : int
        The moment that counts as now.
    """
    return tuple(_Suggester(rows, data, as_of).all())


@dataclass(frozen=True)
class _Column:
    name: str
    kind: str
    is_whole: bool
    present: int
    distinct: int
    """Within a few percent."""
    low: float | None
    high: float | None


class _Suggester:
    def __init__(self, rows: Rows, data: DataSpec, as_of: int) -> None:
        self._rows = rows
        self._data = data
        self._as_of = as_of
        self._count = int(self._ask("count(*)")[0])
        described = rows.connection.execute(f"DESCRIBE SELECT * FROM {rows.relation}").fetchall()  # noqa: S608
        self._sql_types = {str(row[0]): str(row[1]) for row in described}
        self._types = {name: kind_of(sql_type) for name, sql_type in self._sql_types.items()}

    def all(self) -> Iterator[Suggestion]:
        if self._count < MIN_ROWS:
            return
        columns = self._columns()
        yield from self._case_id({column.name: column for column in columns})
        full = [c.name for c in columns if c.present == self._count and c.name not in self._data.case_id]
        if full:
            yield _suggestion(f"no missing value in {self._count:,} rows", "not_null", columns=full)
        for column in columns:
            yield from self._of_values(column)
        yield from self._volume()

    def _columns(self) -> list[_Column]:
        asked = [part for name, sql_type in self._sql_types.items() for part in _facts_sql(name, sql_type)]
        answer = self._ask(", ".join(asked))
        columns = []
        for place, (name, sql_type) in enumerate(self._sql_types.items()):
            present, distinct, low, high = answer[4 * place : 4 * place + 4]
            is_whole = kind_of(sql_type) == "number" and not sql_type.startswith(("DOUBLE", "FLOAT", "DECIMAL"))
            columns.append(_Column(name, kind_of(sql_type), is_whole, present, min(distinct, present), low, high))
        return columns

    def _case_id(self, columns: dict[str, _Column]) -> Iterator[Suggestion]:
        names = self._data.case_id
        if not names or not set(names) <= set(columns):
            return
        present = [name for name in names if columns[name].present == self._count]
        if present:
            yield _suggestion(f"every one of {self._count:,} rows has it", "not_null", columns=present, level="prevent")
        listed = ", ".join(quoted(name) for name in names)
        distinct = self._ask(f"(SELECT count(*) FROM (SELECT DISTINCT {listed} FROM {self._rows.relation}))")[0]  # noqa: S608
        if distinct == self._count:
            reason = f"it names one case in each of {self._count:,} rows"
            yield _suggestion(reason, "unique", columns=list(names), level="prevent")

    def _of_values(self, column: _Column) -> Iterator[Suggestion]:
        is_id = column.is_whole and column.distinct > 0.9 * column.present
        if column.present < MIN_ROWS or column.distinct < 2 or column.name in self._data.case_id:
            return
        if column.kind == "text":
            yield from self._of_texts(column)
        elif column.kind == "number" and not is_id and column.name not in self._data.personal:
            yield from _of_numbers(column)

    def _of_texts(self, column: _Column) -> Iterator[Suggestion]:
        if column.name not in self._data.personal and column.present >= _SET_MIN_ROWS and column.distinct <= _SET_MOST:
            values = self._values(column.name)
            if values:
                reason = f"{len(values)} values, each at least {_SET_MIN_EACH} times in {column.present:,} rows"
                yield _suggestion(reason, "set", columns=column.name, values=values)
            return
        name = quoted(column.name)
        counted = ", ".join(f"count(*) FILTER (regexp_full_match({name}, {quoted_text(p)}))" for _, p in _PATTERNS)
        for (words, pattern), fitting in zip(_PATTERNS, self._ask(counted), strict=True):
            if fitting == column.present:
                reason = f"all {column.present:,} values are written as {words}"
                yield _suggestion(reason, "pattern", columns=column.name, regex=pattern)
                return

    def _values(self, name: str) -> list[str]:
        column = quoted(name)
        query = f"SELECT {column}, count(*) FROM {self._rows.relation} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1"  # noqa: S608
        found = self._rows.connection.execute(f"{query} LIMIT {_SET_MOST + 1}").fetchall()
        is_settled = len(found) <= _SET_MOST and min(int(count) for _, count in found) >= _SET_MIN_EACH
        return [str(value) for value, _ in found] if is_settled else []

    def _volume(self) -> Iterator[Suggestion]:
        reason = f"this version has {self._count:,} rows; half of it, or half more, would be unusual"
        yield _suggestion(reason, "volume", low=int(_outward(self._count / 2, up=False)), change=0.5)
        if self._data.time is None or not parse_expression(self._data.time).columns <= set(self._types):
            return
        bare = self._bare_time()
        moment = quoted(bare) if bare else to_duckdb(parse_expression(self._data.time, expects="moment"))
        days = f"SELECT CAST({moment} AS DATE) AS day, count(*) AS n FROM {self._rows.relation} WHERE {moment} IS NOT NULL AND epoch_us({moment}) <= {self._as_of} GROUP BY 1"  # noqa: S608, E501
        gaps = f"SELECT day, n, day - lag(day) OVER (ORDER BY day) AS gap FROM ({days})"  # noqa: S608
        asked = f"SELECT count(*), min(n), max(n), max(gap), epoch_us(max(day)) FROM ({gaps})"  # noqa: S608
        found, fewest, most, gap, newest = self._rows.connection.execute(asked).fetchone() or (0,) * 5
        if not found:
            return
        age = (self._as_of - newest) / MICROSECONDS_PER_DAY
        if age <= _STALE_DAYS and bare:
            within = math.ceil(max(2 * (gap or 1), 1.5 * age, 2))
            reason = f"the newest is {age:.0f} days old, and no gap is longer than {gap or 0} days"
            yield _suggestion(reason, "freshness", columns=bare, within=f"{within}d")
        if found >= _DAYS_FOR_A_BAND:
            band = int(_outward(fewest / 2, up=False)), int(_outward(most * 2, up=True))
            yield self._daily(moment, int(found), (int(fewest), int(most)), band)

    def _daily(self, moment: str, days: int, seen: tuple[int, int], band: tuple[int, int]) -> Suggestion:
        until = f"WHERE {moment} IS NOT NULL GROUP BY 1 HAVING count(*) NOT BETWEEN {band[0]} AND {band[1]}"
        query = f"SELECT CAST({moment} AS DATE) AS day FROM {VIEW} {until}"  # noqa: S608
        reason = f"on {days:,} days there were {seen[0]:,} to {seen[1]:,} cases"
        return Suggestion(reason, (("check", "query"), ("name", "cases a day"), ("sql", query), ("level", "warn")))

    def _bare_time(self) -> str | None:
        """Return the time column; None where the project computes it, or the table does not store it as a date."""
        plan = parse_expression(self._data.time or "NULL").plan
        return plan[1] if plan[0] == "column" and self._types.get(plan[1]) == "date" else None

    def _ask(self, columns: str) -> tuple[Any, ...]:
        return self._rows.connection.execute(f"SELECT {columns} FROM {self._rows.relation}").fetchone() or ()  # noqa: S608


def _facts_sql(name: str, sql_type: str) -> tuple[str, str, str, str]:
    column = quoted(name)
    ends = [f"CAST({end}({column}) AS DOUBLE)" if kind_of(sql_type) == "number" else "NULL" for end in ("min", "max")]
    return f"count({column})", f"approx_count_distinct({column})", ends[0], ends[1]


def _of_numbers(column: _Column) -> Iterator[Suggestion]:
    low, high = column.low, column.high
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return
    reason = f"all {column.present:,} values lie from {low:g} to {high:g}"
    if column.is_whole and column.distinct == 2 and (low, high) == (0, 1):
        yield _suggestion(f"all {column.present:,} values are 0 or 1", "set", columns=column.name, values=[0, 1])
    elif low >= 0 and high <= 1 and not column.is_whole:
        yield _suggestion(reason, "range", columns=column.name, low=0, high=1)
    else:
        spread = high - low
        least = 0 if low >= 0 else _outward(low - spread, up=False)
        yield _suggestion(
            f"{reason}; as much again is allowed",
            "range",
            columns=column.name,
            low=least,
            high=_outward(high + spread, up=True),
        )


def _suggestion(reason: str, check: str, *, level: str = "warn", **keys: Any) -> Suggestion:
    return Suggestion(reason, (("check", check), *keys.items(), ("level", level)))


def _outward(value: float, *, up: bool) -> float:
    """Return the value with two significant digits, rounded away from what was seen.

    Examples
    --------
    >>> _outward(12345, up=True), _outward(12345, up=False), _outward(-0.123, up=False)
    (13000, 12000, -0.13)
    """
    if value == 0:
        return 0
    digits = 1 - math.floor(math.log10(abs(value)))
    scaled = value * 10.0**digits
    rounded = (math.ceil if up else math.floor)(scaled)
    return int(rounded * 10**-digits) if digits <= 0 else round(rounded / 10**digits, digits)


def _toml(value: object) -> str:
    if isinstance(value, str) and value.isprintable() and "'" not in value and ('"' in value or "\\" in value):
        return f"'{value}'"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return repr(value)
