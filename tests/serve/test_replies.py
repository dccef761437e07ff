from __future__ import annotations

import json

import pytest
from tests.serve.loadouts import ID, loadout

from trueup.kernel.ids import BadId, parse_id
from trueup.lake.log_records import DecidedRow
from trueup.serve.reasons import Reason
from trueup.serve.replies import Answered, parse_prediction, prediction_text, rows_form


def decided(**changes: object) -> DecidedRow:
    facts: dict[str, object] = {
        "row": 0,
        "association_id": 'a "case"',
        "event_time": None,
        "role": "champion",
        "model_version": "d" * 64,
        "scores": (0.25,),
        "expected_gain": 3.5,
        "qualifies": True,
        "acted": False,
        "predicted": None,
        "reason": "no_capacity",
        "propensity": 1.0,
    }
    return DecidedRow(**{**facts, **changes})  # type: ignore[arg-type]  # the record's own fields


def test_a_row_is_named_by_the_id_and_from_the_second_on_by_its_number() -> None:
    names = [prediction_text(parse_id(ID), row) for row in (0, 1, 12)]
    assert names == [ID, f"{ID}:1", f"{ID}:12"]
    assert [parse_prediction(name) for name in names] == [(parse_id(ID), row) for row in (0, 1, 12)]


@pytest.mark.parametrize("text", ["", ID[:-1], f"{ID}:", f"{ID}:x", f"{ID}:-1", f"{ID}:99999999", f"{ID}:\u0663"])
def test_what_names_no_prediction_is_refused(text: str) -> None:
    with pytest.raises(BadId):
        parse_prediction(text)


def test_an_answer_is_json_whatever_the_case_is_called() -> None:
    rows = [decided(), decided(row=1, scores=None, role="fallback", reason="fallback:deadline")]
    told = json.loads(rows_form(Answered(parse_id(ID), rows, [(Reason("amount", 0.5),), None], loadout())))
    assert told["predictions"][0] == {
        "prediction_id": ID,
        "association_id": 'a "case"',
        "score": 0.25,
        "decision": False,
        "decision_by": "champion",
        "reason": "no_capacity",
        "qualifies": True,
        "model_version": "d" * 64,
        "policy_version": loadout().policy.version,
        "reasons": [{"feature": "amount", "effect": 0.5}],
    }
    assert (told["predictions"][1]["score"], told["predictions"][1]["decision_by"]) == (None, "fallback")
    assert told["predictions"][1]["reasons"] is None


def test_the_decision_of_a_number_or_a_class_is_that_number_or_class() -> None:
    rows = [decided(predicted=12.5), decided(predicted="gold")]
    told = json.loads(rows_form(Answered(parse_id(ID), rows, None, loadout())))
    assert [one["decision"] for one in told["predictions"]] == [12.5, "gold"]
