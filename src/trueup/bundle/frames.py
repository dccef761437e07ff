"""How do rows become the data frame a model was trained on?

One function for training, packaging and scoring, so that a model meets the same numbers everywhere. Used inside the
processes that hold a model; pandas is imported when a frame is built.

Numbers, booleans and dates become float64 (dates as days since 1970-01-01 UTC), categories a pandas category with the
categories of the schema, in its order. What is not known is missing: null, infinite, a category never seen, a
fractional or negative code. A model made elsewhere gets the types it was made with (`FeatureSpec.dtype`), texts as
they came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trueup.bundle.errors import FeatureMissing, RowBreaksSchema
from trueup.bundle.features import FeatureSpec, Kind
from trueup.bundle.logged_types import TEXT, numbers_as_logged, texts_as_logged
from trueup.bundle.values import (
    FALSE_WORDS,
    MICROSECONDS_PER_DAY,
    TRUE_WORDS,
    category_text,
    read_boolean,
    read_category,
    read_date,
    read_number,
    read_text,
)

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 254
"""scikit-learn's histogram gradient boosting bins a feature into 255 and keeps one bin for missing values."""


class NamedKind(Protocol):
    """A column with its kind."""

    @property
    def name(self) -> str:
        """Name of the column."""

    @property
    def kind(self) -> Kind:
        """Meaning of the column."""


def learn_features(
    table: pa.Table, features: Sequence[NamedKind], *, max_categories: int | None = MOST_CATEGORIES
) -> list[FeatureSpec]:
    """Return the features with the categories that occur in `table`, sorted by their text.

    Parameters
    ----------
    table : pyarrow.Table
        The training rows, and only these: a category first seen later must stay unknown.
    features : sequence of NamedKind
        Name and kind of each input, in the model's order.
    max_categories : int or None
        The most frequent are kept (ties: the first by text) and all others count as missing; None keeps all.
    """
    return [_learn(table, feature, max_categories) for feature in features]


def prepare_frame(table: pa.Table, features: Sequence[FeatureSpec]) -> pd.DataFrame:
    """Return the frame a model takes: one column for each feature, in order, with a plain row index.

    Raises
    ------
    FeatureMissing
        When `table` has no such column, or its type cannot be read as the feature's kind.
    ValueError
        When a feature's `dtype` has no missing value and a row needs one.
    """
    import pandas as pd

    columns = {f.name: _prepared(_column(table, f.name, f.kind), f) for f in features}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows), copy=False)


def prepare_matrix(table: pa.Table, features: Sequence[FeatureSpec]) -> NDArray[np.float64]:
    """Return the numbers a compiled predictor takes, shape (rows, features): what its decoder makes of requests.

    Raises
    ------
    FeatureMissing
        When `table` has no such column, or its type cannot be read as the feature's kind.
    """
    matrix = np.empty((table.num_rows, len(features)))
    for place, feature in enumerate(features):
        column = _column(table, feature.name, feature.kind)
        if feature.kind == "category":
            codes = _codes(column, feature)
            matrix[:, place] = np.where(codes < 0, np.nan, codes)
        else:
            matrix[:, place] = _PREPARE[feature.kind](column, feature)
    return matrix


def table_of_rows(rows: Sequence[Mapping[str, Any]], features: Sequence[FeatureSpec]) -> pa.Table:
    """Return request rows (parsed JSON objects) as a table that `prepare_frame` reads.

    Fields that are no feature are left out. A date is ISO 8601 text; without an offset it is UTC.

    Raises
    ------
    RowBreaksSchema
        When a row lacks a feature (an unknown value is written as null) or a value has the wrong type.
    """
    columns = [_column_of_rows(rows, feature) for feature in features]
    return pa.Table.from_arrays(columns, names=[f.name for f in features])


def _learn(table: pa.Table, feature: NamedKind, max_categories: int | None) -> FeatureSpec:
    column = _column(table, feature.name, feature.kind)
    if feature.kind != "category":
        return FeatureSpec(feature.name, feature.kind)
    counts: dict[str, int] = {}
    for entry in pc.value_counts(_storable(column)).to_pylist():
        text = category_text(entry["values"])
        if text is not None:
            counts[text] = counts.get(text, 0) + entry["counts"]
    kept = sorted(counts, key=lambda text: (-counts[text], text))[:max_categories]
    return FeatureSpec(feature.name, feature.kind, tuple(sorted(kept)))


