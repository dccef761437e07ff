"""A compiled ensemble answers what its original answers, for every row of the schema."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from tests.bundle.compiling.tree_models import FITTED_ROWS, answers, cases, edge_rows, opened, outcomes

from trueup.bundle.compiling.parts import NotCompiled
from trueup.bundle.compiling.trees import compile_trees

TOLERANCE = 1e-12
RANDOM_ROWS = 10_000

with_categories = [
    HistGradientBoostingClassifier(max_iter=8),
    HistGradientBoostingRegressor(max_iter=8, loss="absolute_error"),
    HistGradientBoostingRegressor(max_iter=8, loss="poisson"),
    LGBMClassifier(n_estimators=8, verbosity=-1, n_jobs=1, min_child_samples=5),
    LGBMRegressor(n_estimators=8, verbosity=-1, n_jobs=1),
]
of_numbers = [
    HistGradientBoostingClassifier(max_iter=8, max_bins=16),
    RandomForestClassifier(6),
    RandomForestRegressor(6, max_depth=5),
    ExtraTreesClassifier(6, min_samples_leaf=3),
    ExtraTreesRegressor(6),
    DecisionTreeClassifier(),
    DecisionTreeRegressor(max_leaf_nodes=9),
]
of_known_numbers = [
    GradientBoostingClassifier(n_estimators=8),
    GradientBoostingClassifier(n_estimators=8, loss="exponential"),
    GradientBoostingRegressor(n_estimators=8, loss="huber"),
    RandomForestRegressor(6, criterion="poisson"),
]
schemas = st.tuples(
    st.integers(1, 8), st.lists(st.integers(1, 70), max_size=3).map(tuple), st.integers(0, 2**31), st.integers(2, 4)
)
rarely = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def assert_same(estimator: Any, made: Any, rows: Any, *, given: Any) -> None:
    """Compare original and compiled: equal numbers, the same decision, and the same bits for one row as for many."""
    expected, stage = answers(estimator, given), opened(estimator, made.columns)
    many = stage.many(rows)
    np.testing.assert_allclose(many, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
    assert np.array_equal(many >= 0.5, expected >= 0.5)
    one = np.array([stage.one(row) for row in rows[:200]])
    assert np.array_equal(one, many[:200], equal_nan=True)


def labels(estimator: Any, rows: Any, classes: int) -> Any:
    return outcomes(rows, classes=classes if hasattr(estimator, "predict_proba") else 5)


@rarely
@given(st.sampled_from(with_categories), schemas)
def test_ten_thousand_random_rows_with_categories_get_the_originals_answers(estimator: Any, schema: Any) -> None:
    numbers, sizes, seed, classes = schema
    made = cases(FITTED_ROWS + RANDOM_ROWS, numbers=numbers, sizes=sizes, seed=seed)
    fitted, rows = made.rows[:FITTED_ROWS], edge_rows(made.rows[FITTED_ROWS:], numbers=numbers)
    if estimator.__class__.__name__.startswith("Hist"):
        estimator.set_params(categorical_features="from_dtype")
    estimator.fit(made.frame(fitted), labels(estimator, fitted, classes))
    assert_same(estimator, made, rows, given=made.frame(rows))


@rarely
@given(st.sampled_from(of_numbers), schemas)
def test_ten_thousand_random_rows_of_numbers_get_the_originals_answers(estimator: Any, schema: Any) -> None:
    numbers, _, seed, classes = schema
    made = cases(FITTED_ROWS + RANDOM_ROWS, numbers=numbers, sizes=(), seed=seed)
    fitted, rows = made.rows[:FITTED_ROWS], edge_rows(made.rows[FITTED_ROWS:], numbers=numbers)
    estimator.fit(fitted, labels(estimator, fitted, classes))
    if not isinstance(estimator, HistGradientBoostingClassifier):
        rows = np.where(np.abs(rows) < 3.5e38, rows, 3.4e38)  # float32 holds them; the refusals are tested apart
    assert_same(estimator, made, rows, given=rows)


@rarely
@given(st.sampled_from(of_known_numbers), schemas)
def test_ten_thousand_random_known_rows_get_the_originals_answers(estimator: Any, schema: Any) -> None:
    numbers, _, seed, classes = schema
    if getattr(estimator, "loss", "") == "exponential":
        classes = 2
    made = cases(FITTED_ROWS + RANDOM_ROWS, numbers=numbers, sizes=(), seed=seed)
    known = np.nan_to_num(made.rows, nan=-2.0)
    fitted, rows = known[:FITTED_ROWS], edge_rows(known[FITTED_ROWS:], numbers=numbers)
    estimator.fit(fitted, labels(estimator, fitted, classes) + 1)
    rows = np.where(np.abs(rows) < 3.5e38, rows, 3.4e38)
    assert_same(estimator, made, rows, given=rows)


@pytest.mark.parametrize("estimator", [RandomForestClassifier(3), GradientBoostingClassifier(n_estimators=3)])
def test_rows_that_the_original_refuses_get_no_number(estimator: Any) -> None:
    made = cases(FITTED_ROWS + 200, numbers=4, sizes=())
    known = np.nan_to_num(made.rows)
    estimator.fit(known[:FITTED_ROWS], outcomes(known[:FITTED_ROWS]))
    rows = edge_rows(made.rows[FITTED_ROWS:], numbers=4)
    expected = answers(estimator, rows)
    assert 20 < np.isnan(expected).sum() < 180
    np.testing.assert_array_equal(opened(estimator, made.columns).many(rows), expected)


def test_another_estimator_stays_as_it_is_with_its_name() -> None:
    kept = compile_trees(AdaBoostClassifier(), ())
    assert kept == NotCompiled("AdaBoostClassifier", "is no ensemble of trees that is written for a C library")


def test_a_subclass_is_not_taken_for_its_parent() -> None:
    class Half(DecisionTreeRegressor):  # type: ignore[misc]  # scikit-learn has no types
        def predict(self, X: Any) -> Any:
            return super().predict(X) / 2

    assert isinstance(compile_trees(Half().fit([[0.0], [1.0]], [1.0, 2.0]), ()), NotCompiled)
