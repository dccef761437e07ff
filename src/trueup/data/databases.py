"""Which database does a named connection mean, and with which secret? Never printed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from trueup.align.data_source import PLACEHOLDER, Connection, QuerySource
from trueup.data.errors import ConnectionUnset
from trueup.data.incoming import Incoming
from trueup.data.postgres import PostgresQuery
from trueup.data.sqlite import SqliteQuery


def open_query(
    source: QuerySource, connection: Connection, *, variables: Mapping[str, str], base: Path | None = None
) -> Incoming:
    """Return the rows of a query, ready to be opened. Nothing is connected yet.

    Parameters
    ----------
    variables : mapping
        The environment: ``TRUEUP_CONNECTION_<NAME>`` takes the place of the whole URL, ``${NAME}`` in a URL stands for
        the variable's text, whatever characters it has.
    base : Path, optional
        Folder that a relative SQLite file starts from; the current one by default.

    Raises
    ------
    ConnectionUnset
        When there is no URL, a variable is not set, or what the variables give is no URL of a database we read.
    """
    url = _resolved(connection, variables)
    said, seconds = str(source), connection.timeout.microseconds / 1e6
    try:
        scheme, path = urlsplit(url).scheme, urlsplit(url).path
    except ValueError:
        scheme = path = ""
    if scheme == "sqlite":
        file = (base or Path.cwd()) / unquote(path).removeprefix("/")
        return SqliteQuery(said, source.query, file, seconds)
    if scheme not in ("postgresql", "postgres"):
        raise ConnectionUnset(
            f'the URL of the connection "{connection.name}" must begin with postgresql:// or sqlite:///; '
            "it is not shown, as it may hold a password",
            connection=connection.name,
        )
    return PostgresQuery(said, source.query, url, seconds)


def _resolved(connection: Connection, variables: Mapping[str, str]) -> str:
    whole = variables.get(connection.variable) or connection.url
    if not whole:
        raise ConnectionUnset(
            f'the connection "{connection.name}" has no URL; write url in [connections.{connection.name}], or set the '
            f"environment variable {connection.variable}, for example to postgresql://reader:password@host/database",
            connection=connection.name,
        )
    if variables.get(connection.variable):
        return whole
    if only := PLACEHOLDER.fullmatch(whole):
        return _value_of(only, connection, variables)
    return PLACEHOLDER.sub(lambda match: quote(_value_of(match, connection, variables), safe=""), whole)


def _value_of(match: re.Match[str], connection: Connection, variables: Mapping[str, str]) -> str:
    value = variables.get(match[1])
    if not value:
        raise ConnectionUnset(
            f'the connection "{connection.name}" needs the environment variable {match[1]}, which is not set; '
            f"export {match[1]}=... and try again",
            connection=connection.name,
            variable=match[1],
        )
    return value
