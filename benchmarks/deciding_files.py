"""What does deciding a file cost, and does its memory grow with the rows?

The lender's charter and a bundle of its own, trained here. The file is the lender's applications, repeated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.measuring import Cost, Figure, apart, cost_of

SIZES = (100_000, 1_000_000)


def figures(folder: Path, sizes: tuple[int, ...] = SIZES) -> Iterator[Figure]:
    """Yield rows per second, and memory of the process that reads, decides and writes, at each size."""
    apart(make_bundle, folder)
    for rows in sizes:
        file = folder / f"{rows}.parquet"
        apart(write_rows, folder, file, rows)
        for clock in ("now", "event"):
            cost = apart(decide, folder, file, clock)
            note = f"1 worker, clock {clock}, {cost.cpu_seconds:.1f} s of CPU"
            yield Figure(f"decide-files.{rows}.{clock}", rows / cost.wall_seconds, "rows / s", note=note)
            yield Figure(f"decide-files.{rows}.{clock}.memory", cost.memory_mb, "MB", note=note)
        file.unlink()


def make_bundle(folder: Path) -> None:
    """Train the lender's example below `folder`."""
    from trueup.cli.main import main

    project = str(folder / "lender")
    for command in (["init", project, "--example", "application-fraud"], ["train", project]):
        if main(command) != 0:
            raise SystemExit(f"trueup {command[0]} failed")


def write_rows(folder: Path, file: Path, rows: int) -> None:
    """Write `rows` applications."""
    table = pq.read_table(folder / "lender" / "applications.parquet")
    with pq.ParquetWriter(file, table.schema) as writer:
        written = 0
        while written < rows:
            part = table.slice(0, min(len(table), rows - written))
            writer.write_table(part)
            written += len(part)


def decide(folder: Path, file: Path, clock: str) -> Cost:
    """Return the cost of `trueup predict` in a process that has its libraries."""
    import pyarrow.compute  # noqa: F401

    import trueup.loop.predict  # noqa: F401
    from trueup.cli.main import main

    project, out = str(folder / "lender"), str(folder / "answers.parquet")
    cost, code = cost_of(lambda: main(["predict", str(file), "--out", out, "--project", project, "--clock", clock]))
    if code != 0:
        raise SystemExit(f"trueup predict ended with {code}")
    Path(out).unlink()
    return cost


if __name__ == "__main__":
    import sys
    import tempfile

    sizes = tuple(int(size) for size in sys.argv[1:]) or SIZES
    with tempfile.TemporaryDirectory() as where:
        for figure in figures(Path(where), sizes):
            os.write(1, f"{figure}\n".encode())
