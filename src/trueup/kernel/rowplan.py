"""What does an expression give for one row? Plans, run in plain Python.

A plan is the compiled form of an expression (`kernel/expressions.py`): nested tuples ``(operation, *arguments)``,
which JSON can hold, so that a server loads them without an SQL parser. The rules below are the language's; the SQL
rendered for tables (`kernel/expression_sql.py`) follows the same ones, and a property test holds both to the same
results.

* Every number is a float64. NaN is NULL. Division or remainder by zero is NULL, and so is a root or logarithm that
  does not exist. An overflow is an infinity.
* NULL spreads as in SQL: three-valued AND, OR, NOT and IN; `greatest` and `least` pass over NULL.
* A value that cannot be read as the kind that its place asks for ("abc" as a number) is NULL, as with TRY_CAST;
  `check_kinds` says so before, once the table is known.
* Moments are UTC without an offset, in the years 1 to 9999; outside them they are NULL. A date is its midnight.
* Text compares by code point; upper and lower case go letter by letter.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from trueup.kernel.errors import TrueupError

Plan = tuple[Any, ...]
Row = Mapping[str, object]
RowFunction = Callable[[Row], Any]

_MICROSECOND = dt.timedelta(microseconds=1)
_UNIT_MICROSECONDS = {"second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000, "day": 86_400_000_000}
_NUMBER = re.compile(
    r"[+-]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.IGNORECASE
)
_MOMENT = re.compile(
    r"\s*(\d{4})([-/])(\d{1,2})\2(\d{1,2})"
    r"(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d+))?)?)?(Z|[+-]\d\d(?::?\d\d)?)?\s*"
)
_TRUE = frozenset({"true", "t", "yes", "y", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "0"})


class BadRowValue(TrueupError):
    """A row holds a value of a kind that its place in an expression cannot use."""

    code = "kernel.bad-row-value"


def evaluate(plan: Plan, row: Row) -> object:
    """Return the value of `plan` for one row: a float, text, bool, UTC `datetime` without zone, or None.

    Parameters
    ----------
    plan : tuple
        `Expression.plan`, or what `plan_from_json` gives. Not an aggregate.
    row : mapping of str to object
        A column that is absent counts as NULL.

    Raises
    ------
    BadRowValue
        If two columns of different kinds are compared, or a text moment has an offset other than UTC.

    Examples
    --------
    >>> evaluate(("*", ("number", -0.85), ("column", "amount", "number")), {"amount": 200})
    -170.0
    """
    return compile_plan(plan)(row)


def compile_plan(plan: Plan) -> RowFunction:
    """Return a function of a row; for many rows, several times faster than `evaluate`."""
    operation, *arguments = plan
    return _BUILDERS[operation](*arguments)


def plan_as_json(plan: Plan) -> list[Any]:
    """Return the plan as nested lists of JSON values."""
    return [plan_as_json(part) if isinstance(part, tuple) else part for part in plan]


def plan_from_json(document: Sequence[Any]) -> Plan:
    """Return the plan that `plan_as_json` wrote.

    Raises
    ------
    BadRowValue
        If an operation is unknown, as in a plan of a newer version.
    """
    plan = tuple(plan_from_json(part) if isinstance(part, list) else part for part in document)
    if plan and isinstance(plan[0], str) and plan[0] not in _BUILDERS:
        raise BadRowValue(f'the plan uses the operation "{plan[0]}", which this version does not know', seen=plan[0])
    return plan


def moment_from_text(text: str) -> dt.datetime | None:
    """Return the moment of ISO text in UTC; None when it is no moment.

    Raises
    ------
    BadRowValue
        If the text has an offset other than UTC: expressions know only UTC.
    """
    match = _MOMENT.fullmatch(text)
    if match is None:
        return None
    year, _, month, day, hour, minute, second, fraction, offset = match.groups()
    if offset not in (None, "Z") and offset.strip("+-0:"):
        raise BadRowValue("a moment with an offset cannot be used in an expression; convert it to UTC first")
    micro = int(((fraction or "") + "000000")[:6])
    try:
        return dt.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micro)
    except ValueError:
        return None


# --- what a value is, in the kind that its place asks for


def as_number(value: object) -> float | None:
    """Return `value` as a number; None for NULL, NaN and text that is no number."""
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip(" \t\n\v\f\r")
        return float(text) if _NUMBER.fullmatch(text) else None
    if not hasattr(value, "__float__"):
        return None
    number = float(value)
    return None if math.isnan(number) else number


def as_boolean(value: object) -> bool | None:
    """Return `value` as true or false; numbers are true unless 0, text is true for yes, true, t, y, 1."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.lower()
        return True if word in _TRUE else False if word in _FALSE else None
    number = as_number(value)
    return None if number is None else number != 0


