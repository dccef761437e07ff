"""What does deciding a file cost, with the log and without, and does its memory grow with the rows?

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
        unlogged = apart(decide_unlogged, folder, file)
        ways = {"unlogged": unlogged, **{clock: apart(decide, folder, file, clock) for clock in ("now", "event")}}
        for way, cost in ways.items():
            beside = "; what it logs is sealed beside it, by another process" if way == "now" else ""
            note = f"1 worker, {way}, {cost.cpu_seconds:.1f} s of CPU{beside}"
            yield Figure(f"decide-files.{rows}.{way}", rows / cost.wall_seconds, "rows / s", note=note)
            yield Figure(f"decide-files.{rows}.{way}.memory", cost.memory_mb, "MB", note=note)
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


def decide_unlogged(folder: Path, file: Path) -> Cost:
    """Return the cost of deciding now as `trueup predict` does, but for the log."""
    import pyarrow.compute  # noqa: F401

    from trueup.align.streaming import MemoryTokens
    from trueup.bundle.trust import trusted_keys
    from trueup.kernel.ids import IdMint
    from trueup.loop.packaging import last_bundle
    from trueup.loop.predict import Order, predict
    from trueup.loop.predict_reading import Source
    from trueup.loop.predict_scoring import Setup
    from trueup.loop.prepare import Workspace

    workspace, now = Workspace(folder / "lender" / ".trueup"), 1_700_000_000_000_000
    bundle, run, out = last_bundle(workspace), IdMint().new(now), folder / "answers.parquet"
    if bundle is None:
        raise SystemExit("nothing was packaged")
    setup = Setup(bundle, trusted_keys(workspace.keys), None, (), run.hex())
    scratch = workspace.scratch
    cost, _ = cost_of(
        lambda: predict(
            Source([file]), out, setup=setup, order=Order(), tokens=MemoryTokens(), now=now, run=run, scratch=scratch
        )
    )
    out.unlink()
    return cost


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
