"""Does `trueup log` tell what is in the log, and keep it as it must be kept?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from tests.serve.conftest import TOKEN, ServedLake
from tests.serve.running import serving

from trueup.cli.main import main
from trueup.client import Client, Intervention, Outcome
from trueup.lake.desired_state import DesiredState, change_desired
from trueup.lake.log_manifest import LogManifest

ROW = {"case": "A-1", "amount": 9.0, "age": 40, "happened": "2026-05-01T10:00:00Z", "name": "Quixotina"}
Told = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def told(served_lake: ServedLake, capsys: pytest.CaptureFixture[str]) -> Told:
    def run(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main(["log", *words, "--project", str(served_lake.store.folder), "--json"])
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, document

    return run


@pytest.fixture
def spool(served_lake: ServedLake, tmp_path: Path) -> Path:
    """Serve three decisions, an outcome and an intervention, and return what the server kept beside it."""

    def personal(state: DesiredState | None) -> DesiredState:
        from msgspec.structs import replace

        assert state is not None
        return replace(state, personal=("name",))

    change_desired(served_lake.store, served_lake.project, personal)
    options = ("--trust", str(served_lake.trusted[0]), "--no-sealing")
    with serving(served_lake.store.folder, *options, spool=tmp_path / "spool", token=TOKEN) as running:
        with Client(running.url, token=TOKEN, project=served_lake.project) as client:
            client.predict([ROW])
            client.predict([{**ROW, "case": "A-2"}, {**ROW, "case": "A-3"}])
            client.outcomes(Outcome(outcome=True, association_id="A-1"))
            client.interventions(Intervention(acted=True, association_id="A-1", note="called"))
        assert running.stop() == 0
    return tmp_path / "spool"


def test_a_log_is_sealed_shown_searched_exported_erased_and_dropped(
    told: Told, spool: Path, served_lake: ServedLake, tmp_path: Path
) -> None:
    code, said = told("show")
    assert (code, said["served"], said["logged"], said["sealed"], said["complete"]) == (0, 3, 3, 0, False)
    assert said["waiting"] == 3
    code, said = told("verify", "--spool", str(spool))
    assert (code, said["entries"], said["waiting"]) == (0, 0, 5)
    code, said = told("seal", "--spool", str(spool))
    assert (code, said["rows"], said["waiting"]) == (0, 5, {})
    code, said = told("show")
    assert (code, said["sealed"], said["complete"], said["tables"]["predictions"]["rows"]) == (0, 3, True, 3)
    assert said["waiting"] == 0
    assert (said["tables"]["outcomes"]["rows"], said["servers"][0]["served"]) == (1, 3)
    code, said = told("verify", "--spool", str(spool))
    assert (code, said["entries"], said["files"], said["intact"], said["waiting"]) == (0, 1, 4, True, 0)
    assert (said["damaged"], said["contradicting"]) == ({}, {})

    _, said = told("case", "A-1")
    assert [record["kind"] for record in said["records"]] == ["prediction", "outcome", "intervention"]
    decided, outcome, intervention = said["records"]
    assert (decided["acted"], decided["reason"], decided["model_version"]) == (True, "worth_it", served_lake.old)
    assert (outcome["outcome_flag"], intervention["note"]) == (True, "called")
    by_id = told("case", decided["prediction_id"])[1]["records"]
    assert [record["kind"] for record in by_id] == ["prediction", "outcome", "intervention"]
    assert told("case", "nobody")[1]["error"]["code"] == "cli.case-unknown"

    out = tmp_path / "predictions.parquet"
    assert told("export", "predictions", "--out", str(out))[1]["rows"] == 3
    assert sorted(pq.read_table(out)["association_id"].to_pylist()) == ["A-1", "A-2", "A-3"]
    out = tmp_path / "cases.csv"
    assert told("export", "cases", "--out", str(out))[1]["rows"] == 3
    assert sorted(pc.read_csv(out)["case_id"].to_pylist()) == ["A-1", "A-2", "A-3"]
    assert told("export", "outcomes", "--out", str(out), "--as-of", "2020-01-01T00:00:00Z")[1]["rows"] == 0
    assert told("export", "outcomes", "--out", str(tmp_path / "x.xlsx"))[0] == 2
    assert told("export", "outcomes", "--out", str(out), "--as-of", "2020-01-01T00:00:00")[0] == 2

    assert told("erase", "A-1", "--spool", str(spool))[1]["keys"] == 1
    assert told("erase", "A-1", "--spool", str(spool))[1]["keys"] == 0
    assert told("compact")[1]["replaced"] == 0  # the day is not over
    assert told("drop", "--before", "2020-01-01")[1]["files"] == 0
    assert told("drop", "--before", "2999-01-01")[0] == 2
    assert told("verify")[1]["entries"] == 3  # sealed once, erased twice

    manifest = LogManifest(served_lake.store, served_lake.project)
    manifest.refresh()
    (served_lake.store.folder / manifest.files("predictions")[0].path).write_bytes(b"another")
    code, said = told("verify")
    assert (code, said["error"]["code"]) == (1, "lake.broken-manifest")


@pytest.mark.parametrize("content", [None, b"PAR1"])
def test_a_lost_or_damaged_file_is_named_by_whatever_reads_it(
    told: Told, spool: Path, served_lake: ServedLake, tmp_path: Path, content: bytes | None
) -> None:
    told("seal", "--spool", str(spool))
    manifest = LogManifest(served_lake.store, served_lake.project)
    manifest.refresh()
    lost = [manifest.files(table)[0].path for table in ("outcomes", "predictions")]
    for path in lost:
        served_lake.store.delete(path) if content is None else served_lake.store.put(path, content)

    reads = (("show",), ("case", "A-1"), ("export", "cases", "--out", str(tmp_path / "cases.csv")), ("verify",))
    for words in reads:
        code, said = told(*words)
        assert (code, said["error"]["code"]) == (1, "lake.broken-manifest")
        assert said["error"]["files"] == dict.fromkeys(lost, "missing" if content is None else "changed")
        assert all(path in said["error"]["message"] for path in lost)
        assert "trueup log verify" in said["error"]["message"]
    assert not (tmp_path / "cases.csv").exists()


def test_what_was_looked_at_is_all_that_is_claimed_of_a_complete_log(
    told: Told, spool: Path, served_lake: ServedLake, capsys: pytest.CaptureFixture[str]
) -> None:
    told("seal", "--spool", str(spool))
    manifest = LogManifest(served_lake.store, served_lake.project)
    manifest.refresh()
    path = manifest.files("outcomes")[0].path
    content = bytearray(served_lake.store.get(path))
    content[6] ^= 1  # of its first page; what is at the end is looked at by every reader
    served_lake.store.put(path, bytes(content))

    assert main(["log", "show", "--project", str(served_lake.store.folder)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("Complete by its counts")
    assert "trueup log verify" in last
    code, said = told("verify")
    assert (code, said["error"]["files"]) == (1, {path: "changed"})


def test_damage_in_a_segment_fails_the_check_and_is_told_with_what_was_kept(
    told: Told, spool: Path, served_lake: ServedLake
) -> None:
    hot = spool / served_lake.project / "hot"
    [path] = hot.glob("*.segment")
    content = bytearray(path.read_bytes())
    content[content.index(b"called")] ^= 1  # the note of the intervention
    path.write_bytes(content)
    code, said = told("seal", "--spool", str(spool))
    assert (code, list(said["damaged"]), said["waiting"]) == (1, [path.name], {})
    assert said["rows"] == 4
    code, checked = told("verify")
    assert (code, checked["intact"], checked["damaged"]) == (1, True, said["damaged"])
    assert (hot / f"{path.name}.damaged").read_bytes() == content


def test_a_fact_that_another_process_took_under_a_used_id_is_told(
    told: Told, served_lake: ServedLake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fact_id = "01890a5d-ac96-774b-bcce-b302099a8057"
    options = ("--trust", str(served_lake.trusted[0]), "--no-sealing")
    for case in ("FA", "FB"):  # a server that was started again knows nothing of before
        with serving(served_lake.store.folder, *options, spool=tmp_path / "spool", token=TOKEN) as running:
            with Client(running.url, token=TOKEN, project=served_lake.project) as client:
                client.outcomes(Outcome(outcome=True, association_id=case, fact_id=fact_id))
            assert running.stop() == 0
    assert told("seal", "--spool", str(tmp_path / "spool"))[1]["rows"] == 2
    code, said = told("verify")
    assert (code, said["intact"], said["contradicting"]) == (1, True, {"outcomes": [fact_id]})
    assert main(["log", "verify", "--project", str(served_lake.store.folder)]) == 1
    assert f"only the first counts; send the others again, each with its own: {fact_id}" in capsys.readouterr().out


def test_decisions_of_past_days_that_a_server_played_are_sealed_like_others(
    told: Told, served_lake: ServedLake, tmp_path: Path
) -> None:
    options = ("--trust", str(served_lake.trusted[0]), "--no-sealing", "--rehearsing")
    with serving(served_lake.store.folder, *options, spool=tmp_path / "spool", token=TOKEN) as running:
        path = f"/predict/{served_lake.project}"
        played = running.client.post(path, json={"rows": [ROW]}, headers={"trueup-now": "2026-05-01T10:00:00+00:00"})
        live = running.client.post(path, json={"rows": [{**ROW, "case": "A-2"}]})
        assert (played.status_code, live.status_code) == (200, 200)
        assert running.stop() == 0
    assert told("seal", "--spool", str(tmp_path / "spool"))[0] == 0
    said = told("show")[1]
    assert (said["served"], said["sealed"], said["waiting"], said["complete"]) == (2, 2, 0, True)


def test_an_empty_log_is_said_and_a_folder_without_servers_is_named(told: Told, tmp_path: Path) -> None:
    code, said = told("show")
    assert (code, said["entries"], said["tables"], said["complete"]) == (0, 0, {}, True)
    code, said = told("seal", "--spool", str(tmp_path / "none"))
    assert (code, said["error"]["code"]) == (2, "cli.usage")
    assert "--spool" in said["error"]["message"]


def test_what_is_said_of_a_case_is_readable(
    told: Told, spool: Path, served_lake: ServedLake, capsys: pytest.CaptureFixture[str]
) -> None:
    told("seal", "--spool", str(spool))
    capsys.readouterr()
    assert main(["log", "case", "A-1", "--project", str(served_lake.store.folder)]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert "acted: worth_it" in first
    assert "outcome" in second
    assert "True" in second
    assert "note called" in third
