"""How is a model served that is an ONNX graph already? As it is; maps from label to probability become a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trueup.bundle.compiling.parts import Compiled, NotCompiled
from trueup.bundle.compiling.wrapping import kind_of
from trueup.bundle.features import FeatureSpec

GRAPH_FILE = "graph.onnx"
_GRAPH = "trueup.bundle.native_models.OnnxModel"
_REORDERED = "trueup.bundle.native_models.Reordered"
_FLOATS = (1, 11)
"""TensorProto.FLOAT and DOUBLE."""


def is_graph(model: Any) -> bool:
    """Return whether a model is an ONNX graph, its classes in another order or not."""
    return kind_of(model) == _GRAPH or (kind_of(model) == _REORDERED and is_graph(model.estimator))


def carry_graph(model: Any, features: Sequence[FeatureSpec], *, task: str) -> Compiled | NotCompiled:
    """Return an ONNX graph as one stage, and a second that picks the classes.

    Parameters
    ----------
    model : OnnxModel or Reordered
    features : sequence of FeatureSpec
        The columns of the frame it takes.
    task : str
        binary, multiclass or regression.
    """
    import onnx

    order, inner = (list(model.places), model.estimator) if kind_of(model) == _REORDERED else (None, model)
    part = type(inner).__name__
    if any(f.kind in ("category", "text") or f.dtype not in ("", "float32") for f in features):
        return NotCompiled(part, "a column is no plain number")
    loaded = onnx.load_model_from_string(inner.content)
    given = {one.name for one in loaded.graph.initializer}
    inputs = [one for one in loaded.graph.input if one.name not in given]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type not in _FLOATS:
        return NotCompiled(part, "the graph takes something else than one matrix of floats")
    output = _without_map(loaded.graph, inner.output) if inner.labels else inner.output
    if output is None:
        return NotCompiled(part, "the graph gives maps whose numbers cannot be told")
    stages: list[dict[str, Any]] = [{"kind": "onnx", "file": GRAPH_FILE, "inputs": [], "output": output}]
    if task != "regression":
        classes = order or list(range(len(inner.classes_)))
        stages.append({"kind": "take", "places": classes[1:] if task == "binary" else classes})
    return Compiled(tuple(stages), {GRAPH_FILE: loaded.SerializeToString(deterministic=True)})


def _without_map(graph: Any, output: str) -> str | None:
    """Take the node away that makes maps of the probabilities; return the name of their tensor."""
    from onnx import TensorProto, helper

    node = next((node for node in graph.node if node.op_type == "ZipMap" and output in node.output), None)
    if node is None:
        return None
    (tensor,) = node.input
    made = [one for one in graph.output if one.name != output]
    graph.node.remove(node)
    del graph.output[:]
    graph.output.extend([*made, helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None)])
    return str(tensor)
