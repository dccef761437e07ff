"""How long until the command line answers? CPU milliseconds of whole processes, the interpreter included."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import Figure

TARGET_MS = 150
_RUNS = 11


def figures() -> list[Figure]:
    """Return the CPU of `trueup --help` and of `import trueup`."""
    trueup = str(Path(sys.executable).with_name("trueup"))
    bare = cpu_ms([sys.executable, "-c", "pass"])
    return [
        Figure(
            "cli.help", cpu_ms([trueup, "--help"]), "CPU ms", "target", TARGET_MS, f"a bare Python takes {bare:.0f}"
        ),
        Figure("import", cpu_ms([sys.executable, "-c", "import trueup"]), "CPU ms", "python -c pass", bare),
    ]


def cpu_ms(command: list[str]) -> float:
    """Return the median CPU milliseconds of a command; the first run, which may write bytecode, does not count."""
    used = []
    for _ in range(_RUNS + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return statistics.median(used[1:])
