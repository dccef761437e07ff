"""Does `trueup init` start a project, and never overwrite one?"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from trueup.cli.init_command import EXAMPLES, STARTER
from trueup.cli.main import main


def test_an_example_comes_with_its_data_and_its_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "fraud"
    assert main(["init", str(folder), "--example", "application-fraud", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == ["README.md", "applications.parquet", "trueup.toml"]
    project = tomllib.loads((folder / "trueup.toml").read_text())
    assert project["project"]["name"] == "application-fraud"
    assert (folder / project["data"]["source"]).stat().st_size > 1_000_000


def test_an_existing_project_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "trueup.toml"
    mine.write_text("mine")
    assert main(["init", str(tmp_path), "--example", EXAMPLES[0]]) == 2
    assert mine.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["trueup.toml"]
    assert "nothing was changed" in capsys.readouterr().err


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    assert main(["init", str(tmp_path / "taken")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_without_an_example_a_starter_named_after_the_folder_is_written(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "Late Payers")]) == 0
    starter = tomllib.loads((tmp_path / "Late Payers" / "trueup.toml").read_text())
    assert starter["project"]["name"] == "late-payers"


def test_the_starter_is_valid_toml() -> None:
    assert set(tomllib.loads(STARTER.format(name="x"))) == {"project", "charter", "data"}
