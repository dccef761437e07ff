"""What does everything cost? Runs each subject, prints a table, writes build/bench.json."""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import demonstrating, expressing, ingesting, profiling, rehearsing, starting
from benchmarks.measuring import Figure, cores

OUTPUT = Path("build/bench.json")
SUBJECTS: dict[str, Callable[[Path], list[Figure]]] = {
    "start": lambda _: starting.figures(),
    "expressions": lambda _: expressing.figures(),
    "profiles": lambda _: profiling.figures(),
    "ingest": ingesting.figures,
    "demo": demonstrating.figures,
    "rehearsal": rehearsing.figures,
}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("subject", nargs="*", help=f"of {', '.join(SUBJECTS)}; all when left out")
    chosen = parser.parse_args().subject or list(SUBJECTS)
    if unknown := sorted(set(chosen) - set(SUBJECTS)):
        parser.error(f"no subject {', '.join(unknown)}; there are {', '.join(SUBJECTS)}")
    print(f"{cores()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}\n")
    print(f"{'figure':<26}{'value':>12} {'unit':<22}{'peer':<26}{'peer':>12}{'ratio':>8}  note")
    found: list[Figure] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for subject in chosen:
            where = Path(folder) / subject
            where.mkdir()
            for figure in SUBJECTS[subject](where):
                found.append(figure)
                print(line_of(figure), flush=True)
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([figure.as_json() for figure in found], indent=1) + "\n")
    print(f"\nwrote {OUTPUT} after {time.monotonic() - began:.0f} s")


def line_of(figure: Figure) -> str:
    """Return a figure as one line of the table."""
    ratio = figure.as_json()["ratio"]
    return (
        f"{figure.name:<26}{number(figure.value):>12} {figure.unit:<22}{figure.peer or '':<26}"
        f"{number(figure.peer_value):>12}{number(ratio):>8}  {figure.note}"
    ).rstrip()


def number(value: float | None) -> str:
    """Return a number with three digits that count."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
