"""Raw rows of any frame become the frame that the bundle's own path makes."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from trueup.bundle.features import FeatureSpec, features_document
from trueup.bundle.frames import prepare_frame, table_of_rows
from trueup.bundle.golden import make_golden_requests
from trueup.bundle.mlflow_loader import prepare

FEATURES = (
    FeatureSpec("amount", "number"),
    FeatureSpec("count", "number"),
    FeatureSpec("broker", "category", ("a", "b")),
    FeatureSpec("code", "category", ("0", "3")),
    FeatureSpec("new", "boolean"),
    FeatureSpec("since", "date"),
    FeatureSpec("note", "text"),
    FeatureSpec("city", "category", ("x",), dtype="object"),
    FeatureSpec("small", "number", dtype="float32"),
    FeatureSpec("at", "date", dtype="datetime64[us]"),
)
TABLE = pa.table(
    {
        "amount": pa.array([0.5, None, math.inf], pa.float64()),
        "count": pa.array([1, 2, 3_000_000_000], pa.int64()),
        "broker": ["a", "zzz", None],
        "code": pa.array([0, 3, -1], pa.int64()),
        "new": pa.array([True, False, None]),
        "since": pa.array([dt.datetime(1969, 12, 31, 23, 59, 59, 999_999), None, dt.datetime(2026, 3, 4, 5)]),
        "note": ["", None, "é"],
        "city": ["x", "elsewhere", None],
        "small": [0.1, 1e300, None],
        "at": pa.array([dt.date(2020, 1, 1), None, dt.date(2026, 11, 25)]),
    }
)


def test_a_frame_read_from_the_table_is_prepared_as_the_table_is() -> None:
    given = prepare(TABLE.to_pandas(), features_document(FEATURES))

    assert_frame_equal(given, prepare_frame(TABLE, FEATURES), check_exact=True)


def test_a_frame_with_arrow_types_is_prepared_as_the_table_is() -> None:
    given = prepare(TABLE.to_pandas(types_mapper=pd.ArrowDtype), features_document(FEATURES))

    assert_frame_equal(given, prepare_frame(TABLE, FEATURES), check_exact=True)


def test_requests_with_edge_rows_are_prepared_as_the_server_does() -> None:
    rows = [json.loads(request) for request in make_golden_requests(TABLE, FEATURES)]

    given = prepare(pd.DataFrame(rows), features_document(FEATURES))

    assert_frame_equal(given, prepare_frame(table_of_rows(rows, FEATURES), FEATURES), check_exact=True)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("number", [decimal.Decimal("1.5"), None], [1.5, math.nan]),
        ("number", pd.array([1, None], "Int64"), [1.0, math.nan]),
        ("number", [True, np.float32(0.5)], [1.0, 0.5]),
        ("boolean", ["Yes", "no", "perhaps", None], [1.0, 0.0, math.nan, math.nan]),
        ("boolean", pd.array([True, None], "boolean"), [1.0, math.nan]),
        ("date", [dt.date(1970, 1, 2), "1970-01-03T12:00:00+12:00", None], [1.0, 2.0, math.nan]),
        ("date", pd.Series(pd.to_datetime(["1970-01-02 01:00"], utc=True)).dt.tz_convert("Europe/Berlin"), [25 / 24]),
        ("date", pd.to_datetime(["1970-01-02"]).astype("datetime64[s]"), [1.0]),
        ("number", pd.Categorical([4, None]), [4.0, math.nan]),
    ],
)
def test_columns_of_many_types_are_read(kind: str, values: object, expected: list[float]) -> None:
    given = prepare(pd.DataFrame({"x": values}), [{"name": "x", "kind": kind}])

    np.testing.assert_array_equal(given["x"], expected)


def test_a_category_is_found_however_its_number_is_stored() -> None:
    feature = {"name": "x", "kind": "category", "categories": ["3", "true"]}

    given = prepare(pd.DataFrame({"x": [3, 3.0, "3", np.int8(3), decimal.Decimal(3), True, 2.5, None]}), [feature])

    assert given["x"].cat.codes.tolist() == [0, 0, 0, 0, 0, 1, -1, -1]


def test_a_value_of_the_wrong_type_is_refused_without_showing_it() -> None:
    with pytest.raises(TypeError, match='"x" holds a value that is no number') as caught:
        prepare(pd.DataFrame({"x": ["DE12 3456"]}), [{"name": "x", "kind": "number"}])
    assert "DE12" not in str(caught.value)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(KeyError, match='needs the column "x"'):
        prepare(pd.DataFrame({"y": [1]}), [{"name": "x", "kind": "number"}])
