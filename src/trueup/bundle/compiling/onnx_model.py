"""Can a model be written in ONNX format? By skl2onnx, where it is installed; whether rightly, the proof says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueup.bundle.compiling.onnx_carrying import carry_graph, is_graph
from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled, columns_of
from trueup.bundle.features import FeatureSpec

MODEL_FILE = "model.onnx"
_BY_NAME = ("ColumnTransformer",)
_NAME = "model"
"""Of the graph; skl2onnx draws another one each time else."""
_MISSING = "nan"
"""What skl2onnx writes for a missing value among the categories of an encoder."""


def convert_to_onnx(model: Any, features: Sequence[FeatureSpec], *, task: str) -> Compiled | NotCompiled:
    """Return a model as one ONNX stage, in double precision.

    Parameters
    ----------
    model : object
        The fitted estimator.
    features : sequence of FeatureSpec
        The columns of the frame it takes.
    task : str
        binary, multiclass or regression.
    """
    if is_graph(model):
        return carry_graph(model, features, task=task)
    if any(feature.dtype for feature in features):
        return NotCompiled(type(model).__name__, "a column has a type of its own, which ONNX would not keep")
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import DoubleTensorType, StringTensorType
    except ImportError:
        return NotCompiled(type(model).__name__, "skl2onnx is not installed")
    columns = columns_of(features)
    by_name = _takes_names(model)
    if by_name:
        types = [
            (c.name, StringTensorType([None, 1]) if c.categories else DoubleTensorType([None, 1])) for c in columns
        ]
    else:
        types = [("x", DoubleTensorType([None, len(columns)]))]
    regression = task == "regression"
    options = None if regression else {id(model): {"zipmap": False}}
    content = convert_sklearn(model, _NAME, types, options=options, **_own_converters()).SerializeToString()
    stage = {
        "kind": "onnx",
        "file": MODEL_FILE,
        "inputs": [_texts(c) for c in columns] if by_name else [],
        "missing": _text_of_missing(columns),
        "output": "variable" if regression else "probabilities",
    }
    # a model of two classes gives both probabilities; the score is the second
    stages = (stage, {"kind": "take", "places": [1]}) if task == "binary" else (stage,)
    return Compiled(stages, {MODEL_FILE: content})


def _takes_names(model: Any) -> bool:
    """Return whether a model picks columns by name, so that each must be an input of its own."""
    first = model.steps[0][1] if hasattr(model, "steps") and model.steps else model
    return type(first).__name__ in _BY_NAME


def _texts(column: Column) -> list[str] | None:
    return None if column.categories is None else list(column.categories)


def _text_of_missing(columns: Sequence[Column]) -> str:
    return "" if any(_MISSING in (column.categories or ()) for column in columns) else _MISSING


def _own_converters() -> dict[str, Any]:
    """Return how imputers are written: ONNX's own operator keeps fills in single precision, and runs on no double."""
    from skl2onnx.common._registration import get_shape_calculator
    from sklearn.impute import SimpleImputer

    return {
        "custom_conversion_functions": {SimpleImputer: _write_imputer},
        "custom_shape_calculators": {SimpleImputer: get_shape_calculator("SklearnSimpleImputer")},
    }


def _write_imputer(scope: Any, operator: Any, container: Any) -> None:
    """Write an imputer of doubles as a choice between fill and number; of texts as skl2onnx writes it."""
    from onnx import TensorProto
    from skl2onnx.common._registration import get_converter
    from skl2onnx.common.data_types import DoubleTensorType

    imputer = operator.raw_operator
    if not all(isinstance(one.type, DoubleTensorType) for one in operator.inputs):
        get_converter("SklearnSimpleImputer")(scope, operator, container)
        return
    if imputer.add_indicator or imputer.missing_values == imputer.missing_values:
        raise NotImplementedError("an imputer with indicators, or of another missing value than NaN")
    fills = imputer.statistics_.astype("float64")
    if not (fills == fills).all():  # noqa: PLR0124 - NaN
        raise NotImplementedError("an imputer of a column that had no number in training")
    numbers, missing, filled = (scope.get_unique_variable_name(name) for name in ("numbers", "missing", "fills"))
    container.add_node("Concat", [one.full_name for one in operator.inputs], [numbers], op_version=13, axis=1)
    container.add_initializer(filled, TensorProto.DOUBLE, [1, len(fills)], fills)
    container.add_node("IsNaN", [numbers], [missing], op_version=13)
    container.add_node("Where", [missing, filled, numbers], [operator.outputs[0].full_name], op_version=9)
