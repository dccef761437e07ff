"""How is a query on PostgreSQL read? One read-only snapshot, streamed by COPY, types as the database declares them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.data.errors import (
    BrokenFile,
    ConnectionFailed,
    ConnectionLost,
    DataError,
    QueryRefused,
    QueryTimeout,
)
from trueup.data.landing import land_tables, landed
from trueup.data.postgres_columns import Column, chunk_of, columns_of, infinite_remarks
from trueup.data.reading import SourceTable, named_columns
from trueup.data.sources import SourceFiles

if TYPE_CHECKING:
    import duckdb
    import psycopg
    import pyarrow as pa

_CHUNK_BYTES = 4 << 20
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class PostgresQuery:
    """The rows of one SELECT."""

    said: str
    query: str
    url: str = field(repr=False)
    """May hold a password."""
    seconds: float
    """After so many the server stops the query."""

    @property
    def found(self) -> SourceFiles:
        """Return that there are no files."""
        return SourceFiles("postgresql", (), 0)

    def open_table(
        self, connection: duckdb.DuckDBPyConnection, *, landing: Path, on_bytes: Callable[[int], None]
    ) -> SourceTable:
        """Return the rows, landed in flat memory.

        Raises
        ------
        ConnectionFailed, ConnectionLost
            When the server cannot be reached, does not let us in, or goes away.
        QueryRefused, QueryTimeout, UnsupportedColumn
            When the query cannot run, would change something, runs too long, or gives arrays, records or binary values.
        """
        import psycopg
        import pyarrow as pa

        with self._connected() as database:
            try:
                columns, remarks = self._prepared(database)
                schema = pa.schema([(column.name, column.arrow) for column in columns])
                infinite = dict.fromkeys((column.name for column in columns), 0)
                file = landing / "rows.parquet"
                land_tables(self._chunks(database, columns, infinite, on_bytes), schema, file)
            except psycopg.Error as error:
                raise self._told(error) from None
        types = connection.execute(f"DESCRIBE SELECT * FROM {landed(file)}").fetchall()  # noqa: S608
        return SourceTable(
            landed(file), {str(row[0]): str(row[1]) for row in types}, (*remarks, *infinite_remarks(infinite))
        )

    def error_of(self, error: Exception) -> DataError:
        """Return the error; what has landed can be read, so only its kind helps."""
        return BrokenFile(f"{self.said} cannot be read: {type(error).__name__}", source=self.said)

    def _connected(self) -> psycopg.Connection[tuple[object, ...]]:
        import psycopg

        try:
            database = psycopg.connect(
                self.url, connect_timeout=_CONNECT_SECONDS, application_name="trueup", client_encoding="utf8"
            )
        except psycopg.ProgrammingError:
            raise ConnectionFailed(
                f"{self.said}: the connection's URL is malformed; it is not shown, as it may hold a password. Write "
                "postgresql://user:${PASSWORD}@host:5432/database",
                source=self.said,
            ) from None
        except (psycopg.Error, UnicodeError) as error:
            raise ConnectionFailed(f"{self.said}: {self._why(str(error))}", source=self.said) from None
        database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        database.read_only = True
        return database

    def _prepared(
        self, database: psycopg.Connection[tuple[object, ...]]
    ) -> tuple[tuple[Column, ...], list[tuple[str, str]]]:
        """Return the columns the query gives. Prepared alone, it cannot be more than one statement."""
        import psycopg

        milliseconds = str(max(1, round(self.seconds * 1000)))
        database.execute("SELECT set_config('statement_timeout', %s, true)", (milliseconds,))
        for answer in (
            database.pgconn.prepare(b"", self.query.encode()),
            described := database.pgconn.describe_prepared(b""),
        ):
            if answer.status != psycopg.pq.ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(answer)
        if described.nfields == 0:
            raise QueryRefused(f"{self.said} gives no rows; write one SELECT", source=self.said)
        heads = [(described.fname(i) or b"").decode() for i in range(described.nfields)]
        names, remarks = named_columns(heads, self.said)
        kinds = [(described.ftype(i), described.fmod(i)) for i in range(described.nfields)]
        return columns_of(names, kinds, database=database, said=self.said), remarks

    def _chunks(
        self,
        database: psycopg.Connection[tuple[object, ...]],
        columns: Sequence[Column],
        infinite: dict[str, int],
        on_bytes: Callable[[int], None],
    ) -> Iterator[pa.Table]:
        """Yield the rows; the server sends each row whole, so a chunk ends where a row ends."""
        names = ", ".join(f"c{i}" for i in range(len(columns)))
        chosen = ", ".join(column.sql.format(f"c{i}") for i, column in enumerate(columns))
        query = self.query.strip().rstrip(";")
        copying = f"COPY (SELECT {chosen} FROM ({query}\n) AS asked({names})) TO STDOUT (FORMAT csv)"  # noqa: S608  # prepared alone before
        with database.cursor() as cursor, cursor.copy(copying.encode()) as copy:
            waiting = bytearray()
            for row in copy:
                waiting += row
                if len(waiting) >= _CHUNK_BYTES:
                    on_bytes(len(waiting))
                    yield chunk_of(bytes(waiting), columns, infinite)
                    waiting.clear()
            if waiting:
                yield chunk_of(bytes(waiting), columns, infinite)

    def _told(self, error: psycopg.Error) -> DataError:
        """Return what went wrong; a message about values is left out, as it would repeat them."""
        import psycopg

        state = error.sqlstate or ""
        if state == "57014":
            return QueryTimeout(
                f"{self.said} took longer than {self.seconds:,.0f} seconds and was stopped; ask for less, or raise "
                "timeout in the connection's section",
                source=self.said,
            )
        if not state or state.startswith("08") or state in ("57P01", "57P02", "57P03"):
            return ConnectionLost(
                f"{self.said}: the database closed the connection before all rows were read; nothing was changed, "
                "try again",
                source=self.said,
            )
        if state == "25006":
            return QueryRefused(f"{self.said} does more than read; write one SELECT", source=self.said)
        if state.startswith("42"):
            reason = error.diag.message_primary or type(error).__name__
            return QueryRefused(f"{self.said} cannot be run: {reason}", source=self.said)
        kind = psycopg.errors.lookup(state).__name__ if state else ""
        return QueryRefused(f"{self.said} stopped with an error of PostgreSQL: {kind} ({state})", source=self.said)

    def _why(self, text: str) -> str:
        """Return why no connection was made, in words of our own: the server's may repeat parts of the URL."""
        known = (
            ("password authentication failed", "the database refuses the user or the password"),
            ("no password supplied", "the database asks for a password, and the connection has none"),
            ("does not exist", "there is no such database or user"),
            ("could not translate host name", "there is no such host"),
            ("failed to resolve host", "there is no such host"),
            ("Connection refused", "no server listens there; check host and port"),
            ("timeout", f"the server did not answer within {_CONNECT_SECONDS} seconds"),
            ("pg_hba.conf", "the server does not accept this user from this machine"),
            ("No such file", "no server listens there; check host and port"),
        )
        for part, reason in known:
            if part in text:
                return reason
        return "the database cannot be reached"
