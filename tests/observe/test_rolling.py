"""A rolling state forgets what is too old, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.kernel.durations import Duration
from trueup.observe.rolling import OutOfOrder, Rolling, WindowTooLong, record, total

WEEK = Duration(7)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), max_size=40), st.integers(1, 7))
def test_a_window_sums_exactly_its_own_turns(steps: list[tuple[int, int]], window: int) -> None:
    rolling, now, seen = Rolling(WEEK), 100, []
    for step, amount in steps:
        now += step
        rolling = record(rolling, now, np.array([float(amount)]))
        seen.append((now, amount))
    expected = [amount for at, amount in seen if now - window < at <= now]
    summed = total(rolling, now, window=Duration(window))
    assert (0.0 if summed is None else float(summed[0])) == sum(expected)
    assert len(rolling.rows) <= WEEK.microseconds


def test_asking_for_the_sum_does_not_change_the_state() -> None:
    rolling = record(record(Rolling(WEEK), 1, np.array([1.0])), 2, np.array([2.0]))
    for _ in range(2):
        summed = total(rolling, 2)
        assert summed is not None
        assert summed.tolist() == [3.0]
    assert total(rolling, 50) is None


def test_facts_of_the_past_are_refused() -> None:
    with pytest.raises(OutOfOrder, match="moment 4 come after those of 5"):
        record(record(Rolling(WEEK), 5, np.zeros(1)), 4, np.zeros(1))


def test_a_window_longer_than_the_state_is_refused() -> None:
    with pytest.raises(WindowTooLong):
        total(Rolling(WEEK), 5, window=Duration(8))
