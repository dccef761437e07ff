"""Which rows are to be predicted? A file or a table of any size, a part at a time, each row as it came."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.kernel.errors import TrueupError

if TYPE_CHECKING:
    import pyarrow as pa

PART_ROWS = 20_000
FORMATS = (".parquet", ".csv", ".jsonl")


class CannotPredict(TrueupError):
    """The rows cannot be read, or the answers cannot be written as asked."""

    code = "loop.cannot-predict"


@dataclass(frozen=True)
class Part:
    """Some rows in their order."""

    first_row: int
    """Position of the first one in the whole."""
    rows: pa.RecordBatch | tuple[bytes, ...]
    """Columns, all text where the file is CSV; or lines of JSON."""
    unreadable: tuple[int, ...] = ()
    """Positions among these rows of lines that are no rows; nothing is known in them."""


@dataclass
class Source:
    """Files of one format, read one after the other."""

    files: Sequence[Path]
    total: int | None = None
    """Rows, where that is known beforehand."""
    unreadable: int = 0
    """Lines of CSV that are no rows at all, such as one with too many commas; counted while reading."""
    first_unreadable: str | None = None
    """Which is the first of these, and what is wrong with it."""
    columns: tuple[str, ...] | None = None
    """Names of the columns; None where each row says its own."""
    _kind: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._kind = self.files[0].suffix.lower()
        if self._kind not in FORMATS:
            raise CannotPredict(
                f'"{self.files[0].name}" is none of {", ".join(FORMATS)}; give such a file, or the name of a table',
                path=str(self.files[0]),
            )
        if self._kind == ".parquet":
            self._look()

    def parts(self) -> Iterator[Part]:
        """Yield all rows.

        Raises
        ------
        CannotPredict
            A file is damaged, or not what its name says.
        """
        import pyarrow as pa

        first = 0
        read = {".parquet": self._parquet, ".csv": self._csv, ".jsonl": _lines}[self._kind]
        for file in self.files:
            try:
                for rows, unreadable in read(file):
                    yield Part(first, rows, unreadable)
                    first += len(rows)
            except (pa.ArrowInvalid, OSError) as error:
                raise CannotPredict(
                    f"{file.name} cannot be read as {self._kind[1:]} after {first:,} rows; nothing was written",
                    path=str(file),
                ) from error

    def digest(self) -> str:
        """Return the SHA-256 over the content of all files.

        Raises
        ------
        CannotPredict
        """
        found = hashlib.sha256()
        for file in self.files:
            try:
                with file.open("rb") as content:
                    while piece := content.read(1 << 20):
                        found.update(piece)
            except OSError as error:
                raise CannotPredict(f"{file.name} cannot be read: {error.strerror}", path=str(file)) from error
        return found.hexdigest()

    def _look(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.total = 0
        for file in self.files:
            try:
                with pq.ParquetFile(file) as opened:
                    self.total += opened.metadata.num_rows
                    self.columns = tuple(opened.schema_arrow.names)
            except (pa.ArrowInvalid, OSError) as error:
                raise CannotPredict(f"{file.name} cannot be read as parquet", path=str(file)) from error

    def _parquet(self, file: Path) -> Iterator[tuple[pa.RecordBatch, tuple[int, ...]]]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(file) as opened:
            for group in range(opened.num_row_groups):  # over all groups at once, the reader keeps what it has read
                batches = opened.iter_batches(PART_ROWS, row_groups=[group], use_threads=False)
                yield from ((batch, ()) for batch in batches if batch.num_rows)

    def _csv(self, file: Path) -> Iterator[tuple[pa.RecordBatch, tuple[int, ...]]]:
        import pyarrow as pa
        from pyarrow import csv

        alone = csv.ReadOptions(use_threads=False)  # so that lines which are no rows have their numbers
        with file.open("rb") as opened:
            skipping = csv.ParseOptions(invalid_row_handler=lambda row: "skip", newlines_in_values=True)
            names = csv.open_csv(opened, read_options=alone, parse_options=skipping).schema.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise CannotPredict(f'{file.name} has the column "{twice[0]}" more than once', path=str(file))
        self.columns = tuple(names)
        skipped = deque[int]()

        def skip(row: Any) -> str:
            skipped.append(row.number - 2)
            self._note(file, row)
            return "skip"

        parsing = csv.ParseOptions(invalid_row_handler=skip, newlines_in_values=True)
        texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        first = 0
        with file.open("rb") as opened:
            reader = csv.open_csv(opened, read_options=alone, parse_options=parsing, convert_options=texts)
            for batch in reader:
                for start in range(0, batch.num_rows, PART_ROWS):
                    made = _with_gaps(batch.slice(start, PART_ROWS), skipped, first)
                    yield made
                    first += len(made[0])
            if skipped:  # no row is behind them
                nothing = pa.RecordBatch.from_pylist([], schema=reader.schema)
                yield _with_gaps(nothing, skipped, first)

    def _note(self, file: Path, row: Any) -> None:
        self.unreadable += 1
        if self.first_unreadable is None:
            seen, wanted = row.actual_columns, row.expected_columns
            self.first_unreadable = f"row {row.number - 1:,} of {file.name} with {seen} values instead of {wanted}"


def _with_gaps(rows: pa.RecordBatch, skipped: deque[int], first: int) -> tuple[pa.RecordBatch, tuple[int, ...]]:
    """Return rows with an empty one at the place of each that was skipped before or right behind them.

    `skipped` are positions in the file, the first ones first, and those that are put in are taken out; `first` is that
    of the first row.
    """
    import pyarrow as pa

    taken: list[int | None] = []
    gaps: list[int] = []
    at = 0
    while at < rows.num_rows or (skipped and skipped[0] == first + len(taken)):
        if skipped and skipped[0] == first + len(taken):
            skipped.popleft()
            gaps.append(len(taken))
            taken.append(None)
        else:
            taken.append(at)
            at += 1
    if not gaps:
        return rows, ()
    return rows.take(pa.array(taken, pa.int64())), tuple(gaps)


def _lines(file: Path) -> Iterator[tuple[tuple[bytes, ...], tuple[int, ...]]]:
    waiting: list[bytes] = []
    with file.open("rb") as lines:
        for line in lines:
            if line.strip():
                waiting.append(line)
            if len(waiting) == PART_ROWS:
                yield tuple(waiting), ()
                waiting = []
    if waiting:
        yield tuple(waiting), ()
