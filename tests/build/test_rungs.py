from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from trueup.build.errors import UnknownRecipe
from trueup.build.recipe import Feature, Recipe
from trueup.build.rungs import Constant, Grouped, estimator_for, weighted_quantile

FRAME = pd.DataFrame({"hour": [1.0, 2.0, 1.0, 2.0, np.nan], "rule": [1.0, 0.0, 1.0, 0.0, 0.0]})
FEATURES = (Feature("hour", "number"),)


def test_the_constant_says_the_weighted_shares() -> None:
    model = Constant("binary").fit(FRAME[:4], np.array([0, 1, 1, 1.0]), np.array([3.0, 1.0, 1.0, 1.0]))
    assert model.predict_proba(FRAME[:1]).tolist() == [[0.5, 0.5]]


def test_the_constant_of_a_regression_is_the_mean_or_the_quantile() -> None:
    outcome = np.array([1.0, 2.0, 3.0, 4.0, 10.0])
    assert Constant("regression").fit(FRAME, outcome).predict(FRAME).tolist() == [4.0] * 5
    assert Constant("regression", 0.75).fit(FRAME, outcome).predict(FRAME)[0] == 4.0


@pytest.mark.parametrize(("quantile", "value"), [(0.0, 1.0), (0.25, 1.0), (0.26, 2.0), (0.5, 2.0), (1.0, 4.0)])
def test_a_quantile_is_the_smallest_value_that_reaches_it(quantile: float, value: float) -> None:
    assert weighted_quantile(np.array([4.0, 1.0, 3.0, 2.0]), np.ones(4), quantile) == value


def test_a_weighted_quantile_counts_weights_as_rows() -> None:
    assert weighted_quantile(np.array([1.0, 2.0]), np.array([1.0, 3.0]), 0.3) == 2.0


def test_the_last_value_is_that_of_the_same_group() -> None:
    model = estimator_for(Recipe("last_value", "regression", FEATURES, params=(("by", ["hour"]),)))
    model.fit(FRAME, np.array([10.0, 20.0, 11.0, 21.0, 5.0]))
    asked = pd.DataFrame({"hour": [2.0, 1.0, np.nan, 3.0]})
    # hour 3 was never seen: the mean of 10, 20, 11, 21, 5
    assert model.predict(asked).tolist() == [21.0, 11.0, 5.0, 13.4]


def test_the_rule_says_how_often_it_was_right() -> None:
    model = Grouped("binary", ("rule",), last=False).fit(FRAME, np.array([1.0, 0.0, 0.0, 1.0, 0.0]))
    # acts on rows 0 and 2: 1 of 2 positive; else 1 of 3; each with one case of the average, 2 of 5
    assert model.predict_proba(FRAME)[:2, 1] == pytest.approx([(1 + 0.4) / 3, (1 + 0.4) / 4])


def test_asymmetric_costs_ask_boosting_and_linear_models_for_a_quantile() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=1500)})
    outcome = 2 * frame["x"].to_numpy() + random.exponential(3.0, 1500)
    few = {"gradient_boosting": (("max_iter", 20),), "lightgbm": (("n_estimators", 40),), "linear": (), "constant": ()}
    for kind, params in few.items():
        recipe = Recipe(kind, "regression", (Feature("x", "number"),), params=(*params, ("quantile", 0.75)))
        predicted = estimator_for(recipe).fit(frame, outcome).predict(frame)
        assert np.mean(outcome <= predicted) == pytest.approx(0.75, abs=0.03)


def test_an_unknown_rung_or_parameter_is_refused_with_the_nearest_spelling() -> None:
    with pytest.raises(UnknownRecipe, match='did you mean "linear"'):
        estimator_for(Recipe("linar", "binary", FEATURES))
    with pytest.raises(UnknownRecipe, match='did you mean "max_iter"'):
        estimator_for(Recipe("gradient_boosting", "binary", FEATURES, params=(("max_iters", 3),)))
    with pytest.raises(UnknownRecipe, match="is for regression"):
        estimator_for(Recipe("last_value", "binary", FEATURES))
