"""Which models does guided training climb through? Loaded in the separate process only.

Every rung is a scikit-learn compatible estimator over the frame of `frames`. Parameters are those of `Recipe.params`;
an unknown one is refused. `quantile` (regression, 0 to 1) asks for that quantile of the outcome instead of its mean: a
cost of 3 for too little and 1 for too much is least at the quantile 3 / (3 + 1).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from trueup.build.errors import UnknownRecipe
from trueup.build.recipe import Recipe
from trueup.kernel.errors import nearest_spelling

if TYPE_CHECKING:
    import pandas as pd

Vector = NDArray[np.float64]
BOOSTING_DEFAULTS = {
    "learning_rate": 0.08,
    "max_iter": 150,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
}
LIGHTGBM_DEFAULTS = {
    "learning_rate": 0.06,
    "n_estimators": 200,
    "num_leaves": 31,
    "min_child_samples": 40,
    "reg_lambda": 1.0,
    "colsample_bytree": 0.8,
}


def estimator_for(recipe: Recipe) -> Any:
    """Return the unfitted estimator of a rung.

    Raises
    ------
    UnknownRecipe
        If there is no such rung, or a parameter it does not have.
    """
    makers: dict[str, tuple[Callable[[Recipe], Any], set[str]]] = {
        "constant": (_constant, {"quantile"}),
        "rule": (_rule, {"column", "quantile"}),
        "last_value": (_last_value, {"by"}),
        "linear": (_linear, {"C", "alpha", "min_frequency", "quantile"}),
        "gradient_boosting": (_gradient_boosting, {*BOOSTING_DEFAULTS, "quantile"}),
        "lightgbm": (_lightgbm, {*LIGHTGBM_DEFAULTS, "quantile"}),
    }
    if recipe.kind not in makers:
        raise UnknownRecipe(
            f'There is no rung "{recipe.kind}"{nearest_spelling(recipe.kind, makers)}; '
            f"guided training has {', '.join(makers)}",
            kind=recipe.kind,
        )
    maker, allowed = makers[recipe.kind]
    for name, _ in recipe.params:
        if name not in allowed | {"calibration"}:
            raise UnknownRecipe(
                f'The rung "{recipe.kind}" has no parameter "{name}"{nearest_spelling(name, allowed)}; '
                f"it has {', '.join(sorted(allowed))}",
                kind=recipe.kind,
                parameter=name,
            )
    return maker(recipe)


class Constant:
    """Says the same of every case: what the training rows were on average."""

    def __init__(self, task: str, quantile: float | None = None) -> None:
        self.task = task
        self.quantile = quantile

    def fit(self, X: pd.DataFrame, y: Vector, sample_weight: Vector | None = None) -> Self:
        """Learn the shares of the classes, the mean, or the quantile."""
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        if self.task == "regression":
            self.value_ = (
                weighted_quantile(y, weight, self.quantile) if self.quantile else np.average(y, weights=weight)
            )
        else:
            self.classes_ = np.unique(y)
            self.shares_ = np.array([weight[y == one].sum() for one in self.classes_]) / weight.sum()
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """Return the same number for every row."""
        return np.full(len(X), self.value_)

    def predict_proba(self, X: pd.DataFrame) -> Vector:
        """Return the same shares for every row."""
        return np.tile(self.shares_, (len(X), 1))


class Grouped:
    """Says of a case what earlier cases with the same values in some columns were: a rule, or the last value."""

    def __init__(self, task: str, columns: tuple[str, ...], *, last: bool, quantile: float | None = None) -> None:
        self.task = task
        self.columns = columns
        self.last = last
        self.quantile = quantile

    def fit(self, X: pd.DataFrame, y: Vector, sample_weight: Vector | None = None) -> Self:
        """Learn one answer for each combination of values, and one for combinations never seen."""
        self.other_ = Constant(self.task, self.quantile).fit(X, y, sample_weight)
        if self.task != "regression":
            self.classes_ = self.other_.classes_
        groups: dict[Any, list[int]] = {}
        for row, key in enumerate(_keys(X, self.columns)):
            groups.setdefault(key, []).append(row)
        self.answers_ = {
            key: self._answer(y, sample_weight, np.array(rows, dtype=np.int64)) for key, rows in groups.items()
        }
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """Return the number of each row's group."""
        return np.array([self.answers_.get(key, self.other_.value_) for key in _keys(X, self.columns)], dtype=float)

    def predict_proba(self, X: pd.DataFrame) -> Vector:
        """Return the shares of the classes in each row's group."""
        return np.array([self.answers_.get(key, self.other_.shares_) for key in _keys(X, self.columns)], dtype=float)

    def _answer(self, y: Vector, weight: Vector | None, rows: NDArray[np.int64]) -> Any:
        if self.task == "regression":
            return y[rows[-1]] if self.last else np.average(y[rows], weights=None if weight is None else weight[rows])
        own = np.ones(len(rows)) if weight is None else weight[rows]
        # one case of the average class keeps a small group's answer off exactly 0 and 1
        counts = np.array([own[y[rows] == one].sum() for one in self.classes_]) + self.other_.shares_
        return counts / counts.sum()


