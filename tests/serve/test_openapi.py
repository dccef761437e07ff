from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from tests.serve.desks import AUTHORIZATION, ask_endpoint, endpoints
from tests.serve.loadouts import NOON

from trueup.serve.refusals import Refused
from trueup.serve.replies import Reply

DOCUMENT: dict[str, Any] = json.loads(ask_endpoint(endpoints(), "GET", "/openapi.json").body)
OPERATIONS = [(method, path, what) for path, methods in DOCUMENT["paths"].items() for method, what in methods.items()]


def kinds(base: type[Refused]) -> list[type[Refused]]:
    return [kind for one in base.__subclasses__() for kind in (one, *kinds(one))]


@pytest.mark.parametrize(("method", "path", "what"), OPERATIONS)
def test_every_example_is_answered(method: str, path: str, what: dict[str, Any]) -> None:
    body = b""
    if "requestBody" in what:
        body = json.dumps(what["requestBody"]["content"]["application/json"]["example"]).encode()
    assert ask_endpoint(endpoints(), method.upper(), path, body).status == 200


@pytest.mark.parametrize(("method", "path", "what"), OPERATIONS)
def test_every_endpoint_has_code_to_copy(method: str, path: str, what: dict[str, Any]) -> None:
    samples = {sample["lang"]: sample["source"] for sample in what["x-codeSamples"]}
    assert set(samples) == {"curl", "Python", "JavaScript"}
    assert all(path in samples[language] for language in ("curl", "JavaScript"))
    assert "with Client(" in samples["Python"]
    ast.parse(samples["Python"])
    assert ('method: "POST"' in samples["JavaScript"]) == (method == "post")


def test_every_status_of_a_refusal_is_documented_where_it_can_come() -> None:
    predict = DOCUMENT["paths"]["/predict/small-fraud"]["post"]["responses"]
    assert {str(kind.status) for kind in kinds(Refused)} <= set(predict)


def test_the_schema_of_rows_is_that_of_the_loaded_bundle() -> None:
    content = DOCUMENT["paths"]["/predict/small-fraud"]["post"]["requestBody"]["content"]["application/json"]
    row = content["schema"]["properties"]["rows"]["items"]
    assert row["required"] == ["age", "amount", "fee"]
    assert set(row["properties"]) == {"age", "amount", "fee", "case"}
    assert row["properties"]["amount"]["type"] == ["number", "boolean", "null"]


@pytest.mark.parametrize("host", ["scores.example:8443", "127.0.0.1:9000", "[::1]:8080", "scores"])
def test_samples_ask_where_the_document_was_asked_for(host: str) -> None:
    document = document_at(host)
    url = f"http://{host}"
    assert document["servers"] == [{"url": url}]
    curl, python, script = document["paths"]["/predict/small-fraud"]["post"]["x-codeSamples"]
    assert all(url in sample["source"] for sample in (curl, python, script))
    assert "localhost:8080" not in json.dumps(document)


@pytest.mark.parametrize("host", ["a b", 'x"; rm -rf', "$(id)", "a/b", "user@host", "", "x:y"])
def test_nothing_but_a_host_and_a_port_is_repeated(host: str) -> None:
    assert document_at(host)["servers"] == [{"url": "http://localhost:8080"}]


def document_at(host: str) -> dict[str, Any]:
    headers = {b"authorization": AUTHORIZATION, b"host": host.encode()}
    told = endpoints().handle(b"GET", b"/openapi.json", headers=headers, body=b"", now=NOON, started_ns=0)
    assert isinstance(told, Reply)
    found: dict[str, Any] = json.loads(told.body)
    return found


def test_paths_without_a_token_are_marked() -> None:
    free = sorted(path for _, path, what in OPERATIONS if not what["security"])
    assert free == [
        "/health/live",
        "/health/ready",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/small-fraud/ready",
    ]
