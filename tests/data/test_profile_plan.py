"""The plan says how columns are counted, what is left out, and where they start."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.data.errors import ColumnsDiffer
from trueup.data.profile_plan import NotProfiled, ParquetUnreadable, plan_profile


def written(folder: Path, table: pa.Table, name: str = "a") -> Path:
    path = folder / f"{name}.parquet"
    pq.write_table(table, path)
    return path


def origin_of(folder: Path, values: pa.Array) -> float:
    (column,) = plan_profile([written(folder, pa.table({"x": values}))]).columns
    return column.origin


def test_dates_start_in_the_middle_of_their_range(tmp_path: Path) -> None:
    days = pa.array([datetime(2020, 1, 1), datetime(2022, 1, 1)], pa.timestamp("ms"))
    assert origin_of(tmp_path, days) == pytest.approx(datetime(2021, 1, 1).timestamp() * 1e6, abs=86_400e6)


def test_a_date_that_stands_for_never_does_not_move_the_start(tmp_path: Path) -> None:
    days = pa.array([datetime(1, 1, 1), *[datetime(2022, 1, 1)] * 9, datetime(9999, 1, 1)], pa.timestamp("us"))
    assert origin_of(tmp_path, days) == 1_640_995_200_000_000.0


def test_numbers_start_at_zero_unless_they_are_narrow_and_far_from_it(tmp_path: Path) -> None:
    assert origin_of(tmp_path, pa.array([1.0, 500.0])) == 0.0
    assert origin_of(tmp_path, pa.array([-2.5, 2.5])) == 0.0
    assert origin_of(tmp_path, pa.array([1000.5, 1002.5])) == 1001.0
    assert origin_of(tmp_path, pa.array([-1002.5, -1000.5])) == -1002.0
    assert origin_of(tmp_path, pa.array([7.5, 7.5])) == 0.0
    assert origin_of(tmp_path, pa.array([None, None], pa.float64())) == 0.0
    assert origin_of(tmp_path, pa.array([None, None], pa.timestamp("us"))) == 0.0


def test_origins_of_the_reference_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table({"x": [1000.5, 1002.5]}))
    assert plan_profile([path], origins={"x": 0.0}).columns[0].origin == 0.0


def test_what_cannot_be_counted_is_said(tmp_path: Path) -> None:
    path = written(
        tmp_path, pa.table({"x": [1.0], "items": [[1, 2]], "place": [{"lat": 1.0}], "raw": [b"a"], "y": [2]})
    )
    plan = plan_profile([path])
    assert [column.name for column in plan.columns] == ["x", "y"]
    assert set(plan.skipped) == {"items", "place", "raw"}
    assert "list" in plan.skipped["items"]


def test_statistics_are_those_of_the_column_itself_behind_a_nested_one(tmp_path: Path) -> None:
    table = pa.table({"place": [{"lat": 1.0, "lon": 2.0}], "x": [1000.5]})
    path = written(tmp_path, pa.concat_tables([table, table.set_column(1, "x", pa.array([1002.5]))]))
    assert plan_profile([path]).columns[0].origin in (0.0, 1001.0)


def test_a_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table({"amount": [1.0]}))
    with pytest.raises(NotProfiled, match=r'no column "amont".*amount'):
        plan_profile([path], columns=["amont"])
    with pytest.raises(NotProfiled, match="no file"):
        plan_profile([])


def test_files_of_other_tables_are_refused(tmp_path: Path) -> None:
    files = [written(tmp_path, pa.table({"x": [1.0]})), written(tmp_path, pa.table({"x": ["a"]}), "b")]
    with pytest.raises(ColumnsDiffer, match=r"b\.parquet differs from the first file in x"):
        plan_profile(files)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("x\n1\n")
    with pytest.raises(ParquetUnreadable, match=r"table\.csv cannot be read as Parquet"):
        plan_profile([path])
    with pytest.raises(ParquetUnreadable, match=r"gone\.parquet"):
        plan_profile([tmp_path / "gone.parquet"])
