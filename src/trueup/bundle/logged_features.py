"""How does the signature of a model made elsewhere become a bundle's schema? Its types, and the categories known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from trueup.bundle.examining import Examined
from trueup.bundle.features import FeatureSpec, Kind
from trueup.bundle.frames import learn_features
from trueup.bundle.logged_types import TEXT
from trueup.bundle.mlflow_reading import LoggedColumn

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS: dict[str, tuple[Kind, str]] = {
    "double": ("number", ""),
    "float": ("number", "float32"),
    "long": ("number", "int64"),
    "integer": ("number", "int32"),
    "boolean": ("boolean", "bool"),
    "datetime": ("date", "datetime64[us]"),
    "string": ("category", TEXT),
}
_WITHOUT_MISSING = ("int64", "int32", "bool")


def logged_features(
    columns: Sequence[LoggedColumn], examined: Examined, *, table: pa.Table | None
) -> tuple[FeatureSpec, ...]:
    """Return the features whose frame is what MLflow would hand to the model.

    A text column's categories are those that the model's encoders know and the most frequent ones of `table`; without
    either it is free text. A column that the model takes as a pandas category keeps the model's own categories.
    """
    return tuple(_feature(column, examined, table) for column in columns)


def forgiving(features: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """Return the features with whole numbers and booleans as floats, which can be missing."""
    return tuple(replace(f, dtype="") if f.dtype in _WITHOUT_MISSING else f for f in features)


def as_categories(features: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """Return the features with texts as pandas categories, for models that take nothing else."""
    return tuple(replace(f, dtype="") if f.kind == "category" else f for f in forgiving(features))


def logged_columns(table: pa.Table, names: Sequence[str]) -> tuple[LoggedColumn, ...]:
    """Return the columns of a model without a signature, by the types they have in a table that has them all."""
    return tuple(LoggedColumn(name, _type_of(table.schema.field(name).type)) for name in names)


def _type_of(kind: pa.DataType) -> str:
    import pyarrow as pa

    tests: Mapping[str, bool] = {
        "boolean": pa.types.is_boolean(kind),
        "long": pa.types.is_integer(kind),
        "double": pa.types.is_floating(kind) or pa.types.is_decimal(kind),
        "datetime": pa.types.is_date(kind) or pa.types.is_timestamp(kind),
    }
    return next((name for name, yes in tests.items() if yes), "string")


def _feature(column: LoggedColumn, examined: Examined, table: pa.Table | None) -> FeatureSpec:
    kind, dtype = _KINDS[column.type]
    if column.name in examined.typed:
        return FeatureSpec(column.name, "category", examined.categories[column.name])
    if kind != "category":
        return FeatureSpec(column.name, kind, dtype=dtype)
    known = set(examined.categories.get(column.name, ()))
    if table is not None:
        known |= set(learn_features(table, [FeatureSpec(column.name, "category")])[0].categories)
    return FeatureSpec(column.name, "category" if known else "text", tuple(sorted(known)), dtype)
