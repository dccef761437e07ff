"""Do the figures of monitoring equal those of SciPy, scikit-learn, NannyML and Evidently, on windows that drift?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.measuring import cost_of
from benchmarks.windows import NUMBERS
from trueup.data.profile_plan import plan_profile
from trueup.data.profiling import profile_files
from trueup.measure.calibration import calibrate
from trueup.measure.drift import Drift
from trueup.measure.estimated import estimated_performance
from trueup.measure.scorecounts import ScoreCounts, auc_from, calibration_error_from, count_scores, log_loss_from
from trueup.measure.table_profiles import TableDrift, compare_tables

Array = NDArray[np.float64]
Pair = tuple[Array, Array]


def drift_of(folder: Path) -> TableDrift:
    """Profile both windows and compare them."""
    before, now = [folder / "reference.parquet"], [folder / "current.parquet"]
    reference = profile_files(before, plan_profile(before))
    return compare_tables(reference, profile_files(now, plan_profile(now, origins=reference.origins)))


def beside_scipy(folder: Path) -> tuple[float, dict[str, float]]:
    """Return SciPy's CPU seconds for two distances of the decoded numbers, and how far ours are from its values."""
    from scipy import stats

    pairs = {f"x{i}": _pair(folder, f"x{i}") for i in range(NUMBERS)}
    cost, exact = cost_of(
        lambda: {
            name: (stats.ks_2samp(a, b, method="asymp").statistic, stats.wasserstein_distance(a, b))
            for name, (a, b) in pairs.items()
        }
    )
    ours = {column.column: column.drift for column in drift_of(folder).columns}
    differences = [_differences(ours[name], pair, exact=exact[name]) for name, pair in pairs.items()]
    largest = {name: max(each[name] for each in differences) for name in differences[0]}
    return cost.cpu_seconds, largest | {"drift": max(ks for ks, _ in exact.values())}


def _differences(ours: Drift, pair: Pair, *, exact: Pair | tuple[float, float]) -> dict[str, float]:
    """Return the difference of KS, of Wasserstein as a share of it, and of two distances on the edges ours names."""
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import entropy

    bins = np.arange(len(ours.upper_edges) + 1)
    p, q = (np.bincount(np.searchsorted(ours.upper_edges, side), minlength=len(bins)) / len(side) for side in pair)
    ks, wasserstein = (float(value) for value in exact)
    return {
        "ks": abs((ours.ks or 0.0) - ks),
        "wasserstein": abs((ours.wasserstein or 0.0) - wasserstein) / wasserstein,
        "edges": max(
            abs((ours.psi or 0.0) - float(entropy(p, q) + entropy(q, p))),
            abs((ours.jensen_shannon or 0.0) - float(jensenshannon(p, q, base=2))),
        ),
    }


def beside_sklearn(folder: Path) -> dict[str, float]:
    """Return how far figures from 2,000 bins of the score are from those of all rows."""
    from sklearn.metrics import log_loss, roc_auc_score

    score, outcome = _scores(folder, "reference")
    counts = count_scores(score, outcome)
    index = np.minimum((score * 10).astype(np.int64), 9)
    gaps = np.bincount(index, weights=score - outcome)
    return {
        "log_loss": abs((log_loss_from(counts) or 0.0) - float(log_loss(outcome, score))),
        "auc": abs((auc_from(counts) or 0.0) - float(roc_auc_score(outcome, score))),
        "calibration": abs((calibration_error_from(counts) or 0.0) - float(np.abs(gaps).sum() / len(score))),
    }


def estimated_auc(folder: Path) -> float:
    """Return the AUC to expect of the later scores, before an outcome of theirs is known."""
    calibration = calibrate(count_scores(*_scores(folder, "reference")))
    if calibration is None:
        return float("nan")
    found = estimated_performance(_without_outcome(folder), calibration, cut_off=0.5).auc
    return float("nan") if found is None else found


def beside_evidently(folder: Path, theirs: Mapping[str, Any]) -> float:
    """Return the largest difference of the Wasserstein distance in standard deviations of the reference, as a share."""
    shares = []
    for column in drift_of(folder).columns:
        if column.column.startswith("x"):
            deviation = float(np.std(_pair(folder, column.column)[0]))
            shares.append(abs((column.drift.wasserstein or 0.0) / deviation / float(theirs[column.column]) - 1.0))
    return max(shares)


def _without_outcome(folder: Path) -> ScoreCounts:
    score, _ = _scores(folder, "current")
    return count_scores(score, np.full(len(score), np.nan))


def _scores(folder: Path, name: str) -> Pair:
    table = pq.read_table(folder / f"scores_{name}.parquet")
    return table["score"].to_numpy(), table["outcome"].to_numpy().astype(np.float64)


def _pair(folder: Path, column: str) -> Pair:
    before, now = (pq.read_table(folder / f"{name}.parquet", columns=[column]) for name in ("reference", "current"))
    return before.column(0).drop_null().to_numpy(), now.column(0).drop_null().to_numpy()
