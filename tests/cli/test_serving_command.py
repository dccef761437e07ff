"""Does an operator change what servers do with one command, and hear whether they did it?"""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.serve.lakes import PROJECT, TOKEN, ServedLake, ServedStore, TwoModels, make_lake, make_lake_in
from tests.serve.running import RunningServer, serving

from trueup.cli.main import main
from trueup.lake.desired_state import ServerStatus, desired_key, read_desired, read_history, write_status
from trueup.lake.stores import open_store

if TYPE_CHECKING:
    from tests.conftest import S3Server

_numbers = itertools.count()

ROW = {"case": "A-1", "amount": 9.0, "age": 40, "happened": "2026-05-01T10:00:00Z"}
Told = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(params=["folder", "s3"])
def lake(
    request: pytest.FixtureRequest, two_models: TwoModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ServedStore:
    """Return a lake of either kind, which commands and servers reach as people let them: by their environment."""
    if request.param == "folder":
        return make_lake(two_models, tmp_path / "lake")
    server: S3Server = request.getfixturevalue("s3_server")
    for name, value in server.options.items():
        monkeypatch.setenv(name, value)
    bucket = server.create_bucket(f"operated-{next(_numbers)}")
    return make_lake_in(open_store(f"{bucket}/lake", options=server.options), two_models)


def place_of(lake: ServedStore) -> str:
    return str(lake.store.folder) if isinstance(lake, ServedLake) else lake.store.url


@pytest.fixture
def told(lake: ServedStore, capsys: pytest.CaptureFixture[str]) -> Told:
    def run(action: str, *words: str) -> tuple[int, dict[str, Any]]:
        place = () if "--project" in words else ("--project", place_of(lake))
        trust = () if action == "show" else ("--trust", str(lake.trusted[0]))
        capsys.readouterr()
        code = main(["serving", action, *words, *place, *trust, "--json"])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, document

    return run


@pytest.fixture
def server(lake: ServedStore, tmp_path: Path) -> Iterator[RunningServer]:
    key = ("--trust", str(lake.trusted[0]))
    with serving(place_of(lake), *key, spool=tmp_path / "spool", token=TOKEN) as running:
        yield running


def test_a_running_server_does_what_it_is_told_and_the_command_says_so(
    server: RunningServer, lake: ServedStore, told: Told
) -> None:
    def answer(**more: Any) -> dict[str, Any]:
        one: dict[str, Any] = server.predict(lake.project, [ROW], **more).json()["predictions"][0]
        return one

    code, said = told("champion", lake.new[:8], "--reason", "worth more", "--by", "ann")
    assert (code, said["carried_out"], len(said["servers"])) == (0, True, 1)
    assert answer()["model_version"] == lake.new
    state = read_desired(lake.store, lake.project)
    assert (state.reason, state.changed_by) == ("worth more", "ann")

    assert told("rollback", "--reason", "false alarms")[0] == 0
    assert answer()["model_version"] == lake.old

    assert told("canary", lake.new, "--share", "100%")[0] == 0
    assert (answer()["decision_by"], answer()["model_version"]) == ("canary", lake.new)
    assert told("remove", lake.new[:12])[0] == 0
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
    assert [role["digest"] for role in shown["desired"]["bundles"]] == [lake.old]
    assert [token["name"] for token in shown["desired"]["tokens"]] == ["tests"]
    assert shown["servers"][0]["live"]
    assert said["token"] not in json.dumps(shown)
    assert len(list(read_history(lake.store, lake.project))) == state.version + 8


def test_a_server_that_does_not_follow_is_named_with_its_problem(lake: ServedStore, told: Told) -> None:
    now = time.time_ns() // 1000
    status = ServerStatus(
        server="far-away-1",
        project=lake.project,
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
    write_status(lake.store, status)
    code, said = told("pause", "--wait", "0")
    assert (code, said["carried_out"]) == (1, False)
    assert [(one["server"], one["version"], one["problem"]) for one in said["servers"]] == [
        ("far-away-1", 1, "the disk is full")
    ]


def test_without_servers_a_change_is_written_at_once_for_those_that_start(lake: ServedStore, told: Told) -> None:
    code, said = told("shadow", lake.new, "--share", "25%")
    assert (code, said["servers"], said["version"]) == (0, [], 2)
    [_, shadow] = read_desired(lake.store, lake.project).bundles
    assert (shadow.role, shadow.share) == ("shadow", 0.25)


def test_a_second_rollback_does_not_bring_the_bad_bundle_back_and_each_says_from_where_to_where(
    lake: ServedStore, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    told("champion", lake.new)
    rollback = ["serving", "rollback", "--reason", "false alarms", "--project", place_of(lake)]
    assert main(rollback) == 0
    assert f"champion {lake.new[:12]} -> {lake.old[:12]}" in capsys.readouterr().out
    assert main(rollback) == 2
    assert f"from {lake.new[:12]} to {lake.old[:12]} already" in capsys.readouterr().err
    assert read_desired(lake.store, lake.project).champion.digest == lake.old
    _, said = told("champion", lake.new)
    assert said["champion"] == {"before": lake.old, "now": lake.new}


def test_a_lost_document_is_said_and_brought_back_with_champion_and_callers(
    lake: ServedStore, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    told("champion", lake.new)
    told("rollback", "--reason", "false alarms")
    before = read_desired(lake.store, lake.project)
    lake.store.delete(desired_key(lake.project))
    assert told("show")[0] == 3
    assert told("pause")[1]["error"]["code"] == "lake.desired-state-lost"
    assert main(["serve", place_of(lake), "--trust", str(lake.trusted[0]), "--port", "0"]) == 3
    assert "trueup serving restore" in capsys.readouterr().err

    code, said = told("restore")
    assert (code, said["version"]) == (0, before.version + 1)
    after = read_desired(lake.store, lake.project)
    assert (after.champion, after.tokens, after.taken_back) == (before.champion, before.tokens, (lake.new,))
    assert told("restore")[1]["error"]["code"] == "lake.desired-state-there"


def test_shares_are_said_as_they_are_written_and_what_ends_by_a_change_is_said(
    lake: ServedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--project", place_of(lake), "--trust", str(lake.trusted[0])]
    assert main(["serving", "shadow", lake.new, "--share", "100%", *place]) == 0
    assert "is shadow for 100% of the cases (" in capsys.readouterr().out
    assert main(["serving", "canary", lake.new, "--share", "12.5%", *place]) == 0
    assert f"is canary for 12.5% of the cases; shadow {lake.new[:12]} ended by that" in capsys.readouterr().out
    assert main(["serving", "show", "--project", place_of(lake)]) == 0
    assert f"canary    {lake.new[:12]} for 12.5% of the cases" in capsys.readouterr().out
    assert main(["serving", "canary", lake.new, "--share", "10", *place]) == 2
    assert "write 10%" in capsys.readouterr().err


def test_mistakes_are_answered_with_what_to_write(lake: ServedStore, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--project", place_of(lake)]
    assert main(["serving", "show", "fraud"]) == 2
    assert "--project fraud" in capsys.readouterr().err
    assert main(["log", "show", "fraud"]) == 2
    assert "--project fraud" in capsys.readouterr().err
    assert main(["serving", "token", "desk", "--until", "2020-12-31", *place]) == 2
    assert "is over" in capsys.readouterr().err
    assert main(["serving", "capacity", "301", *place]) == 2
    said = capsys.readouterr().err
    steps = ["trueup.toml", "trueup rehearse", "trueup sign", "trueup package", "trueup serving champion"]
    assert sorted(steps, key=said.index) == steps


def test_what_servers_would_refuse_is_never_desired(
    lake: ServedStore, two_models: TwoModels, told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_desired(lake.store, lake.project)
    assert told("champion", "0000")[1]["error"]["code"] == "bundle.not-found"
    golden, elsewhere = f"bundles/{lake.new}/golden.jsonl", tmp_path / "elsewhere"
    shutil.copytree(two_models[0] / "bundles" / lake.new, elsewhere)
    assert told("champion", str(elsewhere))[1]["error"]["code"] == "cli.bundle-elsewhere"
    lake.store.put(golden, lake.store.get(golden) + b"\n")
    code, said = told("champion", lake.new)
    assert (code, said["error"]["code"].startswith("bundle.")) == (1, True)
    assert told("capacity", "301")[1]["error"]["code"] == "release.capacity-raised"
    assert told("canary", lake.old, "--share", "5%")[1]["error"]["code"] == "cli.usage"
    assert told("canary", lake.new, "--share", "500%")[1]["error"]["code"] == "cli.usage"
    assert told("remove", lake.new)[1]["error"]["code"] == "release.not-served"
    assert told("rollback", "--reason", "x")[1]["error"]["code"] == "release.no-way-back"
    assert told("token", "tests")[1]["error"]["code"] == "release.token-taken"
    assert told("token", "x", "--until", "soon")[1]["error"]["code"] == "cli.usage"
    assert read_desired(lake.store, lake.project) == before
    folder = ["--project", place_of(lake)]
    assert main(["serving", "champion", lake.old, *folder]) == 2
    assert "--trust" in capsys.readouterr().err


def test_a_token_ends_with_its_last_day(lake: ServedStore, told: Told) -> None:
    told("token", "desk", "--until", "2030-12-31")
    grant = read_desired(lake.store, lake.project).tokens[-1]
    assert (grant.until, grant.scopes) == (1_924_992_000_000_000, ("predict", "facts", "metrics"))  # 2031-01-01 UTC


def test_a_lake_without_projects_and_a_project_that_is_not_served_say_what_to_do(told: Told, tmp_path: Path) -> None:
    assert told("show", "--project", str(tmp_path / "nowhere"))[1]["error"]["code"] == "cli.usage"
    (tmp_path / "trueup.toml").write_text(PROJECT)
    assert told("show", "--project", str(tmp_path))[1]["error"]["code"] == "lake.nothing-served"
