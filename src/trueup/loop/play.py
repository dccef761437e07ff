"""How does one strategy do over the past? Plays it turn by turn, exactly as production would have run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from trueup.align.allocation import CANARY_SALT, Tokens, uniform_of
from trueup.build.recipe import FittedModel
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import local_iso
from trueup.lake.rehearsals import Release
from trueup.loop.deciding import PACE_DAYS, Log, decide
from trueup.loop.estimating import REFERENCE_DAYS, reference_of_log, reference_of_test
from trueup.loop.guarding import GuardWatch, watch_guards, ways_of
from trueup.loop.retrain import Candidate, Refused, hides_outcomes, retrain, train_first
from trueup.loop.stage import Bench
from trueup.loop.strategies import StrategyPlan
from trueup.loop.turn import (
    Advance,
    Alert,
    Happened,
    LoopState,
    Retrain,
    RollBack,
    Rules,
    released,
    rolled_back,
    turn,
)
from trueup.loop.worth import DecisionWorth, PredictionWorth
from trueup.measure.scorecounts import ScoreCounts
from trueup.observe.ledger import TurnFacts, count_scores
from trueup.release.rollout import Rollout, deciding_share

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
_NOTHING = np.zeros(0)


@dataclass
class Played:
    """A strategy after its last turn."""

    plan: StrategyPlan
    log: Log
    releases: list[Release] = field(default_factory=list)
    retrainings: int = 0
    """Models trained after the first, released or refused."""
    guards: tuple[GuardWatch, ...] = ()
    alerts: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    """Names of the models that decided, or were about to, by their number in the log, from 1."""
    references: dict[int, ScoreCounts] = field(default_factory=dict)
    """Scores and outcomes that each model's estimates rest on, by its number in the log."""


