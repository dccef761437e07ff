"""What does a profile of every column cost, beside libraries that describe columns?

Ours keeps counts from which any quantile, histogram and drift follows, and which can be added up over turns; the others
return a handful of figures.
"""

from __future__ import annotations

import numpy as np

from benchmarks.measuring import Figure, apart, best_cost
from trueup.measure.profiles import profile_numbers

ROWS, COLUMNS = 1_000_000, 20
_REPEATS = 2


def figures() -> list[Figure]:
    """Return CPU seconds and memory of profiling a million rows of twenty numbers."""
    ours, pandas, scipy = apart(ours_cost), apart(pandas_cost), apart(scipy_cost)
    note = f"{ROWS:,} x {COLUMNS} numbers; ours can be added up over time"
    return [
        Figure("profiles.beside_pandas", ours, "CPU s", "pandas.describe", pandas, note),
        Figure(
            "profiles.beside_scipy",
            ours,
            "CPU s",
            "scipy.stats.describe",
            scipy,
            "scipy gives moments only, no quantiles",
        ),
    ]


def ours_cost() -> float:
    """Return CPU seconds of ours."""
    columns = _columns()
    return best_cost(lambda: [profile_numbers(c) for c in columns], repeats=_REPEATS).cpu_seconds


def pandas_cost() -> float:
    """Return CPU seconds of pandas: count, mean, deviation, extremes and three quantiles."""
    import pandas as pd

    frame = pd.DataFrame({f"x{i}": c for i, c in enumerate(_columns())})
    return best_cost(frame.describe, repeats=_REPEATS).cpu_seconds


def scipy_cost() -> float:
    """Return CPU seconds of SciPy: count, extremes and four moments."""
    from scipy import stats

    columns = _columns()
    return best_cost(lambda: [stats.describe(c) for c in columns], repeats=_REPEATS).cpu_seconds


def _columns() -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    rng = np.random.default_rng(9)
    return [rng.normal(10.0, 3.0, ROWS) for _ in range(COLUMNS)]
