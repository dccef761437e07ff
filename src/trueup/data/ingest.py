"""How do a source's rows become a version of a table, with a report of what they mean?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.align.data_source import SheetSource
from trueup.data.duck import connect, quoted, quoted_text, rows_with_progress
from trueup.data.errors import NoRows, UnknownColumn
from trueup.data.incoming import Incoming, incoming_of
from trueup.data.meaning import Kind, Reading, ValueFacts, read_texts, read_typed, tell_values
from trueup.data.quality.checking import describe_results
from trueup.data.quality.gate import Gate, publish_results, refusal_of
from trueup.data.reading import SourceTable
from trueup.data.text_facts import count_texts
from trueup.kernel.errors import nearest_spelling
from trueup.lake.errors import told_as_lake_errors
from trueup.lake.quality_results import QualityResults
from trueup.lake.rehearsals import Notice

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from trueup.lake.staging import StagedTable, StagingFolder
    from trueup.lake.tables import Tables

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""
_CHECKED, _COUNTED, _WRITTEN = 0.1, 0.6, 0.95
_PER_QUERY = 400
_UNIQUE_NEAR = 0.9


@dataclass(frozen=True)
class Limits:
    """What an ingest may use."""

    memory_mb: int = 1024
    """For DuckDB; Arrow and Parquet buffers come on top."""
    threads: int = 2


@dataclass(frozen=True)
class ColumnReport:
    """One column as it was understood."""

    name: str
    kind: Kind
    stored: str
    """Type in the table, as Arrow names it."""
    missing: int
    distinct: int
    """Exact when it is 1 or every value differs, else within a few percent."""
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class IngestReport:
    """What came in."""

    table: str
    table_version: str
    """Such as ``applications@3``."""
    is_new: bool
    """False when the same rows were there already."""
    digest: str
    """Of the rows; independent of time and place."""
    source: str
    format: str
    files: int
    bytes: int
    rows: int
    duplicate_rows: int
    columns: tuple[ColumnReport, ...]
    notices: tuple[Notice, ...]
    """All findings, of columns and of the whole table."""
    quality: QualityResults | None = None
    """What the project's quality rules found; None without rules."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document."""
        return {**asdict(self), "quality": self.quality.as_json() if self.quality else None}


def ingest(
    source: str | SheetSource | Incoming,
    *,
    tables: Tables,
    name: str,
    as_of: int,
    case_id: Sequence[str] = (),
    base: Path | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
    gate: Gate | None = None,
) -> IngestReport:
    """Read a source and publish it as the next version of a table.

    All or nothing: until the last step the previous version is the latest, whatever happens. The same rows again make
    no new version. Memory does not grow with the file; types are found by looking at every value.

    Parameters
    ----------
    source : str, SheetSource or Incoming
        A file, folder, glob or ``file:`` URL; a sheet of a workbook; or rows ready to be opened, as a query on a
        database; see `incoming_of`.
    as_of : int
        The moment that counts as now (see `trueup.kernel.periods`): later dates are reported.
    case_id : sequence of str
        Columns that together name a case; duplicates and gaps in them are reported.
    base : Path, optional
        Folder that a relative source starts from.
    progress : callable, optional
        Called with (bytes done, bytes in all) often enough for a progress bar; an exception it raises stops the ingest.
    gate : Gate, optional
        Quality rules that the rows must keep before they are published.

    Raises
    ------
    RulesBroken
        When the rows break a rule that prevents their publication; the results are kept in the table's history.
    DataError
        When the source cannot be read; names file and line where there is one.
    LakeError
        When the table cannot be written.
    """
    incoming = incoming_of(source, base=base)
    said, found = incoming.said, incoming.found
    told = _Told(progress, max(1, found.total_bytes))
    used = limits or Limits()
    with tables.staging(name) as staging, _database(used, staging.folder, incoming) as connection:
        table = incoming.open_table(connection, landing=staging.folder / "landing", on_bytes=told.checked)
        _check_case_id(case_id, table.types, said)
        readings = _read_all(connection, table, told)
        staged = _write(connection, table, readings, staging, told)
        if staged.rows == 0:
            raise NoRows(f'"{said}" has a header but no rows; nothing was changed', source=said)
        told.share(_WRITTEN)
        values = _Values(connection, staged, [r.name for r in readings])
        columns = values.columns(readings, as_of=as_of)
        duplicates = values.duplicate_rows()
        notices = _table_notices(table, columns, duplicates, values.duplicate_ids(case_id), case_id)
        results = _judged(gate, staged, tables=tables, name=name, as_of=as_of, connection=connection, staging=staging)
        version = tables.publish(name, staged, note={"source": said, "format": found.format})
    quality = publish_results(results, version, tables) if results else None
    told.share(1.0)
    return IngestReport(
        table=name,
        table_version=version.id,
        is_new=version.is_new,
        digest=version.digest,
        source=said,
        format=found.format,
        files=len(found.files),
        bytes=found.total_bytes,
        rows=version.rows,
        duplicate_rows=duplicates,
        columns=columns,
        notices=notices,
        quality=quality,
    )


