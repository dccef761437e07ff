"""Which features moved this score most? Each is put back to what is usual, and the score is asked again.

The effect of a feature is the score as it is, less the score with that feature at its reference: the median of the
training data for numbers and dates, the most frequent value for categories and booleans (from the bundle's
``reference/``). It is computed by the served model itself, so it holds for any compiled predictor, and costs one batch
of as many rows as there are features. Its limits: features are changed one at a time, so that what several say together
is told of each of them or of none (two columns that say the same can both have an effect of 0); effects do not add up
to the score; and a reference is what is usual, not what would be possible for this case.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.predictor import Predictor
from trueup.bundle.values import MICROSECONDS_PER_DAY
from trueup.measure.profiles import NumberProfile, from_json, middles

Numbers = NDArray[np.float64]


class Reason(msgspec.Struct, frozen=True, gc=False):
    """One feature, and what it did to the score."""

    feature: str
    effect: float
    """Score as it is, less the score with this feature at its reference; in the score's unit."""


def references_of(features: Sequence[FeatureSpec], document: Mapping[str, Any]) -> Numbers:
    """Return the reference of each feature as a decoder gives it, shape (n_features,); NaN where none is known.

    Parameters
    ----------
    features : sequence of FeatureSpec
    document : mapping
        ``reference/features.json`` of the bundle: profiles by name of the feature (`measure/profiles.py`).
    """
    return np.array([_reference_of(f, document.get(f.name)) for f in features], dtype=np.float64)


def reasons_of(
    predictor: Predictor,
    row: Numbers,
    *,
    features: Sequence[FeatureSpec],
    references: Numbers,
    most: int,
    output: int = 0,
) -> tuple[Reason, ...]:
    """Return the features that moved a row's score most, the largest effect first.

    Parameters
    ----------
    predictor : Predictor
    row : ndarray of float, shape (n_features,)
        As decoded.
    features : sequence of FeatureSpec
    references : ndarray of float, shape (n_features,)
    most : int
        How many features to name; those without any effect are left out.
    output : int
        Which number of the answer is explained: for several classes that of one class.
    """
    changed = np.tile(row, (len(row) + 1, 1))
    np.fill_diagonal(changed[1:], references)
    scores = predictor.score_rows(changed)[:, output]
    effects = np.nan_to_num(scores[0] - scores[1:], nan=0.0, posinf=0.0, neginf=0.0)
    order = np.argsort(-np.abs(effects), kind="stable")[:most]
    return tuple(Reason(features[place].name, float(effects[place])) for place in order if effects[place] != 0.0)


def _reference_of(feature: FeatureSpec, document: Any) -> float:
    if not isinstance(document, Mapping):
        return math.nan
    profile = from_json(document)
    if isinstance(profile, NumberProfile):
        if feature.kind == "date":  # profiles count microseconds, decoders days
            return _median_of(profile) / MICROSECONDS_PER_DAY
        return math.nan if feature.kind == "category" else _median_of(profile)
    usual = max(profile.counts, key=lambda value: (profile.counts[value], value), default=None)
    return float(feature.categories.index(usual)) if usual in feature.categories else math.nan


def _median_of(profile: NumberProfile) -> float:
    """Return the value that stands for the middle case; NaN where more are missing than not."""
    if not profile.present or profile.present < profile.missing:
        return math.nan
    place = int(np.searchsorted(np.cumsum(profile.counts), (profile.present + 1) // 2))
    return float(middles(profile)[place])
