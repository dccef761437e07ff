"""How does DuckDB read these files? Encoding, separator and header are settled here; broken lines are named."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.data.duck import quoted_text
from trueup.data.errors import (
    BrokenFile,
    BrokenRow,
    ColumnsDiffer,
    DataError,
    DuplicateColumns,
    NoHeader,
    NoRows,
    SourceUnreadable,
    TooManyColumns,
    WrongEncoding,
)
from trueup.data.sources import SourceFiles, opened

if TYPE_CHECKING:
    import duckdb

MAX_COLUMNS = 2_000
_BLOCK = 4 << 20
_HEAD_BYTES = 4 << 20
_SEPARATORS = (",", ";", "\t", "|")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class SourceTable:
    """A source as DuckDB sees it."""

    relation: str
    """SQL after FROM."""
    types: dict[str, str]
    """Column name to DuckDB type, in order; VARCHAR for every column of a CSV."""
    remarks: tuple[tuple[str, str], ...] = ()
    """Code and text of what was settled while opening."""


def read_source(
    source: SourceFiles, *, connection: duckdb.DuckDBPyConnection, on_bytes: Callable[[int], None]
) -> SourceTable:
    """Check every file's bytes and header, and return how to read them all as one table.

    Text files are read once from end to end, in flat memory, to know that they are UTF-8.

    Parameters
    ----------
    on_bytes : callable
        Called with the number of bytes checked since the last call.
    """
    if source.format == "parquet":
        return _described(f"read_parquet({_list(source.files)})", source, connection)
    for file in source.files:
        check_text(file, on_bytes=on_bytes)
    if source.format == "json":
        return _described(_json_relation(source.files), source, connection)
    return _csv_table(source.files)


def check_text(file: Path, *, on_bytes: Callable[[int], None]) -> None:
    """Raise `WrongEncoding` when the file is not UTF-8 text, naming line and byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = position = 0
    try:
        with opened(file) as content:
            while block := content.read(_BLOCK):
                if position == 0 and block[:2] in _UTF16:
                    raise WrongEncoding(f'"{file}" is UTF-16; save it as UTF-8', file=str(file), seen="UTF-16")
                _check_block(file, block, decoder=decoder, lines=lines, position=position)
                lines += block.count(b"\n")
                position += len(block)
                on_bytes(len(block))
        if decoder.getstate()[0]:
            place = f'"{file}", line {lines + 1}'
            raise WrongEncoding(f"{place}: the file ends in the middle of a character; it is cut off", file=str(file))
    except (EOFError, zlib.error, OSError) as error:
        raise BrokenFile(
            f'"{file}" cannot be read to its end: {_first_line(error)}; it may be cut off', file=str(file)
        ) from error


def _check_block(file: Path, block: bytes, *, decoder: codecs.IncrementalDecoder, lines: int, position: int) -> None:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(block)
        bad = block.find(b"\0")
        seen = "a null byte"
        hint = "it may be cut off, or not be a text file"
    except UnicodeDecodeError as error:
        bad = max(0, error.start - pending)
        seen = f"byte 0x{error.object[error.start]:02X}"
        hint = (
            "it looks like Latin-1 or Windows-1252; save it as UTF-8, for example with: iconv -f WINDOWS-1252 -t UTF-8"
        )
    if bad >= 0:
        line = lines + block.count(b"\n", 0, bad) + 1
        raise WrongEncoding(
            f'"{file}", line {line}: {seen} at position {position + bad + 1:,} is not UTF-8 text; {hint}',
            file=str(file),
            line=line,
            position=position + bad + 1,
        )


def _csv_table(files: Sequence[Path]) -> SourceTable:
    head, separator = _header(files[0])
    names, remarks = _named(head, files[0])
    for file in files[1:]:
        other, _ = _header(file, separator)
        if other != head:
            raise ColumnsDiffer(
                f'"{file}" has other columns than "{files[0]}" ({len(other)} and {len(head)}); '
                "files of one source must have the same header",
                file=str(file),
            )
    columns = ", ".join(f"{quoted_text(name)}: 'VARCHAR'" for name in names)
    relation = (
        f"read_csv({_list(files)}, auto_detect = false, header = true, strict_mode = true, "
        f"delim = {quoted_text(separator)}, quote = '\"', escape = '\"', columns = {{{columns}}})"
    )
    return SourceTable(relation, dict.fromkeys(names, "VARCHAR"), tuple(remarks))


def _header(file: Path, separator: str | None = None) -> tuple[list[str], str]:
    with opened(file) as content:
        text = content.read(_HEAD_BYTES).decode("utf-8-sig", errors="ignore")
    if not text.strip():
        raise NoRows(f'"{file}" holds only white space; expected a header and rows', file=str(file))
    found = separator or _separator_of(text)
    csv.field_size_limit(_HEAD_BYTES)
    head = next(csv.reader(io.StringIO(text, newline=""), delimiter=found), [])
    return [name.strip() for name in head], found


def _separator_of(text: str) -> str:
    """Return the separator that cuts the first lines into the most columns, equally often in each."""

    def columns(separator: str) -> tuple[bool, int]:
        reader = csv.reader(io.StringIO(text[:200_000], newline=""), delimiter=separator)
        widths = [len(row) for row, _ in zip(reader, range(20), strict=False) if row]
        whole = widths[:-1] if len(text) > 200_000 and len(widths) > 1 else widths
        return len(set(whole)) == 1 and whole[0] > 1, whole[0] if whole else 0

    return max(_SEPARATORS, key=columns)