def describe(report: IngestReport) -> list[str]:
    """Return the report as lines for people."""
    kinds: dict[str, int] = {}
    for column in report.columns:
        kinds[column.kind] = kinds.get(column.kind, 0) + 1
    counted = ", ".join(
        f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    )
    state = "" if report.is_new else " (these rows were there already)"
    return [
        f"{report.table_version}: {report.rows:,} rows, {len(report.columns):,} columns from {report.source}{state}",
        f"columns: {counted}",
        *(f"  {notice.message}" for notice in report.notices),
        *(describe_results(report.quality) if report.quality else ()),
        f"rows digest {report.digest[:12]}",
    ]


def _judged(
    gate: Gate | None,
    staged: StagedTable,
    *,
    tables: Tables,
    name: str,
    as_of: int,
    connection: duckdb.DuckDBPyConnection,
    staging: StagingFolder,
) -> QualityResults | None:
    if gate is None or not gate.rules:
        return None
    spill = staging.folder / "quality"
    results = gate.judge(staged, tables=tables, name=name, as_of=as_of, connection=connection, spill=spill)
    if results.broken:
        tables.quality_of(name).record(results)
        raise refusal_of(results, tables.find(name))
    return results


class _Told:
    """Progress in bytes of the source: checking is the first tenth, counting half, writing the rest."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._seen = 0
        self._said = -1

    def checked(self, count: int) -> None:
        """Count bytes that were checked; a compressed file may have more of them than the disk."""
        self._seen = min(self._total, self._seen + count)
        self.share(_CHECKED * self._seen / self._total)

    def counted(self, share: float) -> None:
        """Tell the share of the values that were counted."""
        self.share(_CHECKED + (_COUNTED - _CHECKED) * share)

    def share(self, share: float) -> None:
        """Tell the share of the whole; it never goes back."""
        self._said = max(self._said, round(share * self._total))
        if self._progress is not None:
            self._progress(self._said, self._total)


@contextmanager
def _database(limits: Limits, folder: Path, source: Incoming) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb
    import pyarrow as pa

    connection = connect(memory_limit_mb=limits.memory_mb, threads=limits.threads, temp_directory=folder / "spill")
    try:
        yield connection
    except (duckdb.Error, pa.ArrowException) as error:
        if "No space left" in str(error) or "File too large" in str(error):
            with told_as_lake_errors(str(folder)):
                raise OSError("No space left on device") from error
        raise source.error_of(error) from error
    finally:
        connection.close()


def _check_case_id(case_id: Sequence[str], types: Mapping[str, str], source: str) -> None:
    for column in case_id:
        if column not in types:
            hint = nearest_spelling(column, types)
            raise UnknownColumn(
                f'case_id names the column "{column}", which "{source}" does not have{hint}',
                column=column,
                source=source,
            )


def _read_all(connection: duckdb.DuckDBPyConnection, table: SourceTable, told: _Told) -> list[Reading]:
    texts = [name for name, kind in table.types.items() if kind == "VARCHAR"]
    facts = count_texts(connection, table.relation, texts, on_share=told.counted) if texts else {}
    return [
        read_texts(name, facts[name]) if name in facts else read_typed(name, kind) for name, kind in table.types.items()
    ]


def _write(
    connection: duckdb.DuckDBPyConnection,
    table: SourceTable,
    readings: Sequence[Reading],
    staging: StagingFolder,
    told: _Told,
) -> StagedTable:
    total = max(1, int(rows_with_progress(connection, f"SELECT count(*) FROM {table.relation}", lambda _: None)[0][0]))  # noqa: S608
    chosen = ", ".join(f"{reading.sql} AS {quoted(reading.name)}" for reading in readings)
    batch_rows = max(1_024, min(65_536, 2_000_000 // len(readings)))
    stream: pa.RecordBatchReader = connection.sql(f"SELECT {chosen} FROM {table.relation}").to_arrow_reader(batch_rows)  # noqa: S608
    return staging.write(
        stream,
        stream.schema,
        on_rows=lambda rows: told.share(_COUNTED + (_WRITTEN - _COUNTED) * min(1.0, rows / total)),
    )


class _Values:
    """The stored values, asked once more where they wait to be published."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, staged: StagedTable, names: Sequence[str]) -> None:
        files = ", ".join(quoted_text(str(path)) for path in staged.files)
        self._connection = connection
        self._relation = f"read_parquet([{files}])"
        self._types = {field.name: str(field.type) for field in staged.schema}
        self._names = names
        self._rows = staged.rows

    def columns(self, readings: Sequence[Reading], *, as_of: int) -> tuple[ColumnReport, ...]:
        """Return the report of every column."""
        reports: list[ColumnReport] = []
        for start in range(0, len(readings), _PER_QUERY):
            group = readings[start : start + _PER_QUERY]
            asked = ", ".join(_value_sql(reading, as_of) for reading in group)
            row = self._ask(f"SELECT {asked} FROM {self._relation}")  # noqa: S608
            for i, reading in enumerate(group):
                facts = self._value_facts(reading, row[5 * i : 5 * i + 5])
                known = tell_values(reading, facts, as_of=as_of)
                stored, missing = self._types[reading.name], facts.rows - facts.present
                reports.append(ColumnReport(reading.name, known.kind, stored, missing, facts.distinct, known.notices))
        return tuple(reports)

    def duplicate_rows(self) -> int:
        """Return how many rows repeat an earlier one in every column, by a 64-bit hash."""
        columns = ", ".join(quoted(name) for name in self._names)
        key = f"hash({columns})"
        return int(self._ask(f"SELECT count(*) - count(DISTINCT {key}) FROM {self._relation}")[0])  # noqa: S608

    def duplicate_ids(self, case_id: Sequence[str]) -> tuple[int, int]:
        """Return how many rows repeat the id of an earlier one, and how many have none."""
        if not case_id:
            return 0, 0
        key = ", ".join(quoted(name) for name in case_id)
        absent = " OR ".join(f"{quoted(name)} IS NULL" for name in case_id)
        row = self._ask(
            f"SELECT count(*) FILTER (NOT ({absent})) - count(DISTINCT ({key})) FILTER (NOT ({absent})), "  # noqa: S608
            f"count(*) FILTER ({absent}) FROM {self._relation}"
        )
        return int(row[0]), int(row[1])

    def _value_facts(self, reading: Reading, row: Sequence[Any]) -> ValueFacts:
        present, near, constant, latest, future = row
        distinct = 1 if constant else min(int(near), int(present))
        unique = False
        if reading.kind != "date" and present > 1 and near >= _UNIQUE_NEAR * present:
            exact = self._ask(f"SELECT count(DISTINCT {quoted(reading.name)}) FROM {self._relation}")[0]  # noqa: S608
            distinct, unique = int(exact), int(exact) == present
        return ValueFacts(self._rows, int(present), distinct, unique, latest, int(future))

    def _ask(self, query: str) -> tuple[Any, ...]:
        answer = self._connection.execute(query).fetchone()
        return answer if answer is not None else ()


