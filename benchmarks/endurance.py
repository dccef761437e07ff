"""Are promises kept over many runs? The statistics: false alarms, time to find a breach, coverage, cost of a year.

Run ``python -m benchmarks.endurance``, or some of its subjects; writes build/endurance.json. ``--runs`` sets how many
runs of the statistics are simulated; ten times as many for the guard's false alarms (about five minutes on one core).
``equality`` (two minutes) decides every booking of the hotel example everywhere, and needs TRUEUP_TEST_DATA. ``swap``,
``swap-elsewhere``, ``kill``, ``full-disk``, ``lake``, ``overload``, ``misbehaving`` and ``soak`` (an hour together)
spare a server nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import equality
from benchmarks.enduring.serving import SERVERS
from benchmarks.guarding import guard_figures
from benchmarks.measuring import Figure, apart
from benchmarks.monitoring import ROWS, many_rows
from benchmarks.telling import write_figures
from benchmarks.windows import write_window
from trueup.align.charter import Guard, Limit
from trueup.kernel.durations import MICROSECONDS_PER_DAY as DAY
from trueup.kernel.durations import Duration
from trueup.measure.intervals import resampled_interval
from trueup.measure.sequential import start_test, watch
from trueup.observe.drift_cost import count_numbers, drift_costs, record_drift, reference_of_numbers, start_drift
from trueup.observe.guards import guard_status, record_guard, start_guard
from trueup.observe.maturity_view import MaturityState, maturity_between, record_maturity
from trueup.observe.performance import recent_performance, record_final, start_results

Array = NDArray[np.float64]
LIMIT = 4.0


def acted_cases(rng: np.random.Generator, cases: int, *, ratio: float) -> Array:
    """Return the guard's statistic of acted cases: false alarms count 1, hits minus the limit."""
    return np.where(rng.random(cases) < ratio / (1 + ratio), 1.0, -LIMIT)


def naive_alarm_share(runs: int, *, cases: int) -> float:
    """Return the share of runs at the limit that alarm a one-sided z-test at 5 %, looked at after every 100 cases."""
    rng = np.random.default_rng(1)
    count = np.arange(1, cases + 1)
    alarms = 0
    for _ in range(runs):
        seen = acted_cases(rng, cases, ratio=LIMIT)
        mean, square = np.cumsum(seen) / count, np.cumsum(seen**2) / count
        z = mean / np.sqrt(np.maximum(square - mean**2, 1e-12) / count)
        alarms += bool((z[99::100] > 1.645).any())
    return alarms / runs


def cases_to_find(runs: int, *, ratio: float, healthy: int) -> tuple[float, float]:
    """Return the share of breaches found within 20,000 cases and the median number of cases that took."""
    rng = np.random.default_rng(2)
    found: list[int] = []
    for _ in range(runs):
        test = watch(start_test(lowest=LIMIT), acted_cases(rng, healthy, ratio=2.5))
        test = watch(test, acted_cases(rng, 20_000, ratio=ratio))
        if test.alarm_at_case is not None and test.alarm_at_case > healthy:
            found.append(test.alarm_at_case - healthy)
    return len(found) / runs, float(np.median(found)) if found else float("nan")


def coverage(runs: int, *, blocks: int, skewed: bool) -> float:
    """Return the share of 90 % intervals that cover the expected total."""
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(runs):
        values = rng.exponential(1.0, blocks) if skewed else rng.normal(1.0, 1.0, blocks)
        low, high = resampled_interval(values, draws=1000, seed=seed)
        hits += low <= blocks <= high
    return hits / runs


