"""Log models with MLflow itself, and say what MLflow's own loaders answer: run as a program by `test_adopt`.

Arguments: the table (Parquet), the folder to write to. Writes ``<name>/`` (MLflow model folders) and ``answers.json``:
by name the numbers that the model gives for every row of the table, as float64 in hexadecimal.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow.lightgbm
import mlflow.onnx
import mlflow.pyfunc
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

RAW = ["amount", "count", "broker", "new"]
NUMBERS = ["amount", "count"]


def pipeline(final: Any) -> Any:
    """Return what people write in front of a model."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return make_pipeline(
        make_column_transformer((numbers, NUMBERS), (texts, ["broker"]), ("passthrough", ["new"])), final
    )


def main(table: Path, into: Path) -> None:
    """Write the folders and the answers."""
    frame = pd.read_parquet(table)
    raw, label = frame[RAW], frame["result"]
    typed = raw.assign(broker=raw["broker"].astype("category"))
    numbers = raw[NUMBERS].fillna(0.0).astype("float64")
    singles = numbers.astype(np.float32)
    bad = (label == "bad").astype(int)
    answers: dict[str, Any] = {}

    def log(name: str, save: Any, model: Any, *, given: Any, answer: Any, **more: Any) -> None:
        more = {"signature": infer_signature(given), "input_example": given[:30], **more}
        save(model, into / name, pip_requirements=["scikit-learn==1.2.3", "numpy"], **more)
        answers[name] = [x.hex() for x in np.asarray(answer(into / name), dtype=np.float64).tolist()]

    def positive(path: Path) -> Any:
        """Return the probability of the class that stands second in the alphabet or the numbers."""
        return mlflow.sklearn.load_model(str(path)).predict_proba(raw)[:, 1]

    linear = pipeline(LogisticRegression()).fit(raw, bad)
    log("linear-pickle", mlflow.sklearn.save_model, linear, given=raw, answer=positive, serialization_format="pickle")
    log(
        "unsigned-skops",
        mlflow.sklearn.save_model,
        pipeline(LogisticRegression()).fit(raw, label),
        given=raw,
        # "bad" stands before "good"
        answer=lambda path: mlflow.sklearn.load_model(str(path)).predict_proba(raw)[:, 0],
        signature=None,
        input_example=None,
        serialization_format="skops",
        skops_trusted_types=["numpy.dtype"],
    )
    boosted = HistGradientBoostingClassifier(max_iter=20).fit(typed, bad)
    log(
        "boosting",
        mlflow.sklearn.save_model,
        boosted,
        given=typed,
        answer=lambda path: mlflow.sklearn.load_model(str(path)).predict_proba(typed)[:, 1],
        serialization_format="pickle",
    )
    trees = lgb.LGBMClassifier(n_estimators=20, verbose=-1).fit(typed, bad)
    log(
        "lightgbm-text",
        mlflow.lightgbm.save_model,
        trees.booster_,
        given=typed,
        answer=lambda path: mlflow.lightgbm.load_model(str(path)).predict(typed),
    )
    for form in ("cloudpickle", "skops"):
        mlflow.lightgbm.save_model(
            trees, into / f"lightgbm-{form}", signature=infer_signature(typed), serialization_format=form
        )
    single = make_pipeline(StandardScaler(), LogisticRegression()).fit(singles.to_numpy(), bad)
    for name, zipmap, opset in (("onnx-map", True, 15), ("onnx-tensor", False, 21)):
        graph = to_onnx(single, singles.to_numpy()[:1], options={"zipmap": zipmap}, target_opset=opset)
        log(
            name,
            mlflow.onnx.save_model,
            graph,
            given=singles,
            answer=lambda path, zipmap=zipmap: onnx_answer(path, singles, zipmap=zipmap),
        )
    regressor = GradientBoostingRegressor(n_estimators=20).fit(numbers.to_numpy(), frame["cost"])
    log(
        "array",
        mlflow.sklearn.save_model,
        regressor,
        given=numbers.to_numpy(),
        answer=lambda path: mlflow.pyfunc.load_model(str(path)).predict(numbers.to_numpy()),
        serialization_format="pickle",
    )
    log_with_code(into, numbers, frame["count"] // 3, answers=answers)
    (into / "answers.json").write_text(json.dumps(answers))


def log_with_code(into: Path, numbers: pd.DataFrame, label: pd.Series, *, answers: dict[str, Any]) -> None:
    """Log a model of three classes with a step of its own, whose module goes with it."""
    module = into / "ratios.py"
    module.write_text(
        "from sklearn.base import BaseEstimator, TransformerMixin\n"
        "class Ratio(TransformerMixin, BaseEstimator):\n"
        "    def fit(self, X, y=None):\n"
        "        self.n_features_in_ = 2\n"
        "        return self\n"
        "    def transform(self, X):\n"
        "        return X.assign(ratio=X['amount'] / (1 + X['count']))\n"
    )
    sys.path.insert(0, str(into))
    ratios = importlib.import_module("ratios")
    model = make_pipeline(ratios.Ratio(), StandardScaler(), LogisticRegression()).fit(numbers, label)
    mlflow.sklearn.save_model(
        model,
        into / "with-code",
        code_paths=[str(module)],
        signature=infer_signature(numbers),
        input_example=numbers[:30],
        pip_requirements=["numpy"],
        serialization_format="pickle",
    )
    answers["with-code"] = [x.hex() for x in model.predict_proba(numbers).ravel().tolist()]


def onnx_answer(path: Path, frame: pd.DataFrame, *, zipmap: bool) -> Any:
    """Return what MLflow's own wrapper feeds and gets, the second class of it."""
    feed = {"X": frame.to_numpy()}
    given = mlflow.pyfunc.load_model(str(path)).get_raw_model().run(None, feed)[1]
    return [row[1] for row in given] if zipmap else given[:, 1]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