def _value_sql(reading: Reading, as_of: int) -> str:
    column = quoted(reading.name)
    asked = f"count({column}), approx_count_distinct({column}), coalesce(min({column}) = max({column}), false)"
    if reading.kind != "date":
        return f"{asked}, NULL, 0"
    moment = f"epoch_us({column})"
    return f"{asked}, max({moment}), count(*) FILTER ({moment} > {as_of})"


def _table_notices(
    table: SourceTable,
    columns: Sequence[ColumnReport],
    duplicates: int,
    ids: tuple[int, int],
    case_id: Sequence[str],
) -> tuple[Notice, ...]:
    notices = [Notice(code, text) for code, text in table.remarks]
    if duplicates:
        text = f"{duplicates:,} rows repeat an earlier row in every column; they were kept"
        notices.append(
            Notice("data.duplicate-rows", text if duplicates > 1 else text.replace("rows repeat", "row repeats"))
        )
    key = " and ".join(case_id)
    repeated, absent = ids
    if repeated:
        text = f"{key}: {repeated:,} rows repeat the id of an earlier row; an id must name one case"
        notices.append(Notice("data.duplicate-ids", text, key))
    if absent:
        notices.append(Notice("data.missing-ids", f"{key}: {absent:,} rows have no id", key))
    for column in columns:
        notices.extend(column.notices)
    return tuple(notices)
