"""Can a whole trained model answer without Python, pandas and scikit-learn? Its parts, put together.

Runs inside the model's process: it reads the fitted estimator. What it returns needs neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.compiling.calibration import spread_by_class
from trueup.bundle.compiling.estimators import answer
from trueup.bundle.compiling.inputs import frame_of
from trueup.bundle.compiling.parts import NotCompiled
from trueup.bundle.compiling.tracing import Tracer, Trial, Uncompilable
from trueup.bundle.features import FeatureSpec
from trueup.bundle.predictors.predictor import FORMAT

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class CompiledModel:
    """A model as a predictor's document, as far as it could be compiled."""

    document: Mapping[str, Any] | None
    """What `predictors.predictor.open_predictor` opens; None where the original must answer."""
    files: Mapping[str, bytes]
    """Content by name, without folders."""
    slow_parts: tuple[NotCompiled, ...]
    """What stays in Python, and why; empty when wholly compiled."""


def compile_model(
    estimator: Any, features: Sequence[FeatureSpec], *, task: str, n_classes: int, tried_on: Numbers | None = None
) -> CompiledModel:
    """Return a fitted estimator as a predictor's document and files.

    Parameters
    ----------
    estimator : object
        Fitted on the frame of `frames.prepare_frame`.
    features : sequence of FeatureSpec
        Inputs, in order.
    task : str
        binary, multiclass or regression.
    n_classes : int
        Number of classes; not used for regression.
    tried_on : ndarray of float, shape (rows, n_features), optional
        Real rows, decoded. With them a part that cannot be compiled stays in Python where it can be cut out; such a
        predictor opens only with `python_stage.open_python`, in the process that holds the model.

    Notes
    -----
    The predictor gives what `model_process.Scorer` gives: the probability of class 1, of several classes one for each
    class index, or the number; NaN where the original refuses a row.
    """
    tracer = Tracer(len(features), None if tried_on is None else Trial(estimator, tried_on))
    try:
        slots = answer(tracer, estimator, frame_of(tracer, features), "")
        slots = _by_task(tracer, estimator, slots, task=task, n_classes=n_classes)
    except Uncompilable as stopped:
        part = stopped.part or type(estimator).__name__
        return CompiledModel(None, {}, (NotCompiled(part, stopped.reason),))
    stage = _simplest(tracer.program(slots))
    document = {"format": FORMAT, "outputs": len(slots), "stages": [stage]}
    return CompiledModel(document, dict(tracer.files), tuple(tracer.slow_parts))


def _by_task(tracer: Tracer, estimator: Any, slots: list[int], *, task: str, n_classes: int) -> list[int]:
    if task == "regression":
        if len(slots) != 1:
            raise Uncompilable(type(estimator).__name__, f"it answers with {len(slots)} numbers")
        return slots
    classes = np.asarray(getattr(estimator, "classes_", np.arange(max(2, len(slots)))))
    if task == "binary" and len(slots) == 1 and len(classes) == 2 and _are_indices(classes):
        return slots
    spread = spread_by_class(tracer, slots, classes, count=n_classes)
    return spread[1:2] if task == "binary" else spread


def _are_indices(classes: Any) -> bool:
    return classes.dtype.kind not in "iufb" or classes.astype(np.int64).tolist() == list(range(len(classes)))


def _simplest(program: dict[str, Any]) -> dict[str, Any]:
    """Return the only stage that a program calls, where it does nothing else."""
    instructions = program["instructions"]
    if len(instructions) == 1 and instructions[0]["kind"] == "call":
        (call,) = instructions
        if call["from"] == [0, program["inputs"]] and call["to"] == program["outputs"]:
            return dict(call["stage"])
    return program
