"""A Python program and a real server: typed answers, and no case decided twice whatever is lost on the way."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.between import Between
from tests.serve.conftest import TOKEN, ServedLake
from tests.serve.running import TRUEUP, RunningServer, read_document, serving, until
from tests.serve.test_tls import certified

from trueup.client import Client, Event, Intervention, NotAllowed, NotReachable, NotSent, Outcome, Refused, Verdict
from trueup.client.retrying import RetryPolicy
from trueup.data.prediction_log import open_log
from trueup.lake.sealing import SealingElsewhere, sealing_alone

ROW = {"case": "A-1", "amount": 0.5, "age": 40, "happened": "2026-05-01T10:00:00Z"}
ONCE = RetryPolicy(deadline_s=20, first_pause_s=60, longest_pause_s=60)
"""No pause ends before the deadline, so there is one attempt."""
ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.fixture
def server(served_lake: ServedLake, tmp_path: Path) -> Iterator[RunningServer]:
    key = ("--trust", str(served_lake.trusted[0]))
    with serving(served_lake.store.folder, *key, spool=tmp_path / "spool", token=TOKEN) as running:
        yield running


@pytest.fixture
def client(server: RunningServer, served_lake: ServedLake) -> Iterator[Client]:
    with Client(server.url, token=TOKEN, project=served_lake.project) as made:
        yield made


def is_free(hot: Path) -> bool:
    """Return whether the process that sealed for a killed server has ended too."""
    try:
        with sealing_alone(hot):
            return True
    except SealingElsewhere:
        return False


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_a_program_decides_tells_and_asks_what_is_there(
    client: Client, server: RunningServer, served_lake: ServedLake, tmp_path: Path
) -> None:
    told = client.predict([ROW, ROW | {"amount": 9.0}], prediction_id=ID, association_ids=["A-1", 7], reasons=1)
    assert [one.association_id for one in told] == ["A-1", "7"]
    assert [one.prediction_id for one in told] == [ID, f"{ID}:1"]
    assert told[0].model_version == served_lake.old
    assert (told[1].decision, told[1].reason, told[1].qualifies) == (True, "worth_it", True)
    assert told[1].reasons == ()  # the tests' bundles do not say what is usual
    assert client.predict([ROW, ROW | {"amount": 9.0}], prediction_id=ID, association_ids=["A-1", 7], reasons=1) == told

    assert (
        client.outcomes(Outcome(outcome=True, association_id="A-1"), Outcome(outcome=None, prediction_id=ID)).recorded
        == 2
    )
    assert client.interventions(Intervention(acted=True, association_id="A-1", note="called")).recorded == 1
    assert client.verdicts(Verdict(agrees=False, reviewer="ann", association_id="A-1")).recorded == 1
    assert client.events(Event(kind="contact", facts={"by": "phone"}, fact_id=ID)).fact_ids == (ID,)

    model = client.model()
    assert model.versions == (served_lake.old,)
    assert {"amount", "age"} <= {tensor.name for tensor in model.inputs}
    health = client.health()
    assert (health.live, health.ready) == (True, True)
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64", "data": [value]}
        for name, value in ROW.items()
    ]
    assert client.infer(tensors, outputs=["score"])["score"] == (told[0].score,)
    assert b"trueup_predictions_served_total 3" in client.get("/metrics")

    assert server.stop() == 0
    with open_log(served_lake.store, served_lake.project, scratch=tmp_path) as log:
        kinds = ("predictions", "outcomes", "interventions", "verdicts", "events")
        assert [log.count(kind) for kind in kinds] == [3, 2, 1, 1, 1]


def test_refusals_say_what_the_server_said(client: Client, server: RunningServer) -> None:
    with pytest.raises(Refused) as refused:
        client.predict([ROW, ROW | {"amount": "much"}])
    assert (refused.value.status, refused.value.code, refused.value.row, refused.value.field) == (
        *(422, "serve.bad-row"),
        *(1, "amount"),
    )
    with Client(server.url, token="another") as stranger, pytest.raises(NotAllowed) as not_allowed:
        stranger.predict([ROW])
    assert not_allowed.value.code == "serve.no-token"


def test_nobody_there_is_said_within_the_deadline_and_health_is_bad() -> None:
    slept: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    url = f"http://127.0.0.1:{closed_port()}"
    with Client(url, token=TOKEN, clock=lambda: now[0], sleep=sleep, chance=lambda: 1.0) as client:
        with pytest.raises(NotReachable, match="did not answer"):
            client.predict([ROW])
        assert slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]  # 9.15 s; another 2 s would be over 10
        assert not client.health().live


def test_a_server_that_dies_before_its_answer_arrives_decides_the_case_once(
    served_lake: ServedLake, tmp_path: Path
) -> None:
    options = ("--trust", str(served_lake.trusted[0]))
    spool = tmp_path / "spool"
    with serving(served_lake.store.folder, *options, spool=spool, token=TOKEN) as first:
        between = Between(int(first.url.rsplit(":", 1)[1]), loses=lambda number: number == 1)
        again: list[subprocess.Popen[str]] = []

        def come_back(_: float) -> None:
            """Kill the server that decided and could not say so, and start another where it was."""
            for worker in [*first.workers(), first.process.pid]:
                os.kill(worker, signal.SIGKILL)
            first.process.wait(60)
            until(lambda: is_free(spool / served_lake.project / "hot"))
            command = [str(TRUEUP), "serve", str(served_lake.store.folder), "--port", "0", "--spool", str(spool)]
            again.append(
                subprocess.Popen(
                    [*command, "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )
            between.port = int(read_document(again[0])["url"].rsplit(":", 1)[1])

        with Client(between.url, token=TOKEN, project=served_lake.project, sleep=come_back) as client:
            [told] = client.predict([ROW])
        between.close()
        again[0].send_signal(signal.SIGTERM)
        assert again[0].wait(60) == 0
        again[0].communicate()
    assert len(between.requests) == 2
    first_body, second_body = (request.partition(b"\r\n\r\n")[2] for request in between.requests)
    assert first_body == second_body
    assert json.loads(first_body)["prediction_id"] == told.prediction_id
    with open_log(served_lake.store, served_lake.project, scratch=tmp_path) as log:
        assert log.count("recorded_predictions") == 2
        assert log.count("predictions") == 1
        recorded = log.predictions_of("A-1")
    assert {(one["prediction_id"], one["acted"], one["reason"]) for one in recorded} == {
        (told.prediction_id, told.decision, told.reason)
    }


def test_a_batch_sends_many_at_once_and_sets_a_bad_one_aside(client: Client, server: RunningServer) -> None:
    batch = client.outcome_batch(most=3)
    for number in range(7):
        batch.add(Outcome(outcome=True, association_id="" if number == 4 else f"A-{number}"))
    assert [one.association_id for one in batch.waiting] == ["A-6"]
    assert [one.outcome.association_id for one in batch.refused] == [""]
    with pytest.raises(NotSent, match="0 outcomes could not be sent and 1 were refused"):
        batch.close()
    assert batch.waiting == ()


def test_what_a_batch_cannot_send_it_keeps_with_its_id_and_sends_later(server: RunningServer) -> None:
    between = Between(int(server.url.rsplit(":", 1)[1]), loses=lambda number: number == 1)
    with Client(between.url, token=TOKEN, retries=ONCE) as client:
        with client.outcome_batch(most=2) as batch:
            batch.add(Outcome(outcome=True, association_id="A-1"))
            batch.add(Outcome(outcome=False, association_id="A-2"))
            assert isinstance(batch.problem, NotReachable)
            kept = batch.waiting
            assert len(kept) == 2
        assert batch.waiting == ()
    between.close()
    sent = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in between.requests]
    assert sent[0] == sent[1]
    assert [fact["fact_id"] for fact in sent[1]] == [one.fact_id for one in kept]


def test_a_server_with_tls_is_asked_and_a_stranger_is_not_believed(served_lake: ServedLake, tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    command = [
        *(str(TRUEUP), "serve", str(served_lake.store.folder), "--port", "0", "--spool", str(tmp_path / "spool")),
        *("--trust", str(served_lake.trusted[0]), "--json"),
        *("--certificate", str(certificate), "--certificate-key", str(key)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = read_document(process)["url"].replace("127.0.0.1", "localhost")
        trusting = ssl.create_default_context(cafile=str(certificate))
        with Client(url, token=TOKEN, verify=trusting) as client:
            assert len(client.predict([ROW])) == 1
        with (
            Client(url, token=TOKEN, retries=ONCE) as client,
            pytest.raises(NotReachable, match="CERTIFICATE_VERIFY_FAILED"),
        ):
            client.predict([ROW])
    finally:
        process.terminate()
        process.communicate(timeout=60)
