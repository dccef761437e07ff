"""How does a recipe become something that scores? Loaded in the separate process only."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.build.calibration import Calibration, fit_calibration, normalised
from trueup.build.errors import LabelConstant, NoProbabilities, ScoresUnusable
from trueup.build.frames import FeatureFiles, FrameMaker, RawColumn, learn_frame
from trueup.build.recipe import Feature, Recipe
from trueup.build.rungs import estimator_for
from trueup.build.user_code import ProjectCode

if TYPE_CHECKING:
    import pandas as pd

Vector = NDArray[np.float64]
CALIBRATION_SHARE = 0.2
_LEARNS_NOTHING = ("constant", "rule", "last_value")


@dataclass(frozen=True)
class Scorer:
    """A fitted model with what it needs to score raw rows; this is what is pickled."""

    recipe: Recipe
    frames: FrameMaker
    estimator: Any
    calibration: Calibration | None
    notes: tuple[str, ...]


def input_features(recipe: Recipe) -> tuple[Feature, ...]:
    """Return the columns that are read for a recipe: its features; for the rung ``rule`` the rule's column alone."""
    if recipe.kind == "rule":
        return (Feature(recipe.param("column", "baseline"), "number"),)
    return recipe.features


def fit_scorer(
    recipe: Recipe,
    project: ProjectCode,
    *,
    columns: list[RawColumn],
    outcome: Vector,
    weight: Vector | None,
) -> Scorer:
    """Return the model that a recipe gives on training rows in event-time order.

    Notes
    -----
    With `calibrate` a first model learns from the first 80 % of the rows by time; the calibration is fitted on its
    scores of the last 20 %; then the model is fitted again on all rows and keeps that calibration.
    """
    if recipe.kind not in _LEARNS_NOTHING:
        _check_label(outcome)
    calibration = None
    if recipe.calibrate and recipe.task != "regression":
        calibration = _calibrated_in_time(recipe, project, columns=columns, outcome=outcome, weight=weight)
    frames, estimator, notes = _fitted(recipe, project, columns=columns, outcome=outcome, weight=weight)
    if recipe.task != "regression":
        _check_probabilities(recipe, estimator, calibrated=calibration is not None)
    return Scorer(recipe, frames, estimator, calibration, notes)


def scores_of(scorer: Scorer, project: ProjectCode, columns: list[RawColumn]) -> Vector:
    """Return the scores of raw rows, in the shape that `ModelRunner.predict` documents."""
    frame = scorer.frames.frame(columns)
    recipe = scorer.recipe
    if len(frame) == 0:
        return np.empty((0, recipe.n_classes) if recipe.task == "multiclass" else (0,))
    with _blame(project, recipe, "scoring with the estimator"):
        raw = _raw_scores(recipe, scorer.estimator, frame)
    if recipe.task == "regression":
        return _checked(raw, (len(frame),))
    calibrated = scorer.calibration.apply(raw) if scorer.calibration else raw
    scores = normalised(_checked(calibrated, (len(frame), recipe.n_classes)))
    return scores[:, 1].copy() if recipe.task == "binary" else scores


def read_columns(files: FeatureFiles, recipe: Recipe, path: Path, rows: NDArray[np.int64] | slice) -> list[RawColumn]:
    """Return a recipe's input columns; a rule's column may stand beside the file as an array of the same name."""
    features = input_features(recipe)
    beside = path.parent / f"{features[0].name}.npy" if recipe.kind == "rule" else None
    if beside is not None and beside.exists():
        return [RawColumn(np.asarray(np.load(beside, mmap_mode="r")[rows], dtype=np.float64))]
    return files.read(path, features, rows)


def _calibrated_in_time(
    recipe: Recipe, project: ProjectCode, *, columns: list[RawColumn], outcome: Vector, weight: Vector | None
) -> Calibration | None:
    first = int(len(outcome) * (1 - CALIBRATION_SHARE))
    earlier, later = slice(0, first), slice(first, None)
    if first == 0 or np.unique(outcome[earlier]).size < 2:
        return None
    frames, estimator, _ = _fitted(
        recipe,
        project,
        columns=[column.take(earlier) for column in columns],
        outcome=outcome[earlier],
        weight=None if weight is None else weight[earlier],
    )
    frame = frames.frame([column.take(later) for column in columns])
    with _blame(project, recipe, "scoring with the estimator"):
        raw = _raw_scores(recipe, estimator, frame)
    return fit_calibration(
        raw,
        outcome[later],
        weight=None if weight is None else weight[later],
        method=recipe.param("calibration", "sigmoid"),
    )


