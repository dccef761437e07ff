"""How are amounts, counts, shares and dates written for people?"""

from __future__ import annotations

import math
import re
from datetime import date, timedelta

from trueup.kernel.money import MINUS, money_text, short_money_text

UNKNOWN = "not known"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LIMIT = re.compile(r"^\s*(<=|<|>=|>)\s*(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*$")
_COMPARISONS = {"<=": "at most", "<": "below", ">=": "at least", ">": "above"}


def money(amount: float | None, currency: str, *, signed: bool = False) -> str:
    """Return the full amount, ``€1,467,125``; small ones with cents, ``€0.42``."""
    if amount is None or not math.isfinite(amount):
        return UNKNOWN
    if 0 < abs(amount) < 10:
        whole = money_text(0, currency).removesuffix("0")
        sign = MINUS if amount < 0 else "+" if signed else ""
        return f"{sign}{whole}{abs(amount):.2f}"
    return money_text(amount, currency, signed=signed)


def short_money(amount: float | None, currency: str, *, signed: bool = False) -> str:
    """Return the amount in two or three significant digits, ``€1.47 M``."""
    if amount is None or not math.isfinite(amount):
        return UNKNOWN
    text = money(amount, currency, signed=signed) if abs(amount) < 10 else ""
    return (text or short_money_text(amount, currency, signed=signed)).replace(" ", "\u00a0")


def axis_money(amount: float, currency: str) -> str:
    """Return a round amount for an axis, ``€40 M``, ``€2.5 k``."""
    return re.sub(r"\.0+(?!\d)|(?<=\.\d)0(?!\d)", "", short_money(amount, currency))


def money_range(low: float, high: float, currency: str) -> str:
    """Return ``€0.85 M to €2.09 M``."""
    return f"{short_money(low, currency)} to {short_money(high, currency)}"


def count(value: float | None) -> str:
    """Return a number of things, ``6,148``."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{MINUS if round(value) < 0 else ''}{abs(round(value)):,}"


def share(value: float | None, digits: int = 0) -> str:
    """Return a share of one as a percentage, ``62%``; never rounded up to 100 nor down to 0.

    Examples
    --------
    >>> share(0.9999)
    '99.9%'
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    text = f"{abs(value) * 100:.{digits}f}"
    if value != 0 and digits < 1 and float(text) in (0.0, 100.0) and abs(value) != 1:
        text = f"{min(abs(value) * 100, 99.9):.1f}" if abs(value) < 1 else text
    return f"{MINUS if value < 0 and float(text) else ''}{text}%"


def number(value: float | None, digits: int = 3) -> str:
    """Return a plain number with `digits` significant digits, ``3.50``, ``0.724``, ``1,240``."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    decimals = max(0, digits - 1 - math.floor(math.log10(size))) if size else 0
    text = f"{size:,.{min(decimals, 6)}f}"
    return f"{MINUS if value < 0 and text.strip('0.,') else ''}{text}"


def day(text: str) -> date | None:
    """Return the calendar day an ISO text begins with, None when it is not one."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def date_text(text: str) -> str:
    """Return ``1 Oct 2015`` for an ISO date or instant; any other text unchanged."""
    when = day(text)
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}" if when else text


def window_text(start: str, end: str) -> str:
    """Return ``Oct 2015`` for a month, ``Q4 2015`` for a quarter, else the first day.

    `end` may be the last day of the window or the day after it.
    """
    first, last = day(start), day(end)
    if first is None or last is None:
        return start
    months = _whole_months(first, last)
    if months == 1:
        return f"{_MONTHS[first.month - 1]} {first.year}"
    if months == 3:
        return f"Q{(first.month + 2) // 3} {first.year}"
    return date_text(start)


def span_text(start: str, end: str) -> str:
    """Return how long a rehearsal is: ``23 months``, ``6 weeks``, ``1 day``."""
    first, last = day(start), day(end)
    if first is None or last is None or last < first:
        return f"{start} to {end}"
    months = _whole_months(first, last)
    if months is None and (last - first).days >= 60:
        months = round((last - first).days / 30.4375)
    if months:
        return f"{months} month{'s' if months > 1 else ''}"
    days = max(1, (last - first).days)
    if days % 7 == 0:
        return f"{days // 7} week{'s' if days > 7 else ''}"
    return f"{days} day{'s' if days > 1 else ''}"


def _whole_months(first: date, last: date) -> int | None:
    following = last if last.day == 1 and last > first else last + timedelta(days=1)
    if first.day != 1 or following.day != 1:
        return None
    return (following.year - first.year) * 12 + following.month - first.month


def limit_parts(text: str) -> tuple[str, float] | None:
    """Return operator and number of a limit such as ``<= 4.0``; None for anything else."""
    match = _LIMIT.match(text)
    return (match[1], float(match[2])) if match else None


def limit_text(text: str, *, as_share: bool = False) -> str:
    """Return ``at most 4`` for ``<= 4.0``, ``at least 70%`` for a share; any other text unchanged."""
    parts = limit_parts(text)
    if parts is None:
        return text
    operator, value = parts
    return f"{_COMPARISONS[operator]} {ratio(value, as_share=True) if as_share else _as_written(value)}"


def _as_written(value: float) -> str:
    return f"{value:,.6g}".replace("-", MINUS)


def ratio(value: float | None, *, as_share: bool) -> str:
    """Return a share as ``72.4%``, another ratio as ``3.5``."""
    if not as_share:
        return number(value, 3) if value is None or value != round(value) else count(value)
    return share(value, 1 if value is None or round(value * 100, 6) % 1 else 0)


def plural(n: int, noun: str, nouns: str | None = None) -> str:
    """Return ``1 month``, ``23 months``; the number in words up to none."""
    if n == 0:
        return f"no {nouns or noun + 's'}"
    return f"{count(n)} {noun if n == 1 else nouns or noun + 's'}"


def sentence(text: str) -> str:
    """Return a text as a sentence begins, ``No cases``."""
    return text[:1].upper() + text[1:]
