"""What does a bundle answer for the rows of a file? In batches; the result appears whole or not at all."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.errors import BundleError, ModelFailed, RowBreaksSchema
from trueup.bundle.golden import Output, requests_of
from trueup.bundle.kept_columns import kept_table, kept_types
from trueup.bundle.loading import LoadedBundle
from trueup.bundle.manifest import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

Answers: TypeAlias = "pa.Table | list[dict[str, Any]]"
FORMATS = (".jsonl", ".csv", ".parquet")
BATCH_ROWS = 20_000
_PLACE = re.compile(r"row \d+")


class CannotScore(BundleError):
    """The file of rows cannot be read, or the file of answers cannot be in this format."""

    code = "bundle.cannot-score"


@dataclass
class Answered:
    """How many rows of a file were answered."""

    rows: int = 0
    unread: int = 0
    """Rows that lack a feature or hold a value of another kind, and so have no answer."""
    first_unread: str = ""
    """The first of them: its line, its column, and what is wrong, without the value."""

    def note_unread(self, line: int, error: RowBreaksSchema) -> None:
        """Count a row that could not be read."""
        self.unread += 1
        self.first_unread = self.first_unread or _PLACE.sub(f"line {line}", error.message, count=1)


def score_file(bundle: LoadedBundle, source: Path, *, into: Path) -> Answered:
    """Answer every row of a file, in order, and return how many there were.

    An answer has every column of its row that is no feature, such as its id, then ``score`` (for regression
    ``prediction``, for several classes one ``score_<class>`` each); empty where the model refuses the row, and where it
    cannot be read. In CSV and Parquet keys that only some rows have are columns too, and values of several types are
    JSON text.

    Parameters
    ----------
    bundle : LoadedBundle
    source : Path
        ``.jsonl``, ``.csv`` or ``.parquet`` with a column for each feature.
    into : Path
        In one of the same formats.

    Raises
    ------
    CannotScore
        A format is another, or the file cannot be read as what its name says.
    RowBreaksSchema, FeatureMissing
        No row can be read, a line is no JSON object, or the file lacks a feature; nothing is written.
    """
    check_files(source, into)
    made = into.with_name(f".{into.name}.partial")
    try:
        answered = Answered()
        answers = _answers(bundle, source, answered, as_rows=into.suffix.lower() == ".jsonl")
        answered.rows = _write(answers, made)
        if answered.unread == answered.rows:
            raise RowBreaksSchema(
                f"no row of {source.name} can be read; {answered.first_unread}", rows=answered.rows, path=str(source)
            )
        made.replace(into)
    finally:
        made.unlink(missing_ok=True)
    return answered


def check_files(source: Path, into: Path) -> None:
    """Raise where rows cannot be read, or answers written; nothing is read yet.

    Raises
    ------
    CannotScore
        Says which file, and why.
    """
    for path in (source, into):
        if path.suffix.lower() not in FORMATS:
            raise CannotScore(f'"{path.name}" is none of {", ".join(FORMATS)}', path=str(path))
    if not source.is_file():
        raise CannotScore(f"there is no file of rows {source}", path=str(source))
    if into.is_dir() or not into.resolve().parent.is_dir():
        raise CannotScore(f"{into} is no file that can be written; name one in a folder that is there", path=str(into))
    if source.resolve() == into.resolve():
        raise CannotScore(f'"{into.name}" holds the rows; name another file for the answers', path=str(into))


def score_columns(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the columns that answers have."""
    if manifest.task == "regression":
        return ("prediction",)
    return ("score",) if manifest.task == "binary" else tuple(f"score_{name}" for name in manifest.classes)


