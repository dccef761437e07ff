"""How is this installation set up? Read once from the environment, all mistakes told together, no secret printed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from trueup.control.errors import BadConfiguration
from trueup.kernel.errors import nearest_spelling

HOME, DATABASE_URL, OWNER_URL = "TRUEUP_HOME", "TRUEUP_DATABASE_URL", "TRUEUP_DATABASE_OWNER_URL"
SECRET_KEY, HOSTS, HTTPS = "TRUEUP_SECRET_KEY", "TRUEUP_HOSTS", "TRUEUP_HTTPS"
_KNOWN = (HOME, DATABASE_URL, OWNER_URL, SECRET_KEY, HOSTS, HTTPS)
_SECRET_FILE = "secret.key"  # noqa: S105  # a file's name
_SHORTEST_SECRET = 32


@dataclass(frozen=True)
class ControlSettings:
    """One installation, which is one organisation."""

    home: Path
    """Folder of what is not in the database: the embedded database itself, keys, the lake."""
    database_url: str = field(repr=False)
    """Of the role that the web and worker processes use; it cannot change the audit trail."""
    owner_url: str = field(repr=False)
    """Of the role that owns the tables, for migrations."""
    secret_key: str = field(repr=False)
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")
    """Names the pages answer to."""
    https: bool = False
    """Whether people reach the pages by HTTPS only: cookies are then never sent without it."""


def read_configuration(environment: Mapping[str, str]) -> ControlSettings:
    """Return the settings that the environment says; the secret key is made and kept in the home where none is given.

    Raises
    ------
    BadConfiguration
        With all mistakes.
    """
    unknown = [name for name in environment if name.startswith("TRUEUP_DATABASE") and name not in _KNOWN]
    mistakes = [f"{name} is not known{nearest_spelling(name, _KNOWN)}" for name in unknown]
    home = Path(environment.get(HOME, "~/.trueup")).expanduser()
    url = environment.get(DATABASE_URL, "")
    owner = environment.get(OWNER_URL, url)
    for name, value in ((DATABASE_URL, url), (OWNER_URL, owner)):
        if not value.startswith(("postgresql://", "postgres://")):
            mistakes.append(f"{name} must be a postgresql:// URL; left out, trueup up starts a database of its own")
    https = environment.get(HTTPS, "no")
    if https not in ("yes", "no"):
        mistakes.append(f"{HTTPS} must be yes or no, not {https!r}")
    secret = environment.get(SECRET_KEY, "")
    if secret and len(secret) < _SHORTEST_SECRET:
        mistakes.append(f"{SECRET_KEY} has {len(secret)} characters; {_SHORTEST_SECRET} or more are needed")
    if mistakes:
        raise BadConfiguration("; ".join(dict.fromkeys(mistakes)), mistakes=len(mistakes))
    hosts = tuple(host.strip() for host in environment.get(HOSTS, "").split(",") if host.strip())
    return ControlSettings(
        home=home,
        database_url=url,
        owner_url=owner,
        secret_key=secret or kept_secret(home),
        hosts=hosts or ControlSettings.hosts,
        https=https == "yes",
    )


def kept_secret(home: Path) -> str:
    """Return the secret key of an installation, made at its first start and readable by its owner only."""
    path = home / _SECRET_FILE
    if not path.is_file():
        home.mkdir(parents=True, exist_ok=True)
        written = path.with_suffix(f".{secrets.token_hex(4)}")
        written.touch(mode=0o600)
        written.write_text(secrets.token_urlsafe(48), encoding="ascii")
        with suppress(FileExistsError):  # another process was first: its key counts
            path.hardlink_to(written)
        written.unlink()
    return path.read_text(encoding="ascii").strip()


def django_database(url: str) -> dict[str, object]:
    """Return a database URL as Django wants it: ``postgresql://user:password@host:port/name?host=/socket``."""
    parts = urlsplit(url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host = asked.pop("host", parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 8, "timeout": 30}, **asked},
    }
