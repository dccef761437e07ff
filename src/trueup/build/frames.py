"""What does an estimator see? Feature columns of a Parquet file, prepared the same way for fitting and for scoring.

Loaded in the separate process only. The frame has the recipe's features as columns, in their order:

- numbers and booleans are float64, missing is NaN;
- dates are float64 days since 1970-01-01 UTC;
- categories have pandas' category type, their values as text, with the categories of the *training rows*, sorted; the
  254 most frequent where there are more (histogram boosting has 255 bins); every other value is missing;
- text with at most 254 different values in the training rows is a category, other text is left out.

It is the frame that `trueup.bundle.frames` makes of the features in `FrameMaker.specs`; here columns stay decoded, so
that scoring one day after the other costs little.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.build.errors import ColumnMissing, ColumnUnreadable
from trueup.build.recipe import Feature
from trueup.bundle.features import FeatureSpec
from trueup.bundle.frames import MOST_CATEGORIES
from trueup.bundle.values import category_text
from trueup.kernel.errors import nearest_spelling

if TYPE_CHECKING:
    import pandas as pd

_CACHE_BYTES = 500_000_000
_MICROSECONDS_A_DAY = 86_400_000_000
_YES = frozenset({"yes", "true", "1", "y", "t"})
_NO = frozenset({"no", "false", "0", "n", "f"})


@dataclass(frozen=True)
class RawColumn:
    """A decoded column: numbers, or codes into `values` (texts, sorted) with -1 for missing."""

    numbers: NDArray[np.float64] | None
    codes: NDArray[np.int32] | None = None
    values: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Return the memory it takes, in bytes."""
        array = self.numbers if self.numbers is not None else self.codes
        return array.nbytes if array is not None else 0

    def take(self, rows: NDArray[np.int64] | slice) -> RawColumn:
        """Return some rows of the column."""
        if self.numbers is not None:
            return RawColumn(self.numbers[rows])
        assert self.codes is not None
        return RawColumn(None, self.codes[rows], self.values)


class FeatureFiles:
    """Reads features files and keeps what was decoded last, within a bound in bytes."""

    def __init__(self, cache_bytes: int = _CACHE_BYTES) -> None:
        self._cache_bytes = cache_bytes
        self._columns: OrderedDict[tuple[str, int, int, str, str], RawColumn] = OrderedDict()
        self._used = 0

    def read(self, path: Path, features: Sequence[Feature], rows: NDArray[np.int64] | slice) -> list[RawColumn]:
        """Return the columns of `features` at positions `rows` of a Parquet file.

        Raises
        ------
        ColumnMissing
            If a feature is not in the file.
        """
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            _check_columns(path, features, file.schema_arrow.names)
            if file.metadata.num_rows * 8 * len(features) > self._cache_bytes:
                return _read_row_groups(file, features, rows)
            return [self._column(path, file, feature).take(rows) for feature in features]

    def _column(self, path: Path, file: Any, feature: Feature) -> RawColumn:
        seen = path.stat()
        key = (str(path), seen.st_size, seen.st_mtime_ns, feature.name, feature.kind)
        if key in self._columns:
            self._columns.move_to_end(key)
            return self._columns[key]
        column = _decode(file.read(columns=[feature.name]).column(0), feature)
        self._columns[key] = column
        self._used += column.size
        while self._used > self._cache_bytes:
            _, oldest = self._columns.popitem(last=False)
            self._used -= oldest.size
        return column


@dataclass(frozen=True)
class FrameMaker:
    """Turns raw columns into the frame an estimator sees; learned from training rows and kept with the model."""

    features: tuple[Feature, ...]
    """As in the recipe; text is also here when it is left out."""
    specs: tuple[FeatureSpec, ...]
    """The columns of the frame: text is a category here, or absent."""

    def frame(self, columns: Sequence[RawColumn]) -> pd.DataFrame:
        """Return the frame of some rows."""
        import pandas as pd

        raw = {feature.name: column for feature, column in zip(self.features, columns, strict=True)}
        made: dict[str, Any] = {}
        for spec in self.specs:
            numbers = raw[spec.name].numbers
            made[spec.name] = _categorical(raw[spec.name], spec.categories) if numbers is None else numbers
        return pd.DataFrame(made, copy=False)


