"""The answer of an ONNX graph is its probability or its number, never its label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression

from trueup.bundle.errors import ModelFailed
from trueup.bundle.mlflow_reading import MlflowUnsupported
from trueup.bundle.onnx_graphs import open_onnx

ROWS = np.random.default_rng(4).random((60, 2)).astype(np.float32)
PLACES = (ROWS[:, 0] * 3).astype(int)


def graph_of(model: Any, **options: Any) -> bytes:
    """Return a fitted model as skl2onnx writes it."""
    content: bytes = to_onnx(model, ROWS[:1], target_opset=18, **options).SerializeToString()
    return content


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("labels", [[3, 5, 7], ["a", "b", "c"]], ids=["numbers", "texts"])
def test_classes_come_in_the_graphs_own_order_with_their_probabilities(labels: list[Any], zipmap: bool) -> None:
    fitted = LogisticRegression().fit(ROWS, np.array(labels)[PLACES])

    model = open_onnx(graph_of(fitted, options={"zipmap": zipmap}))

    import pandas as pd

    assert model.classes_.tolist() == labels
    given = model.predict_proba(pd.DataFrame(ROWS))
    # computed in single precision there
    np.testing.assert_allclose(given, fitted.predict_proba(ROWS), atol=1e-6)


def test_a_graph_with_one_number_a_row_is_a_regressor() -> None:
    model = open_onnx(graph_of(LinearRegression().fit(ROWS, ROWS[:, 0])))

    assert not hasattr(model, "classes_")


def test_a_graph_that_answers_with_places_only_is_refused_with_its_outputs() -> None:
    labels = helper.make_tensor_value_info("place", TensorProto.INT64, [None])
    given = helper.make_tensor_value_info("x", TensorProto.INT64, [None])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["place"])], "places", [given], [labels])

    with pytest.raises(MlflowUnsupported, match="has the outputs place, and none of them is a probability"):
        open_onnx(helper.make_model(graph).SerializeToString())


def test_a_clustering_is_neither_probability_nor_number() -> None:
    fitted = KMeans(n_clusters=2, n_init=1).fit(ROWS)

    with pytest.raises(MlflowUnsupported, match="has the outputs label, scores"):
        open_onnx(graph_of(fitted))


def test_bytes_that_are_no_graph_are_refused() -> None:
    with pytest.raises(ModelFailed, match="no ONNX graph"):
        open_onnx(b"no graph\xff\xff")


def test_two_numbers_a_row_that_are_no_probabilities_are_no_classes() -> None:
    import pandas as pd

    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], [3.0, -1.0, 0.5, 2.0])
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [given], [out], [weights])
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()

    with pytest.raises(ModelFailed, match="holds no probabilities"):
        open_onnx(content).predict_proba(pd.DataFrame(ROWS))