def _answers(bundle: LoadedBundle, source: Path, answered: Answered, *, as_rows: bool) -> Iterator[Answers]:
    """Yield what is kept of each row beside its answer; rows of JSON lines as they came where `as_rows`."""
    names = {feature.name for feature in bundle.manifest.features}
    columns = score_columns(bundle.manifest)
    if source.suffix.lower() != ".jsonl":
        for table in _tables(source, bundle.manifest, answered):
            others = [name for name in table.table.column_names if name not in names]
            _refuse_clash(others, columns, source)
            scores = _table_scores(bundle, table.table).reshape(table.table.num_rows, len(columns))
            scores[table.unread] = math.nan
            yield _with_scores(table.table.select(others), columns, scores.T.tolist())
        return
    types = {} if as_rows else kept_types(row for _, rows in _json_batches(source) for row in _others(rows, names))
    for lines, rows in _json_batches(source):
        others_of = _others(rows, names)
        _refuse_clash({name for row in others_of for name in row}, columns, source)
        outputs = [output or (None,) * len(columns) for output in _row_outputs(bundle, rows, lines, answered)]
        if as_rows:
            yield [kept | dict(zip(columns, out, strict=True)) for kept, out in zip(others_of, outputs, strict=True)]
        else:
            yield _with_scores(kept_table(others_of, types), columns, zip(*outputs, strict=True))


def _table_scores(bundle: LoadedBundle, table: pa.Table) -> NDArray[np.float64]:
    """Return scores, NaN for rows that the model refuses; where it raises for the whole table, it is asked by rows."""
    try:
        return np.array(bundle.score_table(table))
    except ModelFailed:
        outputs = bundle.answering.score_requests(requests_of(table, bundle.manifest.features))
        width = len(score_columns(bundle.manifest))
        return np.array([(math.nan,) * width if output is None else output for output in outputs])


def _row_outputs(
    bundle: LoadedBundle, rows: Sequence[dict[str, Any]], lines: Sequence[int], answered: Answered
) -> list[Output]:
    """Return one output for each row; None where the model refuses it, or where it cannot be read: found by halving."""
    try:
        return bundle.score_rows(rows)
    except RowBreaksSchema as error:
        if len(rows) == 1:
            answered.note_unread(lines[0], error)
            return [None]
    middle = len(rows) // 2
    before = _row_outputs(bundle, rows[:middle], lines[:middle], answered)
    return before + _row_outputs(bundle, rows[middle:], lines[middle:], answered)


def _others(rows: Iterable[dict[str, Any]], features: Collection[str]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in features} for row in rows]


def _refuse_clash(others: Iterable[str], columns: Sequence[str], source: Path) -> None:
    clash = sorted(set(others) & set(columns))
    if clash:
        raise CannotScore(
            f'{source.name} has a column "{clash[0]}", and so have the answers; rename it first', path=str(source)
        )


def _with_scores(kept: pa.Table, columns: Sequence[str], scores: Iterable[Sequence[float | None]]) -> pa.Table:
    import pyarrow as pa

    for name, column in zip(columns, scores, strict=True):
        values = [None if value is None or math.isnan(value) else value for value in column]
        scored = pa.array(values, pa.float64())
        kept = kept.append_column(name, scored) if kept.num_columns else pa.table({name: scored})
    return kept


def _json_batches(source: Path) -> Iterator[tuple[list[int], list[dict[str, Any]]]]:
    """Yield rows with their lines, counted from 1."""
    with source.open("rb") as lines:
        there = ((number, _json_row(line, number)) for number, line in enumerate(lines, start=1) if line.strip())
        while batch := list(itertools.islice(there, BATCH_ROWS)):
            yield [number for number, _ in batch], [row for _, row in batch]


