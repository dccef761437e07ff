"""How does a compiled predictor answer lists of requests and tables? In this process, without a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.features import FeatureSpec
from trueup.bundle.golden import Output
from trueup.bundle.predictors.predictor import Predictor
from trueup.bundle.proof import answers_of

if TYPE_CHECKING:
    import pyarrow as pa


class FastAnswers:
    """Answers for a bundle whose predictor needs no model.

    Parameters
    ----------
    predictor : Predictor
    features : sequence of FeatureSpec
        The bundle's schema.
    """

    def __init__(self, predictor: Predictor, features: Sequence[FeatureSpec]) -> None:
        self.predictor = predictor
        self._features = tuple(features)

    def score_requests(self, requests: Sequence[str]) -> list[Output]:
        """Return one output for each request (a JSON object); None where the model refuses the row.

        Raises
        ------
        RowBreaksSchema
            When a request lacks a feature or has a value of the wrong type.
        """
        rows = self.predictor.decoder.decode_many(f"[{','.join(requests)}]".encode())
        return answers_of(self.predictor.score_rows(rows))

    def score_table(self, table: pa.Table) -> NDArray[np.float64]:
        """Return scores, shape (n,), for several classes (n, n_classes); NaN where the model refuses the row.

        Raises
        ------
        FeatureMissing
            When `table` lacks a feature.
        """
        from trueup.bundle.frames import prepare_matrix

        scores = self.predictor.score_rows(prepare_matrix(table, self._features))
        return np.asarray(scores[:, 0] if scores.shape[1] == 1 else scores)

    def close(self) -> None:
        """Hold nothing that needs an end."""