def as_text(value: object) -> str | None:
    """Return `value` as text, written as a table would."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        moment = _utc(value)
        return moment.isoformat(" ").rstrip("0") if moment.microsecond else moment.isoformat(" ")
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, float):
        return None if math.isnan(value) else repr(float(value))
    return str(value)


def as_moment(value: object) -> dt.datetime | None:
    """Return `value` as a UTC `datetime` without zone."""
    if value is None:
        return None
    if isinstance(value, str):
        return moment_from_text(value)
    if isinstance(value, dt.datetime):
        return _utc(value)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)  # moments here have no zone: all are UTC
    return None


def _as_it_is(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _utc(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)


_READERS: dict[str, Callable[[Any], Any]] = {
    "number": as_number,
    "boolean": as_boolean,
    "text": as_text,
    "moment": as_moment,
    "any": _as_it_is,
    "integer": lambda value: _whole(as_number(value)),
    "date": lambda value: _midnight(as_moment(value)),
}


def _whole(number: float | None) -> float | None:
    return number if number is None or math.isinf(number) else float(round(number))


def _midnight(moment: dt.datetime | None) -> dt.datetime | None:
    return None if moment is None else moment.replace(hour=0, minute=0, second=0, microsecond=0)


# --- arithmetic


def _add(left: float, right: float) -> float:
    return left + right


def _subtract(left: float, right: float) -> float:
    return left - right


def _multiply(left: float, right: float) -> float:
    return left * right


def _divide(left: float, right: float) -> float | None:
    return None if right == 0 else left / right


def _remainder(left: float, right: float) -> float | None:
    return None if right == 0 or math.isinf(left) else math.fmod(left, right)


def _power(base: float, exponent: float) -> float | None:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:  # C gives an infinity for a power of zero, NaN for a root of a negative number
        if base != 0:
            return None
        return math.copysign(math.inf, base) if exponent % 2 == 1 else math.inf


def _exp(number: float) -> float:
    try:
        return math.exp(number)
    except OverflowError:
        return math.inf


def _floor(number: float) -> float:
    return number if math.isinf(number) else float(math.floor(number))


def _ceil(number: float) -> float:
    return number if math.isinf(number) else float(math.ceil(number))


def _half_away_from_zero(number: float) -> float:
    whole = math.trunc(number)
    return float(whole + math.copysign(1, number)) if abs(number - whole) >= 0.5 else float(whole)


def _round(number: float, digits: int) -> float:
    """Round as a table does: half away from zero, after scaling by a power of ten."""
    scale = 10.0 ** abs(digits)
    scaled = number * scale if digits >= 0 else number / scale
    if math.isinf(scaled):
        return number
    rounded = _half_away_from_zero(scaled)
    return rounded / scale if digits >= 0 else rounded * scale


def _lower(text: str) -> str:
    return "".join(letter.lower()[0] for letter in text)


def _upper(text: str) -> str:
    return "".join(_upper_letter(letter) for letter in text)


def _upper_letter(letter: str) -> str:
    for candidate in (letter.upper(), letter.title()):
        if len(candidate) == 1:
            return candidate
    return "ẞ" if letter == "ß" else letter


# --- moments


def _shift(moment: dt.datetime, amount: float, unit: str) -> dt.datetime | None:
    try:
        if unit == "month":
            return _shift_months(moment, math.trunc(amount))
        return moment + dt.timedelta(microseconds=int(_half_away_from_zero(amount * _UNIT_MICROSECONDS[unit])))
    except (OverflowError, ValueError):
        return None


def _shift_months(moment: dt.datetime, months: int) -> dt.datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    next_year, next_month = divmod(year * 12 + month + 1, 12)
    last_day = (
        31 if year == dt.MAXYEAR and month == 11 else (dt.date(next_year, next_month + 1, 1) - dt.timedelta(1)).day
    )
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))


def _date_diff(start: dt.datetime, end: dt.datetime, unit: str) -> float:
    if unit == "year":
        return float(end.year - start.year)
    if unit == "month":
        return float((end.year - start.year) * 12 + end.month - start.month)
    length = _UNIT_MICROSECONDS[unit]
    origin = dt.datetime(1970, 1, 1)
    return float((end - origin) // _MICROSECOND // length - (start - origin) // _MICROSECOND // length)


def _make_date(year: float, month: float, day: float) -> dt.datetime | None:
    try:
        return dt.datetime(math.trunc(year), math.trunc(month), math.trunc(day))
    except (OverflowError, ValueError):
        return None


_PARTS: dict[str, Callable[[dt.datetime], int]] = {
    "year": lambda moment: moment.year,
    "month": lambda moment: moment.month,
    "day": lambda moment: moment.day,
    "hour": lambda moment: moment.hour,
    "dayofweek": lambda moment: moment.isoweekday() % 7,
}

# --- comparisons


def _same_family(left: Any, right: Any) -> tuple[Any, Any]:
    """Return two values of a comparison whose kind only the row tells."""
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if isinstance(left, dt.date) and isinstance(right, dt.date):
        return as_moment(left), as_moment(right)
    if isinstance(left, int) and isinstance(right, int):
        return left, right
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return left, right
    if isinstance(left, (str, dt.date)) or isinstance(right, (str, dt.date)):
        kinds = f"a {type(left).__name__} with a {type(right).__name__}"
        raise BadRowValue(f"an expression compares {kinds}; write a CAST that makes both the same")
    return as_number(left), as_number(right)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _like_pattern(pattern: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(letter, re.escape(letter)) for letter in pattern), re.DOTALL)


# --- from plan to function


def _constant(*value: object) -> RowFunction:
    fixed = value[0] if value else None
    return lambda row: fixed


def _column(name: str, kind: str) -> RowFunction:
    read = _READERS[kind]
    return lambda row: read(row.get(name))


def _strict(function: Callable[..., Any], *fixed: object) -> Callable[..., RowFunction]:
    """Return a builder for a function that is NULL when any argument is; NaN becomes NULL."""

    def build(*plans: Plan) -> RowFunction:
        parts = [compile_plan(plan) for plan in plans]

        def run(row: Row) -> Any:
            values = [part(row) for part in parts]
            if any(value is None for value in values):
                return None
            return _as_it_is(function(*values, *fixed))

        return run

    return build


def _and(*plans: Plan) -> RowFunction:
    parts = [compile_plan(plan) for plan in plans]
    return lambda row: _all(part(row) for part in parts)


def _all(values: Any) -> bool | None:
    seen_null = False
    for value in values:
        if value is False:
            return False
        seen_null = seen_null or value is None
    return None if seen_null else True


def _not(plan: Plan) -> RowFunction:
    part = compile_plan(plan)

    def run(row: Row) -> bool | None:
        value = part(row)
        return None if value is None else not value

    return run


def _or(*plans: Plan) -> RowFunction:
    negated = _and(*(("not", plan) for plan in plans))

    def run(row: Row) -> bool | None:
        value = negated(row)
        return None if value is None else not value

    return run


def _is_null(plan: Plan) -> RowFunction:
    part = compile_plan(plan)
    return lambda row: part(row) is None


def _between(value: Plan, low: Plan, high: Plan) -> RowFunction:
    return _and((">=", value, low), ("<=", value, high))


def _in(value: Plan, *members: Plan) -> RowFunction:
    return _or(*(("=", value, member) for member in members))


def _like(value: Plan, pattern: str) -> RowFunction:
    expression = _like_pattern(pattern)
    return _strict(lambda text: expression.fullmatch(text) is not None)(value)


def _case(branches: Plan, otherwise: Plan) -> RowFunction:
    compiled = [(compile_plan(condition), compile_plan(value)) for condition, value in branches]
    last = compile_plan(otherwise)

    def run(row: Row) -> Any:
        for condition, value in compiled:
            if condition(row):
                return value(row)
        return last(row)

    return run


def _coalesce(*plans: Plan) -> RowFunction:
    parts = [compile_plan(plan) for plan in plans]

    def run(row: Row) -> Any:
        for part in parts:
            value = part(row)
            if value is not None:
                return value
        return None

    return run


def _nullif(value: Plan, other: Plan) -> RowFunction:
    first, second = compile_plan(value), compile_plan(other)

    def run(row: Row) -> Any:
        seen = first(row)
        return None if seen is not None and seen == second(row) else seen

    return run


def _extreme(choose: Callable[[Any], Any]) -> Callable[..., RowFunction]:
    def build(*plans: Plan) -> RowFunction:
        parts = [compile_plan(plan) for plan in plans]

        def run(row: Row) -> Any:
            known = [value for value in (part(row) for part in parts) if value is not None]
            return choose(known) if known else None

        return run

    return build


def _cast(kind: str, plan: Plan) -> RowFunction:
    read, part = _READERS[kind], compile_plan(plan)
    return lambda row: read(part(row))


def _compare_any(operator: str, left: Plan, right: Plan) -> RowFunction:
    compare = _COMPARISONS[operator]
    return _strict(lambda a, b: compare(*_same_family(a, b)))(left, right)


def _moment_constant(text: str) -> RowFunction:
    return _constant(moment_from_text(text))


_BUILDERS: dict[str, Callable[..., RowFunction]] = {
    "number": _constant,
    "text": _constant,
    "boolean": _constant,
    "null": _constant,
    "moment": _moment_constant,
    "column": _column,
    "cast": _cast,
    "+": _strict(_add),
    "-": _strict(_subtract),
    "*": _strict(_multiply),
    "/": _strict(_divide),
    "%": _strict(_remainder),
    "negative": _strict(lambda number: -number),
    **{sign: _strict(compare) for sign, compare in _COMPARISONS.items()},
    "compare": _compare_any,
    "and": _and,
    "or": _or,
    "not": _not,
    "is_null": _is_null,
    "between": _between,
    "in": _in,
    "like": _like,
    "case": _case,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "greatest": _extreme(max),
    "least": _extreme(min),
    "abs": _strict(abs),
    "floor": _strict(_floor),
    "ceil": _strict(_ceil),
    "sqrt": _strict(lambda number: math.sqrt(number) if number >= 0 else None),
    "ln": _strict(lambda number: math.log(number) if number > 0 else None),
    "exp": _strict(_exp),
    "power": _strict(_power),
    "round": lambda plan, digits: _strict(_round, digits)(plan),
    "length": _strict(lambda text: float(len(text))),
    "lower": _strict(_lower),
    "upper": _strict(_upper),
    "shift": lambda unit, moment, amount: _strict(_shift, unit)(moment, amount),
    "date_diff": lambda unit, start, end: _strict(_date_diff, unit)(start, end),
    "make_date": _strict(_make_date),
    "part": lambda name, moment: _strict(lambda seen: float(_PARTS[name](seen)))(moment),
}
