"""Evidently: drift of every column, with the normed Wasserstein distance for numbers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from benchmarks.measuring import cost_of


def drift(folder: Path) -> dict[str, float]:
    """Return what Evidently calls the value of each column's drift."""
    numbers: list[str] = []
    categories: list[str] = []
    sides = []
    for name in ("current", "reference"):
        frame = pd.read_parquet(folder / f"{name}.parquet")
        numbers = [c for c in frame.columns if frame[c].dtype != object]
        categories = [c for c in frame.columns if frame[c].dtype == object]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
        sides.append(Dataset.from_pandas(frame, data_definition=definition))
    report = Report([DataDriftPreset(num_method="wasserstein", cat_method="jensenshannon")])
    metrics = report.run(*sides).dict()["metrics"]
    return {m["config"]["column"]: float(m["value"]) for m in metrics if "column" in m["config"]}


if __name__ == "__main__":
    cost, found = cost_of(lambda: drift(Path(sys.argv[1])))
    told = {"cpu_seconds": cost.cpu_seconds, "memory_mb": cost.memory_mb, "found": found}
    Path(sys.argv[2]).write_text(json.dumps(told))
