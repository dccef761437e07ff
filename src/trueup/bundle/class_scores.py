"""Which numbers does a model answer with? Probabilities by class where it has them, else its prediction.

Copied into a bundle's ``model/`` for MLflow (`mlflow_folder`): imports nothing but NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def model_scores(model: Any, frame: Any, *, task: str, n_classes: int) -> Scores:
    """Return what a model answers for the rows of a frame.

    Parameters
    ----------
    model : object
        With `predict` for regression, else with `predict_proba`; scikit-learn's protocol.
    frame : pandas.DataFrame
        As the model was trained on it.
    task : str
        binary, multiclass or regression.
    n_classes : int
        Number of classes; not used for regression.

    Returns
    -------
    ndarray of float, shape (rows, k)
        One column with the positive class's probability, one column a class, or one column with the number.
    """
    if task == "regression":
        return np.asarray(model.predict(frame), dtype=np.float64).reshape(len(frame), -1)
    given = np.asarray(model.predict_proba(frame), dtype=np.float64)
    return _by_class(given, getattr(model, "classes_", None), n_classes, task)


def _by_class(given: Scores, classes: Any, n_classes: int, task: str) -> Scores:
    """Return columns by class index, also where training met only some of the classes."""
    names = np.arange(given.shape[1]) if classes is None else np.asarray(classes)
    if not _are_indices(names, given.shape[1], n_classes):
        names = np.arange(given.shape[1])
    spread = np.zeros((len(given), max(n_classes, int(names.max()) + 1)))
    spread[:, names.astype(np.int64)] = given
    return spread[:, 1:2] if task == "binary" else spread


def _are_indices(names: NDArray[Any], columns: int, n_classes: int) -> bool:
    """Return whether labels are places among the classes; else the columns stand in the classes' own order."""
    if names.dtype.kind not in "iufb" or len(names) != columns:
        return False
    return bool(np.all((names >= 0) & (names < n_classes)))
