"""Only final cases are judged, and the daily state says what the arrays would say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from trueup.kernel.durations import MICROSECONDS_PER_DAY as DAY
from trueup.kernel.durations import Duration
from trueup.observe.performance import (
    RecentResults,
    Task,
    recent_performance,
    record_final,
    start_results,
    window_performance,
)


def test_cases_that_are_not_final_are_left_out() -> None:
    outcome = np.array([1.0, 0.0, 1.0, np.nan])
    seen = window_performance(
        "binary",
        prediction=np.array([0.9, 0.2, 0.1, 0.5]),
        outcome=outcome,
        final=np.array([True, True, False, True]),
        value=np.array([100.0, -10.0, 5000.0, 5000.0]),
    )
    assert (seen.cases, seen.final_cases, seen.label_maturity) == (4, 2, 0.5)
    assert (seen.value, seen.value_per_case) == (90.0, 45.0)
    assert (seen.auc, seen.accuracy, seen.outcome_rate) == (1.0, 1.0, 0.5)
    assert seen.status == "healthy"


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_window_without_final_cases_has_no_data_and_no_zero(task: Task) -> None:
    shape = (2, 3) if task == "multiclass" else (2,)
    seen = window_performance(
        task, prediction=np.zeros(shape), outcome=np.zeros(2), final=np.zeros(2, dtype=bool), value=np.zeros(2)
    )
    assert seen.status == "no_data"
    assert (seen.value, seen.auc, seen.mae, seen.accuracy, seen.mean_score) == (None,) * 5
    recorded = record_final(
        start_results(task, keep=Duration(DAY)), 0, prediction=np.zeros(shape)[:0], outcome=np.empty(0), value=None
    )
    assert recent_performance(recorded, 0).status == "no_data"
    assert recent_performance(start_results(task, keep=Duration(DAY)), 0).label_maturity is None


def test_the_last_days_equal_the_rows_that_became_final_in_them() -> None:
    rng = np.random.default_rng(3)
    results = start_results("binary", keep=Duration(30 * DAY))
    kept = []
    for day in range(50):
        score = np.round(rng.random(200) * 500 - 0.5) / 500
        score = np.clip(score, 0.0, 0.998)
        outcome = (rng.random(200) < score).astype(np.float64)
        value = rng.normal(3.0, 10.0, 200)
        results = record_final(results, day * DAY, prediction=score, outcome=outcome, value=value)
        kept.append((score, outcome, value))
    score, outcome, value = (np.concatenate(column) for column in zip(*kept[-7:], strict=True))
    seen = recent_performance(results, 49 * DAY, window=Duration(7 * DAY))
    assert seen.final_cases == 1400
    assert seen.value == pytest.approx(value.sum())
    assert seen.auc == pytest.approx(roc_auc_score(outcome, score))
    assert seen.log_loss == pytest.approx(log_loss(outcome, score))
    assert seen.outcome_rate == pytest.approx(outcome.mean())
    assert seen.mean_score == pytest.approx(score.mean())
    assert len(results.recent.rows) == 30


def both_ways(task: Task, prediction: np.ndarray, outcome: np.ndarray) -> None:
    results: RecentResults = start_results(task, keep=Duration(9 * DAY))
    for day in range(4):
        part = slice(day * 5, day * 5 + 5)
        results = record_final(results, day, prediction=prediction[part], outcome=outcome[part], value=None)
    recent = recent_performance(results, 3)
    whole = window_performance(task, prediction=prediction, outcome=outcome, final=np.ones(20, dtype=bool), value=None)
    for name in ("accuracy", "log_loss", "mae", "rmse", "outcome_rate", "value", "value_per_case"):
        one, other = getattr(recent, name), getattr(whole, name)
        assert one == other or one == pytest.approx(other)


def test_several_classes_and_numbers_are_summed_alike() -> None:
    rng = np.random.default_rng(4)
    both_ways("multiclass", rng.dirichlet(np.ones(3), 20), rng.integers(0, 3, 20).astype(np.float64))
    both_ways("regression", rng.normal(size=20), rng.normal(size=20))


def test_errors_of_a_forecast_by_hand() -> None:
    seen = window_performance(
        "regression",
        prediction=np.array([3.0, 5.0]),
        outcome=np.array([2.0, 8.0]),
        final=np.ones(2, dtype=bool),
        value=None,
    )
    assert (seen.mae, seen.outcome_rate, seen.mean_score, seen.value) == (2.0, 5.0, 4.0, None)
    assert seen.rmse == pytest.approx(5.0**0.5)
