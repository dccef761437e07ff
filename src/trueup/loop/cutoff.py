"""From which score on is a case acted on? The score that lets through as many cases as the charter would act on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Project
from trueup.data.history import History
from trueup.loop.worth import DecisionWorth

Array = NDArray[np.float64]


def cutoff_of(
    project: Project, history: History, worth: DecisionWorth, *, scores: Array, rows: NDArray[np.int64]
) -> float:
    """Return a score between those of cases that would be acted on and those that would not.

    Parameters
    ----------
    project : Project
    history : History
    worth : DecisionWorth
        Prices a decision.
    scores : ndarray of float, shape (n_rows,)
        Scores of `rows`, a fair sample of the history.
    rows : ndarray of int
        Positions in the history.

    Notes
    -----
    A case is worth acting on when its expected gain is above 0; where payoffs depend on the row this is no single
    score, so the cut-off lets through the same *number* of cases, at most the share that the capacity allows.
    """
    wanted = int((worth.gains(scores, rows) > 0).sum())
    return score_for_count(scores, min(wanted, int(_share_with_capacity(project, history) * len(scores))))


def score_for_count(scores: Array, count: int) -> float:
    """Return the middle between the last score let in and the first left out, as ties allow.

    Parameters
    ----------
    scores : ndarray of float, shape (n,)
        In [0, 1].
    count : int
        The most scores that may lie above the answer.

    Examples
    --------
    >>> score_for_count(np.array([0.25, 0.5, 0.75]), 1)
    0.625
    >>> score_for_count(np.array([0.25, 0.5, 0.5]), 1)
    0.75
    """
    ordered = np.sort(scores)[::-1]
    first_out = float(ordered[count]) if count < len(ordered) else 0.0
    let_in = ordered[ordered > first_out]
    last_in = float(let_in[-1]) if len(let_in) else 1.0
    return first_out / 2 + last_in / 2


def _share_with_capacity(project: Project, history: History) -> float:
    """Return the share of all cases that the capacity allows to act on; 1 without a limit or without times."""
    capacity = project.charter.capacity
    if capacity is None or not history.dated or not history.rows:
        return 1.0
    first, last = int(history.event_time[0]), int(history.event_time[-1]) + 1
    periods = max(1, len(project.charter.calendar().starts_between(first, last)) - 1)
    return min(1.0, capacity.cases * periods / history.rows)
