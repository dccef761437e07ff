from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.decoder import Decoder
from trueup.serve.refusals import BadForm, BadRow, NotJson, Refused, TooManyRows
from trueup.serve.row_requests import PolicyColumns, ReadRows, RowReader, read_envelope

FEATURES = (
    FeatureSpec("amount", "number"),
    FeatureSpec("a broker", "category", ("1", "2", "north")),
    FeatureSpec("new", "boolean"),
    FeatureSpec("applied", "date"),
)
DOCUMENT = {
    "columns": {"amount": "number", "fee": "number", "case": "any", "applied": "moment"},
    "plans": {
        "payoff": {"true_positive": ["negative", ["column", "fee", "number"]], "false_negative": ["number", 0.0]},
        "baseline_rule": None,
        "fallback": [">", ["column", "amount", "number"], ["number", 20000.0]],
        "time": ["column", "applied", "moment"],
    },
}
COLUMNS = PolicyColumns.of(DOCUMENT)
READER = RowReader(FEATURES, COLUMNS, most_rows=3)
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def row(**changes: Any) -> dict[str, Any]:
    return {
        "amount": 12.5,
        "a broker": "north",
        "new": True,
        "applied": "1970-01-03",
        "fee": 7,
        "case": 4711,
        **changes,
    }


def read(*rows: Any) -> ReadRows:
    return READER.read(json.dumps(rows).encode())


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in row().items() if name not in names}


def test_a_row_becomes_the_models_numbers_and_the_policys_columns() -> None:
    found = read(row(iban="DE00"))
    assert found.numbers.tolist() == [12.5, 2.0, 1.0, 2.0]
    assert found.columns == [{"amount": 12.5, "fee": 7, "case": 4711, "applied": "1970-01-03"}]
    assert not found.lacking


def test_payoff_baseline_and_fallback_columns_are_required_and_the_names_of_cases_and_times_are_not() -> None:
    assert COLUMNS.required == {"fee", "amount"}
    assert COLUMNS.fallback == {"amount"}
    assert read(without("case")).columns[0]["case"] is None


@pytest.mark.parametrize("number", [5, 5.0])
def test_a_whole_number_that_names_a_case_stays_as_it_was_written(number: float) -> None:
    assert repr(read(row(case=number)).columns[0]["case"]) == repr(number)


def test_many_rows_stand_one_after_the_other() -> None:
    found = read(row(), row(amount=None), row(**{"a broker": "elsewhere"}))
    assert found.numbers.shape == (12,)
    assert math.isnan(found.numbers[4])
    assert math.isnan(found.numbers[9])
    assert [columns["amount"] for columns in found.columns] == [12.5, None, 12.5]


def test_a_row_without_a_field_is_told_and_the_others_are_read() -> None:
    found = read(row(), without("a broker", "new"))
    assert found.lacking == {1: "a broker"}
    assert found.numbers[:4].tolist() == [12.5, 2.0, 1.0, 2.0]
    assert np.isnan(found.numbers[4:]).all()
    assert READER.can_fall_back(found.columns[1])


def test_a_row_without_a_column_of_the_payoff_lacks_it() -> None:
    assert read(without("fee")).lacking == {0: "fee"}


def test_a_row_without_the_fallbacks_column_cannot_fall_back() -> None:
    found = read(without("amount"))
    assert not READER.can_fall_back(found.columns[0])
    assert READER.first_without(found.columns[0]) == "amount"
    assert READER.lacks(0, "amount").message == 'row 0 lacks "amount" (number); send null where it is not known'


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", "secret-iban"), ("new", "perhaps"), ("applied", "yesterday"), ("fee", ["secret-iban"]), ("case", {})],
)
@pytest.mark.parametrize("lacks", [(), ("a broker",)])
def test_a_wrong_value_is_named_by_row_and_field_and_never_repeated(
    field: str, value: object, lacks: tuple[str, ...]
) -> None:
    with pytest.raises(BadRow, match=f'row 1: "{field}" must be a') as refused:
        read(row(), {**without(*lacks), field: value})
    assert refused.value.facts == {"row": 1, "field": field}
    assert b"secret-iban" not in refused.value.body
    assert refused.value.status == 422


