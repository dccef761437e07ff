"""A LightGBM model answers by its own text: any boosting, its best iteration, its own codes of categories."""

from __future__ import annotations

import math
from typing import Any

import lightgbm
import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from tests.bundle.compiling.tree_models import FITTED_ROWS, answers, cases, edge_rows, opened, outcomes

from trueup.bundle.compiling.parts import Column, NotCompiled
from trueup.bundle.compiling.trees import compile_trees

QUIET: dict[str, Any] = {"n_estimators": 8, "verbosity": -1, "n_jobs": 1, "min_child_samples": 5}


@pytest.mark.parametrize(
    "settings",
    [
        {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.5},
        {"boosting_type": "dart"},
        {"objective": "multiclassova"},
        {"extra_trees": True},
        {"zero_as_missing": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("classes", [2, 3])
def test_every_boosting_and_objective_gives_the_originals_bits(settings: dict[str, Any], classes: int) -> None:
    if settings.get("objective") == "multiclassova" and classes == 2:
        settings = {"objective": "cross_entropy"}
    made = cases(FITTED_ROWS)
    model = LGBMClassifier(**QUIET, **settings).fit(made.frame(), outcomes(made.rows, classes=classes))
    rows = edge_rows(made.rows, numbers=30)
    np.testing.assert_array_equal(opened(model, made.columns).many(rows), answers(model, made.frame(rows)))


@pytest.mark.parametrize("settings", [{"linear_tree": True}, {"objective": "tweedie"}, {"objective": "quantile"}])
def test_every_regression_gives_the_originals_bits(settings: dict[str, Any]) -> None:
    made = cases(FITTED_ROWS)
    model = LGBMRegressor(**QUIET, **settings).fit(made.frame(), outcomes(made.rows, classes=5))
    np.testing.assert_array_equal(opened(model, made.columns).many(made.rows), answers(model, made.frame()))


def test_only_trees_up_to_the_best_iteration_answer() -> None:
    made = cases(FITTED_ROWS, numbers=4, sizes=())
    data = lightgbm.Dataset(made.rows, outcomes(made.rows), params={"verbosity": -1})
    booster = lightgbm.train({"objective": "binary", "verbosity": -1, "num_threads": 1}, data, 8)
    all_eight = opened(booster, made.columns).many(made.rows)[:, 0]
    booster.best_iteration = 3
    first_three = opened(booster, made.columns).many(made.rows)[:, 0]
    np.testing.assert_array_equal(first_three, booster.predict(made.rows))
    np.testing.assert_array_equal(all_eight, booster.predict(made.rows, num_iteration=8))
    assert np.abs(first_three - all_eight).max() > 0.01


def test_categories_in_another_order_reach_the_codes_it_learnt() -> None:
    made = cases(FITTED_ROWS, numbers=2, sizes=(4,))
    model = LGBMClassifier(**QUIET).fit(made.frame(), outcomes(made.rows))
    reordered = (*made.columns[:2], Column("c0", ("new", "k3", "k1", "k0", "k2")))
    rows = made.rows.copy()
    rows[:, 2] = [math.nan if math.isnan(code) else [3.0, 2.0, 4.0, 1.0][int(code)] for code in made.rows[:, 2]]
    expected = answers(model, made.frame())
    stage = opened(model, reordered)
    np.testing.assert_array_equal(stage.many(rows), expected)
    np.testing.assert_array_equal([stage.one(row) for row in rows[:50]], expected[:50])


def test_what_would_answer_otherwise_stays_as_it_is() -> None:
    made = cases(FITTED_ROWS, numbers=2, sizes=(4,))
    outcome = outcomes(made.rows)
    model = LGBMClassifier(**QUIET).fit(made.frame(), outcome)
    numbers = tuple(Column(column.name) for column in made.columns)
    assert compile_trees(model, numbers) == NotCompiled(
        "LGBMClassifier", "0 columns hold categories, but it was fitted with 1"
    )
    assert isinstance(compile_trees(model, (*made.columns, Column("more"))), NotCompiled)
    hasty = LGBMClassifier(**QUIET, pred_early_stop=True).fit(made.frame(), outcome)
    assert isinstance(compile_trees(hasty, made.columns), NotCompiled)
    own = LGBMClassifier(**QUIET, objective=lambda y, score: (score - y, np.ones(len(y))))
    assert isinstance(compile_trees(own.fit(made.frame(), outcome), made.columns), NotCompiled)
