"""Where do a project's rows come from? A file, a sheet of a workbook, or a query on a named connection."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from trueup.align.reading import Section
from trueup.kernel.durations import Duration, parse_duration
from trueup.kernel.errors import nearest_spelling

PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""Stands for an environment variable."""
SCHEMES = ("postgresql", "postgres", "sqlite")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SECRET_KEYS = ("password", "passfile", "sslpassword", "sslkey")


@dataclass(frozen=True)
class SheetSource:
    """A sheet of a workbook (xlsx, xlsm, xls, xlsb, ods)."""

    file: str
    """As a plain source: a file, glob or URL."""
    sheet: str | None = None
    """None: the only one that holds anything."""
    header_row: int | None = None
    """As the program counts rows, from 1; None: found."""

    def __str__(self) -> str:
        return f'{self.file}, sheet "{self.sheet}"' if self.sheet else self.file


@dataclass(frozen=True)
class QuerySource:
    """The rows that a query gives on a named connection."""

    connection: str
    query: str

    def __str__(self) -> str:
        return f"a query on {self.connection}"


Source = str | SheetSource | QuerySource
"""A plain text is a file, folder, glob or URL."""


@dataclass(frozen=True)
class Connection:
    """A database by name. Never holds a secret: the URL says which environment variables do."""

    name: str
    url: str | None
    """Such as ``postgresql://reader:${PGPASSWORD}@db/warehouse``; None: an environment variable has it all."""
    timeout: Duration = parse_duration("1h")  # noqa: RUF009  # frozen
    """After it the database stops the query."""

    @property
    def variable(self) -> str:
        """Return the environment variable that takes the place of the URL."""
        return f"TRUEUP_CONNECTION_{self.name.upper()}"


def read_data_source(section: Section) -> Source | None:
    """Return what ``source`` in ``[data]`` says, noting every mistake."""
    raw = section.take("source")
    if not isinstance(raw, dict):
        return section.text("source", example='"cases.parquet"')
    part = section.section("source")
    return _read_table(part) if part is not None else None


def read_connections(file: Section) -> tuple[Connection, ...]:
    """Return the sections ``[connections.<name>]``, noting every mistake."""
    section = file.section("connections")
    if section is None:
        return ()
    found = []
    for name in section.keys():  # noqa: SIM118  # no dictionary
        part = section.section(name)
        if part is None:
            continue
        if not _NAME.fullmatch(name):
            section.wrong(name, f'"{name}" is not a name; use a-z, 0-9 and underscores, as in warehouse')
        url, timeout = part.parsed("url", _checked_url), part.duration("timeout")
        part.finish()
        found.append(Connection(name, url, timeout or Connection.timeout))
    return tuple(found)


def check_connection(source: Source | None, connections: tuple[Connection, ...], file: Section) -> None:
    """Note when a source names a connection that the file does not have."""
    known = [connection.name for connection in connections]
    if isinstance(source, QuerySource) and source.connection not in known:
        hint = nearest_spelling(source.connection, known) or f"; add the section [connections.{source.connection}]"
        file.wrong("data.source.connection", f'there is no connection "{source.connection}"{hint}')


def _read_table(part: Section) -> Source | None:
    if part.has("connection") or part.has("query"):
        connection, query = part.text("connection", example='"warehouse"'), part.text("query", example='"SELECT ..."')
        part.finish()
        return QuerySource(connection, query) if connection and query else None
    file = part.text("file", example='"cases.xlsx"')
    sheet, header_row = part.text("sheet"), part.whole("header_row", low=1)
    part.finish()
    return SheetSource(file, sheet, header_row) if file else None


def _checked_url(text: str) -> str:
    if PLACEHOLDER.fullmatch(text):
        return text
    try:
        parts = urlsplit(PLACEHOLDER.sub("x", text))
        written = urlsplit(text).password
    except ValueError:
        raise ValueError(
            'it is not a URL; write for example url = "postgresql://reader@db.example.com/sales"'
        ) from None
    if parts.scheme not in SCHEMES:
        allowed = "postgresql://user@host/database and sqlite:///file.db"
        raise ValueError(f'"{parts.scheme}:" is not a database we read; allowed are {allowed}')
    in_query = [value for key, value in parse_qsl(urlsplit(text).query) if key.lower() in _SECRET_KEYS]
    if any(not PLACEHOLDER.fullmatch(secret) for secret in [*in_query, *([written] if written else [])]):
        raise ValueError(
            "a password does not belong in the file; write ${NAME} in its place, and set that environment variable"
        )
    return text
