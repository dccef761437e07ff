"""A command looks at the project's own bundles and keys, and at the keys that are named."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from trueup.cli.bundles.places import places_of, verified
from trueup.cli.main import main


def test_keys_of_the_project_and_named_ones_count(project: Path, first: str, tmp_path: Path) -> None:
    named = tmp_path / "more.pub"

    places = places_of(argparse.Namespace(project=str(project), key=[str(named)]))

    assert [path.name for path in places.trusted] == ["bundle-signing.key.pub", "more.pub"]
    assert places.bundles == project / ".trueup" / "lake" / "bundles"


def test_a_project_that_is_not_there_is_named(
    project: Path, first: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "verify", first, "--project", str(tmp_path / "nosuchproj")]) == 2

    assert "nosuchproj; --project names the project" in capsys.readouterr().err


def test_a_folder_is_given_as_it_is_and_its_manifest_read(project: Path, first: str) -> None:
    places = places_of(argparse.Namespace(project=str(project)))

    with verified(first[:8], places) as bundle:
        assert bundle.folder == places.bundles / first
        assert bundle.manifest.model_version == "1"
