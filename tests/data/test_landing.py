"""Do rows land as they came, and does an error on the way pass unchanged?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from trueup.data.landing import Texts, land_texts


def test_rows_land_in_order_with_missing_and_empty_apart(tmp_path: Path) -> None:
    rows: list[Texts] = [("a", None), ("", "b"), *((str(i), None) for i in range(20_000))]
    table = land_texts(rows, ["x", "y"], tmp_path / "deep" / "rows.parquet")
    landed = pq.read_table(tmp_path / "deep" / "rows.parquet")
    assert table.types == {"x": "VARCHAR", "y": "VARCHAR"}
    assert landed.column("x").to_pylist() == ["a", "", *map(str, range(20_000))]
    assert landed.column("y").to_pylist() == [None, "b", *[None] * 20_000]


def test_no_rows_land_as_an_empty_table(tmp_path: Path) -> None:
    land_texts([], ["x"], tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").num_rows == 0


def test_an_error_of_the_rows_passes_unchanged(tmp_path: Path) -> None:
    def rows() -> Iterator[Texts]:
        yield ("a",)
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        land_texts(rows(), ["x"], tmp_path / "rows.parquet")
