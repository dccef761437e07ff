"""A real server for tests: the command that people run, on a free port, and the wire to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

TRUEUP = Path(sys.executable).with_name("trueup")


@dataclass
class RunningServer:
    """A server that answers."""

    process: subprocess.Popen[str]
    url: str
    spool: Path
    client: httpx.Client

    def predict(self, project: str, rows: Sequence[Mapping[str, Any]], **more: Any) -> httpx.Response:
        """Return the answer to some rows."""
        return self.client.post(f"/predict/{project}", json={"rows": list(rows), **more})

    def workers(self) -> list[int]:
        """Return the numbers of the processes that answer."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in listed if "serve" in _command_of(pid)]

    def sealing(self) -> list[int]:
        """Return the numbers of the processes that seal the log."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in listed if "trueup.lake.sealing_process" in _command_of(pid)]

    def stop(self) -> int:
        """End it as an operator does, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(
    target: Path | str, *options: str, spool: Path, token: str | Path, environment: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """Give a server that answers; it is killed at the end if it still runs. A path of a token is read once it does."""
    command = [str(TRUEUP), "serve", str(target), "--port", "0", "--spool", str(spool), "--json", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        assert process.stdout is not None
        said = read_document(process)
        shown = token.read_text() if isinstance(token, Path) else token
        headers = {"authorization": f"Bearer {shown}"}
        with httpx.Client(base_url=said["url"], headers=headers, timeout=30) as client:
            yield RunningServer(process, said["url"], spool, client)
    finally:
        process.kill()
        process.communicate()


def _command_of(pid: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return []


def read_document(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the first JSON document a process writes."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            document: dict[str, Any] = json.loads(text)
            return document
    _, said = process.communicate()
    raise AssertionError(f"the server ended: {text}{said}")


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Return once a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)
