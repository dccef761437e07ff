"""Formulas of linear models and their kin give the original's numbers; those without an answer say why."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVR
from tests.bundle.compiling.conftest import FEATURES

from trueup.bundle.compiling.model import compile_model

pytestmark = pytest.mark.filterwarnings("ignore")  # fits are cut short, and edge rows overflow
CLASSIFIERS = [
    LogisticRegression(max_iter=50, tol=1.0),
    SGDClassifier(loss="log_loss", max_iter=20, tol=None, random_state=0),
    SGDClassifier(loss="modified_huber", max_iter=20, tol=None, random_state=0),
    GaussianNB(),
    DummyClassifier(),
]
REGRESSORS = [
    LinearRegression(),
    Ridge(),
    Lasso(0.01),
    ElasticNet(0.01),
    HuberRegressor(tol=1.0),
    LinearSVR(tol=1.0),
    PoissonRegressor(tol=1.0),
    GammaRegressor(tol=1.0),
    TweedieRegressor(power=1.5, tol=1.0),
    DummyRegressor(strategy="median"),
]


def behind_steps(model: Any) -> Any:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = make_column_transformer(
        (numbers, [f"number_{place}" for place in range(6)]), (hot, ["colour", "size", "rare"])
    )
    return make_pipeline(steps, model)


def assert_same(compared: Any) -> None:
    assert compared.largest_difference <= 1e-12
    assert compared.same_refusals
    assert compared.same_bits_one_by_one


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=str)
def test_a_classifiers_formula_gives_its_probabilities(
    model: Any, task: str, training: Any, outcome: Any, compare: Any
) -> None:
    assert_same(compare(behind_steps(model).fit(training.frame, outcome(task)), task=task))


@pytest.mark.parametrize("model", REGRESSORS, ids=str)
def test_a_regressors_formula_gives_its_number(model: Any, training: Any, outcome: Any, compare: Any) -> None:
    assert_same(compare(behind_steps(model).fit(training.frame, outcome("regression")), task="regression"))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (RidgeClassifier(), "RidgeClassifier gives no probabilities"),
        (SGDClassifier(max_iter=5, tol=None), "it gives no probabilities with the loss hinge"),
        (DummyClassifier(strategy="stratified"), "it answers at random"),
    ],
    ids=str,
)
def test_a_model_without_probabilities_says_why(model: Any, reason: str, training: Any, outcome: Any) -> None:
    fitted = behind_steps(model).fit(training.frame, outcome("binary"))

    (slow,) = compile_model(fitted, FEATURES, task="binary", n_classes=2).slow_parts

    assert slow.reason == reason
    assert slow.part.endswith(f"({type(model).__name__})")
