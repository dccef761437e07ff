"""Which recipe does a project use? Its own pipeline, or the one guided training chooses by value on later data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import PayoffPerCase, Project
from trueup.build.guided import GuidedData, GuidedResult, choose_recipe
from trueup.build.recipe import Recipe
from trueup.build.runner import ModelRunner
from trueup.data.history import History
from trueup.data.pricing import CasePricer
from trueup.improve.training_rows import rows_known_then
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import NEVER
from trueup.loop.prepare import Progress, features_of, horizon_of, pipeline_recipe
from trueup.loop.worth import worth_of
from trueup.measure.intervals import resampled_interval

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_SEED = 11


@dataclass(frozen=True)
class RecipeChoice:
    """The recipe to use, and what it was chosen against."""

    recipe: Recipe
    guided: Recipe | None
    """Guided training's best, where the project has a pipeline of its own and asked for the comparison."""
    candidates: tuple[dict[str, Any], ...]
    note: str | None = None


def choose_recipes(
    project: Project,
    history: History,
    runner: ModelRunner,
    *,
    pricer: CasePricer,
    as_of: int,
    guided: bool,
    progress: Progress,
) -> RecipeChoice:
    """Return the project's recipe, judged as known at `as_of`.

    With a pipeline that is the recipe; guided training then stands beside it when `guided`. Without one, guided
    training chooses.
    """
    own = pipeline_recipe(project, history, runner) if project.train.pipeline else None
    if own is not None and not guided:
        return RecipeChoice(own, None, ())
    result = choose_recipe(
        runner,
        guided_data(project, history, pricer, as_of=as_of),
        value_of=value_function(project, history, pricer),
        trials=project.train.trials,
        seed=project.train.seed,
        own=own,
        progress=lambda done, total, text: progress(done, total, f"guided training: {text}"),
    )
    candidates = tuple(c.as_json() for c in result.candidates)
    note = result.comparison.sentence(result.candidates[0].metric) if result.comparison else None
    if own is None:
        return RecipeChoice(result.recipe, None, candidates, note)
    return RecipeChoice(own, _best_guided(result, own), candidates, note)


def guided_data(project: Project, history: History, pricer: CasePricer, *, as_of: int) -> GuidedData:
    """Return what guided training learns from, as known at `as_of`."""
    outcome = np.asarray(history.outcome)
    if history.dated:
        rows = rows_known_then(np.asarray(history.event_time), np.asarray(history.final_at), as_of=as_of, window=None)
    else:
        rows = np.flatnonzero(~np.isnan(outcome) & (np.asarray(history.final_at) < NEVER))
    return GuidedData(
        features_path=history.table_path,
        features=features_of(history),
        task=project.task,
        outcome=outcome,
        event_time=np.asarray(history.event_time),
        final_at=np.asarray(history.final_at),
        rows=rows,
        as_of=as_of,
        n_classes=max(2, len(history.classes)),
        holdout=horizon_of(project).microseconds,
        has_rule=history.baseline is not None,
        quantile=_quantile(project, history, pricer),
        split="time" if history.dated and project.data.split == "time" else "random",
    )


def value_function(
    project: Project, history: History, pricer: CasePricer
) -> Callable[[Array, Rows], tuple[float, tuple[float, float]]]:
    """Return what prices scores on later cases: value in the currency with its 90 % interval over weeks."""
    worth = worth_of(project, history, pricer)

    def value_of(scores: Array, rows: Rows) -> tuple[float, tuple[float, float]]:
        value = np.nan_to_num(worth.value_of_scores(scores, rows))
        if history.dated:
            weeks = np.asarray(history.event_time)[rows] // (7 * MICROSECONDS_PER_DAY)
        else:
            weeks = np.arange(len(rows)) // max(1, len(rows) // 50)
        blocks = np.bincount(np.unique(weeks, return_inverse=True)[1], value).astype(np.float64)
        return float(value.sum()), resampled_interval(blocks, seed=_SEED)

    return value_of


def _best_guided(result: GuidedResult, own: Recipe) -> Recipe | None:
    others = [
        c for c in result.candidates if c.recipe != own and c.recipe.kind not in ("constant", "rule", "last_value")
    ]
    if not others:
        return None
    return max(others, key=lambda c: c.value if c.value is not None else float("-inf")).recipe


def _quantile(project: Project, history: History, pricer: CasePricer) -> float | None:
    """Return the quantile that the costs of predicting too little and too much ask for; None for a mean.

    With constant costs c_under and c_over per unit the best number is the c_under / (c_under + c_over) quantile
    (Koenker & Bassett 1978).
    """
    payoff = project.charter.payoff
    if project.task != "regression" or not isinstance(payoff, PayoffPerCase):
        return None
    rows = slice(0, min(history.rows, 1_000))
    outcome = np.asarray(history.outcome[rows])
    step = float(np.nanstd(outcome)) or 1.0
    at, under, over, twice = (
        float(np.nanmean(pricer.payoffs_of(payoff.per_case, rows=rows, prediction=outcome + shift, outcome=outcome)))
        for shift in (0.0, -step, step, 2 * step)
    )
    cost_under, cost_over = at - under, at - over
    is_linear = abs((at - twice) - 2 * cost_over) < 1e-6 * max(1.0, abs(cost_over))
    if not is_linear or cost_under <= 0 or cost_over <= 0:
        return None
    return round(cost_under / (cost_under + cost_over), 6)
