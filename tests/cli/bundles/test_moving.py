"""A bundle leaves as one file and comes in as the same bundle, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trueup.cli.main import main


def test_export_and_import_give_the_same_bundle(
    project: Path, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "export", first, "--into", str(tmp_path / "out"), "--project", str(project), "--json"]) == 0
    exported = json.loads(capsys.readouterr().out)
    assert Path(exported["archive"]).name == f"{first}.trueup.tar.gz"
    assert Path(exported["archive"]).stat().st_size == exported["bytes"]

    key = str(project / ".trueup" / "keys" / "bundle-signing.key.pub")
    arguments = ["bundle", "import", exported["archive"], "--key", key, "--project", str(tmp_path / "b"), "--json"]
    assert main(arguments) == 0
    imported = json.loads(capsys.readouterr().out)
    assert imported["bundle"] == first
    assert main(["bundle", "verify", first[:4], "--key", key, "--project", str(tmp_path / "b")]) == 0


@pytest.mark.usefixtures("nothing_runs")
def test_a_damaged_archive_is_refused_and_nothing_arrives(
    project: Path, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "export", first, "--into", str(tmp_path), "--project", str(project)]) == 0
    archive = tmp_path / f"{first}.trueup.tar.gz"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(bytes(content))
    key = str(project / ".trueup" / "keys" / "bundle-signing.key.pub")
    capsys.readouterr()

    assert main(["bundle", "import", str(archive), "--key", key, "--project", str(tmp_path / "b"), "--json"]) == 1

    assert json.loads(capsys.readouterr().out)["error"]["code"].startswith("bundle.")
    assert list((tmp_path / "b" / ".trueup" / "lake" / "bundles").iterdir()) == []


@pytest.mark.usefixtures("nothing_runs")
def test_an_archive_of_a_stranger_is_refused_by_its_name_with_what_to_do(
    project: Path, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "export", first, "--into", str(tmp_path), "--project", str(project)]) == 0
    archive = (tmp_path / f"{first}.trueup.tar.gz").rename(tmp_path / "champion.tar.gz")
    capsys.readouterr()

    assert main(["bundle", "import", str(archive), "--project", str(tmp_path / "b")]) == 1

    said = capsys.readouterr().err
    assert f"champion.tar.gz: {first[:12]} is refused: no key is trusted here" in said
    assert "trueup bundle trust FILE.pub" in said


def test_an_archive_that_is_not_there_is_bad_input_as_a_bundle_is(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for action in ("import", "verify"):
        assert main(["bundle", action, "none.tar.gz", "--project", str(project)]) == 2
        assert "none.tar.gz" in capsys.readouterr().err
