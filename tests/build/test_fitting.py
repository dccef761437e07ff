from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.build.conftest import FEATURES

from trueup.build.errors import LabelConstant
from trueup.build.recipe import Recipe, TrainingRows
from trueup.build.runner import ModelRunner


def test_a_class_that_training_never_saw_has_probability_0(cases: TrainingRows, runner: ModelRunner) -> None:
    three = replace(cases, outcome=np.where(cases.outcome == 1, 2.0, 0.0))
    for kind in ("constant", "linear", "gradient_boosting", "lightgbm"):
        recipe = Recipe(kind, "multiclass", FEATURES, calibrate=True, n_classes=3)
        scores = runner.predict(runner.fit(recipe, three), cases.features_path, 0, 600)
        assert scores.shape == (600, 3)
        assert (scores[:, 1] < 0.01).all()
        assert scores.sum(axis=1) == pytest.approx(np.ones(600))


def test_no_rows_of_several_classes_keep_their_shape(cases: TrainingRows, runner: ModelRunner) -> None:
    model = runner.fit(Recipe("constant", "multiclass", FEATURES, n_classes=3), cases)
    assert runner.predict(model, cases.features_path, 4, 4).shape == (0, 3)


def test_the_rule_reads_its_column_beside_the_file(cases: TrainingRows, runner: ModelRunner) -> None:
    np.save(cases.features_path.parent / "baseline.npy", cases.outcome)
    model = runner.fit(Recipe("rule", "binary", FEATURES), cases)
    scores = runner.predict(model, cases.features_path, 0, 600)
    # the rule is always right here: n of n, and one case of the average class, s of 1
    share = cases.outcome.mean()
    acted, left = cases.outcome.sum(), 600 - cases.outcome.sum()
    assert scores[cases.outcome == 1] == pytest.approx((acted + share) / (acted + 1))
    assert scores[cases.outcome == 0] == pytest.approx(share / (left + 1))


def test_a_rule_that_is_a_column_needs_no_file_beside(cases: TrainingRows, runner: ModelRunner) -> None:
    model = runner.fit(Recipe("rule", "binary", FEATURES, params=(("column", "new"),)), cases)
    assert np.unique(runner.predict(model, cases.features_path, 0, 600)).size == 2


def test_calibration_learns_from_the_last_fifth_by_time(cases: TrainingRows, runner: ModelRunner) -> None:
    # the rate of positives falls in the last fifth: calibrated scores follow it
    outcome = cases.outcome.copy()
    outcome[480:] *= np.arange(120) % 3 == 0
    falling = replace(cases, outcome=outcome)
    means = [
        runner.predict(
            runner.fit(Recipe("linear", "binary", FEATURES, calibrate=calibrate), falling),
            cases.features_path,
            480,
            600,
        ).mean()
        for calibrate in (False, True)
    ]
    actual = outcome[480:].mean()
    assert abs(means[1] - actual) < abs(means[0] - actual)


def test_a_constant_regression_outcome_is_refused(cases: TrainingRows, runner: ModelRunner) -> None:
    with pytest.raises(LabelConstant, match="have the outcome 7"):
        runner.fit(Recipe("linear", "regression", FEATURES), replace(cases, outcome=np.full(600, 7.0)))
