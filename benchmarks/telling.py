"""How are figures told? As a table while they are found, and as one JSON file."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.measuring import Figure, cores


def write_figures(figures: Iterable[Figure], output: Path) -> None:
    """Print the machine and each figure, then write them all."""
    print(f"{cores()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}\n")
    print(f"{'figure':<33}{'value':>10} {'unit':<21}{'peer':<30}{'peer':>10}{'ratio':>10}  note")
    found: list[Figure] = []
    began = time.monotonic()
    for figure in figures:
        found.append(figure)
        print(line_of(figure), flush=True)
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps([figure.as_json() for figure in found], indent=1) + "\n")
    print(f"\nwrote {output} after {time.monotonic() - began:.0f} s")


def line_of(figure: Figure) -> str:
    """Return a figure as one line of the table."""
    ratio = figure.as_json()["ratio"]
    return (
        f"{figure.name:<33}{number(figure.value):>10} {figure.unit:<21}{figure.peer or '':<30}"
        f"{number(figure.peer_value):>10}{number(ratio):>10}  {figure.note}"
    ).rstrip()


def number(value: float | None) -> str:
    """Return a number with three digits that count."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
