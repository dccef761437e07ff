"""What are a model's decisions worth on cases of the past? One answer for yes-or-no, one for numbers and classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trueup.align.allocation import StreamAllocator, learn_pace
from trueup.align.charter import PayoffPerCase, Project
from trueup.align.payoff import ActionEffect, best_class, expected_gain, realised_payoff
from trueup.data.history import History
from trueup.data.pricing import CasePricer
from trueup.kernel.periods import Calendar

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Worth(Protocol):
    """Prices what a model would have done."""

    def value_of_scores(self, scores: Array, rows: Rows) -> Array:
        """Return the value of each case under the capacity, were all of `rows` decided by these scores.

        Payoff minus the baseline's payoff, in the currency; NaN where the outcome is not known. A test set is not a
        whole period, so it gets the share of the capacity that its number of cases stands for.
        """
        ...


@dataclass(frozen=True)
class DecisionWorth:
    """Yes-or-no decisions under a capacity."""

    history: History
    effect: ActionEffect
    capacity: int | None
    """Cases a period; None without a limit."""
    capacity_calendar: Calendar
    baseline_acted: Flags
    """What the old rule acts on under the same capacity, shape (rows,)."""

    def gains(self, scores: Array, rows: Rows | slice) -> Array:
        """Return the expected gain of acting on each case, in the currency."""
        return expected_gain(scores, self._payoffs(rows), effect=self.effect)

    def value(self, acted: Flags, rows: Rows | slice) -> Array:
        """Return payoff minus the baseline's payoff of each case; NaN where the outcome is not known."""
        outcome, payoffs = np.asarray(self.history.outcome[rows]), self._payoffs(rows)
        ours = realised_payoff(acted, outcome, payoffs, effect=self.effect)
        theirs = realised_payoff(self.baseline_acted[rows], outcome, payoffs, effect=self.effect)
        return np.asarray(ours - theirs)

    def baseline_payoff(self, rows: Rows | slice) -> Array:
        """Return what the baseline pays on each case."""
        outcome = np.asarray(self.history.outcome[rows])
        return realised_payoff(self.baseline_acted[rows], outcome, self._payoffs(rows), effect=self.effect)

    def value_of_scores(self, scores: Array, rows: Rows) -> Array:
        """See `Worth`."""
        return self.value(self.acted_on(self.gains(scores, rows), rows), rows)

    def acted_on(self, gains: Array, rows: Rows) -> Flags:
        """Return which cases of a test set would be acted on, each as it arrives, as in production.

        In each period the test set has the share of the capacity that its cases have of all cases of the period.
        """
        acted = gains > 0
        if self.capacity is None or not self.history.dated or not len(rows):
            return acted
        calendar = self.capacity_calendar
        moments = np.asarray(self.history.event_time)[rows]
        starts = calendar.starts_between(int(moments[0]), int(moments[-1]) + 1)
        edges = np.searchsorted(moments, starts)
        everybody = np.searchsorted(self.history.event_time, starts)
        pace = learn_pace(moments, gains, first=int(moments[0]), last=int(moments[-1]) + 1, calendar=calendar)
        room = np.floor(np.cumsum(self.capacity * np.diff(edges) / np.maximum(np.diff(everybody), 1)) + 1e-9)
        for first, last, tokens in zip(edges[:-1], edges[1:], np.diff(room, prepend=0.0), strict=True):
            part = slice(int(first), int(last))
            allotment = StreamAllocator(calendar, int(tokens)).allot(moments[part], gains[part], pace=pace, tokens=None)
            acted[part] = allotment.acted
        return acted

    def _payoffs(self, rows: Rows | slice) -> Array:
        if self.history.payoffs is None:
            return np.zeros((len(np.arange(self.history.rows)[rows]), 4))
        return np.asarray(self.history.payoffs[rows])


