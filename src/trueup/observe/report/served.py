"""What did the server do, as its log says? The report's part about real answers, in the house style."""

from __future__ import annotations

from dataclasses import dataclass

from trueup.align.streaming import (
    BELOW_CUTOFF,
    FALLBACK,
    NO_CAPACITY,
    NOT_WORTH_IT,
    OLD_RULE,
    RANDOM,
    WORTH_IT,
)
from trueup.lake.served_results import Served
from trueup.observe.report.figures import UNKNOWN, count, date_text, money, number, plural, sentence, share
from trueup.observe.report.tables import Status

_LONG = 14
"""With more periods than this the table of periods is folded away."""
_SMALLEST = 0.001
_DECISIONS = {
    WORTH_IT: ("Acted on", "Expected to pay, and to pay more than what may still come"),
    NOT_WORTH_IT: ("Left alone: not worth it", "Acting is not expected to pay"),
    BELOW_CUTOFF: ("Left alone: better cases are expected", "Acting would pay, but the capacity is kept for them"),
    NO_CAPACITY: ("Left alone: capacity used up", "Acting would pay, or the old rule asks for it"),
    OLD_RULE: ("Decided by the old rule", "The control group, drawn by chance to measure against"),
    RANDOM: ("Acted on to learn", "Drawn by chance for the part of the capacity kept for it"),
    "predicted": ("Predicted", "The model told a number or a class"),
}
_FALLBACKS = {
    "model_error": "The model failed",
    "deadline": "The model did not answer in time",
    "missing_features": "The model had not all it needs to know of the case",
    "open_circuit": "The model failed several times in a row and was left alone for a while",
    "paused": "An operator or a guardrail had the model paused",
    "no_model": "The model could not be opened",
}


@dataclass(frozen=True)
class ReasonRow:
    """How many cases were decided in one way."""

    decision: str
    why: str
    cases: str
    share: str


@dataclass(frozen=True)
class ServedPage:
    """A server's figures as texts."""

    say: str
    status: Status
    figures: tuple[tuple[str, str, str], ...]
    """Name, value, and a note."""
    reasons: tuple[ReasonRow, ...]
    periods: tuple[tuple[str, str, str], ...]
    """Period, cases, acted on."""
    per: str
    long: bool
    notes: tuple[tuple[str, str], ...]
    """What it is about, and the sentence."""


def served_page(served: Served) -> ServedPage:
    """Return what the page shows; every figure is one of the record, or a sum or share of such."""
    per = str(served.capacity["per"]) if served.capacity else "day"
    return ServedPage(
        say=_said(served),
        status=_status(served),
        figures=(*_value(served), *_work(served, per)),
        reasons=tuple(_reason(code, cases, served.cases) for code, cases in served.by_reason.items()),
        periods=tuple(
            (date_text(period.label) if per == "day" else period.label, count(period.cases), count(period.acted))
            for period in served.periods
        ),
        per=per,
        long=len(served.periods) > _LONG,
        notes=_notes(served),
    )


def _reason(code: str, cases: int, of: int) -> ReasonRow:
    kind, _, failure = code.partition(":")
    if kind == FALLBACK:
        words = ("Decided by the fallback", _FALLBACKS.get(failure, sentence(failure.replace("_", " "))))
    else:
        words = _DECISIONS.get(code, (sentence(code.replace("_", " ")), ""))
    part = cases / of
    return ReasonRow(*words, count(cases), share(part, 1) if part >= _SMALLEST else f"under {share(_SMALLEST, 1)}")


def _said(served: Served) -> str:
    if served.first is None or served.last is None:
        return "The server has answered nothing yet."
    when = f"{date_text(served.first)} to {date_text(served.last)}"
    return f"{plural(served.cases, 'case')} decided, {when}; {count(served.acted)} acted on."


def _status(served: Served) -> Status:
    missing = max(served.served, served.logged) - min(served.logged, served.sealed)
    if missing <= 0:
        return Status("good", "Everything answered is in the log")
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
            sentence(f"{plural(value.settled, 'case')} whose outcome is settled"),
        ),
        (
            "Expected of the others",
            money(value.estimated, served.currency),
            f"Estimated for {plural(value.open, 'case')} by their scores{waiting}",
        ),
    )


def _work(served: Served, per: str) -> tuple[tuple[str, str, str], ...]:
    room = f"Capacity is {count(served.capacity['cases'])} a {per}" if served.capacity else "No capacity is agreed"
    most = (f"Most acted on in one {per}", count(served.most_in_period), room)
    if served.latency_p50_ms is None or served.latency_p99_ms is None:
        return (most, ("Time to a recorded answer", sentence(UNKNOWN), "No server has answered"))
    within = f"Usually; 99 in 100 within {_ms(served.latency_p99_ms)}"
    return (most, ("Time to a recorded answer", _ms(served.latency_p50_ms), within))


def _ms(value: float) -> str:
    return f"{number(value)}\u00a0ms"


def _notes(served: Served) -> tuple[tuple[str, str], ...]:
    held = served.sealed + served.batch
    parts = f", {count(served.sealed)} of servers and {count(served.batch)} of batch runs" if served.batch else ""
    model = (
        f"{sentence(plural(served.fallback, 'case'))} decided without a model, by the signed fallback."
        if served.fallback
        else "Not needed: a model answered for every case."
    )
    return (
        ("Fallback", model),
        (
            "Answered",
            f"Servers say they answered {plural(served.served, 'row')} and wrote {count(served.logged)} to the log.",
        ),
        (
            "In the log",
            sentence(f"{plural(held, 'row')}{parts}, read as far as entry {count(served.position)} of its manifest."),
        ),
        (
            "Cases",
            f"{count(served.cases)}, each counted once with its latest decision, however often it was asked about.",
        ),
        (
            "Outcomes",
            sentence(
                f"{plural(served.outcomes, 'case')} with a known outcome. Early ones are one-sided, so a case counts "
                "as earned only once nearly all outcomes of its day are known."
            ),
        ),
    )
