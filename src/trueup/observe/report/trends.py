"""Which lines show how the rehearsal went, window by window?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trueup.lake.rehearsals import Rehearsal, Release, Strategy, Window
from trueup.observe.estimates import MATURE
from trueup.observe.report.answer import compared_strategy
from trueup.observe.report.charts import ALTERNATIVES, NARROW, WIDE, Frame, Line, Mark, draw, line_chart
from trueup.observe.report.figures import UNKNOWN, axis_money, day, money, number, share, short_money, window_text


@dataclass(frozen=True)
class Entry:
    """One line of a legend; `style` is a class of the stylesheet."""

    style: str
    text: str


@dataclass(frozen=True)
class Trend:
    """A chart in two sizes with its legend and its table."""

    name: str
    title: str
    caption: str
    wide: str
    narrow: str
    legend: tuple[Entry, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def value_by_window(rehearsal: Rehearsal, chosen: Strategy) -> Trend | None:
    """Return value per window of the recommended strategy beside the one it is compared with; None without windows."""
    if not chosen.windows:
        return None
    other = compared_strategy(rehearsal, chosen)
    confirmed, estimated = _split(chosen.windows)
    last = _last_known(confirmed, estimated)
    guessed = last is not None and confirmed[-1][1] is None
    lines = [Line("actual", confirmed, "actual", 2.0, label="" if guessed else chosen.name)]
    legend = [Entry("actual", f"{chosen.name}, outcomes known")]
    if any(y is not None for _, y in estimated):
        lines.append(Line("estimated", estimated, "actual", 2.0, (2, 4), chosen.name if guessed else ""))
        legend.append(Entry("est", "Estimated: not all outcomes are in yet"))
    if other is not None:
        points = tuple((float(i), w.value) for i, w in enumerate(other.windows))
        lines.append(Line("other", points, "second", label=other.name))
        legend.append(Entry("second", other.name))
    level = _promise_level(rehearsal, chosen)
    if level:
        legend.append(Entry("promise", f"Promise: {level[1]}"))
    legend.append(Entry("base", "Baseline"))
    marks = _marks(chosen.releases, chosen.windows)
    if marks:
        legend.append(Entry("mark", "R1, R2 … releases, listed below"))
    frame = Frame(
        window_labels(chosen.windows),
        lambda y: axis_money(y, rehearsal.currency),
        zero="Baseline",
        level=(level[0], "Promise") if level else None,
    )
    columns, rows = _value_table(rehearsal)
    noun = window_noun(chosen.windows)
    return make_trend(
        "value",
        f"Value, {noun} by {noun}",
        f"What {chosen.name}{f' and {other.name}' if other else ''} would have brought against the baseline",
        lines, frame=frame, marks=marks, legend=legend, columns=columns, rows=rows,
    )  # fmt: skip


def value_added_up(rehearsal: Rehearsal, chosen: Strategy) -> Trend | None:
    """Return the value of every strategy added up over the windows; None without windows."""
    if not chosen.windows:
        return None
    lines, legend = [], []
    for strategy, colour in _coloured(rehearsal, chosen):
        total, points = 0.0, []
        for i, window in enumerate(strategy.windows):
            total += window.value if window.value is not None and math.isfinite(window.value) else 0.0
            points.append((float(i), total))
        if not points:
            continue
        lines.append(
            Line(strategy.name, tuple(points), colour, 2.0 if strategy is chosen else 1.5, label=strategy.name)
        )
        legend.append(Entry(colour, strategy.name))
    legend.append(Entry("base", "Baseline"))
    frame = Frame(window_labels(chosen.windows), lambda y: axis_money(y, rehearsal.currency), zero="Baseline")
    columns = ("Window", *(line.name for line in lines))
    rows = tuple(
        (label, *(money(line.points[i][1], rehearsal.currency) if i < len(line.points) else "" for line in lines))
        for i, label in enumerate(window_labels(chosen.windows))
    )
    caption = "Value of each strategy against the baseline, added up, before the cost of retraining"
    return make_trend("added-up", "Added up", caption, lines, frame=frame, legend=legend, columns=columns, rows=rows)


def performance_by_window(rehearsal: Rehearsal, chosen: Strategy) -> Trend | None:
    """Return the statistical performance of every strategy by window, for the data team; None when there is none."""
    found = next((m for m in _METRICS if any(_metric(w, m) is not None for w in chosen.windows)), None)
    if found is None:
        return None
    lines, legend = [], []
    for strategy, colour in _coloured(rehearsal, chosen):
        points = tuple((float(i), _metric(w, found)) for i, w in enumerate(strategy.windows))
        if points:
            lines.append(Line(strategy.name, points, colour, 2.0 if strategy is chosen else 1.5, label=strategy.name))
            legend.append(Entry(colour, strategy.name))
    frame = Frame(window_labels(chosen.windows), lambda y: f"{y:.9g}".replace("-", "−"))
    columns = ("Window", *(line.name for line in lines))
    rows = tuple(
        (label, *(_or_none(line.points[i][1]) if i < len(line.points) else "" for line in lines))
        for i, label in enumerate(window_labels(chosen.windows))
    )
    title = f"{_METRICS[found]} by {window_noun(chosen.windows)}"
    return make_trend(
        "performance",
        title,
        "Every strategy on the same cases",
        lines,
        frame=frame,
        legend=legend,
        columns=columns,
        rows=rows,
    )


_METRICS = {"auc": "AUC", "mae": "Mean absolute error", "accuracy": "Accuracy", "log_loss": "Log loss"}


def _metric(window: Window, name: str) -> float | None:
    value = {"auc": window.auc, "mae": window.mae, "accuracy": window.accuracy, "log_loss": window.log_loss}[name]
    return value if value is not None and math.isfinite(value) else None


def _or_none(value: float | None) -> str:
    return UNKNOWN if value is None else number(value, 3)


def make_trend(
    name: str, title: str, caption: str, lines: Sequence[Line], *, frame: Frame, marks: Sequence[Mark] = (),
    legend: Sequence[Entry], columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...],
) -> Trend:  # fmt: skip
    """Return a chart in both sizes with what belongs to it."""
    label = f"{caption}, {frame.x_labels[0]} to {frame.x_labels[-1]}. The figures are in the table below the chart."
    wide = draw(line_chart(lines, frame=frame, marks=marks, size=WIDE), css_class="only-wide", label=label)
    narrow = draw(line_chart(lines, frame=frame, marks=marks, size=NARROW), css_class="only-narrow", label=label)
    return Trend(name, title, caption, wide, narrow, tuple(legend), columns, rows)


def _split(windows: Sequence[Window]) -> tuple[tuple[tuple[float, float | None], ...], ...]:
    """Return the confirmed and the estimated points; an estimated stretch begins at the last confirmed point."""
    confirmed: list[tuple[float, float | None]] = []
    estimated: list[tuple[float, float | None]] = []
    for i, window in enumerate(windows):
        sure = window.label_maturity >= MATURE and window.value is not None
        confirmed.append((float(i), window.value if sure else None))
        guess = window.estimated_value if window.estimated_value is not None else window.value
        estimated.append((float(i), None if sure else guess))
    for i in range(len(windows) - 1):
        if confirmed[i][1] is not None and confirmed[i + 1][1] is None:
            estimated[i] = confirmed[i]
    return tuple(confirmed), tuple(estimated)


def _last_known(*series: Sequence[tuple[float, float | None]]) -> float | None:
    return next((y for points in series for _, y in reversed(points) if y is not None), None)


def _coloured(rehearsal: Rehearsal, chosen: Strategy) -> list[tuple[Strategy, str]]:
    """Return the strategies with their colours: the recommended one first, then the compared one, then the others."""
    other = compared_strategy(rehearsal, chosen)
    rest = [s for s in rehearsal.strategies if s is not chosen and s is not other]
    ordered = ([other] if other else []) + rest
    colours = [*ALTERNATIVES, *("idle" for _ in ordered)]
    return [(chosen, "actual"), *zip(ordered, colours, strict=False)]


def window_labels(windows: Sequence[Window]) -> tuple[str, ...]:
    """Return what each window is called on an axis."""
    return tuple(window_text(w.start, w.end) for w in windows)


_NOUNS = {"day": (0, 1), "week": (6, 7), "month": (27, 31), "quarter": (89, 92)}


def window_noun(windows: Sequence[Window]) -> str:
    """Return what the windows are: ``day``, ``week``, ``month``, ``quarter``, else ``window``."""
    start, end = (day(windows[0].start), day(windows[0].end)) if windows else (None, None)
    if start is None or end is None:
        return "window"
    length = (end - start).days
    return next((noun for noun, (low, high) in _NOUNS.items() if low <= length <= high), "window")


def _promise_level(rehearsal: Rehearsal, chosen: Strategy) -> tuple[float, str] | None:
    """Return the promise when its period is the chart's window, else None: other periods are not comparable."""
    promise = rehearsal.promise
    if not promise or not isinstance(promise.get("value"), int | float) or not chosen.windows:
        return None
    if promise.get("per") != window_noun(chosen.windows):
        return None
    value = float(promise["value"])
    return value, f"{short_money(value, rehearsal.currency)} a {promise['per']}"