class ShiftedToQuantile:
    """A model of the mean, moved by the quantile of its own training residuals."""

    def __init__(self, estimator: Any, quantile: float) -> None:
        self.estimator = estimator
        self.quantile = quantile

    def fit(self, X: pd.DataFrame, y: Vector, **fit_params: Any) -> Self:
        """Fit the mean, then learn the shift."""
        self.estimator.fit(X, y, **fit_params)
        residuals = y - self.estimator.predict(X)
        self.shift_ = weighted_quantile(residuals, np.ones(len(y)), self.quantile)
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """Return the mean of each row plus the shift."""
        return np.asarray(self.estimator.predict(X), dtype=float) + self.shift_


def weighted_quantile(values: Vector, weight: Vector, quantile: float) -> float:
    """Return the smallest value whose cumulated weight reaches `quantile` of the whole."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][min(int(np.searchsorted(reached, quantile - 1e-12)), len(values) - 1)])


def category_codes(X: pd.DataFrame) -> NDArray[np.int32]:
    """Return the codes of category columns, -1 for missing, shape (rows, columns)."""
    return np.column_stack([X[name].cat.codes.to_numpy().astype(np.int32) for name in X.columns])


def plain_names(X: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with columns f0, f1, ...: LightGBM refuses names with characters of JSON."""
    return X.set_axis([f"f{index}" for index in range(X.shape[1])], axis="columns")


def _keys(X: pd.DataFrame, columns: tuple[str, ...]) -> list[Any]:
    if not columns:
        return [()] * len(X)
    # missing is a value of its own; NaN would not equal itself
    values = [[None if value != value else value for value in X[name].tolist()] for name in columns]  # noqa: PLR0124
    return list(zip(*values, strict=True))


def _constant(recipe: Recipe) -> Constant:
    return Constant(recipe.task, recipe.param("quantile"))


def _rule(recipe: Recipe) -> Grouped:
    return Grouped(recipe.task, (recipe.param("column", "baseline"),), last=False, quantile=recipe.param("quantile"))


def _last_value(recipe: Recipe) -> Grouped:
    if recipe.task != "regression":
        raise UnknownRecipe('The rung "last_value" is for regression', kind="last_value", task=recipe.task)
    return Grouped(recipe.task, tuple(recipe.param("by", ())), last=True)


def _linear(recipe: Recipe) -> Any:
    from sklearn.compose import ColumnTransformer, make_column_selector
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    numbers = Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )
    categories = Pipeline(
        [
            ("codes", FunctionTransformer(category_codes)),
            (
                "one_hot",
                OneHotEncoder(min_frequency=recipe.param("min_frequency", 20), handle_unknown="infrequent_if_exist"),
            ),
        ]
    )
    prepare = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("categories", categories, make_column_selector(dtype_include="category")),
        ]
    )
    if recipe.task == "regression":
        model: Any = Pipeline([("prepare", prepare), ("model", Ridge(alpha=recipe.param("alpha", 1.0)))])
        quantile = recipe.param("quantile")
        return ShiftedToQuantile(model, quantile) if quantile else model
    return Pipeline([("prepare", prepare), ("model", LogisticRegression(C=recipe.param("C", 1.0), max_iter=300))])


def _gradient_boosting(recipe: Recipe) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    params = {**BOOSTING_DEFAULTS, **dict(recipe.params)}
    params.pop("calibration", None)
    quantile = params.pop("quantile", None)
    params |= {"categorical_features": "from_dtype", "early_stopping": False, "random_state": recipe.seed}
    if recipe.task != "regression":
        return HistGradientBoostingClassifier(**params)
    loss = {"loss": "quantile", "quantile": quantile} if quantile else {}
    return HistGradientBoostingRegressor(**params, **loss)


def _lightgbm(recipe: Recipe) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    params = {**LIGHTGBM_DEFAULTS, **dict(recipe.params)}
    params.pop("calibration", None)
    quantile = params.pop("quantile", None)
    params |= {
        "random_state": recipe.seed,
        "n_jobs": int(os.environ.get("OMP_NUM_THREADS", "1")),
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    if recipe.task != "regression":
        model: Any = LGBMClassifier(**params)
    else:
        model = LGBMRegressor(**params, **({"objective": "quantile", "alpha": quantile} if quantile else {}))
    return Pipeline([("names", FunctionTransformer(plain_names)), ("model", model)])
