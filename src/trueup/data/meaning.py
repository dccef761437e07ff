"""What does a column mean? Its kind, how its texts are read, and what a person should know about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from trueup.data.duck import quoted
from trueup.data.text_facts import TextFacts, day_first_sql
from trueup.kernel.periods import iso
from trueup.lake.rehearsals import Notice

Kind = Literal["number", "category", "boolean", "date", "text"]
_NUMBERS = ("integer", "decimal_point", "dotted_thousands", "decimal_comma", "comma_either", "comma_thousands")
_DATES = ("iso_date", "iso_time", "iso_offset", "day_first", "month_first", "day_or_month_first")
_BIGINT: tuple[Kind, str] = ("number", "CAST({} AS BIGINT)")
_NOT_NAN = "{0} - {0} = 0 OR {0} IN (CAST('inf' AS DOUBLE), CAST('-inf' AS DOUBLE))"
"""DuckDB 2.0 drops a comparison with NaN, isnan too, where a file's statistics show no NaN, as they never do."""
_DOUBLE: tuple[Kind, str] = (
    "number",
    f"CASE WHEN {_NOT_NAN.format('CAST({0} AS DOUBLE)')} THEN CAST({{0}} AS DOUBLE) END",
)
_TIMESTAMP: tuple[Kind, str] = ("date", "CAST({} AS TIMESTAMP)")
_STORED: dict[str, tuple[Kind, str]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"), _BIGINT),
    **dict.fromkeys(("DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "UHUGEINT", "UBIGINT"), _DOUBLE),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), _TIMESTAMP),
    "BOOLEAN": ("boolean", "{}"),
    "DATE": ("date", "{}"),
    "TIMESTAMP WITH TIME ZONE": ("date", "{}"),
}
_TEXT_MIN_DISTINCT = 1_000
_TEXT_SHARE = 0.2
_NEARLY = 0.9
_HIGH_MISSING = 0.5
_ID_MIN_ROWS = 20


@dataclass(frozen=True)
class Reading:
    """How a column is read."""

    name: str
    kind: Kind
    sql: str
    """Expression over the source's row that gives the stored value."""
    notices: tuple[Notice, ...] = ()
    whole: bool = False
    """Only whole numbers."""


@dataclass(frozen=True)
class ValueFacts:
    """What is known about a stored column, over all rows."""

    rows: int
    present: int
    distinct: int
    """Exact when `is_unique` or 1, else within a few percent."""
    is_unique: bool
    """No present value occurs twice."""
    latest: int | None = None
    """The latest moment of a date column."""
    future: int = 0
    """Dates after `as_of`."""


def read_texts(name: str, facts: TextFacts) -> Reading:
    """Decide how a text column is read. Nothing is guessed: what could be read in two ways stays text, and is named."""
    present = facts.rows - facts.missing - facts.count("blank", "mark")
    if present == 0:
        return Reading(name, "category", quoted(name))  # told as all-missing with the values
    for decide in (_as_number, _as_date, _as_boolean):
        reading = decide(name, facts, present)
        if reading is not None:
            return reading
    return Reading(name, "category", quoted(name), tuple(_nearly(name, facts, present)))


def read_typed(name: str, sql_type: str) -> Reading:
    """Return how a column is read whose type the file declares."""
    column = quoted(name)
    base = sql_type.split("(", 1)[0]
    if base in _STORED:
        kind, sql = _STORED[base]
        return Reading(name, kind, sql.format(column), whole=sql.endswith("BIGINT)"))
    if base.startswith(("STRUCT", "MAP", "JSON", "UNION")) or sql_type.endswith("]"):
        told = Notice("data.nested", f"{name}: nested values ({base.lower()}) are kept as JSON text", name)
        return Reading(name, "text", f"CAST(to_json({column}) AS VARCHAR)", (told,))
    return Reading(name, "category", f"CAST({column} AS VARCHAR)")


def tell_values(reading: Reading, facts: ValueFacts, *, as_of: int) -> Reading:
    """Return the reading with what its stored values show: constant, id-like, mostly missing, dated in the future."""
    kind = reading.kind
    is_words = kind == "category"
    if is_words and facts.distinct >= _TEXT_MIN_DISTINCT and facts.distinct > _TEXT_SHARE * facts.present:
        kind = "text"
    notices = [*reading.notices]
    name = reading.name
    missing = facts.rows - facts.present
    if facts.present == 0:
        notices.append(Notice("data.all-missing", f"{name}: all {facts.rows:,} values are missing", name))
    elif facts.distinct == 1:
        also = f" ({missing:,} missing)" if missing else ""
        notices.append(Notice("data.constant", f"{name}: the same value in all {facts.present:,} rows{also}", name))
    elif facts.is_unique and facts.present >= _ID_MIN_ROWS and (is_words or reading.whole):
        text = f"{name}: every one of the {facts.present:,} values is different; it looks like an id"
        notices.append(Notice("data.id-like", text, name))
    if 0 < facts.present <= (1 - _HIGH_MISSING) * facts.rows:
        share = 100 * missing / facts.rows
        notices.append(
            Notice(
                "data.mostly-missing", f"{name}: {missing:,} of {facts.rows:,} values are missing ({share:.0f} %)", name
            )
        )
    if facts.future and facts.latest is not None:
        text = f"{name}: {_values(facts.future, 'date')} after {iso(as_of)}, the latest {iso(facts.latest)}"
        notices.append(Notice("data.future-dates", text, name))
    return replace(reading, kind=kind, notices=tuple(notices))


def _as_number(name: str, facts: TextFacts, present: int) -> Reading | None:
    if facts.count(*_NUMBERS) + facts.count("leading_zero") != present:
        return None
    return _code_like(name, facts) or _number(name, facts, present)


def _code_like(name: str, facts: TextFacts) -> Reading | None:
    """Return the reading as text of what only looks like numbers, or could be two different ones."""
    points, commas = facts.count("decimal_point"), facts.count("decimal_comma")
    thousands, either = facts.count("comma_thousands"), facts.count("comma_either")
    if zeros := facts.count("leading_zero"):
        code, text = "data.leading-zeros", f"{_values(zeros, 'number')} with leading zeros; kept as text, as codes are"
    elif commas and (points or thousands):
        code = "data.mixed-decimals"
        text = (
            f"{_values(commas, 'number')} with a decimal comma and {points + thousands:,} with a decimal point; "
            "kept as text; write all of them in one way"
        )
    elif either and not (commas or thousands or points):
        code = "data.ambiguous-numbers"
        text = f"{_values(either, 'number')} like 1,234 could mean 1234 or 1.234; kept as text"
    else:
        return None
    return Reading(name, "category", quoted(name), (Notice(code, f"{name}: {text}", name),))


def _number(name: str, facts: TextFacts, present: int) -> Reading:
    column = f"trim({quoted(name)})"
    notices = _missing_notices(name, facts, "number", present)
    if facts.count("decimal_comma"):
        sql = _double(f"replace(replace({column}, '.', ''), ',', '.')")
        text = f"{name}: numbers with a decimal comma, read as numbers"
        return Reading(name, "number", sql, (*notices, Notice("data.decimal-comma", text, name)))
    if facts.count("comma_either", "comma_thousands"):
        sql = _double(f"replace({column}, ',', '')")
        text = f"{name}: numbers with a comma between thousands, read as numbers"
        return Reading(name, "number", sql, (*notices, Notice("data.thousands-comma", text, name)))
    whole = facts.count("integer") == present
    sql = f"TRY_CAST({column} AS BIGINT)" if whole else _double(column)
    return Reading(name, "number", sql, tuple(notices), whole=whole)


def _double(text: str) -> str:
    """Return a text as a number; the word nan, a mark of a missing value, is no number."""
    return f"nullif(TRY_CAST({text} AS DOUBLE), CAST('nan' AS DOUBLE))"


def _as_date(name: str, facts: TextFacts, present: int) -> Reading | None:
    if facts.count(*_DATES) != present:
        return None
    day, month, either = (facts.count(c) for c in ("day_first", "month_first", "day_or_month_first"))
    if (day and month) or (either and not day and not month):
        return _unclear_dates(name, day, month, either)
    notices = _missing_notices(name, facts, "date", present)
    standard = facts.count("iso_date", "iso_time", "iso_offset")
    if day or month:
        notices.append(_date_order(name, day=day, month=month, either=either, standard=standard))
    column = quoted(name)
    other = day_first_sql(column, month_first=bool(month))
    if facts.count("iso_offset") == present:
        return Reading(name, "date", f"try_cast({column} AS TIMESTAMPTZ)", tuple(notices))
    if facts.count("iso_offset"):
        text = f"{name}: {_values(facts.count('iso_offset'), 'time')} with an offset from UTC, the others read as UTC"
        notices.append(Notice("data.mixed-offsets", text, name))
        return Reading(name, "date", f"coalesce(try_cast({column} AS TIMESTAMPTZ), {other})", tuple(notices))
    has_time = facts.count("iso_time") or facts.timed
    sql = f"coalesce(try_cast({column} AS TIMESTAMP), {other})" if day or month else f"try_cast({column} AS TIMESTAMP)"
    return Reading(name, "date", sql if has_time else f"CAST({sql} AS DATE)", tuple(notices))


def _unclear_dates(name: str, day: int, month: int, either: int) -> Reading:
    if day and month:
        code = "data.contradicting-dates"
        text = f"{name}: {day:,} dates can only be dd-mm-yyyy and {month:,} only mm-dd-yyyy; kept as text; correct them"
    else:
        code = "data.ambiguous-dates"
        text = f"{name}: all {either:,} dates could be dd-mm-yyyy or mm-dd-yyyy; kept as text; write yyyy-mm-dd"
    return Reading(name, "category", quoted(name), (Notice(code, text, name),))


def _date_order(name: str, *, day: int, month: int, either: int, standard: int) -> Notice:
    order = "dd-mm-yyyy" if day else "mm-dd-yyyy"
    text = f"{name}: {_values(day + month + either, 'date')} read as {order}"
    if standard:
        text += f", {standard:,} as yyyy-mm-dd"
    if either:
        text += f"; {either:,} of them could be read either way"
    return Notice("data.mixed-dates" if standard or either else "data.date-order", text, name)


def _as_boolean(name: str, facts: TextFacts, present: int) -> Reading | None:
    if facts.count("mark"):
        return None
    if facts.count("true_false") == present:
        return Reading(name, "boolean", f"try_cast(trim({quoted(name)}) AS BOOLEAN)")
    if facts.count("yes_no") == present:
        text = f"{name}: Yes and No, a yes-or-no question; kept as written"
        return Reading(name, "boolean", quoted(name), (Notice("data.yes-no", text, name),))
    return None


def _nearly(name: str, facts: TextFacts, present: int) -> list[Notice]:
    told = []
    for code, word, classes in (("data.text-in-numbers", "number", _NUMBERS), ("data.text-in-dates", "date", _DATES)):
        fitting = facts.count(*classes)
        if _NEARLY * present <= fitting < present:
            text = (
                f"{name}: {present - fitting:,} of {present:,} values are no {word}s; kept as text; correct them first"
            )
            told.append(Notice(code, text, name))
    return told


def _missing_notices(name: str, facts: TextFacts, word: str, present: int) -> list[Notice]:
    told = []
    total = present + facts.count("blank", "mark")
    if blanks := facts.count("blank"):
        text = f"{name}: {_values(blanks, 'blank')} in {_values(total, word)}, read as missing"
        told.append(Notice("data.blanks", text, name))
    if marks := facts.count("mark"):
        shown = "NA, null, none, - or the like"
        text = f"{name}: {_values(marks, 'mark')} ({shown}) in {_values(total, word)}, read as missing"
        told.append(Notice("data.missing-marks", text, name))
    return told


def _values(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")
