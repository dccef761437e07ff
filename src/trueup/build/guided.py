"""Which model earns most on later data? Guided training climbs from simple to boosted and lets value decide.

Rows are cut in time. Boosting is tuned on the earlier part by cross-validation in time, then every candidate learns
from the whole earlier part and is judged on the later one, by a value function that the caller compiled from the
charter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trueup.build.errors import SplitImpossible
from trueup.build.recipe import Feature, Recipe, Task, TrainingRows
from trueup.build.runner import ModelRunner, Progress
from trueup.build.split import (
    Split,
    SplitComparison,
    compare_splits,
    cut_for_holdout,
    folds_in_time,
    split_at_random,
    split_in_time,
)
from trueup.kernel.periods import Moments
from trueup.measure.metrics import auc, log_loss, mae

if TYPE_CHECKING:
    import optuna

Vector = NDArray[np.float64]
ValueOf = Callable[[Vector, NDArray[np.int64]], tuple[float, tuple[float, float]]]
"""Takes scores and the positions they belong to; returns value and its 90 % interval, in the currency."""
TUNING_ROWS = 12_000
"""Rows a model learns from in one fold of tuning; judged rows are never thinned, capacity counts whole periods."""
MOST_ROWS = 200_000
"""Rows a candidate learns from."""
_FOLDS = 2
_HOLDOUT_SHARE = 0.2


@dataclass(frozen=True)
class GuidedData:
    """What guided training learns from. Arrays cover all rows of the file, in event-time order."""

    features_path: Path
    features: tuple[Feature, ...]
    task: Task
    outcome: Vector
    event_time: Moments
    final_at: Moments
    rows: NDArray[np.int64]
    """Positions whose outcome is final at `as_of`, increasing."""
    as_of: int
    n_classes: int = 2
    holdout: int | None = None
    """Length of the later part in microseconds; None: the last fifth of `rows`."""
    has_rule: bool = False
    """Whether ``baseline.npy`` stands beside the file."""
    quantile: float | None = None
    """Regression: the quantile that costs least, when too little and too much cost differently."""
    split: str = "time"
    """``time``, or ``random`` where no time is known or it was asked for."""

    def training(self, rows: NDArray[np.int64], *, most: int) -> TrainingRows:
        """Return training rows, evenly thinned in time to `most`."""
        if len(rows) > most:
            rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
        return TrainingRows(self.features_path, rows, self.outcome[rows])


@dataclass(frozen=True)
class Candidate:
    """One recipe, judged on the later rows."""

    name: str
    recipe: Recipe
    value: float | None
    """On the later rows, in the currency; None without a value function."""
    value_interval: tuple[float, float] | None
    """90 %."""
    metric: str
    """AUC (higher is better), log loss or MAE (lower is better)."""
    metric_value: float | None
    chosen: bool

    def as_json(self) -> dict[str, Any]:
        """Return one row of the comparison table as JSON values."""
        return {
            "name": self.name,
            "value": self.value,
            "value_interval": list(self.value_interval) if self.value_interval else None,
            "metric": self.metric,
            "metric_value": self.metric_value,
            "chosen": self.chosen,
        }


@dataclass(frozen=True)
class GuidedResult:
    """What guided training chose, and against what."""

    recipe: Recipe
    candidates: tuple[Candidate, ...]
    train_rows: int
    holdout_rows: int
    cut: int | None
    """Where the later rows start; None for a random split."""
    comparison: SplitComparison | None
    """What a random split would have said; None where the split is random itself."""
    notes: tuple[str, ...]


def choose_recipe(
    runner: ModelRunner,
    data: GuidedData,
    *,
    value_of: ValueOf | None,
    trials: int = 40,
    seed: int = 0,
    own: Recipe | None = None,
    progress: Progress | None = None,
) -> GuidedResult:
    """Return the recipe that is worth most on later data, with every candidate beside it.

    Parameters
    ----------
    runner : ModelRunner
    data : GuidedData
    value_of : callable or None
        None judges by the metric.
    trials : int
        Parameter sets tried for boosting, 0 or more. The same trials and seed give the same result.
    own : Recipe, optional
        The project's own pipeline, which then stands among the candidates.
    progress : callable, optional
        Called with (done, total, what was done).

    Notes
    -----
    Equal values go to the simpler candidate. About 15-25 s for 50,000 rows, 12 columns and 8 trials on one core.
    """
    split = _split(data, seed)
    recipes = _ladder(data, seed, own)
    total = trials + len(recipes) + 3
    told = _Told(progress, total)
    recipes += _tuned(runner, data, split, value_of=value_of, trials=trials, seed=seed, told=told)
    judged = []
    for name, recipe in recipes:
        judged.append(_judged(runner, data, split, name=name, recipe=recipe, value_of=value_of))
        told(f"{name} judged on later rows")
    best = max(range(len(judged)), key=lambda place: (_merit(judged[place]), -place))
    candidates = tuple(replace(one, chosen=place == best) for place, one in enumerate(judged))
    comparison = None
    if split.cut is not None:
        comparison = compare_splits(split, lambda s: _plain_metric(runner, data, s, seed), seed=seed)
    told.finish(f"{candidates[best].name} chosen")
    return GuidedResult(
        recipe=candidates[best].recipe,
        candidates=candidates,
        train_rows=len(split.train),
        holdout_rows=len(split.holdout),
        cut=split.cut,
        comparison=comparison,
        notes=_notes(data, split, trials, comparison),
    )


class _Told:
    """Counts what is done, for the caller's progress bar."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, text: str) -> None:
        self._done = min(self._done + 1, self._total - 1)
        if self._progress:
            self._progress(self._done, self._total, text)

    def finish(self, text: str) -> None:
        if self._progress:
            self._progress(self._total, self._total, text)