def observed_year(*, cases: int, features: int) -> tuple[float, float]:
    """Return CPU seconds and peak MB of observing a year of `cases` in 365 turns, the data itself not counted."""
    rng = np.random.default_rng(4)
    score = rng.beta(1.0, 6.0, cases)
    outcome, value = (rng.random(cases) < score).astype(np.float64), rng.normal(1.0, 30.0, cases)
    happened, columns = np.sort(rng.integers(0, 365 * DAY, cases)), rng.normal(size=(features, cases))
    cut, acted = np.searchsorted(happened, np.arange(366) * DAY), score > 0.35
    week, first = Duration(7 * DAY), slice(0, max(cases // 10, 1))
    references = [
        reference_of_numbers(f"x{i}", column[first], value_per_case=value[first]) for i, column in enumerate(columns)
    ]
    guard = start_guard(Guard("false alarms", "", "", Limit("<=", LIMIT), week, "rollback"))
    drift, results = start_drift(references, keep=week), start_results("binary", keep=Duration(30 * DAY))
    maturity = MaturityState(keep=400)
    tracemalloc.start()
    began = time.process_time()
    for day in range(365):
        turn, at = slice(cut[day], cut[day + 1]), (day + 1) * DAY
        won = outcome[turn] == 1.0
        guard = record_guard(guard, at, count=acted[turn] & ~won, per=acted[turn] & won)
        guard_status(guard, at)
        counts = {r.feature: count_numbers(r, columns[i, turn]) for i, r in enumerate(references)}
        drift = record_drift(drift, at, counts=counts)
        drift_costs(drift, at)
        results = record_final(results, at, prediction=score[turn], outcome=outcome[turn], value=value[turn])
        recent_performance(results, at)
        maturity = record_maturity(maturity, happened=happened[turn], settled=happened[turn])
        maturity_between(maturity, at - 30 * DAY, at)
    seconds = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return seconds, peak


def figures(runs: int, *, cases: int) -> Iterator[Figure]:
    """Yield every figure, as it is found."""
    yield from guard_figures(10 * runs, cases=cases)
    naive = naive_alarm_share(runs, cases=cases)
    yield Figure("guard.z_test", naive, "share of runs", note="z-test at 5 %, looked at every 100 cases, at the limit")
    for ratio in (5.0, 6.0, 9.0):
        for healthy in (0, 10_000):
            share, median = cases_to_find(max(runs // 10, 1), ratio=ratio, healthy=healthy)
            name, note = f"guard.ratio_{ratio:g}.after_{healthy}", f"limit {LIMIT:g}, after {healthy:,} healthy cases"
            yield Figure(f"{name}.found", share, "share of runs", note=f"{note}, within 20,000 more")
            if share:
                yield Figure(f"{name}.cases", median, "cases", note=f"{note}, median until found")
    for blocks in (4, 8, 26, 52):
        for skewed, kind in ((False, "normal"), (True, "exponential")):
            share = coverage(runs, blocks=blocks, skewed=skewed)
            yield Figure(f"interval.{kind}.{blocks}_blocks", share, "share covered", "promised", 0.9)
    for size in (100_000, 1_000_000):
        seconds, peak = observed_year(cases=size, features=20)
        note = f"{size:,} cases, 20 features, 365 turns"
        yield Figure(f"observe.{size}", seconds, "CPU s", note=note)
        yield Figure(f"observe.{size}.memory", peak, "MB", note=f"{note}; beside the data")
    with tempfile.TemporaryDirectory() as folder:
        write_window(Path(folder) / "reference.parquet", rows=ROWS, seed=1)
        for millions in (1, 20):
            seconds, peak, whole = apart(many_rows, Path(folder), millions=millions)
            note = f"{millions} million rows x 20 columns{'' if whole else ', WRONG COUNTS'}"
            yield Figure(f"profile.{millions}m", seconds, "CPU s per million", note=note)
            yield Figure(f"profile.{millions}m.memory", peak, "MB", "target", 400.0, note)


def bookings(folder: Path) -> Iterator[Figure]:
    """Yield on how many bookings the ways to decide differ (`benchmarks/equality.py`)."""
    data = os.environ.get("TRUEUP_TEST_DATA")
    if data is None:
        raise SystemExit("equality needs the hotel bookings; set TRUEUP_TEST_DATA to the folder that holds them")
    yield from equality.figures(folder, Path(data) / "hotel_bookings" / "hotel_bookings.parquet")


def main() -> None:
    """Print every figure and write build/endurance.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description=__doc__)
    parser.add_argument("subject", nargs="*", help=f"of {', '.join(SUBJECTS)}; all when left out")
    parser.add_argument("--runs", type=int, default=1000)
    asked = parser.parse_args()
    if unknown := sorted(set(asked.subject) - set(SUBJECTS)):
        parser.error(f"no subject {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    with tempfile.TemporaryDirectory() as folder:
        found = (SUBJECTS[name](asked.runs, Path(folder)) for name in asked.subject or SUBJECTS)
        write_figures(chain.from_iterable(found), Path("build/endurance.json"))


SUBJECTS: dict[str, Callable[[int, Path], Iterator[Figure]]] = {
    "statistics": lambda runs, _: figures(runs, cases=10_000),
    "equality": lambda _, folder: bookings(folder),
    **{name: lambda _, __, subject=subject: subject() for name, subject in SERVERS.items()},  # type: ignore[misc]
}

if __name__ == "__main__":
    main()
