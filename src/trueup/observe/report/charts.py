"""How is a chart specified, and drawn so that it follows light, dark and print?

Specifications are Vega-Lite as plain dicts. Colours in them are stand-ins that `draw` replaces by the stylesheet's
variables, and nothing depends on measured text, so that the same record gives the same drawing on every machine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_VARIABLES = {
    "actual": "--c-actual", "promise": "--c-promise", "base": "--c-base", "second": "--c-2", "third": "--c-3",
    "fourth": "--c-4", "grid": "--c-grid", "text": "--text", "text-3": "--text-3", "line": "--line-strong",
    "control": "--control", "surface": "--surface", "bad": "--bad-line", "idle": "--idle-line",
}  # fmt: skip
COLOURS = {name: f"#{0xFACE00 + i:06x}" for i, name in enumerate(_VARIABLES)}
"""Stand-ins, by the name of the stylesheet's colour."""
_MANY_MARKS = 24
"""With more marks than this only those with a name get a line, so that the plot stays readable."""
ALTERNATIVES = ("second", "third", "fourth")
_NOISE = re.compile(
    r" (?:xmlns(?::xlink)?|version|class|role|aria-roledescription|aria-hidden|pointer-events|font-family|width|height"
    r'|stroke-miterlimit|opacity)="[^"]*"(?=[^<]*>)'
)
_SVG = re.compile(r"<svg [^>]*>")
_EMPTY = re.compile(r'<path d="[^"]*"(?: display="none")?/>|<g(?: transform="[^"]*")?></g>')


@dataclass(frozen=True)
class Line:
    """One line of a chart; a point without a number interrupts it."""

    name: str
    points: tuple[tuple[float, float | None], ...]
    colour: str
    width: float = 1.5
    dash: tuple[float, ...] = ()
    label: str = ""
    """Written at its last point where there is room."""


@dataclass(frozen=True)
class Mark:
    """Something that happened, in the lane above the plot."""

    x: float
    label: str
    bad: bool = False


@dataclass(frozen=True)
class Frame:
    """What the lines are drawn on."""

    x_labels: tuple[str, ...]
    """One per window, at 0, 1, 2 ..."""
    y_text: Callable[[float], str]
    zero: str = ""
    """What the line at 0 is called; empty: no such line is forced into view."""
    level: tuple[float, str] | None = None
    """A promise, dashed across the plot, and its name."""


@dataclass(frozen=True)
class Size:
    """A drawing for wide pages or for telephones."""

    width: int
    height: int
    left: int
    right: int
    x_ticks: int
    end_labels: bool


WIDE = Size(width=800, height=210, left=52, right=136, x_ticks=8, end_labels=True)
NARROW = Size(width=360, height=180, left=46, right=10, x_ticks=4, end_labels=False)


def line_chart(lines: Sequence[Line], *, frame: Frame, marks: Sequence[Mark] = (), size: Size = WIDE) -> dict[str, Any]:
    """Return the Vega-Lite specification of a line chart over windows."""
    ticks = nice_ticks(*_extent(lines, frame))
    top = 34 if marks else 12
    layers = [
        *_mark_layers(marks, windows=len(frame.x_labels), size=size),
        *_level_layers(frame, size=size),
        *(_line_layer(line) for line in reversed(lines)),
    ]
    if size.end_labels:
        layers += _end_labels(lines, frame=frame, ticks=ticks, size=size)
    count = len(frame.x_labels)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": size.width - size.left - size.right,
        "height": size.height,
        "autosize": {"type": "none"},
        "padding": {"left": size.left, "right": size.right, "top": top, "bottom": 26},
        "background": None,
        "data": {"values": [{}]},
        "encoding": {
            "x": {
                "field": "x",
                "type": "quantitative",
                "scale": {"domain": [-0.5, max(count - 0.5, 0.5)], "nice": False, "zero": False},
                "axis": _x_axis(frame.x_labels, size=size),
            },
            "y": {
                "field": "y",
                "type": "quantitative",
                "scale": {"domain": [ticks[0], ticks[-1]], "nice": False, "zero": False},
                "axis": _y_axis(ticks, frame=frame),
            },
        },
        "layer": layers,
        "config": {"aria": False, "view": {"stroke": None}},
    }


