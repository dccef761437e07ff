"""A batch run logs what it decided before it tells it, as a server does, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.loop.predicting import NOW, Packaged, answers, sealed, told

from trueup.align.decision_policy import DecisionPolicy
from trueup.bundle.loading import open_bundle, verify_bundle
from trueup.bundle.trust import trusted_keys
from trueup.kernel.digests import digest_of
from trueup.lake.capacity_file import CapacityFile
from trueup.lake.errors import StoreUnavailable
from trueup.lake.personal import KeyFolder
from trueup.lake.segments import list_segments
from trueup.loop.predict_logging import LogTarget, logged_kinds
from trueup.serve.loadout import seat_of_bundle
from trueup.serve.row_requests import PolicyColumns


@pytest.mark.parametrize(("workers", "allocation"), [(1, "streaming"), (2, "streaming"), (1, "period")])
def test_every_row_that_is_answered_is_in_the_log_as_it_was_answered(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path, workers: int, allocation: str
) -> None:
    out = tmp_path / "answers.parquet"

    ran = fraud.predict(grouped_rows, out, log=target, workers=workers, allocation=allocation)

    with sealed(target, fraud.project.name, tmp_path / "scratch") as log:
        logged = told(log, "SELECT * FROM predictions ORDER BY row")
        features = told(log, "SELECT * FROM features ORDER BY TRY_CAST(_association_id AS INT)")
    answered = answers(out)
    assert len(logged) == len(features) == len(answered) == ran.rows == ran.logged == 2_500
    for line, record in zip(answered, logged, strict=True):
        assert line["decision"] == record["acted"]
        for name in ("prediction_id", "association_id", "score", "expected_gain", "qualifies", "reason"):
            assert line[name] == record[name]
    assert {(r["caller"], r["model_version"]) for r in logged} == {(f"batch/{allocation}", fraud.bundle.name)}
    assert [record["row"] for record in logged] == list(range(2_500))
    source = pq.read_table(grouped_rows).to_pylist()
    assert [line["amount"] for line in features] == [case["amount"] for case in source]
    assert [line["_prediction_id"] for line in features] == [record["prediction_id"] for record in logged]
    hour = timedelta(hours=1)  # of Berlin in January
    assert [record["event_time"].replace(tzinfo=None) for record in logged[:3]] == [
        case["happened"] - hour for case in source[:3]
    ]


def test_a_server_would_decide_the_logged_rows_alike(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    fraud.predict(grouped_rows, tmp_path / "answers.parquet", log=target)

    keys = trusted_keys(fraud.workspace.keys)
    manifest = verify_bundle(fraud.bundle, trusted_keys=keys)
    seat = seat_of_bundle(fraud.bundle, manifest, "champion", columns=PolicyColumns.of(manifest.policy))
    assert digest_of(logged_kinds(manifest)) == seat.reader.schema_digest
    policy = DecisionPolicy(manifest.policy)
    with (
        sealed(target, fraud.project.name, tmp_path / "scratch") as log,
        open_bundle(fraud.bundle, trusted_keys=keys) as bundle,
    ):
        names = ", ".join(f'"{name}"' for name in logged_kinds(manifest))
        joined = "features JOIN predictions ON _prediction_id = prediction_id"
        kept = told(log, f"SELECT {names}, score, expected_gain FROM {joined}")  # names of the schema
        for line in kept[:50]:
            score, gain = line.pop("score"), line.pop("expected_gain")
            read = seat.reader.read(json.dumps([line], default=str).encode())
            assert bundle.score_rows(json.loads(f"[{json.dumps(line, default=str)}]"))[0] == (score,)
            assert policy.gain(score, read.columns[0]) == gain


def test_the_log_says_how_a_run_was_made(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    ran = fraud.predict(grouped_rows, tmp_path / "answers.parquet", log=target)

    with sealed(target, fraud.project.name, tmp_path / "scratch") as log:
        events = told(log, "SELECT caller, facts FROM events WHERE kind = 'batch' ORDER BY recorded_at")
        latencies = told(log, "SELECT DISTINCT latency_us FROM predictions")
    begun, ended = (json.loads(event["facts"]) for event in events)
    assert (begun["what"], begun["run"], begun["allocation"], begun["clock"]) == ("begun", ran.run, "streaming", "now")
    assert begun["bundle"] == ran.bundle
    assert begun["rows_digest"] == ended["rows_digest"]
    assert (ended["what"], ended["rows"], ended["logged"], ended["acted"]) == ("ended", 2_500, 2_500, ran.acted)
    assert all(latency["latency_us"] >= 1_000 for latency in latencies)  # a tick is a millisecond here


def test_a_rehearsal_is_not_in_the_log(fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path) -> None:
    ran = fraud.predict(grouped_rows, tmp_path / "answers.parquet", log=target, clock="event")

    assert ran.logged == 0
    assert not (tmp_path / "spool").exists()
    assert not (tmp_path / "lake" / "log").exists()


def test_rows_without_a_decision_are_no_predictions(fraud: Packaged, target: LogTarget, tmp_path: Path) -> None:
    source, out = tmp_path / "rows.jsonl", tmp_path / "answers.jsonl"
    good = {"case": 1, "a": 1.0, "b": 0.5, "amount": 100, "happened": "2016-05-01 10:00:00"}
    source.write_text("\n".join([json.dumps(good), "no JSON", json.dumps({**good, "case": 3, "note": "x"})]))

    ran = fraud.predict(source, out, log=target)

    assert (ran.rows, ran.logged) == (3, 2)
    with sealed(target, fraud.project.name, tmp_path / "scratch") as log:
        named = told(log, "SELECT prediction_id, association_id FROM predictions ORDER BY row")
        amounts = told(log, "SELECT _prediction_id, _association_id, amount FROM features ORDER BY _association_id")
    assert [tuple(line.values()) for line in named] == [(ran.run, "1"), (f"{ran.run}:2", "3")]
    assert [tuple(line.values()) for line in amounts] == [(ran.run, "1", 100.0), (f"{ran.run}:2", "3", 100.0)]


def test_personal_values_are_sealed(fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path) -> None:
    fraud.predict(grouped_rows, tmp_path / "answers.parquet", log=replace(target, personal=("amount",), durable=True))

    for segment in list_segments(target.spool.hot(fraud.project.name)):
        assert b'"amount"' not in segment.read_bytes()
    keys = KeyFolder(target.spool.keys(fraud.project.name))
    source = {str(case["case"]): case["amount"] for case in pq.read_table(grouped_rows).to_pylist()}
    with sealed(target, fraud.project.name, tmp_path / "scratch") as log:
        kept = told(log, "SELECT _association_id, _personal, amount FROM features LIMIT 20")
    for line in kept:
        assert line["amount"] is None
        assert keys.open_row(line["_personal"]) == {"amount": source[line["_association_id"]]}


def test_a_log_that_cannot_be_written_stops_the_run_before_anything_is_told(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    hot = target.spool.hot(fraud.project.name)
    hot.parent.mkdir(parents=True)
    hot.write_text("no folder")
    tokens = CapacityFile(tmp_path / "capacity")

    with pytest.raises(StoreUnavailable, match="hot"):
        fraud.predict(grouped_rows, tmp_path / "answers.csv", log=target, tokens=tokens)
    assert not list(tmp_path.glob("*answers.csv*"))

    hot.unlink()
    ran = fraud.predict(grouped_rows, tmp_path / "answers.csv", log=target, tokens=tokens)
    assert ran.acted == tokens.used(fraud.project.charter.calendar().start_of(NOW))[0] == 3
    with sealed(target, fraud.project.name, tmp_path / "scratch") as log:
        assert log.count("predictions", "acted") == 3
        assert log.count("predictions") == log.count("recorded_predictions") == 2_500
