"""How does a fitted estimator's answer become instructions? Pipelines, trees, formulas, and what is made of several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trueup.bundle.compiling.calibration import calibrated_classifier, calibrated_estimator
from trueup.bundle.compiling.combining import (
    COMBINED,
    Combination,
    moved_to_quantile,
    reordered,
    same_of_every_case,
)
from trueup.bundle.compiling.keeping import keep_estimator
from trueup.bundle.compiling.linear import CLASSIFIERS, LINEAR_CLASSIFIERS, REGRESSORS, decision
from trueup.bundle.compiling.parts import Compiled, NotCompiled
from trueup.bundle.compiling.steps import trace_in_turn
from trueup.bundle.compiling.tracing import Block, Tracer, Uncompilable, described
from trueup.bundle.compiling.trees import compile_trees
from trueup.bundle.compiling.wrapping import kind_of, part_of
from trueup.kernel.digests import digest_of_bytes

_WRAPPERS = {
    "sklearn.GridSearchCV": "best_estimator_",
    "sklearn.RandomizedSearchCV": "best_estimator_",
    "sklearn.HalvingGridSearchCV": "best_estimator_",
    "sklearn.HalvingRandomSearchCV": "best_estimator_",
    "sklearn.TunedThresholdClassifierCV": "estimator_",
    "sklearn.FixedThresholdClassifier": "estimator_",
    "sklearn.FrozenEstimator": "estimator",
}
"""Estimators whose probabilities or numbers are those of the one inside."""
_RAW_TREES = {f"sklearn.{name}" for name in ("HistGradientBoostingClassifier", "GradientBoostingClassifier")}


def answer(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    """Return the places of an estimator's answer.

    Of two classes the probability of the second, of several one each, in the order of ``classes_``; of a regressor its
    number.

    Raises
    ------
    Uncompilable
        When some part of it has no instructions, and cannot stay in Python either.
    """
    mark = tracer.mark()
    try:
        return _compiled(tracer, model, block, path)
    except Uncompilable as stopped:
        if tracer.trial is None or model is tracer.trial.model:
            raise
        tracer.back_to(mark)
        return keep_estimator(tracer, model, block, path=path, stopped=stopped)


def _compiled(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    kind = kind_of(model)
    if kind == "sklearn.Pipeline":
        block, last, path = _before_last(tracer, model, block, path)
        return answer(tracer, last, block, path)
    if kind in _WRAPPERS:
        inner = getattr(model, _WRAPPERS[kind])
        return answer(tracer, inner, block, part_of(path, _WRAPPERS[kind].rstrip("_"), inner))
    if formula := CLASSIFIERS.get(kind) or REGRESSORS.get(kind):
        return formula(tracer, model, block, path)
    if combination := _COMBINED.get(kind):
        return combination(tracer, model, block, path, answer)
    return _called(tracer, _trees(model, block, path), block)


def raw_answer(tracer: Tracer, model: Any, block: Block, path: str) -> list[int]:
    """Return the places of what a calibration reads: the decision function where there is one, else probabilities.

    Raises
    ------
    Uncompilable
        When its decision function has no instructions.
    """
    kind = kind_of(model)
    if kind == "sklearn.Pipeline":
        block, last, path = _before_last(tracer, model, block, path)
        return raw_answer(tracer, last, block, path)
    if kind in _WRAPPERS:
        return raw_answer(tracer, getattr(model, _WRAPPERS[kind]), block, path)
    if kind in LINEAR_CLASSIFIERS:
        return decision(tracer, model, block, path)
    if kind in _RAW_TREES:
        return _called(tracer, _without_link(_trees(model, block, path)), block)
    if hasattr(model, "decision_function"):
        raise Uncompilable(path, f"the decision function of {type(model).__name__} is not compiled")
    return answer(tracer, model, block, path)


def _before_last(tracer: Tracer, pipeline: Any, block: Block, path: str) -> tuple[Block, Any, str]:
    *steps, (name, last) = pipeline.steps
    return trace_in_turn(tracer, steps, block, path=path), last, part_of(path, name, last)


def _trees(model: Any, block: Block, path: str) -> Compiled:
    compiled = compile_trees(model, described(block.columns, container=block.container))
    if isinstance(compiled, NotCompiled):
        raise Uncompilable(path or compiled.part, compiled.reason)
    return compiled


def _called(tracer: Tracer, compiled: Compiled, block: Block) -> list[int]:
    if any(column.dtype == "object" for column in block.columns):
        raise Uncompilable(str(compiled.stages[-1]["kind"]), "it takes texts")
    return tracer.call(compiled, tracer.places_of(block.columns), count=len(compiled.columns))


def _without_link(compiled: Compiled) -> Compiled:
    """Return the trees with their sum as the answer."""
    (stage,) = compiled.stages
    lines = compiled.files[stage["file"]].split(b"\n")
    head = lines.index(b"")
    text = b"\n".join([line for line in lines[:head] if not line.startswith(b"objective=")] + lines[head:])
    name = f"trees-{digest_of_bytes(text)[:12]}.txt"
    return Compiled(({**stage, "file": name},), {name: text}, compiled.columns)


_COMBINED: Mapping[str, Combination] = {
    **COMBINED,
    "sklearn.CalibratedClassifierCV": lambda tracer, model, block, path, _: calibrated_classifier(
        tracer, model, block, path, raw_answer
    ),
    "trueup.bundle.native_models.LightGBMModel": lambda tracer, model, block, path, answer: answer(
        tracer, model.booster, block, path
    ),
    "trueup.bundle.native_models.Reordered": reordered,
    "trueup.build.shipping.CalibratedEstimator": calibrated_estimator,
    "trueup.build.rungs.ShiftedToQuantile": moved_to_quantile,
    "trueup.build.rungs.Constant": same_of_every_case,
}