def _json_row(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise RowBreaksSchema(f"line {number} is no JSON object", line=number) from error
    if not isinstance(row, dict):
        raise RowBreaksSchema(f"line {number} is no JSON object", line=number)
    return row


def _no_number(text: str) -> float:
    raise ValueError(text)


@dataclass(frozen=True)
class _Batch:
    """Rows of a table, and the positions of those that could not be read."""

    table: pa.Table
    unread: list[int]


def _tables(source: Path, manifest: Manifest, answered: Answered) -> Iterator[_Batch]:
    import pyarrow as pa

    reads_csv = source.suffix.lower() != ".parquet"
    line = 2  # below the header, as a spreadsheet counts
    try:
        for batch in _csv(source) if reads_csv else _parquet(source):
            if not batch.num_rows:
                continue
            table = pa.Table.from_batches([batch])
            yield _typed(table, manifest, line, answered) if reads_csv else _Batch(table, [])
            line += batch.num_rows
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise CannotScore(
            f"{source.name} cannot be read as {source.suffix[1:]}; see that every line has as many cells as the header"
            if reads_csv
            else f"{source.name} cannot be read as {source.suffix[1:]}",
            path=str(source),
        ) from error


def _parquet(source: Path) -> Iterable[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS)


def _csv(source: Path) -> Iterable[pa.RecordBatch]:
    """Yield batches in which every cell is the text it is."""
    import pyarrow as pa
    from pyarrow import csv

    with source.open("rb") as file:
        named = csv.open_csv(file).schema.names
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise CannotScore(f'{source.name} has the column "{twice[0]}" more than once', path=str(source))
    options = csv.ConvertOptions(column_types=dict.fromkeys(named, pa.string()))
    with source.open("rb") as file:
        yield from csv.open_csv(file, convert_options=options)


def _typed(table: pa.Table, manifest: Manifest, first_line: int, answered: Answered) -> _Batch:
    """Return rows of a CSV with features as their kind says; a cell that is none is missing, and its row unread."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    nothing = pa.array(csv.ConvertOptions().null_values, pa.string())
    unread: dict[int, RowBreaksSchema] = {}
    for feature in manifest.features:
        place = table.schema.get_field_index(feature.name)
        if place < 0:
            continue
        text = table.column(place)
        text = pc.if_else(pc.is_in(text, value_set=nothing), pa.scalar(None, pa.string()), text)
        kind = {"number": pa.float64(), "date": pa.timestamp("us")}.get(feature.kind)
        if kind is not None:
            text, wrong = _cast(pc.utf8_trim_whitespace(text), kind)
            message = f'row 0: "{feature.name}" must be a {feature.kind} or empty'
            unread = {position: RowBreaksSchema(message) for position in wrong} | unread
        table = table.set_column(place, feature.name, text)
    for position, error in sorted(unread.items()):
        answered.note_unread(first_line + position, error)
    return _Batch(table, sorted(unread))


def _cast(text: pa.ChunkedArray, kind: pa.DataType) -> tuple[pa.ChunkedArray, list[int]]:
    """Return texts as values of a type, and the positions of those that are none."""
    import pyarrow as pa

    try:
        return text.cast(kind), []
    except pa.ArrowInvalid:
        values, wrong = [], []
        for position, cell in enumerate(text):
            try:
                values.append(cell.cast(kind))
            except pa.ArrowInvalid:
                values.append(pa.scalar(None, kind))
                wrong.append(position)
        return pa.chunked_array([pa.array(values, kind)]), wrong


def _write(answers: Iterable[Answers], path: Path) -> int:
    import pyarrow as pa

    writer: Any = None
    rows = 0
    kind = path.name.removesuffix(".partial")
    try:
        for part in answers:
            rows += len(part)
            if kind.endswith(".jsonl"):
                told = part if isinstance(part, list) else part.to_pylist()
                _append_json(path, told, first=rows == len(part))
                continue
            writer = writer or _writer(path, part, parquet=kind.endswith(".parquet"))
            writer.write_table(part)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise CannotScore(
            f"the answers cannot be written as {kind.rpartition('.')[2]}: a column beside the features holds lists or "
            "records; write .jsonl or .parquet"
        ) from error
    finally:
        if writer is not None:
            writer.close()
    if rows == 0:
        raise CannotScore("the file of rows holds none")
    return rows


def _writer(path: Path, table: pa.Table, *, parquet: bool) -> Any:
    import pyarrow.parquet as pq
    from pyarrow import csv

    return pq.ParquetWriter(path, table.schema) if parquet else csv.CSVWriter(path, table.schema)


def _append_json(path: Path, rows: Sequence[dict[str, Any]], *, first: bool) -> None:
    with path.open("w" if first else "a", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
