"""How does everything start with one command, and end in order? Database, tables, pages, and whoever does the jobs."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trueup.control.configuration import DATABASE_URL, HOME, HOSTS
from trueup.control.database import embedded
from trueup.control.errors import ControlError
from trueup.serve.supervisor import Companion, Supervisor

_THREADS = 8
"""Of a web process: pages that wait for the database do not hold up others."""


class NotPrepared(ControlError):
    """The database or the pages' files could not be brought to this version."""

    code = "control.not-prepared"


class AlreadyRunning(ControlError):
    """Another command runs the same installation."""

    code = "control.already-running"


@dataclass(frozen=True)
class Started:
    """What is told once pages can be opened."""

    url: str
    first_link: str | None
    """Where the first administrator begins; None once there is one."""


def run_all(
    home: Path,
    *,
    host: str,
    port: int,
    environment: Mapping[str, str],
    ready: Callable[[Started], None],
    say: Callable[[str], None],
) -> int:
    """Start everything and keep it running until this process is told to end; return the exit code.

    Raises
    ------
    AlreadyRunning, BadConfiguration, DatabaseUnavailable, NotPrepared
    """
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home), _database(home, environment) as found:
        own = {**environment, HOME: str(home), **found}
        own.setdefault(HOSTS, ",".join(dict.fromkeys((host, "localhost", "127.0.0.1"))))
        logs = home / "logs"
        logs.mkdir(exist_ok=True)
        prepared = _prepare(own, logs / "preparing.log")
        url = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}"  # noqa: S104
        secret = prepared.get("first_link")
        ready(Started(url, f"{url}/welcome?link={secret}" if secret else None))
        os.environ.update(own)
        jobs = Companion("jobs", (sys.executable, "-m", "trueup.control.working"), logs / "jobs.log")
        return Supervisor(lambda _: _be_web(host, port), 1, companions=(jobs,), grace_seconds=10.0, say=say).run()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the installation for this command; the system lets go of it however the command ends."""
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"another trueup up runs the installation in {home}; open its pages, or end it, or name another --home"
            ) from None
        yield


@contextmanager
def _database(home: Path, environment: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    if DATABASE_URL in environment:
        yield {}
        return
    with embedded(home) as found:
        yield found


def _prepare(environment: Mapping[str, str], log: Path) -> dict[str, str | None]:
    command = [sys.executable, "-m", "trueup.control.preparing"]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)  # noqa: S603  # ours
    log.write_text(done.stderr, encoding="utf-8")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason was given"]
        raise NotPrepared(f"the database cannot be brought to this version: {last[0]}; {log} says more")
    told: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return told


def _be_web(host: str, port: int) -> int:
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port)),
        *("--workers", "1", "--blocking-threads", str(_THREADS), "--no-ws", "--log-level", "error"),
        "trueup.control.wsgi:application",
    ]
    os.execv(command[0], command)  # noqa: S606  # our own command, no shell wanted
