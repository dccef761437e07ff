"""A model made elsewhere gets its columns in the types it was made with, and so does its compiled self."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from tests.bundle.compiling.conftest import open_model, original_answers

from trueup.bundle.compiling.model import compile_model
from trueup.bundle.features import FeatureSpec
from trueup.bundle.frames import prepare_frame, prepare_matrix

FEATURES = (
    FeatureSpec("visits", "number", dtype="int64"),
    FeatureSpec("days", "number", dtype="int32"),
    FeatureSpec("member", "boolean", dtype="bool"),
    FeatureSpec("spent", "number"),
)
REFUSED = (
    [np.nan, 1.0, 1.0, 0.5],
    [1.5, 1.0, 1.0, 0.5],
    [2.0**53 + 2, 1.0, 1.0, 0.5],
    [1.0, 2.0**31, 1.0, 0.5],
    [1.0, 1.0, 2.0, 0.5],
    [1.0, 1.0, -1.0, 0.5],
)


def frame(features: Any, rows: Any) -> Any:
    columns = [pa.array(column, from_pandas=True) for column in rows.T]
    return prepare_frame(pa.Table.from_arrays(columns, names=[feature.name for feature in features]), features)


def made(features: Any, count: int = 400) -> Any:
    draw = np.random.default_rng(5)
    whole = draw.integers(-50, 50, size=(count, 2)).astype(np.float64)
    return np.column_stack([whole, draw.integers(0, 2, count), draw.normal(size=count)])[:, : len(features)]


def test_whole_numbers_and_flags_are_taken_and_what_cannot_be_one_is_refused() -> None:
    rows = made(FEATURES)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(frame(FEATURES, rows), rows[:, 0] > 3)
    predictor = open_model(compile_model(model, FEATURES, task="binary", n_classes=2), FEATURES)

    answers = predictor.score_rows(rows)
    assert np.abs(answers - original_answers(model, frame(FEATURES, rows), task="binary")).max() <= 1e-12
    for refused in REFUSED:
        with pytest.raises(ValueError, match="cannot be of type"):
            frame(FEATURES, np.array([refused]))
        assert np.isnan(predictor.score_row(np.array(refused))).all()


def test_a_number_asked_for_in_float32_is_rounded_to_it_first() -> None:
    features = (FeatureSpec("share", "number", dtype="float32"),)
    between = float(np.float32(0.1)) + 1e-9
    rows = np.array([[0.1], [between], [np.float64(np.float32(0.1))], [np.nan], [1.0], [-3.0]])
    rows = np.vstack([rows] * 30)
    model = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=2).fit(frame(features, rows), rows[:, 0] >= 0.1)
    predictor = open_model(compile_model(model, features, task="binary", n_classes=2), features)

    expected = original_answers(model, frame(features, rows), task="binary")
    assert predictor.score_rows(rows).tobytes() == expected.tobytes()
    assert [predictor.score_row(row).tolist() for row in rows[:6]] == expected[:6].tolist()


def test_steps_that_compute_in_float32_are_named_as_the_reason() -> None:
    features = (FeatureSpec("share", "number", dtype="float32"),)
    rows = np.linspace(0, 1, 50).reshape(-1, 1)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame(features, rows), rows[:, 0] > 0.5)

    (slow,) = compile_model(model, features, task="binary", n_classes=2).slow_parts

    assert slow.part == "standardscaler (StandardScaler)"
    assert slow.reason == "the columns are float32, and the step computes in float32"


@pytest.mark.parametrize(
    ("feature", "reason"),
    [
        (FeatureSpec("remarks", "text"), 'it takes "remarks", free text, which no number stands for'),
        (FeatureSpec("at", "date", dtype="datetime64[us]"), 'it takes "at" as a moment, not as a number'),
    ],
)
def test_a_column_that_no_number_stands_for_is_named(feature: FeatureSpec, reason: str) -> None:
    (slow,) = compile_model(LogisticRegression(), [feature], task="binary", n_classes=2).slow_parts

    assert (slow.part, slow.reason) == ("LogisticRegression", reason)


TEXTS = (FeatureSpec("plan", "category", ("a", "b", "c"), "object"),)
GIVEN = ["a", "b", "c", "never seen", "", None]


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
        make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
        make_pipeline(SimpleImputer(strategy="constant", fill_value="b"), OneHotEncoder(handle_unknown="error")),
    ],
    ids=["one-hot", "ordinal", "imputed", "refusing"],
)
def test_a_text_never_seen_is_told_from_a_missing_one(encoder: Any) -> None:
    known = pa.table({"plan": ["a", "b", "c", None] * 20})
    label = np.array([0, 1, 0, 1] * 20)
    model = make_pipeline(encoder, LogisticRegression()).fit(prepare_frame(known, TEXTS), label)
    predictor = open_model(compile_model(model, TEXTS, task="binary", n_classes=2), TEXTS)

    table = pa.table({"plan": pa.array(GIVEN, pa.string())})
    expected = original_answers(model, prepare_frame(table, TEXTS), task="binary")
    requests = [json.dumps({"plan": text}).encode() for text in GIVEN]
    given = [predictor.score_request(request) for request in requests]
    np.testing.assert_allclose(np.array(given), expected, rtol=0, atol=1e-15)
    decoded = [predictor.decoder.decode(request) for request in requests]
    assert np.array_equal(decoded, prepare_matrix(table, TEXTS), equal_nan=True)


def test_an_encoder_that_knows_a_text_which_the_schema_lacks_is_not_compiled() -> None:
    fewer = (FeatureSpec("plan", "category", ("a", "b"), "object"),)
    known = pa.table({"plan": ["a", "b", "c"] * 20})
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    model.fit(prepare_frame(known, fewer), np.array([0, 1, 1] * 20))

    (slow,) = compile_model(model, fewer, task="binary", n_classes=2).slow_parts

    assert slow.reason == 'it knows texts of "plan" that the schema does not have'
