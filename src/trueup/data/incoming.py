"""What comes in, from wherever it is? One interface over files, workbooks and queries on databases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trueup.align.data_source import SheetSource
from trueup.data.errors import DataError, UnsupportedSource
from trueup.data.reading import SourceTable, read_source, told_as_data_error
from trueup.data.sources import SourceFiles, find_files
from trueup.data.workbooks import Workbooks

if TYPE_CHECKING:
    import duckdb


class Incoming(Protocol):
    """Rows that can be opened as one table for DuckDB."""

    @property
    def said(self) -> str:
        """Return how people name it, without a secret."""
        ...

    @property
    def found(self) -> SourceFiles:
        """Return its format, files and bytes; a database has no files."""
        ...

    def open_table(
        self, connection: duckdb.DuckDBPyConnection, *, landing: Path, on_bytes: Callable[[int], None]
    ) -> SourceTable:
        """Return the rows as a table; what DuckDB cannot read itself is written below `landing` first.

        Raises
        ------
        DataError
            When they cannot be read; says where and why, without a value.
        """
        ...

    def error_of(self, error: Exception) -> DataError:
        """Return what an error means that DuckDB met while reading the table."""
        ...


@dataclass(frozen=True)
class Files:
    """Files that DuckDB reads itself: CSV, Parquet, JSON lines."""

    said: str
    found: SourceFiles

    def open_table(
        self, connection: duckdb.DuckDBPyConnection, *, landing: Path, on_bytes: Callable[[int], None]
    ) -> SourceTable:
        """Return the files as one table; `landing` stays empty."""
        del landing
        return read_source(self.found, connection=connection, on_bytes=on_bytes)

    def error_of(self, error: Exception) -> DataError:
        """Return the error with file and line."""
        return told_as_data_error(error, self.found)


def incoming_of(source: str | SheetSource | Incoming, *, base: Path | None = None) -> Incoming:
    """Return what a source names.

    Parameters
    ----------
    source : str, SheetSource or Incoming
        A file, folder, glob or ``file:`` URL (see `find_files`), a sheet of a workbook, or rows ready to be opened.
    base : Path, optional
        Folder that relative paths start from; the current one by default.
    """
    if not isinstance(source, str | SheetSource):
        return source
    sheet = source if isinstance(source, SheetSource) else SheetSource(source)
    found = find_files(sheet.file, base=base)
    if found.format == "excel":
        return Workbooks(str(source), found, sheet.sheet, sheet.header_row)
    if sheet.sheet is not None or sheet.header_row is not None:
        raise UnsupportedSource(
            f'"{sheet.file}" is {found.format}, which has no sheets; leave sheet and header_row out', source=sheet.file
        )
    return Files(sheet.file, found)
