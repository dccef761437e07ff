"""Two projects with their pasts: what a table says about each row, and the rows as a server would get them."""

from __future__ import annotations

import contextlib
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from trueup.align.charter import Project
from trueup.align.project_file import parse_project
from trueup.data.duck import connect
from trueup.data.history import History
from trueup.data.lender import write_applications
from trueup.data.telling import tell_history

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Told:
    """A project, its history, and its rows in the order of the history."""

    project: Project
    history: History
    rows: list[dict[str, Any]]
    """JSON values: dates and times as a table prints them."""


def told(project: Project, file: Path, folder: Path) -> Told:
    with contextlib.closing(connect(memory_limit_mb=1_000, threads=1, temp_directory=folder / "spill")) as connection:
        history = tell_history(
            project, connection=connection, file_uris=[str(file)], table_version="1", folder=folder / "history"
        )
    table = pq.read_table(history.table_path)
    table = table.select([name for name in table.column_names if not name.startswith("trueup$")])
    rows = [{name: as_printed(value) for name, value in row.items()} for row in table.to_pylist()]
    return Told(project, history, rows)


def as_printed(value: object) -> object:
    return str(value) if isinstance(value, dt.date) else value


@pytest.fixture(scope="session")
def bookings(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Every booking of hotel_bookings."""
    text = (REPOSITORY / "examples/hotel_bookings/trueup.toml").read_text()
    project = parse_project(text, folder="")
    file = real_data / "hotel_bookings" / "hotel_bookings.parquet"
    return told(project, file, tmp_path_factory.mktemp("bookings"))


@pytest.fixture(scope="session")
def applications(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Sixty days of the lender's applications."""
    folder = tmp_path_factory.mktemp("applications")
    text = (REPOSITORY / "src/trueup/cli/examples/application-fraud/trueup.toml").read_text()
    write_applications(folder / "applications.parquet", seed=7, days=60)
    return told(parse_project(text, folder=""), folder / "applications.parquet", folder)
