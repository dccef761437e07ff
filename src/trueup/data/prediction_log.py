"""What did production decide, and what came of it? The prediction log as relations, as it was known at a moment.

Files are those of the manifest, read as far as one entry: a replay that reads as far sees the same records.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.data.duck import connect, quoted, quoted_text
from trueup.lake.desired_state import ServerStatus
from trueup.lake.errors import KeyMissing
from trueup.lake.feature_schemas import KEY_COLUMNS, read_schema
from trueup.lake.folder_store import FolderStore
from trueup.lake.log_manifest import LoggedFile, LogManifest
from trueup.lake.log_records import BATCH
from trueup.lake.log_tables import COLUMNS, ID_OF
from trueup.lake.store import Store

if TYPE_CHECKING:
    import duckdb

_SQL_TYPES = {
    "text": "VARCHAR",
    "whole": "BIGINT",
    "number": "DOUBLE",
    "numbers": "DOUBLE[]",
    "flag": "BOOLEAN",
    "moment": "TIMESTAMP",
    "bytes": "BLOB",
}
_FEATURE_TYPES = {"number": "DOUBLE", "boolean": "BOOLEAN", "date": "TIMESTAMP", "moment": "TIMESTAMP"}
FACT_TABLES = tuple(table for table, name in ID_OF.items() if name == "fact_id")
_OF_SENDING = frozenset({"fact_id", "known_at", "recorded_at", "caller"})
IS_BATCH = f"starts_with(caller, {quoted_text(BATCH)})"
"""In SQL, of a prediction: a batch run decided it."""
_KEY_KINDS = dict(zip(KEY_COLUMNS, ("text", "text", "text", "moment", "bytes", "text"), strict=True))


@dataclass(frozen=True)
class PredictionLog:
    """The log of one project in a database, with the relations below.

    ``predictions``: rows decided by `as_of`; the first recorded decision of a caller's id for a case stands, a retry
    counts once. Shadows are among them. ``outcomes``, ``interventions``, ``verdicts``, ``events``: facts known and
    recorded by `as_of`, the first of each id; all of them are in ``recorded_outcomes`` and so on. ``features``: the
    features as served, one row for each prediction, united by name over all schemas. ``cases``: one row for each case,
    with its latest decision, outcome and intervention. Moments are UTC, without a zone.
    """

    database: duckdb.DuckDBPyConnection
    position: int
    """Number of the last manifest entry that was read; a replay passes it as `until`."""
    as_of: int | None

    def count(self, relation: str, condition: str = "true") -> int:
        """Return how many rows of a relation meet a condition in SQL."""
        query = f"SELECT count(*) FROM {quoted(relation)} WHERE {condition}"  # noqa: S608  # our own text
        found = self.database.execute(query).fetchall()
        return int(found[0][0])

    def rows(self, relation: str, condition: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows of a relation that meet a condition in SQL, by column; its ``$1`` is the first value."""
        query = f"SELECT * FROM {quoted(relation)} WHERE {condition}"  # noqa: S608  # our own text
        found = self.database.execute(query, list(values))
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def export(self, relation: str, out: Path, *, as_csv: bool) -> int:
        """Write a relation into a file, Parquet or CSV with a header, and return how many rows it has."""
        form = "FORMAT csv, HEADER" if as_csv else "FORMAT parquet"
        self.database.execute(f"COPY (SELECT * FROM {quoted(relation)}) TO {quoted_text(str(out))} ({form})")  # noqa: S608
        return self.count(relation)

    def contradicting_facts(self) -> dict[str, tuple[str, ...]]:
        """Return the ids under which facts say different things, by table, sorted; only the first of each counts.

        Who sent a fact and when does not matter, nor a time of knowing that is only when it was recorded.
        """
        found = {}
        for table in FACT_TABLES:
            said = [name for name in COLUMNS[table] if name not in _OF_SENDING]
            told = ", ".join([*map(quoted, said), "date_trunc('millisecond', nullif(known_at, recorded_at))"])
            query = (
                f"SELECT fact_id FROM {quoted(f'recorded_{table}')} "  # noqa: S608  # our own text
                f"GROUP BY fact_id HAVING count(DISTINCT row({told})) > 1 ORDER BY fact_id"
            )
            ids = tuple(str(row[0]) for row in self.database.execute(query).fetchall())
            if ids:
                found[table] = ids
        return found

    def predictions_of(self, association_id: str) -> list[dict[str, Any]]:
        """Return every recorded decision of a case, the oldest first, by column; in milliseconds once compacted."""
        return self.rows("recorded_predictions", "association_id = $1 ORDER BY decided_at", association_id)


