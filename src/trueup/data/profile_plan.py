"""How is each column of Parquet files counted, and from which origin? Decided before a value is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trueup.data.errors import ColumnsDiffer, DataError
from trueup.kernel.errors import nearest_spelling

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

CountedAs = Literal["number", "whole", "moment", "category", "length"]
_NARROW = 0.5
_LOOKED_AT = 65_536
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ParquetUnreadable(DataError):
    """A file is no Parquet file, or a broken one."""

    code = "data.parquet-unreadable"


class NotProfiled(DataError):
    """A column cannot be counted in the way that was asked for."""

    code = "data.not-profiled"


@dataclass(frozen=True)
class PlannedColumn:
    """How one column is counted."""

    name: str
    counted_as: CountedAs
    """Numbers; whole numbers and yes/no; moments in microseconds since 1970; categories; the length of texts."""
    origin: float = 0.0


@dataclass(frozen=True)
class ProfilePlan:
    """How the columns of some files are counted: the schema of their profile."""

    columns: tuple[PlannedColumn, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why a column is not counted."""


def plan_profile(
    files: Sequence[Path],
    *,
    columns: Collection[str] | None = None,
    texts: Collection[str] = (),
    origins: Mapping[str, float] | None = None,
) -> ProfilePlan:
    """Decide how the columns of some Parquet files of one table are counted.

    Parameters
    ----------
    columns : collection of str, optional
        Count only these; all by default.
    texts : collection of str
        Columns of free text: their length is counted.
    origins : mapping of str to float, optional
        Of the profile to compare or to merge with: its columns keep their origins. Other columns get 0, or the middle
        of their range where it is narrow and far from zero, as dates are.

    Raises
    ------
    ColumnsDiffer
        When the files are not of one table.
    NotProfiled
        When a column asked for is not there.
    ParquetUnreadable
    """
    with_schema = [_opened(path) for path in files]
    if not with_schema:
        raise NotProfiled("there is no file to profile; name one Parquet file or more")
    schema = with_schema[0].schema_arrow
    for path, file in zip(files, with_schema, strict=True):
        _check_same(schema, file.schema_arrow, path)
    wanted = list(schema.names) if columns is None else list(columns)
    known, skipped = dict(origins or {}), {}
    planned: list[PlannedColumn] = []
    for name in wanted:
        counted_as = _counted_as(_field(schema, name).type, is_text=name in texts)
        if counted_as is None:
            skipped[name] = f"values of type {schema.field(name).type} are not counted"
        else:
            origin = known[name] if name in known else _origin(with_schema, name, counted_as)
            planned.append(PlannedColumn(name, counted_as, origin))
    return ProfilePlan(tuple(planned), skipped)


@contextmanager
def told_as_unreadable(path: Path) -> Iterator[None]:
    """Tell what Arrow finds wrong with a file as an error of ours that names the file."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ParquetUnreadable(
            f"{path.name} cannot be read as Parquet ({reason}); write or fetch the file again", file=path.name
        ) from error


def _opened(path: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    with told_as_unreadable(path):
        return pq.ParquetFile(path)


def _check_same(schema: pa.Schema, other: pa.Schema, path: Path) -> None:
    ours, theirs = ({f.name: f.type for f in s} for s in (schema, other))
    if ours != theirs:
        names = sorted({name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)})
        raise ColumnsDiffer(
            f"{path.name} differs from the first file in {', '.join(names[:5])}; profile files of one table together",
            columns=names,
        )


def _field(schema: pa.Schema, name: str) -> pa.Field:
    if name not in schema.names:
        raise NotProfiled(f'there is no column "{name}"{nearest_spelling(name, schema.names)}', column=name)
    return schema.field(name)


def _counted_as(kind: pa.DataType, *, is_text: bool) -> CountedAs | None:
    import pyarrow.types as t

    if t.is_dictionary(kind):
        kind = kind.value_type
    if t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind):
        return "length" if is_text else "category"
    if t.is_floating(kind) or t.is_decimal(kind):
        return "number"
    if t.is_integer(kind) or t.is_boolean(kind):
        return "whole"
    return "moment" if t.is_timestamp(kind) or t.is_date(kind) else None


def _origin(files: Iterable[pq.ParquetFile], name: str, counted_as: CountedAs) -> float:
    if counted_as not in ("number", "whole", "moment"):
        return 0.0
    opened = list(files)
    bounds = _bounds(opened, name)
    if bounds is not None:
        low, high = bounds
        if 0 < high - low <= _NARROW * max(abs(low), abs(high)) and low * high > 0:
            return float(np.floor(low / 2 + high / 2))
    return _median_moment(opened, name) if counted_as == "moment" else 0.0


def _bounds(files: Iterable[pq.ParquetFile], name: str) -> tuple[float, float] | None:
    """Return the smallest and largest value that the files' own statistics tell; None where some do not."""
    found: list[float] = []
    for file in files:
        index = file.schema_arrow.names.index(name)
        for group in range(file.metadata.num_row_groups):
            column = file.metadata.row_group(group).column(index)
            if column.path_in_schema != name:
                return None  # nested columns before it
            told = column.statistics
            if told is None or not told.has_min_max:
                if told is not None and told.null_count == column.num_values:
                    continue
                return None
            found += [_as_number(told.min), _as_number(told.max)]
    return (min(found), max(found)) if found else None


def _as_number(value: Any) -> float:
    """Return a statistic as the number that is counted: moments in microseconds since 1970."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (moment - _UNIX_EPOCH).total_seconds() * 1e6
    if isinstance(value, date):
        return (value - _UNIX_EPOCH.date()).days * 86_400e6
    return float(value)


def _median_moment(files: Sequence[pq.ParquetFile], name: str) -> float:
    from trueup.data.columns import numbers_of

    file = files[len(files) // 2]
    groups = file.metadata.num_row_groups
    if not groups:
        return 0.0
    batches = file.iter_batches(_LOOKED_AT, row_groups=[groups // 2], columns=[name], use_threads=False)
    import pyarrow as pa

    for batch in batches:
        values = numbers_of(pa.chunked_array([batch.column(name)]))
        present = values[~np.isnan(values)]
        if len(present):
            return float(np.floor(np.median(present)))
    return 0.0
