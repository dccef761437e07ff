"""The types of a signature become the frame that MLflow itself would hand to the model."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from trueup.bundle.examining import Examined
from trueup.bundle.features import FeatureSpec
from trueup.bundle.logged_features import as_categories, forgiving, logged_columns, logged_features
from trueup.bundle.mlflow_reading import LoggedColumn


def examined(categories: Mapping[str, tuple[str, ...]] | None = None, *, typed: tuple[str, ...] = ()) -> Examined:
    """Return the facts of a model whose encoders know these texts."""
    return Examined("Pipeline", "binary", ("0", "1"), None, None, categories or {}, typed, content=b"", native=False)


def test_each_type_of_mlflow_has_its_own_in_the_frame() -> None:
    types = ("double", "float", "long", "integer", "boolean", "datetime", "string")
    columns = [LoggedColumn(name, name) for name in types]

    features = logged_features(columns, examined(), table=None)

    assert [(f.kind, f.dtype) for f in features] == [
        ("number", ""),
        ("number", "float32"),
        ("number", "int64"),
        ("number", "int32"),
        ("boolean", "bool"),
        ("date", "datetime64[us]"),
        ("text", "object"),
    ]


def test_a_text_column_has_the_encoders_texts_and_those_of_the_table() -> None:
    table = pa.table({"city": ["x", "z", "z", None]})

    features = logged_features([LoggedColumn("city", "string")], examined({"city": ("y", "x")}), table=table)

    assert features == (FeatureSpec("city", "category", ("x", "y", "z"), "object"),)


def test_a_pandas_category_keeps_the_models_own_order_whatever_the_table_holds() -> None:
    table = pa.table({"city": ["a", "b"]})
    known = examined({"city": ("z", "x")}, typed=("city",))

    features = logged_features([LoggedColumn("city", "string")], known, table=table)

    assert features == (FeatureSpec("city", "category", ("z", "x")),)


def test_floats_take_the_place_of_what_cannot_be_missing() -> None:
    features = (
        FeatureSpec("count", "number", dtype="int64"),
        FeatureSpec("new", "boolean", dtype="bool"),
        FeatureSpec("amount", "number", dtype="float32"),
        FeatureSpec("city", "category", ("x",), "object"),
    )

    assert [f.dtype for f in forgiving(features)] == ["", "", "float32", "object"]
    assert [f.dtype for f in as_categories(features)] == ["", "", "float32", ""]


def test_without_a_signature_the_columns_of_the_table_say_the_types() -> None:
    table = pa.table(
        {
            "new": [True],
            "count": [1],
            "amount": pa.array([None], pa.decimal128(9, 2)),
            "day": pa.array([0], pa.date32()),
            "city": pa.array(["x"]).dictionary_encode(),
        }
    )

    columns = logged_columns(table, ["city", "day", "amount", "count", "new"])

    assert [(c.name, c.type) for c in columns] == [
        ("city", "string"),
        ("day", "datetime"),
        ("amount", "double"),
        ("count", "long"),
        ("new", "boolean"),
    ]
