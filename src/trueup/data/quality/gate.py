"""May these rows become the next version? The rules of a project, evaluated before publication or again later."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.align.quality_rules import QualityRule
from trueup.data.duck import connect, quoted_text
from trueup.data.errors import RulesBroken
from trueup.data.incoming import incoming_of
from trueup.data.quality.checking import Rows, Surroundings, check_rows, rules_digest
from trueup.kernel.digests import digest_of
from trueup.lake.quality_results import QualityResults
from trueup.lake.tables import Tables, TableVersion

if TYPE_CHECKING:
    import duckdb

    from trueup.lake.staging import StagedTable

_TABLE = "table:"


@dataclass(frozen=True)
class Gate:
    """The rules of one project, and what they need to know."""

    rules: tuple[QualityRule, ...]
    shown_id: tuple[str, ...] = ()
    """Columns whose values name failing cases; empty where the project has none."""
    base: Path | None = None
    """Folder that files named by foreign keys are relative to."""

    def judge(
        self,
        staged: StagedTable,
        *,
        tables: Tables,
        name: str,
        as_of: int,
        connection: duckdb.DuckDBPyConnection,
        spill: Path,
    ) -> QualityResults:
        """Return what the rules find in rows that wait to be published."""
        before = tables.find(name)
        around = self._around(tables, as_of=as_of, previous=before, scratch=spill)
        results = check_rows(self.rules, Rows(connection, staged.files, spill, self.shown_id), around)
        return QualityResults(name, None, staged.rows, staged.digest, as_of, rules_digest(self.rules), results)

    def recheck(self, version: TableVersion, *, tables: Tables, as_of: int, scratch: Path) -> QualityResults:
        """Return what the rules, as they are now, find in a version that is there; kept when it is news.

        Parameters
        ----------
        scratch : Path
            Local folder for files of an object store and for what does not fit into memory.
        """
        scratch.mkdir(parents=True, exist_ok=True)
        before = tables.get(version.name, version.version - 1) if version.version else None
        with tempfile.TemporaryDirectory(dir=scratch, prefix="quality-") as held:
            spill = Path(held)
            files = tables.local_files(version.name, version.version, into=spill / "files")
            around = self._around(tables, as_of=as_of, previous=before, scratch=spill)
            with contextlib.closing(connect(temp_directory=spill / "duckdb")) as connection:
                found = check_rows(self.rules, Rows(connection, files, spill / "own", self.shown_id), around)
        results = QualityResults(
            version.name, version.version, version.rows, version.digest, as_of, rules_digest(self.rules), found
        )
        history = tables.quality_of(version.name)
        known = history.latest_of(version.version)
        if known is None or not known.same_as(results):
            history.record(results)
        return results

    def _around(self, tables: Tables, *, as_of: int, previous: TableVersion | None, scratch: Path) -> Surroundings:
        opener = partial(_open_reference, tables, self.base, scratch)
        return Surroundings(as_of, previous.rows if previous else None, opener)


def refusal_of(results: QualityResults, latest: TableVersion | None) -> RulesBroken:
    """Return the error that says which rules keep the rows out, and what to do."""
    broken = results.broken
    stays = f"{latest.id} stays the latest version" if latest else "no version was made"
    rules = "1 rule" if len(broken) == 1 else f"{len(broken)} rules"
    listed = "\n".join(f"  {result.rule}: {result.detail}" for result in broken)
    return RulesBroken(
        f"the {results.rows:,} rows were not published, because they break {rules}; {stays}:\n{listed}\n"
        'Correct the source and ingest again; or allow a share (allowed_share), or write level = "warn", in '
        "[[data.rule]] of trueup.toml",
        table=results.table,
        rows=results.rows,
        quality=results.as_json(),
    )


def publish_results(results: QualityResults, version: TableVersion, tables: Tables) -> QualityResults:
    """Keep the results of rows that were published, beside their version."""
    kept = replace(results, version=version.version)
    history = tables.quality_of(version.name)
    known = history.latest_of(version.version)
    if known is None or not known.same_as(kept):
        history.record(kept)
    return kept


def _open_reference(
    tables: Tables, base: Path | None, scratch: Path, named: str, connection: duckdb.DuckDBPyConnection
) -> str:
    if named.startswith(_TABLE):
        return _read(tables.local_files(named.removeprefix(_TABLE), into=scratch / "references"))
    landing = scratch / "references" / digest_of(named)[:16]
    return incoming_of(named, base=base).open_table(connection, landing=landing, on_bytes=lambda _: None).relation


def _read(files: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(quoted_text(str(file)) for file in files)}])"
