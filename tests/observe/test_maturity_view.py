"""Maturity counts what happened and what is settled, and forgets only what is too old."""

from __future__ import annotations

import numpy as np
import pytest

from trueup.kernel.durations import MICROSECONDS_PER_DAY as DAY
from trueup.observe.maturity_view import MaturityState, maturity_between, record_maturity


def moments(*days: float) -> np.ndarray:
    return np.array([round(day * DAY) for day in days], dtype=np.int64)


def test_maturity_grows_as_outcomes_come_in() -> None:
    state = record_maturity(MaturityState(keep=100), happened=moments(10, 10.5, 11), settled=moments())
    assert maturity_between(state, 10 * DAY, 12 * DAY).text == "0 % of outcomes in"
    assert maturity_between(state, 10 * DAY, 12 * DAY).status == "no_data"
    state = record_maturity(state, happened=moments(12), settled=moments(10, 11))
    seen = maturity_between(state, 10 * DAY, 12 * DAY)
    assert (seen.cases, seen.settled, seen.status, seen.text) == (3, 2, "healthy", "66 % of outcomes in")
    assert maturity_between(state, 10 * DAY, 11 * DAY).share == 0.5
    assert maturity_between(state, 0, 100 * DAY).cases == 4


def test_a_window_without_cases_has_no_share() -> None:
    seen = maturity_between(MaturityState(keep=10), 0, DAY)
    assert (seen.share, seen.status, seen.text) == (None, "no_data", "no cases")


def test_the_state_is_bounded_and_counts_whom_it_forgets() -> None:
    state = MaturityState(keep=30)
    for day in range(200):
        settled = moments(day - 20) if day >= 20 and day % 2 == 0 else moments()
        state = record_maturity(state, happened=moments(day), settled=settled)
        assert len(state.happened) <= 30
    assert state.first_day == 170
    assert state.left_unsettled == 85
    late = record_maturity(state, happened=moments(3), settled=moments(3))
    assert late.left_unsettled == 86
    assert maturity_between(late, 0, 170 * DAY).cases == 0


@pytest.mark.parametrize("gap", [1, 29, 400])
def test_days_without_cases_are_days_all_the_same(gap: int) -> None:
    state = record_maturity(MaturityState(keep=30), happened=moments(5), settled=moments())
    state = record_maturity(state, happened=moments(5 + gap), settled=moments(5 + gap))
    assert maturity_between(state, (5 + gap) * DAY, (6 + gap) * DAY).share == 1.0
    assert record_maturity(state, happened=moments(), settled=moments()) is state
