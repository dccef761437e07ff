"""How does a model learn again, in production? Trains on what is final, judges the recipe, and releases or refuses.

The recipe is trained as known one horizon ago and tested, against the champion, on the cases that became final since.
What ships is its refit on all final data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueup.build.recipe import FittedModel, TrainingRows
from trueup.improve.judging import Evidence, compare_on_later_cases, judge
from trueup.improve.training_rows import rows_known_then
from trueup.kernel.durations import MICROSECONDS_PER_DAY, Duration
from trueup.kernel.errors import TrueupError
from trueup.kernel.periods import local_iso
from trueup.lake.rehearsals import Release
from trueup.loop.deciding import PACE_DAYS, Log
from trueup.loop.stage import Bench
from trueup.loop.strategies import StrategyPlan
from trueup.loop.turn import LoopState, Retrain
from trueup.loop.worth import DecisionWorth
from trueup.measure.intervals import finite_interval
from trueup.measure.metrics import auc, mae
from trueup.release.rollout import Live

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
MIN_TRAINING_ROWS = 50
_SAMPLED_DELAYS = 50_000


class NothingToLearnFrom(TrueupError):
    """Too few final outcomes at the start of a rehearsal."""

    code = "loop.nothing-to-learn-from"


@dataclass(frozen=True)
class Candidate:
    """A trained model with what is known about it."""

    model: FittedModel
    live: Live
    release: Release
    """Its entry in the release history, name and kind still open."""
    reason: str = ""
    test: LaterTest | None = None
    """The cases its recipe was judged on; None when it was not."""


@dataclass(frozen=True)
class Refused:
    """A trained model that may not go live by itself."""

    candidate: Candidate
    reason: str


def train_first(bench: Bench, plan: StrategyPlan) -> Candidate:
    """Return the model that decides from the start, with what its recipe earned on the latest final cases.

    Raises
    ------
    NothingToLearnFrom
        When fewer than `MIN_TRAINING_ROWS` outcomes, or outcomes of one kind only, were final at the start.
    """
    stage = bench.stage
    rows = training_rows(bench, as_of=stage.start, window=plan.window)
    if rows is None and plan.window is not None:
        rows = training_rows(bench, as_of=stage.start, window=None)
    if rows is None:
        raise NothingToLearnFrom(
            f"on {local_iso(stage.start, stage.project.charter.timezone)[:10]} fewer than {MIN_TRAINING_ROWS} "
            "outcomes of both kinds were final, so there is "
            "nothing to train the first model on; start the rehearsal later (rehearsal.start)"
        )
    model = bench.runner.fit(stage.recipe, rows)
    promise = recipe_on_later_cases(bench, as_of=stage.start, since=stage.start - stage.horizon.microseconds, plan=plan)
    candidate = _candidate(bench, model, rows, as_of=stage.start)
    return _with_promise(bench, candidate, promise)


def retrain(
    bench: Bench, plan: StrategyPlan, action: Retrain, *, state: LoopState, champion: FittedModel, log: Log
) -> Candidate | Refused | None:
    """Return the retrained model, or why it may not go live; None when there is nothing new to learn from."""
    rows = training_rows(bench, as_of=state.as_of, window=action.policy.window, log=log)
    if rows is None:
        return None
    model = bench.runner.fit(bench.stage.recipe, rows)
    candidate = _candidate(bench, model, rows, as_of=state.as_of)
    if not plan.gated:
        return candidate
    since = max(state.as_of - bench.stage.horizon.microseconds, state.champion.trained_as_of)
    test = recipe_on_later_cases(bench, as_of=state.as_of, since=since, plan=plan, window=action.policy.window, log=log)
    evidence = _evidence(bench, test, champion=champion)
    evidence = replace(evidence, change_in_cases=_change_in_cases(bench, model, champion, as_of=state.as_of))
    judgement = judge(evidence, bench.project.charter.envelope, scheduled=action.scheduled)
    release = replace(
        candidate.release,
        value_gain=evidence.value_gain,
        value_gain_interval=finite_interval(evidence.interval) if evidence.interval else None,
        change_in_cases=evidence.change_in_cases,
    )
    candidate = replace(_with_promise(bench, candidate, test), release=release, reason=judgement.reason)
    return candidate if judgement.verdict == "promote" else Refused(candidate, judgement.reason)


@dataclass(frozen=True)
class LaterTest:
    """A recipe, trained as known at a past moment, on the cases that became final since."""

    rows: Rows
    scores: Array
    value: Array
    """Per case under the capacity, in the currency."""


def recipe_on_later_cases(
    bench: Bench, *, as_of: int, since: int, plan: StrategyPlan, window: Duration | None = None, log: Log | None = None
) -> LaterTest | None:
    """Return how the recipe, trained as known at `since`, does on cases final between `since` and `as_of`.

    None when there is too little to train on, or nothing became final.
    """
    history = bench.history
    rows = training_rows(bench, as_of=since, window=window or plan.window, log=log)
    final = np.asarray(history.final_at)
    became_final = (
        (final > since) & (final <= as_of) & (np.asarray(history.event_time) >= since - _reach(bench, as_of=since))
    )
    if log is not None and hides_outcomes(bench):
        became_final &= ~log.acted
    later = np.flatnonzero(became_final)
    if rows is None or not len(later):
        return None
    model = bench.runner.fit(bench.stage.recipe, rows)
    scores = bench.runner.predict_rows(model, history.table_path, later)
    return LaterTest(later, scores, bench.worth.value_of_scores(scores, later))


def training_rows(bench: Bench, *, as_of: int, window: Duration | None, log: Log | None = None) -> TrainingRows | None:
    """Return the rows to train on as known at `as_of`; None when they are too few or all of one kind."""
    history = bench.history
    hidden = log.acted if log is not None and hides_outcomes(bench) else None
    rows = rows_known_then(
        np.asarray(history.event_time), np.asarray(history.final_at), as_of=as_of, window=window, hidden=hidden
    )
    outcome = np.asarray(history.outcome)[rows]
    if len(rows) < MIN_TRAINING_ROWS or outcome.min() == outcome.max():
        return None
    weight = log.weight[rows] if log is not None and hidden is not None else None
    return TrainingRows(history.table_path, rows, outcome, weight)


def hides_outcomes(bench: Bench) -> bool:
    """Return whether acting changes outcomes, so that acted cases are no labels."""
    return bench.project.charter.action == "prevents" and isinstance(bench.worth, DecisionWorth)


def _reach(bench: Bench, *, as_of: int) -> int:
    """Return how long before `since` a case of the test may have happened: the delay of nearly all outcomes by then.

    Judged on evenly spaced cases, so that it costs the same however long the history is.
    """
    some = slice(None, None, max(1, bench.history.rows // _SAMPLED_DELAYS))
    final = np.asarray(bench.history.final_at[some])
    delay = (final - np.asarray(bench.history.event_time[some]))[final <= as_of]
    return int(np.quantile(delay, 0.99)) if len(delay) else 0


def _candidate(bench: Bench, model: FittedModel, rows: TrainingRows, *, as_of: int) -> Candidate:
    history, timezone = bench.history, bench.project.charter.timezone
    first, last = int(history.event_time[rows.rows[0]]), int(history.event_time[rows.rows[-1]])
    release = Release(
        at=local_iso(as_of, timezone),
        model="",
        kind="",
        reason="",
        trained_rows=len(rows.rows),
        trained_from=local_iso(first, timezone),
        trained_to=local_iso(last, timezone),
        latest_final_at=local_iso(int(np.asarray(history.final_at)[rows.rows].max()), timezone),
    )
    return Candidate(model, Live(name="", since=as_of, trained_as_of=as_of), release)


def _with_promise(bench: Bench, candidate: Candidate, test: LaterTest | None) -> Candidate:
    if test is None:
        return candidate
    outcome = np.asarray(bench.history.outcome)[test.rows]
    if isinstance(bench.worth, DecisionWorth):
        performance = auc(outcome, test.scores)
    else:
        performance = mae(outcome, test.scores) if test.scores.ndim == 1 else None
    live = replace(
        candidate.live,
        promised_value_per_case=float(test.value.mean()),
        estimated_value_per_case=_estimated(bench, test),
        performance=performance,
    )
    return replace(candidate, live=live, test=test)


def _estimated(bench: Bench, test: LaterTest) -> float | None:
    worth = bench.worth
    if not isinstance(worth, DecisionWorth):
        return None
    gains = worth.gains(test.scores, test.rows)
    more = worth.acted_on(gains, test.rows).astype(np.float64) - worth.baseline_acted[test.rows]
    return float((gains * more).mean())


def _evidence(bench: Bench, test: LaterTest | None, *, champion: FittedModel) -> Evidence:
    if test is None:
        return Evidence(0, None, None, None, None)
    scores = bench.runner.predict_rows(champion, bench.history.table_path, test.rows)
    weeks = np.asarray(bench.history.event_time)[test.rows] // (7 * MICROSECONDS_PER_DAY)
    return compare_on_later_cases(test.value, bench.worth.value_of_scores(scores, test.rows), weeks)


def _change_in_cases(bench: Bench, model: FittedModel, champion: FittedModel, *, as_of: int) -> float | None:
    """Return the relative change in the number of recent cases worth acting on."""
    worth = bench.worth
    if not isinstance(worth, DecisionWorth):
        return None
    recent = bench.history.rows_between(as_of - PACE_DAYS * MICROSECONDS_PER_DAY, as_of)
    now, before = (int((worth.gains(bench.scorer.scores(m, recent), recent) > 0).sum()) for m in (model, champion))
    return (now - before) / before if before else None
