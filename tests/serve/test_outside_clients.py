"""What do programs that others wrote say of a real server? Prometheus, Triton's client, schemathesis, and a fuzzer."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.serve.conftest import TOKEN, ServedLake
from tests.serve.running import RunningServer, serving
from tritonclient.utils import InferenceServerException

ROW = {"case": "A-1", "amount": 0.5, "age": 40, "happened": "2026-05-01T10:00:00Z"}
PROJECT = "small-fraud"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
SECRET = "Esmeraldine"
"""A value of a row that no refusal may repeat."""


@pytest.fixture
def server(served_lake: ServedLake, tmp_path: Path) -> Iterator[RunningServer]:
    key = ("--trust", str(served_lake.trusted[0]))
    with serving(served_lake.store.folder, *key, spool=tmp_path / "spool", token=TOKEN) as running:
        yield running


# --- Prometheus


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
def test_promtool_has_nothing_to_say_of_the_metrics(server: RunningServer) -> None:
    for rows in ([ROW], [ROW, ROW | {"amount": 9.0}], [ROW | {"age": None}]):
        assert server.predict(PROJECT, rows).status_code == 200
    assert server.predict(PROJECT, [{}]).status_code in {200, 422}
    assert (
        server.client.post(f"/outcomes/{PROJECT}", json={"association_id": "A-1", "outcome": True}).status_code == 200
    )
    assert server.client.get("/nothing").status_code == 404
    text = server.client.get("/metrics").text
    said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
    assert "trueup_predictions_served_total" in text
    asked = server.client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert asked.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert asked.text.endswith("\n# EOF\n")


# --- Triton's client


def tensor(name: str, datatype: str, values: list[Any]) -> triton.InferInput:
    kinds = {"BYTES": np.object_, "FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}
    made = triton.InferInput(name, [len(values)], datatype)
    made.set_data_from_numpy(np.array(values, dtype=kinds[datatype]), binary_data=False)
    return made


def test_tritons_client_finds_the_model_and_infers_with_every_kind_of_tensor(
    server: RunningServer, served_lake: ServedLake
) -> None:
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(PROJECT)
    assert client.get_server_metadata()["name"] == "trueup"
    about = client.get_model_metadata(PROJECT, headers=HEADERS)
    assert about["versions"] == [served_lake.old]

    inputs = [
        tensor("case", "BYTES", ["A-1", "A-2"]),
        tensor("happened", "BYTES", ["2026-05-01T10:00:00Z"] * 2),
        tensor("amount", "FP64", [0.5, 9.0]),
        tensor("age", "INT64", [40, 41]),
        tensor("nobody_reads", "BOOL", [True, False]),
    ]
    answer = client.infer(PROJECT, inputs, request_id="7", headers=HEADERS)
    rows = [ROW, ROW | {"case": "A-2", "amount": 9.0, "age": 41}]
    by_rows = server.predict(PROJECT, rows).json()["predictions"]
    assert answer.as_numpy("score").tolist() == [row["score"] for row in by_rows]
    assert answer.as_numpy("decision").tolist() == [row["decision"] for row in by_rows]
    assert answer.as_numpy("association_id").tolist() == ["A-1", "A-2"]
    assert answer.get_response()["id"] == "7"
    with pytest.raises(InferenceServerException, match="token"):
        client.infer(PROJECT, inputs)
    client.close()


def test_null_in_a_tensor_is_a_value_that_is_not_known(server: RunningServer) -> None:
    known = {"case": "BYTES", "happened": "BYTES", "amount": "FP64", "age": "FP64"}
    inputs = [
        {"name": name, "shape": [1], "datatype": kind, "data": [None if name == "age" else ROW[name]]}
        for name, kind in known.items()
    ]
    answer = server.client.post(f"/v2/models/{PROJECT}/infer", json={"inputs": inputs, "outputs": [{"name": "score"}]})
    by_rows = server.predict(PROJECT, [ROW | {"age": None}]).json()["predictions"][0]
    assert answer.json()["outputs"][0]["data"] == [by_rows["score"]]


# --- schemathesis


def test_schemathesis_finds_nothing_with_all_its_checks(server: RunningServer, tmp_path: Path) -> None:
    """All but one: a schema cannot say that tensors have as many values as their shape, or that a fact names a case."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("run", f"{server.url}/openapi.json", "--checks", "all", "--max-examples", "3", "--seed", "1"),
        *("-H", f"Authorization: {HEADERS['Authorization']}", "--phases", "examples,coverage,fuzzing"),
        *("--suppress-health-check", "all", "--exclude-checks", "positive_data_acceptance"),
    ]
    refusals = "[400, 401, 403, 404, 405, 409, 413, 415, 422]"  # its own list knows no 413
    (tmp_path / "schemathesis.toml").write_text(f"[checks.negative_data_rejection]\nexpected-statuses = {refusals}\n")
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr


