"""What do the columns of Parquet files hold? Profiles at the speed of reading, in memory that stays flat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.compute.pool import run_all
from trueup.data.profile_plan import PlannedColumn, ProfilePlan, told_as_unreadable
from trueup.measure.counting import NumberCounts
from trueup.measure.profiles import CategoryProfile, Profile, counted_categories, merge_categories, profile_of
from trueup.measure.table_profiles import TableProfile, merge_tables

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH_ROWS = 131_072
"""Rows decoded at a time: a column of them stays in the processor's cache."""
_MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True)
class Shard:
    """Row groups of one file."""

    path: Path
    row_groups: tuple[int, ...]
    plan: ProfilePlan


def profile_files(files: Sequence[Path], plan: ProfilePlan, *, workers: int = 1) -> TableProfile:
    """Return the profile of all rows of some Parquet files.

    Parameters
    ----------
    plan : ProfilePlan
        See `profile_plan.plan_profile`.
    workers : int
        Processes that share the row groups; 1 stays in this one.

    Raises
    ------
    ParquetUnreadable

    Notes
    -----
    One column at a time, in batches: memory does not depend on the number of rows or the size of row groups. The result
    does not depend on order, files, row groups or workers.
    """
    parts = run_all(profile_shard, cut(files, plan, into=workers), workers=workers)
    return reduce(merge_tables, parts, TableProfile())


def cut(files: Sequence[Path], plan: ProfilePlan, *, into: int) -> list[Shard]:
    """Return the row groups of some files in about `into` parts of equal size, a part being of one file."""
    import pyarrow.parquet as pq

    counts: list[int] = []
    for path in files:
        with told_as_unreadable(path):
            counts.append(pq.ParquetFile(path).metadata.num_row_groups)
    size = max(1, -(-sum(counts) // max(into, 1)))
    return [
        Shard(path, tuple(range(start, min(start + size, count))), plan)
        for path, count in zip(files, counts, strict=True)
        for start in range(0, max(count, 1), size)
    ]


def profile_shard(shard: Shard) -> TableProfile:
    """Return the profile of some row groups of one file."""
    with told_as_unreadable(shard.path):
        file = opened(shard.path, shard.plan)
        rows = sum(file.metadata.row_group(group).num_rows for group in shard.row_groups)
        counts = NumberCounts()
        columns = {
            c.name: profile_column(column_batches(file, c, shard.row_groups), c, counts=counts)
            for c in shard.plan.columns
        }
    return TableProfile(rows, columns)


def opened(path: Path, plan: ProfilePlan) -> pq.ParquetFile:
    """Return a Parquet file whose categories are read as codes, without making each text."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, read_dictionary=[c.name for c in plan.columns if c.counted_as == "category"])


def column_batches(file: pq.ParquetFile, column: PlannedColumn, row_groups: Sequence[int]) -> Iterator[pa.Array]:
    """Yield a column of some row groups, batch by batch."""
    if row_groups:
        batches = file.iter_batches(BATCH_ROWS, row_groups=list(row_groups), columns=[column.name], use_threads=False)
        for batch in batches:
            yield batch.column(column.name)


def profile_column(batches: Iterator[pa.Array], column: PlannedColumn, *, counts: NumberCounts) -> Profile:
    """Return the profile of one column that comes in batches; `counts` is started again for a column of numbers."""
    if column.counted_as == "category":
        counted = CategoryCounts()
        for batch in batches:
            counted.add(batch)
        return counted.profile()
    counts.restart(origin=column.origin)
    for batch in batches:
        add_numbers(counts, batch, column)
    return profile_of(counts)


def add_numbers(counts: NumberCounts, values: pa.Array, column: PlannedColumn) -> None:
    """Count a batch of anything that is counted as numbers."""
    import pyarrow.types as t

    if column.counted_as == "number" or t.is_uint64(values.type):
        counts.add(as_floats(values, column))
        return
    counts.add_missing(values.null_count)
    present = values.drop_null() if values.null_count else values
    counts.add_integers(whole_numbers(present, column).to_numpy(zero_copy_only=False), step=_step(values))


def as_floats(values: pa.Array, column: PlannedColumn) -> NDArray[np.float64]:
    """Return a batch of anything that is counted as numbers as floats; missing is NaN."""
    import pyarrow as pa
    import pyarrow.types as t

    if column.counted_as == "number":
        values = values if t.is_floating(values.type) else values.cast(pa.float64())
        values = values.fill_null(float("nan")) if values.null_count else values  # sooner than Arrow does it
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    whole = whole_numbers(values, column).fill_null(0).to_numpy(zero_copy_only=False)
    floats = whole.astype(np.float64) * _step(values)
    if values.null_count:
        floats[values.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return np.asarray(floats, dtype=np.float64)


def whole_numbers(present: pa.Array, column: PlannedColumn) -> pa.Array:
    """Return integers for whole numbers, yes/no, moments (days for dates) and the lengths of texts."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if column.counted_as == "length":
        return pc.utf8_length(present.cast(pa.large_string()))
    if t.is_boolean(present.type):
        return present.cast(pa.int8())
    if t.is_date32(present.type):
        return present.cast(pa.int32())
    if column.counted_as == "moment":
        return present.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
    return present


class CategoryCounts:
    """Categories that come as codes; texts are made once for each dictionary, not for each row."""

    def __init__(self) -> None:
        self._profile = CategoryProfile({})
        self._dictionary: pa.Array | None = None
        self._cases: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def add(self, values: pa.Array) -> None:
        """Count a batch of texts, as they are or as codes."""
        import pyarrow.types as t

        coded = values if t.is_dictionary(values.type) else values.dictionary_encode()
        if self._dictionary is None or not _same_dictionary(self._dictionary, coded.dictionary):
            self._flush()
            self._dictionary = coded.dictionary
            self._cases = np.zeros(len(coded.dictionary) + 1, dtype=np.int64)
        codes = coded.indices.fill_null(len(coded.dictionary)) if coded.indices.null_count else coded.indices
        self._cases += np.bincount(codes.to_numpy(), minlength=len(self._cases))

    def profile(self) -> CategoryProfile:
        """Return what was counted so far."""
        self._flush()
        return self._profile

    def _flush(self) -> None:
        if self._dictionary is None:
            return
        more = counted_categories(self._dictionary.to_pylist(), self._cases[:-1], missing=int(self._cases[-1]))
        self._profile = merge_categories(self._profile, more)
        self._dictionary = None


def _step(values: pa.Array) -> int:
    import pyarrow.types as t

    return _MICROSECONDS_PER_DAY if t.is_date32(values.type) else 1


def _same_dictionary(one: pa.Array, other: pa.Array) -> bool:
    return one is other or bool(one.equals(other))
