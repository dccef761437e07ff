"""The worst status wins."""

from __future__ import annotations

from trueup.observe.status import worst


def test_the_worst_status_wins_and_nothing_is_no_data() -> None:
    assert worst("healthy", "error", "warning", "no_data") == "error"
    assert worst("healthy", "no_data") == "no_data"
    assert worst("healthy", "healthy") == "healthy"
    assert worst() == "no_data"
