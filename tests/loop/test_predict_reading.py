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


def test_every_line_that_is_no_row_stands_where_it_was_however_large_the_file(tmp_path: Path) -> None:
    file, rows = tmp_path / "rows.csv", 3 * PART_ROWS
    broken = {0, 5, 6, PART_ROWS - 1, PART_ROWS, 2 * PART_ROWS + 7, rows - 2, rows - 1}
    lines = ["5" if place in broken else f'{place},"{"x" * 40}\n"' for place in range(rows)]
    file.write_text("\n".join(["number,text", *lines]))

    source = Source([file])
    numbers: list[str | None] = []
    for part in source.parts():
        assert isinstance(part.rows, pa.RecordBatch)
        assert part.first_row == len(numbers)
        assert all(part.rows.column("number")[place].as_py() is None for place in part.unreadable)
        numbers += part.rows.column("number").to_pylist()

    assert numbers == [None if place in broken else str(place) for place in range(rows)]
    assert source.unreadable == len(broken)


def test_a_file_of_broken_lines_alone_is_all_bad_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1\n1,2,3\n")

    assert [(len(part.rows), part.unreadable) for part in Source([file]).parts()] == [(2, (0, 1))]
