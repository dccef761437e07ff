"""How is a query on a SQLite file read? Read-only, as one statement, every value as a CSV would have it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from trueup.data.errors import (
    BrokenFile,
    DataError,
    QueryRefused,
    QueryTimeout,
    SourceMissing,
    UnsupportedColumn,
    WrongEncoding,
)
from trueup.data.landing import Texts, land_texts
from trueup.data.reading import SourceTable, named_columns
from trueup.data.sources import SourceFiles
from trueup.kernel.errors import nearest_spelling

if TYPE_CHECKING:
    import duckdb

_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
_STEPS_BETWEEN_LOOKS = 10_000
Value = str | int | float | bytes | None


@dataclass(frozen=True)
class SqliteQuery:
    """The rows of one SELECT."""

    said: str
    query: str
    file: Path
    seconds: float
    """After so many the query is stopped."""

    @property
    def found(self) -> SourceFiles:
        """Return the database file; how much of it the query reads is not known."""
        return SourceFiles("sqlite", (), 0)

    def open_table(
        self, connection: duckdb.DuckDBPyConnection, *, landing: Path, on_bytes: Callable[[int], None]
    ) -> SourceTable:
        """Return the rows as a table of texts.

        Raises
        ------
        SourceMissing, BrokenFile, WrongEncoding
            When there is no such file, or it is no database of texts in UTF-8.
        QueryRefused, QueryTimeout, UnsupportedColumn
            When the query cannot run, would change something, runs too long, or gives binary values.
        """
        del connection
        if not self.file.is_file():
            siblings = [path.name for path in self.file.parent.iterdir()] if self.file.parent.is_dir() else []
            hint = nearest_spelling(self.file.name, siblings)
            raise SourceMissing(f'there is no SQLite file "{self.file}"{hint}', seen=str(self.file))
        deadline = time.monotonic() + self.seconds
        try:
            with closing(sqlite3.connect(f"file:{quote(str(self.file))}?mode=ro", uri=True)) as database:
                database.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
                database.set_authorizer(_may_only_read)
                cursor = database.execute(self.query)
                if cursor.description is None:
                    raise QueryRefused(f"{self.said} gives no rows; write one SELECT", source=self.said)
                names, remarks = named_columns([column[0] for column in cursor.description], self.said)
                table = land_texts(self._rows(cursor, names, on_bytes), names, landing / "rows.parquet")
                return replace(table, remarks=tuple(remarks))
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._told(error, overdue=time.monotonic() > deadline) from None

    def error_of(self, error: Exception) -> DataError:
        """Return the error; what has landed can be read, so only its kind helps."""
        return BrokenFile(f"{self.said} cannot be read: {type(error).__name__}", source=self.said)

    def _rows(self, cursor: sqlite3.Cursor, names: list[str], on_bytes: Callable[[int], None]) -> Iterator[Texts]:
        for row in cursor:
            on_bytes(0)
            yield [self._text(value, name) for value, name in zip(row, names, strict=True)]

    def _text(self, value: Value, name: str) -> str | None:
        if isinstance(value, bytes):
            raise UnsupportedColumn(
                f'{self.said}: the column "{name}" holds binary values; leave it out, or turn it into text with '
                f"hex({name})",
                column=name,
            )
        return value if value is None or isinstance(value, str) else repr(value)

    def _told(self, error: Exception, *, overdue: bool) -> DataError:
        text = str(error)
        if "interrupted" in text and overdue:
            return QueryTimeout(
                f"{self.said} took longer than {self.seconds:,.0f} seconds and was stopped; ask for less, or raise "
                "timeout in the connection's section",
                source=self.said,
            )
        if "UTF-8" in text:
            return WrongEncoding(f"{self.said}: a text is not UTF-8; cast it in the query or leave it out")
        if "not a database" in text or "malformed" in text:
            return BrokenFile(f'"{self.file}" is damaged, or not a SQLite database', file=str(self.file))
        if "not authorized" in text or "prohibited" in text or "readonly" in text:
            return QueryRefused(f"{self.said} does more than read; write one SELECT", source=self.said)
        return QueryRefused(f"{self.said} cannot be run: {text}", source=self.said)


def _may_only_read(action: int, *_: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
