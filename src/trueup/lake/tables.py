"""Which rows did a table hold at that version? Versioned Delta tables, each version whole or absent."""

from __future__ import annotations

import fcntl
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, create_table_with_add_actions

from trueup.kernel.digests import digest_of
from trueup.kernel.errors import nearest_spelling
from trueup.lake.errors import KeyMissing, LakeError, lake_error_of, told_as_lake_errors
from trueup.lake.folder_store import FolderStore, move_into_place
from trueup.lake.quality_results import QualityHistory
from trueup.lake.row_digest import RowDigest, recut
from trueup.lake.staging import StagedTable, StagingFolder, clear_dead_writers, staging_folder
from trueup.lake.stores import open_store

Mode = Literal["overwrite", "append"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_STAGING = "_staging"
_ATTEMPTS = 8
_MOST_VERSIONS = 1 << 63
_KEEP_HISTORY = {"delta.logRetentionDuration": "interval 36500 days"}


class TableError(LakeError):
    """Base of what can go wrong with a versioned table."""

    code = "lake.table"


class BadTableName(TableError):
    """A name that cannot be a folder."""

    code = "lake.bad-table-name"


class TableMissing(TableError):
    """There is no such table, or not that version of it."""

    code = "lake.table-missing"


class SchemaChanged(TableError):
    """Rows to append have other columns than the table."""

    code = "lake.schema-changed"


class WriteConflict(TableError):
    """Other writers kept getting in between."""

    code = "lake.write-conflict"


@dataclass(frozen=True)
class TableVersion:
    """One version of a table; its rows never change."""

    name: str
    version: int
    """0 and up."""
    rows: int
    digest: str
    """Of names, types and values; the same rows written again have the same digest."""
    is_new: bool = True
    """False when the write brought the rows that were there already, and no version was made."""

    @property
    def id(self) -> str:
        """Return the name of this version, such as ``applications@3``."""
        return f"{self.name}@{self.version}"


class Tables:
    """Versioned tables below a root, as Delta Lake.

    Parameters
    ----------
    root_url : str or Path
        A folder, ``file:`` URL or ``s3://bucket/prefix``; each table is one folder below it.
    storage_options : mapping of str to str, optional
        For ``s3:``, the ``AWS_*`` settings, as for `open_store`.
    scratch : Path, optional
        Local folder in which new files for an object store wait; by default below the system's temporary folder. A
        local root does not need it.
    """

    def __init__(
        self, root_url: str | Path, storage_options: Mapping[str, str] | None = None, *, scratch: Path | None = None
    ) -> None:
        self._options = dict(storage_options or {})
        self._store = open_store(root_url, options=self._options)
        self._folder = self._store.folder if isinstance(self._store, FolderStore) else None
        waiting = scratch or Path(tempfile.gettempdir()) / "trueup-staging"
        self._scratch = self._folder or waiting / digest_of(self._store.url)[:16]

    def write(
        self,
        name: str,
        batches: pa.RecordBatchReader,
        *,
        mode: Mode = "overwrite",
        note: Mapping[str, Any] | None = None,
    ) -> TableVersion:
        """Write a stream of rows as the next version; a write that fails or is killed leaves the previous one."""
        with self.staging(name) as staging:
            return self.publish(name, staging.write(batches, batches.schema), mode=mode, note=note)

    @contextmanager
    def staging(self, name: str) -> Iterator[StagingFolder]:
        """Hold a local folder for new files of the table; first clears up after writers that died."""
        parent = self._scratch / _checked_name(name) / _STAGING
        clear_dead_writers(parent, lambda write_id: self._forget(name, write_id))
        with staging_folder(parent) as folder:
            yield folder

    def publish(
        self, name: str, staged: StagedTable, *, mode: Mode = "overwrite", note: Mapping[str, Any] | None = None
    ) -> TableVersion:
        """Make staged rows the next version, in one atomic commit.

        Overwriting with the rows that are there already makes no version. Conflicts with other writers are retried.

        Parameters
        ----------
        note : mapping, optional
            JSON values kept with the version, such as the source's name; see `note_of`.

        Raises
        ------
        SchemaChanged
            When appending rows with other columns.
        WriteConflict
            When other writers got in between too often.
        """
        try:
            return self._publish(name, staged, mode=mode, note=note or {})
        except BaseException:
            self._forget(name, staged.write_id)
            raise

    def _publish(self, name: str, staged: StagedTable, *, mode: Mode, note: Mapping[str, Any]) -> TableVersion:
        actions: list[AddAction] | None = None
        for _ in range(_ATTEMPTS):
            current = self.find(name)
            if mode == "overwrite" and current is not None and current.digest == staged.digest:
                return TableVersion(name, current.version, current.rows, current.digest, is_new=False)
            planned = _next_version(name, staged, current, mode)
            if mode == "append" and current is not None:
                self._check_schema(name, staged.schema)
            with self._publishing(name):
                if actions is None:
                    actions = self._move(name, staged, planned.version)
                if self._commit(name, actions, staged, planned, mode=mode, note=note):
                    return planned
        raise WriteConflict(
            f'the table "{name}" was changed by others {_ATTEMPTS} times while we wrote; '
            "nothing of ours was published; try again",
            table=name,
        )

    def find(self, name: str) -> TableVersion | None:
        """Return the latest version, or None when there is no table."""
        table = self._open_or_none(name, None)
        return None if table is None else self._described(name, table)

    def get(self, name: str, version: int | None = None) -> TableVersion:
        """Return a version (the latest by default); raise `TableMissing` when it is not there."""
        return self._described(name, self._open(name, version))

    def history(self, name: str) -> tuple[TableVersion, ...]:
        """Return every version, oldest first."""
        latest = self.get(name)
        return (*(self.get(name, version) for version in range(latest.version)), latest)

    def note_of(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Return what was noted when the version was published."""
        return dict(self._facts(name, self._open(name, version).version()).get("note", {}))

    def schema(self, name: str, version: int | None = None) -> pa.Schema:
        """Return the columns of a version."""
        return pa.schema(self._open(name, version).schema().to_arrow())

    def quality_of(self, name: str) -> QualityHistory:
        """Return what quality rules found in the versions of a table."""
        return QualityHistory(self._store, _checked_name(name))

    def file_uris(self, name: str, version: int | None = None) -> tuple[str, ...]:
        """Return the Parquet files of a version, in row order: local paths, or ``s3:`` URLs."""
        return tuple(sorted(self._open(name, version).file_uris()))

    def local_files(self, name: str, version: int | None = None, *, into: Path | None = None) -> tuple[Path, ...]:
        """Return the files of a version as local paths, fetching them from an object store to `into`."""
        uris = self.file_uris(name, version)
        if self._folder is not None:
            return tuple(Path(uri) for uri in uris)
        if into is None:
            raise TableError(f'the table "{name}" is in an object store; say into which folder to fetch its files')
        return tuple(self._fetched(f"{name}/{uri.rsplit('/', 1)[1]}", into) for uri in uris)

    def batches(self, name: str, version: int | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a version."""
        yield from self._open(name, version).to_pyarrow_dataset().to_batches()

    def names(self) -> tuple[str, ...]:
        """Return the tables that have a version."""
        keys = (entry.key.split("/") for entry in self._store.list())
        return tuple(sorted({parts[0] for parts in keys if len(parts) == 3 and parts[1] == "_delta_log"}))

    def _uri(self, name: str) -> str:
        _checked_name(name)
        return str(self._folder / name) if self._folder is not None else f"{self._store.url}/{name}"

    def _open(self, name: str, version: int | None) -> DeltaTable:
        table = self._open_or_none(name, version)
        if table is not None:
            return table
        if version is not None and (latest := self.find(name)) is not None:
            raise TableMissing(f'the table "{name}" has the versions 0 to {latest.version}, not {version}', table=name)
        known = self.names()
        hint = nearest_spelling(name, known)
        raise TableMissing(
            f'there is no table "{name}" in {self._store.url}{hint}; there are: {", ".join(known) or "none"}; '
            "ingest it first",
            table=name,
        )

    def _open_or_none(self, name: str, version: int | None) -> DeltaTable | None:
        if version is not None and not 0 <= version < _MOST_VERSIONS:
            return None
        try:
            return DeltaTable(self._uri(name), version=version, storage_options=self._options or None)
        except TableNotFoundError:
            return None
        except DeltaError:
            if version is None:
                raise
            return None

    def _described(self, name: str, table: DeltaTable) -> TableVersion:
        facts = self._facts(name, table.version())
        if "digest" in facts:
            return TableVersion(name, table.version(), int(facts["rows"]), str(facts["digest"]), is_new=False)
        dataset = table.to_pyarrow_dataset()  # a version made by another tool
        digest = RowDigest(dataset.schema)
        for batch in recut(dataset.to_batches(), dataset.schema):
            digest.update(batch)
        return TableVersion(name, table.version(), digest.rows, digest.hexdigest(), is_new=False)

    def _facts(self, name: str, version: int) -> dict[str, Any]:
        """Return what we wrote into the commit of a version; empty for a commit of another tool."""
        try:
            commit = self._store.get(f"{name}/_delta_log/{version:020d}.json")
        except KeyMissing:
            return {}
        actions = (json.loads(line) for line in commit.splitlines())
        return next((dict(a["commitInfo"].get("trueup", {})) for a in actions if "commitInfo" in a), {})

    def _check_schema(self, name: str, schema: pa.Schema) -> None:
        there = {f.name: str(f.type) for f in Schema.from_arrow(schema).fields}
        ours = {f.name: str(f.type) for f in self._open(name, None).schema().fields}
        if there != ours:
            changed = sorted({*there.items()} ^ {*ours.items()})
            names = sorted({name for name, _ in changed})
            raise SchemaChanged(
                f'the rows to append to "{name}" differ from the table in {", ".join(names[:5])}; append rows with the '
                "same columns and types, or overwrite the table",
                table=name,
                columns=names,
            )

    def _move(self, name: str, staged: StagedTable, version: int) -> list[AddAction]:
        actions = []
        for number, (path, rows) in enumerate(zip(staged.files, staged.file_rows, strict=True)):
            facts = path.stat()
            file = f"part-{version:08d}-{staged.write_id}-{number:05d}.parquet"
            if self._folder is not None:
                move_into_place(path, self._folder / name / file)
            else:
                self._store.put_file(f"{name}/{file}", path)
            count = json.dumps({"numRecords": rows})
            actions.append(AddAction(file, facts.st_size, {}, facts.st_mtime_ns // 1_000_000, True, count))
        return actions

    def _commit(
        self,
        name: str,
        actions: list[AddAction],
        staged: StagedTable,
        planned: TableVersion,
        *,
        mode: Mode,
        note: Mapping[str, Any],
    ) -> bool:
        """Commit once; False when another writer was faster."""
        facts = {"digest": planned.digest, "rows": planned.rows, "write": staged.write_id, "note": dict(note)}
        properties = CommitProperties(custom_metadata={"trueup": facts}, max_commit_retries=0)
        hooks = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
        schema = Schema.from_arrow(staged.schema)
        table = self._open_or_none(name, None)
        if (table.version() + 1 if table is not None else 0) != planned.version:
            return False
        try:
            if table is not None and mode == "append":
                table.create_write_transaction(
                    [*actions], mode, schema, [], commit_properties=properties, post_commithook_properties=hooks
                )
            else:
                create_table_with_add_actions(
                    self._uri(name),
                    schema,
                    actions,
                    mode="error" if table is None else "overwrite",
                    configuration=_KEEP_HISTORY,
                    storage_options=self._options or None,
                    commit_properties=properties,
                    post_commithook_properties=hooks,
                )
        except CommitFailedError:
            return False
        except DeltaError as error:
            if "already exists" in str(error):
                return False
            raise
        return True

    @contextmanager
    def _publishing(self, name: str) -> Iterator[None]:
        """Let local writers publish one after the other; an object store decides by itself."""
        if self._folder is None:
            yield
            return
        with told_as_lake_errors(self._store.url):
            lock = (self._folder / name / _STAGING / "publishing").open("ab")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            except (DeltaError, OSError) as error:
                raise lake_error_of(error, self._store.url) from error

    def _forget(self, name: str, write_id: str) -> None:
        """Remove the files of a writer that died after moving them and before its commit."""
        table = self._open_or_none(name, None)
        committed = table is not None and any(
            facts.get("trueup", {}).get("write") == write_id for facts in table.history()
        )
        for entry in self._store.list(name):
            file = entry.key.rsplit("/", 1)[1]
            is_orphan = not committed and entry.key == f"{name}/{file}" and f"-{write_id}-" in file
            is_torn_commit = self._folder is not None and entry.key.startswith(f"{name}/_delta_log/") and "#" in file
            if is_orphan or is_torn_commit:
                self._store.delete(entry.key)

    def _fetched(self, key: str, into: Path) -> Path:
        target = into / key
        if target.exists():
            return target  # a published file never changes
        with told_as_lake_errors(str(into)), self._store.open(key) as source:
            target.parent.mkdir(parents=True, exist_ok=True)
            waiting = target.with_suffix(".part")
            with waiting.open("wb") as out:
                while part := source.read(1 << 20):
                    out.write(part)
            waiting.replace(target)
        return target


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or len(name) > 200:
        raise BadTableName(
            f'"{name}" is not a table name; use letters, digits, "_", "-" and ".", starting with a letter or digit',
            seen=name,
        )
    return name


def _next_version(name: str, staged: StagedTable, current: TableVersion | None, mode: Mode) -> TableVersion:
    if current is None:
        return TableVersion(name, 0, staged.rows, staged.digest)
    if mode == "overwrite":
        return TableVersion(name, current.version + 1, staged.rows, staged.digest)
    together = digest_of([current.digest, staged.digest])
    return TableVersion(name, current.version + 1, current.rows + staged.rows, together)
