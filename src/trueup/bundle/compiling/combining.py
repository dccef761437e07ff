"""How do models made of models become instructions? Votes, one class against the rest, a transformed target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trueup.bundle.compiling.linear import complement
from trueup.bundle.compiling.steps_numeric import inverse_transform
from trueup.bundle.compiling.tracing import Block, Traced, Tracer, Uncompilable
from trueup.bundle.compiling.wrapping import kind_of, part_of
from trueup.bundle.predictors.arithmetic import FUNCTIONS

Answer = Callable[[Tracer, Any, Block, str], list[int]]
Combination = Callable[[Tracer, Any, Block, str, Answer], list[int]]


def moved_to_quantile(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    """Return the place of a mean plus its shift (build/rungs.py, ShiftedToQuantile)."""
    inner = answer(tracer, model.estimator, block, part_of(path, "estimator", model.estimator))
    return tracer.with_constant(inner, "add", float(model.shift_))


def reordered(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    """Return the places of probabilities in another order of the classes (bundle/native_models.py, Reordered)."""
    given = answer(tracer, model.estimator, block, part_of(path, "estimator", model.estimator))
    both = [*complement(tracer, given), *given] if len(given) == 1 else given
    picked = [both[place] for place in model.places]
    return picked[1:] if len(picked) == 2 else picked


def same_of_every_case(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    """Return the places of what the training rows were on average (build/rungs.py, Constant)."""
    if model.task == "regression":
        return tracer.constant([float(model.value_)])
    chances = np.asarray(model.shares_, dtype=np.float64).tolist()
    return tracer.constant(chances[1:] if len(chances) == 2 else chances)


def _voting_classifier(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    if model.voting == "hard":
        raise Uncompilable(path, "a hard vote gives no probabilities")
    answers = [
        answer(tracer, one, block, part_of(path, name, one))
        for (name, _), one in zip(_taking_part(model), model.estimators_, strict=True)
    ]
    return _average(tracer, answers, model._weights_not_none)


def _voting_regressor(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    answers = [
        answer(tracer, one, block, part_of(path, name, one))
        for (name, _), one in zip(_taking_part(model), model.estimators_, strict=True)
    ]
    return _average(tracer, answers, model._weights_not_none)


def _taking_part(model: Any) -> list[tuple[str, Any]]:
    return [(name, one) for name, one in model.estimators if one != "drop"]


def _average(tracer: Tracer, answers: Sequence[list[int]], weights: Sequence[float] | None) -> list[int]:
    by = [1.0] * len(answers) if weights is None else [float(weight) for weight in weights]
    total: list[int] = []
    for given, weight in zip(answers, by, strict=True):
        weighted = given if weights is None else tracer.with_constant(given, "multiply", weight)
        total = tracer.between(total, "add", weighted) if total else weighted
    return tracer.with_constant(total, "divide", float(np.sum(by)))


def _one_against_rest(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    if model.multilabel_:
        raise Uncompilable(path, "it gives several labels")
    chances: list[int] = []
    for place, one in enumerate(model.estimators_):
        given = answer(tracer, one, block, part_of(path, f"class {place}", one))
        if len(given) != 1:
            raise Uncompilable(path, "a class that is in every or no row")
        chances += given
    if len(chances) == 1:
        # two classes: scikit-learn divides by the sum of x and 1 - x
        both = [*complement(tracer, chances), *chances]
        return tracer.between(chances, "divide", tracer.reduce(both, "add"))
    return shares_or_zeros(tracer, chances)


def shares_or_zeros(tracer: Tracer, slots: Sequence[int]) -> list[int]:
    """Return numbers of 0 or more divided by their sum; zeros where all are 0."""
    total = tracer.reduce(slots, "add")
    by = tracer.between(total, "add", tracer.with_constant(total, "equal", 0.0))
    return tracer.between(slots, "divide", by)


def _transformed_target(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    inner = model.regressor_
    slots = answer(tracer, inner, block, part_of(path, "regressor", inner))
    transformer = model.transformer_
    if kind_of(transformer) != "sklearn.FunctionTransformer":
        columns = inverse_transform(tracer, transformer, [Traced(slot) for slot in slots], path)
        return tracer.places_of(columns)
    function = transformer.inverse_func
    if function is None:
        return slots
    name = getattr(function, "__name__", "")
    if getattr(np, name, None) is not function or name not in FUNCTIONS or transformer.inv_kw_args:
        raise Uncompilable(path, f"{name or 'the inverse'} is a function of your own")
    return tracer.apply(slots, name)


def _stacking(tracer: Tracer, model: Any, block: Block, path: str, answer: Answer) -> list[int]:
    if any(method not in {"predict_proba", "predict"} for method in model.stack_method_):
        raise Uncompilable(path, "it stacks decision functions")
    classifier = hasattr(model, "classes_")
    if classifier and "predict" in model.stack_method_:
        raise Uncompilable(path, "it stacks labels")
    slots: list[int] = []
    for (name, _), one in zip(_taking_part(model), model.estimators_, strict=True):
        slots += answer(tracer, one, block, part_of(path, name, one))
    columns = [Traced(slot, may_miss=False, may_overflow=True) for slot in slots]
    behind = Block((*columns, *(block.columns if model.passthrough else ())), "array")
    last = model.final_estimator_
    return answer(tracer, last, behind, part_of(path, "final", last))


COMBINED: Mapping[str, Combination] = {
    "sklearn.VotingClassifier": _voting_classifier,
    "sklearn.VotingRegressor": _voting_regressor,
    "sklearn.OneVsRestClassifier": _one_against_rest,
    "sklearn.TransformedTargetRegressor": _transformed_target,
    "sklearn.StackingClassifier": _stacking,
    "sklearn.StackingRegressor": _stacking,
}
"""Models of models, by library and class."""
