"""What do the texts of a column look like? Every value is put into one class and counted; nothing is sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from trueup.data.duck import quoted, quoted_text, rows_with_progress

if TYPE_CHECKING:
    import duckdb

MISSING_MARKS = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "--", "?", ".", "missing", "\\n")
"""Texts that stand for a missing value, in lower case."""
CLASSES = (
    "integer",
    "leading_zero",
    "decimal_point",
    "dotted_thousands",
    "decimal_comma",
    "comma_either",
    "comma_thousands",
    "iso_date",
    "iso_time",
    "iso_offset",
    "day_first",
    "month_first",
    "day_or_month_first",
    "true_false",
    "yes_no",
    "mark",
    "blank",
    "other",
)
_PER_QUERY = 1_000
_DATE = r"\s*\d{1,2}[-/.]\d{1,2}[-/.]\d{4}([ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?\s*"


@dataclass(frozen=True)
class TextFacts:
    """How many values of a text column are of which class."""

    rows: int
    counts: dict[str, int]
    """By class; classes without a value are absent."""
    timed: int
    """Day-first, month-first or ambiguous dates that have a time of day."""

    def count(self, *classes: str) -> int:
        """Return the number of values in these classes together."""
        return sum(self.counts.get(name, 0) for name in classes)

    @property
    def missing(self) -> int:
        """Return the number of values that are absent altogether."""
        return self.rows - sum(self.counts.values())


def count_texts(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    columns: Sequence[str],
    *,
    on_share: Callable[[float], None],
) -> dict[str, TextFacts]:
    """Return the facts of each text column, over every row. One pass, one more for each further 1,000 columns."""
    facts: dict[str, TextFacts] = {}
    groups = [columns[start : start + _PER_QUERY] for start in range(0, len(columns), _PER_QUERY)]
    for number, group in enumerate(groups):
        share_of = partial(_told, on_share, number, len(groups))
        answer = rows_with_progress(connection, _query(relation, group), share_of)
        facts.update(_facts(answer, group))
    return facts


def _told(on_share: Callable[[float], None], done: int, total: int, share: float) -> None:
    on_share((done + share) / total)


def _query(relation: str, columns: Sequence[str]) -> str:
    """Return SQL that counts by column number, class and whether a day-first date has a time.

    Many columns are turned into rows first: one expression to plan instead of one per column.
    """
    texts = ", ".join(quoted(name) for name in columns)
    timed = "(k IN ('day_first', 'month_first', 'day_or_month_first') AND contains(t, ':'))"
    long = f"SELECT unnest([{texts}]) AS t, unnest(range({len(columns)})) AS i FROM {relation}"  # noqa: S608
    classed = f"SELECT i, t, {class_sql('t')} AS k FROM ({long})"  # noqa: S608
    return f"SELECT i, k, coalesce({timed}, false), count(*) FROM ({classed}) GROUP BY ALL"  # noqa: S608


def _facts(rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> dict[str, TextFacts]:
    total = dict.fromkeys(range(len(columns)), 0)
    timed = dict.fromkeys(range(len(columns)), 0)
    counts: dict[int, dict[str, int]] = {i: {} for i in total}
    for i, kind, has_time, count in rows:
        total[i] += count
        if has_time:
            timed[i] += count
        if kind is not None:
            counts[i][kind] = counts[i].get(kind, 0) + count
    return {name: TextFacts(total[i], counts[i], timed[i]) for i, name in enumerate(columns)}


def class_sql(text: str) -> str:
    """Return SQL that gives the class of a text, NULL for NULL. The first test that holds decides.

    Values that begin with a letter skip the tests for numbers and dates: most text is cheap.
    """
    marks = ", ".join(quoted_text(mark) for mark in MISSING_MARKS)
    first, second = (f"try_cast(regexp_extract({text}, '^\\s*(\\d+)[-/.](\\d+)', {n}) AS INTEGER)" for n in (1, 2))
    return f"""CASE
        WHEN {text} IS NULL THEN NULL
        WHEN ascii({text}) IN (0, 9, 10, 13, 32) AND trim({text}, ' \t\r\n') = '' THEN 'blank'
        WHEN ascii({text}) BETWEEN 48 AND 57 OR ascii({text}) IN (9, 32, 43, 45, 46) THEN CASE
            WHEN substr({text}, 5, 1) = '-' AND regexp_full_match({text}, '\\d{{4}}-\\d{{2}}-\\d{{2}}.*') THEN CASE
                WHEN length(trim({text})) = 10 AND try_cast({text} AS DATE) IS NOT NULL THEN 'iso_date'
                WHEN contains({text}, ':') AND regexp_full_match({text}, '.*\\d([Zz]|[+-]\\d{{2}}(:?\\d{{2}})?)\\s*')
                    AND try_cast({text} AS TIMESTAMPTZ) IS NOT NULL THEN 'iso_offset'
                WHEN try_cast({text} AS TIMESTAMP) IS NOT NULL THEN 'iso_time'
                ELSE 'other' END
            WHEN try_cast({text} AS DOUBLE) IS NOT NULL THEN CASE
                WHEN contains({text}, '_') THEN 'other'
                WHEN contains({text}, '.') THEN CASE
                    WHEN regexp_full_match({text}, '\\s*[+-]?[1-9]\\d{{0,2}}\\.\\d{{3}}\\s*') THEN 'dotted_thousands'
                    ELSE 'decimal_point' END
                WHEN regexp_full_match({text}, '\\s*[+-]?(0|[1-9]\\d{{0,17}})\\s*') THEN 'integer'
                WHEN regexp_full_match({text}, '\\s*0\\d+\\s*') THEN 'leading_zero'
                WHEN regexp_full_match({text}, '\\s*[+-]?\\d+\\s*') THEN 'other'
                ELSE 'decimal_point' END
            WHEN contains({text}, ',') THEN CASE
                WHEN regexp_full_match({text}, '\\s*[+-]?[1-9]\\d{{0,2}},\\d{{3}}\\s*') THEN 'comma_either'
                WHEN regexp_full_match({text}, '\\s*[+-]?(\\d{{1,3}}(\\.\\d{{3}})+|\\d+),\\d+\\s*') THEN 'decimal_comma'
                WHEN regexp_full_match({text}, '\\s*[+-]?\\d{{1,3}}(,\\d{{3}})+(\\.\\d+)?\\s*') THEN 'comma_thousands'
                ELSE 'other' END
            WHEN regexp_full_match({text}, '\\s*[+-]?[1-9]\\d{{0,2}}(\\.\\d{{3}}){{2,}}\\s*') THEN 'decimal_comma'
            WHEN regexp_full_match({text}, '{_DATE}') THEN CASE
                WHEN coalesce({day_first_sql(text)}, {day_first_sql(text, month_first=True)}) IS NULL THEN 'other'
                WHEN {first} > 12 THEN 'day_first'
                WHEN {second} > 12 THEN 'month_first'
                WHEN contains(left(trim({text}), 3), '.') THEN 'day_first'
                ELSE 'day_or_month_first' END
            WHEN lower(trim({text})) IN ({marks}) THEN 'mark'
            ELSE 'other' END
        WHEN length({text}) <= 8 THEN CASE
            WHEN lower(trim({text})) IN ('true', 'false') THEN 'true_false'
            WHEN lower(trim({text})) IN ('yes', 'no') THEN 'yes_no'
            WHEN lower(trim({text})) IN ({marks}) THEN 'mark'
            ELSE 'other' END
        ELSE 'other' END"""


def day_first_sql(text: str, *, month_first: bool = False) -> str:
    """Return SQL that reads ``31.12.2024 23:59`` (``12/31/2024`` when `month_first`) as a timestamp, else NULL."""
    date = "%m-%d-%Y" if month_first else "%d-%m-%Y"
    formats = ", ".join(quoted_text(date + time) for time in ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f"))
    date_part = f"translate(regexp_extract(trim({text}), '^[^ T]+'), '/.', '--')"
    time_part = f"regexp_extract(trim({text}), '[ T](.*)$', 1)"
    return f"try_strptime(trim({date_part} || ' ' || {time_part}), [{formats}])"
