"""Training sets hold only what was final then."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trueup.improve.training_rows import rows_known_then
from trueup.kernel.durations import Duration
from trueup.kernel.periods import NEVER


@given(
    cases=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50) | st.none(), st.booleans()), max_size=50),
    as_of=st.integers(0, 160),
    window=st.integers(1, 100) | st.none(),
)
def test_no_row_is_from_the_future_or_outside_the_window_or_hidden(
    cases: list[tuple[int, int | None, bool]], as_of: int, window: int | None
) -> None:
    event = np.array([c[0] for c in cases], dtype=np.int64)
    final = np.array([NEVER if c[1] is None else c[0] + c[1] for c in cases], dtype=np.int64)
    hidden = np.array([c[2] for c in cases], dtype=bool)
    rows = rows_known_then(event, final, as_of=as_of, window=Duration(window) if window else None, hidden=hidden)
    kept = set(rows.tolist())
    for i in range(len(cases)):
        usable = final[i] <= as_of and event[i] < as_of and not hidden[i]
        inside = window is None or event[i] >= as_of - window
        assert (i in kept) == (usable and inside)
