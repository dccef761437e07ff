"""Did a column break? Values beyond all before, missing or new ones, from one day to the next: no drift, an incident.

Drift comes slowly and may be worth nothing; a broken feed comes overnight. A column is watched for *signs* that its
past hardly knows. What its past knows is learned on one half of it and tried on the other, so that columns which always
bring new values (ids, dates, growing amounts) stay quiet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueup.lake.incidents import DataIncident
from trueup.measure.stretches import Stretch, find_stretch, usual_share_of

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]
Kind = Literal["above", "below", "missing", "new"]
FEWEST_CASES = 1_000
"""Cases of the past without which nothing is called unusual."""
LEAST_SHARE = 0.02
"""Share of a stretch's cases below which a sign is no incident."""
FEWEST_DAYS = 3
"""Days with such cases: one day's bunch is somebody's large order, not a broken feed."""
SUDDEN = 5.0
"""How many times more frequent than in the days before its first days must be; what grows slowly is drift."""
DAYS_NEAR = 14
"""Days before, and first days of, a stretch; the first days must reach half of its share."""
ALPHA = 0.01
"""Chance that a project without any incident is told of one, over all columns and signs."""
FACTORS = (7.0, 10.0, 12.0, 24.0, 30.0, 52.0, 60.0, 100.0, 365.0, 1_000.0, 1_024.0, 3_600.0, 10_000.0, 1_000_000.0)
"""Units that are mistaken for each other: days and weeks, cents, months and years, hours, percent, thousands."""
_KS_CRITICAL = 1.63
"""Of the two-sample Kolmogorov-Smirnov test at 1 %, times sqrt(1 / n + 1 / m) (Smirnov 1948)."""
_FEWEST_FOR_FACTOR = 20
_FEWEST_CARRIED = 0.9
_FEWEST_TIMES = 2
_MOST_VALUES = 12


@dataclass(frozen=True, eq=False)
class Sign:
    """Something a column's past hardly knows, and which cases show it."""

    kind: Kind
    flags: Flags
    """Of every case, past and watched."""
    usual_share: float
    """The most in any week of the past, 0 to 1."""


@dataclass(frozen=True)
class Where:
    """The values of a column that hold nearly all of a stretch's flagged cases."""

    column: str
    codes: tuple[int, ...]


def number_signs(values: Array, days: Codes, *, past: int) -> tuple[Sign, ...]:
    """Return what to watch in a column of numbers.

    Parameters
    ----------
    values : ndarray of float, shape (n_cases,)
        In event-time order; NaN is missing.
    days : ndarray of int, shape (n_cases,)
        Day of each case, ascending.
    past : int
        How many of the first cases are the past.
    """
    missing = np.isnan(values)
    half = past // 2
    signs = [Sign("missing", missing, usual_share_of(missing[:past], days[:past]))]
    if (~missing[:half]).sum() * 2 < FEWEST_CASES // 5:
        return tuple(signs)
    with np.errstate(invalid="ignore"):
        for kind, sign in (("above", 1.0), ("below", -1.0)):
            signed = sign * values
            tried = signed[half:past] > np.nanmax(signed[:half])
            flags = signed > np.nanmax(signed[:past])
            signs.append(Sign(kind, flags, usual_share_of(tried, days[half:past])))  # type: ignore[arg-type]  # a Kind
    return tuple(signs)


def category_signs(codes: Codes, days: Codes, *, past: int) -> tuple[Sign, ...]:
    """Return what to watch in a column of categories, -1 being missing; see `number_signs`."""
    missing = codes < 0
    half = past // 2
    tried = ~_seen(codes, half)[codes[half:past]] & ~missing[half:past]
    new = ~_seen(codes, past)[codes] & ~missing
    return (
        Sign("missing", missing, usual_share_of(missing[:past], days[:past])),
        Sign("new", new, usual_share_of(tried, days[half:past])),
    )


def find_incident(sign: Sign, days: Codes, *, past: int, looks: int) -> Stretch | None:
    """Return the days in which a sign was an incident; None where there was none.

    Parameters
    ----------
    sign : Sign
    days : ndarray of int, shape (n_cases,)
        Day of each case, ascending from 0 on.
    past : int
        How many of the first cases are the past.
    looks : int
        How many signs are looked at in all; the chance of a false incident is divided by it (Bonferroni).
    """
    if past < FEWEST_CASES or past >= len(days) or not sign.flags[past:].any():
        return None
    count = int(days[-1]) + 1
    cases = np.bincount(days, minlength=count).astype(np.float64)
    flagged = np.bincount(days[sign.flags], minlength=count).astype(np.float64)
    start = int(days[past])
    usual = max(sign.usual_share, 3.0 / past)  # none in n cases: the rate is below 3 / n (rule of three)
    if usual >= 1.0:
        return None
    found = find_stretch(flagged[start:], cases[start:], usual_share=usual, alpha=ALPHA / looks)
    if found is None:
        return None
    found = Stretch(found.first + start, found.last + start, found.cases, found.flagged)
    return found if _is_incident(found, flagged, cases) else None


