"""What does a bundle answer for the rows of a file? In batches; the result appears whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.bundle.errors import BundleError, RowBreaksSchema
from trueup.bundle.loading import LoadedBundle
from trueup.bundle.manifest import Manifest

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = (".jsonl", ".csv", ".parquet")
BATCH_ROWS = 20_000


class CannotScore(BundleError):
    """The file of rows cannot be read, or the file of answers cannot be in this format."""

    code = "bundle.cannot-score"


def score_file(bundle: LoadedBundle, source: Path, *, into: Path) -> int:
    """Answer every row of a file, in order, and return how many there were.

    An answer has every column of its row that is no feature, such as its id, then ``score`` (for regression
    ``prediction``, for several classes one ``score_<class>`` each); empty where the model refuses the row.

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
    made = into.with_name(f".{into.name}.partial")
    try:
        rows = _write(_answers(bundle, source), made)
        made.replace(into)
    finally:
        made.unlink(missing_ok=True)
    return rows


def score_columns(manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the columns that answers have."""
    if manifest.task == "regression":
        return ("prediction",)
    return ("score",) if manifest.task == "binary" else tuple(f"score_{name}" for name in manifest.classes)


def _answers(bundle: LoadedBundle, source: Path) -> Iterator[pa.Table]:
    import pyarrow as pa

    names = {feature.name for feature in bundle.manifest.features}
    columns = score_columns(bundle.manifest)
    if source.suffix.lower() == ".jsonl":
        for rows in _json_batches(source):
            outputs = bundle.score_rows(rows)
            kept = [{k: v for k, v in row.items() if k not in names} for row in rows]
            scores = [dict(zip(columns, out or (None,) * len(columns), strict=True)) for out in outputs]
            yield pa.Table.from_pylist([k | s for k, s in zip(kept, scores, strict=True)])
        return
    for table in _tables(source, bundle.manifest):
        scored = bundle.score_table(table).reshape(table.num_rows, len(columns))
        kept_table = table.drop_columns([name for name in table.column_names if name in names])
        for name, column in zip(columns, scored.T, strict=True):
            values = [None if math.isnan(value) else value for value in column.tolist()]
            kept_table = kept_table.append_column(name, pa.array(values, pa.float64()))
        yield kept_table


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
    options = csv.ConvertOptions(
        column_types={name: wanted.get(name, pa.string()) for name in named}, strings_can_be_null=True
    )
    with source.open("rb") as file:
        yield from csv.open_csv(file, convert_options=options)


def _write(tables: Iterable[pa.Table], path: Path) -> int:
    writer: Any = None
    rows = 0
    kind = path.name.removesuffix(".partial")
    try:
        for table in tables:
            rows += table.num_rows
            if kind.endswith(".jsonl"):
                _append_json(path, table.to_pylist(), first=rows == table.num_rows)
                continue
            writer = writer or _writer(path, table, parquet=kind.endswith(".parquet"))
            writer.write_table(table)
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
