from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serve.desks import PROJECT, Served, ask_endpoint, endpoints, serving
from tests.serve.loadouts import ID, RISKY, SAFE, first, model, record, request
from tritonclient.utils import InferenceServerException

from trueup.serve.replies import Reply

HEADERS = {"Authorization": "Bearer a-token-of-the-tests"}
INFER = f"/v2/models/{PROJECT}/infer"


def tensors(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    names = rows[0]
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "BYTES" if isinstance(rows[0][name], str) else "FP64",
            "data": [row[name] for row in rows],
        }
        for name in names
    ]


def infer(inputs: list[dict[str, Any]], **more: Any) -> Reply:
    return ask_endpoint(endpoints(), "POST", INFER, json.dumps({"inputs": inputs, **more}).encode())


def outputs(reply: Reply) -> dict[str, dict[str, Any]]:
    assert reply.status == 200, reply.body
    return {output["name"]: output for output in json.loads(reply.body)["outputs"]}


def test_tensors_are_decided_and_logged_like_rows() -> None:
    by_tensors = infer(tensors(RISKY, SAFE))
    by_rows = ask_endpoint(endpoints(), "POST", "/predict", request(RISKY, SAFE))
    assert json.loads(record(by_tensors).body) == json.loads(record(by_rows).body) == [RISKY, SAFE]
    assert record(by_tensors).rows == record(by_rows).rows
    told = outputs(by_tensors)
    assert told["score"]["data"] == [row.scores[0] for row in record(by_rows).rows if row.scores]
    assert (told["decision"]["datatype"], told["decision"]["data"]) == ("BOOL", [True, False])
    assert (told["score"]["datatype"], told["score"]["shape"]) == ("FP64", [2])
    assert told["association_id"]["data"] == ["risky", "safe"]


def test_the_id_and_the_wanted_outputs_are_honoured_and_the_parameters_carry_the_callers_id() -> None:
    reply = infer(
        tensors(RISKY), id="a request", outputs=[{"name": "prediction_id"}], parameters={"prediction_id": ID, "more": 1}
    )
    told = json.loads(reply.body)
    assert (told["id"], told["model_name"], told["model_version"]) == ("a request", PROJECT, model().manifest.digest)
    assert [(output["name"], output["data"]) for output in told["outputs"]] == [("prediction_id", [ID])]


def test_a_retry_gets_the_same_tensors_and_no_second_record() -> None:
    at = endpoints()
    body = json.dumps({"inputs": tensors(RISKY), "parameters": {"prediction_id": ID}}).encode()
    told = [ask_endpoint(at, "POST", INFER, body) for _ in range(2)]
    assert told[0].body == told[1].body


@pytest.mark.parametrize(
    ("datatype", "shape", "data"),
    [("INT64", [1], [2]), ("FP32", [1, 1], [2.5]), ("BOOL", [1], [True]), ("UINT8", [1, 1], [[2]])],
)
def test_a_number_may_come_in_any_type_and_as_a_column(datatype: str, shape: list[int], data: list[Any]) -> None:
    inputs = [one for one in tensors(RISKY) if one["name"] != "amount"]
    reply = infer([*inputs, {"name": "amount", "shape": shape, "datatype": datatype, "data": data}])
    assert outputs(reply)["score"]["data"][0] is not None