def locate(flags: Flags, columns: Mapping[str, Codes]) -> Where | None:
    """Return where nearly all flagged cases are, when that is a small part; None when they are anywhere.

    Parameters
    ----------
    flags : ndarray of bool, shape (n_cases,)
        Of the cases of a stretch.
    columns : mapping of str to ndarray of int
        Categories of the same cases, -1 being missing.
    """
    best: tuple[float, Where] | None = None
    for column, codes in columns.items():
        cases = np.bincount(codes + 1)
        flagged = np.bincount(codes[flags] + 1, minlength=len(cases))
        share = flagged / np.maximum(cases, 1)
        repeated = flagged >= _FEWEST_TIMES
        if not repeated.any():
            continue
        carrying = np.flatnonzero(repeated & (share >= share[repeated].max() / 4.0))
        held, room = flagged[carrying].sum() / flags.sum(), cases[carrying].sum() / len(codes)
        if held < _FEWEST_CARRIED or room > 0.5 or len(carrying) > _MOST_VALUES or 0 in carrying:
            continue
        if best is None or room < best[0]:
            best = (float(room), Where(column, tuple(int(code) - 1 for code in carrying)))
    return best[1] if best else None


def suspected_factor(before: Array, now: Array) -> float | None:
    """Return by what values were probably multiplied; None where no usual factor makes them look as before.

    Parameters
    ----------
    before, now : ndarray of float
        Values of the same group of cases in the past, and in the stretch; NaN is left out.

    Notes
    -----
    Of `FACTORS` and their inverses, that with the smallest two-sample Kolmogorov-Smirnov distance after division, if
    it is below the critical value at 1 % and values as they are lie above it. Where several fit, that which brings the
    values back to the steps they had (tenths of a year come as 1.2 months).
    """
    before, now = np.sort(before[~np.isnan(before)]), now[~np.isnan(now)]
    if min(len(before), len(now)) < _FEWEST_FOR_FACTOR:
        return None
    critical = _KS_CRITICAL * float(np.sqrt(1.0 / len(before) + 1.0 / len(now)))
    if _distance(before, now) <= critical:
        return None
    candidates = [f for factor in FACTORS for f in (factor, 1.0 / factor)]
    fitting = [(_off_steps(before, now / f), _distance(before, now / f), f) for f in candidates]
    fitting = [one for one in fitting if one[1] <= critical]
    return min(fitting)[2] if fitting else None


def cause_words(incident: DataIncident) -> str:
    """Return what broke: ``3.5% of the cases had values above every one before; values came 12 times as large``."""
    what = {
        "above": "had values above every one before",
        "below": "had values below every one before",
        "missing": "had no value",
        "new": "were in categories never seen before",
    }[incident.kind]
    usual = f" (at most {incident.usual_share:.1%} in any week before)" if incident.usual_share else ""
    place = f", only where {group_words(incident.only_in, incident.only_values)}" if incident.only_in else ""
    factor = f"; values came {factor_words(incident.factor)}" if incident.factor is not None else ""
    return f"{incident.share:.1%} of the cases {what}{usual}{place}{factor}"


def group_words(column: str, values: Sequence[str]) -> str:
    """Return where an incident happened: ``broker is broker-02 or broker-05``."""
    several = [*values[:-2], " or ".join(values[-2:])]
    return f"{column} is {', '.join(several)}"


def factor_words(factor: float) -> str:
    """Return a factor in words: ``12 times as large``."""
    size, word = (factor, "large") if factor >= 1.0 else (1.0 / factor, "small")
    return f"{size:,.0f} times as {word}"


def _seen(codes: Codes, first: int) -> Flags:
    """Return which codes occur in the first cases; the last place is that of -1."""
    seen = np.zeros(int(codes.max(initial=-1)) + 2, dtype=bool)
    seen[codes[:first]] = True
    return seen


def _is_incident(found: Stretch, flagged: Array, cases: Array) -> bool:
    by_day = flagged[found.first : found.last]
    if found.share < LEAST_SHARE or int((by_day > 0).sum()) < FEWEST_DAYS or by_day.max() > found.flagged / 2:
        return False
    before = slice(max(0, found.first - DAYS_NEAR), found.first)
    at_once = slice(found.first, min(found.first + DAYS_NEAR, found.last))
    level = flagged[at_once].sum() / cases[at_once].sum()
    return bool(2.0 * level >= found.share and SUDDEN * flagged[before].sum() <= level * cases[before].sum())


def _distance(before: Array, now: Array) -> float:
    """Return the Kolmogorov-Smirnov distance; `before` is sorted."""
    now = np.sort(now)
    every = np.concatenate([before, now])
    below = np.searchsorted(before, every, side="right") / len(before)
    return float(np.abs(below - np.searchsorted(now, every, side="right") / len(now)).max())


def _off_steps(before: Array, now: Array) -> float:
    """Return which share of the new values lies beside the decimal steps that 99 % of the old ones keep, 0 to 1."""
    for digits in range(-3, 4):
        step = 10.0**-digits
        if np.mean(_on(before, step)) >= 0.99:
            return round(float(np.mean(~_on(now, step))), 1)
    return 0.0


def _on(values: Array, step: float) -> Flags:
    return np.abs(values - np.round(values / step) * step) <= 1e-6 * np.maximum(step, np.abs(values))
