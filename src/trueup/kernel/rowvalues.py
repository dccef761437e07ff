"""What is a value in an expression, and what do operations do with it? The rules of `kernel/rowplan.py`, one by one.

No argument of an operation is ever NULL (None): `rowplan` sees to that.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from trueup.kernel.errors import TrueupError

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
    if type(value) is float:  # nearly always
        return None if value != value else value  # noqa: PLR0124  # NaN, faster than math.isnan
    if value is None:
        return None
    if isinstance(value, str):
        text = value.strip(" \t\n\v\f\r")
        return float(text) if _NUMBER.fullmatch(text) else None
    if not hasattr(value, "__float__"):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]  # only numbers overflow
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


def as_it_is(value: object) -> object:
    """Return the value, None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _utc(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)


READERS: dict[str, Callable[[Any], Any]] = {
    "number": as_number,
    "boolean": as_boolean,
    "text": as_text,
    "moment": as_moment,
    "any": as_it_is,
    "integer": lambda value: _whole(as_number(value)),
    "date": lambda value: _midnight(as_moment(value)),
}


def _whole(number: float | None) -> float | None:
    return number if number is None or math.isinf(number) else float(round(number))


def _midnight(moment: dt.datetime | None) -> dt.datetime | None:
    return None if moment is None else moment.replace(hour=0, minute=0, second=0, microsecond=0)


# --- arithmetic


def add(left: float, right: float) -> float:
    """Return the sum."""
    return left + right


def subtract(left: float, right: float) -> float:
    """Return the difference."""
    return left - right


def multiply(left: float, right: float) -> float:
    """Return the product."""
    return left * right


def divide(left: float, right: float) -> float | None:
    """Return the quotient; None for a division by zero."""
    return None if right == 0 else left / right


def remainder(left: float, right: float) -> float | None:
    """Return the remainder with the sign of `left`; None where there is none."""
    return None if right == 0 or math.isinf(left) else math.fmod(left, right)


def power(base: float, exponent: float) -> float | None:
    """Return the power as C does: None where it is no real number, an infinity where it overflows."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:  # C gives an infinity for a power of zero, NaN for a root of a negative number
        if base != 0:
            return None
        return math.copysign(math.inf, base) if exponent % 2 == 1 else math.inf


def exponential(number: float) -> float:
    """Return e to the power of `number`; an infinity where it overflows."""
    try:
        return math.exp(number)
    except OverflowError:
        return math.inf


def floor(number: float) -> float:
    """Return the largest whole number not above."""
    return number if math.isinf(number) else float(math.floor(number))


def ceiling(number: float) -> float:
    """Return the smallest whole number not below."""
    return number if math.isinf(number) else float(math.ceil(number))


def _half_away_from_zero(number: float) -> float:
    whole = math.trunc(number)
    return float(whole + math.copysign(1, number)) if abs(number - whole) >= 0.5 else float(whole)


def round_half_away(number: float, digits: int) -> float:
    """Round as a table does: half away from zero, after scaling by a power of ten."""
    scale = 10.0 ** abs(digits)
    scaled = number * scale if digits >= 0 else number / scale
    if math.isinf(scaled):
        return number
    rounded = _half_away_from_zero(scaled)
    return rounded / scale if digits >= 0 else rounded * scale


def lower_case(text: str) -> str:
    """Return the text in lower case, letter by letter."""
    return "".join(letter.lower()[0] for letter in text)


def upper_case(text: str) -> str:
    """Return the text in upper case, letter by letter."""
    return "".join(_upper_letter(letter) for letter in text)


def _upper_letter(letter: str) -> str:
    for candidate in (letter.upper(), letter.title()):
        if len(candidate) == 1:
            return candidate
    return "ẞ" if letter == "ß" else letter


# --- moments


def shift(moment: dt.datetime, amount: float, unit: str) -> dt.datetime | None:
    """Return the moment moved by an amount of `unit`; None outside the years 1 to 9999."""
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


def date_difference(start: dt.datetime, end: dt.datetime, unit: str) -> float:
    """Return how many boundaries of `unit` lie between two moments."""
    if unit == "year":
        return float(end.year - start.year)
    if unit == "month":
        return float((end.year - start.year) * 12 + end.month - start.month)
    length = _UNIT_MICROSECONDS[unit]
    origin = dt.datetime(1970, 1, 1)
    return float((end - origin) // _MICROSECOND // length - (start - origin) // _MICROSECOND // length)


def make_date(year: float, month: float, day: float) -> dt.datetime | None:
    """Return the midnight of a day; None where the calendar has none."""
    try:
        return dt.datetime(math.trunc(year), math.trunc(month), math.trunc(day))
    except (OverflowError, ValueError):
        return None


PARTS: dict[str, Callable[[dt.datetime], int]] = {
    "year": lambda moment: moment.year,
    "month": lambda moment: moment.month,
    "day": lambda moment: moment.day,
    "hour": lambda moment: moment.hour,
    "dayofweek": lambda moment: moment.isoweekday() % 7,
}

# --- comparisons


def comparable(left: Any, right: Any) -> tuple[Any, Any]:
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


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def like_pattern(pattern: str) -> re.Pattern[str]:
    """Return the regular expression of a LIKE pattern."""
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(letter, re.escape(letter)) for letter in pattern), re.DOTALL)
