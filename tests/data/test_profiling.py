"""Files are profiled as their values would be one by one, however rows are ordered, cut and stored."""

from __future__ import annotations

import decimal
import tempfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.data import profiling
from trueup.data.profile_plan import ParquetUnreadable, plan_profile
from trueup.data.profiling import profile_files
from trueup.measure.profiles import CategoryProfile, NumberProfile, profile_numbers
from trueup.measure.table_profiles import merge_tables

DAY = 86_400_000_000
SCHEMA = pa.schema(
    [
        ("amount", pa.float64()),
        ("calls", pa.int16()),
        ("id", pa.int64()),
        ("open", pa.bool_()),
        ("broker", pa.string()),
        ("applied_at", pa.timestamp("us", tz="UTC")),
        ("born", pa.date32()),
    ]
)
moments = st.datetimes(datetime(1901, 1, 1), datetime(2100, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "amount": st.none() | st.floats() | st.sampled_from([0.0, -0.0, 3.0]),
            "calls": st.none() | st.integers(-(2**15), 2**15 - 1),
            "id": st.none() | st.integers(-(2**63), 2**63 - 1),
            "open": st.none() | st.booleans(),
            "broker": st.none() | st.sampled_from(["a", "b", "é", ""]),
            "applied_at": st.none() | moments,
            "born": st.none() | st.dates(date(1901, 1, 1), date(2100, 1, 1)),
        }
    ),
    max_size=30,
)


def written(folder: Path, table: pa.Table, *, name: str = "a", row_group_size: int = 1_000_000, **how: Any) -> Path:
    path = folder / f"{name}.parquet"
    pq.write_table(table, path, row_group_size=row_group_size, **how)
    return path


def numbers_by_hand(column: pa.ChunkedArray) -> list[float]:
    """Return what is counted for each value, by Python's own arithmetic."""
    found: list[float] = []
    for value in column.to_pylist():
        if value is None:
            found.append(np.nan)
        elif isinstance(value, datetime):
            found.append((value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
        elif isinstance(value, date):
            found.append((value - date(1970, 1, 1)).days * DAY)
        else:
            found.append(float(value))
    return found


@settings(max_examples=60, deadline=None)
@given(values=rows, cut=st.integers(0, 30), group=st.integers(1, 7), batch=st.integers(1, 9), data=st.data())
def test_order_files_row_groups_and_batches_change_nothing(
    values: list[dict[str, Any]], cut: int, group: int, batch: int, data: st.DataObject
) -> None:
    table = pa.Table.from_pylist(values, schema=SCHEMA)
    shuffled = pa.Table.from_pylist(data.draw(st.permutations(values)), schema=SCHEMA)
    origins = {"amount": 5.0, "applied_at": 1.46e15, "born": 0.0, "calls": 0.0, "id": 0.0, "open": 0.0}
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        whole = [written(folder, table)]
        plan = plan_profile(whole, origins=origins)
        expected = profile_files(whole, plan)
        patch.setattr(profiling, "BATCH_ROWS", batch)
        first, second = shuffled.slice(0, cut), shuffled.slice(cut)
        parts = [
            written(folder, first, name="b", row_group_size=group),
            written(folder, second, name="c", row_group_size=group, use_dictionary=False),
        ]
        assert profile_files(parts, plan) == expected
        one, other = (profile_files([part], plan) for part in parts)
        assert merge_tables(one, other) == merge_tables(other, one) == expected
    assert expected.rows == len(values)
    for column, profile in expected.columns.items():
        if isinstance(profile, NumberProfile):
            by_hand = profile_numbers(np.array(numbers_by_hand(table[column])), origin=origins[column])
            assert profile == by_hand
        else:
            counts = Counter(table[column].to_pylist())
            missing = counts.pop(None, 0)
            assert profile == CategoryProfile(dict(counts), missing)


def test_several_workers_find_what_one_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = pa.table({"x": rng.normal(size=3000), "k": rng.choice(["a", "b"], 3000)})
    files = [written(tmp_path, table, row_group_size=500), written(tmp_path, table.slice(5, 70), name="b")]
    plan = plan_profile(files)
    assert profile_files(files, plan, workers=2) == profile_files(files, plan)


def test_more_categories_than_the_bound_are_the_same_buckets_in_any_row_groups(tmp_path: Path) -> None:
    names = [f"customer {i % 12_000}" for i in range(20_000)]
    whole = [written(tmp_path, pa.table({"k": names}))]
    parts = [written(tmp_path, pa.table({"k": names[::-1]}), name="b", row_group_size=3_000)]
    plan = plan_profile(whole)
    found = profile_files(whole, plan)
    assert found == profile_files(parts, plan)
    column = found.columns["k"]
    assert isinstance(column, CategoryProfile)
    assert column.buckets is not None
    assert column.present == 20_000


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 250], pa.uint8(), [1, np.nan, 250]),
        ([2**64 - 1, None], pa.uint64(), [2.0**64, np.nan]),
        ([decimal.Decimal("1.50"), None], pa.decimal128(5, 2), [1.5, np.nan]),
        ([1.5, None], pa.float32(), [1.5, np.nan]),
        ([np.float16(0.5), None], pa.float16(), [0.5, np.nan]),
        ([1_500, None], pa.timestamp("ns"), [1.0, np.nan]),
        ([2, None], pa.timestamp("s"), [2e6, np.nan]),
        ([86_400_000, None], pa.date64(), [86_400e6, np.nan]),
        ([True, None, False], pa.bool_(), [1.0, np.nan, 0.0]),
    ],
)
def test_every_kind_of_number_is_counted(
    tmp_path: Path, values: list[Any], kind: pa.DataType, expected: list[float]
) -> None:
    path = written(tmp_path, pa.table({"x": pa.array(values, kind)}))
    found = profile_files([path], plan_profile([path], origins={"x": 0.0}))
    assert found.columns["x"] == profile_numbers(np.array(expected))


def test_text_is_counted_by_its_length(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table({"note": ["né", None, "", "abc", "xyz"]}))
    found = profile_files([path], plan_profile([path], texts=["note"])).columns["note"]
    assert found == profile_numbers(np.array([2.0, np.nan, 0.0, 3.0, 3.0]))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_every_kind_of_text_is_a_category(tmp_path: Path, kind: pa.DataType) -> None:
    path = written(tmp_path, pa.table({"k": pa.array(["a", None, "b", "a"]).cast(kind)}))
    found = profile_files([path], plan_profile([path])).columns["k"]
    assert found == CategoryProfile({"a": 2, "b": 1}, missing=1)


def test_a_file_without_rows_has_an_empty_profile(tmp_path: Path) -> None:
    path = written(tmp_path, SCHEMA.empty_table())
    found = profile_files([path], plan_profile([path]))
    assert found.rows == 0
    assert all(column.present == column.missing == 0 for column in found.columns.values())


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table({"x": np.arange(50_000.0)}))
    plan = plan_profile([path])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ParquetUnreadable, match=r"a\.parquet cannot be read as Parquet"):
        profile_files([path], plan)


def test_damaged_data_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, pa.table({"x": np.arange(50_000.0)}), compression="zstd")
    plan = plan_profile([path])
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)  # where the first page says how long it is
    path.write_bytes(content)
    with pytest.raises(ParquetUnreadable, match=r"a\.parquet"):
        profile_files([path], plan)
