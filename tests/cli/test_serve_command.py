"""The first caller's token is kept before anybody is let in by it; a bundle alone is served as a project is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.serve.lakes import TOKEN, ServedLake, TwoModels
from tests.serve.running import serving, until

from trueup.cli.main import main
from trueup.cli.serve_command import TOKEN_FILE, first_token
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_manifest import LogManifest


def test_the_first_token_is_its_owners_alone_and_a_command_that_was_killed_goes_on_with_it(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "first.token"
    made = first_token(file)
    assert (file.stat().st_mode & 0o777, first_token(file), len(made)) == (0o600, made, 43)
    assert list(file.parent.iterdir()) == [file]


def test_the_log_of_a_bundle_that_is_served_alone_is_sealed_in_the_lake_beside_it(
    two_models: TwoModels, tmp_path: Path
) -> None:
    folder, public, digest, _ = two_models
    spool = tmp_path / "spool"
    options = ("--bundle", str(folder / "bundles" / digest), "--trust", str(public))
    with serving(tmp_path, *options, spool=spool, token=spool / TOKEN_FILE) as server:
        row = {"case": "A-1", "amount": 0.5, "age": 40, "happened": "2026-05-01T10:00:00Z"}
        assert server.predict("small-fraud", [row, row | {"case": "A-2"}]).status_code == 200
        until(lambda: sealed_rows(spool / "lake") == 2)
        assert server.stop() == 0


def test_a_server_that_ends_without_the_lake_says_what_waits_and_how_to_seal_it(
    served_lake: ServedLake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, away, spool = served_lake.store.folder, tmp_path / "away", tmp_path / "spool"
    with serving(lake, "--trust", str(served_lake.trusted[0]), spool=spool, token=TOKEN) as server:
        lake.rename(away)
        row = {"case": "A-1", "amount": 0.5, "age": 40, "happened": "2026-05-01T10:00:00Z"}
        assert server.predict(served_lake.project, [row, row | {"case": "A-2"}]).status_code == 200
        assert server.stop() == 0
        assert server.process.stderr is not None
        said = server.process.stderr.read()
    assert f"2 records of {served_lake.project} wait in {spool}" in said
    away.rename(lake)
    command = said.split("trueup log seal ", 1)[1].split()
    assert main(["log", "seal", *command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert sealed_rows(lake) == 2


def sealed_rows(lake: Path) -> int:
    manifest = LogManifest(FolderStore(lake), "small-fraud")
    manifest.refresh()
    return sum(file.rows for file in manifest.files("predictions"))
