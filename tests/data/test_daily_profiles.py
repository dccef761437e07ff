"""Days add up to the whole table, and each holds its own rows."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.data import daily_profiles
from trueup.data.daily_profiles import profile_days
from trueup.data.profile_plan import NotProfiled, plan_profile
from trueup.data.profiling import profile_files
from trueup.measure.profiles import CategoryProfile, profile_numbers
from trueup.measure.table_profiles import TableProfile, coarsened_table, merge_tables

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("at", pa.timestamp("us", tz="UTC")),
        ("x", pa.float64()),
        ("n", pa.int32()),
        ("k", pa.string()),
        ("d", pa.date32()),
    ]
)
near = st.integers(-3 * 24, 3 * 24).map(lambda h: datetime(2023, 5, 1, tzinfo=UTC) + timedelta(hours=h))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "at": st.none() | near | st.just(datetime(1969, 12, 31, 23, tzinfo=UTC)),
            "x": st.none() | st.floats(),
            "n": st.none() | st.integers(-5, 5),
            "k": st.none() | st.sampled_from(["a", "b", "c"]),
            "d": st.none() | st.dates(date(2016, 1, 1), date(2023, 1, 1)),
        }
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(values=rows, group=st.integers(1, 9), together=st.integers(1, 12), is_sorted=st.booleans())
def test_days_merged_equal_one_pass_and_each_holds_its_rows(
    values: list[dict[str, Any]], group: int, together: int, is_sorted: bool
) -> None:
    if is_sorted:
        values = sorted(values, key=lambda row: row["at"] or EPOCH)
    table = pa.Table.from_pylist(values, schema=SCHEMA)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        path = Path(name) / "a.parquet"
        pq.write_table(table, path, row_group_size=group)
        plan = plan_profile([path], origins={"x": 2.0, "d": 1.5e15})
        whole = profile_files([path], plan)
        patch.setattr(daily_profiles, "_TOGETHER", together)
        patch.setattr(daily_profiles, "_SHARD_ROWS", 11)
        days = profile_days([path], plan, by="at")
    if values:
        assert reduce(merge_tables, days.values()) == whole
        hours = [coarsened_table(table) for table in days.values()]
        assert reduce(merge_tables, hours) == coarsened_table(whole)
    expected = {row["at"] and (row["at"] - EPOCH).days for row in values}
    assert set(days) == expected
    for day, found in days.items():
        own = [row for row in values if (row["at"] and (row["at"] - EPOCH).days) == day]
        assert found.rows == len(own)
        numbers = np.array([np.nan if row["x"] is None else row["x"] for row in own])
        assert found.columns["x"] == profile_numbers(numbers, origin=2.0)


def test_days_are_those_of_utc_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    at = [datetime(1970, 1, 2, 23, 59), datetime(1970, 1, 1), None, datetime(1970, 1, 2)]
    pq.write_table(pa.table({"at": pa.array(at, pa.timestamp("s")), "k": ["a", "b", None, "c"]}), path)
    days = profile_days([path], plan_profile([path], columns=["k"]), by="at")
    assert list(days) == [0, 1, None]
    assert days[1] == TableProfile(2, {"k": CategoryProfile({"a": 1, "c": 1})})
    assert days[None] == TableProfile(1, {"k": CategoryProfile({}, missing=1)})


def test_workers_find_the_same_days(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rng = np.random.default_rng(2)
    at = pa.array(rng.integers(0, 10 * 86_400_000_000, 2000), pa.timestamp("us"))
    pq.write_table(pa.table({"at": at, "x": rng.normal(size=2000)}), path, row_group_size=300)
    plan = plan_profile([path])
    assert profile_days([path], plan, by="at", workers=2) == profile_days([path], plan, by="at")


def test_days_need_a_column_of_times(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1.0]}), path)
    with pytest.raises(NotProfiled, match='"x" holds no dates or times'):
        profile_days([path], plan_profile([path]), by="x")
