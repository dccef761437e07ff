"""Rows come a part at a time, in order, and what was read is let go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trueup.loop.predict_reading import PART_ROWS, Source


def test_memory_does_not_grow_with_the_row_groups_of_a_file(tmp_path: Path) -> None:
    with pq.ParquetWriter(tmp_path / "rows.parquet", pa.schema({"a": pa.float64(), "b": pa.float64()})) as writer:
        for seed in range(60):
            a, b = np.random.default_rng(seed).random((2, 2 * PART_ROWS))
            writer.write_table(pa.table({"a": a, "b": b}))

    before = pa.total_allocated_bytes()
    held: list[int] = []
    for part in Source([tmp_path / "rows.parquet"]).parts():
        assert part.first_row == len(held) * PART_ROWS
        held.append(pa.total_allocated_bytes() - before)

    # one part has 320 kB, all of them 38 MB
    assert len(held) == 120
    assert max(held) < 4_000_000


def test_lines_come_in_parts_without_the_empty_ones(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n\n" * (PART_ROWS + 1))

    parts = [(part.first_row, len(part.rows)) for part in Source([file]).parts()]

    assert parts == [(0, PART_ROWS), (PART_ROWS, 1)]
