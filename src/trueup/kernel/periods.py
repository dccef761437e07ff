"""Which period of the business calendar does a moment belong to?

Moments are int64 microseconds since 1970-01-01 UTC, alone or in arrays. `NEVER` stands for "not known, maybe never": it
sorts after every real moment. Periods are calendar hours, days, ISO weeks, months, quarters and years in the charter's
time zone.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

Moments = NDArray[np.int64]
NEVER = np.iinfo(np.int64).max
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def moment_of(when: dt.datetime) -> int:
    """Return the moment of an aware `datetime`."""
    return (when - _EPOCH) // dt.timedelta(microseconds=1)


def utc(moment: int) -> dt.datetime:
    """Return a moment as an aware `datetime` in UTC."""
    return _EPOCH + dt.timedelta(microseconds=int(moment))


def iso(moment: int) -> str:
    """Return a moment as ISO 8601 text in UTC, such as ``2016-05-01T00:00:00Z``."""
    return utc(moment).isoformat().replace("+00:00", "Z")


def local_iso(moment: int, timezone: str) -> str:
    """Return a moment as ISO 8601 text in a time zone, such as ``2016-05-01T00:00:00+02:00``."""
    return utc(moment).astimezone(ZoneInfo(timezone)).isoformat()


@dataclass(frozen=True)
class Calendar:
    """The business calendar: a time zone and a kind of period."""

    timezone: str
    per: str
    """hour, day, week, month, quarter or year."""

    def start_of(self, moment: int) -> int:
        """Return the moment at which the period that holds `moment` started."""
        local = utc(moment).astimezone(ZoneInfo(self.timezone))
        return moment_of(_floor(local, self.per))

    def next_start(self, moment: int) -> int:
        """Return the moment at which the next period starts."""
        local = utc(moment).astimezone(ZoneInfo(self.timezone))
        return moment_of(_step(_floor(local, self.per), self.per))

    def starts_between(self, first: int, last: int) -> Moments:
        """Return the starts of all periods that touch ``[first, last)``, then the start after them.

        Shape (n_periods + 1,), increasing: period ``i`` is ``[starts[i], starts[i + 1])``.
        """
        return _starts(self.timezone, self.per, self.start_of(first), last)

    def index_of(self, moments: Moments, starts: Moments) -> NDArray[np.int64]:
        """Return for each moment the index of its period in `starts`; -1 before the first."""
        return np.searchsorted(starts, moments, side="right") - 1

    def label(self, start: int) -> str:
        """Return the period's short name: ``2016-05``, ``2016-05-03``, ``2016-W18``."""
        local = utc(start).astimezone(ZoneInfo(self.timezone))
        forms = {"hour": "%Y-%m-%dT%H", "day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m", "year": "%Y"}
        if self.per == "quarter":
            return f"{local.year}-Q{(local.month + 2) // 3}"
        return local.strftime(forms[self.per])


def local_moment(year: int, month: int, day: int, *, timezone: str) -> int:
    """Return the moment at which a local calendar day starts."""
    return moment_of(dt.datetime(year, month, day, tzinfo=ZoneInfo(timezone)))


def local_offset(moment: int, *, timezone: str) -> int:
    """Return local time minus UTC at a moment, in microseconds."""
    delta = utc(moment).astimezone(ZoneInfo(timezone)).utcoffset()
    return delta // dt.timedelta(microseconds=1) if delta else 0


@lru_cache(maxsize=256)
def _starts_cached(timezone: str, per: str, first: int, last: int) -> tuple[int, ...]:
    calendar = Calendar(timezone, per)
    starts = [first]
    while starts[-1] < last or len(starts) == 1:
        starts.append(calendar.next_start(starts[-1]))
    return tuple(starts)


def _starts(timezone: str, per: str, first: int, last: int) -> Moments:
    return np.array(_starts_cached(timezone, per, first, last), dtype=np.int64)


def _floor(local: dt.datetime, per: str) -> dt.datetime:
    if per == "hour":
        # in the repeated hour of autumn `fold` is kept, so both hours are periods of their own
        return local.replace(minute=0, second=0, microsecond=0)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if per == "week":
        return day - dt.timedelta(days=day.weekday())
    if per == "month":
        return day.replace(day=1)
    if per == "quarter":
        return day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)
    if per == "year":
        return day.replace(month=1, day=1)
    return day


def _step(start: dt.datetime, per: str) -> dt.datetime:
    if per == "hour":
        zone = start.tzinfo
        return (start.astimezone(dt.UTC) + dt.timedelta(hours=1)).astimezone(zone)
    if per == "week":
        return start + dt.timedelta(days=7)
    months = {"month": 1, "quarter": 3, "year": 12}.get(per)
    if months is None:
        return start + dt.timedelta(days=1)
    month = start.month - 1 + months
    return start.replace(year=start.year + month // 12, month=month % 12 + 1)
