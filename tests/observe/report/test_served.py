"""The part about the server shows figures of its log, and says when an answer is missing there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.observe.report.test_render import Sample

from trueup.lake.served_results import Served, ServedPeriod, ServedValue
from trueup.observe.report import render_report
from trueup.observe.report.served import served_page

SERVED = Served(
    project="loans",
    currency="EUR",
    position=7,
    as_of=None,
    first="2025-01-01T08:00:00+01:00",
    last="2025-01-02T20:00:00+01:00",
    cases=40,
    predictions=42,
    qualify=9,
    acted=6,
    by_role={"champion": 38, "fallback": 2},
    by_reason={"not_worth_it": 31, "worth_it": 6, "fallback:deadline": 2, "below_cutoff": 1},
    by_model={"ab" * 32: 40},
    capacity={"cases": 4, "per": "day"},
    periods=(ServedPeriod("2025-01-01T00:00:00+01:00", "2025-01-01", 25, 4), ServedPeriod("", "2025-01-02", 15, 2)),
    fallback=2,
    outcomes=12,
    value=ServedValue(realised=1234.0, settled=10, estimated=-56.0, open=30, unpriced=2),
    latency_p50_ms=0.21,
    latency_p99_ms=1.5,
    served=42,
    logged=42,
    sealed=42,
    batch=0,
)


def test_every_figure_of_the_record_is_shown() -> None:
    page = served_page(SERVED)
    figures = {name: (value, note) for name, value, note in page.figures}
    assert "40 cases decided" in page.say
    assert "6 acted on" in page.say
    assert "1,234" in figures["Earned against the baseline"][0]
    assert "10 cases" in figures["Earned against the baseline"][1]
    assert "56" in figures["Expected of the others"][0]
    assert figures["Expected of the others"][1] == "Estimated for 30 cases by their scores, 2 without a score"
    assert figures["Most acted on in one day"] == ("4", "of 4 a day")
    assert figures["Time to a recorded answer"] == ("0.210 ms", "1.50 ms for 99 of 100")
    assert page.reasons[1] == ("worth_it", "6", "15.0%")
    assert page.periods == (("2025-01-01", "25", "4"), ("2025-01-02", "15", "2"))
    assert page.status.tone == "good"


@pytest.mark.parametrize(("logged", "sealed"), [(40, 42), (42, 40)])
def test_an_answer_that_is_not_in_the_log_is_said(logged: int, sealed: int) -> None:
    status = served_page(replace(SERVED, logged=logged, sealed=sealed)).status
    assert status.tone == "bad"
    assert status.text == "2 rows answered and not in the log"


def test_without_answers_it_says_so_and_without_money_it_shows_none() -> None:
    nothing = replace(SERVED, cases=0, first=None, last=None, by_reason={}, periods=(), latency_p99_ms=None)
    page = served_page(replace(nothing, value=None, latency_p50_ms=None, capacity=None))
    assert page.say == "The server has answered nothing yet."
    assert [name for name, _, _ in page.figures] == ["Most acted on in one day", "Time to a recorded answer"]


def test_the_report_holds_what_the_server_did_where_something_was_served(bookings: Sample) -> None:
    without = render_report(bookings.rehearsal, charter=bookings.charter)
    page = render_report(bookings.rehearsal, charter=bookings.charter, served=SERVED)
    assert "What the server did" not in without
    assert "What the server did" in page
    assert "Everything answered is in the log" in page
    assert "fallback:deadline" in page