class Player:
    """Plays one strategy.

    Parameters
    ----------
    bench : Bench
    plan : StrategyPlan
    """

    def __init__(self, bench: Bench, plan: StrategyPlan) -> None:
        self._bench, self._plan = bench, plan
        self._rules = Rules(bench.project.charter, plan.policies)
        self._models: dict[str, FittedModel] = {}
        self._log = Log.empty(bench.history.rows, bench.stage.scratch / "arrays")
        self._played = Played(plan, self._log, guards=watch_guards(bench.project.charter.guards, bench.pricer))
        self._tokens: Tokens | None = None
        self._finals_seen = 0

    def play(self, progress: Progress | None = None) -> Played:
        """Play every turn and return what was decided."""
        turns = self._bench.stage.turns
        state = self._first_release()
        for i in range(1, len(turns)):
            rows = self._bench.history.rows_between(int(turns[i - 1]), int(turns[i]))
            estimated = self._serve(state, rows)
            happened = self._happened(state, int(turns[i]), rows, estimated)
            state, actions = turn(state, happened, self._rules)
            if i < len(turns) - 1:  # what would be trained at the very end would decide nothing
                for action in actions:
                    state = self._carry_out(state, action)
            if progress is not None:
                progress(i, len(turns) - 1)
        return self._played

    def _first_release(self) -> LoopState:
        start = self._bench.stage.start
        first = train_first(self._bench, self._plan)
        name = f"{self._plan.name}-1"
        self._models[name] = first.model
        self._keep_reference(name, first, as_of=start)
        live = replace(first.live, name=name)
        self._note(live.name, "first", "trained on what was final at the start", first)
        self._refresh_gains(name, before=start)
        return LoopState(as_of=start, rollout=Rollout(live), last_tried={p.name: start for p in self._plan.policies})

    # --- serving one turn ---------------------------------------------------------------------

    def _serve(self, state: LoopState, rows: slice) -> float:
        """Decide the cases of a turn; return what the decisions are expected to be worth against the baseline."""
        if rows.start == rows.stop:
            return 0.0
        scores = self._scores(state, rows)
        worth, log = self._bench.worth, self._log
        if isinstance(worth, PredictionWorth):
            predicted = worth.predict(scores, rows)
            log.score[rows] = predicted
            log.value[rows] = worth.value(predicted, rows)
            return 0.0
        log.score[rows] = scores
        log.gain[rows] = log.recent_gain[rows] = worth.gains(scores, rows)
        self._tokens = decide(self._bench, worth, log=log, rows=rows, tokens=self._tokens)
        more = log.acted[rows].astype(np.float64) - worth.baseline_acted[rows].astype(np.float64)
        return float(log.gain[rows] @ more)

    def _scores(self, state: LoopState, rows: slice) -> Array:
        scores = self._bench.scorer.scores(self._models[state.champion.name], rows)
        candidate = state.rollout.candidate
        share = deciding_share(state.rollout, self._rules.charter.exposure)
        self._log.decided_by[rows] = self._number(state.champion.name)
        if candidate is None or share <= 0:
            return scores
        units = np.asarray(self._bench.history.unit_hash[rows])
        canary = uniform_of(units, CANARY_SALT + len(self._models)) < share
        other = self._bench.scorer.scores(self._models[candidate.live.name], rows)
        self._log.decided_by[rows][canary] = self._number(candidate.live.name)
        return np.where(canary if scores.ndim == 1 else canary[:, None], other, scores)

    def _number(self, name: str) -> int:
        """Return the number by which the log knows a model."""
        return list(self._models).index(name) + 1

    def _blamed(self, state: LoopState) -> int:
        """Return the number of the model that guards watch: the canary while there is one, else the champion."""
        candidate = state.rollout.candidate
        deciding = deciding_share(state.rollout, self._rules.charter.exposure) > 0
        return self._number(candidate.live.name if candidate is not None and deciding else state.champion.name)

    def _refresh_gains(self, name: str, *, before: int) -> None:
        """Score the recent past with the model that now decides, so that its cut-off rests on its own scores."""
        worth, history = self._bench.worth, self._bench.history
        if isinstance(worth, DecisionWorth):
            recent = history.rows_between(before - PACE_DAYS * MICROSECONDS_PER_DAY, before)
            self._log.recent_gain[recent] = worth.gains(self._bench.scorer.scores(self._models[name], recent), recent)

    # --- what became known --------------------------------------------------------------------

    def _happened(self, state: LoopState, end: int, rows: slice, estimated: float) -> Happened:
        bench, log = self._bench, self._log
        last = int(np.searchsorted(bench.final_times, end, side="right"))
        everything = bench.finals[self._finals_seen : last]
        self._finals_seen = last
        final = everything[log.decided_by[everything] == self._number(state.champion.name)]
        outcome = np.asarray(bench.history.outcome[final])
        binary = isinstance(bench.worth, DecisionWorth)
        facts = TurnFacts(
            end=end,
            decided=rows.stop - rows.start,
            estimated_value=estimated,
            scores=count_scores(log.score[rows]) if binary else _NOTHING,
            final_cases=len(final),
            value=float(log.value[final].sum()),
            positives=self._counted(final, outcome == 1.0) if binary else _NOTHING,
            negatives=self._counted(final, outcome != 1.0) if binary else _NOTHING,
            absolute_error=0.0 if binary else float(np.abs(log.score[final] - outcome).sum()),
        )
        ways = ways_of(log.acted[everything], np.asarray(bench.history.outcome[everything]))
        judged = log.decided_by[everything] == self._blamed(state)
        readings = tuple(watch.read(end, everything, ways, judged=judged) for watch in self._played.guards)
        return Happened(as_of=end, facts=facts, new_final_outcomes=len(everything), guards=readings)

    def _counted(self, rows: NDArray[np.int64], wanted: NDArray[np.bool_]) -> Array:
        """Return the wanted cases by score; where acting hides outcomes, those not acted on stand for the others."""
        log = self._log
        if hides_outcomes(self._bench):
            wanted = wanted & ~log.acted[rows]
        chosen = rows[wanted]
        return count_scores(log.score[chosen], log.weight[chosen])

    # --- carrying out what the turn asks ------------------------------------------------------

    def _carry_out(self, state: LoopState, action: Retrain | RollBack | Advance | Alert) -> LoopState:
        if isinstance(action, Retrain):
            return self._retrain(state, action)
        if isinstance(action, RollBack):
            return self._roll_back(state, action)
        if isinstance(action, Alert):
            self._played.alerts.append(f"{self._when(state)[:10]}: {action.reason}")
        elif action.step.kind == "full":
            self._refresh_gains(state.champion.name, before=state.as_of)
        return state

    def _retrain(self, state: LoopState, action: Retrain) -> LoopState:
        result = retrain(
            self._bench,
            self._plan,
            action,
            state=state,
            champion=self._models[state.champion.name],
            log=self._log,
        )
        if result is None:
            return state
        self._played.retrainings += 1
        name = f"{self._plan.name}-{self._played.retrainings + 1}"
        reason = "; ".join(filter(None, (action.reason, result.reason)))
        if isinstance(result, Refused):
            self._note(name, "refused", reason, result.candidate)
            return state
        self._models[name] = result.model
        self._keep_reference(name, result, as_of=state.as_of)
        live = replace(result.live, name=name)
        self._note(name, "retrained", reason, result)
        for watch in self._played.guards:
            watch.forget()
        state = released(state, live, self._rules)
        if state.rollout.candidate is None:
            self._refresh_gains(name, before=state.as_of)
        return state

    def _keep_reference(self, name: str, candidate: Candidate, *, as_of: int) -> None:
        """Note the outcomes that the model's estimates will rest on: of its recipe's test, else of models before it."""
        played, bench = self._played, self._bench
        played.models.append(name)
        if not isinstance(bench.worth, DecisionWorth):
            return
        if candidate.test is not None:
            played.references[len(played.models)] = reference_of_test(bench, candidate.test)
            return
        first = int(np.searchsorted(bench.final_times, as_of - REFERENCE_DAYS * MICROSECONDS_PER_DAY))
        finals = bench.finals[first : self._finals_seen]
        before = played.references.get(len(played.models) - 1)
        played.references[len(played.models)] = reference_of_log(bench, self._log, finals, before=before)

    def _roll_back(self, state: LoopState, action: RollBack) -> LoopState:
        state = rolled_back(state, self._rules)
        self._refresh_gains(state.champion.name, before=state.as_of)
        self._played.releases.append(
            Release(at=self._when(state), model=state.champion.name, kind="rollback", reason=action.reason)
        )
        return state

    def _when(self, state: LoopState) -> str:
        return local_iso(state.as_of, self._bench.project.charter.timezone)

    def _note(self, name: str, kind: str, reason: str, candidate: Candidate) -> None:
        self._played.releases.append(replace(candidate.release, model=name, kind=kind, reason=reason))
