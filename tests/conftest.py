"""Shared fixtures: real data where it exists, and an honest count of what was skipped."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.s3_server import S3Server, running_s3

__all__ = ["S3Server"]

REPOSITORY = Path(__file__).parents[1]


def find_real_data() -> Path | None:
    """Return the folder of the real data sets: TRUEUP_TEST_DATA, else ``../shared/data`` beside the repository."""
    named = os.environ.get("TRUEUP_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder.resolve() if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with hotel_bookings, bike_sharing, nycflights13 and telco_churn; skips where it is absent."""
    folder = find_real_data()
    if folder is None:
        pytest.skip("real data absent: set TRUEUP_TEST_DATA to its folder")
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A new folder that a process without our rights can reach, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 protocol server (moto) in its own process."""
    with running_s3() as server:
        yield server


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of skipped tests last, so that a green run cannot hide them."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    terminalreporter.write_line(f"skipped tests: {skipped}")
