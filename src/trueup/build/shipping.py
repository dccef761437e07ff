"""What leaves the training process for a bundle? The estimator alone, with its calibration built in.

Loaded in the separate process only. The pickle refers to scikit-learn, the project's own module, and, for calibrated
models, to this module.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.build.calibration import Calibration
from trueup.build.errors import UnknownRecipe
from trueup.build.fitting import Scorer, input_features

if TYPE_CHECKING:
    import pandas as pd

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class CalibratedEstimator:
    """A classifier whose probabilities come true; scikit-learn's `predict_proba` and `classes_`."""

    estimator: Any
    calibration: Calibration
    n_classes: int

    @property
    def classes_(self) -> NDArray[np.int64]:
        """Return the class indices, in the order of the columns of `predict_proba`."""
        return np.arange(self.n_classes)

    def predict_proba(self, frame: pd.DataFrame) -> Vector:
        """Return calibrated probabilities, shape (rows, classes)."""
        given = np.asarray(self.estimator.predict_proba(frame), dtype=np.float64)
        spread = np.zeros((len(given), self.n_classes))
        spread[:, np.asarray(self.estimator.classes_).astype(np.int64)] = given
        return self.calibration.apply(spread)

    def predict(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        """Return the most probable class of each row."""
        return np.asarray(np.argmax(self.predict_proba(frame), axis=1), dtype=np.int64)


def shipped_bytes(scorer: Scorer) -> bytes:
    """Return the pickle of the estimator that a bundle carries.

    Raises
    ------
    UnknownRecipe
        When there is no estimator of the features: the old rule, which the charter already holds.
    """
    if input_features(scorer.recipe) != scorer.recipe.features:
        raise UnknownRecipe(
            "the old rule earned most on later data, so there is no model to ship; go on with the rule, or change the "
            "features or the charter",
            kind=scorer.recipe.kind,
        )
    model = scorer.estimator
    if scorer.calibration is not None:
        model = CalibratedEstimator(model, scorer.calibration, scorer.recipe.n_classes)
    content = io.BytesIO()
    _ByValue(content, protocol=5).dump(model)
    return content.getvalue()


class _ByValue(pickle._Pickler):
    """A pickler for which equal texts are one text; the C pickler cannot be told when two texts are the same.

    Others refer back to a text only where it is the same object, which depends on what the process did before: a model
    that was just fitted and the same one read from the scratch folder would have different bytes, and so digests.
    """

    def __init__(self, file: io.BytesIO, *, protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self._texts: dict[str, str] = {}

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Save an object; for a text, the first one that is equal."""
        same = self._texts.setdefault(obj, obj) if type(obj) is str else obj
        super().save(same, save_persistent_id)  # type: ignore[misc]  # there, though its stub leaves it out

    def memoize(self, obj: Any) -> None:
        """Remember an object; bytes of an empty array are one object however often they come, so once is enough."""
        if id(obj) not in self.memo:  # type: ignore[attr-defined]  # there, though its stub leaves it out
            super().memoize(obj)  # type: ignore[misc]  # there, though its stub leaves it out