def _named(head: list[str], file: Path) -> tuple[list[str], list[tuple[str, str]]]:
    _check_width(len(head), f'"{file}"')
    if all(_is_number(name) for name in head):
        raise NoHeader(
            f'"{file}", line 1: expected the names of the columns, found only numbers', file=str(file), line=1
        )
    return named_columns(head, f'"{file}", line 1')


def named_columns(head: Sequence[str], place: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the names of columns, with one for each that has none, and what is to be said about it.

    Raises
    ------
    TooManyColumns, DuplicateColumns
        At `place`.
    """
    _check_width(len(head), place)
    names = [name or f"unnamed_{number}" for number, name in enumerate(head, 1)]
    remarks = [
        ("data.unnamed-column", f"column {number} has no name; it is called unnamed_{number}")
        for number, name in enumerate(head, 1)
        if not name
    ]
    _check_unique(names, place)
    return names, remarks


def _check_width(columns: int, place: str) -> None:
    if columns > MAX_COLUMNS:
        raise TooManyColumns(
            f"{place} has {columns:,} columns; at most {MAX_COLUMNS:,} are allowed; leave out what no one needs",
            file=place,
            seen=columns,
        )


def _check_unique(names: Sequence[str], place: str) -> None:
    counts = Counter(name.casefold() for name in names)
    twice = [name for name in names if counts[name.casefold()] > 1]
    if twice:
        places = ", ".join(f'"{name}" (column {names.index(name) + 1})' for name in dict.fromkeys(twice[:5]))
        raise DuplicateColumns(
            f"{place}: {len(twice)} columns share their names: {places}; "
            "upper and lower case count as the same; rename them",
            file=place,
            columns=twice,
        )


def _json_relation(files: Sequence[Path]) -> str:
    array = any(file.name.removesuffix(".gz").endswith(".json") for file in files)
    form = "auto" if array else "newline_delimited"
    return (
        f"read_json({_list(files)}, format = '{form}', sample_size = -1, maximum_depth = 2, "
        "convert_strings_to_integers = false, dateformat = 'none', timestampformat = 'none')"
    )


def _described(relation: str, source: SourceFiles, connection: duckdb.DuckDBPyConnection) -> SourceTable:
    import duckdb

    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()  # noqa: S608
    except duckdb.Error as error:
        raise told_as_data_error(error, source) from error
    _check_width(len(rows), f'"{source.files[0]}"')
    _check_unique([str(row[0]) for row in rows], f'"{source.files[0]}"')
    return SourceTable(relation, {str(row[0]): str(row[1]) for row in rows})


def told_as_data_error(error: Exception, source: SourceFiles) -> DataError:
    """Return what a reader's error means, naming file and line and repeating no content of the row."""
    text = str(error)
    file = _named_file(text, source)
    line = _number(r"(?:CSV Error on Line:|[Ll]ine:?) (\d+)", text)
    if source.format == "json":
        line = _first_broken_json_line(Path(file)) or line
    place = f'"{file}"' + (f", line {line}" if line else "")
    kind: type[DataError] = BrokenRow
    widths = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if widths:
        hint = "correct the line, or quote the value that holds the separator"
        reason = f"{widths[2]} values where the header has {widths[1]} columns; {hint}"
    else:
        kind, reason = _reason_of(text, source)
    return kind(f"{place}: {reason}", file=file, line=line)


def _reason_of(text: str, source: SourceFiles) -> tuple[type[DataError], str]:
    known: tuple[tuple[str, type[DataError], str], ...] = (
        ("unterminated quote", BrokenRow, "a quote is not closed; correct the line"),
        ("state machine", BrokenRow, "lines end in different ways (CR LF and LF), or a quote is misplaced"),
        ("maximum line size", BrokenRow, "a line is longer than 2 MB; a quote may not be closed"),
        ("not utf-8", WrongEncoding, "this is not UTF-8 text"),
        ("permission denied", SourceUnreadable, "we may not read it"),
        ("malformed json", BrokenRow, "this is not one whole JSON object; correct the line"),
        ("json", BrokenFile, "this is not JSON with one object per line"),
    )
    for part, kind, reason in known:
        if part in text.lower() and (part != "json" or source.format == "json"):
            return kind, reason
    if source.format == "parquet":
        return BrokenFile, "it cannot be read as Parquet: it is damaged, cut off, or not what its name says"
    return (
        BrokenFile,
        f"it cannot be read as {source.format}: {text.splitlines()[0][:160] if text else 'unknown reason'}",
    )


def _first_broken_json_line(file: Path) -> int | None:
    """Return the first line that is no JSON object; DuckDB names the place where it gave up instead."""
    with opened(file) as content:
        for number, line in enumerate(content, 1):
            try:
                is_row = not line.strip() or isinstance(json.loads(line), dict)
            except ValueError:
                is_row = False
            if not is_row:
                return number
    return None


def _named_file(text: str, source: SourceFiles) -> str:
    return next((str(file) for file in source.files if str(file) in text), str(source.files[0]))


def _number(pattern: str, text: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) if found else None


def _list(files: Sequence[Path]) -> str:
    return "[" + ", ".join(quoted_text(_no_glob(file)) for file in files) + "]"


def _no_glob(file: Path) -> str:
    return re.sub(r"([*?\[])", r"[\1]", str(file))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:160]
