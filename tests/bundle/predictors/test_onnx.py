"""A stage in ONNX format answers with the bits of the formula it was made from, or says what to install."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from trueup.bundle.errors import BadManifest, LibraryMissing
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.opening import open_compiled

FEATURES = (FeatureSpec("amount", "number"), FeatureSpec("broker", "category", ("a", "b")))


def model(nodes: list[Any], inputs: Sequence[tuple[str, Any, list[Any]]], output: str) -> bytes:
    graph = helper.make_graph(
        nodes,
        "by hand",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, None])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def doubled() -> bytes:
    """Return a model that adds a matrix to itself."""
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    return model(nodes, [("x", TensorProto.DOUBLE, [None, 2])], "y")


def plan(**changes: Any) -> dict[str, Any]:
    stage = {"kind": "onnx", "file": "model.onnx", "inputs": [], "output": "y", **changes}
    return {"format": 1, "stages": [stage], "outputs": 2}


def test_a_model_of_one_matrix_answers_in_double_precision() -> None:
    predictor = open_compiled(plan(), {"model.onnx": doubled()}, features=FEATURES)

    assert predictor.score_request(b'{"amount": 0.4999999999999999, "broker": "b"}') == (0.9999999999999998, 2.0)
    assert predictor.score_rows(np.array([[1.0, 0.0], [2.0, 1.0]])).tolist() == [[2.0, 0.0], [4.0, 2.0]]
    assert predictor.score_rows(np.empty((0, 2))).shape == (0, 2)


def test_a_model_of_columns_gets_categories_as_text_and_another_where_missing() -> None:
    nodes = [helper.make_node("Identity", ["amount"], ["y"]), helper.make_node("Identity", ["broker"], ["z"])]
    inputs = [("amount", TensorProto.DOUBLE, [None, 1]), ("broker", TensorProto.STRING, [None, 1])]
    content = model(nodes, inputs, "y")
    from trueup.bundle.predictors.onnx import OnnxStage

    stage = OnnxStage(content, inputs=[None, ["a", "b"]], output="y", missing="nan")
    fed = stage._fed(np.array([[1.0, 1.0], [2.0, np.nan]]))

    assert fed["broker"].tolist() == [["b"], ["nan"]]
    assert fed["amount"].tolist() == [[1.0], [2.0]]


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(BadManifest, match="cannot be opened"):
        open_compiled(plan(), {"model.onnx": b"no model"}, features=FEATURES)


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(LibraryMissing, match=r"install trueup\[onnx\]") as caught:
        open_compiled(plan(), {"model.onnx": doubled()}, features=FEATURES)
    assert caught.value.code == "bundle.library-missing"
