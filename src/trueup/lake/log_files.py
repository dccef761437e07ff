"""How is a file of the log written? As Parquet, under a name of its own, whole before anybody can see it."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.kernel.digests import digest_of_bytes
from trueup.lake.errors import KeyMissing
from trueup.lake.log_manifest import BrokenManifest, LoggedFile
from trueup.lake.log_tables import ID_OF, TIME_OF
from trueup.lake.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 20_000
_FALSE_POSITIVES = 0.01


def write_log_file(
    store: Store, project: str, *, table: str, rows: pa.Table, now: int, by_case: str | None = None
) -> LoggedFile:
    """Write rows as one Parquet file under a name of its own, durably, and return what the manifest says of it.

    Parameters
    ----------
    by_case : str, optional
        The column by which the rows are sorted, so that one case is found by a bloom filter; None: as they came.

    Raises
    ------
    StoreFull, StoreReadOnly, StoreUnavailable
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    time, name = TIME_OF.get(table, "_decided_at"), ID_OF.get(table, "_prediction_id")
    times, ids = pc.min_max(rows[time].cast("int64")), pc.min_max(rows[name])
    day = dt.datetime.fromtimestamp(now / 1e6, dt.UTC).strftime("%Y-%m-%d")
    path = f"log/{project}/data/{table}/{day}/{now:016d}-{secrets.token_hex(8)}.parquet"
    filters = (
        {by_case: {"ndv": min(_GROUP_ROWS, max(1, pc.count_distinct(rows[by_case]).as_py())), "fpp": _FALSE_POSITIVES}}
        if by_case
        else None
    )
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "file.parquet"
        pq.write_table(rows, local, compression="zstd", bloom_filter_options=filters, row_group_size=_GROUP_ROWS)
        digest, size = hashlib.sha256(local.read_bytes()).hexdigest(), local.stat().st_size
        store.put_file(path, local)
    return LoggedFile(
        path=path,
        table=table,
        rows=rows.num_rows,
        first_time=times["min"].as_py(),
        last_time=times["max"].as_py(),
        first_id=ids["min"].as_py(),
        last_id=ids["max"].as_py(),
        size=size,
        digest=digest,
        by_case=by_case is not None,
    )


def read_log_file(store: Store, file: LoggedFile) -> pa.Table:
    """Return all rows of a file.

    Raises
    ------
    BrokenManifest
        The file is missing, or not what was written.
    StoreUnavailable
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = store.get(file.path)
    except KeyMissing as error:
        raise _broken(file, "missing") from error
    if digest_of_bytes(content) != file.digest:
        raise _broken(file, "changed")
    return pq.read_table(pa.BufferReader(content))


def _broken(file: LoggedFile, what: str) -> BrokenManifest:
    return BrokenManifest(
        f"a file of the log is not what was written, and stays as it is; restore it from a copy (every file is looked "
        f"at by: trueup log verify)\n  {file.path}: {what}",
        files={file.path: what},
    )
