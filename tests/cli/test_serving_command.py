"""Does an operator change what servers do with one command, and hear whether they did it?"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serve.conftest import PROJECT, TOKEN, ServedLake
from tests.serve.running import RunningServer, serving

from trueup.cli.main import main
from trueup.lake.desired_state import ServerStatus, read_desired, read_history, write_status

ROW = {"case": "A-1", "amount": 9.0, "age": 40, "happened": "2026-05-01T10:00:00Z"}
Told = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def told(served_lake: ServedLake, capsys: pytest.CaptureFixture[str]) -> Told:
    def run(action: str, *words: str) -> tuple[int, dict[str, Any]]:
        place = () if "--project" in words else ("--project", str(served_lake.store.folder))
        trust = () if action == "show" else ("--trust", str(served_lake.trusted[0]))
        capsys.readouterr()
        code = main(["serving", action, *words, *place, *trust, "--json"])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, document

    return run


@pytest.fixture
def server(served_lake: ServedLake, tmp_path: Path) -> Iterator[RunningServer]:
    key = ("--trust", str(served_lake.trusted[0]))
    with serving(served_lake.store.folder, *key, spool=tmp_path / "spool", token=TOKEN) as running:
        yield running


def test_a_running_server_does_what_it_is_told_and_the_command_says_so(
    server: RunningServer, served_lake: ServedLake, told: Told
) -> None:
    def answer(**more: Any) -> dict[str, Any]:
        one: dict[str, Any] = server.predict(served_lake.project, [ROW], **more).json()["predictions"][0]
        return one

    code, said = told("champion", served_lake.new[:8], "--reason", "worth more", "--by", "ann")
    assert (code, said["carried_out"], len(said["servers"])) == (0, True, 1)
    assert answer()["model_version"] == served_lake.new
    state = read_desired(served_lake.store, served_lake.project)
    assert (state.reason, state.changed_by) == ("worth more", "ann")

    assert told("rollback", "--reason", "false alarms")[0] == 0
    assert answer()["model_version"] == served_lake.old

    assert told("canary", served_lake.new, "--share", "100%")[0] == 0
    assert (answer()["decision_by"], answer()["model_version"]) == ("canary", served_lake.new)
    assert told("remove", served_lake.new[:12])[0] == 0
    assert answer()["decision_by"] == "champion"

    assert told("pause")[0] == 0
    assert answer()["reason"] == "fallback:paused"
    assert told("resume")[0] == 0
    assert told("capacity", "0")[0] == 0
    assert answer()["reason"] == "no_capacity"
    assert told("capacity", "charter")[0] == 0
    assert answer()["decision"] is True

    code, said = told("token", "desk", "--scope", "predict")
    headers = {"authorization": f"Bearer {said['token']}"}

    def asked() -> int:
        return httpx.post(f"{server.url}/predict", json={"rows": [ROW]}, headers=headers).status_code

    assert asked() == 200
    assert httpx.get(f"{server.url}/metrics", headers=headers).status_code == 403
    assert told("revoke", "desk")[0] == 0
    assert asked() == 401

    _, shown = told("show")
    assert [role["digest"] for role in shown["desired"]["bundles"]] == [served_lake.old]
    assert [token["name"] for token in shown["desired"]["tokens"]] == ["tests"]
    assert shown["servers"][0]["live"]
    assert said["token"] not in json.dumps(shown)
    assert len(list(read_history(served_lake.store, served_lake.project))) == state.version + 8


def test_a_server_that_does_not_follow_is_named_with_its_problem(served_lake: ServedLake, told: Told) -> None:
    now = time.time_ns() // 1000
    status = ServerStatus(
        server="far-away-1",
        project=served_lake.project,
        version=1,
        bundles=(),
        started_at=now,
        reported_at=now,
        served=5,
        logged=5,
        shed=0,
        fallback=0,
        problem="the disk is full",
    )
    write_status(served_lake.store, status)
    code, said = told("pause", "--wait", "0")
    assert (code, said["carried_out"]) == (1, False)
    assert [(one["server"], one["version"], one["problem"]) for one in said["servers"]] == [
        ("far-away-1", 1, "the disk is full")
    ]


def test_without_servers_a_change_is_written_at_once_for_those_that_start(served_lake: ServedLake, told: Told) -> None:
    code, said = told("shadow", served_lake.new, "--share", "25%")
    assert (code, said["servers"], said["version"]) == (0, [], 2)
    [_, shadow] = read_desired(served_lake.store, served_lake.project).bundles
    assert (shadow.role, shadow.share) == ("shadow", 0.25)


def test_what_servers_would_refuse_is_never_desired(
    served_lake: ServedLake, told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_desired(served_lake.store, served_lake.project)
    assert told("champion", "0000")[1]["error"]["code"] == "bundle.not-found"
    manifest = served_lake.store.folder / "bundles" / served_lake.new / "golden.jsonl"
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(manifest.parent, elsewhere)
    assert told("champion", str(elsewhere))[1]["error"]["code"] == "cli.bundle-elsewhere"
    manifest.write_text(manifest.read_text() + "\n")
    code, said = told("champion", served_lake.new)
    assert (code, said["error"]["code"].startswith("bundle.")) == (1, True)
    assert told("capacity", "301")[1]["error"]["code"] == "release.capacity-raised"
    assert told("canary", served_lake.old, "--share", "5%")[1]["error"]["code"] == "cli.usage"
    assert told("canary", served_lake.new, "--share", "500%")[1]["error"]["code"] == "cli.usage"
    assert told("remove", served_lake.new)[1]["error"]["code"] == "release.not-served"
    assert told("rollback", "--reason", "x")[1]["error"]["code"] == "release.no-way-back"
    assert told("token", "tests")[1]["error"]["code"] == "release.token-taken"
    assert told("token", "x", "--until", "soon")[1]["error"]["code"] == "cli.usage"
    assert read_desired(served_lake.store, served_lake.project) == before
    folder = ["--project", str(served_lake.store.folder)]
    assert main(["serving", "champion", served_lake.old, *folder]) == 2
    assert "--trust" in capsys.readouterr().err


def test_a_token_ends_with_its_last_day(served_lake: ServedLake, told: Told) -> None:
    told("token", "desk", "--until", "2030-12-31")
    grant = read_desired(served_lake.store, served_lake.project).tokens[-1]
    assert (grant.until, grant.scopes) == (1_924_992_000_000_000, ("predict", "facts", "metrics"))  # 2031-01-01 UTC


def test_a_lake_without_projects_and_a_project_that_is_not_served_say_what_to_do(told: Told, tmp_path: Path) -> None:
    assert told("show", "--project", str(tmp_path / "nowhere"))[1]["error"]["code"] == "cli.usage"
    (tmp_path / "trueup.toml").write_text(PROJECT)
    assert told("show", "--project", str(tmp_path))[1]["error"]["code"] == "lake.nothing-served"
