"""How does a rehearsal become one HTML file that a sponsor can read, hand on and print?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from trueup.align.charter import Charter, PayoffMatrix
from trueup.lake.rehearsals import Notice, Rehearsal, Strategy
from trueup.lake.served_results import Served
from trueup.observe.report import figures
from trueup.observe.report.answer import (
    answer_of,
    baseline_phrase,
    compared_strategy,
    earned_word,
    recommended_strategy,
)
from trueup.observe.report.foreseen import contradiction_rows, foreseen_auc, foreseen_rows, foreseen_value, range_hits
from trueup.observe.report.incidents import incident_rows
from trueup.observe.report.served import served_page
from trueup.observe.report.tables import (
    bullet_of,
    drift_rows,
    event_rows,
    guard_rows,
    kpi_rows,
    strategy_rows,
    window_rows,
)
from trueup.observe.report.trends import performance_by_window, value_added_up, value_by_window, window_noun

if TYPE_CHECKING:
    from jinja2 import Environment

_NOTICES = {
    "data.leakage-suspected": "gives the outcome away",
    "data.labels-immature": "Outcomes that arrive early are unlike those that arrive late",
    "data.duplicate-rows": "Some rows are there twice",
    "data.constant-column": "never changes",
    "data.blanks": "has blanks",
}
_LONG = 24
"""With more windows than this the table is folded away."""
_MANY_EVENTS = 12
"""With more events than this only those out of the ordinary stay unfolded."""


@dataclass(frozen=True)
class Figure:
    """One of the four figures under the answer."""

    name: str
    value: str
    small: str
    note: str


@dataclass(frozen=True)
class Ask:
    """What the reader is asked to do."""

    title: str
    text: str


@dataclass(frozen=True)
class Warned:
    """A warning in plain words."""

    title: str
    message: str
    effect: str
    code: str


@dataclass(frozen=True)
class Worth:
    """One cell of the table of what a decision is worth."""

    name: str
    amount: str
    is_expression: bool


def render_report(
    rehearsal: Rehearsal, *, charter: Charter, notes: Mapping[str, str] | None = None, served: Served | None = None
) -> str:
    """Return the sponsor's report as one HTML document.

    Parameters
    ----------
    rehearsal : Rehearsal
        The result to show. Nothing is computed anew except differences, sums over windows and net intervals.
    charter : Charter
        The agreement it was rehearsed under; says what a decision is worth and what the baseline is.
    notes : mapping of str to str, optional
        Further lines for "How it was computed", by their name.
    served : Served, optional
        What the prediction server did since; None where nothing was served.

    Returns
    -------
    str
        Complete HTML: no script, no request to anywhere, the same text for the same arguments.
    """
    page = _environment(rehearsal.currency).get_template("report.html")
    css = (files("trueup.observe.report") / "report.css").read_text(encoding="utf-8")
    told = served_page(served) if served is not None else None
    return page.render(**_context(rehearsal, charter), css=css, notes=dict(notes or {}), served=told)


def _context(rehearsal: Rehearsal, charter: Charter) -> dict[str, Any]:
    """Return everything the template shows, by name."""
    chosen = recommended_strategy(rehearsal)
    trends = [value_by_window(rehearsal, chosen), value_added_up(rehearsal, chosen)] if chosen else []
    foreseen = foreseen_rows(rehearsal, chosen) if chosen else ()
    return {
        "r": rehearsal,
        "charter": charter,
        "answer": answer_of(rehearsal, charter),
        "baseline": baseline_phrase(rehearsal, charter),
        "chosen": chosen,
        "other": compared_strategy(rehearsal, chosen) if chosen else None,
        "decides": chosen is not None and chosen.cases_acted is not None,
        "window_noun": window_noun(chosen.windows) if chosen else "window",
        "per": str(rehearsal.capacity.get("per", "period")) if rehearsal.capacity else "period",
        "figures": _figures(rehearsal, chosen),
        "asks": _asks(rehearsal, charter),
        "trends": [trend for trend in trends if trend],
        "strategies": strategy_rows(rehearsal, chosen),
        "bullet": bullet_of(chosen, compared_strategy(rehearsal, chosen)) if chosen else None,
        "windows": window_rows(rehearsal, chosen) if chosen else (),
        "foreseen": foreseen,
        "range_hits": range_hits(foreseen),
        "foreseen_value": foreseen_value(rehearsal, chosen) if chosen else None,
        "foreseen_auc": foreseen_auc(chosen) if chosen else None,
        "contradicted": contradiction_rows(chosen) if chosen else (),
        "kpis": kpi_rows(chosen, charter) if chosen else (),
        "guards": guard_rows(chosen) if chosen else (),
        "events": event_rows(chosen.releases) if chosen else (),
        "warned": [_warned(notice) for notice in rehearsal.warnings],
        "drift": drift_rows(rehearsal),
        "incidents": incident_rows(rehearsal),
        "worth": _worth(charter, rehearsal.currency),
        "performance": performance_by_window(rehearsal, chosen) if chosen else None,
        "candidates": _candidates(rehearsal),
        "facts": _facts(rehearsal),
        "long": _LONG,
        "many_events": _MANY_EVENTS,
    }


def _figures(rehearsal: Rehearsal, chosen: Strategy | None) -> tuple[Figure, ...]:
    if chosen is None:
        return ()
    amount = partial(figures.short_money, currency=rehearsal.currency)
    other = compared_strategy(rehearsal, chosen)
    tick = f"The tick is {other.name}, {amount(other.net_value)}" if other else "After what its retrainings cost"
    verb = earned_word(rehearsal, chosen.net_value).capitalize()
    shown = abs(chosen.net_value) if verb == "Lost" else chosen.net_value
    first = Figure(f"{verb}, after retraining cost", amount(shown), "", tick)
    return (first, *_difference(rehearsal, chosen), *_work(rehearsal, chosen))


def _difference(rehearsal: Rehearsal, chosen: Strategy) -> tuple[Figure, ...]:
    other = compared_strategy(rehearsal, chosen)
    if other is None:
        return ()
    gap = figures.short_money(chosen.net_value - other.net_value, rehearsal.currency, signed=True)
    name = "Against never retraining" if other.name == "never" else "Against the next best"
    paid = figures.money(chosen.retraining_cost, rehearsal.currency)
    return (Figure(name, gap, "", _paid(chosen, paid)),)


def _work(rehearsal: Rehearsal, chosen: Strategy) -> tuple[Figure, ...]:
    """Return cases acted on and what one more would bring; without decisions, rows and how many outcomes are in."""
    if chosen.cases_acted is None:
        rows = sum(w.rows for w in chosen.windows)
        known = sum(w.rows * w.label_maturity for w in chosen.windows) / rows if rows else None
        return (
            Figure("Cases predicted", figures.count(rehearsal.rows), "", f"{figures.count(rehearsal.turns)} turns"),
            Figure(
                "Outcomes in", figures.share(known), "", "All final" if known == 1 else "The rest was open at the end"
            ),
        )
    capacity = rehearsal.capacity or {}
    per = str(capacity.get("per", "period"))
    room = f"of {figures.count(capacity['cases'])} a {per}" if "cases" in capacity else ""
    filled = "" if chosen.capacity_filled is None else f"{figures.share(chosen.capacity_filled)} of the capacity used"
    acted = Figure("Cases acted on", figures.count(chosen.cases_acted), "", filled)
    if chosen.value_of_one_more_case is not None:
        worth = figures.short_money(chosen.value_of_one_more_case, rehearsal.currency, signed=True)
        return acted, Figure(f"One more case a {per}", worth, f"a {per}", "What it would have brought")
    most = "" if chosen.max_cases_in_period is None else figures.count(chosen.max_cases_in_period)
    return (acted, Figure(f"Most in one {per}", most, room, "Never more than the capacity")) if most else (acted,)


def _paid(chosen: Strategy, paid: str) -> str:
    count = _refits(chosen)
    return f"{figures.plural(count, 'retraining')} for {paid}, already paid" if count else "without a single retraining"


def _refits(strategy: Strategy) -> int:
    return sum(release.kind in ("retrained", "refused") for release in strategy.releases)


def _asks(rehearsal: Rehearsal, charter: Charter) -> tuple[Ask, ...]:
    asks = []
    promise = rehearsal.promise
    chosen = recommended_strategy(rehearsal)
    if chosen is not None and chosen.net_value <= 0:
        asks.append(Ask("Do not put it live", "No way of running it that was rehearsed is worth its cost."))
    elif (
        not rehearsal.suspected_features
        and promise
        and isinstance(promise.get("value"), int | float)
        and promise["value"] > 0
    ):
        likely = _likely(promise.get("interval"), rehearsal.currency)
        amount = figures.short_money(float(promise["value"]), rehearsal.currency)
        asks.append(Ask("Sign the promise", f"{amount} a {promise.get('per', 'period')}.{likely}"))
    leaks = rehearsal.suspected_features
    if leaks:
        names = figures.plural(len(leaks), "column")
        asks.insert(
            0,
            Ask(
                "Confirm what is known when deciding",
                f"{names} may be written after the decision, see “What to know about the data”.",
            ),
        )
    if charter.action == "prevents" and charter.success_share is not None:
        tried = (
            f"{figures.share(charter.success_share)} of the cases acted on are assumed to turn out well because of it."
        )
        asks.append(Ask("Confirm the share that succeeds", tried))
    return tuple(asks)


def _likely(interval: object, currency: str) -> str:
    if not isinstance(interval, list | tuple) or len(interval) != 2:
        return ""
    return f" Likely {figures.money_range(float(interval[0]), float(interval[1]), currency)} (9 chances in 10)."


def _warned(notice: Notice) -> Warned:
    words = _NOTICES.get(notice.code, "")
    if notice.column and (not words or words[0].islower()):
        title = f"“{notice.column}” {words or 'needs a look'}"
    else:
        title = words if words and not words[0].islower() else "Something to know about the data"
    effect = "" if notice.effect is None else ("+" if notice.effect > 0 else "") + figures.number(notice.effect)
    return Warned(title, notice.message, effect, notice.code)


def _worth(charter: Charter, currency: str) -> tuple[Worth, ...]:
    """Return true positive, false positive, false negative, true negative; or the one expression per case."""
    payoff = charter.payoff
    if isinstance(payoff, PayoffMatrix):
        names = ("Rightly acted on", "False alarm", "Missed", "Rightly let pass")
        texts = (payoff.true_positive, payoff.false_positive, payoff.false_negative, payoff.true_negative)
        return tuple(_amount(name, text, currency) for name, text in zip(names, texts, strict=True))
    return (_amount("Each case", payoff.per_case, currency),)


def _amount(name: str, text: str, currency: str) -> Worth:
    try:
        return Worth(name, figures.money(float(text), currency), False)
    except ValueError:
        return Worth(name, text, True)


def _candidates(rehearsal: Rehearsal) -> tuple[tuple[str, ...], list[list[str]]]:
    """Return column names and texts of guided training's comparison, in the order of the record."""
    columns = tuple(dict.fromkeys(key for candidate in rehearsal.candidates for key in candidate))
    rows = [[_measured(key, c.get(key), rehearsal.currency) for key in columns] for c in rehearsal.candidates]
    return columns, rows


