"""whylogs: profiles of both windows; it counts numbers in sketches whose distance is its drift."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

from benchmarks.measuring import cost_of


def drift(folder: Path) -> dict[str, float]:
    """Return what whylogs calls the statistic of each column's drift."""
    before, now = (
        whylogs.log(pandas=pd.read_parquet(folder / f"{name}.parquet")).view() for name in ("reference", "current")
    )
    scores = calculate_drift_scores(target_view=now, reference_view=before)
    return {
        name: float(score["statistic"]) for name, score in scores.items() if score and score["statistic"] is not None
    }


if __name__ == "__main__":
    cost, found = cost_of(lambda: drift(Path(sys.argv[1])))
    told = {"cpu_seconds": cost.cpu_seconds, "memory_mb": cost.memory_mb, "found": found}
    Path(sys.argv[2]).write_text(json.dumps(told))
