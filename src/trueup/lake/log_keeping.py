"""How long is the log kept, and how is one case found in it? Whole old files go, and closed days are sorted by case.

Both only append to the manifest: what a file was, with its digest, stays in the chain for good. A reader that opened
the log before goes on with the files it knows; those that were replaced are removed by a later `sweep`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.lake.log_files import read_log_file, write_log_file
from trueup.lake.log_manifest import Draft, LoggedFile, LogManifest
from trueup.lake.log_tables import COLUMNS, TIME_OF
from trueup.lake.segments import DAMAGED, SUFFIX

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 24 * 3600 * 1_000_000
_MOST_ROWS = 1_000_000


def drop_before(manifest: LogManifest, moment: int, *, now: int, reason: str = "retention") -> tuple[LoggedFile, ...]:
    """Remove every file whose rows are all older than a moment, and return what they were.

    What was damaged in segments that were sealed before it is told no more.

    Parameters
    ----------
    manifest : LogManifest
    moment, now : int
        Microseconds UTC.
    reason : str
        For the entry.

    Raises
    ------
    ManifestConflict
        When somebody else changed the files meanwhile; nothing was removed.
    StoreReadOnly, StoreUnavailable
        What the entry names is no longer in the log; `sweep` removes what is left of it.
    """
    manifest.refresh()
    old = tuple(file for file in manifest.files() if file.last_time < moment)
    if old or manifest.damaged(before=moment):
        manifest.append(Draft(kind="dropped", at=now, removed=old, reason=reason, before=moment))
        for file in old:
            manifest.store.delete(file.path)
    return old


def drop_damaged_before(hot: Path, moment: int) -> int:
    """Remove the damaged segments kept in a folder that were last written before a moment, and return how many."""
    old = [path for path in hot.glob(f"*{SUFFIX}{DAMAGED}") if path.stat().st_mtime_ns // 1000 < moment]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def sweep(manifest: LogManifest, *, now: int, grace: int = DAY) -> tuple[str, ...]:
    """Remove files that are not in the log, and return their keys.

    They are left by a kill between writing and the manifest's entry, or were replaced or dropped. Those written less
    than `grace` microseconds ago are left alone: their entry may still come.
    """
    manifest.refresh()
    live = {file.path for file in manifest.files()}
    found = [entry.key for entry in manifest.store.list(f"log/{manifest.project}/data")]
    stray = tuple(key for key in found if key not in live and _written_at(key) < now - grace)
    for key in stray:
        manifest.store.delete(key)
    return stray


def compact(manifest: LogManifest, *, before: int, now: int) -> int:
    """Replace the files of each table and day by ones sorted by case, and return how many there were.

    Parameters
    ----------
    manifest : LogManifest
    before : int
        Only files whose rows are all older: of days that are over.
    now : int
        Microseconds UTC.

    Raises
    ------
    ManifestConflict
        When somebody else changed the files meanwhile; nothing of the present day was replaced.
    BrokenManifest
        When a file is missing or damaged; it stays as it is, as do all after it.
    StoreFull, StoreReadOnly, StoreUnavailable

    Notes
    -----
    Rows stay as they are, and none is added or left out. A file holds at most a million rows, of which some are in
    memory twice. Sort order and bloom filters let a reader skip all but one group of rows for a case.
    """
    manifest.refresh()
    count = 0
    for table in manifest.tables():
        unsorted = [file for file in manifest.files(table) if file.last_time < before and not file.by_case]
        for group in _groups(unsorted):
            rows = _sorted(table, [read_log_file(manifest.store, file) for file in group])
            case = case_column(table)
            file = write_log_file(manifest.store, manifest.project, table=table, rows=rows, now=now, by_case=case)
            manifest.append(Draft(kind="replaces", at=now, added=(file,), removed=tuple(group)))
            count += len(group)
    return count


def case_column(table: str) -> str:
    """Return the column of a table that names the case."""
    return "association_id" if table in COLUMNS else "_association_id"


def _groups(files: Iterable[LoggedFile]) -> Iterator[list[LoggedFile]]:
    """Yield files of one day together, as many as have a million rows."""
    group: list[LoggedFile] = []
    for file in files:
        full = sum(other.rows for other in group) + file.rows > _MOST_ROWS
        if group and (full or file.first_time // DAY != group[0].first_time // DAY):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def _sorted(table: str, pieces: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    keys = [(case_column(table), "ascending"), (TIME_OF.get(table, "_decided_at"), "ascending")]
    return pa.concat_tables(pieces).sort_by(keys)


def _written_at(key: str) -> int:
    try:
        return int(key.rsplit("/", 1)[-1][:16])
    except ValueError:
        return 0
