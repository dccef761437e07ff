"""A model that is an ONNX graph already is served as it is, with the numbers that the graph gave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trueup.bundle.compiling.onnx_carrying import carry_graph
from trueup.bundle.compiling.parts import Compiled, NotCompiled
from trueup.bundle.features import FeatureSpec
from trueup.bundle.native_models import Reordered
from trueup.bundle.onnx_graphs import open_onnx
from trueup.bundle.predictors.opening import open_compiled
from trueup.bundle.predictors.predictor import FORMAT

ROWS = np.random.default_rng(4).random((60, 2)).astype(np.float32)
FRAME = pd.DataFrame(ROWS, columns=["a", "b"])
FEATURES = (FeatureSpec("a", "number", dtype="float32"), FeatureSpec("b", "number", dtype="float32"))


def graph_of(labels: Any, *, zipmap: bool) -> Any:
    """Return a classifier that skl2onnx wrote."""
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, labels)
    return open_onnx(to_onnx(fitted, ROWS[:1], options={"zipmap": zipmap}, target_opset=18).SerializeToString())


def served(model: Any, *, task: str, outputs: int = 1) -> Any:
    """Return the answers of the carried graph."""
    made = carry_graph(model, FEATURES, task=task)
    assert isinstance(made, Compiled)
    plan = {"format": FORMAT, "stages": list(made.stages), "outputs": outputs}
    return open_compiled(plan, made.files, features=FEATURES).score_rows(ROWS.astype(np.float64))


@pytest.mark.parametrize("zipmap", [True, False])
def test_two_classes_answer_with_the_second_and_in_another_order_with_the_first(zipmap: bool) -> None:
    model = graph_of(ROWS[:, 0] > 0.5, zipmap=zipmap)

    expected = model.predict_proba(FRAME)
    assert np.array_equal(served(model, task="binary"), expected[:, 1:])
    assert np.array_equal(served(Reordered(model, [1, 0]), task="binary"), expected[:, :1])


def test_three_classes_stand_in_the_projects_order() -> None:
    model = graph_of((ROWS[:, 0] * 3).astype(int), zipmap=True)

    given = served(Reordered(model, [2, 0, 1]), task="multiclass", outputs=3)

    assert np.array_equal(given, model.predict_proba(FRAME)[:, [2, 0, 1]])


def test_a_number_is_the_graphs_number() -> None:
    fitted = LinearRegression().fit(ROWS, ROWS[:, 0])
    model = open_onnx(to_onnx(fitted, ROWS[:1], target_opset=18).SerializeToString())

    assert np.array_equal(served(model, task="regression"), model.predict(FRAME))


def test_a_column_that_is_no_plain_number_is_left_to_the_original() -> None:
    model = graph_of(ROWS[:, 0] > 0.5, zipmap=False)

    told = carry_graph(model, (FEATURES[0], FeatureSpec("b", "number", dtype="int64")), task="binary")

    assert told == NotCompiled("OnnxModel", "a column is no plain number")
