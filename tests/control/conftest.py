"""A real PostgreSQL for these tests, and for each test a database of its own, as an installation has it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

collect_ignore = ["typed_settings.py"]
"""It says for good that there is an installation; only the type checker reads it."""
_HOME = Path(tempfile.mkdtemp(prefix="trueup-control-"))
_PLACE = {
    "DJANGO_SETTINGS_MODULE": "trueup.control.settings",
    "TRUEUP_DATABASE_URL": "postgresql://nobody@localhost/nothing",
    "TRUEUP_HOME": str(_HOME),
}
_before = {name: os.environ.get(name) for name in _PLACE}
os.environ.update(_PLACE)

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "yes"  # the browser keeps a loop in this thread, which Django never runs in

import django  # noqa: E402  # models can be imported only after this

django.setup()
for _name, _value in _before.items():
    if _value is None:
        del os.environ[_name]
    else:
        os.environ[_name] = _value

from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from tests.control.people import NOW, PASSWORD, Database, People  # noqa: E402

from trueup.control.database import APP_ROLE, embedded  # noqa: E402


@pytest.fixture(scope="session")
def prepared() -> Iterator[dict[str, str]]:
    """A server of this test run, with a database that an installation has prepared."""
    _HOME.chmod(0o755)
    with embedded(_HOME) as found:
        environment = {**os.environ, "TRUEUP_HOME": str(_HOME), **found}
        done = subprocess.run(
            [sys.executable, "-m", "trueup.control.preparing"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield found


@pytest.fixture
def database(prepared: dict[str, str]) -> Iterator[Database]:
    """A copy of the prepared database, which Django uses as the web does: without the owner's rights."""
    with _copy_of("trueup", prepared) as found:
        yield found


@pytest.fixture(scope="session")
def _peopled(prepared: dict[str, str]) -> str:
    """Name of a database with the organisation in it, made once: hashing passwords is slow on purpose."""
    with _copy_of("trueup", prepared, name="peopled", keep=True) as found:
        People.make(NOW)
        return found.name


@pytest.fixture
def people(prepared: dict[str, str], _peopled: str) -> Iterator[People]:
    """An organisation with its people, and a first charter that waits for feedback."""
    with _copy_of(_peopled, prepared) as found:
        yield People.find(found)


@contextmanager
def _copy_of(
    template: str, prepared: dict[str, str], *, name: str | None = None, keep: bool = False
) -> Iterator[Database]:
    owner, app = prepared["TRUEUP_DATABASE_OWNER_URL"], prepared["TRUEUP_DATABASE_URL"]
    name = name or f"test_{next(_numbers)}"
    with psycopg.connect(owner.replace("/trueup?", "/postgres?"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    found = Database(name, app.replace("/trueup?", f"/{name}?"), owner.replace("/trueup?", f"/{name}?"))
    host = urlsplit(found.app_url).query.partition("host=")[2]
    connection.settings_dict.update({"NAME": name, "USER": APP_ROLE, "HOST": host, "PORT": ""})
    try:
        yield found
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one
        if not keep:
            with psycopg.connect(owner.replace("/trueup?", "/postgres?"), autocommit=True) as server:
                server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


_numbers = iter(range(1_000_000))


@pytest.fixture
def visit(people: People) -> Visit:
    """Return what signs somebody in, as a browser does."""
    return Visit()


class Visit:
    """Signs in by the form."""

    def __call__(self, email: str) -> Client:
        client = Client(SERVER_NAME="localhost")
        answer = client.post("/signin", {"login": email, "password": PASSWORD})
        assert answer.status_code == 302, answer.content
        return client


@pytest.fixture
def website(people: People) -> Iterator[str]:
    """Address of a web process as `trueup up` starts it, on this test's database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--blocking-threads", "4", "--no-ws", "--log-level", "error"),
        "trueup.control.wsgi:application",
    ]
    environment = {**os.environ, "TRUEUP_HOME": str(_HOME), "TRUEUP_DATABASE_URL": people.database.app_url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://localhost:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
            assert client.get(f"{address}/healthz").status_code == 200
        yield address
        process.terminate()
        process.wait(30)
