"""How does a model answer that is kept in a library's own format, not as a pickle? LightGBM text, ONNX.

Each has scikit-learn's `predict` or `predict_proba`, takes the frame of `frames`, and is opened when it first answers.
Their own pickles hold nothing but the format's bytes and plain values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.errors import ModelFailed
from trueup.bundle.values import category_text

if TYPE_CHECKING:
    import pandas as pd

Scores = NDArray[np.float64]
_ROUNDING = 1e-3
"""By how much probabilities in single precision may miss 0 and their sum 1."""
_PROBABILITIES = ("binary", "multiclass", "multiclassova", "softmax", "ova")


class LightGBMModel:
    """A LightGBM model from its text: a classifier gives probabilities, any other model its number.

    Parameters
    ----------
    text : str
        As `Booster.save_model` writes it.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._booster: Any = None
        objective = _line(text, "objective").split()[:1]
        n_classes = max(2, int(_line(text, "num_class") or 1))
        self._classifies = objective[:1] != [] and objective[0] in _PROBABILITIES
        if self._classifies:
            self.classes_ = np.arange(n_classes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_booster": None}

    @property
    def booster(self) -> Any:
        """Return LightGBM's own model."""
        if self._booster is None:
            import lightgbm

            self._booster = lightgbm.Booster(model_str=self.text)
        return self._booster

    @property
    def classifies(self) -> bool:
        """Return whether its answers are probabilities."""
        return self._classifies

    def predict(self, frame: pd.DataFrame) -> Scores:
        """Return what LightGBM's `predict` gives: of two classes the probability of the second."""
        return np.asarray(self.booster.predict(self._matrix(frame)), dtype=np.float64)

    def predict_proba(self, frame: pd.DataFrame) -> Scores:
        """Return probabilities, shape (rows, classes)."""
        given = self.predict(frame)
        return np.column_stack([1.0 - given, given]) if given.ndim == 1 else given

    def _matrix(self, frame: pd.DataFrame) -> Scores:
        waiting = iter(self.booster.pandas_categorical or ())
        columns = [_codes(frame[name], waiting) for name in frame.columns]
        return np.column_stack(columns) if columns else np.empty((len(frame), 0))


class OnnxModel:
    """An ONNX graph: a classifier gives probabilities, a regressor its number.

    Parameters
    ----------
    content : bytes
        The graph.
    output : str
        Name of the output that holds the answer.
    n_classes : int
        Number of classes; 0 for a regressor.
    labels : sequence
        Labels of the classes where the output holds a map from label to probability for each row.
    """

    def __init__(self, content: bytes, *, output: str, n_classes: int, labels: Sequence[Any] = ()) -> None:
        self.content = content
        self.output = output
        self.labels = tuple(labels)
        self._session: Any = None
        if n_classes:
            self.classes_ = np.arange(n_classes)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_session": None}

    def predict(self, frame: pd.DataFrame) -> Scores:
        """Return the number of each row."""
        return self._run(frame).reshape(len(frame), -1)

    def predict_proba(self, frame: pd.DataFrame) -> Scores:
        """Return probabilities, shape (rows, classes)."""
        given = self._run(frame).reshape(len(frame), -1)
        given = np.column_stack([1.0 - given, given]) if given.shape[1] == 1 else given
        known = given[~np.isnan(given).any(axis=1)]
        if (known < -_ROUNDING).any() or (np.abs(known.sum(axis=1) - 1.0) > _ROUNDING).any():
            raise ModelFailed(
                f'the output "{self.output}" of the ONNX graph holds no probabilities (in 0 to 1, 1 in all); convert '
                "the classifier with its probabilities, or a regressor with one number a row"
            )
        return given

    def _run(self, frame: pd.DataFrame) -> Scores:
        session = self._opened()
        (answer,) = session.run([self.output], _feeds(session.get_inputs(), frame))
        if self.labels:
            answer = [[row[label] for label in self.labels] for row in answer]
        return np.asarray(answer, dtype=np.float64)

    def _opened(self) -> Any:
        if self._session is None:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])
        return self._session


class Reordered:
    """A classifier whose classes stand in another order: the charter's, not the alphabet's.

    Parameters
    ----------
    estimator : object
        Has `predict_proba`.
    places : sequence of int
        For each class of the project its column in the estimator's answer.
    """

    def __init__(self, estimator: Any, places: Sequence[int]) -> None:
        self.estimator = estimator
        self.places = tuple(places)

    @property
    def classes_(self) -> NDArray[np.int64]:
        """Return the class indices of the project."""
        return np.arange(len(self.places))

    def predict_proba(self, frame: pd.DataFrame) -> Scores:
        """Return probabilities in the project's order, shape (rows, classes)."""
        return np.asarray(self.estimator.predict_proba(frame), dtype=np.float64)[:, list(self.places)]


def _codes(column: pd.Series[Any], waiting: Any) -> Scores:
    """Return a column as LightGBM's own reading of a pandas frame gives it."""
    import pandas as pd

    if not isinstance(column.dtype, pd.CategoricalDtype):
        return column.to_numpy(dtype=np.float64)
    places = {category_text(value): float(place) for place, value in enumerate(next(waiting))}
    table = np.array([*(places.get(text, np.nan) for text in column.cat.categories), np.nan])
    codes: Scores = table[column.cat.codes.to_numpy()]
    return codes


_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


def _feeds(inputs: Sequence[Any], frame: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Return what MLflow would feed: all columns to a single input, else each column to the input of its name."""
    if len(inputs) == 1:
        return {inputs[0].name: np.asarray(frame.to_numpy(), dtype=_NUMPY[inputs[0].type])}
    return {
        one.name: np.asarray(frame[one.name].to_numpy(), dtype=_NUMPY[one.type]).reshape(
            (-1, 1) if len(one.shape) == 2 else (-1,)
        )
        for one in inputs
    }


def _line(text: str, name: str) -> str:
    """Return the value of a line in the head of LightGBM's text."""
    head = text.partition("\n\n")[0]
    return next((line.removeprefix(f"{name}=") for line in head.splitlines() if line.startswith(f"{name}=")), "")
