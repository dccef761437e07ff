"""Can a model be written in ONNX format? By skl2onnx, where it is installed; whether rightly, the proof says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueup.bundle.compiling.onnx_carrying import carry_graph, is_graph
from trueup.bundle.compiling.parts import Column, Compiled, NotCompiled, columns_of
from trueup.bundle.features import FeatureSpec

MODEL_FILE = "model.onnx"
_BY_NAME = ("ColumnTransformer",)


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
        from skl2onnx import to_onnx
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
    content = to_onnx(model, initial_types=types, options=options).SerializeToString()
    stage = {
        "kind": "onnx",
        "file": MODEL_FILE,
        "inputs": [_texts(c) for c in columns] if by_name else [],
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
