"""Columns become floats and codes, whatever stands for "never" in them."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest

from trueup.data.columns import category_codes_of, numbers_of


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([date(9999, 12, 31), None, date(1970, 1, 2)], pa.date32(), [253_402_214_400e6, np.nan, 86_400e6]),
        ([datetime(1, 1, 1), datetime(1970, 1, 1)], pa.timestamp("us"), [-62_135_596_800e6, 0.0]),
        ([1_500, None], pa.timestamp("ns"), [1.0, np.nan]),
        ([2**53 + 1, -5], pa.int64(), [2.0**53, -5.0]),
        ([True, None], pa.bool_(), [1.0, np.nan]),
    ],
)
def test_dates_and_large_numbers_become_the_nearest_float(
    values: list[object], kind: pa.DataType, expected: list[float]
) -> None:
    assert np.array_equal(numbers_of(pa.chunked_array([pa.array(values, kind)])), expected, equal_nan=True)


def test_texts_become_codes_with_a_name_each() -> None:
    codes, names = category_codes_of(pa.chunked_array([["b", None], ["a", "b"]]))
    assert [None if code < 0 else names[code] for code in codes] == ["b", None, "a", "b"]
