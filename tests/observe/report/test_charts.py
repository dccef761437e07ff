from __future__ import annotations

import itertools
import math
import re

from hypothesis import example, given
from hypothesis import strategies as st

from trueup.observe.report.charts import COLOURS, NARROW, WIDE, Frame, Line, Mark, draw, line_chart, nice_ticks

LINES = (
    Line("a", ((0.0, 10.0), (1.0, None), (2.0, 30.0)), "actual", 2.0, label="first <b>"),
    Line("b", ((0.0, 12.0), (1.0, 13.0), (2.0, 29.0)), "second", label="second"),
)
FRAME = Frame(("Jan 2015", "Feb 2015", "Mar 2015"), lambda y: f"€{y:g}", zero="Baseline", level=(20.0, "Promise"))


def drawing(label: str = "Value") -> str:
    return draw(line_chart(LINES, frame=FRAME, marks=(Mark(0.5, "R1"),)), css_class="only-wide", label=label)


def test_no_stand_in_colour_is_left_and_variables_are_used() -> None:
    svg = drawing()
    assert not any(colour in svg for colour in COLOURS.values())
    assert {"var(--c-actual)", "var(--c-promise)", "var(--c-base)", "var(--c-2)", "var(--c-grid)"} <= set(
        re.findall(r"var\(--[\w-]+\)", svg)
    )
    assert not re.findall(r"#[0-9a-f]{3,6}\b", svg)


def test_text_is_text_and_the_width_follows_the_page() -> None:
    svg = drawing()
    assert ">€20</text>" in svg
    assert ">Mar 2015</text>" in svg
    assert ">first &lt;b&gt;</text>" in svg
    head = svg[: svg.index(">")]
    assert 'viewBox="0 0 800 ' in head
    assert "width=" not in head
    assert "http" not in svg


def test_the_label_of_a_chart_is_escaped() -> None:
    assert 'aria-label="&quot;&lt;x&gt;&quot;"' in drawing('"<x>"')


def test_names_at_the_line_ends_do_not_cover_each_other() -> None:
    spec = line_chart(LINES, frame=FRAME, size=WIDE)
    labels = [layer for layer in spec["layer"] if layer["mark"]["type"] == "text"]
    places = sorted(layer["encoding"]["y"]["value"] for layer in labels)
    assert len(places) == 4
    assert all(low + 15 <= high + 1e-9 for low, high in itertools.pairwise(places))


def test_sixty_windows_keep_the_axis_readable() -> None:
    frame = Frame(tuple(f"w{i}" for i in range(60)), str)
    line = Line("a", tuple((float(i), float(i)) for i in range(60)), "actual")
    for size in (WIDE, NARROW):
        axis = line_chart((line,), frame=frame, size=size)["encoding"]["x"]["axis"]
        assert len(axis["values"]) <= size.x_ticks


@example(0.0, 5e-324)
@example(1e9, 1e9)
@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_ticks_enclose_the_values_in_equal_steps(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    assert 2 <= len(ticks) <= 9
    assert ticks[0] <= low + 1e-6 * step
    assert ticks[-1] >= high - 1e-6 * step
    assert all(math.isclose(y - x, step, rel_tol=1e-6) for x, y in itertools.pairwise(ticks))
