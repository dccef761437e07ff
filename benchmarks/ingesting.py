"""What does reading a CSV cost, beside libraries that only parse it?

Ours looks at every value to find types and meaning, reports blanks, duplicates and odd columns, digests the rows and
publishes a table version, all or nothing. The others return a table in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.measuring import Cost, Figure, apart, cost_of

ROWS = 500_000
_MORE = "ours also infers meaning from all values, finds duplicates, digests rows, publishes a Parquet version"


def figures(folder: Path) -> list[Figure]:
    """Return rows per CPU second and memory, beside pandas and PyArrow."""
    file = folder / "orders.csv"
    apart(write_csv, file)
    ours, pandas, arrow = apart(ingest_ours, file, folder), apart(read_pandas, file), apart(read_arrow, file)
    size = f"{ROWS:,} rows, 10 columns, {file.stat().st_size / 1e6:.0f} MB"
    found = []
    for peer, named, cost in (("pandas", "pandas.read_csv", pandas), ("pyarrow", "pyarrow.csv.read_csv", arrow)):
        speed, fast = ROWS / ours.cpu_seconds, ROWS / cost.cpu_seconds
        found.append(Figure(f"ingest.csv.beside_{peer}", speed, "rows / CPU s", named, fast, _MORE))
        found.append(Figure(f"ingest.csv.memory.beside_{peer}", ours.memory_mb, "MB", named, cost.memory_mb, size))
    return found


def write_csv(file: Path) -> None:
    """Write the same orders on every machine: numbers, texts, flags, times, and blanks."""
    import pyarrow as pa
    import pyarrow.csv

    rng = np.random.default_rng(8)
    start = np.datetime64("2023-01-01T00:00:00", "s")
    amount = np.round(rng.exponential(200, ROWS), 2)
    table = pa.table(
        {
            "order_id": np.arange(1, ROWS + 1),
            "ordered_at": pa.array(start + np.sort(rng.integers(0, 365 * 86_400, ROWS))),
            "amount": pa.array(amount, mask=rng.random(ROWS) < 0.01),
            "items": rng.integers(1, 9, ROWS),
            "weight_kg": np.round(rng.gamma(2.0, 1.5, ROWS), 3),
            "country": rng.choice(["DE", "FR", "NL", "PL", "ES"], ROWS),
            "channel": rng.choice(["web", "mobile", "shop"], ROWS),
            "customer": np.char.add("C", rng.integers(0, 80_000, ROWS).astype(str)),
            "is_new": rng.random(ROWS) < 0.2,
            "fraud": rng.integers(0, 2, ROWS),
        }
    )
    pyarrow.csv.write_csv(table, file)


def ingest_ours(file: Path, folder: Path) -> Cost:
    """Return the cost of `trueup ingest`, libraries loaded before."""
    import deltalake  # noqa: F401
    import duckdb  # noqa: F401

    from trueup.data.ingest import ingest
    from trueup.lake.tables import Tables

    tables = Tables(folder / "tables", scratch=folder / "staging")
    now = 1_735_689_600_000_000
    return cost_of(lambda: ingest(str(file), tables=tables, name="orders", as_of=now, case_id=["order_id"]))[0]


def read_pandas(file: Path) -> Cost:
    """Return the cost of pandas, told which column is a time."""
    import pandas as pd

    return cost_of(lambda: pd.read_csv(file, parse_dates=["ordered_at"]))[0]


def read_arrow(file: Path) -> Cost:
    """Return the cost of PyArrow on one thread."""
    import pyarrow.csv

    options = pyarrow.csv.ReadOptions(use_threads=False)
    return cost_of(lambda: pyarrow.csv.read_csv(file, read_options=options))[0]
