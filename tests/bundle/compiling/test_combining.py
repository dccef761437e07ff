"""Models made of models, and calibrated ones, give the original's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from tests.bundle.compiling.conftest import FEATURES
from tests.bundle.compiling.test_linear import assert_same, behind_steps

from trueup.bundle.compiling.model import compile_model

pytestmark = pytest.mark.filterwarnings("ignore")  # fits are cut short, and edge rows overflow


def linear() -> Any:
    return LogisticRegression(max_iter=30, tol=1.0)


def boosted() -> Any:
    return HistGradientBoostingClassifier(max_iter=5)


CLASSIFIERS: dict[str, Any] = {
    "vote": VotingClassifier([("a", linear()), ("b", boosted())], voting="soft", weights=[1, 3]),
    "sigmoid": CalibratedClassifierCV(linear(), cv=2),
    "isotonic on trees": CalibratedClassifierCV(boosted(), method="isotonic", cv=2),
    "isotonic of a forest": CalibratedClassifierCV(RandomForestClassifier(8), method="isotonic", cv=2, ensemble=False),
    "one against the rest": OneVsRestClassifier(linear()),
    "searched": GridSearchCV(linear(), {"C": [0.1, 1.0]}, cv=2),
    "stacked": StackingClassifier([("a", linear()), ("b", boosted())], final_estimator=linear(), cv=2),
}
REGRESSORS: dict[str, Any] = {
    "vote": VotingRegressor([("a", LinearRegression()), ("b", HistGradientBoostingRegressor(max_iter=5))]),
    "logarithm": TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1),
    "scaled": TransformedTargetRegressor(LinearRegression(), transformer=StandardScaler()),
}


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_of_several_gives_the_originals_probabilities(
    model: Any, task: str, training: Any, outcome: Any, compare: Any
) -> None:
    assert_same(compare(behind_steps(model).fit(training.frame, outcome(task)), task=task))


@pytest.mark.parametrize("model", REGRESSORS.values(), ids=REGRESSORS)
def test_a_regressor_of_several_gives_the_originals_number(
    model: Any, training: Any, outcome: Any, compare: Any
) -> None:
    assert_same(compare(behind_steps(model).fit(training.frame, outcome("regression")), task="regression"))


def own_inverse(values: Any) -> Any:
    return np.square(values)


@pytest.mark.parametrize(
    ("model", "task", "reason"),
    [
        (VotingClassifier([("a", linear())]), "binary", "a hard vote gives no probabilities"),
        (
            TransformedTargetRegressor(LinearRegression(), func=np.sqrt, inverse_func=own_inverse, check_inverse=False),
            "regression",
            "own_inverse is a function of your own",
        ),
    ],
    ids=["hard vote", "own inverse"],
)
def test_what_has_no_formula_says_why(model: Any, task: str, reason: str, training: Any, outcome: Any) -> None:
    fitted = behind_steps(model).fit(training.frame, outcome(task))

    (slow,) = compile_model(fitted, FEATURES, task=task, n_classes=2).slow_parts

    assert slow.reason == reason
