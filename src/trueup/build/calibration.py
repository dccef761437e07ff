"""Does a score of 0.3 come true in three of ten cases? A map from scores to probabilities, fitted on later rows.

Loaded in the separate process only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.build.errors import UnknownRecipe

Vector = NDArray[np.float64]
_EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class ClassMap:
    """The map of one class: a line in log-odds (sigmoid), or steps (isotonic)."""

    slope: float = 1.0
    intercept: float = 0.0
    steps_at: Vector | None = None
    steps_to: Vector | None = None

    def apply(self, scores: Vector) -> Vector:
        """Return probabilities, increasing in `scores`."""
        if self.steps_at is not None and self.steps_to is not None:
            return np.asarray(np.interp(scores, self.steps_at, self.steps_to), dtype=np.float64)
        return 1.0 / (1.0 + np.exp(-np.clip(self.slope * log_odds(scores) + self.intercept, -30.0, 30.0)))


@dataclass(frozen=True, eq=False)
class Calibration:
    """One map for each class, then the classes share 1 again. Binary has one map, of the positive class."""

    maps: tuple[ClassMap, ...]

    def apply(self, scores: Vector) -> Vector:
        """Return calibrated scores, shape (rows, classes)."""
        if len(self.maps) == 1:
            positive = self.maps[0].apply(scores[:, 1])
            return np.column_stack([1.0 - positive, positive])
        return normalised(np.column_stack([one.apply(scores[:, index]) for index, one in enumerate(self.maps)]))


_UNCHANGED = ClassMap()


def fit_calibration(
    scores: Vector, outcome: Vector, *, weight: Vector | None, method: str = "sigmoid"
) -> Calibration | None:
    """Return the calibration of scores whose outcomes are known; None where they hold one class only.

    Parameters
    ----------
    scores : ndarray of float, shape (rows, classes)
    outcome : ndarray of float, shape (rows,)
        Class indices.
    weight : ndarray of float, optional
    method : {"sigmoid", "isotonic"}
        A sigmoid (Platt 1999, in log-odds) keeps the order of all scores, also their ties; isotonic steps follow any
        rising shape, but give whole groups the same score.
    """
    if method not in ("sigmoid", "isotonic"):
        raise UnknownRecipe(f'There is no calibration "{method}"; there are sigmoid and isotonic', method=method)
    classes = [1] if scores.shape[1] == 2 else list(range(scores.shape[1]))
    maps = tuple(
        _class_map(scores[:, one], (outcome == one).astype(np.float64), weight=weight, method=method) for one in classes
    )
    return None if all(one is _UNCHANGED for one in maps) else Calibration(maps)


def log_odds(scores: Vector) -> Vector:
    """Return ``ln(p / (1 - p))``, with `scores` kept 1e-6 away from 0 and 1."""
    kept = np.clip(scores, _EDGE, 1.0 - _EDGE)
    return np.asarray(np.log(kept / (1.0 - kept)), dtype=np.float64)


def normalised(scores: Vector) -> Vector:
    """Return non-negative rows that sum to 1; a row of zeros becomes equal shares."""
    total = scores.sum(axis=1, keepdims=True)
    return np.where(total > 0, scores / np.where(total > 0, total, 1.0), 1.0 / scores.shape[1])


def _class_map(scores: Vector, hit: Vector, *, weight: Vector | None, method: str) -> ClassMap:
    if hit.min(initial=1.0) == hit.max(initial=0.0) or np.unique(scores).size < 2:
        return _UNCHANGED
    if method == "isotonic":
        from sklearn.isotonic import IsotonicRegression

        steps = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, hit, sample_weight=weight)
        return ClassMap(steps_at=steps.X_thresholds_, steps_to=steps.y_thresholds_)
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=1e6, max_iter=200).fit(log_odds(scores)[:, None], hit, sample_weight=weight)
    slope = float(line.coef_[0, 0])
    # a model that ranks backwards on later rows must not be turned round by its calibration
    return ClassMap(slope, float(line.intercept_[0])) if slope > 0 else _UNCHANGED
