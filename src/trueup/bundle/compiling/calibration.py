"""How do calibrated probabilities become instructions? scikit-learn's calibrators, and those of guided training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trueup.bundle.compiling.linear import complement, shares, sigmoid
from trueup.bundle.compiling.tracing import Block, Tracer, Uncompilable, encoded
from trueup.bundle.compiling.wrapping import part_of

Answer = Callable[[Tracer, Any, Block, str], list[int]]
_EDGE = 1e-6
"""build/calibration.py keeps probabilities so far away from 0 and 1 before it takes log-odds."""
_MOST_LOG_ODDS = 30.0


def calibrated_classifier(tracer: Tracer, model: Any, block: Block, path: str, raw_answer: Answer) -> list[int]:
    """Return places of the mean over the folds of ``CalibratedClassifierCV``."""
    total: list[int] = []
    for fold, one in enumerate(model.calibrated_classifiers_):
        own = part_of(path, f"fold {fold}", one.estimator)
        given = _calibrated(tracer, one, raw_answer(tracer, one.estimator, block, own), path)
        total = tracer.between(total, "add", given) if total else given
    return tracer.with_constant(total, "divide", float(len(model.calibrated_classifiers_)))


def _calibrated(tracer: Tracer, one: Any, raw: Sequence[int], path: str) -> list[int]:
    if one.method not in {"sigmoid", "isotonic"}:
        raise Uncompilable(path, f"calibration by {one.method} is not compiled")
    classes = len(one.classes)
    if len(one.estimator.classes_) != classes or len(one.calibrators) != len(raw):
        raise Uncompilable(path, "a fold did not meet every class")
    mapped = [
        slot
        for calibrator, place in zip(one.calibrators, raw, strict=True)
        for slot in _mapped(tracer, calibrator, place)
    ]
    return mapped if classes == 2 else shares(tracer, mapped)


def _mapped(tracer: Tracer, calibrator: Any, slot: int) -> list[int]:
    if hasattr(calibrator, "a_"):
        sloped = tracer.with_constant([slot], "multiply", calibrator.a_)
        line = tracer.with_constant(sloped, "add", calibrator.b_)
        return sigmoid(tracer, tracer.apply(line, "negative"))
    return _line(tracer, slot, calibrator.X_thresholds_, calibrator.y_thresholds_)


def _line(tracer: Tracer, slot: int, at: Any, to: Any) -> list[int]:
    return tracer.emit("interpolate", [slot], 1, lines=[[encoded(np.ravel(at)), encoded(np.ravel(to))]])


def calibrated_estimator(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    """Return places of the calibrated probabilities of a guided model (build/shipping.py, build/calibration.py)."""
    inner = model.estimator
    given = answer(tracer, inner, block, part_of(path, "calibrated", inner))
    spread = spread_by_class(tracer, given, np.asarray(inner.classes_), count=int(model.n_classes))
    maps = model.calibration.maps
    if len(maps) == 1:
        return _class_map(tracer, maps[0], spread[1])
    chances = [slot for one, place in zip(maps, spread, strict=True) for slot in _class_map(tracer, one, place)]
    total = tracer.reduce(chances, "add")
    equal = tracer.constant([1.0 / len(chances)])
    above = tracer.with_constant(total, "greater", 0.0)
    return tracer.choose(tracer.between(chances, "divide", total), when=above, otherwise=equal)


def _class_map(tracer: Tracer, one: Any, slot: int) -> list[int]:
    if one.steps_at is not None and one.steps_to is not None:
        return _line(tracer, slot, one.steps_at, one.steps_to)
    kept = tracer.with_constant(tracer.with_constant([slot], "maximum", _EDGE), "minimum", 1.0 - _EDGE)
    odds = tracer.apply(tracer.between(kept, "divide", complement(tracer, kept)), "log")
    line = tracer.with_constant(tracer.with_constant(odds, "multiply", one.slope), "add", one.intercept)
    held = tracer.with_constant(tracer.with_constant(line, "maximum", -_MOST_LOG_ODDS), "minimum", _MOST_LOG_ODDS)
    return sigmoid(tracer, held)


def spread_by_class(tracer: Tracer, given: Sequence[int], classes: Any, *, count: int) -> list[int]:
    """Return one place for each class index, 0 for a class that the model never met.

    Parameters
    ----------
    given : sequence of int
        An estimator's answer: one number for two classes, else one for each.
    classes : ndarray
        Its ``classes_``; class indices, or names in the order of the indices.
    count : int
        Number of classes of the task.
    """
    probabilities = [*complement(tracer, given), *given] if len(classes) == 2 and len(given) == 1 else list(given)
    names = np.arange(len(probabilities)) if classes.dtype.kind not in "iufb" else classes.astype(np.int64)
    places: list[int | None] = [None] * max(count, int(names.max()) + 1)
    for name, slot in zip(names.tolist(), probabilities, strict=True):
        places[name] = slot
    nothing = tracer.constant([0.0])[0] if None in places else -1
    return [nothing if place is None else place for place in places]
