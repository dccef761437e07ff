from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from tests.serve.desks import AUTHORIZATION, ask_endpoint, desk, endpoints
from tests.serve.loadouts import NOON, RISKY, loadout, request, seat

from trueup.lake.desired_state import TokenGrant, token_digest
from trueup.serve.callers import Callers
from trueup.serve.endpoints import Endpoints
from trueup.serve.replies import Reply

PATHS = [
    ("POST", "/predict/small-fraud"),
    ("POST", "/v2/models/small-fraud/infer"),
    ("GET", "/v2/models/small-fraud"),
    ("POST", "/outcomes/small-fraud"),
    ("POST", "/interventions/small-fraud"),
    ("POST", "/verdicts/small-fraud"),
    ("POST", "/events"),
    ("GET", "/openapi.json"),
    ("GET", "/metrics"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_all_but_health_needs_a_token(method: str, path: str) -> None:
    refused = ask_endpoint(endpoints(), method, path, b"{}", authorization=None)
    assert (refused.status, refused.frame) == (401, None)
    assert refused.headers[0][0] == b"www-authenticate"


@pytest.mark.parametrize(("method", "path"), PATHS[:-2])
def test_a_token_for_metrics_is_good_for_nothing_else(method: str, path: str) -> None:
    refused = ask_endpoint(endpoints(), method, path, b"{}", authorization=b"Bearer only-metrics")
    assert refused.status == 403


@pytest.mark.parametrize(
    "path",
    ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/small-fraud/ready", "/health/live"],
)
def test_health_needs_none(path: str) -> None:
    assert ask_endpoint(endpoints(), "GET", path, authorization=None).status == 200


def test_any_token_opens_the_document_and_shows_the_projects_it_is_good_for() -> None:
    other = replace(desk(), callers=Callers([TokenGrant("others", token_digest("others"), ("facts",))]))
    both = Endpoints({"small-fraud": desk(), "other": other}, metrics=lambda _: b"", is_ready=lambda: True)
    for token, shown in ((b"only-metrics", "small-fraud"), (b"others", "other")):
        told = ask_endpoint(both, "GET", "/openapi.json", authorization=b"Bearer " + token)
        paths = json.loads(told.body)["paths"]
        assert [path for path in paths if path.startswith("/predict/")] == [f"/predict/{shown}"]
    assert ask_endpoint(both, "GET", "/openapi.json", authorization=b"Bearer neither").status == 401


def test_a_server_that_is_not_ready_says_so_and_lives() -> None:
    cold = endpoints(ready=False)
    refused = ask_endpoint(cold, "GET", "/v2/health/ready", authorization=None)
    assert (refused.status, json.loads(refused.body)["code"]) == (503, "serve.not-ready")
    assert ask_endpoint(cold, "GET", "/v2/models/small-fraud/ready").status == 503
    assert ask_endpoint(cold, "GET", "/v2/health/live").status == 200


def test_a_prediction_and_a_fact_belong_to_the_log_of_their_project() -> None:
    at = endpoints()
    predicted = ask_endpoint(at, "POST", "/predict/small-fraud", request(RISKY))
    named = json.loads(predicted.body)["predictions"][0]["prediction_id"]
    fact = ask_endpoint(at, "POST", "/outcomes", json.dumps({"prediction_id": named, "outcome": True}).encode())
    assert [(reply.status, reply.project, reply.frame is not None) for reply in (predicted, fact)] == [
        (200, "small-fraud", True)
    ] * 2


def test_metrics_are_the_text_that_prometheus_tools_read() -> None:
    told = ask_endpoint(endpoints(), "GET", "/metrics", authorization=b"Bearer only-metrics")
    assert (told.status, told.body, told.headers) == (200, b"up 1\n", ((b"vary", b"accept"),))
    assert told.content_type == b"text/plain; version=0.0.4; charset=utf-8"


def test_metrics_are_openmetrics_where_the_scraper_asks_for_it() -> None:
    told = ask_endpoint(endpoints(), "GET", "/metrics", accept=b"application/openmetrics-text; version=1.0.0")
    assert (told.status, told.body, told.headers) == (200, b"# EOF\n", ((b"vary", b"accept"),))
    assert told.content_type == b"application/openmetrics-text; version=1.0.0; charset=utf-8"


def test_unknown_paths_and_methods_are_told() -> None:
    assert ask_endpoint(endpoints(), "GET", "/nothing").status == 404
    refused = ask_endpoint(endpoints(), "GET", "/predict/small-fraud")
    assert (refused.status, refused.headers) == (405, ((b"allow", b"POST"),))


@pytest.mark.parametrize("end", ["", "/ready", "/infer"])
def test_a_version_that_does_not_decide_is_not_there(end: str) -> None:
    at, method = endpoints(), "POST" if end == "/infer" else "GET"
    assert ask_endpoint(at, method, f"/v2/models/small-fraud/versions/1{end}").status == 404
    deciding = f"/v2/models/small-fraud/versions/{seat().digest}{end}"
    assert ask_endpoint(at, method, deciding, b"{}").status in {200, 422}


def test_a_model_in_another_process_is_waited_for() -> None:
    class Elsewhere:
        async def score(self, requests: object) -> list[tuple[float, ...] | None]:
            assert requests
            return [(0.75,)]

    at = endpoints(loadout(seat(predictor=None, slow=Elsewhere())))
    told = at.handle(
        b"POST",
        b"/predict",
        headers={b"authorization": AUTHORIZATION},
        body=request(RISKY),
        now=NOON,
        started_ns=0,
    )
    assert not isinstance(told, Reply)
    reply = asyncio.run(_awaited(told))
    assert json.loads(reply.body)["predictions"][0]["score"] == 0.75
    assert reply.project == "small-fraud"


async def _awaited(told: object) -> Reply:
    return await told  # type: ignore[no-any-return,misc]  # a coroutine of a reply