def test_null_is_a_value_that_is_not_known() -> None:
    told = outputs(infer(tensors({**RISKY, "age": None})))
    assert (told["score"]["data"], told["reason"]["data"]) == ([None], ["fallback:missing_features"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"datatype": "FP8"}, "input 0 has no datatype"),
        ({"shape": [2]}, "input 0 must be of shape"),
        ({"shape": [1, 2]}, "input 0 must be of shape"),
        ({"shape": []}, "input 0 must be of shape"),
        ({"data": ["secret-iban"]}, "input 0 holds a value that is no FP64"),
        ({"data": [[[1]]]}, "must be an inference request"),
        ({"data": None, "parameters": {"binary_data_size": 8}}, "binary_data=False"),
        ({"name": "age"}, "each name once"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_what_is_allowed(change: dict[str, Any], told: str) -> None:
    inputs = tensors(RISKY)
    reply = infer([{**inputs[0], **change}, *inputs[1:]])
    assert reply.status == 422
    assert told in json.loads(reply.body)["error"]
    assert b"secret-iban" not in reply.body


def test_an_output_that_the_model_does_not_give_is_refused() -> None:
    reply = infer(tensors(RISKY), outputs=[{"name": "score"}, {"name": "secret-iban"}])
    assert (reply.status, json.loads(reply.body)["field"]) == (422, "outputs")
    assert b"secret-iban" not in reply.body


def test_binary_bodies_and_too_many_rows_are_refused() -> None:
    assert ask_endpoint(endpoints(), "POST", INFER, b'{"inputs": []}\x00\x01').status == 400
    assert infer([]).status == 422
    assert infer(tensors(*[SAFE] * 51)).status == 413


TENSOR = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["amount", "age", "fee", "case", "other"]),
        "shape": st.lists(st.integers(-1, 3), max_size=3),
        "datatype": st.sampled_from(["FP64", "INT64", "BYTES", "BOOL", "x"]),
        "data": st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4), max_size=3),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(TENSOR, max_size=5) | st.none() | st.integers(), st.binary(max_size=5))
def test_any_tensors_get_an_answer_or_a_clean_refusal(inputs: object, rest: bytes) -> None:
    reply = ask_endpoint(endpoints(), "POST", INFER, json.dumps({"inputs": inputs}).encode() + rest)
    assert reply.status in {200, 400, 413, 422}
    assert json.loads(reply.body)


# --- a client that others wrote


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(endpoints()) as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    made = triton.InferenceServerClient(f"127.0.0.1:{served.port}")
    yield made
    made.close()


def triton_inputs(*rows: dict[str, Any]) -> list[triton.InferInput]:
    found = []
    for name, value in rows[0].items():
        text = isinstance(value, str)
        array = np.array([row[name] for row in rows], dtype=np.object_ if text else np.float64)
        tensor = triton.InferInput(name, list(array.shape), "BYTES" if text else "FP64")
        tensor.set_data_from_numpy(array, binary_data=False)
        found.append(tensor)
    return found


def test_tritons_client_finds_the_server_and_the_model(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(PROJECT)
    assert client.is_model_ready(PROJECT, model().manifest.digest)
    assert client.get_server_metadata()["name"] == "trueup"
    about = client.get_model_metadata(PROJECT, headers=HEADERS)
    assert about["versions"] == [model().manifest.digest]
    assert {"name": "amount", "datatype": "FP64", "shape": [-1]} in about["inputs"]
    assert {"name": "case", "datatype": "BYTES", "shape": [-1]} in about["inputs"]
    assert {"name": "decision", "datatype": "BOOL", "shape": [-1]} in about["outputs"]


def test_tritons_client_infers(client: triton.InferenceServerClient, served: Served) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=False) for name in ("score", "decision", "prediction_id")]
    answer = client.infer(PROJECT, triton_inputs(RISKY, SAFE), outputs=wanted, request_id="7", headers=HEADERS)
    logged = record(served.replies[-1])
    assert [(score,) for score in answer.as_numpy("score")] == [row.scores for row in logged.rows]
    assert answer.as_numpy("decision").tolist() == [True, False]
    assert answer.get_response()["id"] == "7"
    assert client.infer(PROJECT, triton_inputs(SAFE), headers=HEADERS).as_numpy("qualifies").tolist() == [False]


def test_tritons_client_is_told_what_is_wrong(client: triton.InferenceServerClient, served: Served) -> None:
    with pytest.raises(InferenceServerException, match="this needs a token"):
        client.infer(PROJECT, triton_inputs(RISKY))
    binary = triton.InferInput("amount", [1], "FP64")
    binary.set_data_from_numpy(np.array([1.0]))
    with pytest.raises(InferenceServerException, match="binary_data=False"):
        client.infer(PROJECT, [binary], headers=HEADERS)
    assert first(ask_endpoint(endpoints(), "POST", "/predict", request(RISKY))).acted
    assert served.replies[-1].frame is None
