"""Rows become the same frame in training and in scoring."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.bundle.errors import FeatureMissing, RowBreaksSchema
from trueup.bundle.features import BadFeatures, FeatureSpec, features_document, parse_features
from trueup.bundle.frames import learn_features, prepare_frame, table_of_rows

AMOUNT = FeatureSpec("amount", "number")
BROKER = FeatureSpec("broker", "category")
CODE = FeatureSpec("code", "category", ("0", "1", "2"))
OPEN = FeatureSpec("open", "boolean")
DAY = FeatureSpec("day", "date")
NOTE = FeatureSpec("note", "text")


def test_categories_are_learned_sorted_and_fractional_codes_are_not() -> None:
    table = pa.table({"broker": ["b", None, "a", "b"], "code": [2.0, 1.0, 1.5, -1.0]})

    learned = learn_features(table, [BROKER, FeatureSpec("code", "category")])

    assert learned == [FeatureSpec("broker", "category", ("a", "b")), FeatureSpec("code", "category", ("1", "2"))]


def test_only_the_most_frequent_categories_are_kept_when_there_are_too_many() -> None:
    table = pa.table({"broker": ["z", "z", "b", "a", "y", "y"]})

    assert learn_features(table, [BROKER], max_categories=3)[0].categories == ("a", "y", "z")


def test_a_dictionary_column_learns_what_it_holds_not_what_it_could_hold() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["a", "never"]))

    assert learn_features(pa.table({"broker": column}), [BROKER])[0].categories == ("a",)


def test_unknown_fractional_and_negative_codes_become_missing() -> None:
    frame = prepare_frame(pa.table({"code": [0.0, 2.0, 7.0, 1.5, -1.0, None]}), [CODE])

    assert frame["code"].cat.codes.tolist() == [0, 2, -1, -1, -1, -1]
    assert frame["code"].cat.categories.tolist() == ["0", "1", "2"]


@pytest.mark.parametrize("values", [["0", "2"], [0, 2], [0.0, 2.0], [decimal.Decimal(0), decimal.Decimal(2)]])
def test_a_code_means_the_same_however_it_is_stored(values: list[Any]) -> None:
    frame = prepare_frame(pa.table({"code": values}), [CODE])

    assert frame["code"].cat.codes.tolist() == [0, 2]


def test_the_empty_text_is_a_category_of_its_own() -> None:
    frame = prepare_frame(pa.table({"code": ["", None, "a"]}), [FeatureSpec("code", "category", ("", "a"))])

    assert frame["code"].cat.codes.tolist() == [0, -1, 1]


def test_numbers_booleans_and_dates_are_float64() -> None:
    table = pa.table(
        {
            "amount": [1, 2, None],
            "open": [True, False, None],
            "day": pa.array([dt.date(1970, 1, 2), dt.date(1969, 12, 31), None]),
        }
    )

    frame = prepare_frame(table, [DAY, AMOUNT, OPEN])

    assert list(frame.columns) == ["day", "amount", "open"]
    assert {str(t) for t in frame.dtypes} == {"float64"}
    assert frame["day"].tolist()[:2] == [1.0, -1.0]
    assert frame["open"].tolist()[:2] == [1.0, 0.0]
    assert frame.iloc[2].isna().all()


def test_a_time_of_day_is_a_part_of_the_day_whatever_the_unit() -> None:
    noon = dt.datetime(1970, 1, 2, 12, tzinfo=dt.UTC)
    for unit in ("s", "ms", "us", "ns"):
        frame = prepare_frame(pa.table({"day": pa.array([noon], pa.timestamp(unit, "UTC"))}), [DAY])
        assert frame["day"].tolist() == [1.5]


def test_infinite_numbers_count_as_missing() -> None:
    frame = prepare_frame(pa.table({"amount": [math.inf, -math.inf, 1.5]}), [AMOUNT])

    assert frame["amount"].isna().tolist() == [True, True, False]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(FeatureMissing, match='"amount" \\(number\\), but the table has no column'):
        prepare_frame(pa.table({"other": [1]}), [AMOUNT])


def test_a_column_of_the_wrong_type_is_named() -> None:
    with pytest.raises(FeatureMissing, match='"amount" as number, but the column holds string'):
        prepare_frame(pa.table({"amount": ["x"]}), [AMOUNT])


def test_an_empty_table_gives_an_empty_frame() -> None:
    table = pa.table({"amount": pa.array([], pa.float64()), "code": pa.array([], pa.string())})

    frame = prepare_frame(table, [AMOUNT, CODE])

    assert frame.shape == (0, 2)


def test_a_row_without_a_feature_is_refused_by_name() -> None:
    with pytest.raises(RowBreaksSchema, match='row 0 lacks "amount"'):
        table_of_rows([{"amonut": 3}], [AMOUNT])


@pytest.mark.parametrize(
    ("feature", "value"), [(AMOUNT, "12"), (AMOUNT, [1]), (OPEN, 2), (DAY, "soon"), (CODE, {}), (NOTE, 1)]
)
def test_a_value_of_the_wrong_type_is_refused_and_not_repeated(feature: FeatureSpec, value: object) -> None:
    with pytest.raises(RowBreaksSchema, match=f'"{feature.name}" must be a {feature.kind} or null') as caught:
        table_of_rows([{feature.name: value}], [feature])
    assert "soon" not in caught.value.message


def test_the_features_survive_their_document() -> None:
    features = (AMOUNT, CODE, OPEN)

    assert parse_features(json.loads(json.dumps(features_document(features)))) == features


@pytest.mark.parametrize(
    "document",
    [{}, [1], [{"name": "a"}], [{"name": 1, "kind": "number"}], [{"name": "a", "kind": "category", "categories": 3}]],
)
def test_a_document_that_describes_no_features_is_refused(document: object) -> None:
    with pytest.raises(BadFeatures):
        parse_features(document)


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "amount": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**62), 2**62),
                "code": st.none() | st.integers(-2, 4) | st.sampled_from([0.5, 1.0]),
                "open": st.none() | st.booleans(),
                "day": st.none() | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)),
            }
        ),
        min_size=1,
        max_size=8,
    )
)
def test_request_rows_give_the_same_bits_as_the_table_they_came_from(rows: list[dict[str, Any]]) -> None:
    features = [AMOUNT, CODE, OPEN, DAY]
    table = pa.table(
        {
            "amount": pa.array([None if r["amount"] is None else float(r["amount"]) for r in rows], pa.float64()),
            "code": pa.array([r["code"] for r in rows], pa.float64()),
            "open": pa.array([r["open"] for r in rows], pa.bool_()),
            "day": pa.array([r["day"] for r in rows], pa.timestamp("us")),
        }
    )
    requests = json.loads(json.dumps([{**r, "day": r["day"] and r["day"].isoformat()} for r in rows]))

    from_rows, from_table = prepare_frame(table_of_rows(requests, features), features), prepare_frame(table, features)

    assert list(from_rows.dtypes) == list(from_table.dtypes)
    for name in ("amount", "open", "day"):
        assert np.array_equal(from_rows[name].to_numpy().view(np.int64), from_table[name].to_numpy().view(np.int64))
    assert from_rows["code"].cat.codes.tolist() == from_table["code"].cat.codes.tolist()
