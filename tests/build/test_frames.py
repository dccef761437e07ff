from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.build.conftest import FEATURES, write_cases

from trueup.build.errors import ColumnUnreadable
from trueup.build.frames import FeatureFiles, learn_frame
from trueup.build.recipe import Feature
from trueup.bundle.frames import MOST_CATEGORIES, learn_features, prepare_frame

ALL = slice(None)


def frame_of(path: Path, *features: Feature, train: slice = ALL) -> pd.DataFrame:
    columns = FeatureFiles().read(path, features, ALL)
    return learn_frame(features, [column.take(train) for column in columns]).frame(columns)


def test_each_kind_becomes_what_the_module_says(tmp_path: Path) -> None:
    table = pa.table(
        {
            "number": [1.5, None, float("inf")],
            "count": [1, 2, None],
            "boolean": [True, False, None],
            "word": ["yes", "No", "perhaps"],
            "date": [dt.datetime(1970, 1, 2, 12, tzinfo=dt.UTC), None, dt.datetime(1969, 12, 31, tzinfo=dt.UTC)],
            "category": ["b", "a", None],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    frame = frame_of(
        tmp_path / "t.parquet",
        Feature("number", "number"),
        Feature("count", "number"),
        Feature("boolean", "boolean"),
        Feature("word", "boolean"),
        Feature("date", "date"),
        Feature("category", "category"),
    )
    expected = {
        "number": [1.5, np.nan, np.nan],
        "count": [1.0, 2.0, np.nan],
        "boolean": [1.0, 0.0, np.nan],
        "word": [1.0, 0.0, np.nan],
        "date": [1.5, np.nan, -1.0],
    }
    for name, values in expected.items():
        assert np.array_equal(frame[name].to_numpy(), values, equal_nan=True)
    assert frame["category"].cat.categories.tolist() == ["a", "b"]
    assert frame["category"].cat.codes.tolist() == [1, 0, -1]


def test_categories_are_those_of_the_training_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": [3, 1, 2, None]}), tmp_path / "t.parquet")
    frame = frame_of(tmp_path / "t.parquet", Feature("c", "category"), train=slice(0, 2))
    assert frame["c"].cat.categories.tolist() == ["1", "3"]
    assert frame["c"].cat.codes.tolist() == [1, 0, -1, -1]


def test_the_most_frequent_categories_are_kept(tmp_path: Path) -> None:
    values = [f"v{i:03d}" for i in range(300)] + ["v299"]
    pq.write_table(pa.table({"c": values}), tmp_path / "t.parquet")
    frame = frame_of(tmp_path / "t.parquet", Feature("c", "category"))
    categories = frame["c"].cat.categories.tolist()
    assert len(categories) == MOST_CATEGORIES
    # v299 occurs twice; of the others the first 253 by text
    assert categories == [f"v{i:03d}" for i in range(253)] + ["v299"]


@pytest.mark.parametrize(("different", "columns"), [(254, ["t"]), (255, [])])
def test_text_is_a_category_when_it_has_few_values(tmp_path: Path, different: int, columns: list[str]) -> None:
    pq.write_table(pa.table({"t": [str(i) for i in range(different)]}), tmp_path / "t.parquet")
    assert list(frame_of(tmp_path / "t.parquet", Feature("t", "text")).columns) == columns


def test_training_and_packaging_make_the_same_frame(tmp_path: Path) -> None:
    write_cases(tmp_path / "t.parquet")
    features = FEATURES[:-1]  # text is a category or absent once a model is fitted
    table = pq.read_table(tmp_path / "t.parquet")
    columns = FeatureFiles().read(tmp_path / "t.parquet", features, ALL)
    maker = learn_frame(features, columns)
    assert list(maker.specs) == learn_features(table, features)
    pd.testing.assert_frame_equal(maker.frame(columns), prepare_frame(table, maker.specs))


@pytest.mark.parametrize("rows", [slice(90, 260), np.array([599, 0, 0, 130], dtype=np.int64), slice(5, 5)])
def test_a_file_larger_than_the_cache_reads_the_same(tmp_path: Path, rows: slice) -> None:
    write_cases(tmp_path / "t.parquet")
    pq.write_table(pq.read_table(tmp_path / "t.parquet"), tmp_path / "t.parquet", row_group_size=100)
    whole, thrifty = FeatureFiles(), FeatureFiles(cache_bytes=10)
    maker = learn_frame(FEATURES, whole.read(tmp_path / "t.parquet", FEATURES, ALL))
    frames = [maker.frame(files.read(tmp_path / "t.parquet", FEATURES, rows)) for files in (whole, thrifty)]
    pd.testing.assert_frame_equal(frames[0], frames[1])


def test_a_file_written_again_is_read_again(tmp_path: Path) -> None:
    files = FeatureFiles()
    for rows in (3, 4):
        pq.write_table(pa.table({"a": [1.0] * rows}), tmp_path / "t.parquet")
        assert files.read(tmp_path / "t.parquet", [Feature("a", "number")], ALL)[0].size == rows * 8


def test_words_declared_as_numbers_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["Miller"]}), tmp_path / "t.parquet")
    with pytest.raises(ColumnUnreadable, match=r'"a" is declared as number, but its type string') as refused:
        frame_of(tmp_path / "t.parquet", Feature("a", "number"))
    assert "Miller" not in str(refused.value)