@dataclass(frozen=True)
class Completeness:
    """Whether everything that was answered is in the log. Counts are rows, without shadows."""

    served: int
    """Answered, as the servers say."""
    logged: int
    """Written to segments, as the servers say."""
    sealed: int
    """Of servers, and in the files of the manifest."""
    batch: int = 0
    """In the files of the manifest, decided by batch runs; no server answered them."""

    @property
    def waiting(self) -> int:
        """Return how many were logged and are not sealed yet; they are on the disks of the servers."""
        return max(0, self.logged - self.sealed)

    @property
    def complete(self) -> bool:
        """Return whether nothing that was answered is missing; more may be there of a server that was killed."""
        return self.served <= self.logged <= self.sealed


@contextmanager
def open_log(
    store: Store,
    project: str,
    *,
    scratch: Path,
    as_of: int | None = None,
    until: int | None = None,
    kinds: Mapping[str, str] | None = None,
    memory_limit_mb: int = 1024,
    threads: int = 2,
) -> Iterator[PredictionLog]:
    """Open the log of a project.

    Parameters
    ----------
    store : Store
    project : str
    scratch : Path
        A folder for what does not fit in memory, and for copies of an object store's files; the caller removes it.
    as_of : int, optional
        Microseconds UTC; None: everything.
    until : int, optional
        Read the manifest no further than this entry.
    kinds : mapping of str to str, optional
        Kinds in which to read features whose kind changed; None: each as in the schema that served last.

    Raises
    ------
    BrokenManifest, SchemaMissing, StoreUnavailable
        `BrokenManifest` also from within the block, when a file that is read is missing or was changed: it names all
        such files. A file of an old entry (`until`) is missing when it was replaced since, and removed.
    """
    import duckdb

    manifest = LogManifest(store, project, until=until)
    position = manifest.refresh()
    database = connect(memory_limit_mb=memory_limit_mb, threads=threads, temp_directory=scratch)
    try:
        for table in COLUMNS:
            paths = [_local(store, file, scratch) for file in manifest.files(table)]
            database.execute(_narrow_view(table, paths, as_of=as_of))
        files = [file for file in manifest.files() if file.table.startswith("features/")]
        database.execute(_features_view(store, files, scratch, kinds=kinds or {}, as_of=as_of))
        database.execute(_CASES)
        yield PredictionLog(database, position, as_of)
    except (duckdb.Error, KeyMissing):
        manifest.check_files()  # what cannot be read is mostly a file that was lost or damaged, and then said so
        raise
    finally:
        database.close()


def completeness(statuses: Sequence[ServerStatus], log: PredictionLog) -> Completeness:
    """Return whether everything servers answered is in the log; sealing must have caught up.

    Rows count whenever they were decided: a server that plays past days decides before it was started.
    """
    counted = "role != 'shadow'"
    return Completeness(
        served=sum(status.served for status in statuses),
        logged=sum(status.logged for status in statuses),
        sealed=log.count("recorded_predictions", f"{counted} AND NOT {IS_BATCH}"),
        batch=log.count("recorded_predictions", f"{counted} AND {IS_BATCH}"),
    )


def _local(store: Store, file: LoggedFile, scratch: Path) -> Path:
    """Return where a file lies on a local disk; one of an object store is copied, once."""
    if isinstance(store, FolderStore):
        return store.folder / file.path
    copy = scratch / file.digest
    if not copy.exists():
        unfinished = copy.with_suffix(".new")
        with store.open(file.path) as content, unfinished.open("wb") as out:
            shutil.copyfileobj(content, out, 1 << 20)
        unfinished.rename(copy)
    return copy


def _narrow_view(table: str, paths: Sequence[Path], *, as_of: int | None) -> str:
    columns = {name: _SQL_TYPES[kind] for name, kind in COLUMNS[table].items()}
    rows = _rows(paths, columns)
    if table == "predictions":
        known = "true" if as_of is None else f"decided_at <= {_moment(as_of)}"
        same = "caller, prediction_id, association_id, CASE WHEN role = 'shadow' THEN model_version END"
        once = f"{same} ORDER BY decided_at, model_version"
        recorded = f"CREATE VIEW recorded_predictions AS SELECT * FROM ({rows}) WHERE {known};"  # noqa: S608
        return f"{recorded} CREATE VIEW predictions AS SELECT * FROM recorded_predictions QUALIFY {_first(once)}"  # noqa: S608
    known = "true"
    if as_of is not None:
        known = f"known_at <= {_moment(as_of)} AND recorded_at <= {_moment(as_of)}"
    once = _first("fact_id ORDER BY recorded_at, known_at")
    recorded = f"CREATE VIEW recorded_{table} AS SELECT * FROM ({rows}) WHERE {known};"  # noqa: S608
    return f"{recorded} CREATE VIEW {table} AS SELECT * FROM recorded_{table} QUALIFY {once}"  # noqa: S608


