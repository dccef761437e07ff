"""Does a guard keep its promise in worlds made to break it, and how soon is a real loss of value found?

Every null world keeps the guard's limit given all that happened before, and only just, where alarms are likeliest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Figure
from trueup.measure.sequential import BettingTest, start_test, watch

Array = NDArray[np.float64]
World = Callable[[np.random.Generator, int], Array]
LIMIT = 4.0
PER_DAY = 120
"""Acted cases a day in the figures given in days."""
HIT, FALSE_ALARM = 10.0, -1.0
"""What an acted case brings, in multiples of a false alarm's cost."""
PRECISION = 0.30


def at_the_limit(rng: np.random.Generator, cases: int) -> Array:
    """Return independent acted cases, exactly at the limit: a false alarm is 1, a hit minus the limit."""
    return _told(rng.random(cases) < LIMIT / (1 + LIMIT))


def bunched(rng: np.random.Generator, cases: int) -> Array:
    """Return cases that come in bunches of 1 to 60 with one cause, all of them false alarms or all of them hits.

    Only the first of a bunch is a case that the past says nothing about, so a bunch is one number: its mean.
    """
    sizes = rng.integers(1, 61, cases)
    return np.asarray(at_the_limit(rng, cases) * sizes / 60.0, dtype=np.float64)


def wandering(rng: np.random.Generator, cases: int) -> Array:
    """Return cases whose ratio wanders slowly below the limit and stays at it for long."""
    walk = np.cumsum(rng.normal(0.0, 0.05, cases))
    ratio = LIMIT * np.exp(np.minimum(walk - np.maximum.accumulate(walk), 0.0))
    return _told(rng.random(cases) < ratio / (1 + ratio))


def chasing(rng: np.random.Generator, cases: int) -> Array:
    """Return cases whose size follows the past: after false alarms large ones come, after hits small ones."""
    seen = at_the_limit(rng, cases)
    recent = np.concatenate(([0.0], np.convolve(seen, np.ones(10) / 10.0)[: cases - 1]))
    return np.asarray(seen * np.where(recent > 0.0, 1.0, 0.1), dtype=np.float64)


def days_with_batches(rng: np.random.Generator, cases: int) -> Array:
    """Return daily batches as one number a day, the mean of 1 to 40 cases at the limit."""
    sizes = rng.integers(1, 41, cases)
    alarms = rng.binomial(sizes, LIMIT / (1 + LIMIT))
    return np.asarray((alarms - LIMIT * (sizes - alarms)) / sizes, dtype=np.float64)


def late_outcomes(rng: np.random.Generator, cases: int) -> Array:
    """Return cases at the limit in the order in which outcomes become final: 1 to 90 days late, whatever they are."""
    delay = rng.integers(1, 91, cases) * PER_DAY
    return np.asarray(at_the_limit(rng, cases)[np.argsort(np.arange(cases) + delay, kind="stable")], dtype=np.float64)


def early_bad_news(rng: np.random.Generator, cases: int) -> Array:
    """Return what is forbidden: false alarms known 30 days before hits, so that the order depends on outcomes."""
    seen = at_the_limit(rng, cases)
    delay = np.where(seen > 0.0, 15, 45) * PER_DAY
    return np.asarray(seen[np.argsort(np.arange(cases) + delay, kind="stable")], dtype=np.float64)


NULLS: dict[str, World] = {
    "at_the_limit": at_the_limit,
    "bunched": bunched,
    "wandering": wandering,
    "chasing": chasing,
    "days_with_batches": days_with_batches,
    "late_outcomes": late_outcomes,
}


@dataclass(frozen=True)
class Found:
    """How soon a breach was found."""

    share: float
    median_cases: float
    """After it began; NaN when none was found."""


def alarm_share(world: World, runs: int, *, cases: int, seed: int = 11) -> float:
    """Return the share of runs with an alarm, watched after every case."""
    rng = np.random.default_rng(seed)
    return sum(watch(start_test(lowest=LIMIT), world(rng, cases)).alarm for _ in range(runs)) / runs


def value_drop(runs: int, *, drop: float, allowed: float, healthy: int, cases: int = 40_000) -> Found:
    """Return how soon a guard finds that acted cases bring `drop` less than promised, a share.

    Parameters
    ----------
    runs : int
    drop : float
        0.2 when value falls by a fifth, because fewer of the acted cases are hits.
    allowed : float
        The guard is "false alarms per hit", with the limit that is reached when value has fallen by this share.
    healthy : int
        Acted cases before, as promised.
    cases : int
        Acted cases after the drop within which it counts as found.
    """
    rng = np.random.default_rng(12)
    limit = _false_alarms_per_hit(_precision_after(allowed))
    found: list[int] = []
    for _ in range(runs):
        test = start_test(lowest=limit)
        test = _acted(rng, test, healthy, precision=PRECISION, limit=limit)
        if test.alarm:
            continue
        test = _acted(rng, test, cases, precision=_precision_after(drop), limit=limit)
        if test.alarm_at_case is not None:
            found.append(test.alarm_at_case - healthy)
    return Found(len(found) / runs, float(np.median(found)) if found else float("nan"))


def guard_figures(runs: int, *, cases: int) -> Iterator[Figure]:
    """Yield false alarms in every null world, what the forbidden order costs, and the delay of a 20 % drop in value."""
    watched = f"{runs:,} runs of {cases:,} acted cases, watched after every one"
    for name, world in NULLS.items():
        yield Figure(
            f"guard.null.{name}",
            alarm_share(world, runs, cases=cases),
            "share of runs",
            "promised",
            0.05,
            watched,
        )
    few = max(runs // 10, 1)
    share = alarm_share(early_bad_news, few, cases=cases)
    yield Figure("guard.forbidden_order", share, "share of runs", note="false alarms known 30 days before hits")
    for allowed in (0.0, 0.1):
        for healthy in (0, 10_000):
            found = value_drop(max(runs // 50, 1), drop=0.2, allowed=allowed, healthy=healthy)
            name = f"guard.value_drop_20.allowed_{round(allowed * 100)}.after_{healthy}"
            note = f"hits bring {HIT:g} times a false alarm's cost, {PRECISION:.0%} are hits before"
            yield Figure(f"{name}.found", found.share, "share of runs", note=note)
            yield Figure(f"{name}.cases", found.median_cases, "cases", note="median, acted cases after the drop")
            yield Figure(f"{name}.days", found.median_cases / PER_DAY, "days", note=f"at {PER_DAY} acted cases a day")


def _told(false_alarm: NDArray[np.bool_]) -> Array:
    return np.where(false_alarm, 1.0, -LIMIT)


def _acted(rng: np.random.Generator, test: BettingTest, cases: int, *, precision: float, limit: float) -> BettingTest:
    return watch(test, np.where(rng.random(cases) < precision, -limit, 1.0))


def _precision_after(drop: float) -> float:
    """Return the share of hits at which an acted case brings `drop` less than at `PRECISION`."""
    value = (1.0 - drop) * (PRECISION * HIT + (1.0 - PRECISION) * FALSE_ALARM)
    return (value - FALSE_ALARM) / (HIT - FALSE_ALARM)


def _false_alarms_per_hit(precision: float) -> float:
    return (1.0 - precision) / precision
