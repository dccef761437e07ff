"""Which rows do the report's tables have, and how are their figures placed in small plots?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trueup.align.charter import Charter
from trueup.lake.rehearsals import FeatureDrift, GuardResult, KpiResult, Rehearsal, Release, Strategy, Window
from trueup.observe.estimates import MATURE
from trueup.observe.report.answer import compared_strategy, net_interval
from trueup.observe.report.figures import date_text, limit_parts, limit_text, plural, ratio, window_text

NEAR_LIMIT = 0.9
"""From this share of a limit on a guardrail is called near it."""


@dataclass(frozen=True)
class Status:
    """A pill: its colour class and its words."""

    tone: str
    text: str


@dataclass(frozen=True)
class StrategyRow:
    """A strategy with the places of its range, in per cent of the plot's width."""

    strategy: Strategy
    low: float
    high: float
    at_low: float
    at_net: float
    at_high: float
    at_zero: float
    status: Status

    @property
    def length(self) -> float:
        """Return the width of the range in per cent."""
        return round(self.at_high - self.at_low, 2)


@dataclass(frozen=True)
class Bullet:
    """The recommended net value as a bar from 0, its range as a line, the compared one as a tick; in per cent."""

    start: float
    width: float
    low: float
    range_width: float
    tick: float | None


@dataclass(frozen=True)
class WindowRow:
    """A window of the recommended strategy beside the same window of the compared one."""

    label: str
    window: Window
    other: float | None
    filled: float
    """Percentage of the outcomes that are in, for the meter."""

    @property
    def open(self) -> bool:
        """Return whether so many outcomes are missing that the value is only what is known so far."""
        return self.window.value is not None and self.window.label_maturity < MATURE


@dataclass(frozen=True)
class CheckRow:
    """A KPI or a guardrail."""

    name: str
    value: str
    limit: str
    used: float | None
    """Percentage of the limit used, 0 to 100, for the meter."""
    note: str
    status: Status


@dataclass(frozen=True)
class EventRow:
    """A release, a refusal or a return, numbered as on the chart."""

    release: Release
    name: str
    tone: str
    title: str


@dataclass(frozen=True)
class DriftRow:
    """A feature that moved, with the length of its bar in per cent."""

    drift: FeatureDrift
    window: str
    bar: float
    in_window: float | None
    """Effect on all cases of that window, in the currency."""


def strategy_rows(rehearsal: Rehearsal, chosen: Strategy | None) -> tuple[StrategyRow, ...]:
    """Return the strategies, the best net value first, with all ranges on one scale that includes 0."""
    ordered = sorted(rehearsal.strategies, key=lambda s: (s is not chosen, -s.net_value))
    ends = [end for s in ordered for end in (*net_interval(s), s.net_value) if math.isfinite(end)]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return round(3 + (value - low) / span * 94, 2) if math.isfinite(value) else 3.0

    rows = []
    for s in ordered:
        lower, upper = net_interval(s)
        status = _chosen_status(s) if s.name == rehearsal.recommended else _compared(s, chosen)
        rows.append(StrategyRow(s, lower, upper, place(lower), place(s.net_value), place(upper), place(0.0), status))
    return tuple(rows)


def bullet_of(chosen: Strategy, other: Strategy | None) -> Bullet:
    """Return the places of the bullet under the first figure, on a scale that holds 0 and every end."""
    low, high = net_interval(chosen)
    ends = [0.0, low, high, chosen.net_value, *([other.net_value] if other else [])]
    ends = [end for end in ends if math.isfinite(end)]
    first = min(ends)
    span = ((max(ends) - first) or 1.0) * 1.04

    def place(value: float) -> float:
        return round((value - first) / span * 100, 2) if math.isfinite(value) else 0.0

    bar = sorted((place(0.0), place(chosen.net_value)))
    return Bullet(
        start=bar[0],
        width=round(bar[1] - bar[0], 2),
        low=place(low),
        range_width=round(place(high) - place(low), 2),
        tick=place(other.net_value) if other else None,
    )


def _chosen_status(strategy: Strategy) -> Status:
    return Status("info", "Recommended") if strategy.net_value > 0 else Status("bad", "Best, not worth it")


def _compared(strategy: Strategy, chosen: Strategy | None) -> Status:
    if chosen is None or strategy is chosen:
        return Status("idle", "Best of these")
    if strategy.net_value <= 0:
        return Status("bad", "Not worth it")
    return Status("idle", "Earns less" if strategy.net_value < chosen.net_value else "Not chosen")


def window_rows(rehearsal: Rehearsal, chosen: Strategy) -> tuple[WindowRow, ...]:
    """Return the windows of the recommended strategy."""
    other = compared_strategy(rehearsal, chosen)
    beside = {w.start: w.value for w in other.windows} if other else {}
    return tuple(
        WindowRow(window_text(w.start, w.end), w, beside.get(w.start), round(_within(w.label_maturity) * 100, 1))
        for w in chosen.windows
    )