def _features_view(
    store: Store, files: Sequence[LoggedFile], scratch: Path, *, kinds: Mapping[str, str], as_of: int | None
) -> str:
    by_schema: dict[str, list[LoggedFile]] = {}
    for file in sorted(files, key=lambda file: file.last_time):
        by_schema.setdefault(file.table.removeprefix("features/"), []).append(file)
    latest = sorted(by_schema, key=lambda digest: by_schema[digest][-1].last_time)
    schemas = {digest: {c.name: c.kind for c in read_schema(store, digest)} for digest in latest}
    chosen = {name: kind for digest in latest for name, kind in schemas[digest].items()} | dict(kinds)
    parts = [_rows([], {name: _SQL_TYPES[kind] for name, kind in _KEY_KINDS.items()})]
    for digest in latest:
        casts = [_cast(name, chosen[name]) for name in schemas[digest]]
        paths = [_local(store, file, scratch) for file in by_schema[digest]]
        ours = [f"CAST({quoted(name)} AS {_SQL_TYPES[kind]}) AS {quoted(name)}" for name, kind in _KEY_KINDS.items()]
        parts.append(f"SELECT {', '.join([*ours, *casts])} FROM {_read(paths)}")  # noqa: S608
    known = "true" if as_of is None else f"_decided_at <= {_moment(as_of)}"
    rows, once = (
        " UNION ALL BY NAME ".join(parts),
        _first("_caller, _prediction_id, _association_id ORDER BY _decided_at"),
    )
    return f"CREATE VIEW features AS SELECT * FROM ({rows}) WHERE {known} QUALIFY {once}"  # noqa: S608


def _cast(name: str, kind: str) -> str:
    return f"TRY_CAST({quoted(name)} AS {_FEATURE_TYPES.get(kind, 'VARCHAR')}) AS {quoted(name)}"


def _first(order: str) -> str:
    return f"row_number() OVER (PARTITION BY {order}) = 1"


def _rows(paths: Sequence[Path], columns: Mapping[str, str]) -> str:
    if paths:
        casts = ", ".join(f"CAST({quoted(name)} AS {kind}) AS {quoted(name)}" for name, kind in columns.items())
        return f"SELECT {casts} FROM {_read(paths)}"  # noqa: S608
    empty = ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in columns.items())
    return f"SELECT {empty} WHERE false"


def _read(paths: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(quoted_text(str(path)) for path in paths)}], hive_partitioning = false)"


def _moment(moment: int) -> str:
    text = (dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=moment)).isoformat(" ")
    return f"TIMESTAMP {quoted_text(text)}"


def _latest_fact(table: str, columns: str) -> str:
    """Return the latest fact of each case; one that names a prediction belongs to that prediction's case."""
    return f"""
        SELECT * FROM (
            SELECT
                coalesce(f.association_id, p.association_id, f.prediction_id) AS case_id,
                f.known_at, f.recorded_at, f.fact_id, {columns}
            FROM {table} f LEFT JOIN (
                SELECT prediction_id, any_value(association_id) AS association_id FROM predictions
                GROUP BY prediction_id
            ) p ON f.prediction_id = p.prediction_id
        ) QUALIFY {_first("case_id ORDER BY known_at DESC, recorded_at DESC, fact_id DESC")}
    """  # noqa: S608  # our own text; a window over the alias itself would be taken for the outer query's column


_ONE_CASE = "coalesce(association_id, prediction_id), CASE WHEN association_id IS NULL THEN caller END"
"""A case without a name is its prediction, whose id is the caller's own."""
_CASES = f"""
    CREATE VIEW cases AS
    SELECT
        d.*, o.outcome_flag, o.outcome_number, o.outcome_class, o.known_at AS outcome_known_at,
        i.acted AS intervened, i.known_at AS intervention_known_at
    FROM (
        SELECT coalesce(association_id, prediction_id) AS case_id, * FROM predictions WHERE role != 'shadow'
        QUALIFY {_first(f"{_ONE_CASE} ORDER BY decided_at DESC, prediction_id DESC")}
    ) d
    LEFT JOIN ({_latest_fact("outcomes", "f.outcome_flag, f.outcome_number, f.outcome_class")}) o USING (case_id)
    LEFT JOIN ({_latest_fact("interventions", "f.acted")}) i USING (case_id)
"""  # noqa: S608  # our own text
