"""What was expected of each window before its outcomes were in, what came, and was the estimate contradicted?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trueup.lake.estimates import Contradiction, Estimate
from trueup.lake.rehearsals import Rehearsal, Strategy, Window
from trueup.observe.estimates import MATURE, beside_range
from trueup.observe.report.charts import Frame, Line, Mark
from trueup.observe.report.figures import UNKNOWN, axis_money, money, money_range, number, plural, window_text
from trueup.observe.report.tables import Status
from trueup.observe.report.trends import Entry, Trend, make_trend, place_of, window_labels, window_noun

_STATUS = {
    "holds": Status("good", "Not contradicted"),
    "unchecked": Status("idle", "Not checked yet"),
    "contradicted": Status("bad", "Contradicted"),
    "outside": Status("warn", "A guess"),
    "too_few": Status("idle", "Too few"),
}


@dataclass(frozen=True)
class ForeseenRow:
    """A window as it stood at its end, beside what is known now."""

    label: str
    estimate: Estimate
    filled: float
    """Percentage of its outcomes that are in now, for the meter."""
    settled: bool
    """Whether so many outcomes are in that the value counts as known."""
    then_range: str
    now_range: str
    verdict: str
    """Whether the value came to lie within the range."""
    status: Status
    why: str


@dataclass(frozen=True)
class ContradictionRow:
    """A contradicted estimate, with the name of its mark on the chart."""

    name: str
    fact: Contradiction
    text: str
    delay: str


def foreseen_rows(rehearsal: Rehearsal, chosen: Strategy) -> tuple[ForeseenRow, ...]:
    """Return the windows that something was said about; empty where scores are no probabilities."""
    return tuple(_row(w, w.estimate, rehearsal.currency) for w in chosen.windows if w.estimate is not None)


def contradiction_rows(chosen: Strategy) -> tuple[ContradictionRow, ...]:
    """Return the contradicted estimates of the models that decided, in order, numbered as on the chart."""
    return tuple(
        ContradictionRow(f"C{i}", c, f"{c.reason[:1].upper()}{c.reason[1:]}.", plural(round(c.delay_days), "day"))
        for i, c in enumerate(chosen.contradictions, start=1)
    )


def foreseen_value(rehearsal: Rehearsal, chosen: Strategy) -> Trend | None:
    """Return the value expected at each window's end, its range, and the value that came."""
    windows = chosen.windows
    ends = [w.estimate.at_end if w.estimate else None for w in windows]
    if not any(end and end.expected is not None for end in ends):
        return None
    came = _points([w.value if w.label_maturity >= MATURE else None for w in windows])
    lines = [
        Line("came", came, "actual", 2.0, label="Came"),
        Line("expected", _points([e.expected if e else None for e in ends]), "second", label="Expected"),
        Line("low", _points([e.interval[0] if e and e.interval else None for e in ends]), "second", 1.0, (2, 4)),
        Line("high", _points([e.interval[1] if e and e.interval else None for e in ends]), "second", 1.0, (2, 4)),
    ]
    legend = [
        Entry("actual", "Value, outcomes known"),
        Entry("second", "Expected before outcomes were in"),
        Entry("second-range", "Its likely range, 9 chances in 10"),
        Entry("base", "Baseline"),
    ]
    frame = Frame(window_labels(windows), lambda y: axis_money(y, rehearsal.currency), zero="Baseline")
    rows = tuple(
        (
            label,
            *(money(line.points[i][1], rehearsal.currency) for line in lines),
            _said(windows[i]),
        )
        for i, label in enumerate(window_labels(windows))
    )
    noun = window_noun(windows)
    return make_trend(
        "foreseen-value",
        "Expected and realised",
        f"Value of {chosen.name} as expected at the end of each {noun}, and as it came",
        lines,
        frame=frame,
        marks=_marks(chosen),
        legend=[*legend, *_mark_entry(chosen)],
        columns=("Window", "Came", "Expected", "Low", "High", "The estimate"),
        rows=rows,
    )