def _measured(name: str, value: object, currency: str) -> str:
    """Return a figure of a candidate: values and intervals of value are money."""
    if name in ("value", "interval", "value_interval", "net_value"):
        if isinstance(value, list | tuple) and len(value) == 2:
            return figures.money_range(float(value[0]), float(value[1]), currency)
        if isinstance(value, int | float):
            return figures.money(float(value), currency)
    return _plain(value)


def _facts(rehearsal: Rehearsal) -> dict[str, str]:
    return {name: _plain(value) for name, value in rehearsal.facts.items()}


def _plain(value: object) -> str:
    """Return foreign data, as in `facts`, as text for a table."""
    text = str(value)
    if value is None:
        text = ""
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, int):
        text = figures.count(value)
    elif isinstance(value, float):
        text = figures.number(value)
    elif isinstance(value, list | tuple):
        joint = " to " if len(value) == 2 and all(isinstance(v, int | float) for v in value) else ", "
        text = joint.join(_plain(v) for v in value)
    elif isinstance(value, dict):
        text = ", ".join(f"{key}: {_plain(v)}" for key, v in value.items())
    return text


def _environment(currency: str) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("trueup.observe.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "money": partial(figures.money, currency=currency),
        "short": partial(figures.short_money, currency=currency),
        "span": figures.money_range,
        "count": figures.count,
        "share": figures.share,
        "number": figures.number,
        "date": figures.date_text,
        "words": lambda text: str(text).replace("_", " "),
        "plural": figures.plural,
    }
    return environment