def _split(data: GuidedData, seed: int) -> Split:
    if data.split == "random":
        return split_at_random(data.rows, holdout_share=_HOLDOUT_SHARE, seed=seed)
    event, final = data.event_time[data.rows], data.final_at[data.rows]
    cut = cut_for_holdout(event, final, length=data.holdout, as_of=data.as_of)
    inside = split_in_time(event, final, cut=cut, as_of=data.as_of)
    return Split(data.rows[inside.train], data.rows[inside.holdout], cut)


def _ladder(data: GuidedData, seed: int, own: Recipe | None) -> list[tuple[str, Recipe]]:
    """Return the candidates that need no tuning, the simplest first."""
    plain = Recipe("constant", data.task, data.features, seed=seed, n_classes=data.n_classes)
    quantile = (("quantile", data.quantile),) if data.quantile is not None and data.task == "regression" else ()
    recipes = [("the same for every case", replace(plain, params=quantile))]
    if data.has_rule:
        recipes.append(("the old rule", replace(plain, kind="rule")))
    if data.task == "regression":
        recipes.append(("last value", replace(plain, kind="last_value")))
    recipes += [
        ("linear model", replace(plain, kind="linear", params=quantile)),
        ("gradient boosting", replace(plain, kind="gradient_boosting", params=quantile, calibrate=_calibrates(data))),
    ]
    return recipes + ([("pipeline.py", own)] if own else [])


def _calibrates(data: GuidedData) -> bool:
    return data.task != "regression"


