"""The first caller's token is kept before anybody is let in by it; a bundle alone is served as a project is."""

from __future__ import annotations

from pathlib import Path

from tests.serve.lakes import TwoModels
from tests.serve.running import serving, until

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


def sealed_rows(lake: Path) -> int:
    manifest = LogManifest(FolderStore(lake), "small-fraud")
    manifest.refresh()
    return sum(file.rows for file in manifest.files("predictions"))
