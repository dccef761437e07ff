"""The first caller's token is kept before anybody is let in by it; a bundle alone is served as a project is."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.serve.lakes import TOKEN, ServedLake, TwoModels
from tests.serve.running import serving, until

from trueup.cli.main import main
from trueup.cli.serve_command import TOKEN_FILE, _lets_in, first_token
from trueup.lake.desired_state import BundleRole, DesiredState, change_desired, read_statuses
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_manifest import LogManifest
from trueup.release.serving import without_token


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


def test_where_nobody_reads_what_it_says_a_server_goes_on(served_lake: ServedLake, tmp_path: Path) -> None:
    trust = ("--trust", str(served_lake.trusted[0]))
    with serving(served_lake.store.folder, *trust, spool=tmp_path / "spool", token=TOKEN) as server:
        full = os.open(f"/proc/{server.process.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
        with suppress(BlockingIOError):
            while True:
                os.write(full, b"." * 4096)
        os.close(full)

        def other(state: DesiredState | None) -> DesiredState:
            assert state is not None
            return replace(state, bundles=(*state.bundles, BundleRole("f" * 64, "canary", 0.1)))

        change_desired(served_lake.store, served_lake.project, other)
        until(lambda: any(told.problem for told in read_statuses(served_lake.store, served_lake.project)))
        row = {"case": "A-1", "amount": 0.5, "age": 40, "happened": "2026-05-01T10:00:00Z"}
        assert server.predict(served_lake.project, [row]).status_code == 200


def test_where_nothing_can_be_logged_a_server_says_so_once_and_does_not_start(
    served_lake: ServedLake, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["serve", str(served_lake.store.folder), "--trust", str(served_lake.trusted[0]), "--port", "0"]
    # a place that nobody may write, root neither
    assert main([*command, "--spool", "/proc/spool"]) == 3
    [said] = capsys.readouterr().err.strip().splitlines()
    assert "/proc/spool cannot be written" in said
    assert said.endswith("--spool FOLDER")


def test_a_token_that_was_revoked_is_not_offered_to_ask_with(served_lake: ServedLake, tmp_path: Path) -> None:
    file = tmp_path / TOKEN_FILE
    assert not _lets_in(file, served_lake.store, served_lake.project)
    file.write_text(TOKEN)
    assert _lets_in(file, served_lake.store, served_lake.project)
    change_desired(served_lake.store, served_lake.project, lambda state: without_token(_is(state), "tests"))
    assert not _lets_in(file, served_lake.store, served_lake.project)


def _is(state: DesiredState | None) -> DesiredState:
    assert state is not None
    return state


def sealed_rows(lake: Path) -> int:
    manifest = LogManifest(FolderStore(lake), "small-fraud")
    manifest.refresh()
    return sum(file.rows for file in manifest.files("predictions"))
