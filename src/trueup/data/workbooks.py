"""What does a sheet of a workbook hold? Header, rows and cells as texts, examined like a CSV afterwards."""

from __future__ import annotations

import datetime as dt
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.data.duck import quoted_text
from trueup.data.errors import (
    AmbiguousSheet,
    BrokenFile,
    ColumnsDiffer,
    DataError,
    NoHeader,
    NoRows,
    PasswordProtected,
    SheetMissing,
)
from trueup.data.landing import Texts, land_texts
from trueup.data.reading import SourceTable, named_columns
from trueup.data.sources import SourceFiles
from trueup.data.workbook_errors import count_error_cells
from trueup.kernel.errors import nearest_spelling

if TYPE_CHECKING:
    import duckdb
    from python_calamine import CalamineSheet, CalamineWorkbook

Cell = str | float | bool | dt.date | dt.time | dt.timedelta
_HEADER_WITHIN = 50
_MOST_BYTES = 4 << 30
_OLE = b"\xd0\xcf\x11\xe0"
_MOST_NAMED = 10


@dataclass(frozen=True)
class Workbooks:
    """One sheet of each of some workbooks, all with the same header."""

    said: str
    found: SourceFiles
    sheet: str | None
    header_row: int | None

    def open_table(
        self, connection: duckdb.DuckDBPyConnection, *, landing: Path, on_bytes: Callable[[int], None]
    ) -> SourceTable:
        """Return the sheets' rows, one below the other."""
        del connection
        tables: list[SourceTable] = []
        for number, file in enumerate(self.found.files):
            table = self._landed(file, landing / f"sheet-{number:05d}.parquet")
            if tables and list(table.types) != list(tables[0].types):
                raise ColumnsDiffer(
                    f'"{file}" has other columns than "{self.found.files[0]}"; '
                    "workbooks of one source must have the same header",
                    file=str(file),
                )
            tables.append(table)
            on_bytes(file.stat().st_size)
        files = ", ".join(quoted_text(str(landing / f"sheet-{n:05d}.parquet")) for n in range(len(tables)))
        remarks = tuple(remark for table in tables for remark in table.remarks)
        return replace(tables[0], relation=f"read_parquet([{files}])", remarks=remarks)

    def error_of(self, error: Exception) -> DataError:
        """Return the error; what has landed can be read, so only the workbook's name helps."""
        return BrokenFile(f"{self.said} cannot be read: {type(error).__name__}", file=self.said)

    def _landed(self, file: Path, into: Path) -> SourceTable:
        with _opened(file) as book:
            sheet, remarks = _chosen(book, file, self.sheet)
            place = f'"{file}", sheet "{sheet.name}"'
            grid = _Grid(sheet, place, self.header_row)
            remarks += [*grid.remarks, *_merged(sheet, grid)]
            errors = {
                c - 1 - grid.left: n for c, n in count_error_cells(file, sheet.name, below=grid.header_row).items()
            }
            for column, count in sorted(errors.items()):
                if column in grid.columns:
                    name = grid.names[grid.columns.index(column)]
                    cells = "1 error cell" if count == 1 else f"{count:,} error cells"
                    remarks.append(
                        ("data.error-cells", f"{name}: {cells} (#N/A, #DIV/0! or the like), read as missing")
                    )
            table = land_texts(grid.rows(), grid.names, into)
            return replace(table, remarks=(*remarks, *grid.late_remarks()))


class _Grid:
    """A sheet as a header and rows below it."""

    def __init__(self, sheet: CalamineSheet, place: str, header_row: int | None) -> None:
        self._sheet = sheet
        self._blank = 0
        self._place = place
        if sheet.start is None or sheet.end is None:
            raise NoRows(f"{place} is empty; expected a header and rows")
        self.left = int(sheet.start[1])
        """Empty columns on the left, which cells are counted without."""
        head = list(islice(sheet.iter_rows(), header_row or _HEADER_WITHIN))
        at = header_row - 1 if header_row else _header_of(head, place)
        if at >= len(head):
            raise NoHeader(f"{place} has {len(head)} rows; header_row = {header_row} is not there", place=place)
        self.header_row = at + 1
        """As the program counts rows, from 1."""
        used = _used_columns(sheet, at)
        cells = [text_of(cell) or "" for cell in head[at]]
        self.columns = [i for i in range(len(cells)) if cells[i].strip() or i in used]
        """Which cells of a row are kept."""
        self.names, named = named_columns([cells[i].strip() for i in self.columns], place)
        self.remarks = [(code, text) for code, text in named]
        above = sum(1 for row in head[:at] if any(cell != "" for cell in row))
        if above:
            rows = "1 row" if above == 1 else f"{above} rows"
            self.remarks.append(("data.rows-above-header", f"the header is in row {at + 1}; {rows} above it left out"))

    def rows(self) -> Iterator[Texts]:
        """Yield each row below the header that holds anything."""
        blank = 0
        for row in islice(self._sheet.iter_rows(), self.header_row, None):
            texts = [text_of(row[i]) for i in self.columns]
            if not any(texts):
                blank += 1
                continue
            self._blank += blank
            blank = 0
            yield texts

    def late_remarks(self) -> list[tuple[str, str]]:
        """Return what is known once all rows were read."""
        if not self._blank:
            return []
        rows = "1 blank row was" if self._blank == 1 else f"{self._blank:,} blank rows were"
        return [("data.blank-rows", f"{rows} left out")]


