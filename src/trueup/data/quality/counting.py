"""Which SQL counts the rows that break a rule? Aggregates that share one pass over the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trueup.align.quality_rules import (
    Bound,
    Check,
    Figure,
    Fresh,
    Matches,
    Member,
    NotNull,
    OneOf,
    Range,
    RowHolds,
    Volume,
    columns_of,
)
from trueup.data.duck import quoted, quoted_text
from trueup.kernel.errors import nearest_spelling
from trueup.kernel.expressions import (
    Expression,
    check_columns,
    check_kinds,
    parse_aggregate,
    parse_expression,
    to_duckdb,
)

_NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "UTINYINT",
    "USMALLINT",
)
_MOMENTS = ("DATE", "TIMESTAMP")


class CannotCheck(Exception):  # never leaves this room: it becomes the detail of a failed rule
    """A rule does not fit the table; the message says why and what to do."""


@dataclass(frozen=True)
class Aggregates:
    """Two figures over all rows: failing and checked rows, or what the rule compares."""

    first: str
    second: str
    breaks: str | None = None
    """Yes-or-no SQL over the row, true where it fails; None for rules about the whole table."""


def aggregates_of(check: Check, types: Mapping[str, str], *, as_of: int) -> Aggregates | None:
    """Return the SQL of a rule; None for one that takes a query of its own.

    Parameters
    ----------
    types : mapping of str to str
        DuckDB's type of each column.
    as_of : int
        The moment that counts as now.

    Raises
    ------
    CannotCheck
        When the table lacks a column, or holds another kind of value than the rule needs.
    """
    check_names(check, types)
    match check:
        case Fresh(column, _):
            _require(column, "date", types)
            moment = f"epoch_us({quoted(column)})"
            return Aggregates(f"max({moment}) FILTER (WHERE {moment} <= {as_of})", f"count({quoted(column)})")
        case Figure(sql, _):
            return Aggregates(to_duckdb(_fitting(parse_aggregate(sql), types)), "count(*)")
        case Volume():
            return Aggregates("count(*)", "count(*)")
    found = _breaks(check, types)
    if found is None:
        return None
    breaks, checked = found
    return Aggregates(f"count(*) FILTER (WHERE {breaks})", checked, breaks)


def _breaks(check: Check, types: Mapping[str, str]) -> tuple[str, str] | None:
    """Return SQL that is true for a failing row, and SQL that counts the rows that could fail."""
    checked = ", ".join(f"count({quoted(column)})" for column in columns_of(check))
    match check:
        case NotNull(column):
            breaks, checked = f"{quoted(column)} IS NULL", "count(*)"
        case Range(column, low, high):
            breaks = _outside(column, low, high, types)
        case OneOf(column, values):
            breaks = f"{quoted(column)} NOT IN ({_members(column, values, types)})"
        case Matches(column, regex):
            _require(column, "text", types)
            breaks = f"NOT regexp_full_match({quoted(column)}, {quoted_text(regex)})"
        case RowHolds(sql):
            holds = f"({to_duckdb(_fitting(parse_expression(sql, expects='boolean'), types))})"
            breaks, checked = f"NOT {holds}", f"count({holds})"
        case _:
            return None
    return breaks, checked


def check_names(check: Check, types: Mapping[str, str]) -> None:
    """Raise `CannotCheck` when the rule names a column that the table does not have."""
    for column in columns_of(check):
        if column not in types:
            hint = nearest_spelling(column, types)
            raise CannotCheck(f'the table has no column "{column}"{hint}; correct the rule, or the source')


def kind_of(sql_type: str) -> str:
    """Return number, date, boolean or text for a type of DuckDB."""
    base = sql_type.split("(", 1)[0]
    if base in _NUMBERS:
        return "number"
    if base.startswith(_MOMENTS):
        return "date"
    return "boolean" if base == "BOOLEAN" else "text"


def _outside(column: str, low: Bound | None, high: Bound | None, types: Mapping[str, str]) -> str:
    kind = "date" if isinstance(low if low is not None else high, str) else "number"
    _require(column, kind, types)
    ends = [(sign, end) for sign, end in (("<", low), (">", high)) if end is not None]
    return "(" + " OR ".join(f"{quoted(column)} {sign} {_literal(end)}" for sign, end in ends) + ")"


def _members(column: str, values: tuple[Member, ...], types: Mapping[str, str]) -> str:
    kind = {bool: "boolean", str: "text"}.get(type(values[0]), "number")
    _require(column, kind, types)
    return ", ".join(_literal(value) if kind != "boolean" else str(value).upper() for value in values)


def _literal(value: Bound | bool) -> str:
    if isinstance(value, str):
        return quoted_text(value)  # beside a date it is read as one
    return repr(value) if float(value).is_integer() and abs(value) < 2**53 else f"CAST('{value!r}' AS DOUBLE)"


def _require(column: str, kind: str, types: Mapping[str, str]) -> None:
    seen = kind_of(types[column])
    if seen != kind:
        raise CannotCheck(
            f'the rule needs {kind} values, but "{column}" holds {seen} values ({types[column].lower()}); '
            "correct the rule, or the values"
        )


def _fitting(expression: Expression, types: Mapping[str, str]) -> Expression:
    kinds = {column: kind_of(sql_type) for column, sql_type in types.items()}
    mistakes = check_columns(expression, types, "rule") + check_kinds(expression, kinds, "rule")
    if mistakes:
        raise CannotCheck(mistakes[0].message)
    return expression
