"""What does one value of a request mean? The same answer for tables, requests and compiled decoders."""

from __future__ import annotations

import datetime as dt
import math

MICROSECONDS_PER_DAY = 86_400_000_000.0
TRUE_WORDS = ("true", "yes", "t", "y", "1")
FALSE_WORDS = ("false", "no", "f", "n", "0")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def category_text(value: object) -> str | None:
    """Return a category's value as text, the same for a number however it is stored; None where it is missing.

    Examples
    --------
    >>> [category_text(v) for v in (3, 3.0, "3", True, 2.5, -1, float("nan"))]
    ['3', '3', '3', 'true', None, None, None]
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and value >= 0 and math.isfinite(value) and value == int(value):
        return str(int(value))
    return None


def read_number(value: object) -> float:
    """Return a number as float; a boolean counts as 0 or 1."""
    if isinstance(value, int | float):
        return float(value)
    raise TypeError


def read_boolean(value: object) -> float:
    """Return 1.0 or 0.0 for a boolean, 0, 1, or a word such as ``"yes"``."""
    if isinstance(value, int | float) and value in {0, 1}:
        return float(value)
    if isinstance(value, str) and value.lower() in TRUE_WORDS + FALSE_WORDS:
        return float(value.lower() in TRUE_WORDS)
    raise TypeError


def read_date(value: object) -> float:
    """Return days since 1970-01-01 UTC of an ISO 8601 text (UTC where it has no offset); numbers are such days."""
    if isinstance(value, str):
        moment = dt.datetime.fromisoformat(value)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return float((aware - _EPOCH) // dt.timedelta(microseconds=1)) / MICROSECONDS_PER_DAY
    return read_number(value)


def read_category(value: object) -> str | None:
    """Return the text of a category (`category_text`)."""
    if isinstance(value, str | int | float):
        return category_text(value)
    raise TypeError


def read_text(value: object) -> str:
    """Return a text."""
    if isinstance(value, str):
        return value
    raise TypeError
