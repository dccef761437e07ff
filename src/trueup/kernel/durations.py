"""How long is "30d"? Durations and calendar steps as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trueup.kernel.errors import TrueupError

MICROSECONDS_PER_DAY = 86_400_000_000
_UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": MICROSECONDS_PER_DAY, "w": 7 * MICROSECONDS_PER_DAY}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*$")
PERIODS = ("hour", "day", "week", "month", "quarter", "year")


class BadDuration(TrueupError):
    """A text is not a duration."""

    code = "kernel.bad-duration"


@dataclass(frozen=True, order=True)
class Duration:
    """A length of time in microseconds, 0 or more."""

    microseconds: int

    @property
    def days(self) -> float:
        """Return the length in days."""
        return self.microseconds / MICROSECONDS_PER_DAY

    def __str__(self) -> str:
        for unit in ("w", "d", "h", "m", "s"):
            if self.microseconds and self.microseconds % _UNITS[unit] == 0 and unit != "w":
                return f"{self.microseconds // _UNITS[unit]}{unit}"
        return f"{self.microseconds / 1_000_000:g}s"


def parse_duration(text: str) -> Duration:
    """Return the duration written as a number and one of s, m (minutes), h, d, w.

    Raises
    ------
    BadDuration
        When the text is anything else; calendar months are periods, not durations.

    Examples
    --------
    >>> parse_duration("30d").days
    30.0
    """
    match = _DURATION.match(text)
    if match is None:
        raise BadDuration(f'"{text}" is not a duration; write a number and a unit, such as 12h, 30d or 4w', seen=text)
    return Duration(round(float(match[1]) * _UNITS[match[2]]))
