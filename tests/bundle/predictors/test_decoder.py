from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.bundle.errors import RowBreaksSchema
from trueup.bundle.features import FeatureSpec
from trueup.bundle.frames import prepare_frame, table_of_rows
from trueup.bundle.predictors.decoder import Decoder, NotDecodable

FEATURES = (
    FeatureSpec("amount", "number"),
    FeatureSpec("a broker", "category", ("1", "2", "north")),
    FeatureSpec("new", "boolean"),
    FeatureSpec("applied", "date"),
)


def row(**changes: Any) -> dict[str, Any]:
    return {"amount": 12.5, "a broker": "north", "new": True, "applied": "1970-01-03", **changes}


def decoded(values: dict[str, Any]) -> list[float]:
    return [float(x) for x in Decoder(FEATURES).decode(json.dumps(values).encode())]


def as_numbers(frame: pd.DataFrame) -> np.ndarray:
    columns = []
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes = column.cat.codes.to_numpy().astype(float)
            codes[codes < 0] = np.nan
            columns.append(codes)
        else:
            columns.append(column.to_numpy())
    return np.column_stack(columns)


def test_every_kind_becomes_a_number() -> None:
    assert decoded(row()) == [12.5, 2.0, 1.0, 2.0]


@pytest.mark.parametrize("value", [None, "elsewhere", 1.5, -1, 1_000_000_007])
def test_a_category_that_training_never_saw_is_missing(value: object) -> None:
    assert math.isnan(decoded(row(**{"a broker": value}))[1])


@pytest.mark.parametrize("value", [1, 1.0, "1"])
def test_a_whole_number_is_the_same_category_however_it_is_written(value: object) -> None:
    assert decoded(row(**{"a broker": value}))[1] == 0.0


def test_the_number_just_below_one_is_not_missing() -> None:
    assert decoded(row(amount=1 - 2**-53))[0] == 0.9999999999999999


def test_a_field_that_is_left_out_is_named() -> None:
    values = row()
    del values["applied"]
    with pytest.raises(RowBreaksSchema, match='row 0 lacks "applied" \\(date\\); send null'):
        decoded(values)


@pytest.mark.parametrize(
    ("field", "value", "seen"),
    [("amount", "secret-iban", "str"), ("new", "perhaps", "str"), ("applied", "yesterday", "str"), ("amount", [1], "")],
)
def test_a_wrong_value_is_named_by_its_field_and_never_repeated(field: str, value: object, seen: str) -> None:
    with pytest.raises(RowBreaksSchema) as refused:
        decoded(row(**{field: value}))
    assert f'"{field}" must be a' in refused.value.message
    assert "secret-iban" not in refused.value.message
    assert seen in refused.value.message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"12", b"\xff\xfe", b"[" * 5000])
def test_what_is_no_request_is_refused(content: bytes) -> None:
    with pytest.raises(RowBreaksSchema):
        Decoder(FEATURES).decode(content)


def test_the_row_of_a_batch_that_is_wrong_is_told() -> None:
    content = json.dumps([row(), row(amount="x")]).encode()
    with pytest.raises(RowBreaksSchema, match='row 1: "amount"'):
        Decoder(FEATURES).decode_many(content)


def test_free_text_cannot_be_decoded_to_numbers() -> None:
    with pytest.raises(NotDecodable, match='"remarks" is free text'):
        Decoder([FeatureSpec("remarks", "text")])


VALUES = st.fixed_dictionaries(
    {
        "amount": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60),
        "a broker": st.none() | st.text(max_size=5) | st.sampled_from(["1", "2", "north"]) | st.integers(-3, 5),
        "new": st.none() | st.booleans() | st.sampled_from(["yes", "no", "T", "0", 0, 1]),
        "applied": st.none() | st.datetimes().map(lambda t: t.isoformat()) | st.floats(-1e6, 1e6),
        "other": st.none() | st.lists(st.integers()),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_the_decoder_and_the_frame_of_development_agree_to_the_last_bit(rows: list[dict[str, Any]]) -> None:
    content = json.dumps(rows).encode()
    expected = as_numbers(prepare_frame(table_of_rows(json.loads(content), FEATURES), FEATURES))
    many = Decoder(FEATURES).decode_many(content)
    ones = np.array([Decoder(FEATURES).decode(json.dumps(one).encode()) for one in rows])
    np.testing.assert_array_equal(many, expected)
    np.testing.assert_array_equal(ones, expected)


def test_decoding_imports_no_data_frame_and_no_learning_library() -> None:
    code = (
        "import sys, trueup.bundle.predictors.decoder\n"
        "print(sorted({'pandas', 'pyarrow', 'sklearn', 'lightgbm', 'duckdb', 'sqlglot'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