def _marks(releases: Sequence[Release], windows: Sequence[Window]) -> list[Mark]:
    """Return a mark per release and per return to an older one, where the window holds it."""
    marks, number_of = [], 0
    for release in releases:
        going_back = release.kind == "rollback"
        number_of += release.kind in ("first", "retrained")
        if release.kind == "refused":
            continue
        place = place_of(release.at, windows)
        if place is not None:
            marks.append(Mark(place, "back" if going_back else f"R{number_of}", going_back))
    return marks


def place_of(at: str, windows: Sequence[Window]) -> float | None:
    """Return where a moment lies on the axis, window ``i`` being from ``i - 0.5`` to ``i + 0.5``; None outside."""
    when = day(at)
    if when is None:
        return None
    for i, window in enumerate(windows):
        start, end = day(window.start), day(window.end)
        if start and end and start <= when <= end:
            length = max((end - start).days, 1)
            return i - 0.5 + (when - start).days / length
    first = day(windows[0].start)
    return -0.5 if first and when < first else None


def _value_table(rehearsal: Rehearsal) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    longest = max((s.windows for s in rehearsal.strategies), key=len)
    rows = tuple(
        (
            window_text(window.start, window.end),
            share(window.label_maturity),
            *(_cell(s.windows, i, lambda w: money(w.value, rehearsal.currency)) for s in rehearsal.strategies),
        )
        for i, window in enumerate(longest)
    )
    return ("Window", "Outcomes in", *(s.name for s in rehearsal.strategies)), rows


def _cell(windows: Sequence[Window], i: int, text: Callable[[Window], str]) -> str:
    return text(windows[i]) if i < len(windows) else ""