def kpi_rows(chosen: Strategy, charter: Charter) -> tuple[CheckRow, ...]:
    """Return the KPIs against their targets."""
    shares = {k.name for k in charter.kpis if _is_ratio_of_counts(k.sql)}
    return tuple(_kpi_row(kpi, as_share=kpi.name in shares) for kpi in chosen.kpis)


def _kpi_row(kpi: KpiResult, *, as_share: bool) -> CheckRow:
    as_share = as_share and (kpi.value is None or 0 <= kpi.value <= 1)
    status = Status("idle", "Watched")
    if kpi.value is None:
        status = Status("idle", "Not known")
    elif kpi.met is not None:
        status = Status("good", "Met") if kpi.met else Status("bad", "Missed")
    target = limit_text(kpi.target, as_share=as_share) if kpi.target else "none"
    return CheckRow(kpi.name, ratio(kpi.value, as_share=as_share), target, None, "", status)


def _is_ratio_of_counts(sql: str) -> bool:
    text = sql.lower()
    return "/" in text and text.count("count(") >= 2 and "sum(" not in text


def guard_rows(chosen: Strategy) -> tuple[CheckRow, ...]:
    """Return the guardrails with how much of each limit was used."""
    return tuple(_guard_row(guard) for guard in chosen.guards)


def _guard_row(guard: GuardResult) -> CheckRow:
    used = _limit_used(guard)
    parts = limit_parts(guard.limit)
    as_share = parts is not None and 0 < parts[1] < 1
    if guard.breaches:
        status = Status("bad", f"Broken {plural(guard.breaches, 'time')}")
    elif used is None:
        status = Status("idle", "Not known")
    elif used > 1:
        status = Status("bad", "Over limit")
    else:
        status = Status("warn", "Near limit") if used >= NEAR_LIMIT else Status("good", "Within")
    note = {"rollback": "If broken: back to the last release", "fallback": "If broken: the fallback decides",
            "alert": "If broken: people are told"}.get(guard.breach, "")  # fmt: skip
    value = ratio(guard.value, as_share=as_share)
    bar = None if used is None else round(_within(used) * 100, 1)
    return CheckRow(guard.name, value, limit_text(guard.limit, as_share=as_share), bar, note, status)


def _limit_used(guard: GuardResult) -> float | None:
    """Return the share of the limit that is used: value over limit, or limit over value for a lower bound."""
    parts = limit_parts(guard.limit)
    if parts is None or guard.value is None or not math.isfinite(guard.value):
        return None
    operator, limit = parts
    above, below = (guard.value, limit) if operator.startswith("<") else (limit, guard.value)
    if below <= 0:
        return None if above <= below else 2.0
    return max(0.0, above / below)


def event_rows(releases: Sequence[Release]) -> tuple[EventRow, ...]:
    """Return what changed, in order, with the numbers of the chart's marks."""
    rows, live = [], 0
    for release in releases:
        live += release.kind in ("first", "retrained")
        name, tone, title = {
            "first": (f"R{live}", "info", f"Release {live}, the first model"),
            "retrained": (f"R{live}", "", f"Release {live}, refitted"),
            "refused": ("", "warn", "A refitted model was refused"),
            "rollback": ("back", "bad", "Back to an earlier release"),
        }.get(release.kind, ("", "", release.kind))
        rows.append(EventRow(release, name, tone, title))
    return tuple(rows)


def drift_rows(rehearsal: Rehearsal, shown: int = 12) -> tuple[DriftRow, ...]:
    """Return the features that moved, the largest sure loss first, then by effect, then by shift."""
    labels = {w.start: window_text(w.start, w.end) for s in rehearsal.strategies for w in s.windows}
    cases = {w.start: w.rows for s in rehearsal.strategies for w in s.windows}
    worst: dict[str, FeatureDrift] = {}
    for drift in sorted(rehearsal.drift, key=_drift_order):
        worst.setdefault(drift.feature, drift)
    return tuple(
        DriftRow(
            drift=d,
            window=labels.get(d.window, date_text(d.window)),
            bar=round(_within(d.shift) * 100, 1),
            in_window=None
            if d.effect_on_value is None or d.window not in cases
            else d.effect_on_value * cases[d.window],
        )
        for d in list(worst.values())[:shown]
    )


def _times(effect: float, cases: int | None) -> float | None:
    return None if cases is None else effect * cases


def _drift_order(drift: FeatureDrift) -> tuple[bool, float, float, str, str]:
    effect = abs(drift.effect_on_value) if drift.effect_on_value is not None else -1.0
    return (not drift.beyond_chance, -effect, -drift.shift, drift.feature, drift.window)


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
