"""Which output of an ONNX graph is the answer, and which classes does it tell apart? Read from the graph itself."""

from __future__ import annotations

from typing import Any

from trueup.bundle.errors import ModelFailed
from trueup.bundle.mlflow_reading import MlflowUnsupported
from trueup.bundle.native_models import OnnxModel

_LABELS = ("classlabels_int64s", "classlabels_ints", "classlabels_strings")
_FLOATS = (1, 11)
"""TensorProto.FLOAT and DOUBLE."""


def open_onnx(content: bytes) -> OnnxModel:
    """Return a graph as a model; its classes are in the graph's own order.

    The answer is the output of probabilities wherever there is one: a map for each row, or the floats beside a label.
    A graph with nothing but one float a row is a regressor.

    Raises
    ------
    MlflowUnsupported
        When no output is a probability or a number.
    ModelFailed
        When the library onnx is not installed, or the bytes are no graph.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ModuleNotFoundError as error:
        raise ModelFailed(
            'the model is an ONNX graph, and onnx is not installed here; install "trueup[onnx]"', module="onnx"
        ) from error
    try:
        graph = onnx.load_model_from_string(content).graph
    except DecodeError as error:
        raise ModelFailed("the model is no ONNX graph that can be read") from error
    labels = _labels(graph)
    maps = [output for output in graph.output if output.type.WhichOneof("value") == "sequence_type"]
    floats = [output for output in graph.output if output.type.tensor_type.elem_type in _FLOATS]
    if maps and labels:
        return _named(OnnxModel(content, output=maps[0].name, n_classes=len(labels), labels=labels), labels)
    if labels and floats:
        return _named(OnnxModel(content, output=floats[0].name, n_classes=len(labels)), labels)
    if len(graph.output) == 1 and floats and _width(floats[0]) in (None, 0, 1):
        return OnnxModel(content, output=floats[0].name, n_classes=0)
    if len(graph.output) == 1 and floats:
        count = _width(floats[0]) or 0
        return OnnxModel(content, output=floats[0].name, n_classes=count)
    raise MlflowUnsupported(
        f"the ONNX graph has the outputs {', '.join(output.name for output in graph.output)}, and none of them is a "
        "probability or a number; convert the model with its probabilities"
    )


def _named(model: OnnxModel, labels: list[Any]) -> OnnxModel:
    import numpy as np

    model.classes_ = np.array(labels)
    return model


def _labels(graph: Any) -> list[Any]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in _LABELS and (attribute.ints or attribute.strings):
                return list(attribute.ints) or [text.decode() for text in attribute.strings]
    return []


def _width(output: Any) -> int | None:
    sizes = output.type.tensor_type.shape.dim
    return int(sizes[1].dim_value) if len(sizes) == 2 else None
