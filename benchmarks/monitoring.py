"""What does watching production cost? Drift beside only reading the columns, daily figures beside only the join.

The peer that reads only decodes the same files with the same reader and does nothing with the values. SciPy computes
two distances on columns that are decoded already.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measuring import Figure, apart, best_cost, cost_of
from trueup.data.duck import connect
from trueup.data.outcome_counts import OutcomeFiles, PredictionFiles, count_outcomes
from trueup.data.profile_plan import plan_profile
from trueup.data.profiling import column_batches, opened, profile_files
from trueup.measure.profiles import NumberProfile
from trueup.measure.scorecounts import auc_from, calibration_error_from, value_curve
from trueup.measure.table_profiles import TableDrift, compare_tables

ROWS, CASES = 1_000_000, 10_000_000
_NUMBERS, _WHOLE, _CATEGORIES = 14, 3, (5, 40, 2000)
_REPEATS = 3


def figures(folder: Path) -> list[Figure]:
    """Return CPU seconds and memory of two windows of a million rows and of ten million predictions."""
    for name, seed in (("reference", 1), ("current", 2)):
        write_window(folder / f"{name}.parquet", rows=ROWS, seed=seed)
    ours, memory = apart(ours_cost, folder)
    reading, scipy = apart(reading_cost, folder), apart(scipy_cost, folder)
    ks, wasserstein = apart(differences, folder)
    windows = f"2 windows of {ROWS:,} x {_NUMBERS + _WHOLE + len(_CATEGORIES)}"
    write_outcomes(folder, rows=CASES)
    counted, joined = apart(counting_cost, folder), apart(join_cost, folder)
    return [
        Figure("monitoring.drift", ours, "CPU s", "only reading the columns", reading, windows),
        Figure("monitoring.drift.memory", memory, "MB", "target", 400.0, windows),
        Figure(
            "monitoring.beside_scipy", ours, "CPU s", "scipy KS and Wasserstein", scipy, "scipy: numbers only, read"
        ),
        Figure("monitoring.ks_difference", ks, "largest", "target", 2e-3, "from scipy.stats.ks_2samp"),
        Figure("monitoring.wasserstein_difference", wasserstein, "largest, in sd", "target", 3e-3, "from scipy.stats"),
        Figure("monitoring.outcomes", counted, "CPU s", "the join alone", joined, f"{CASES:,} predictions, daily AUC"),
    ]


def write_window(path: Path, *, rows: int, seed: int) -> None:
    """Write a table of numbers, some missing, small whole numbers and categories."""
    rng = np.random.default_rng(seed)
    shift = 0.02 * seed
    columns: dict[str, pa.Array] = {}
    for i in range(_NUMBERS):
        kinds = (rng.normal(shift, 1, rows), rng.normal(10, 3, rows), rng.lognormal(3, 1.5, rows))
        values = (*kinds, rng.gamma(2 + shift, 50, rows))[i % 4]
        values[rng.random(rows) < (0.05 if i % 5 == 0 else 0.0)] = np.nan
        columns[f"x{i}"] = pa.array(values, from_pandas=True)
    for i in range(_WHOLE):
        columns[f"n{i}"] = pa.array(rng.poisson(3 + 30 * i + shift, rows))
    for i, kinds_of in enumerate(_CATEGORIES):
        names = pa.array([f"category {j}" for j in range(kinds_of)])
        codes = pa.array(rng.integers(0, kinds_of, rows).astype(np.int32))
        columns[f"k{i}"] = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
    pq.write_table(pa.table(columns), path)


def drift_of(folder: Path) -> TableDrift:
    """Profile both windows and compare them."""
    before, now = [folder / "reference.parquet"], [folder / "current.parquet"]
    reference = profile_files(before, plan_profile(before))
    return compare_tables(reference, profile_files(now, plan_profile(now, origins=reference.origins)))


def ours_cost(folder: Path) -> tuple[float, float]:
    """Return CPU seconds and MB of ours."""
    cost = best_cost(lambda: drift_of(folder), repeats=_REPEATS)
    return cost.cpu_seconds, cost.memory_mb


def reading_cost(folder: Path) -> float:
    """Return CPU seconds of decoding all columns."""

    def read() -> None:
        for path in (folder / "reference.parquet", folder / "current.parquet"):
            plan = plan_profile([path])
            file = opened(path, plan)
            for column in plan.columns:
                for _ in column_batches(file, column, range(file.metadata.num_row_groups)):
                    pass

    return best_cost(read, repeats=_REPEATS).cpu_seconds


def scipy_cost(folder: Path) -> float:
    """Return CPU seconds of two distances of the numbers, reading them not counted."""
    from scipy import stats

    pairs = _numbers(folder)
    return cost_of(
        lambda: [(stats.ks_2samp(a, b, method="asymp"), stats.wasserstein_distance(a, b)) for a, b in pairs.values()]
    )[0].cpu_seconds


def differences(folder: Path) -> tuple[float, float]:
    """Return the largest difference from SciPy: of KS, and of Wasserstein in standard deviations of the column."""
    from scipy import stats

    found = {column.column: column.drift for column in drift_of(folder).columns}
    ks, wasserstein = 0.0, 0.0
    for name, (before, now) in _numbers(folder).items():
        drift, exact = found[name], stats.wasserstein_distance(before, now)
        ks = max(ks, abs((drift.ks or 0.0) - stats.ks_2samp(before, now, method="asymp").statistic))
        wasserstein = max(wasserstein, abs((drift.wasserstein or 0.0) - exact) / float(np.std(before)))
    return ks, wasserstein


def _numbers(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for i in range(_NUMBERS):
        sides = [pq.read_table(folder / f"{n}.parquet", columns=[f"x{i}"]) for n in ("reference", "current")]
        before, now = (side.column(0).drop_null().to_numpy() for side in sides)
        found[f"x{i}"] = before, now
    return found


def write_outcomes(folder: Path, *, rows: int) -> None:
    """Write a year of predictions with ids that rise with time, and their outcomes in another order."""
    rng = np.random.default_rng(3)
    made = told = None
    for start in range(0, rows, ROWS):
        ids = np.arange(start, start + ROWS)
        at = ids * (365 * 86_400_000_000 // rows)
        score = rng.beta(1, 6, ROWS)
        outcome = (rng.random(ROWS) < score).astype(np.int8)
        predictions = pa.table({"prediction_id": ids, "event_time": pa.array(at, pa.timestamp("us")), "score": score})
        acted, passed = np.where(outcome == 1, -30.0, -55.0), outcome * -0.85 * rng.lognormal(6, 1, ROWS)
        outcomes = pa.table({"prediction_id": ids, "outcome": outcome, "acted": acted, "passed": passed})
        made = made or pq.ParquetWriter(folder / "predictions.parquet", predictions.schema)
        told = told or pq.ParquetWriter(folder / "outcomes.parquet", outcomes.schema)
        made.write_table(predictions, row_group_size=122_880)
        told.write_table(outcomes.take(pa.array(rng.permutation(ROWS))), row_group_size=122_880)
    for writer in (made, told):
        if writer:
            writer.close()


def counting_cost(folder: Path) -> float:
    """Return CPU seconds of daily AUC, calibration and value of all predictions."""
    predictions = PredictionFiles([folder / "predictions.parquet"])
    outcomes = OutcomeFiles(
        [folder / "outcomes.parquet"], known_at=None, payoff_if_acted="acted", payoff_if_not="passed"
    )

    def count() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            found = count_outcomes(predictions, outcomes, as_of=0, scratch=Path(scratch))
        for counts in found.days.values():
            auc_from(counts), calibration_error_from(counts), value_curve(counts)

    return best_cost(count, repeats=1).cpu_seconds


def join_cost(folder: Path) -> float:
    """Return CPU seconds of the same join, summed up to one row."""
    sides = [f"read_parquet('{folder / name}.parquet')" for name in ("predictions", "outcomes")]
    sums = "count(*), sum(score), max(event_time), sum(outcome), sum(acted), sum(passed)"

    def join() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            connection = connect(temp_directory=Path(scratch))
            connection.execute(f"SELECT {sums} FROM {sides[0]} LEFT JOIN {sides[1]} USING (prediction_id)").fetchall()
            connection.close()

    return best_cost(join, repeats=1).cpu_seconds


def many_rows(folder: Path, *, millions: int) -> tuple[float, float, bool]:
    """Return CPU seconds per million rows and MB of profiling a window again and again, and whether counts add up."""
    path = folder / "reference.parquet"
    plan = plan_profile([path])
    cost, profile = cost_of(lambda: profile_files([path] * millions, plan))
    column = profile.columns["x0"]
    whole = isinstance(column, NumberProfile) and column.present + column.missing == millions * ROWS
    return cost.cpu_seconds / millions, cost.memory_mb, whole
