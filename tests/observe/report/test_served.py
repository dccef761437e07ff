"""The part about the server shows figures of its log, and says when an answer is missing there."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.observe.report.test_render import Sample

from trueup.align.streaming import FALLBACK, REASONS
from trueup.lake.served_results import Served, ServedPeriod, ServedValue
from trueup.observe.report import render_report
from trueup.observe.report.served import _FALLBACKS, ReasonRow, served_page
from trueup.observe.report.tables import Status
from trueup.serve.deciding import PREDICTED
from trueup.serve.work import FAILURES

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
HOUSE = re.compile(r"[a-z]+_[a-z_]+|[a-z]+:[a-z]")
"""A code, as the log holds it."""


def test_every_figure_of_the_record_is_shown() -> None:
    page = served_page(SERVED)
    figures = {name: (value, note) for name, value, note in page.figures}
    assert "40 cases decided" in page.say
    assert "6 acted on" in page.say
    assert "1,234" in figures["Earned against the baseline"][0]
    assert "10 cases" in figures["Earned against the baseline"][1]
    assert "56" in figures["Expected of the others"][0]
    assert figures["Expected of the others"][1] == "Estimated for 30 cases by their scores, 2 without a score"
    assert figures["Most acted on in one day"] == ("4", "Capacity is 4 a day")
    assert figures["Time to a recorded answer"] == ("0.210\u00a0ms", "Usually; 99 in 100 within 1.50\u00a0ms")
    why = "Expected to pay, and to pay more than what may still come"
    assert page.reasons[1] == ReasonRow("Acted on", why, "6", "15.0%")
    assert page.periods == (("1 Jan 2025", "25", "4"), ("2 Jan 2025", "15", "2"))
    assert page.status.tone == "good"


@pytest.mark.parametrize(("logged", "sealed"), [(40, 42), (42, 40)])
def test_an_answer_that_is_not_in_the_log_is_said(logged: int, sealed: int) -> None:
    status = served_page(replace(SERVED, logged=logged, sealed=sealed)).status
    assert status.tone == "bad"
    assert status.text == "2 rows answered and not in the log"


def test_more_in_the_log_than_a_killed_server_could_say_is_no_fault() -> None:
    assert served_page(replace(SERVED, served=40)).status == Status("good", "Everything answered is in the log")


def test_rows_of_batch_runs_stand_apart_from_those_of_servers_and_both_add_up() -> None:
    page = served_page(replace(SERVED, sealed=42, batch=100))
    assert page.status.tone == "good"
    said = dict(page.notes)
    assert said["Answered"] == "Servers say they answered 42 rows and wrote 42 to the log."
    assert said["In the log"].startswith("142 rows, 42 of servers and 100 of batch runs, ")
    assert dict(served_page(SERVED).notes)["In the log"] == "42 rows, read as far as entry 7 of its manifest."


@pytest.mark.parametrize("code", [*REASONS, PREDICTED, *(f"{FALLBACK}:{failure}" for failure in FAILURES)])
def test_every_reason_is_said_in_words(code: str) -> None:
    [row] = served_page(replace(SERVED, by_reason={code: 40})).reasons
    for text in (row.decision, row.why):
        assert text[:1].isupper()
        assert HOUSE.search(text) is None
    assert "fallback" in row.decision or not code.startswith(FALLBACK)
    assert (row.cases, row.share) == ("40", "100.0%")


def test_each_failure_of_a_model_has_words_of_its_own() -> None:
    assert _FALLBACKS.keys() == FAILURES.keys()


def test_a_reason_of_a_later_version_is_readable_too() -> None:
    rows = served_page(replace(SERVED, by_reason={"asked_twice": 39, "fallback:out_of_memory": 1})).reasons
    assert [(row.decision, row.why) for row in rows] == [
        ("Asked twice", ""),
        ("Decided by the fallback", "Out of memory"),
    ]


def test_a_few_cases_of_many_are_not_none_of_them() -> None:
    [_, few] = served_page(replace(SERVED, cases=40_000, by_reason={"worth_it": 39_999, "control": 1})).reasons
    assert few.share == "under 0.1%"


def test_sentences_begin_as_sentences_where_there_is_nothing_to_count() -> None:
    value = ServedValue(realised=0.0, settled=0, estimated=0.0, open=0, unpriced=0)
    page = served_page(replace(SERVED, fallback=0, outcomes=0, sealed=0, value=value, capacity=None))
    for text in (*(note for _, note in page.notes), *(note for _, _, note in page.figures)):
        assert not text[:1].islower(), text


def test_without_answers_it_says_so_and_without_money_it_shows_none() -> None:
    nothing = replace(SERVED, cases=0, first=None, last=None, by_reason={}, periods=(), latency_p99_ms=None)
    page = served_page(replace(nothing, value=None, latency_p50_ms=None, capacity=None))
    assert page.figures[1] == ("Time to a recorded answer", "Not known", "No server has answered")
    assert page.say == "The server has answered nothing yet."
    assert [name for name, _, _ in page.figures] == ["Most acted on in one day", "Time to a recorded answer"]


def test_the_report_holds_what_the_server_did_where_something_was_served(bookings: Sample) -> None:
    without = render_report(bookings.rehearsal, charter=bookings.charter)
    page = render_report(bookings.rehearsal, charter=bookings.charter, served=SERVED)
    assert "What the server did" not in without
    assert "What the server did" in page
    assert "Everything answered is in the log" in page
    assert "The model did not answer in time" in page
    assert not {"not_worth_it", "worth_it", "below_cutoff", "fallback:deadline"} & set(re.findall(r"[\w:]+", page))
