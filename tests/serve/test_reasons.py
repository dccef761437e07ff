from __future__ import annotations

import math

import numpy as np
import pytest

from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.predictor import Predictor
from trueup.measure.profiles import as_json, profile_categories, profile_numbers
from trueup.serve.reasons import Reason, reasons_of, references_of

FEATURES = (
    FeatureSpec("amount", "number"),
    FeatureSpec("age", "number"),
    FeatureSpec("broker", "category", ("a", "b")),
    FeatureSpec("unseen", "number"),
)


class Weighted:
    """A stage that adds 2 * amount - age + 10 * (broker is b), and takes no notice of the last feature."""

    def one(self, row: np.ndarray) -> np.ndarray:
        return np.array([2 * row[0] - row[1] + 10 * (row[2] == 1)])

    def many(self, matrix: np.ndarray) -> np.ndarray:
        return np.array([self.one(row) for row in matrix])


PREDICTOR = Predictor(FEATURES, [Weighted()], outputs=1)
REFERENCES = np.array([1.0, 40.0, 0.0, 0.0])


def test_the_effect_is_the_score_less_that_with_the_usual_value_and_the_largest_comes_first() -> None:
    row = np.array([4.0, 41.0, 1.0, 7.0])
    found = reasons_of(PREDICTOR, row, features=FEATURES, references=REFERENCES, most=9)
    assert found == (Reason("broker", 10.0), Reason("amount", 6.0), Reason("age", -1.0))


def test_only_as_many_are_named_as_were_asked_for() -> None:
    row = np.array([4.0, 41.0, 1.0, 7.0])
    assert reasons_of(PREDICTOR, row, features=FEATURES, references=REFERENCES, most=1) == (Reason("broker", 10.0),)


def test_a_usual_row_has_no_reasons() -> None:
    assert reasons_of(PREDICTOR, REFERENCES, features=FEATURES, references=REFERENCES, most=4) == ()


def test_a_feature_whose_usual_value_the_model_refuses_is_left_out() -> None:
    references = np.array([math.nan, 40.0, 0.0, 0.0])
    found = reasons_of(PREDICTOR, np.array([4.0, 41.0, 0.0, 7.0]), features=FEATURES, references=references, most=9)
    assert found == (Reason("age", -1.0),)


def test_references_are_the_median_and_the_most_frequent_category() -> None:
    document = {
        "amount": as_json(profile_numbers(np.array([1.0, 2.0, 9.0, np.nan]))),
        "age": as_json(profile_numbers(np.array([0.5, 30.25, 90.75]))),
        "broker": as_json(profile_categories(np.array([0, 0, 1, 2, 2, 2]), ["a", "b", None])),
    }
    found = references_of(FEATURES, document)
    assert found[0] == 2.0
    assert found[1] == pytest.approx(30.25, rel=0.008)
    assert found[2] == 0.0
    assert math.isnan(found[3])


def test_the_median_of_dates_is_told_in_days_as_decoders_do() -> None:
    microseconds = np.array([1.0, 3.0, 5.0]) * 86_400_000_000
    document = {"applied": as_json(profile_numbers(microseconds))}
    assert references_of([FeatureSpec("applied", "date")], document)[0] == pytest.approx(3.0, rel=0.008)


def test_a_category_that_the_model_does_not_know_and_a_column_mostly_missing_have_no_reference() -> None:
    document = {
        "amount": as_json(profile_numbers(np.array([1.0, np.nan, np.nan]))),
        "broker": as_json(profile_categories(np.array([0]), ["elsewhere"])),
    }
    assert np.isnan(references_of(FEATURES, document)).all()