# --- a fuzzer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(SECRET),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ROW, "x"]), inner, max_size=4),
    max_leaves=8,
)
PATHS = st.sampled_from(
    [
        *("/predict", f"/predict/{PROJECT}", f"/v2/models/{PROJECT}/infer", "/outcomes", "/interventions", "/verdicts"),
        *("/events", f"/v2/models/{PROJECT}", "/v2", "/metrics", "/openapi.json", "/v2/health/ready", "/../../etc"),
    ]
)
BODIES = st.one_of(
    st.binary(max_size=40),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.lists(JSON, max_size=3).map(lambda rows: json.dumps({"rows": rows}).encode()),
    st.fixed_dictionaries({name: JSON | st.just(value) for name, value in ROW.items()}).map(
        lambda row: json.dumps({"rows": [row], "reasons": 2}).encode()
    ),
    st.lists(JSON, max_size=3).map(lambda inputs: json.dumps({"inputs": inputs}).encode()),
)
ANSWERED = {200, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 422, 431, 501, 505}
"""501 and 505 are what HTTP wants said of another protocol, not failures of the server."""


def asked(server: RunningServer, request: bytes) -> tuple[int, bytes]:
    """Return status and answer of the first request in some bytes, sent as they are."""
    port = int(server.url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return (int(answer.split(b" ", 2)[1]) if answer else 0), answer


def first_of(answers: bytes) -> bytes:
    """Return the first of pipelined answers."""
    head, mark, rest = answers.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + mark + rest[: int(lengths[0] if lengths else 0)]


def check_clean(status: int, answer: bytes) -> None:
    """Fail where an answer is none that was agreed, or tells what it should not."""
    assert status in ANSWERED, answer
    if status != 200:
        for leak in (b"Traceback", b"site-packages", b".py", b"/tmp/", SECRET.encode(), TOKEN.encode()):
            assert leak not in answer
        body = answer.partition(b"\r\n\r\n")[2]
        assert set(json.loads(body)) <= {"error", "code", "row", "field"}


def test_whatever_is_sent_gets_an_answer_or_a_clean_refusal(server: RunningServer) -> None:
    quick = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])

    @quick
    @given(
        st.sampled_from(["POST", "GET", "PUT", "DELETE", "POST"]), PATHS, BODIES, st.sampled_from([TOKEN, TOKEN, "x"])
    )
    def whole(method: str, path: str, body: bytes, token: str) -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
        status, answer = asked(server, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        check_clean(status, answer)

    @quick
    @given(
        st.lists(
            st.sampled_from(
                [
                    *(b"POST /predict HTTP/1.1\r\n", b"GET / HTTP/9.9\r\n", b"Host: x\r\n", b"Host: y\r\n", b"\r\n"),
                    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n"),
                    *(b"ffffffffffffffff\r\n", b"0\r\n\r\n", b"Expect: 200-ok\r\n", b"Content-Encoding: gzip\r\n"),
                    *(b"\x00\xff", b"{}", SECRET.encode(), b"Upgrade: websocket\r\nConnection: upgrade\r\n"),
                ]
            )
            | st.binary(max_size=10),
            min_size=1,
            max_size=10,
        )
    )
    def broken(pieces: list[bytes]) -> None:
        status, answer = asked(server, b"".join(pieces))
        if status:  # a request that never became whole gets none
            check_clean(status, first_of(answer))

    whole()
    broken()
    assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
    assert server.predict(PROJECT, [ROW]).status_code == 200
