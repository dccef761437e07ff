"""What did the columns hold day by day? One profile for each day of a time column, in one reading of the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from trueup.compute.pool import run_all
from trueup.data.profile_plan import NotProfiled, PlannedColumn, ProfilePlan, plan_profile, told_as_unreadable
from trueup.data.profiling import Shard, as_floats, column_batches, cut, opened, whole_numbers
from trueup.measure.profiles import Profile, profile_categories, profile_numbers
from trueup.measure.table_profiles import TableProfile, merge_columns, merge_tables

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Value = TypeVar("Value", np.float64, np.int64)
Days = dict[int | None, TableProfile]
"""By day, counted from 1970-01-01 in UTC; None for rows without a time."""
_MICROSECONDS_PER_DAY = 86_400_000_000
_NO_DAY = np.iinfo(np.int32).min
_TOGETHER = 1_000_000
"""Values of one column that are sorted into days at once."""
_SHARD_ROWS = 4_000_000


@dataclass(frozen=True)
class Grouped:
    """Rows by day."""

    days: NDArray[np.int32]
    starts: NDArray[np.int64]
    """Of each day in `order`, and the number of rows at the end."""
    order: NDArray[np.int64] | None
    """Rows, day by day; None when they come in that order."""

    def parts(self, values: NDArray[Value]) -> Iterator[tuple[int, NDArray[Value]]]:
        """Yield each day with its values."""
        ordered = values if self.order is None else values[self.order]
        for i, day in enumerate(self.days.tolist()):
            yield day, ordered[self.starts[i] : self.starts[i + 1]]


def profile_days(files: Sequence[Path], plan: ProfilePlan, *, by: str, workers: int = 1) -> Days:
    """Return the profile of each day (UTC) of the time column `by`; days merged equal `profiling.profile_files`.

    Raises
    ------
    NotProfiled
        When `by` holds no moments.
    ParquetUnreadable

    Notes
    -----
    Rows need no order; in order of time it is faster. Memory: a few columns of a million rows, and 4 bytes a row of the
    largest row group.
    """
    (moment,) = plan_profile(files, columns=[by], origins={by: 0.0}).columns or (None,)
    if moment is None or moment.counted_as != "moment":
        raise NotProfiled(f'"{by}" holds no dates or times; days are those of a date or timestamp column', column=by)
    shards = _shards(files, plan, workers=workers)
    parts = run_all(partial(profile_shard_days, moment=moment), shards, workers=workers)
    return reduce(merge_days, parts, {})


def merge_days(one: Days, other: Days) -> Days:
    """Return the days of both."""
    nothing = TableProfile()
    days = sorted(one.keys() | other.keys(), key=lambda day: (day is None, day or 0))
    return {day: merge_tables(one.get(day, nothing), other.get(day, nothing)) for day in days}


def profile_shard_days(shard: Shard, *, moment: PlannedColumn) -> Days:
    """Return the days of some row groups of one file."""
    with told_as_unreadable(shard.path):
        file = opened(shard.path, shard.plan)
        days = _days(file, moment, shard.row_groups)
        found, rows = np.unique(days, return_counts=True)
        columns = {c.name: _by_day(file, c, shard.row_groups, days) for c in shard.plan.columns}
    tables = (
        (day, TableProfile(count, {name: by_day[day] for name, by_day in columns.items()}))
        for day, count in zip(found.tolist(), rows.tolist(), strict=True)
    )
    return merge_days({None if day == _NO_DAY else day: table for day, table in tables}, {})


def _shards(files: Sequence[Path], plan: ProfilePlan, *, workers: int) -> list[Shard]:
    import pyarrow.parquet as pq

    rows = 0
    for path in files:
        with told_as_unreadable(path):
            rows += pq.ParquetFile(path).metadata.num_rows
    return cut(files, plan, into=max(workers, -(-rows // _SHARD_ROWS)))


def _days(file: pq.ParquetFile, moment: PlannedColumn, row_groups: Sequence[int]) -> NDArray[np.int32]:
    batches = column_batches(file, moment, row_groups)
    return np.concatenate([np.empty(0, dtype=np.int32), *(_day_of(batch, moment) for batch in batches)])


def _day_of(batch: pa.Array, moment: PlannedColumn) -> NDArray[np.int32]:
    import pyarrow.types as t

    whole = whole_numbers(batch, moment).fill_null(0).to_numpy(zero_copy_only=False)
    days = whole if t.is_date32(batch.type) else whole // _MICROSECONDS_PER_DAY
    if batch.null_count:
        days = np.where(batch.is_null().to_numpy(zero_copy_only=False), _NO_DAY, days)
    return np.asarray(days, dtype=np.int32)


def _by_day(
    file: pq.ParquetFile, column: PlannedColumn, row_groups: Sequence[int], days: NDArray[np.int32]
) -> dict[int, Profile]:
    found: dict[int, Profile] = {}
    begin = 0
    for chunk in _together(column_batches(file, column, row_groups)):
        end = begin + len(chunk)
        for day, part in _profiles(chunk, column, _grouped(days[begin:end])):
            found[day] = merge_columns(found[day], part, name=column.name) if day in found else part
        begin = end
    return found


def _together(batches: Iterator[pa.Array]) -> Iterator[pa.ChunkedArray]:
    import pyarrow as pa

    waiting: list[pa.Array] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= _TOGETHER:
            yield pa.chunked_array(waiting)
            waiting = []
    if waiting:
        yield pa.chunked_array(waiting)


def _grouped(days: NDArray[np.int32]) -> Grouped:
    order = None if (days[1:] >= days[:-1]).all() else np.argsort(days, kind="stable")
    found, starts = np.unique(days if order is None else days[order], return_index=True)
    return Grouped(found, np.append(starts, len(days)), order)


def _profiles(chunk: pa.ChunkedArray, column: PlannedColumn, grouped: Grouped) -> Iterator[tuple[int, Profile]]:
    if column.counted_as == "category":
        codes, names = _codes(chunk)
        for day, some in grouped.parts(codes):
            yield day, profile_categories(some, names)
    else:
        numbers = np.concatenate([as_floats(batch, column) for batch in chunk.chunks])
        for day, part in grouped.parts(numbers):
            yield day, profile_numbers(part, origin=column.origin)


def _codes(chunk: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str | None]]:
    import pyarrow.types as t

    coded = chunk if t.is_dictionary(chunk.type) else chunk.dictionary_encode()
    whole = coded.unify_dictionaries().combine_chunks()
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, whole.dictionary.to_pylist()
