"""How do a schema's columns stand in the frame that the model takes, seen from a decoded row?

A decoder gives one number for each feature. The frame of `frames.prepare_frame` holds it as float64, a category, or the
type that a model made elsewhere asks for (`FeatureSpec.dtype`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trueup.bundle.compiling.tracing import UNKNOWN_TEXT, Block, Traced, Tracer, Uncompilable
from trueup.bundle.features import FeatureSpec

_WHOLE = {"int64": 2.0**53, "int32": 2.0**31 - 1}
"""Largest size of a whole number that `logged_types` lets pass."""


def frame_of(tracer: Tracer, features: Sequence[FeatureSpec]) -> Block:
    """Return the columns of the frame, by the places of a decoded row.

    Raises
    ------
    Uncompilable
        When a column has a type that no number stands for.
    """
    return Block(tuple(_column(tracer, slot, feature) for slot, feature in enumerate(features)), "frame")


def _column(tracer: Tracer, slot: int, feature: FeatureSpec) -> Traced:
    if feature.kind == "text":
        raise Uncompilable("", f'it takes "{feature.name}", free text, which no number stands for')
    if feature.unknown_place is not None:
        values = np.array([*feature.categories, UNKNOWN_TEXT, np.nan], dtype=object)
        return Traced(slot, "object", values, feature.name)
    if feature.kind == "category":
        values = np.array([*feature.categories, np.nan], dtype=object)
        return Traced(slot, "category", values, feature.name)
    if not feature.dtype:
        return Traced(slot, "float64", None, feature.name)
    if feature.dtype == "float32":
        (rounded,) = tracer.emit("rounded", [slot], 1)
        return Traced(rounded, "float32", None, feature.name, may_overflow=True)
    if feature.dtype == "bool" or feature.dtype in _WHOLE:
        most = _WHOLE.get(feature.dtype, 1.0)
        (refused,) = tracer.emit("whole", [slot], 1, range=[0.0 if feature.dtype == "bool" else -most, most])
        tracer.checks.append(Traced(refused))
        return Traced(slot, feature.dtype, None, feature.name, may_miss=False)
    raise Uncompilable("", f'it takes "{feature.name}" as a moment, not as a number')
