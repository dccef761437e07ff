"""Preprocessing as people write it answers as its original does, on ordinary rows and on every edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)
from tests.bundle.compiling.conftest import FEATURES

from trueup.bundle.compiling.model import compile_model

NUMBERS = [f"number_{place}" for place in range(6)]
CATEGORIES = ["colour", "size", "rare"]
UNKNOWN = {"handle_unknown": "use_encoded_value", "unknown_value": -1}


def prepared(numbers: Any, categories: Any, **settings: Any) -> ColumnTransformer:
    return ColumnTransformer([("numbers", numbers, NUMBERS), ("categories", categories, CATEGORIES)], **settings)


def filled(*steps: Any) -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="median"), *steps)


def one_hot(**settings: Any) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", **settings})


def linear() -> LogisticRegression:
    return LogisticRegression(C=0.1, max_iter=200, tol=0.05)


def boosted(**settings: Any) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(max_iter=10, **settings)


def columns_of_numbers(frame: Any) -> list[str]:
    return [name for name in frame.columns if name.startswith("number")]


BEFORE_SUMS: dict[str, Any] = {
    "standard, one-hot": prepared(filled(StandardScaler()), one_hot()),
    "dense one-hot": prepared(filled(StandardScaler()), one_hot(sparse_output=False)),
    "sparse at any density": prepared(filled(StandardScaler()), one_hot(), sparse_threshold=1.0),
    "rare categories together": prepared(filled(StandardScaler()), one_hot(min_frequency=60)),
    "at most four": prepared(filled(StandardScaler()), one_hot(max_categories=4, handle_unknown="infrequent_if_exist")),
    "first dropped": prepared(filled(StandardScaler()), one_hot(drop="first")),
    "only of two dropped": prepared(filled(StandardScaler()), one_hot(drop="if_binary")),
    "unknown raises": prepared(filled(StandardScaler()), one_hot(handle_unknown="error")),
    "min and max": prepared(filled(MinMaxScaler(clip=True)), OrdinalEncoder(**UNKNOWN, encoded_missing_value=-2)),
    "max abs": prepared(filled(MaxAbsScaler()), OrdinalEncoder(**UNKNOWN, encoded_missing_value=-2)),
    "robust": prepared(filled(RobustScaler()), one_hot()),
    "mean, indicators": prepared(SimpleImputer(add_indicator=True), one_hot()),
    "constant": prepared(SimpleImputer(strategy="constant", fill_value=-7.5), one_hot()),
    "most frequent of each": prepared(
        SimpleImputer(strategy="most_frequent"),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
    ),
    "a text for missing": prepared(
        filled(),
        make_pipeline(SimpleImputer(strategy="constant", fill_value="none", add_indicator=False), one_hot()),
    ),
    "yeo-johnson": prepared(filled(PowerTransformer()), one_hot()),
    "quantiles": prepared(filled(QuantileTransformer(n_quantiles=50)), one_hot()),
    "normal quantiles": prepared(filled(QuantileTransformer(n_quantiles=50, output_distribution="normal")), one_hot()),
    "bins one-hot": prepared(filled(KBinsDiscretizer(5, quantile_method="averaged_inverted_cdf")), one_hot()),
    "bins as numbers": prepared(filled(KBinsDiscretizer(5, encode="ordinal", strategy="uniform")), one_hot()),
    "polynomials": prepared(filled(StandardScaler(), PolynomialFeatures(2)), one_hot()),
    "products only": prepared(
        filled(StandardScaler(), PolynomialFeatures(3, interaction_only=True, include_bias=False)), one_hot()
    ),
    "normalized": prepared(filled(Normalizer()), one_hot()),
    "normalized l1": prepared(filled(Normalizer("l1")), one_hot()),
    "normalized max": prepared(filled(Normalizer("max")), one_hot()),
    "binary": prepared(filled(Binarizer(threshold=0.1)), one_hot()),
    "components": make_pipeline(prepared(filled(StandardScaler()), one_hot(sparse_output=False)), PCA(5, whiten=True)),
    "singular values": make_pipeline(
        prepared(filled(StandardScaler()), one_hot()), TruncatedSVD(5, algorithm="arpack", random_state=0)
    ),
    "target means": prepared(filled(StandardScaler()), TargetEncoder(random_state=0)),
    "the best ten": make_pipeline(prepared(filled(StandardScaler()), one_hot()), SelectKBest(k=10)),
    "what varies": make_pipeline(prepared(filled(), one_hot()), VarianceThreshold(0.01)),
    "what a model chose": make_pipeline(prepared(filled(StandardScaler()), one_hot()), SelectFromModel(linear())),
    "logarithms": prepared(filled(FunctionTransformer(np.abs), FunctionTransformer(np.log1p)), one_hot()),
    "side by side": make_pipeline(
        prepared(filled(StandardScaler()), one_hot(sparse_output=False)),
        FeatureUnion([("all", "passthrough"), ("few", PCA(2)), ("none", "drop")], transformer_weights={"few": 0.25}),
    ),
    "missing marked": make_pipeline(
        ColumnTransformer([("were", MissingIndicator(features="all"), NUMBERS), ("are", filled(), NUMBERS)])
    ),
    "remainder": make_column_transformer((one_hot(), CATEGORIES), remainder=filled(StandardScaler())),
    "by kind": make_column_transformer(
        (one_hot(), make_column_selector(dtype_include="category")),
        (filled(RobustScaler()), make_column_selector(dtype_include="number")),
    ),
    "by place, mask, slice and function": make_column_transformer(
        (filled(StandardScaler()), [0, -8]),
        (filled(MinMaxScaler()), slice(2, 4)),
        (filled(), [False] * 4 + [True] * 2 + [False] * 3),
        (filled(MaxAbsScaler()), columns_of_numbers),
        (one_hot(), ["colour"]),
    ),
    "frames between": prepared(filled(StandardScaler()), one_hot(sparse_output=False)).set_output(transform="pandas"),
    "a transformer of columns inside": ColumnTransformer(
        [
            ("some", prepared(filled(StandardScaler()), one_hot()), [*NUMBERS, *CATEGORIES]),
            ("again", filled(MinMaxScaler()), NUMBERS[:2]),
        ]
    ),
}
BEFORE_TREES: dict[str, Any] = {
    "scaled, missing kept": prepared(StandardScaler(), OrdinalEncoder(**UNKNOWN)),
    "robust, one-hot": prepared(RobustScaler(), one_hot(sparse_output=False)),
    "min and max, missing kept": prepared(MinMaxScaler(), OrdinalEncoder(**UNKNOWN)),
    "target means": prepared("passthrough", TargetEncoder(random_state=0)),
    "quantiles": prepared(QuantileTransformer(n_quantiles=50), OrdinalEncoder(**UNKNOWN)),
    "imputed, marked": prepared(SimpleImputer(add_indicator=True), OrdinalEncoder(**UNKNOWN)),
    "dropped remainder": ColumnTransformer([("few", StandardScaler(), NUMBERS[:3])]),
    "passed remainder": ColumnTransformer([("few", one_hot(sparse_output=False), CATEGORIES)], remainder="passthrough"),
}


def assert_same(compared: Any) -> None:
    assert compared.largest_difference <= 1e-12
    assert compared.same_refusals
    assert compared.same_bits_one_by_one
    assert np.array_equal(compared.given >= 0.5, compared.expected >= 0.5)
    assert len(np.unique(compared.expected)) > 3, "the model answers the same for all rows: nothing was compared"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", BEFORE_SUMS.values(), ids=BEFORE_SUMS)
def test_steps_before_a_linear_model_answer_as_their_original(
    steps: Any, training: Any, outcome: Any, compare: Any
) -> None:
    assert_same(compare(make_pipeline(steps, linear()).fit(training.frame, outcome("binary"))))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", BEFORE_TREES.values(), ids=BEFORE_TREES)
def test_trees_behind_steps_see_the_very_same_bits(steps: Any, training: Any, outcome: Any, compare: Any) -> None:
    compared = compare(make_pipeline(steps, boosted()).fit(training.frame, outcome("binary")))

    assert_same(compared)
    assert compared.largest_difference == 0.0


def test_categories_behind_steps_reach_boosting_as_such(training: Any, outcome: Any, compare: Any) -> None:
    steps = prepared(filled(StandardScaler()), OrdinalEncoder(**UNKNOWN))
    model = make_pipeline(steps, boosted(categorical_features=[6, 7, 8]))
    compared = compare(model.fit(training.frame, outcome("binary")))

    assert_same(compared)
    assert compared.largest_difference == 0.0


def test_a_frame_between_steps_keeps_names_and_categories(training: Any, outcome: Any, compare: Any) -> None:
    steps = ColumnTransformer(
        [("scaled", StandardScaler(), NUMBERS), ("as they are", "passthrough", CATEGORIES)],
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    compared = compare(
        make_pipeline(steps, boosted(categorical_features="from_dtype")).fit(training.frame, outcome("binary"))
    )

    assert_same(compared)
    assert compared.largest_difference == 0.0


def test_a_forest_behind_steps_answers_as_its_original(training: Any, outcome: Any, compare: Any) -> None:
    steps = prepared(filled(StandardScaler()), one_hot())
    model = make_pipeline(steps, RandomForestClassifier(20, random_state=0))
    assert_same(compare(model.fit(training.frame, outcome("binary"))))


def ratio(frame: Any) -> Any:
    return frame


class Doubled(StandardScaler):  # type: ignore[misc]  # scikit-learn has no types
    def transform(self, X: Any, copy: Any = None) -> Any:
        return 2 * super().transform(X)


KEPT: dict[str, tuple[Any, str, str]] = {
    "own function": (
        prepared(filled(FunctionTransformer(ratio)), one_hot()),
        "columntransformer (ColumnTransformer) > numbers (Pipeline) > functiontransformer (FunctionTransformer(ratio))",
        "ratio is a function of your own",
    ),
    "own class": (
        prepared(filled(Doubled()), one_hot()),
        "columntransformer (ColumnTransformer) > numbers (Pipeline) > doubled (Doubled)",
        "Doubled is a class of your own or of a library that is not compiled",
    ),
}


@pytest.mark.parametrize(("steps", "part", "reason"), KEPT.values(), ids=KEPT)
def test_what_is_not_compiled_is_named_by_its_place_and_reason(
    steps: Any, part: str, reason: str, training: Any, outcome: Any
) -> None:
    model = make_pipeline(steps, linear()).fit(training.frame, outcome("binary"))

    compiled = compile_model(model, FEATURES, task="binary", n_classes=2)

    assert [(slow.part, slow.reason) for slow in compiled.slow_parts] == [(part, reason)]
