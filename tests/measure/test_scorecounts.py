"""Counts by score give what the rows themselves would give."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss, roc_auc_score

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.metrics import calibration_error, precision_at
from trueup.measure.scorecounts import (
    auc_from,
    calibration_error_from,
    calibration_table,
    confusion_at,
    count_scores,
    log_loss_from,
    merge_scores,
    precision_a_day,
    precision_of_top,
    value_curve,
)

Array = NDArray[np.float64]


def some_cases(size: int = 20_000) -> tuple[Array, Array]:
    rng = np.random.default_rng(5)
    score = rng.beta(1.0, 4.0, size)
    return score, (rng.random(size) < score).astype(np.float64)


def test_auc_from_counts_equals_scikit_learn() -> None:
    score, outcome = some_cases()
    assert auc_from(count_scores(score, outcome)) == pytest.approx(roc_auc_score(outcome, score), abs=1e-4)
    coarse = np.floor(score * 2000) / 2000
    assert auc_from(count_scores(score, outcome)) == pytest.approx(roc_auc_score(outcome, coarse), abs=1e-12)


def test_cases_without_an_outcome_are_counted_but_judge_nothing() -> None:
    counts = count_scores(np.array([0.2, 0.8, 0.9, 1.0]), np.array([0.0, 1.0, np.nan, np.nan]))
    assert counts.cases.sum() == 4
    assert counts.scores.sum() == pytest.approx(2.9)
    assert counts.final.sum() == 2
    assert counts.positives.sum() == 1
    assert auc_from(counts) == 1.0
    assert auc_from(count_scores(np.array([0.2]), np.array([np.nan]))) is None


def test_days_merge_to_the_whole() -> None:
    score, outcome = some_cases(900)
    acted, not_acted = outcome * 7.0 - 2.0, -outcome
    whole = count_scores(score, outcome, payoff_if_acted=acted, payoff_if_not=not_acted)
    days = count_scores(np.empty(0), np.empty(0))
    for day in range(9):
        part = slice(day * 100, day * 100 + 100)
        days = merge_scores(
            days,
            count_scores(score[part], outcome[part], payoff_if_acted=acted[part], payoff_if_not=not_acted[part]),
        )
    assert np.allclose(days.table, whole.table)


def test_calibration_table_equals_the_rows() -> None:
    score, outcome = some_cases()
    counts = count_scores(score, outcome)
    row = calibration_table(counts)[2]
    inside = (score >= 0.2) & (score < 0.3)
    assert (row.low, row.high, row.cases) == (0.2, 0.3, int(inside.sum()))
    assert row.mean_score == pytest.approx(score[inside].mean())
    assert row.outcome_rate == pytest.approx(outcome[inside].mean())
    assert calibration_error_from(counts) == pytest.approx(calibration_error(outcome, score), abs=1e-12)
    with pytest.raises(OutOfRange, match="7 bins do not divide the 2000"):
        calibration_table(counts, bins=7)


def test_empty_bins_have_no_rate() -> None:
    row = calibration_table(count_scores(np.array([0.05]), np.array([1.0])))[9]
    assert (row.cases, row.mean_score, row.outcome_rate) == (0, None, None)
    assert calibration_error_from(count_scores(np.empty(0), np.empty(0))) is None


def test_value_curve_is_the_sum_of_gains_above_each_cut_off() -> None:
    score = np.array([0.05, 0.55, 0.55, 0.95])
    outcome = np.array([0.0, 1.0, 0.0, 1.0])
    acted = np.array([-5.0, 40.0, -5.0, 40.0])
    not_acted = np.array([0.0, -60.0, 0.0, -60.0])
    curve = value_curve(count_scores(score, outcome, payoff_if_acted=acted, payoff_if_not=not_acted, bins=10))
    assert curve.cut_off.tolist() == [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    assert curve.value.tolist() == [100.0, 100.0, 100.0, 100.0, 195.0, 195.0, 195.0, 195.0, 195.0, 190.0]
    assert curve.cases.tolist()[-1] == 4
    assert curve.positives.tolist()[0] == 1


def test_precision_of_the_top_equals_the_rows() -> None:
    score, outcome = some_cases(3000)
    tied = np.floor(score * 2000) / 2000
    counts = count_scores(score, outcome)
    for cases in (1, 50, 700, 5000):
        assert precision_of_top(counts, cases) == pytest.approx(precision_at(outcome, tied, cases))
    assert precision_of_top(counts, 0) is None


def test_log_loss_from_counts_equals_scikit_learn() -> None:
    score, outcome = some_cases()
    score[:2], outcome[:2] = (0.0, 1.0), (1.0, 0.0)  # sure, and wrong
    assert log_loss_from(count_scores(score, outcome)) == pytest.approx(log_loss(outcome, score), rel=1e-12)
    assert log_loss_from(count_scores(np.array([0.2]), np.array([np.nan]))) is None


@pytest.mark.parametrize("cut_off", [0.0, 0.25, 0.3, 0.9995, 1.0])
def test_confusion_at_an_edge_equals_scikit_learn(cut_off: float) -> None:
    score, outcome = some_cases()
    found = confusion_at(count_scores(score, outcome), cut_off)
    (tn, fp), (fn, tp) = confusion_matrix(outcome, score >= cut_off, labels=[0, 1]).tolist()
    assert found.cut_off == cut_off
    assert (found.true_positives, found.false_positives) == (tp, fp)
    assert (found.true_negatives, found.false_negatives) == (tn, fn)


def test_confusion_between_edges_names_the_edge_it_is_for() -> None:
    counts = count_scores(np.array([0.2, 0.7, 0.8]), np.array([0.0, 1.0, 0.0]), bins=10)
    found = confusion_at(counts, 0.76)
    assert (found.cut_off, found.true_positives, found.false_positives, found.false_negatives) == (0.8, 0, 1, 1)
    assert (found.precision, found.recall) == (0.0, 0.0)
    assert confusion_at(counts, 1.0).precision is None
    with pytest.raises(OutOfRange, match=r"the cut-off is 1\.5"):
        confusion_at(counts, 1.5)


def test_precision_a_day_does_not_move_capacity_to_another_day() -> None:
    busy = count_scores(np.array([0.9, 0.8, 0.7, 0.1]), np.array([1.0, 0.0, 1.0, 0.0]))
    quiet = count_scores(np.array([0.95]), np.array([1.0]))
    assert precision_a_day([busy, quiet], 2) == pytest.approx(2 / 3)  # 0.9 and 0.8 of one day, 0.95 of the other
    assert precision_a_day([busy, quiet], 0) is None


def test_scores_outside_zero_and_one_are_refused() -> None:
    with pytest.raises(OutOfRange, match=r"scores go from 0\.5 to 1\.5"):
        count_scores(np.array([0.5, 1.5]), np.zeros(2))
    with pytest.raises(OutOfRange):
        count_scores(np.array([np.nan]), np.zeros(1))
    with pytest.raises(UnequalLengths, match="payoff_if_acted has 1"):
        count_scores(np.array([0.5, 0.5]), np.zeros(2), payoff_if_acted=np.zeros(1))
