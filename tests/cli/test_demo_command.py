"""Does the demo leave alone what it did not make?"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trueup.cli.demo_command import prepare_folder
from trueup.cli.exits import FolderTaken
from trueup.cli.init_command import example_text
from trueup.cli.main import main


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderTaken, match="no demo made it"):
        prepare_folder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_second_demo_replaces_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    prepare_folder(folder)
    (folder / "trueup.toml").write_text(example_text("application-fraud", "trueup.toml"))
    prepare_folder(folder)
    assert not (folder / "trueup.toml").exists()


def test_a_demo_that_somebody_changed_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    prepare_folder(folder)
    (folder / "trueup.toml").write_text("mine")
    with pytest.raises(FolderTaken, match="was changed"):
        prepare_folder(folder)
    assert (folder / "trueup.toml").read_text() == "mine"


def test_a_port_that_is_taken_is_said_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["demo", "--folder", str(tmp_path / "demo"), "--serve", "--port", str(port)]) == 3
    assert f"127.0.0.1:{port}" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
