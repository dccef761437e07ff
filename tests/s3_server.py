"""A real server of the S3 protocol, on a port of this machine, for tests and benchmarks."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


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


@contextmanager
def running_s3(port: int = 0) -> Iterator[S3Server]:
    """Give a real S3 protocol server (moto) in its own process; what it holds is gone when it ends."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", said)):
            said = process.stderr.readline()
            assert said, "the S3 server ended before it listened"
        sink = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            yield S3Server(found[0])
        finally:
            process.terminate()
            sink.wait()
