"""What was realised? Value and performance on final cases only, over a window or the last turns.

Cases whose outcome is not final are left out, never guessed: early outcomes are unlike late ones. `window_performance`
looks at one window's arrays, for a report. `record_final` and `recent_performance` keep a bounded state for a loop that
comes by every day: "the last 30 days" are then the cases that *became final* in them, which is as many as a month has,
settled, whatever the delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import Duration
from trueup.measure import metrics
from trueup.observe.rolling import Rolling, record, total
from trueup.observe.status import Status

Array = NDArray[np.float64]
Task = Literal["binary", "multiclass", "regression"]
SCORE_BINS = 500
"""Bins of the score in the state; the AUC of the last turns counts cases within a bin as tied."""
_CASES, _VALUE, _VALUED, _LOSS, _RIGHT, _ABSOLUTE, _SQUARED, _SCORES, _OUTCOMES = range(9)
_SUMS = 9


@dataclass(frozen=True)
class Performance:
    """What some cases came to; None where there is nothing to divide by."""

    cases: int
    """All cases, final or not; in a state of turns: those that became final."""
    final_cases: int
    label_maturity: float | None
    """Share of the cases that is final, 0 to 1."""
    value: float | None
    """Payoff minus the baseline's payoff on final cases, in the currency."""
    value_per_case: float | None
    mean_score: float | None
    """Of final cases; the mean prediction for regression."""
    outcome_rate: float | None
    """Share of positive outcomes (binary), or the mean outcome (regression)."""
    auc: float | None = None
    accuracy: float | None = None
    """Of the more likely class (binary: a score of 0.5 or more)."""
    log_loss: float | None = None
    mae: float | None = None
    rmse: float | None = None

    @property
    def status(self) -> Status:
        """Return ``no_data`` when no case is final, else healthy: what is enough is judged against a promise."""
        return "healthy" if self.final_cases else "no_data"


def window_performance(
    task: Task, *, prediction: Array, outcome: Array, final: NDArray[np.bool_], value: Array | None
) -> Performance:
    """Return the realised performance of one window of cases.

    Parameters
    ----------
    task : str
    prediction : ndarray of float, shape (n_cases,), or (n_cases, n_classes) for several classes
        Score, class probabilities, or predicted number.
    outcome : ndarray of float, shape (n_cases,)
        Read only where final; NaN counts as not final.
    final : ndarray of bool, shape (n_cases,)
    value : ndarray of float, shape (n_cases,), or None
        Payoff minus the baseline's payoff per case, in the currency.
    """
    settled = final & ~np.isnan(outcome)
    given, happened = prediction[settled], outcome[settled]
    cases, count = len(outcome), len(happened)
    earned = None if value is None or not count else float(value[settled].sum())
    return Performance(
        cases=cases,
        final_cases=count,
        label_maturity=count / cases if cases else None,
        value=earned,
        value_per_case=None if earned is None else earned / count,
        mean_score=float(given.mean()) if count and given.ndim == 1 else None,
        outcome_rate=float(happened.mean()) if count and task != "multiclass" else None,
        auc=metrics.auc(happened, given) if task == "binary" else None,
        accuracy=metrics.accuracy(happened, _chosen(given)) if task != "regression" else None,
        log_loss=metrics.log_loss(happened, given) if task != "regression" else None,
        mae=metrics.mae(happened, given) if task == "regression" else None,
        rmse=metrics.rmse(happened, given) if task == "regression" else None,
    )


@dataclass(frozen=True)
class RecentResults:
    """What became final in the last turns; bounded: 1,009 numbers a turn for binary, 9 otherwise."""

    task: Task
    recent: Rolling


def start_results(task: Task, *, keep: Duration) -> RecentResults:
    """Return the state that has seen nothing; `keep` is the longest window that will be asked for."""
    return RecentResults(task, Rolling(keep))


def record_final(
    results: RecentResults, at: int, *, prediction: Array, outcome: Array, value: Array | None
) -> RecentResults:
    """Return the state after a turn in which these cases became final; parameters as in `window_performance`."""
    known = ~np.isnan(outcome)
    given, happened = prediction[known], outcome[known]
    row = np.zeros(_SUMS + (2 * SCORE_BINS if results.task == "binary" else 0))
    if len(happened):
        row[_CASES] = len(happened)
        row[_OUTCOMES] = happened.sum()
        if value is not None:
            row[_VALUE], row[_VALUED] = value[known].sum(), len(happened)
        _add_errors(row, results.task, given, happened)
    return RecentResults(results.task, record(results.recent, at, row))


def recent_performance(results: RecentResults, as_of: int, *, window: Duration | None = None) -> Performance:
    """Return the performance of the cases that became final in ``(as_of - window, as_of]``."""
    row = total(results.recent, as_of, window=window)
    cases = 0 if row is None else int(row[_CASES])
    if row is None or not cases:
        return Performance(0, 0, None, None, None, None, None)
    classes, regression = results.task != "regression", results.task == "regression"
    up, down = row[_SUMS : _SUMS + SCORE_BINS], row[_SUMS + SCORE_BINS :]
    return Performance(
        cases=cases,
        final_cases=cases,
        label_maturity=1.0,
        value=float(row[_VALUE]) if row[_VALUED] else None,
        value_per_case=float(row[_VALUE] / row[_VALUED]) if row[_VALUED] else None,
        mean_score=float(row[_SCORES] / cases) if results.task != "multiclass" else None,
        outcome_rate=float(row[_OUTCOMES] / cases) if results.task != "multiclass" else None,
        auc=metrics.auc_of_counts(up, down) if results.task == "binary" else None,
        accuracy=float(row[_RIGHT] / cases) if classes else None,
        log_loss=float(row[_LOSS] / cases) if classes else None,
        mae=float(row[_ABSOLUTE] / cases) if regression else None,
        rmse=float(np.sqrt(row[_SQUARED] / cases)) if regression else None,
    )


def _add_errors(row: Array, task: Task, given: Array, happened: Array) -> None:
    """Add to `row` the sums from which the task's metrics follow."""
    count = len(happened)
    if task == "regression":
        row[_SCORES] = given.sum()
        row[_ABSOLUTE] = np.abs(given - happened).sum()
        row[_SQUARED] = ((given - happened) ** 2).sum()
        return
    row[_LOSS] = (metrics.log_loss(happened, given) or 0.0) * count
    row[_RIGHT] = (_chosen(given) == happened).sum()
    if task == "binary":
        row[_SCORES] = given.sum()
        index = np.clip((given * SCORE_BINS).astype(np.int64), 0, SCORE_BINS - 1)
        positive = happened == 1.0
        row[_SUMS : _SUMS + SCORE_BINS] = np.bincount(index[positive], minlength=SCORE_BINS)
        row[_SUMS + SCORE_BINS :] = np.bincount(index[~positive], minlength=SCORE_BINS)


def _chosen(given: Array) -> Array:
    if given.ndim == 2:
        return np.argmax(given, axis=1).astype(np.float64) if len(given) else np.empty(0)
    return np.asarray(given >= 0.5, dtype=np.float64)
