"""NannyML: univariate drift of every column, and the AUC of scores without outcomes (CBPE)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nannyml
import pandas as pd

from benchmarks.measuring import cost_of


def drift(folder: Path) -> dict[str, float]:
    """Return the KS statistic of each column of numbers, categories compared by Jensen-Shannon."""
    before, now = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "current"))
    categories = [c for c in before.columns if before[c].dtype == object]
    calculator = nannyml.UnivariateDriftCalculator(
        list(before.columns),
        treat_as_categorical=categories,
        continuous_methods=["kolmogorov_smirnov", "wasserstein"],
        categorical_methods=["jensen_shannon"],
        chunk_number=1,
    )
    result = calculator.fit(before).calculate(now).filter(period="analysis").to_df()
    return {c: float(result[(c, "kolmogorov_smirnov", "value")].iloc[0]) for c in before.columns if c not in categories}


def estimated_auc(folder: Path) -> float:
    """Return the AUC to expect of the later scores, calibrated with the earlier ones and their outcomes."""
    before, now = (pd.read_parquet(folder / f"scores_{name}.parquet") for name in ("reference", "current"))
    estimator = nannyml.CBPE(
        metrics=["roc_auc"],
        y_pred_proba="score",
        y_pred="predicted",
        y_true="outcome",
        problem_type="classification_binary",
        chunk_number=1,
    )
    result = estimator.fit(before).estimate(now).filter(period="analysis").to_df()
    return float(result[("roc_auc", "value")].iloc[0])


if __name__ == "__main__":
    where = Path(sys.argv[1])
    cost, found = cost_of(lambda: drift(where))
    told = {"cpu_seconds": cost.cpu_seconds, "memory_mb": cost.memory_mb, "found": found}
    found["estimated auc"] = estimated_auc(where)
    Path(sys.argv[2]).write_text(json.dumps(told))
