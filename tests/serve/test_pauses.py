"""What failed is tried again for ever, less and less often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trueup.serve.pauses import FIRST_SECONDS, MOST_SECONDS, pause_after


@given(st.integers(1, 10**9))
def test_a_pause_never_shrinks_and_is_never_longer_than_a_minute(failures: int) -> None:
    assert FIRST_SECONDS <= pause_after(failures) <= pause_after(failures + 1) <= MOST_SECONDS == 60