def foreseen_auc(chosen: Strategy) -> Trend | None:
    """Return AUC estimated without outcomes beside AUC realised, by window."""
    windows = chosen.windows
    expected = _points([w.estimate.expected.auc if w.estimate else None for w in windows])
    if not any(y is not None for _, y in expected):
        return None
    came = _points([w.auc if w.label_maturity >= MATURE else None for w in windows])
    lines = [
        Line("realised", came, "actual", 2.0, label="Realised"),
        Line("estimated", expected, "second", label="Estimated"),
    ]
    return make_trend(
        "foreseen-auc",
        f"AUC estimated and realised, by {window_noun(windows)}",
        "Estimated at the end of each window from calibrated scores, without its outcomes",
        lines,
        frame=Frame(window_labels(windows), lambda y: f"{y:.9g}"),
        marks=_marks(chosen),
        legend=(Entry("actual", "Realised"), Entry("second", "Estimated"), *_mark_entry(chosen)),
        columns=("Window", "Realised", "Estimated", "The estimate"),
        rows=tuple(
            (label, _plain(came[i][1]), _plain(expected[i][1]), _said(windows[i]))
            for i, label in enumerate(window_labels(windows))
        ),
    )


def _row(window: Window, estimate: Estimate, currency: str) -> ForeseenRow:
    settled = estimate.now.final_share >= MATURE
    return ForeseenRow(
        label=window_text(window.start, window.end),
        estimate=estimate,
        filled=round(estimate.now.final_share * 100, 1),
        settled=settled,
        then_range=_range(estimate.at_end.interval, currency),
        now_range=_range(estimate.now.interval, currency),
        verdict=_verdict(estimate) if settled else "",
        status=_status(estimate),
        why=_why(estimate),
    )


def _status(estimate: Estimate) -> Status:
    """Return what became of the estimate where that is known, else what could be said of it at the window's end."""
    if estimate.came_true is None or estimate.status == "contradicted":
        return _STATUS.get(estimate.status, Status("idle", estimate.status))
    return Status("good", "Came true") if estimate.came_true else Status("bad", "Did not come true")


def _why(estimate: Estimate) -> str:
    if estimate.came_true is None:
        return "" if estimate.status == "contradicted" else estimate.reason
    then = _STATUS[estimate.status].text.lower() if estimate.status in _STATUS else estimate.status
    said = estimate.hindsight if not estimate.came_true else ""
    return said if estimate.status == "contradicted" else "; ".join(filter(None, (said, f"{then} at its end")))


def range_hits(rows: Sequence[ForeseenRow]) -> str:
    """Return how often the value came within its range, in words; empty where no window is settled."""
    judged = [row for row in rows if row.verdict]
    hits = sum(row.verdict == "within the range" for row in judged)
    return f"{hits} of {plural(len(judged), 'settled window')} came within the range." if judged else ""


def _verdict(estimate: Estimate) -> str:
    value, interval = estimate.realised.value, estimate.at_end.interval
    return "" if value is None or interval is None else f"{beside_range(value, interval)} the range"


def _range(interval: tuple[float, float] | None, currency: str) -> str:
    return UNKNOWN if interval is None else money_range(*interval, currency)


def _points(values: Sequence[float | None]) -> tuple[tuple[float, float | None], ...]:
    return tuple((float(i), y if y is not None and math.isfinite(y) else None) for i, y in enumerate(values))


def _plain(value: float | None) -> str:
    return UNKNOWN if value is None else number(value, 3)


def _said(window: Window) -> str:
    return UNKNOWN if window.estimate is None else _status(window.estimate).text


def _marks(chosen: Strategy) -> list[Mark]:
    """Return a mark where each contradiction was proved."""
    places = [(row.name, place_of(row.fact.at, chosen.windows)) for row in contradiction_rows(chosen)]
    return [Mark(place, name, bad=True) for name, place in places if place is not None]


def _mark_entry(chosen: Strategy) -> tuple[Entry, ...]:
    return (Entry("mark", "C1, C2 … outcomes proved an estimate wrong"),) if _marks(chosen) else ()
