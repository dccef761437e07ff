"""What does a bundle answer for the rows of a file? In batches; the result appears whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from trueup.bundle.errors import BundleError, RowBreaksSchema
from trueup.bundle.kept_columns import kept_table, kept_types
from trueup.bundle.loading import LoadedBundle
from trueup.bundle.manifest import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

Answers: TypeAlias = "pa.Table | list[dict[str, Any]]"
FORMATS = (".jsonl", ".csv", ".parquet")
BATCH_ROWS = 20_000


class CannotScore(BundleError):
    """The file of rows cannot be read, or the file of answers cannot be in this format."""

    code = "bundle.cannot-score"


def score_file(bundle: LoadedBundle, source: Path, *, into: Path) -> int:
    """Answer every row of a file, in order, and return how many there were.

    An answer has every column of its row that is no feature, such as its id, then ``score`` (for regression
    ``prediction``, for several classes one ``score_<class>`` each); empty where the model refuses the row. In CSV and
    Parquet keys that only some rows have are columns too, and values of several types are JSON text.

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
        Rows lack a feature or hold a value that cannot be read; nothing is written.
    """
    for path in (source, into):
        if path.suffix.lower() not in FORMATS:
            raise CannotScore(f'"{path.name}" is none of {", ".join(FORMATS)}', path=str(path))
    if source.resolve() == into.resolve():
        raise CannotScore(f'"{into.name}" holds the rows; name another file for the answers', path=str(into))
    made = into.with_name(f".{into.name}.partial")
    try:
        answers = _answers(bundle, source, as_rows=into.suffix.lower() == ".jsonl")
        rows = _write(answers, made)
        made.replace(into)
    finally:
        made.unlink(missing_ok=True)
    return rows


def score_columns(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the columns that answers have."""
    if manifest.task == "regression":
        return ("prediction",)
    return ("score",) if manifest.task == "binary" else tuple(f"score_{name}" for name in manifest.classes)


def _answers(bundle: LoadedBundle, source: Path, *, as_rows: bool) -> Iterator[Answers]:
    """Yield what is kept of each row beside its answer; rows of JSON lines as they came where `as_rows`."""
    names = {feature.name for feature in bundle.manifest.features}
    columns = score_columns(bundle.manifest)
    if source.suffix.lower() != ".jsonl":
        for table in _tables(source, bundle.manifest):
            others = [name for name in table.column_names if name not in names]
            _refuse_clash(others, columns, source)
            scores = bundle.score_table(table).reshape(table.num_rows, len(columns))
            yield _with_scores(table.select(others), columns, scores.T.tolist())
        return
    types = {} if as_rows else kept_types(row for rows in _json_batches(source) for row in _others(rows, names))
    for rows in _json_batches(source):
        others_of = _others(rows, names)
        _refuse_clash({name for row in others_of for name in row}, columns, source)
        outputs = [output or (None,) * len(columns) for output in bundle.score_rows(rows)]
        if as_rows:
            yield [kept | dict(zip(columns, out, strict=True)) for kept, out in zip(others_of, outputs, strict=True)]
        else:
            yield _with_scores(kept_table(others_of, types), columns, zip(*outputs, strict=True))


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
        kept = kept.append_column(name, pa.array(values, pa.float64()))
    return kept


def _json_batches(source: Path) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    with source.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            rows.append(_json_row(line, number))
            if len(rows) == BATCH_ROWS:
                yield rows
                rows = []
    if rows:
        yield rows


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


def _tables(source: Path, manifest: Manifest) -> Iterator[pa.Table]:
    import pyarrow as pa

    try:
        for batch in _parquet(source) if source.suffix.lower() == ".parquet" else _csv(source, manifest):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise CannotScore(
            f"{source.name} cannot be read as {source.suffix[1:]}; see that every feature is a column of its kind",
            path=str(source),
        ) from error


def _parquet(source: Path) -> Iterable[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS)


def _csv(source: Path, manifest: Manifest) -> Iterable[pa.RecordBatch]:
    """Yield batches with features as their kind says, and every other column as the text it is."""
    import pyarrow as pa
    from pyarrow import csv

    types = {"number": pa.float64(), "boolean": pa.string(), "category": pa.string(), "text": pa.string()}
    wanted = {f.name: types[f.kind] for f in manifest.features if f.kind in types}
    wanted |= {f.name: pa.timestamp("us") for f in manifest.features if f.kind == "date"}
    with source.open("rb") as file:
        named = csv.open_csv(file).schema.names
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise CannotScore(f'{source.name} has the column "{twice[0]}" more than once', path=str(source))
    texts = [name for name in named if wanted.get(name) == pa.string()]
    options = csv.ConvertOptions(column_types={name: wanted.get(name, pa.string()) for name in named})
    with source.open("rb") as file:
        for batch in csv.open_csv(file, convert_options=options):
            yield _without_blanks(batch, texts)


def _without_blanks(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Return a batch in which an empty cell of a text feature, or a word for nothing, is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    nothing = pa.array(csv.ConvertOptions().null_values, pa.string())
    for name in names:
        place = batch.schema.get_field_index(name)
        column = batch.column(place)
        kept = pc.if_else(pc.is_in(column, value_set=nothing), pa.scalar(None, pa.string()), column)
        batch = batch.set_column(place, name, kept)
    return batch


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
