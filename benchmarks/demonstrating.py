"""How long does `trueup demo` take, as a person runs it, and how often did values come within their ranges?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import Figure, apart, cores, cost_of

TARGET_SECONDS = 60


def figures(folder: Path) -> list[Figure]:
    """Return wall and CPU seconds of the demo, all its processes counted; and what of its foreseen ranges came true."""
    wall, cpu = apart(seconds, folder / "demo")
    apart(seconds, folder / "steady", "--no-drift")
    note = "settled months of 4 strategies whose value came within its range, 9 in 10 promised"
    return [
        Figure("demo.wall", wall, "s", "target", TARGET_SECONDS, f"target on 2 cores; this machine has {cores()}"),
        Figure("demo.cpu", cpu, "CPU s", note="of all its processes"),
        Figure("demo.within_range", within_range(folder / "demo"), "share", "promised", 0.9, f"{note}; with drift"),
        Figure("demo.steady_within_range", within_range(folder / "steady"), "share", "promised", 0.9, note),
    ]


def seconds(folder: Path, *more: str) -> tuple[float, float]:
    """Return wall and CPU seconds of one demo in a fresh folder."""
    command = [str(Path(sys.executable).with_name("trueup")), "demo", "--folder", str(folder), *more]
    cost, _ = cost_of(lambda: subprocess.run(command, check=True, capture_output=True))
    return cost.wall_seconds, cost.child_cpu_seconds


def within_range(folder: Path) -> float:
    """Return the share of settled windows whose value came within the range foreseen at their end."""
    rehearsal = json.loads((folder / ".trueup" / "reports" / "rehearsal.json").read_text())
    hits = [
        low <= estimate["realised"]["value"] <= high
        for strategy in rehearsal["strategies"]
        for estimate in (window["estimate"] for window in strategy["windows"])
        if estimate and estimate["came_true"] is not None
        for low, high in [estimate["at_end"]["interval"]]
    ]
    return float(sum(hits) / len(hits))
