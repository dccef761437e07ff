"""How do linear models and other formulas become instructions? Sums in one order, then the link.

Each function gives the places of the answer: the probability of the second of two classes, one for each of several
classes, or a regressor's number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trueup.bundle.compiling.steps_numeric import numeric
from trueup.bundle.compiling.tracing import Block, Tracer, Uncompilable

Answer = Callable[[Tracer, Any, Block, str], list[int]]


def inputs_of(tracer: Tracer, block: Block, path: str) -> list[int]:
    """Return the places of numbers that must all be finite, as most models ask."""
    columns = numeric(tracer, block, path=path)
    tracer.refuse(columns, missing_allowed=False)
    return tracer.places_of(columns)


def decision(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    """Return the weighted sums of a linear model: one for two classes or a regressor, else one for each class."""
    coefficients = np.asarray(model.coef_, dtype=np.float64)
    if model.__class__.__name__ in _REGRESSORS and coefficients.ndim == 2 and len(coefficients) > 1:
        raise Uncompilable(path, "it answers with several numbers")
    return tracer.linear(inputs_of(tracer, block, path), coefficients, np.ravel(model.intercept_))


def sigmoid(tracer: Tracer, slots: Sequence[int]) -> list[int]:
    """Return ``1 / (1 + exp(-x))`` of each."""
    grown = tracer.with_constant(tracer.apply(tracer.apply(slots, "negative"), "exp"), "add", 1.0)
    return tracer.apply(grown, "reciprocal")


def softmax(tracer: Tracer, slots: Sequence[int]) -> list[int]:
    """Return shares that grow with the exponential of each, as scikit-learn writes it: the largest subtracted first."""
    powers = tracer.apply(tracer.between(slots, "subtract", tracer.reduce(slots, "maximum")), "exp")
    return tracer.between(powers, "divide", tracer.reduce(powers, "add"))


def shares(tracer: Tracer, slots: Sequence[int]) -> list[int]:
    """Return numbers of 0 or more divided by their sum; equal shares where all are 0."""
    total = tracer.reduce(slots, "add")
    nothing = tracer.with_constant(total, "equal", 0.0)
    lifted = tracer.between(slots, "add", nothing)
    by = tracer.between(total, "add", tracer.with_constant(nothing, "multiply", float(len(slots))))
    return tracer.between(lifted, "divide", by)


def complement(tracer: Tracer, slots: Sequence[int]) -> list[int]:
    """Return ``1 - x`` of each."""
    return tracer.with_constant(tracer.apply(slots, "negative"), "add", 1.0)


def _logistic(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    sums = decision(tracer, model, block, path)
    return sigmoid(tracer, sums) if len(model.classes_) <= 2 else softmax(tracer, sums)


def _one_against_rest(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    chances = sigmoid(tracer, decision(tracer, model, block, path))
    return chances if len(model.classes_) <= 2 else shares(tracer, chances)


def _gradient_descent(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    if model.loss == "log_loss":
        return _one_against_rest(tracer, model, block, path)
    if model.loss != "modified_huber":
        raise Uncompilable(path, f"it gives no probabilities with the loss {model.loss}")
    sums = decision(tracer, model, block, path)
    held = tracer.with_constant(tracer.with_constant(sums, "maximum", -1.0), "minimum", 1.0)
    chances = tracer.with_constant(tracer.with_constant(held, "add", 1.0), "divide", 2.0)
    return chances if len(model.classes_) <= 2 else shares(tracer, chances)


def _no_probability(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    raise Uncompilable(path, f"{type(model).__name__} gives no probabilities")


def _generalised(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    sums = decision(tracer, model, block, path)
    link = type(model._base_loss.link).__name__
    if link == "IdentityLink":
        return sums
    if link == "LogLink":
        return tracer.apply(sums, "exp")
    raise Uncompilable(path, f"its link {link} is not compiled")


def _naive_bayes(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    slots = inputs_of(tracer, block, path)
    logs = []
    for prior, mean, variance in zip(model.class_prior_, model.theta_, model.var_, strict=True):
        squares = tracer.apply(tracer.with_constant(slots, "subtract", mean), "square")
        distance = tracer.reduce(tracer.with_constant(squares, "divide", variance), "add")
        fixed = np.log(prior) - 0.5 * np.sum(np.log(2.0 * np.pi * variance))
        logs += tracer.with_constant(tracer.with_constant(distance, "multiply", -0.5), "add", fixed)
    chances = softmax(tracer, logs)
    return chances[1:] if len(chances) == 2 else chances


def _dummy_classifier(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    if model.strategy == "stratified":
        raise Uncompilable(path, "it answers at random")
    if model.n_outputs_ != 1:
        raise Uncompilable(path, "it answers with several numbers")
    chances = np.asarray(model.predict_proba(np.zeros((1, 1)))[0], dtype=np.float64)
    return tracer.constant((chances[1:] if len(chances) == 2 else chances).tolist())


def _dummy_regressor(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    if model.n_outputs_ != 1:
        raise Uncompilable(path, "it answers with several numbers")
    return tracer.constant([float(np.ravel(model.constant_)[0])])


_LINEAR_REGRESSORS = (
    *("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC"),
    *("ElasticNet", "ElasticNetCV", "Lars", "LarsCV", "SGDRegressor", "HuberRegressor", "QuantileRegressor"),
    *("TheilSenRegressor", "BayesianRidge", "ARDRegression", "OrthogonalMatchingPursuit", "LinearSVR"),
    *("OrthogonalMatchingPursuitCV", "PassiveAggressiveRegressor"),
)
_GENERALISED = ("PoissonRegressor", "GammaRegressor", "TweedieRegressor")
_REGRESSORS = {*_LINEAR_REGRESSORS, *_GENERALISED}
CLASSIFIERS: Mapping[str, Answer] = {
    "sklearn.LogisticRegression": _logistic,
    "sklearn.LogisticRegressionCV": _logistic,
    "sklearn.SGDClassifier": _gradient_descent,
    "sklearn.GaussianNB": _naive_bayes,
    "sklearn.DummyClassifier": _dummy_classifier,
    **{f"sklearn.{name}": _no_probability for name in ("RidgeClassifier", "LinearSVC", "Perceptron")},
}
"""Classifiers by library and class."""
REGRESSORS: Mapping[str, Answer] = {
    **{f"sklearn.{name}": decision for name in _LINEAR_REGRESSORS},
    **{f"sklearn.{name}": _generalised for name in _GENERALISED},
    "sklearn.DummyRegressor": _dummy_regressor,
}
"""Regressors by library and class."""
LINEAR_CLASSIFIERS = frozenset(
    f"sklearn.{name}"
    for name in (
        *("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "RidgeClassifier", "RidgeClassifierCV"),
        *("LinearSVC", "Perceptron", "PassiveAggressiveClassifier", "LinearDiscriminantAnalysis"),
    )
)
"""Classifiers whose `decision_function` is the weighted sums."""
