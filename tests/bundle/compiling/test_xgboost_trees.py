"""An XGBoost model answers through its own library: the same float32, its best iteration, its own codes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.bundle.compiling.tree_models import FITTED_ROWS, answers, cases, edge_rows, opened, outcomes

from trueup.bundle.compiling.parts import Column, NotCompiled
from trueup.bundle.compiling.trees import compile_trees

xgboost = pytest.importorskip("xgboost")
QUIET: dict[str, Any] = {"n_estimators": 8, "n_jobs": 1, "max_depth": 4}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("XGBClassifier", {}),
        ("XGBClassifier", {"booster": "dart", "rate_drop": 0.3}),
        ("XGBClassifier", {"base_score": 0.2, "tree_method": "exact"}),
        ("XGBRFClassifier", {}),
        ("XGBRegressor", {}),
        ("XGBRegressor", {"objective": "count:poisson"}),
        ("XGBRegressor", {"missing": 0.5}),
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_every_kind_gives_the_originals_bits(kind: str, settings: dict[str, Any], classes: int) -> None:
    if settings.get("base_score") and classes == 3:
        settings = {"tree_method": "approx"}
    made = cases(FITTED_ROWS, numbers=8, sizes=())
    model = getattr(xgboost, kind)(**QUIET, **settings).fit(made.rows, outcomes(made.rows, classes=classes))
    rows = edge_rows(made.rows, numbers=8)
    stage = opened(model, made.columns)
    with np.errstate(over="ignore"):
        expected = answers(model, rows)
    np.testing.assert_array_equal(stage.many(rows), expected)
    np.testing.assert_array_equal([stage.one(row) for row in rows], expected)


def test_only_rounds_up_to_the_best_answer() -> None:
    made = cases(2 * FITTED_ROWS, numbers=6, sizes=())
    outcome, half = outcomes(made.rows), FITTED_ROWS
    model = xgboost.XGBClassifier(**{**QUIET, "n_estimators": 60}, early_stopping_rounds=3)
    model.fit(made.rows[:half], outcome[:half], eval_set=[(made.rows[half:], outcome[half:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    stage = opened(model, made.columns)
    np.testing.assert_array_equal(stage.many(made.rows), answers(model, made.rows))


def test_categories_of_a_frame_reach_the_codes_it_learnt() -> None:
    made = cases(FITTED_ROWS, numbers=2, sizes=(4, 12))
    model = xgboost.XGBClassifier(**QUIET, enable_categorical=True, tree_method="hist")
    model.fit(made.frame(), outcomes(made.rows))
    expected = answers(model, made.frame())
    np.testing.assert_array_equal(opened(model, made.columns).many(made.rows), expected)
    reordered = (*made.columns[:2], Column("c0", ("k3", "k1", "k0", "k2")), made.columns[3])
    rows = made.rows.copy()
    rows[:, 2] = [math.nan if math.isnan(code) else [2.0, 1.0, 3.0, 0.0][int(code)] for code in made.rows[:, 2]]
    np.testing.assert_array_equal(opened(model, reordered).many(rows), expected)
    more = (*made.columns[:2], Column("c0", ("k0", "k1", "k2", "k3", "new")), made.columns[3])
    assert compile_trees(model, more) == NotCompiled(
        "XGBClassifier", '"c0" has 1 categories it was not fitted on, which it refuses'
    )
    numbers = tuple(Column(column.name) for column in made.columns)
    assert isinstance(compile_trees(model, numbers), NotCompiled)


def test_a_booster_without_its_estimator_is_compiled() -> None:
    made = cases(FITTED_ROWS, numbers=4, sizes=())
    data = xgboost.DMatrix(made.rows, outcomes(made.rows))
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 5)
    np.testing.assert_array_equal(opened(booster, made.columns).many(made.rows)[:, 0], booster.predict(data))


def test_what_would_answer_otherwise_stays_as_it_is() -> None:
    made = cases(FITTED_ROWS, numbers=3, sizes=())
    outcome = outcomes(made.rows, classes=3)
    linear = xgboost.XGBRegressor(booster="gblinear", n_estimators=2).fit(np.nan_to_num(made.rows), outcome)
    assert compile_trees(linear, made.columns) == NotCompiled("XGBRegressor", "it has no trees (gblinear)")
    classes = xgboost.XGBClassifier(**QUIET, objective="multi:softmax").fit(made.rows, outcome)
    assert isinstance(compile_trees(classes, made.columns), NotCompiled)
    assert isinstance(compile_trees(classes, made.columns[:2]), NotCompiled)
