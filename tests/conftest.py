"""Shared fixtures: real data where it exists, and an honest count of what was skipped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

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


@dataclass(frozen=True)
class S3Server:
    """A server that speaks the S3 protocol, on a free port of this machine."""

    endpoint: str

    @property
    def options(self) -> dict[str, str]:
        """The ``AWS_*`` settings with which our stores and tables reach it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def create_bucket(self, name: str) -> str:
        """Create an empty bucket and return its URL."""
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request):
            return f"s3://{name}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 protocol server (moto) in its own process."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", said)):
            said = process.stderr.readline()
            assert said, "the S3 server ended before it listened"
        sink = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        yield S3Server(found[0])
        process.terminate()
        sink.wait()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the number of skipped tests last, so that a green run cannot hide them."""
    skipped = len(terminalreporter.stats.get("skipped", []))
    terminalreporter.write_line(f"skipped tests: {skipped}")