def learn_frame(features: tuple[Feature, ...], columns: Sequence[RawColumn]) -> FrameMaker:
    """Return how the frame of these training rows is made."""
    specs: list[FeatureSpec] = []
    for feature, column in zip(features, columns, strict=True):
        if column.codes is None:
            specs.append(FeatureSpec(feature.name, feature.kind))
            continue
        counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        if feature.kind == "text" and np.count_nonzero(counts) > MOST_CATEGORIES:
            continue
        frequent = np.argsort(-counts, kind="stable")[:MOST_CATEGORIES]
        kept = tuple(column.values[code] for code in sorted(frequent) if counts[code])
        # an empty list of categories is refused by scikit-learn; one that never occurs is not
        specs.append(FeatureSpec(feature.name, "category", kept or ("(none)",)))
    return FrameMaker(features, tuple(specs))


def _categorical(column: RawColumn, categories: tuple[str, ...]) -> pd.Categorical[Any]:
    import pandas as pd

    assert column.codes is not None
    place = {value: code for code, value in enumerate(categories)}
    # the last entry answers for -1, which is missing
    table = np.array([*(place.get(value, -1) for value in column.values), -1], dtype=np.int32)
    return pd.Categorical.from_codes(
        table[column.codes], dtype=pd.CategoricalDtype(pd.Index(categories, dtype=object), ordered=False)
    )


def _check_columns(path: Path, features: Sequence[Feature], present: Sequence[str]) -> None:
    missing = [feature.name for feature in features if feature.name not in present]
    if missing:
        raise ColumnMissing(
            f'The model needs the column "{missing[0]}", which {path.name} does not have'
            f"{nearest_spelling(missing[0], present)}; its columns are {', '.join(sorted(present)[:20])}",
            columns=missing,
        )


def _read_row_groups(file: Any, features: Sequence[Feature], rows: NDArray[np.int64] | slice) -> list[RawColumn]:
    """Decode only the row groups that hold the asked rows: for files larger than the cache."""
    total = file.metadata.num_rows
    wanted = np.arange(total, dtype=np.int64)[rows] if isinstance(rows, slice) else rows
    sizes = [file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    group_of = np.searchsorted(starts, wanted, side="right") - 1
    groups = np.unique(group_of)
    # positions inside the concatenation of the groups that were read
    offset = np.zeros(len(sizes) + 1, dtype=np.int64)
    offset[groups] = np.concatenate([[0], np.cumsum(np.asarray(sizes, dtype=np.int64)[groups])])[:-1]
    inside = wanted - starts[group_of] + offset[group_of]
    columns = []
    for feature in features:
        table = file.read_row_groups([int(group) for group in groups], columns=[feature.name])
        columns.append(_decode(table.column(0), feature).take(inside))
    return columns


def _decode(column: Any, feature: Feature) -> RawColumn:
    import pyarrow as pa

    try:
        if feature.kind in ("category", "text"):
            return _decode_codes(column)
        if feature.kind == "date":
            return RawColumn(_days(column))
        if feature.kind == "boolean" and (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            return RawColumn(_yes_or_no(column))
        return RawColumn(_floats(column))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as cause:
        raise ColumnUnreadable(
            f'The column "{feature.name}" is declared as {feature.kind}, but its type {column.type} cannot be read so; '
            "ingest the table again, or exclude the column",
            column=feature.name,
        ) from cause


def _floats(column: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    numbers = np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _days(column: Any) -> NDArray[np.float64]:
    import pyarrow as pa

    moments = column.cast(pa.timestamp("us", tz=getattr(column.type, "tz", None)), safe=False).cast(pa.int64())
    return _floats(moments) / _MICROSECONDS_A_DAY


def _yes_or_no(column: Any) -> NDArray[np.float64]:
    codes = _decode_codes(column)
    assert codes.codes is not None
    words = [value.lower() for value in codes.values]
    meaning = [1.0 if word in _YES else 0.0 if word in _NO else np.nan for word in words]
    return np.array([*meaning, np.nan])[codes.codes]


def _decode_codes(column: Any) -> RawColumn:
    """Return codes into the texts of the column, sorted; two files with the same values give the same codes."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_temporal(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64() if pa.types.is_decimal(column.type) else pa.string())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    texts = [category_text(value) for value in encoded.dictionary.to_pylist()]
    values = sorted({text for text in texts if text is not None})
    place: dict[str | None, int] = {text: code for code, text in enumerate(values)}
    # the last entry answers for -1, which is missing
    code_of = np.array([*(place.get(text, -1) for text in texts), -1], dtype=np.int32)
    indices = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return RawColumn(None, code_of[indices], tuple(values))