@dataclass(frozen=True)
class PredictionWorth:
    """Numbers or classes: the prediction itself is what pays."""

    history: History
    pricer: CasePricer
    per_case: str | None
    """SQL for numbers; None for classes, whose payoffs are in the history."""
    baseline: Array
    """What is predicted without a model, shape (rows,): the old rule, else the mean (most frequent class) so far."""

    def predict(self, scores: Array, rows: Rows | slice) -> Array:
        """Return the predicted number, or the class with the largest expected payoff."""
        if scores.ndim == 1:
            return scores
        return best_class(scores, self._class_payoffs(rows))[0].astype(np.float64)

    def payoff(self, predicted: Array, rows: slice) -> Array:
        """Return what each prediction paid, in the currency; NaN where the outcome is not known."""
        outcome = np.asarray(self.history.outcome[rows])
        if self.per_case is not None:
            return self.pricer.payoffs_of(self.per_case, rows=rows, prediction=predicted, outcome=outcome)
        payoffs = self._class_payoffs(rows)
        known = ~np.isnan(outcome)
        paid = np.full(len(outcome), np.nan)
        which = np.flatnonzero(known)
        case = which if len(payoffs) > 1 else np.zeros(len(which), dtype=np.int64)
        paid[which] = payoffs[case, predicted[which].astype(np.int64), outcome[which].astype(np.int64)]
        return paid

    def value(self, predicted: Array, rows: slice) -> Array:
        """Return payoff minus the baseline's payoff of each case."""
        return np.asarray(self.payoff(predicted, rows) - self.payoff(np.asarray(self.baseline[rows]), rows))

    def value_of_scores(self, scores: Array, rows: Rows) -> Array:
        """See `Worth`."""
        if not len(rows):
            return np.zeros(0)
        span = slice(int(rows[0]), int(rows[-1]) + 1)
        inside = rows - rows[0]
        predicted = np.array(self.baseline[span])
        predicted[inside] = self.predict(scores, rows)
        return np.asarray(self.value(predicted, span)[inside])

    def _class_payoffs(self, rows: Rows | slice) -> Array:
        payoffs = self.history.payoffs
        if payoffs is None:
            return np.eye(len(self.history.classes))[None]
        return np.asarray(payoffs if len(payoffs) == 1 else payoffs[rows])


def worth_of(
    project: Project, history: History, pricer: CasePricer, *, start: int | None = None
) -> DecisionWorth | PredictionWorth:
    """Return how a project prices what a model does; with `start`, the capacity begins anew at that moment."""
    charter = project.charter
    if project.task == "binary":
        calendar = charter.calendar()
        return DecisionWorth(
            history=history,
            effect=ActionEffect.of(charter),
            capacity=charter.capacity.cases if charter.capacity else None,
            capacity_calendar=calendar,
            baseline_acted=baseline_under_capacity(project, history, calendar, start=start),
        )
    per_case = charter.payoff.per_case if isinstance(charter.payoff, PayoffPerCase) else None
    if history.baseline is not None:
        baseline = np.asarray(history.baseline)
    elif project.task == "regression":
        baseline = mean_so_far(history)
    else:
        baseline = most_frequent_so_far(history)
    return PredictionWorth(history, pricer, per_case if project.task == "regression" else None, baseline)


def baseline_under_capacity(
    project: Project, history: History, calendar: Calendar, *, start: int | None = None
) -> Flags:
    """Return what the old rule acts on: first come, first served, under the same capacity; nobody without a rule."""
    if history.baseline is None:
        return np.zeros(history.rows, dtype=bool)
    wants = np.asarray(history.baseline) > 0
    if project.charter.capacity is None or not history.dated:
        return wants
    which = np.flatnonzero(wants)
    if not len(which):
        return wants
    moments = np.asarray(history.event_time)
    starts = calendar.starts_between(int(moments[0]), int(moments[-1]) + 1)
    if start is not None:
        starts = np.union1d(starts, start)
    period = calendar.index_of(moments[which], starts)
    first_of_period = np.searchsorted(period, period, side="left")
    acted = np.zeros(history.rows, dtype=bool)
    acted[which[np.arange(len(which)) - first_of_period < project.charter.capacity.cases]] = True
    return acted


def mean_so_far(history: History) -> Array:
    """Return for each case the mean of all outcomes that were final before it happened; 0 before the first."""
    order, known = _final_order(history)
    totals = np.concatenate(([0.0], np.cumsum(np.asarray(history.outcome)[order])))
    return np.asarray(totals[known] / np.maximum(known, 1))


def most_frequent_so_far(history: History) -> Array:
    """Return for each case the class that was most frequent among the outcomes final before it happened."""
    order, known = _final_order(history)
    outcome = np.asarray(history.outcome)[order]
    counts = [np.concatenate(([0], np.cumsum(outcome == k))) for k in range(len(history.classes))]
    return np.asarray(np.argmax(np.stack([c[known] for c in counts]), axis=0), dtype=np.float64)


def _final_order(history: History) -> tuple[Rows, Rows]:
    """Return the known cases by final time, and for each case how many of them were final before it happened."""
    final = np.asarray(history.final_at)
    known = np.flatnonzero(~np.isnan(np.asarray(history.outcome)))
    order = known[np.argsort(final[known], kind="stable")]
    return order, np.searchsorted(final[order], np.asarray(history.event_time), side="left")