def _column(table: pa.Table, name: str, kind: Kind) -> pa.Array:
    places = table.schema.get_all_field_indices(name)
    if len(places) != 1:
        found = "no column" if not places else f"{len(places)} columns"
        raise FeatureMissing(
            f'the model needs the column "{name}" ({kind}), but the table has {found} of it', column=name
        )
    column = table.column(places[0])
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _storable(column: pa.Array) -> pa.Array:
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64())
    if pa.types.is_temporal(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    return column


def _prepared(column: pa.Array, feature: FeatureSpec) -> Any:
    if feature.dtype == TEXT:
        encoded = _storable(column).dictionary_encode()
        texts = [*map(category_text, encoded.dictionary.to_pylist()), None]
        positions = encoded.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)
        return texts_as_logged(texts)[positions]
    prepared = _PREPARE[feature.kind](column, feature)
    return numbers_as_logged(prepared, feature.dtype) if feature.dtype else prepared


def _number(column: pa.Array, feature: FeatureSpec) -> NDArray[np.float64]:
    if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _finite(column.cast(pa.float64(), safe=False))
    if pa.types.is_decimal(column.type) or pa.types.is_null(column.type):
        return _finite(column.cast(pa.float64()))
    raise _unreadable(column, feature)


def _boolean(column: pa.Array, feature: FeatureSpec) -> NDArray[np.float64]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        words = pc.utf8_lower(column)
        yes, no = pc.is_in(words, pa.array(TRUE_WORDS)), pc.is_in(words, pa.array(FALSE_WORDS))
        return _finite(pc.if_else(yes, 1.0, pc.if_else(no, 0.0, pa.scalar(None, pa.float64()))))
    return _number(column, feature)


def _date(column: pa.Array, feature: FeatureSpec) -> NDArray[np.float64]:
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        zone = getattr(column.type, "tz", None)
        moments = column.cast(pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())
        return _finite(moments.cast(pa.float64(), safe=False)) / MICROSECONDS_PER_DAY
    return _number(column, feature)


def _category(column: pa.Array, feature: FeatureSpec) -> pd.Categorical[Any]:
    import pandas as pd

    return pd.Categorical.from_codes(
        _codes(column, feature),
        dtype=pd.CategoricalDtype(pd.Index(feature.categories, dtype=object), ordered=False),
    )


def _codes(column: pa.Array, feature: FeatureSpec) -> NDArray[np.int32]:
    """Return the position of each value among the known categories; where it is none `unknown_place` or -1."""
    place: dict[str | None, int] = {text: i for i, text in enumerate(feature.categories)}
    place[None], unknown = -1, -1 if feature.unknown_place is None else feature.unknown_place
    encoded = _storable(column).dictionary_encode()
    known = [place.get(category_text(value), unknown) for value in encoded.dictionary.to_pylist()]
    codes = np.append(np.array(known, dtype=np.int32), np.int32(-1))
    positions = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
    return np.asarray(codes[positions], dtype=np.int32)


def _text(column: pa.Array, feature: FeatureSpec) -> NDArray[np.object_]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_null(column.type):
        texts: NDArray[np.object_] = np.array([*column.to_pylist(), None], dtype=object)[:-1]
        return texts
    raise _unreadable(column, feature)


_PREPARE: dict[str, Callable[[pa.Array, FeatureSpec], Any]] = {
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "category": _category,
    "text": _text,
}


def _finite(column: pa.Array) -> NDArray[np.float64]:
    numbers = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=True)
    numbers[~np.isfinite(numbers)] = np.nan
    return np.asarray(numbers)


def _unreadable(column: pa.Array, feature: FeatureSpec) -> FeatureMissing:
    return FeatureMissing(
        f'the model needs "{feature.name}" as {feature.kind}, but the column holds {column.type}',
        column=feature.name,
        seen=str(column.type),
    )


def _column_of_rows(rows: Sequence[Mapping[str, Any]], feature: FeatureSpec) -> pa.Array:
    read, kind = _READ[feature.kind]
    values = []
    for place, row in enumerate(rows):
        if feature.name not in row:
            raise RowBreaksSchema(
                f'row {place} lacks "{feature.name}" ({feature.kind}); send null where it is not known',
                row=place,
                field=feature.name,
            )
        value = row[feature.name]
        try:
            values.append(None if value is None else read(value))
        except (TypeError, ValueError, OverflowError):
            raise RowBreaksSchema(
                f'row {place}: "{feature.name}" must be a {feature.kind} or null, not {type(value).__name__}'
                f"{' of this form' if isinstance(value, str) else ''}",
                row=place,
                field=feature.name,
            ) from None
    return pa.array(values, kind)


_READ: dict[str, tuple[Callable[[Any], Any], pa.DataType]] = {
    "number": (read_number, pa.float64()),
    "boolean": (read_boolean, pa.float64()),
    "date": (read_date, pa.float64()),
    "category": (read_category, pa.string()),
    "text": (read_text, pa.string()),
}
