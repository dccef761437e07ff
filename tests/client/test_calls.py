"""What does a client send, to the byte?"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from trueup.client import Client
from trueup.client.answers import Predictions
from trueup.client.calls import CallMaker, read_answer
from trueup.client.errors import BadAnswer, BadUrl, NoProject
from trueup.client.facts import Event, Outcome
from trueup.client.retrying import Answer, Call
from trueup.kernel.ids import BadId, parse_id

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def maker(project: str | None = "small-fraud") -> CallMaker:
    return CallMaker(project, moment=lambda: 1_688_000_000_000_000)


def predict(rows: Any, **more: Any) -> Call:
    known: dict[str, Any] = {"project": None, "prediction_id": None, "association_ids": None, "reasons": 0, **more}
    return maker().predict(rows, **known)


def body(call: Call) -> Any:
    assert call.body is not None
    return json.loads(call.body)


def test_each_prediction_has_an_id_from_the_start() -> None:
    first, second = (body(predict([{"amount": 1}]))["prediction_id"] for _ in range(2))
    assert parse_id(first) != parse_id(second)
    assert body(predict([{}], prediction_id=ID))["prediction_id"] == ID
    with pytest.raises(BadId):
        predict([{}], prediction_id="7")


def test_ids_of_many_threads_are_all_different() -> None:
    one = maker()
    fact = Outcome(outcome=True, association_id="A-1")
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: one.with_id(fact).fact_id, range(4000)))
    assert len(set(ids)) == 4000


def test_scalars_of_other_libraries_are_sent_as_pythons_own_and_nan_as_null() -> None:
    row = {"a": np.float64(1.5), "b": np.int64(2), "c": np.bool_(True), "d": float("nan"), "e": np.float32("nan")}
    assert body(predict([row]))["rows"] == [{"a": 1.5, "b": 2, "c": True, "d": None, "e": None}]
    with pytest.raises(TypeError, match="object cannot be sent"):
        predict([{"a": object()}])


def test_times_carry_their_offset() -> None:
    known = dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)
    call = maker().facts(Outcome, [Outcome(outcome=True, association_id="A-1", known_at=known)], project=None)
    [fact] = body(call)
    assert dt.datetime.fromisoformat(fact["known_at"]) == known
    assert call.path == "/outcomes/small-fraud"


def test_facts_keep_the_id_they_have_and_leave_out_what_is_not_known() -> None:
    call = maker().facts(Event, [Event(kind="contact", fact_id=ID)], project="other")
    assert (call.path, body(call)) == ("/events/other", [{"kind": "contact", "fact_id": ID}])


def test_a_project_may_be_left_out_where_the_server_has_one() -> None:
    call = maker(None).facts(Event, [Event(kind="contact")], project=None)
    assert call.path == "/events"
    with pytest.raises(NoProject):
        maker(None).model(None)
    assert maker("a/b").model(None).path == "/v2/models/a%2Fb"


def test_an_answer_of_another_form_is_no_answer() -> None:
    with pytest.raises(BadAnswer):
        read_answer(Answer(200, {}, b'{"predictions":[{"score":1}]}'), Predictions)


def test_importing_the_client_loads_no_data_library() -> None:
    heavy = "{'numpy', 'pandas', 'pyarrow', 'duckdb', 'sklearn', 'trueup.serve', 'trueup.lake'}"
    code = f"import sys, trueup.client; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("url", ["localhost:8080", "", "ftp://here", "//here"])
def test_a_url_without_its_scheme_is_told_so_and_not_that_no_server_runs(url: str) -> None:
    with pytest.raises(BadUrl, match="does not begin with http"):
        Client(url, token="t")