def _tuned(
    runner: ModelRunner,
    data: GuidedData,
    split: Split,
    *,
    value_of: ValueOf | None,
    trials: int,
    seed: int,
    told: _Told,
) -> list[tuple[str, Recipe]]:
    """Return the best parameter set of each kind of boosting that was tried."""
    folds = _folds(data, split, seed)
    if not trials or not folds:
        return []
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(4, trials // 4))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.enqueue_trial({"kind": "lightgbm"})
        study.enqueue_trial({"kind": "gradient_boosting"})
        best: dict[str, tuple[float, Recipe]] = {}
        for number in range(trials):
            trial = study.ask()
            recipe = _suggested(trial, data, seed)
            merit = _merit_in_folds(runner, data, folds, recipe=recipe, value_of=value_of)
            study.tell(trial, merit)
            if recipe.kind not in best or merit > best[recipe.kind][0]:
                best[recipe.kind] = (merit, recipe)
            told(f"{recipe.kind.replace('_', ' ')}, parameter set {number + 1} of {trials}")
    finally:
        optuna.logging.set_verbosity(verbosity)
    names = {"gradient_boosting": "gradient boosting, tuned", "lightgbm": "LightGBM, tuned"}
    return [(name, replace(best[kind][1], calibrate=_calibrates(data))) for kind, name in names.items() if kind in best]


def _folds(data: GuidedData, split: Split, seed: int) -> Sequence[Split]:
    if split.cut is None:
        return [split_at_random(split.train, holdout_share=0.3, seed=seed + fold) for fold in range(_FOLDS)]
    try:
        return folds_in_time(data.event_time, data.final_at, rows=split.train, folds=_FOLDS)
    except SplitImpossible:
        # outcomes arrive too late to cut the earlier part again: the ladder's defaults stand
        return []


def _suggested(trial: optuna.Trial, data: GuidedData, seed: int) -> Recipe:
    kind = trial.suggest_categorical("kind", ["gradient_boosting", "lightgbm"])
    rate = round(trial.suggest_float("learning_rate", 0.02, 0.2, log=True), 4)
    leaves = trial.suggest_int("leaves", 8, 63, log=True)
    smallest = trial.suggest_int("smallest_leaf", 10, 200, log=True)
    ridge = round(trial.suggest_float("ridge", 0.01, 20.0, log=True), 4)
    # fewer, larger steps, or more and smaller ones: one number decides both
    steps = int(np.clip(round(12 / rate), 60, 300))
    params: dict[str, Any] = {"learning_rate": rate}
    if kind == "gradient_boosting":
        params |= {
            "max_iter": steps,
            "max_leaf_nodes": leaves,
            "min_samples_leaf": smallest,
            "l2_regularization": ridge,
        }
    else:
        params |= {"n_estimators": steps, "num_leaves": leaves, "min_child_samples": smallest, "reg_lambda": ridge}
    if data.quantile is not None and data.task == "regression":
        params["quantile"] = data.quantile
    return Recipe(
        kind, data.task, data.features, params=tuple(sorted(params.items())), seed=seed, n_classes=data.n_classes
    )


def _merit_in_folds(
    runner: ModelRunner, data: GuidedData, folds: Sequence[Split], *, recipe: Recipe, value_of: ValueOf | None
) -> float:
    """Return the mean over folds of value per case; without a value function, of the metric turned upward."""
    merits = []
    for fold in folds:
        if recipe.task != "regression" and np.unique(data.outcome[fold.train]).size < 2:
            continue
        model = runner.fit(recipe, data.training(fold.train, most=TUNING_ROWS))
        scores = runner.predict_rows(model, data.features_path, fold.holdout)
        if value_of is None:
            merits.append(_upward(*_metric(data, scores, fold.holdout)))
        else:
            merits.append(value_of(scores, fold.holdout)[0] / len(fold.holdout))
    return float(np.mean(merits)) if merits else 0.0


def _judged(
    runner: ModelRunner, data: GuidedData, split: Split, *, name: str, recipe: Recipe, value_of: ValueOf | None
) -> Candidate:
    model = runner.fit(recipe, data.training(split.train, most=MOST_ROWS))
    scores = runner.predict_rows(model, data.features_path, split.holdout)
    value, interval = value_of(scores, split.holdout) if value_of else (None, None)
    metric, metric_value = _metric(data, scores, split.holdout)
    return Candidate(name, recipe, value, interval, metric, metric_value, chosen=False)


def _merit(candidate: Candidate) -> float:
    return candidate.value if candidate.value is not None else _upward(candidate.metric, candidate.metric_value)


def _metric(data: GuidedData, scores: Vector, rows: NDArray[np.int64]) -> tuple[str, float | None]:
    if data.task == "regression":
        return "MAE", mae(data.outcome[rows], scores)
    if data.task == "binary":
        return "AUC", auc(data.outcome[rows], scores)
    return "log loss", log_loss(data.outcome[rows], scores)


def _upward(metric: str, value: float | None) -> float:
    if value is None:
        return float("-inf")
    return value if metric == "AUC" else -value


def _plain_metric(runner: ModelRunner, data: GuidedData, split: Split, seed: int) -> float:
    """Return the metric of untuned boosting under a split, for the comparison of splits."""
    recipe = Recipe("gradient_boosting", data.task, data.features, seed=seed, n_classes=data.n_classes)
    model = runner.fit(recipe, data.training(split.train, most=TUNING_ROWS))
    scores = runner.predict_rows(model, data.features_path, split.holdout)
    value = _metric(data, scores, split.holdout)[1]
    return float("nan") if value is None else value


def _notes(data: GuidedData, split: Split, trials: int, comparison: SplitComparison | None) -> tuple[str, ...]:
    notes = []
    if trials and len(split.train) > TUNING_ROWS:
        notes.append(
            f"Parameters were tried on {TUNING_ROWS:,} of the {len(split.train):,} training rows, evenly thinned in "
            "time; every row was judged."
        )
    if len(split.train) > MOST_ROWS:
        notes.append(f"Candidates learned from {MOST_ROWS:,} of {len(split.train):,} rows, evenly thinned in time.")
    if comparison:
        metric = {"regression": "MAE", "binary": "AUC"}.get(data.task, "log loss")
        notes.append(comparison.sentence(metric))
    if split.cut is None:
        notes.append("Rows were split at random, so nothing is known about how the model holds on later data.")
    return tuple(notes)
