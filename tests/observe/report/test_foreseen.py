"""The report shows what was expected beside what came, and where outcomes proved an estimate wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import pytest

from trueup.align.charter import Charter
from trueup.lake.estimates import Contradiction, Estimate, Figures, FinalValue
from trueup.lake.rehearsals import Rehearsal, Strategy, Window
from trueup.observe.report.foreseen import contradiction_rows, foreseen_auc, foreseen_rows, foreseen_value, range_hits
from trueup.observe.report.render import render_report


class Sample(Protocol):
    @property
    def rehearsal(self) -> Rehearsal: ...
    @property
    def charter(self) -> Charter: ...


def estimated(window: Window, *, status: str, low: float, high: float) -> Window:
    middle = (low + high) / 2
    estimate = Estimate(
        at=window.end,
        status=status,
        reason="12 final outcomes do not contradict it",
        expected=Figures(window.rows, auc=0.8, value=middle),
        realised=Figures(window.rows, auc=window.auc, value=window.value),
        at_end=FinalValue(window.end, 0.1, 900.0, middle, (low, high)),
        now=FinalValue("2016-10-01", window.label_maturity, window.value or 0.0, middle, (low, high)),
    )
    return replace(window, estimate=estimate)


@pytest.fixture
def foreseen(bookings: Sample) -> tuple[Rehearsal, Strategy]:
    """Return October 2015 (earned 21,400) within its range, November (20,100) above, December (19,900) below."""
    monthly = next(s for s in bookings.rehearsal.strategies if s.name == "monthly")
    ranges = [(20_000.0, 23_000.0), (10_000.0, 20_000.0), (20_000.0, 30_000.0)]
    statuses = ["unchecked", "holds", "contradicted"]
    first = [
        estimated(w, status=status, low=low, high=high)
        for w, status, (low, high) in zip(monthly.windows, statuses, ranges, strict=False)
    ]
    last = estimated(monthly.windows[-1], status="too_few", low=6_000.0, high=19_000.0)
    chosen = replace(
        monthly,
        windows=(*first, *monthly.windows[3:-1], last),
        contradictions=(Contradiction("monthly-2", "2015-12-20", "2015-11-05", 45.2, 31, 0.5, 0.2, "of 31 cases"),),
    )
    strategies = tuple(chosen if s is monthly else s for s in bookings.rehearsal.strategies)
    return replace(bookings.rehearsal, strategies=strategies), chosen


def test_every_settled_window_says_whether_its_value_came_within_the_range(
    foreseen: tuple[Rehearsal, Strategy],
) -> None:
    rows = foreseen_rows(*foreseen)
    assert [row.verdict for row in rows] == ["within the range", "above the range", "below the range", ""]
    assert [row.status.text for row in rows] == ["Not checked yet", "Not contradicted", "Contradicted", "Too few"]
    assert [row.settled for row in rows] == [True, True, True, False]


def test_hindsight_stands_before_what_could_be_said_at_the_end(foreseen: tuple[Rehearsal, Strategy]) -> None:
    rehearsal, chosen = foreseen
    judged = [
        replace(w, estimate=replace(w.estimate, came_true=true, hindsight=why))
        for w, (true, why) in zip(
            chosen.windows[:3],
            [(True, "as expected"), (False, "AUC 0.78 was expected, 0.96 came"), (None, "")],
            strict=True,
        )
        if w.estimate is not None
    ]
    rows = foreseen_rows(rehearsal, replace(chosen, windows=(*judged, chosen.windows[-1])))
    assert [row.status.text for row in rows] == ["Came true", "Did not come true", "Contradicted", "Too few"]
    assert rows[0].why == "not checked yet at its end"
    assert rows[1].why == "AUC 0.78 was expected, 0.96 came; not contradicted at its end"
    assert range_hits(rows) == "1 of 3 settled windows came within the range."


def test_a_contradiction_has_the_name_of_its_mark_and_its_delay(foreseen: tuple[Rehearsal, Strategy]) -> None:
    (row,) = contradiction_rows(foreseen[1])
    assert (row.name, row.delay, row.text) == ("C1", "45 days", "Of 31 cases.")
    trend = foreseen_value(*foreseen)
    assert trend is not None
    assert ">C1<" in trend.wide


def test_the_charts_stand_beside_their_figures(foreseen: tuple[Rehearsal, Strategy]) -> None:
    rehearsal, chosen = foreseen
    value, auc = foreseen_value(rehearsal, chosen), foreseen_auc(chosen)
    assert value is not None
    assert auc is not None
    assert value.rows[0] == ("Oct 2015", "€21,400", "€21,500", "€20,000", "€23,000", "Not checked yet")
    assert auc.rows[0] == ("Oct 2015", "0.860", "0.800", "Not checked yet")


def test_the_report_tells_the_delay_the_range_and_what_an_open_window_will_come_to(
    foreseen: tuple[Rehearsal, Strategy], bookings: Sample
) -> None:
    page = render_report(foreseen[0], charter=bookings.charter).replace("\u00a0", " ")
    assert "monthly-2 no longer came true, proved on 20 Dec 2015" in page
    assert "<b>45 days</b>" in page
    assert "expected, €6.0 k to €19 k; so far €6.1 k" in page


def test_without_estimates_nothing_is_shown(bookings: Sample) -> None:
    monthly = next(s for s in bookings.rehearsal.strategies if s.name == "monthly")
    assert foreseen_value(bookings.rehearsal, monthly) is None
    assert foreseen_auc(monthly) is None
    assert "Expected before outcomes were in" not in render_report(bookings.rehearsal, charter=bookings.charter)
