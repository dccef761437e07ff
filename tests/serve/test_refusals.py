from __future__ import annotations

import json

from trueup.bundle.errors import RowBreaksSchema
from trueup.serve.refusals import BadRow, NotJson, Refused, WrongMethod, bad_row


def kinds(base: type[Refused]) -> list[type[Refused]]:
    return [kind for one in base.__subclasses__() for kind in (one, *kinds(one))]


def test_a_refusal_names_row_and_field_where_they_are_known() -> None:
    assert json.loads(BadRow("told", row=0, field="amount").body) == {
        "error": "told",
        "code": "serve.bad-row",
        "row": 0,
        "field": "amount",
    }
    assert json.loads(BadRow("told", row=None, field="").body) == {"error": "told", "code": "serve.bad-row"}


def test_every_refusal_has_a_code_of_its_own_and_none_is_a_servers_fault_but_503() -> None:
    codes = [kind.code for kind in kinds(Refused)]
    assert len(set(codes)) == len(codes)
    assert {kind.status for kind in kinds(Refused)} <= {400, 401, 403, 404, 405, 409, 413, 422, 503}


def test_what_may_be_tried_again_says_when() -> None:
    assert all(dict(kind.headers).get(b"retry-after") == b"1" for kind in kinds(Refused) if kind.status == 503)


def test_a_wrong_method_tells_the_right_ones() -> None:
    assert WrongMethod("told", allowed="GET, HEAD").headers == ((b"allow", b"GET, HEAD"),)


def test_what_a_decoder_refuses_is_a_bad_row_or_no_json() -> None:
    assert isinstance(bad_row(RowBreaksSchema("row 1 lacks", row=1, field="amount")), BadRow)
    assert isinstance(bad_row(RowBreaksSchema("the request is no JSON text in UTF-8", row=0, field="")), NotJson)
