"""Golden rows hold real rows and the rows at which converters fail, and compare to the last bit."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.bundle.errors import BadManifest, GoldenRowsDiffer
from trueup.bundle.features import FeatureSpec
from trueup.bundle.frames import prepare_frame, table_of_rows
from trueup.bundle.golden import (
    GoldenRow,
    compare_outputs,
    golden_lines,
    make_golden_requests,
    outputs_of,
    parse_golden,
    refuse_differences,
)

FEATURES = (
    FeatureSpec("amount", "number"),
    FeatureSpec("code", "category", ("1", "2")),
    FeatureSpec("open", "boolean"),
    FeatureSpec("day", "date"),
    FeatureSpec("note", "text"),
)
TABLE = pa.table(
    {
        "amount": pa.array([decimal.Decimal("1.50"), None]),
        "code": pa.array([1.0, 1.5]),
        "open": pa.array([True, None]),
        "day": pa.array([dt.datetime(2016, 5, 1, 12, tzinfo=dt.UTC), None], pa.timestamp("ns", "UTC")),
        "note": pa.array(["a", None]),
        "iban": pa.array(["never leaves", "the table"]),
    }
)


def test_requests_give_the_same_frame_as_the_table_and_hold_features_only() -> None:
    requests = make_golden_requests(TABLE, FEATURES, edge=False)

    frame = prepare_frame(table_of_rows([json.loads(r) for r in requests], FEATURES), FEATURES)

    assert frame.equals(prepare_frame(TABLE, FEATURES))
    assert "iban" not in "".join(requests)


def test_edge_rows_are_there_for_every_kind() -> None:
    rows = [json.loads(request) for request in make_golden_requests(TABLE, FEATURES)]

    assert {1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 0.9999999999999999, -1.0, None} <= {
        row["amount"] for row in rows
    }
    assert {"no such category", 1.5, -1, None} <= {row["code"] for row in rows}
    assert {"0001-01-01", "9999-12-31T23:59:59.999999", None} <= {row["day"] for row in rows}
    assert any(all(value is None for value in row.values()) for row in rows)


def test_every_edge_row_fits_the_schema() -> None:
    rows = [json.loads(request) for request in make_golden_requests(TABLE, FEATURES)]

    assert len(prepare_frame(table_of_rows(rows, FEATURES), FEATURES)) == len(rows)


def test_ten_thousand_columns_give_few_rows() -> None:
    features = [FeatureSpec(f"x{i}", "number") for i in range(10_000)]
    table = pa.table({f.name: [1.0] for f in features})

    assert len(make_golden_requests(table, features)) == 1 + 100 + 100 + 7


def test_a_thousand_columns_still_give_two_thousand_real_rows() -> None:
    features = [FeatureSpec(f"x{i}", "number") for i in range(1_000)]
    table = pa.table({f.name: np.arange(2_500.0) for f in features})

    assert len(make_golden_requests(table, features, edge=False)) == 2_000


def test_every_feature_meets_every_edge_before_rows_run_out() -> None:
    features = [FeatureSpec(f"x{i}", "number") for i in range(100)]
    table = pa.table({f.name: [2.5, 3.5] for f in features})

    rows = [json.loads(request) for request in make_golden_requests(table, features)]

    for value in (None, 1.7976931348623157e308, 5e-324, 0.9999999999999999, -1.0):
        assert all(any(row[f.name] == value for row in rows) for f in features)


def test_several_features_are_at_an_edge_at_once() -> None:
    features = [FeatureSpec("amount", "number"), FeatureSpec("code", "category", ("1", "2"))]
    table = pa.table({"amount": [10.0, 20.0], "code": ["1", "2"]})

    rows = [json.loads(request) for request in make_golden_requests(table, features)]

    both = [row for row in rows if row["amount"] not in {10.0, 20.0} and row["code"] not in {"1", "2"}]
    assert len(both) > 10
    assert any(row["amount"] == 15.0 for row in rows)  # the middle, where a tree would cut
    assert any(row["amount"] == math.nextafter(10.0, 11.0) for row in rows)


def test_real_rows_are_spread_over_the_table() -> None:
    table = pa.table({"amount": np.arange(9_999.0)})

    amounts = [json.loads(r)["amount"] for r in make_golden_requests(table, FEATURES[:1], edge=False)]

    assert len(amounts) == 2_000
    assert (amounts[0], amounts[-1]) == (0.0, 9_998.0)


def test_a_table_without_rows_still_gives_edge_rows() -> None:
    assert len(make_golden_requests(TABLE.slice(0, 0), FEATURES)) > 10


@given(st.lists(st.none() | st.tuples(st.floats()), max_size=5))
def test_outputs_survive_their_lines_to_the_last_bit(outputs: list[tuple[float] | None]) -> None:
    rows = [GoldenRow('{"a":1}', output) for output in outputs]

    again = parse_golden(golden_lines(rows))

    assert compare_outputs(rows, [row.output for row in again]).differing == 0


def test_the_last_bit_counts() -> None:
    rows = [GoldenRow("{}", (0.5,)), GoldenRow("{}", (0.25,)), GoldenRow("{}", None)]

    replay = compare_outputs(rows, [(0.5 + 2**-53,), (0.25,), None])

    assert (replay.rows, replay.differing, replay.largest_difference) == (3, 1, 2**-53)


def test_minus_zero_is_not_zero() -> None:
    assert compare_outputs([GoldenRow("{}", (0.0,))], [(-0.0,)]).differing == 1


@pytest.mark.parametrize(
    ("recorded", "found"), [(None, (0.5,)), ((0.5,), None), ((0.5,), (math.nan,)), ((0.5,), (0.5, 0.5))]
)
def test_a_refusal_or_nan_on_one_side_is_an_infinite_difference(
    recorded: tuple[float, ...] | None, found: tuple[float, ...] | None
) -> None:
    assert compare_outputs([GoldenRow("{}", recorded)], [found]).largest_difference == math.inf


def test_decisions_that_change_are_counted() -> None:
    rows = [GoldenRow("{}", (0.5,)), GoldenRow("{}", (0.375,)), GoldenRow("{}", None)]

    replay = compare_outputs(rows, [(0.4999,), (0.3125,), None], cutoff=0.5)

    assert replay.decisions_differ == 1


def test_differences_are_refused_with_their_figures() -> None:
    replay = compare_outputs([GoldenRow("{}", (0.5,)), GoldenRow("{}", (0.5,))], [(0.5,), (0.75,)])

    with pytest.raises(
        GoldenRowsDiffer, match=r"1 of 2 golden rows do not reproduce here, the largest difference is 0\.25"
    ):
        refuse_differences(replay, digest="a" * 64)


@pytest.mark.parametrize(
    "content", [b"{", b"{}\n", b'{"request":1,"output":[]}\n', b'{"request":"{}","output":["x"]}\n', b"\xff"]
)
def test_lines_that_are_no_golden_rows_are_refused(content: bytes) -> None:
    with pytest.raises(BadManifest, match=r"golden\.jsonl cannot be read"):
        parse_golden(content)


def test_outputs_of_several_classes_are_one_tuple_a_row() -> None:
    assert outputs_of(np.array([[0.25, 0.75], [1.0, 0.0]]), [1]) == [(0.25, 0.75), None]


@pytest.mark.parametrize(("found", "differing"), [(0.5 + 1e-13, 0), (0.5 + 1e-11, 1), (float("nan"), 1)])
def test_a_row_may_differ_by_no_more_than_was_allowed(found: float, differing: int) -> None:
    rows = [GoldenRow("{}", (0.5,))]
    replay = compare_outputs(rows, [(found,)], tolerance=1e-12)
    assert replay.differing == differing
    assert replay.largest_difference > 0


def test_what_is_allowed_grows_with_a_number_above_one() -> None:
    rows = [GoldenRow("{}", (1e6,))]
    assert compare_outputs(rows, [(1e6 + 1e-7,)], tolerance=1e-12).differing == 0
    assert compare_outputs(rows, [(1e6 + 1e-5,)], tolerance=1e-12).differing == 1


def test_no_rows_have_no_outputs() -> None:
    assert outputs_of(np.empty(0), []) == []
