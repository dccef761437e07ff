"""Which files does a source name, and of what format?"""

from __future__ import annotations

import glob
import gzip
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from trueup.data.errors import EmptyFile, SourceMissing, SourceUnreadable, UnsupportedSource
from trueup.kernel.errors import nearest_spelling
from trueup.lake.store import folder_of

Format = Literal["csv", "parquet", "json", "excel", "postgresql", "sqlite"]
_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".xlsx": "excel",
    ".xlsm": "excel",
    ".xls": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
}


@dataclass(frozen=True)
class SourceFiles:
    """The files of a source, sorted by name, all of one format; a query on a database has none."""

    format: Format
    files: tuple[Path, ...]
    total_bytes: int
    """As on the disk, so compressed where the files are."""


def find_files(source: str, *, base: Path | None = None) -> SourceFiles:
    """Return the files that a source names.

    Parameters
    ----------
    source : str
        A file, a folder (every file of a known ending directly in it), a glob such as ``data/2024-*.csv``, or a
        ``file:`` URL. Text files may be compressed (``.gz``).
    base : Path, optional
        Folder that relative paths start from; the current one by default.

    Raises
    ------
    SourceMissing, EmptyFile, SourceUnreadable
        When nothing is there, when a file has no content, when it may not be opened.
    UnsupportedSource
        For other URLs, unknown endings, and formats mixed in one source.
    """
    if "://" in source and not source.startswith("file:"):
        raise UnsupportedSource(
            f'the source "{source}" is not a local file; fetch it first, then name a file, a folder or a glob',
            seen=source,
        )
    path = (base or Path.cwd()) / folder_of(source)
    try:
        files = _matching(source, path)
    except OSError as error:
        raise SourceUnreadable(f'the source "{source}" cannot be read: {error.strerror}', seen=source) from error
    formats = Counter(_format_of(file) for file in files)
    if len(formats) > 1:
        seen = ", ".join(f"{count} {name}" for name, count in sorted(formats.items()))
        raise UnsupportedSource(
            f'the source "{source}" mixes formats ({seen}); name files of one format, such as "{source}/*.csv"',
            seen=seen,
        )
    sizes = [_size_of(file) for file in files]
    return SourceFiles(next(iter(formats)), files, sum(sizes))


def opened(path: Path) -> BinaryIO:
    """Return the file's content as a stream, decompressed where its name ends in ``.gz``."""
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _matching(source: str, path: Path) -> tuple[Path, ...]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file() and _ending_of(file) in _ENDINGS)
        if not files:
            raise SourceMissing(
                f'the folder "{source}" has no file that ends in {", ".join(_ENDINGS)}; name the file, or use a glob',
                seen=source,
            )
        return tuple(files)
    if path.is_file():
        return (path,)
    if glob.has_magic(str(path)):
        found = glob.glob(str(path), recursive=True)  # noqa: PTH207  # the pattern may be absolute
        files = sorted(file for file in map(Path, found) if file.is_file())
        if not files:
            raise SourceMissing(f'no file matches "{source}"; check the pattern and the folder', seen=source)
        return tuple(files)
    if path.exists():
        raise UnsupportedSource(f'the source "{source}" is neither a file nor a folder', seen=source)
    siblings = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    raise SourceMissing(f'there is no file "{source}"{nearest_spelling(path.name, siblings)}', seen=source)


def _ending_of(file: Path) -> str:
    name = file.name.removesuffix(".gz").lower()
    return os.path.splitext(name)[1]  # noqa: PTH122  # of the name without .gz


def _format_of(file: Path) -> Format:
    known = _ENDINGS.get(_ending_of(file))
    if known is None:
        raise UnsupportedSource(
            f'"{file.name}" has an ending we do not know; allowed are {", ".join(_ENDINGS)}, and .gz after a text one',
            file=str(file),
        )
    return known


def _size_of(file: Path) -> int:
    try:
        with file.open("rb") as content:
            empty = not content.read(1)
    except OSError as error:
        raise SourceUnreadable(f'"{file}" cannot be read: {error.strerror}', file=str(file)) from error
    if empty:
        raise EmptyFile(f'"{file}" is empty; expected a table with a header and rows', file=str(file))
    return file.stat().st_size