@pytest.mark.parametrize(("rows", "kind"), [([], BadForm), ([row()] * 4, TooManyRows), ([{}] * 4, TooManyRows)])
def test_none_and_too_many_rows_are_refused(rows: list[Any], kind: type[Refused]) -> None:
    with pytest.raises(kind):
        read(*rows)


@pytest.mark.parametrize("rows", [b"{}", b"1", b"null", b"[1]", b"[[]]", b"[null]"])
def test_rows_that_are_no_objects_are_refused(rows: bytes) -> None:
    with pytest.raises(Refused) as refused:
        READER.read(rows)
    assert refused.value.status == 422


def test_a_text_feature_is_checked_and_gives_no_numbers() -> None:
    reader = RowReader([FeatureSpec("remarks", "text")], COLUMNS, most_rows=3)
    body = json.dumps([row(remarks="late")])
    assert reader.read(body.encode()).numbers.shape == (0,)
    with pytest.raises(BadRow, match='row 0: "remarks" must be a text or null, not int'):
        reader.read(json.dumps([row(remarks=1)]).encode())


def test_the_schema_has_the_same_digest_whatever_the_order_of_its_columns() -> None:
    other = RowReader(tuple(reversed(FEATURES)), COLUMNS, most_rows=3)
    assert other.schema_digest == READER.schema_digest
    assert READER.schema["a broker"] == "category"


VALUES = st.fixed_dictionaries(
    {
        "amount": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60),
        "a broker": st.none() | st.text(max_size=5) | st.sampled_from(["1", "2", "north"]) | st.integers(-3, 5),
        "new": st.none() | st.booleans() | st.sampled_from(["yes", "no", "T", "0", 0, 1]),
        "applied": st.none() | st.datetimes().map(lambda t: t.isoformat()) | st.floats(-1e6, 1e6),
        "fee": st.none() | st.integers() | st.text(max_size=3),
        "case": st.none() | st.integers() | st.text(max_size=3),
        "other": st.none() | st.lists(st.integers()),
    }
)


@settings(max_examples=200, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3))
def test_the_numbers_are_those_of_the_bundles_own_decoder(rows: list[dict[str, Any]]) -> None:
    content = json.dumps(rows).encode()
    expected = Decoder(FEATURES).decode_many(content)
    np.testing.assert_array_equal(READER.read(content).numbers.reshape(len(rows), 4), expected)


def test_the_envelope_keeps_the_rows_as_they_came() -> None:
    asked = read_envelope(
        b'{"rows": [{"amount":  1.50}], "prediction_id": "%s", "association_ids": ["a", 7, null], "reasons": 2}'
        % ID.encode(),
        most_rows=10,
    )
    assert asked.rows == b'[{"amount":  1.50}]'
    assert asked.prediction_id == bytes.fromhex(ID.replace("-", ""))
    assert asked.association_ids == ("a", "7", None)
    assert asked.reasons == 2


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"rows": [{"x": "\xff"}]}', b'{"rows": [{"x": NaN}]}', b'{"rows":' + b"[" * 5000]
)
def test_what_is_no_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(NotJson) as refused:
        read_envelope(body, most_rows=10)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[]", "must be a JSON object"),
        (b'{"secret-iban": 1, "rows": []}', "nothing else"),
        (b'{"rows": [], "prediction_id": "secret-iban"}', "prediction_id: an id must be a UUID of version 7"),
        (b'{"rows": [], "prediction_id": 1}', "prediction_id must be a text"),
        (b'{"rows": [], "reasons": -1}', "reasons must be how many"),
        (b'{"rows": [], "reasons": "secret-iban"}', "reasons must be a whole number"),
        (b'{"rows": [], "association_ids": [[]]}', "association_ids must be a list of texts"),
        (b'{"rows": [], "association_ids": [""]}', "number 0 has 0 characters"),
    ],
)
def test_an_envelope_of_another_form_is_refused_with_what_is_allowed(body: bytes, told: str) -> None:
    with pytest.raises(BadForm) as refused:
        read_envelope(body, most_rows=10)
    assert told in refused.value.message
    assert "secret-iban" not in refused.value.message
