"""What does everything cost? Runs each subject, prints a table, writes build/bench.json."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks import (
    deciding_files,
    demonstrating,
    expressing,
    fronting,
    ingesting,
    monitoring,
    predicting,
    profiling,
    rehearsing,
    serving,
    serving_parts,
    starting,
)
from benchmarks.measuring import Figure
from benchmarks.telling import write_figures

OUTPUT = Path("build/bench.json")
SUBJECTS: dict[str, Callable[[Path], Iterable[Figure]]] = {
    "start": lambda _: starting.figures(),
    "expressions": lambda _: expressing.figures(),
    "profiles": lambda _: profiling.figures(),
    "monitoring": monitoring.figures,
    "ingest": ingesting.figures,
    "predict": lambda _: list(predicting.figures()),
    "front": fronting.figures,
    "decide-files": deciding_files.figures,
    "serve": serving.figures,
    "serve-parts": serving_parts.figures,
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
    with tempfile.TemporaryDirectory() as folder:
        write_figures(measured(chosen, Path(folder)), OUTPUT)


def measured(subjects: Sequence[str], folder: Path) -> Iterator[Figure]:
    """Yield the figures of each subject, which may leave files in a folder of its own."""
    for subject in subjects:
        where = folder / subject
        where.mkdir()
        yield from SUBJECTS[subject](where)


if __name__ == "__main__":
    main()