def text_of(cell: Cell) -> str | None:
    """Return a cell as a CSV would have it: whole numbers without a point, dates as ISO text; None when empty.

    Examples
    --------
    >>> text_of(3.0), text_of(0.1), text_of(True), text_of("")
    ('3', '0.1', 'true', None)
    """
    if isinstance(cell, str):
        return cell or None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float | int):
        return str(int(cell)) if float(cell).is_integer() and abs(cell) < 2**53 else repr(float(cell))
    if isinstance(cell, dt.datetime):
        is_day = cell.time() == dt.time()
        return cell.date().isoformat() if is_day else cell.isoformat(" ")
    return cell.isoformat() if isinstance(cell, dt.date | dt.time) else str(cell)


def _header_of(head: Sequence[Sequence[Cell]], place: str) -> int:
    """Return the first row that is as wide as the table and holds only texts."""
    filled = [sum(cell != "" for cell in row) for row in head]
    widest = max(filled)
    for number, row in enumerate(head):
        if filled[number] >= max(1, 0.8 * widest) and all(isinstance(cell, str) for cell in row):
            return number
    raise NoHeader(
        f"{place}: no row among the first {len(head)} holds the names of the columns; "
        'say which with source = { file = "...", header_row = 1 }',
        place=place,
    )


def _used_columns(sheet: CalamineSheet, header: int) -> set[int]:
    used: set[int] = set()
    for row in islice(sheet.iter_rows(), header + 1, None):
        if len(used) == len(row):
            break
        used.update(i for i, cell in enumerate(row) if cell != "")
    return used


def _chosen(book: CalamineWorkbook, file: Path, wanted: str | None) -> tuple[CalamineSheet, list[tuple[str, str]]]:
    """Return the sheet that was asked for, or the only one that people see and that holds anything."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    about = [one for one in book.sheets_metadata if one.typ == SheetTypeEnum.WorkSheet]
    if wanted is not None:
        names = [one.name for one in about]
        if wanted not in names:
            hint = nearest_spelling(wanted, names) or f"; there are {_listed(names)}"
            raise SheetMissing(f'"{file}" has no sheet "{wanted}"{hint}', file=str(file), sheet=wanted)
        return book.get_sheet_by_name(wanted), []
    seen = [one.name for one in about if one.visible == SheetVisibleEnum.Visible]
    sheets = [sheet for sheet in map(book.get_sheet_by_name, seen) if sheet.start is not None]
    if not sheets:
        raise NoRows(f'"{file}" has no sheet that holds anything; expected a header and rows', file=str(file))
    if len(sheets) > 1:
        names = [sheet.name for sheet in sheets]
        raise AmbiguousSheet(
            f'"{file}" has {len(names)} sheets: {_listed(names)}; say which with '
            f'source = {{ file = "{file.name}", sheet = "{names[0]}" }}, or --sheet',
            file=str(file),
            sheets=names,
        )
    return sheets[0], []


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(f'"{name}"' for name in names[:_MOST_NAMED]) + more


def _merged(sheet: CalamineSheet, grid: _Grid) -> list[tuple[str, str]]:
    areas = [area for area in sheet.merged_cell_ranges or [] if area[1][0] >= grid.header_row]
    if not areas:
        return []
    cells = "1 merged area has" if len(areas) == 1 else f"{len(areas):,} merged areas have"
    return [("data.merged-cells", f"{cells} a value in the first cell only; the others are missing")]


@contextmanager
def _opened(file: Path) -> Iterator[CalamineWorkbook]:
    """Open a workbook; whatever turns out to be damaged inside is said with its name."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    is_zip = file.suffix.lower() != ".xls"
    try:
        with file.open("rb") as content:
            start = content.read(4)
        if is_zip and start == _OLE:
            raise PasswordError
        if is_zip:
            _check_size(file)
        with CalamineWorkbook.from_path(str(file)) as book:
            yield book
    except PasswordError as error:
        raise PasswordProtected(
            f'"{file}" is protected by a password; save a copy without one', file=str(file)
        ) from error
    except (CalamineError, zipfile.BadZipFile, zlib.error, OSError) as error:
        raise BrokenFile(
            f'"{file}" cannot be read as a workbook: it is damaged, cut off, or not what its name says', file=str(file)
        ) from error


def _check_size(file: Path) -> None:
    """Refuse what would not fit into memory once unpacked."""
    with zipfile.ZipFile(file) as parts:
        unpacked = sum(part.file_size for part in parts.infolist())
    if unpacked > _MOST_BYTES:
        raise BrokenFile(
            f'"{file}" unpacks to {unpacked / 1e9:.1f} GB, more than a workbook may; export the sheet as CSV',
            file=str(file),
        )
