"""What did the server do, as its log says? The report's part about real answers, in the house style."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.lake.served_results import Served
from trueup.observe.report.figures import count, date_text, money, number, plural, share
from trueup.observe.report.tables import Status

_LONG = 14
"""With more periods than this the table of periods is folded away."""


@dataclass(frozen=True)
class ServedPage:
    """A server's figures as texts."""

    say: str
    status: Status
    figures: tuple[tuple[str, str, str], ...]
    """Name, value, and a note."""
    reasons: tuple[tuple[str, str, str], ...]
    """Reason, cases, their share."""
    periods: tuple[tuple[str, str, str], ...]
    """Period, cases, acted on."""
    long: bool
    notes: tuple[str, ...]


def served_page(served: Served) -> ServedPage:
    """Return what the page shows; every figure is one of the record, or a sum or share of such."""
    per = str(served.capacity["per"]) if served.capacity else "day"
    return ServedPage(
        say=_said(served),
        status=_status(served),
        figures=(*_value(served), *_work(served, per)),
        reasons=tuple(
            (reason, count(cases), share(cases / served.cases, 1)) for reason, cases in served.by_reason.items()
        ),
        periods=tuple((period.label, count(period.cases), count(period.acted)) for period in served.periods),
        long=len(served.periods) > _LONG,
        notes=_notes(served),
    )


def _said(served: Served) -> str:
    if served.first is None or served.last is None:
        return "The server has answered nothing yet."
    when = f"{date_text(served.first)} to {date_text(served.last)}"
    return f"{plural(served.cases, 'case')} decided, {when}; {count(served.acted)} acted on."


def _status(served: Served) -> Status:
    if served.served == served.logged <= served.sealed:
        return Status("good", "Everything answered is in the log")
    missing = max(served.served - served.logged, served.logged - served.sealed)
    return Status("bad", f"{plural(missing, 'row')} answered and not in the log")


def _value(served: Served) -> tuple[tuple[str, str, str], ...]:
    value = served.value
    if value is None:
        return ()
    waiting = f", {count(value.unpriced)} without a score" if value.unpriced else ""
    return (
        (
            "Earned against the baseline",
            money(value.realised, served.currency),
            f"{plural(value.settled, 'case')} whose outcome is settled",
        ),
        (
            "Expected of the others",
            money(value.estimated, served.currency),
            f"Estimated for {plural(value.open, 'case')} by their scores{waiting}",
        ),
    )


def _work(served: Served, per: str) -> tuple[tuple[str, str, str], ...]:
    room = f"of {count(served.capacity['cases'])} a {per}" if served.capacity else "no capacity is agreed"
    latency = "" if served.latency_p99_ms is None else f"{number(served.latency_p99_ms)} ms for 99 of 100"
    median = "" if served.latency_p50_ms is None else f"{number(served.latency_p50_ms)} ms"
    return (
        (f"Most acted on in one {per}", count(served.most_in_period), room),
        ("Time to a recorded answer", median, latency),
    )


def _notes(served: Served) -> tuple[str, ...]:
    return (
        f"{plural(served.fallback, 'case')} decided by the signed fallback because no model answered.",
        (
            f"Servers answered {plural(served.served, 'row')} and logged {count(served.logged)}; "
            f"the log holds {count(served.sealed)}, read as far as entry {count(served.position)} of its manifest."
        ),
        (
            f"Outcomes are known for {plural(served.outcomes, 'case')}; early ones are one-sided, so a case counts as "
            "earned only once nearly all outcomes of its day are known."
        ),
    )
