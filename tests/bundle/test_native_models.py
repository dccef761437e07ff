"""Models in a library's own format answer as the library itself does."""

from __future__ import annotations

import pickle

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression

from trueup.bundle.native_models import LightGBMModel, OnnxModel, Reordered


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Return numbers, texts as categories and numbers as categories, with missing values."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "amount": np.where(rng.random(300) < 0.1, np.nan, rng.random(300)),
            "broker": pd.Categorical(rng.choice(["x", "y", "z"], 300)),
            "code": pd.Categorical(rng.choice([3, 5, 7], 300)),
        }
    )
    frame.loc[::17, "broker"] = np.nan
    return frame


def as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame as a bundle prepares it: categories are texts, among them one the model never met."""
    codes = frame["code"].astype("Int64").astype(str).where(frame["code"].notna())
    return frame.assign(
        broker=pd.Categorical(frame["broker"].astype(object), categories=["new", "x", "y", "z"]),
        code=pd.Categorical(codes, categories=["3", "5", "7"]),
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_lightgbm_classes_have_the_probabilities_of_lightgbm_to_the_last_bit(frame: pd.DataFrame, classes: int) -> None:
    outcome = (np.nan_to_num(frame["amount"]) * classes).astype(int).clip(0, classes - 1)
    fitted = lgb.LGBMClassifier(n_estimators=15, verbose=-1).fit(frame, outcome)

    model = LightGBMModel(fitted.booster_.model_to_string())

    assert np.array_equal(model.predict_proba(as_texts(frame)), fitted.predict_proba(frame))
    assert model.classes_.tolist() == list(range(classes))


def test_lightgbm_numbers_are_those_of_lightgbm_and_it_claims_no_classes(frame: pd.DataFrame) -> None:
    fitted = lgb.LGBMRegressor(n_estimators=15, verbose=-1).fit(frame, np.nan_to_num(frame["amount"]))

    model = LightGBMModel(fitted.booster_.model_to_string())

    assert np.array_equal(model.predict(as_texts(frame)), fitted.predict(frame))
    assert not hasattr(model, "classes_")
    assert not model.classifies


def test_a_pickled_lightgbm_model_refers_to_nothing_of_lightgbm(frame: pd.DataFrame) -> None:
    fitted = lgb.LGBMRegressor(n_estimators=2, verbose=-1).fit(frame, np.nan_to_num(frame["amount"]))
    model = LightGBMModel(fitted.booster_.model_to_string())
    before = model.predict(as_texts(frame))

    content = pickle.dumps(model)

    assert b"lightgbm.basic" not in content
    assert np.array_equal(pickle.loads(content).predict(as_texts(frame)), before)


@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_probabilities_are_those_of_the_graph(zipmap: bool) -> None:
    rows = np.random.default_rng(0).random((50, 2)).astype(np.float32)
    fitted = LogisticRegression().fit(rows, np.where(rows[:, 0] > 0.5, "yes", "no"))
    graph = to_onnx(fitted, rows[:1], options={"zipmap": zipmap}, target_opset=18).SerializeToString()
    output, labels = ("output_probability", ("no", "yes")) if zipmap else ("probabilities", ())

    given = OnnxModel(graph, output=output, n_classes=2, labels=labels).predict_proba(pd.DataFrame(rows))

    # skl2onnx computes in single precision
    np.testing.assert_allclose(given, fitted.predict_proba(rows), atol=1e-6)


def test_an_onnx_graph_with_one_input_a_column_is_fed_by_name() -> None:
    from skl2onnx.common.data_types import DoubleTensorType

    rows = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [0.0, 1.0, 5.0]})
    fitted = LinearRegression().fit(rows, rows["a"] * 2 - rows["b"])
    kinds = [("a", DoubleTensorType([None, 1])), ("b", DoubleTensorType([None, 1]))]
    from skl2onnx import convert_sklearn
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    pipeline = make_pipeline(FunctionTransformer(), fitted)
    graph = convert_sklearn(pipeline, initial_types=kinds, target_opset=18).SerializeToString()

    given = OnnxModel(graph, output="variable", n_classes=0).predict(rows[["b", "a"]])

    np.testing.assert_allclose(given[:, 0], [2.0, 3.0, 3.0], atol=1e-9)


def test_reordered_classes_stand_in_the_projects_order() -> None:
    class Fixed:
        def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
            return np.array([[0.1, 0.2, 0.7]])

    model = Reordered(Fixed(), [2, 0, 1])

    assert model.predict_proba(pd.DataFrame({"x": [1]})).tolist() == [[0.7, 0.1, 0.2]]
    assert model.classes_.tolist() == [0, 1, 2]
