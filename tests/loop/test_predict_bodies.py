"""Rows of a file go to the log as the JSON that a caller would have sent, value for value."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.loop.predict_bodies import bodies_of


def written(rows: Any, **kinds: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in bodies_of(rows, kinds).to_pylist()]


@given(
    st.lists(
        st.tuples(st.none() | st.floats(), st.none() | st.text(), st.none() | st.integers(-(2**63), 2**63 - 1)),
        max_size=9,
    )
)
def test_every_value_is_read_back_as_it_was(values: list[tuple[float | None, str | None, int | None]]) -> None:
    x, t, n = ([row[place] for row in values] for place in range(3))
    table = pa.table({"x": pa.array(x, pa.float64()), 't"': pa.array(t, pa.string()), "n": pa.array(n, pa.int64())})

    read = [json.loads(text) for text in bodies_of(table, {"x": "number", 't"': "text", "n": "number"}).to_pylist()]

    for (number, _, _), row in zip(values, read, strict=True):
        assert row["x"] == (None if number is None or not math.isfinite(number) else number)
    assert [row['t"'] for row in read] == t
    assert [row["n"] for row in read] == n


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([dt.datetime(2016, 5, 1, 10), None], pa.timestamp("us")), ["2016-05-01 10:00:00", None]),
        (pa.array([dt.datetime(2016, 5, 1, 10, 0, 0, 5)], pa.timestamp("us", "UTC")), ["2016-05-01 10:00:00.000005Z"]),
        (pa.array([dt.date(2016, 5, 1), None]), ["2016-05-01", None]),
        (pa.array([True, None, False]), [True, None, False]),
        (pa.array([Decimal("1.50"), None]), [1.5, None]),
        (pa.array([["a"], None]), [["a"], None]),
        (pa.array(["1.5", "", "NA", "many"]), [1.5, None, None, "many"]),
    ],
)
def test_values_of_a_column_become_what_a_caller_sends(values: pa.Array, expected: list[Any]) -> None:
    read = written(pa.table({"v": values, "other": values}), v="number")
    assert read == [{"v": value} for value in expected]


def test_only_what_is_read_is_kept() -> None:
    assert written([{"a": 1, "iban": "DE1"}, {"b": [2]}], a="number", b="text") == [{"a": 1}, {"b": [2]}]
    assert written(pa.table({"iban": ["DE1"]}), a="number") == [{}]