def draw(specification: dict[str, Any], *, css_class: str, label: str) -> str:
    """Return the drawing as an SVG element: text stays text, width follows the page, colours are variables."""
    import html

    import vl_convert

    svg = _SVG.sub("", vl_convert.vegalite_to_svg(specification)).strip()
    svg = _NOISE.sub("", svg)
    previous = ""
    while previous != svg:
        previous, svg = svg, _EMPTY.sub(lambda m: m[0] if "stroke" in m[0] or "fill" in m[0] else "", svg)
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var({_VARIABLES[name]})")
    padding = specification["padding"]
    width = specification["width"] + padding["left"] + padding["right"]
    height = specification["height"] + padding["top"] + padding["bottom"]
    name = html.escape(label, quote=True)
    return f'<svg class="chart {css_class}" viewBox="0 0 {width} {height}" role="img" aria-label="{name}">{svg}'


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Return round numbers from below `low` to above `high`, about `wanted` of them.

    Examples
    --------
    >>> nice_ticks(-3, 41)
    [-10.0, 0.0, 10.0, 20.0, 30.0, 40.0, 50.0]
    """
    size = max(abs(low), abs(high))
    if high - low <= max(1e-6 * size, 1e-9):
        margin = size / 2 if size > 1e-9 else 0.5
        low, high = low - margin, high + margin
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if rough <= m * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]


def _extent(lines: Sequence[Line], frame: Frame) -> tuple[float, float]:
    seen = [y for line in lines for _, y in line.points if y is not None and math.isfinite(y)]
    seen += [frame.level[0]] if frame.level else []
    seen += [0.0] if frame.zero or not seen else []
    return min(seen), max(seen)


def _x_axis(labels: Sequence[str], *, size: Size) -> dict[str, Any]:
    step = max(1, math.ceil(len(labels) / size.x_ticks))
    shown = range(0, len(labels), step)
    return {
        "values": list(shown), "labelExpr": _lookup({str(i): labels[i] for i in shown}), "labelOverlap": False,
        "grid": False, "ticks": False, "domain": False, "title": None, "labelPadding": 10, "labelFlush": False,
        "labelColor": COLOURS["text-3"], "labelFontSize": 11,
    }  # fmt: skip


def _y_axis(ticks: Sequence[float], *, frame: Frame) -> dict[str, Any]:
    step = 2 if len(ticks) > 7 else 1
    shown = list(ticks)[::step]
    return {
        "values": shown, "labelExpr": _lookup({f"{tick:.9g}": frame.y_text(tick) for tick in shown}),
        "gridColor": COLOURS["grid"], "ticks": False, "domain": False, "title": None, "labelPadding": 8,
        "labelColor": COLOURS["text-3"], "labelFontSize": 11, "labelOverlap": False,
    }  # fmt: skip


def _lookup(texts: dict[str, str]) -> str:
    """Return a Vega expression from a tick to its text; only texts made by us get into it, quoted all the same."""
    import json

    pairs = [f"abs(datum.value - {key}) < 1e-9 ? {json.dumps(text)}" for key, text in texts.items()]
    return " : ".join([*pairs, "''"])


def _line_layer(line: Line) -> dict[str, Any]:
    points = [{"x": x, "y": y if y is not None and math.isfinite(y) else None} for x, y in line.points]
    known = sum(point["y"] is not None for point in points)
    mark = {
        "type": "line", "color": COLOURS[line.colour], "strokeWidth": line.width, "strokeCap": "round",
        "strokeJoin": "round", "invalid": "break-paths-show-domains",
    }  # fmt: skip
    if known == 1:
        mark = {"type": "point", "filled": True, "size": 50, "color": COLOURS[line.colour], "opacity": 1}
    elif line.dash:
        mark["strokeDash"] = list(line.dash)
    return {"data": {"values": points}, "mark": mark}


def _level_layers(frame: Frame, *, size: Size) -> list[dict[str, Any]]:
    levels = []
    if frame.zero:
        levels.append((0.0, "base", [1.5, 3.5]))
    if frame.level:
        levels.append((frame.level[0], "promise", [6, 4]))
    return [
        {
            "data": {"values": [{"y": y}]},
            "mark": {
                "type": "rule", "color": COLOURS[colour], "strokeWidth": 1.5, "strokeDash": dash, "strokeCap": "round",
            },
            "encoding": {"x": {"value": 0}, "x2": {"value": size.width - size.left - size.right}},
        }
        for y, colour, dash in levels
    ]  # fmt: skip


def _mark_layers(marks: Sequence[Mark], *, windows: int, size: Size) -> list[dict[str, Any]]:
    """Return a thin line per event and, where they fit, its name in a box above the plot."""
    if not marks:
        return []
    values = [{"x": mark.x, "label": mark.label, "bad": mark.bad} for mark in marks]
    plot = size.width - size.left - size.right
    shown = _spaced(marks, gap=32.0, per_window=plot / windows)
    named = [value for value, fits in zip(values, shown, strict=True) if fits]
    colour = {"condition": {"test": "datum.bad", "value": COLOURS["bad"]}, "value": COLOURS["line"]}
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": values if len(values) <= _MANY_MARKS else named},
            "mark": {"type": "rule", "strokeWidth": 1},
            "encoding": {"y": {"value": -8}, "y2": {"value": size.height}, "color": colour},
        }
    ]
    box = {"condition": {"test": "datum.bad", "value": COLOURS["bad"]}, "value": COLOURS["control"]}
    ink = {"condition": {"test": "datum.bad", "value": COLOURS["bad"]}, "value": COLOURS["text"]}
    layers.append(
        {
            "data": {"values": named},
            "mark": {
                "type": "rect", "width": {"expr": "datum.bad ? 38 : 26"}, "height": 17, "cornerRadius": 4,
                "strokeWidth": 1, "fill": COLOURS["surface"],
            },
            "encoding": {"y": {"value": -17}, "stroke": box},
        }
    )  # fmt: skip
    layers.append(
        {
            "data": {"values": named},
            "mark": {"type": "text", "fontSize": 11, "fontWeight": 600, "baseline": "middle"},
            "encoding": {"y": {"value": -16.5}, "text": {"field": "label"}, "color": ink},
        }
    )
    return layers


def _spaced(marks: Sequence[Mark], *, gap: float, per_window: float) -> list[bool]:
    """Return which marks get a name: bad ones first, then from the left, none closer than `gap` to another."""
    taken: list[float] = []
    shown = [False] * len(marks)
    for i in sorted(range(len(marks)), key=lambda i: (not marks[i].bad, marks[i].x)):
        place = marks[i].x * per_window
        if all(abs(place - other) >= gap for other in taken):
            taken.append(place)
            shown[i] = True
    return shown


def _end_labels(lines: Sequence[Line], *, frame: Frame, ticks: Sequence[float], size: Size) -> list[dict[str, Any]]:
    """Return the names at the right end, moved apart so that none covers another."""
    wanted = [
        (line.points[-1][1], line.label, line.colour, 600 if line.width >= 2 else 400) for line in lines if line.label
    ]
    if frame.level:
        wanted.append((frame.level[0], frame.level[1], "promise", 500))
    if frame.zero:
        wanted.append((0.0, frame.zero, "text-3", 400))
    height, low, high = size.height, ticks[0], ticks[-1]
    places = [
        ((high - y) / (high - low) * height, text, colour, weight)
        for y, text, colour, weight in wanted
        if y is not None
    ]
    places.sort()
    moved = _apart([place[0] for place in places], gap=15.0, height=height)
    return [
        {
            "data": {"values": [{"text": _clipped(text)}]},
            "mark": {
                "type": "text", "align": "left", "baseline": "middle", "fontSize": 11, "fontWeight": weight,
                "color": COLOURS["text-3" if colour in ("base", "idle") else colour],
            },
            "encoding": {
                "x": {"value": size.width - size.left - size.right + 8}, "y": {"value": y}, "text": {"field": "text"},
            },
        }
        for y, (_, text, colour, weight) in zip(moved, places, strict=True)
    ]  # fmt: skip


def _apart(places: Sequence[float], *, gap: float, height: float) -> list[float]:
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    ceiling = height + 6.0
    for i in range(len(moved) - 1, -1, -1):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved


def _clipped(text: str, longest: int = 21) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"