def _fitted(
    recipe: Recipe, project: ProjectCode, *, columns: list[RawColumn], outcome: Vector, weight: Vector | None
) -> tuple[FrameMaker, Any, tuple[str, ...]]:
    frames = learn_frame(input_features(recipe), columns)
    frame = frames.frame(columns)
    target = outcome if recipe.task == "regression" else outcome.astype(np.int64)
    estimator = project.make_estimator(recipe) if recipe.kind == "pipeline" else estimator_for(recipe)
    arguments = {} if weight is None else _weight_argument(estimator, weight)
    with _blame(project, recipe, "fitting the estimator"):
        estimator.fit(frame, target, **(arguments or {}))
    ignored = arguments is None
    notes = ("The project's estimator takes no sample_weight: training weights were left out.",) if ignored else ()
    return frames, estimator, notes


def _blame(project: ProjectCode, recipe: Recipe, doing: str) -> AbstractContextManager[None]:
    return project.blamed(doing) if recipe.kind == "pipeline" else nullcontext()


def _weight_argument(estimator: Any, weight: Vector) -> dict[str, Vector] | None:
    """Return the keyword that carries training weights into `fit`; None where there is none."""
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = _weight_argument(last, weight)
        return None if inner is None else {f"{name}__{key}": value for key, value in inner.items()}
    parameters = inspect.signature(estimator.fit).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return {"sample_weight": weight} if "sample_weight" in parameters or takes_any else None


def _raw_scores(recipe: Recipe, estimator: Any, frame: pd.DataFrame) -> Vector:
    """Return numbers, or one column for each class; classes that training never saw have 0."""
    if recipe.task == "regression":
        return np.asarray(estimator.predict(frame), dtype=np.float64).reshape(-1)
    if not hasattr(estimator, "predict_proba"):
        margin = np.asarray(estimator.decision_function(frame), dtype=np.float64)
        margin = np.column_stack([-margin, margin]) if margin.ndim == 1 else margin
        seen = 1.0 / (1.0 + np.exp(-np.clip(margin, -30.0, 30.0)))
    else:
        seen = np.asarray(estimator.predict_proba(frame), dtype=np.float64)
    scores = np.zeros((len(frame), recipe.n_classes))
    classes = np.asarray(estimator.classes_).astype(np.int64)
    if seen.shape != (len(frame), len(classes)) or classes.max() >= recipe.n_classes:
        raise ScoresUnusable(
            f"The estimator answered with shape {seen.shape} for {len(frame)} rows and {len(classes)} classes",
            shape=list(seen.shape),
        )
    scores[:, classes] = seen
    return scores


def _check_label(outcome: Vector) -> None:
    if np.unique(outcome).size < 2:
        raise LabelConstant(
            f"All {len(outcome)} training rows have the outcome {outcome[0]:g}, so there is nothing to tell apart; "
            "check data.label and data.positive, or train on a longer window",
            rows=len(outcome),
        )


def _check_probabilities(recipe: Recipe, estimator: Any, *, calibrated: bool) -> None:
    if hasattr(estimator, "predict_proba") or (calibrated and hasattr(estimator, "decision_function")):
        return
    raise NoProbabilities(
        f"{recipe.pipeline or recipe.kind} returns a {type(estimator).__name__}, which has no predict_proba, and a "
        "decision needs the probability of each outcome; use an estimator that has it, or wrap yours in "
        "sklearn.calibration.CalibratedClassifierCV",
        estimator=type(estimator).__name__,
    )


def _checked(scores: Vector, shape: tuple[int, ...]) -> Vector:
    if scores.shape != shape:
        raise ScoresUnusable(
            f"The estimator answered with shape {scores.shape}, expected {shape}", shape=list(scores.shape)
        )
    unusable = int(np.count_nonzero(~np.isfinite(scores)))
    if unusable:
        raise ScoresUnusable(
            f"The estimator answered with NaN or infinity for {unusable} of {len(scores)} rows", rows=unusable
        )
    return scores
