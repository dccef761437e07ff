"""The sponsor reads which data broke, when, and what it changed, before any drift."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trueup.lake.incidents import DataIncident
from trueup.observe.report import render_report
from trueup.observe.report.incidents import incident_rows

if TYPE_CHECKING:
    from tests.observe.report.conftest import Sample

MONTHS = DataIncident(
    "adr", "above", "2016-05-15", "2016-05-28", False, 33, 0.0355, 0.0, "agent", ("9", "<b>"), 100.0, 1, -1_250.0
)
GONE = DataIncident("lead_time", "missing", "2016-09-01", "2016-09-30", True, 70, 0.7, 0.06)


def test_days_cause_and_decisions_are_in_words(bookings: Sample) -> None:
    ended, ongoing = incident_rows(replace(bookings.rehearsal, incidents=(MONTHS, GONE)))
    assert (ended.days, ended.changed) == ("15 May 2016 to 28 May 2016", "1 decision changed")
    assert ended.text.endswith("only where agent is 9 or <b>; values came 100 times as large.")
    assert (ongoing.days, ongoing.changed) == ("since 1 Sep 2016", "")
    assert ongoing.text == "70.0% of the cases had no value (at most 6.0% in any week before)."


def test_what_broke_stands_above_what_shifted_and_hostile_values_are_text(bookings: Sample) -> None:
    page = render_report(replace(bookings.rehearsal, incidents=(MONTHS,)), charter=bookings.charter)
    assert page.index("Data that broke") < page.index("What shifted")
    assert "agent is 9 or &lt;b&gt;" in page
    assert "−€1,250" in page


def test_without_incidents_nothing_is_said(bookings: Sample) -> None:
    assert "Data that broke" not in render_report(bookings.rehearsal, charter=bookings.charter)
