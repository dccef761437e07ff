"""How long does `trueup demo` take, as a person runs it?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import Figure, apart, cores, cost_of

TARGET_SECONDS = 60


def figures(folder: Path) -> list[Figure]:
    """Return wall and CPU seconds of the demo, all its processes counted."""
    wall, cpu = apart(seconds, folder / "demo")
    return [
        Figure("demo.wall", wall, "s", "target", TARGET_SECONDS, f"target on 2 cores; this machine has {cores()}"),
        Figure("demo.cpu", cpu, "CPU s", note="of all its processes"),
    ]


def seconds(folder: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of one demo in a fresh folder."""
    command = [str(Path(sys.executable).with_name("trueup")), "demo", "--folder", str(folder)]
    cost, _ = cost_of(lambda: subprocess.run(command, check=True, capture_output=True))
    return cost.wall_seconds, cost.child_cpu_seconds
