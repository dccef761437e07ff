"""The cut-off lies between the scores that are acted on and those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.loop.cutoff import score_for_count

scores = st.lists(st.floats(0, 1, width=16), min_size=1, max_size=50)


@pytest.mark.parametrize(("count", "expected"), [(0, 0.875), (1, 0.625), (2, 0.375), (3, 0.125), (9, 0.125)])
def test_it_is_the_middle_between_the_last_let_in_and_the_first_left_out(count: int, expected: float) -> None:
    assert score_for_count(np.array([0.25, 0.75, 0.5]), count) == expected


@given(scores, st.integers(0, 60))
def test_no_more_cases_lie_above_it_than_asked_for(values: list[float], count: int) -> None:
    found = score_for_count(np.array(values), count)

    above = sum(value > found for value in values)
    assert above <= count or count >= len(values)
