"""Estimators and rows for the tests of compiled trees: 30 numbers and 5 categories, with every edge value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.compiling.parts import Column, Compiled
from trueup.bundle.compiling.trees import compile_trees
from trueup.bundle.predictors.opening import OPENERS
from trueup.bundle.predictors.predictor import Stage

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.float64]
SIZES = (4, 8, 12, 20, 40)
EDGES = (0.0, -0.0, 1 - 2**-53, 1.0, -1.0, 0.5, 5e-324, -5e-324, 1e-40, 1e-36, -1e-36, 1e-35, 1e300, -1e300, 3e38)
FITTED_ROWS = 600


@dataclass(frozen=True)
class Cases:
    """Rows as a decoder gives them, and the columns they have."""

    rows: Numbers
    columns: tuple[Column, ...]

    def frame(self, rows: Numbers | None = None) -> pd.DataFrame:
        """Return rows as the frame that `bundle.frames` makes of them."""
        import pandas as pd

        rows = self.rows if rows is None else rows
        return pd.DataFrame(
            {
                column.name: rows[:, place] if column.categories is None else _categories(rows[:, place], column)
                for place, column in enumerate(self.columns)
            }
        )


def cases(count: int, *, numbers: int = 30, sizes: tuple[int, ...] = SIZES, seed: int = 0) -> Cases:
    """Return rows of normal numbers, then categories as positions, 3 % of all missing."""
    rng = np.random.default_rng(seed)
    rows = np.column_stack(
        [rng.normal(size=(count, numbers)), *(rng.integers(0, size, count).astype(float) for size in sizes)]
    )
    rows[rng.random(rows.shape) < 0.03] = np.nan
    texts = [tuple(sorted(f"k{code}" for code in range(size))) for size in sizes]
    columns = [Column(f"n{place}") for place in range(numbers)]
    return Cases(rows, (*columns, *(Column(f"c{place}", known) for place, known in enumerate(texts))))


def outcomes(rows: Numbers, *, classes: int = 2, seed: int = 1) -> NDArray[np.int64]:
    """Return an outcome that depends on a number, a product and the last column."""
    rng = np.random.default_rng(seed)
    known = np.nan_to_num(rows)
    first, second, third = (known[:, place % known.shape[1]] for place in range(3))
    score = first + second * third + (known[:, -1] % 3) + rng.normal(size=len(rows))
    return np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))


def edge_rows(rows: Numbers, *, numbers: int, seed: int = 2) -> Numbers:
    """Return the rows with one number in five replaced by an edge value."""
    rng = np.random.default_rng(seed)
    changed = rows.copy()
    hit = rng.random((len(rows), numbers)) < 0.2
    changed[:, :numbers][hit] = rng.choice(EDGES, size=int(hit.sum()))
    return changed


def opened(estimator: object, columns: tuple[Column, ...]) -> Stage:
    """Return a fitted estimator compiled and opened."""
    compiled = compile_trees(estimator, columns)
    assert isinstance(compiled, Compiled), compiled
    (stage,) = compiled.stages
    return OPENERS[stage["kind"]](stage, compiled.files)


def answers(estimator: Any, given: Any) -> Numbers:
    """Return what the original answers, in the shape of a compiled one; NaN for rows that it refuses."""
    ask = estimator.predict_proba if hasattr(estimator, "predict_proba") else estimator.predict
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.asarray(ask(given), dtype=np.float64)
    except ValueError:
        if len(given) == 1:
            classes = len(getattr(estimator, "classes_", ()))
            return np.full((1, classes if classes > 2 else 1), np.nan)
        return np.concatenate([answers(estimator, given[place : place + 1]) for place in range(len(given))])
    found = found.reshape(len(given), -1)
    return found[:, 1:] if found.shape[1] == 2 else found


def _categories(positions: Numbers, column: Column) -> pd.Categorical[Any]:
    import pandas as pd

    codes = np.where(np.isnan(positions), -1, positions).astype(np.int64)
    dtype = pd.CategoricalDtype(pd.Index(column.categories or (), dtype=object))
    return pd.Categorical.from_codes(codes, dtype=dtype)
