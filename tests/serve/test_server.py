"""A real server: it answers what it logged, changes models without failing anybody, and ends in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.serve.conftest import TOKEN, ServedLake
from tests.serve.lakes import fail_reads
from tests.serve.running import RunningServer, serving, until

from trueup.lake.desired_state import BundleRole, DesiredState, change_desired, desired_key, read_statuses
from trueup.lake.log_manifest import LogManifest

ROW = {"case": "A-1", "amount": 0.5, "age": 40, "happened": "2026-05-01T10:00:00Z"}


@pytest.fixture
def server(served_lake: ServedLake, tmp_path: Path) -> Iterator[RunningServer]:
    key = ("--trust", str(served_lake.trusted[0]))
    with serving(served_lake.store.folder, *key, spool=tmp_path / "spool", token=TOKEN) as running:
        yield running


def change(lake: ServedLake, **parts: Any) -> None:
    def changed(state: DesiredState | None) -> DesiredState:
        assert state is not None
        return msgspec.structs.replace(state, **parts)

    change_desired(lake.store, lake.project, changed)


def logged_rows(lake: ServedLake, table: str = "predictions") -> int:
    manifest = LogManifest(lake.store, lake.project)
    manifest.refresh()
    return sum(file.rows for file in manifest.files(table))


def test_an_answer_names_its_case_its_model_and_why(server: RunningServer, served_lake: ServedLake) -> None:
    told = server.predict(served_lake.project, [ROW]).json()["predictions"][0]
    assert (told["association_id"], told["model_version"]) == ("A-1", served_lake.old)
    assert 0 < told["score"] < 1
    assert isinstance(told["decision"], bool)


def test_what_was_answered_is_in_the_log_after_a_graceful_end(server: RunningServer, served_lake: ServedLake) -> None:
    answers = [server.predict(served_lake.project, [ROW, ROW]).json()["predictions"] for _ in range(20)]
    assert server.stop() == 0
    assert logged_rows(served_lake) == sum(len(answer) for answer in answers) == 40
    [status] = read_statuses(served_lake.store, served_lake.project)
    assert (status.served, status.logged) == (40, 40)


def test_another_champion_answers_within_a_second_and_so_does_the_way_back(
    server: RunningServer, served_lake: ServedLake
) -> None:
    def version() -> str:
        answer: str = server.predict(served_lake.project, [ROW]).json()["predictions"][0]["model_version"]
        return answer

    change(served_lake, bundles=(BundleRole(served_lake.new, "champion"),))
    until(lambda: version() == served_lake.new)
    change(served_lake, bundles=(BundleRole(served_lake.old, "champion"),))
    until(lambda: version() == served_lake.old)


def test_a_revoked_token_opens_nothing_any_more(server: RunningServer, served_lake: ServedLake) -> None:
    assert server.predict(served_lake.project, [ROW]).status_code == 200
    change(served_lake, tokens=())
    until(lambda: server.predict(served_lake.project, [ROW]).status_code == 401)


def test_without_a_token_only_health_answers(server: RunningServer, served_lake: ServedLake) -> None:
    assert httpx.get(f"{server.url}/v2/health/ready").status_code == 200
    for path in (f"/predict/{served_lake.project}", f"/outcomes/{served_lake.project}"):
        assert httpx.post(f"{server.url}{path}", json={"rows": [ROW]}).status_code == 401
    assert httpx.get(f"{server.url}/metrics").status_code == 401


def test_outcomes_come_into_the_same_log(server: RunningServer, served_lake: ServedLake) -> None:
    told = server.client.post(f"/outcomes/{served_lake.project}", json={"association_id": "A-1", "outcome": True})
    assert told.json()["recorded"] == 1
    server.stop()
    assert logged_rows(served_lake, "outcomes") == 1


def test_with_the_lake_away_it_goes_on_deciding_and_the_log_catches_up(
    server: RunningServer, served_lake: ServedLake
) -> None:
    lake, away = served_lake.store.folder, served_lake.store.folder.with_name("away")
    lake.rename(away)
    answers = [server.predict(served_lake.project, [ROW]).status_code for _ in range(50)]
    assert answers == [200] * 50
    if lake.exists():
        lake.rename(lake.with_name("made-meanwhile"))
    away.rename(lake)
    server.stop()
    assert logged_rows(served_lake) == 50


def test_when_reading_the_lake_fails_it_goes_on_says_so_and_follows_once_it_can_read(
    server: RunningServer, served_lake: ServedLake
) -> None:
    desired = served_lake.store.folder / desired_key(served_lake.project)
    before, workers = desired.read_bytes(), server.workers()

    def is_told() -> bool:
        statuses = read_statuses(served_lake.store, served_lake.project)
        return any("cannot be read" in str(status.problem) for status in statuses)

    fail_reads(desired)
    until(lambda: is_told() or server.workers() != workers)
    assert server.workers() == workers
    assert server.predict(served_lake.project, [ROW]).status_code == 200
    desired.unlink()
    desired.write_bytes(before)
    change(served_lake, tokens=())
    until(lambda: server.predict(served_lake.project, [ROW]).status_code == 401)
    assert server.stop() == 0


def test_several_processes_answer_on_one_port_and_count_together(served_lake: ServedLake, tmp_path: Path) -> None:
    options = ("--trust", str(served_lake.trusted[0]), "--processes", "2")
    with serving(served_lake.store.folder, *options, spool=tmp_path / "spool", token=TOKEN) as running:
        for _ in range(40):
            answer = httpx.post(
                f"{running.url}/predict/{served_lake.project}",
                json={"rows": [ROW]},
                headers={"authorization": f"Bearer {TOKEN}"},
            )
            assert answer.status_code == 200
        told = running.client.get("/metrics").text
        assert "trueup_predictions_served_total 40" in told
        assert "trueup_predictions_unlogged 0" in told
        assert 'trueup_score_count{role="champion"} 40' in told
        assert running.stop() == 0
    statuses = read_statuses(served_lake.store, served_lake.project)
    assert sum(status.served for status in statuses) == 40


def test_a_port_that_is_taken_is_said_before_anything_starts(
    server: RunningServer, served_lake: ServedLake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from trueup.cli.main import main

    port = server.url.rsplit(":", 1)[1]
    options = ["--port", port, "--spool", str(tmp_path / "other"), "--trust", str(served_lake.trusted[0]), "--json"]
    assert main(["serve", str(served_lake.store.folder), *options]) == 3
    assert "already in use" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_personal_values_are_nowhere_on_disk_but_sealed(
    server: RunningServer, served_lake: ServedLake, tmp_path: Path
) -> None:
    change(served_lake, personal=("name",))

    def asked() -> bool:
        server.predict(served_lake.project, [ROW | {"name": "Quixotina"}])
        return any((tmp_path / "spool" / served_lake.project / "keys").glob("*.keys"))

    until(asked)
    for _ in range(5):
        assert server.predict(served_lake.project, [ROW | {"name": "Esmeraldine"}]).status_code == 200
    assert server.stop() == 0
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"Esmeraldine" in content for content in written)
    assert logged_rows(served_lake) >= 6
