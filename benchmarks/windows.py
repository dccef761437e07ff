"""Which files do the benchmarks of monitoring read? Two windows that really drift, scores, predictions and outcomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS, WHOLE, CATEGORIES = 14, 3, (5, 40, 2000)
COLUMNS = NUMBERS + WHOLE + len(CATEGORIES)
_DRIFT = {"reference": 0.0, "current": 0.3}
"""How far numbers move, in standard deviations of the normal ones."""
_WRITTEN_AT_ONCE = 1_000_000


def write_windows(folder: Path, *, rows: int) -> None:
    """Write a reference and a current window whose columns drift."""
    for seed, (name, drift) in enumerate(_DRIFT.items(), start=1):
        write_window(folder / f"{name}.parquet", rows=rows, seed=seed, drift=drift)


def write_window(path: Path, *, rows: int, seed: int, drift: float = 0.0) -> None:
    """Write a table of numbers, some missing, small whole numbers and categories."""
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    for i in range(NUMBERS):
        kinds = (rng.normal(drift, 1, rows), rng.normal(10 + 3 * drift, 3, rows), rng.lognormal(3 + drift, 1.5, rows))
        values = (*kinds, rng.gamma(2 + drift, 50, rows))[i % 4]
        values[rng.random(rows) < (0.05 if i % 5 == 0 else 0.0)] = np.nan
        columns[f"x{i}"] = pa.array(values, from_pandas=True)
    for i in range(WHOLE):
        columns[f"n{i}"] = pa.array(rng.poisson((3 + 30 * i) * (1 + drift), rows))
    for i, kinds_of in enumerate(CATEGORIES):
        names = pa.array([f"category {j}" for j in range(kinds_of)])
        codes = pa.array((rng.random(rows) ** (1 + drift) * kinds_of).astype(np.int32))
        columns[f"k{i}"] = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
    pq.write_table(pa.table(columns), path)


def write_scores(folder: Path, *, rows: int) -> None:
    """Write scores that are too high, with outcomes, and later ones of other cases for which the same rate holds."""
    for seed, (name, rising) in enumerate((("reference", 1.0), ("current", 1.6)), start=5):
        rng = np.random.default_rng(seed)
        score = rng.beta(rising, 6, rows)
        outcome = (rng.random(rows) < score**1.3).astype(np.int8)
        table = pa.table({"score": score, "outcome": outcome, "predicted": (score >= 0.5).astype(np.int8)})
        pq.write_table(table, folder / f"scores_{name}.parquet")


def write_outcomes(folder: Path, *, rows: int) -> None:
    """Write a year of predictions with ids that rise with time, and their outcomes in another order."""
    rng = np.random.default_rng(3)
    made = told = None
    for start in range(0, rows, _WRITTEN_AT_ONCE):
        ids = np.arange(start, start + _WRITTEN_AT_ONCE)
        at = ids * (365 * 86_400_000_000 // rows)
        score = rng.beta(1, 6, len(ids))
        outcome = (rng.random(len(ids)) < score).astype(np.int8)
        predictions = pa.table({"prediction_id": ids, "event_time": pa.array(at, pa.timestamp("us")), "score": score})
        acted, passed = np.where(outcome == 1, -30.0, -55.0), outcome * -0.85 * rng.lognormal(6, 1, len(ids))
        outcomes = pa.table({"prediction_id": ids, "outcome": outcome, "acted": acted, "passed": passed})
        made = made or pq.ParquetWriter(folder / "predictions.parquet", predictions.schema)
        told = told or pq.ParquetWriter(folder / "outcomes.parquet", outcomes.schema)
        made.write_table(predictions, row_group_size=122_880)
        told.write_table(outcomes.take(pa.array(rng.permutation(len(ids)))), row_group_size=122_880)
    for writer in (made, told):
        if writer:
            writer.close()
