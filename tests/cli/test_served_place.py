"""Which lake and project does an operator mean?"""

from __future__ import annotations

import argparse
import os
import pwd
from pathlib import Path

import msgspec
import pytest
from tests.serve.conftest import PROJECT, ServedLake

from trueup.cli.exits import WrongUsage
from trueup.cli.served_place import day_start, served_place, who_asks
from trueup.lake.desired_state import change_desired, read_desired


def named(place: Path, *, name: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(project=str(place), name=name)


def test_a_project_folder_means_its_own_lake_and_spool(tmp_path: Path) -> None:
    (tmp_path / "trueup.toml").write_text(PROJECT)
    place = served_place(named(tmp_path))
    assert (place.project, place.folder) == ("small-fraud", tmp_path)
    assert place.hot() == tmp_path / ".trueup" / "serving" / "small-fraud" / "hot"


def test_a_lake_with_one_project_needs_no_name_and_one_with_two_does(served_lake: ServedLake) -> None:
    lake = served_lake.store.folder
    assert served_place(named(lake)).project == "small-fraud"
    state = msgspec.structs.replace(read_desired(served_lake.store, "small-fraud"), project="other")
    change_desired(served_lake.store, "other", lambda _: state)
    with pytest.raises(WrongUsage, match=r"--name other\|small-fraud"):
        served_place(named(lake))
    assert served_place(named(lake, name="other")).project == "other"


def test_a_folder_that_is_neither_is_said(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="no project"):
        served_place(named(tmp_path))


def test_a_day_begins_in_utc() -> None:
    assert day_start("2027-06-30", "--until").isoformat() == "2027-06-30T00:00:00+00:00"
    with pytest.raises(WrongUsage, match="--until"):
        day_start("30.6.2027", "--until")


def test_a_change_is_by_the_user_of_the_system_where_no_variable_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert who_asks() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setenv("LOGNAME", "ann")
    assert who_asks() == "ann"
