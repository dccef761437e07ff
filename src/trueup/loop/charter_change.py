"""What would a changed charter have meant in money? Last month's cases, decided under both.

The month is the latest whole calendar month, in the charter's time zone, of which at least 99 % of the cases have a
final outcome in the data: where outcomes take 45 days, it is an earlier month than the last. One model decides, trained
on what was final when that month began; it is the project's pipeline, or plain gradient boosting. Cases are decided as
they arrive, as in production, under the old charter, under the new one, and under the old one with each single change.

One yardstick values all of these decisions: the payoffs, the action and the success share of the *new* charter, since
those are what is believed now. So the effect of a changed payoff is what deciding by it gains on those cases, not that
the same decisions look dearer; and a changed baseline, which is only what value is compared with, has no effect but
through the control group. Cases without a final outcome take up capacity and count no money. Effects of several changes
do not add up to the effect of all of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.align.allocation import Tokens
from trueup.align.charter import Charter, Project
from trueup.align.document import Change, describe_changes
from trueup.build.recipe import Recipe
from trueup.build.runner import ModelRunner
from trueup.data.history import History
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.money import money_text
from trueup.kernel.periods import Calendar
from trueup.loop.deciding import PACE_DAYS, Log, decide
from trueup.loop.prepare import (
    LoopError,
    Progress,
    Workspace,
    features_of,
    history_of,
    horizon_of,
    open_tables,
    pipeline_recipe,
    table_name,
)
from trueup.loop.retrain import training_rows
from trueup.loop.stage import Bench, Stage, bench_of, open_workbench
from trueup.loop.worth import DecisionWorth, PredictionWorth, worth_of

Array = NDArray[np.float64]
FINAL_SHARE = 0.99
"""A month is final when at least this share of its cases has a final outcome."""
_OVER_TIME = frozenset({"retraining", "guards", "envelope", "exposure", "fallback", "interruption_limit", "timezone"})


class NothingToPriceOn(LoopError):
    """No month of cases can say what a change is worth."""

    code = "loop.nothing-to-price-on"


@dataclass(frozen=True)
class PricedChanges:
    """What is different between two charters, and what it would have meant."""

    changes: tuple[Change, ...]
    month: str | None = None
    """Such as ``2016-05``; None where no change moves money by itself."""
    cases: int = 0
    without_outcome: int = 0
    """Cases of the month that count no money, because their outcome is not final."""
    together: float | None = None
    """What all changes together would have meant, in the currency."""

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document."""
        return {**asdict(self), "changes": [asdict(change) for change in self.changes]}

    def lines(self, currency: str) -> list[str]:
        """Return the changes as people read them, one a line, then what they come to."""
        named = f"the {self.cases:,} cases of {self.month}"
        lines = [_line(change, currency, named) for change in self.changes]
        if self.together is not None and sum(change.moves_money for change in self.changes) > 1:
            lines.append(f"all together: {money_text(self.together, currency, signed=True)} on {named}")
        return lines


def _line(change: Change, currency: str, cases: str) -> str:
    if change.moves_money:
        return change.text(currency, cases=cases)
    if change.key in _OVER_TIME:
        return f"{change.words}: no effect on the decisions of one model in one month; see `trueup rehearse`"
    return f"{change.words}: no effect on decisions"


def price_changes(
    old: Project, new: Project, workspace: Workspace, *, progress: Progress | None = None
) -> PricedChanges:
    """Return what is different in the new charter and what it would have meant on last month's cases.

    Parameters
    ----------
    old, new : Project
        Their charters are compared; data, model and time zone are those of `new`.
    workspace : Workspace
        Holds the ingested table.
    progress : callable, optional

    Raises
    ------
    NothingToPriceOn
        When nothing has been ingested yet, the data have no time, no month of them is final, or there is nothing to
        train on before it.
    """
    before, after = old.charter, new.charter
    unpriced = describe_changes(before, after)
    if not any(change.moves_money for change in unpriced):
        return PricedChanges(unpriced)
    if type(before.payoff) is not type(after.payoff):
        raise NothingToPriceOn("the two charters are for different kinds of task, so they cannot decide the same cases")
    say = progress or _say_nothing
    if not workspace.lake.exists() or open_tables(workspace).find(table_name(new)) is None:
        raise NothingToPriceOn(f"nothing of {new.name} was ingested yet; run: trueup ingest {new.folder}")
    say(0, 1, "reading the past")
    history = history_of(new, workspace)
    start, end = last_final_month(history, timezone=after.timezone)
    with open_workbench(new, history, workspace.scratch) as (runner, pricer):
        recipe = _recipe(new, history, runner)
        stage = Stage(new, history.folder, workspace.scratch, recipe, start, end, horizon_of(new))
        say(0, 1, f"deciding the cases of {Calendar(after.timezone, 'month').label(start)}")
        month = _Month(bench_of(stage, history, runner=runner, pricer=pricer), workspace)
        worth_before = month.money(before)
        together = month.money(after) - worth_before
        changes = describe_changes(
            before, after, effect_of=lambda _, single: _no_minus_zero(month.money(single) - worth_before)
        )
    final = is_final(history)[month.rows]
    return PricedChanges(
        changes,
        month=Calendar(after.timezone, "month").label(start),
        cases=len(final),
        without_outcome=int((~final).sum()),
        together=_no_minus_zero(together),
    )


def last_final_month(history: History, *, timezone: str) -> tuple[int, int]:
    """Return the start and the end of the latest whole month whose outcomes are final.

    Raises
    ------
    NothingToPriceOn
        When the data have no time, or there is no such month.
    """
    if not history.dated or not history.rows:
        raise NothingToPriceOn(
            "a change of the charter is priced on last month's cases, and these data do not say when cases happened; "
            "name a time column in data.time"
        )
    months, days = Calendar(timezone, "month"), Calendar(timezone, "day")
    first, last = int(history.event_time[0]), int(history.event_time[-1])
    starts = months.starts_between(first, last + 1)
    final = is_final(history)
    for start, end in zip(starts[-2::-1].tolist(), starts[:0:-1].tolist(), strict=True):
        whole = start >= days.start_of(first) and end <= days.next_start(last)
        rows = history.rows_between(start, end)
        if whole and rows.start < rows.stop and final[rows].mean() >= FINAL_SHARE:
            return start, end
    raise NothingToPriceOn(
        f"the data, {days.label(days.start_of(first))} to {days.label(days.start_of(last))}, hold no whole calendar "
        "month of cases whose outcomes are final; ingest more of the past, or look at data.label_final_at"
    )


def is_final(history: History) -> NDArray[np.bool_]:
    """Return which cases have a final outcome in the data."""
    return (np.asarray(history.final_at) <= history.data_end) & ~np.isnan(np.asarray(history.outcome))


def _no_minus_zero(amount: float) -> float:
    return amount + 0.0


def _say_nothing(done: int, total: int, what: str) -> None:
    """Tell nobody."""


def _recipe(project: Project, history: History, runner: ModelRunner) -> Recipe:
    if project.train.pipeline:
        return pipeline_recipe(project, history, runner)
    return Recipe(
        "gradient_boosting",
        project.task,
        features_of(history),
        seed=project.train.seed,
        n_classes=max(2, len(history.classes)),
    )


class _Month:
    """One month of cases with one model's scores, which any charter can decide."""

    def __init__(self, bench: Bench, workspace: Workspace) -> None:
        self._bench, self._workspace = bench, workspace
        self.rows = bench.rows
        start = bench.stage.start
        training = training_rows(bench, as_of=start, window=None)
        if training is None:
            month = Calendar(bench.project.charter.timezone, "month").label(start)
            raise NothingToPriceOn(
                f"{month} is the last month of final cases, and when it began too few outcomes of both kinds were "
                "final to train a model; ingest more of the past"
            )
        self._recent = bench.history.rows_between(start - PACE_DAYS * MICROSECONDS_PER_DAY, start)
        span = slice(self._recent.start, self.rows.stop)
        scores = bench.scorer.scores(bench.runner.fit(bench.stage.recipe, training), span)
        self._before, self._scores = np.split(scores, [self.rows.start - span.start])
        self._counts = is_final(bench.history)[self.rows]

    def money(self, charter: Charter) -> float:
        """Return what a charter's decisions earn by the new charter's payoffs, against its baseline."""
        decided, yardstick = self._deciding(charter), self._bench.worth
        if isinstance(decided.worth, PredictionWorth):
            assert isinstance(yardstick, PredictionWorth)  # one project, one task
            value = yardstick.value(decided.worth.predict(self._scores, self.rows), self.rows)
        else:
            assert isinstance(yardstick, DecisionWorth)
            value = yardstick.value(self._acted(decided, decided.worth), self.rows)
        return float(np.nan_to_num(value[self._counts]).sum())

    def _deciding(self, charter: Charter) -> Bench:
        """Return the bench on which a charter decides: the same cases, its own payoffs and old rule."""
        bench = self._bench
        known = replace(charter, timezone=bench.project.charter.timezone)
        project = replace(bench.project, charter=known)
        history = history_of(project, self._workspace)
        stage = replace(bench.stage, project=project, history_folder=history.folder)
        return replace(bench, stage=stage, history=history, worth=worth_of(project, history, bench.pricer))

    def _acted(self, bench: Bench, worth: DecisionWorth) -> NDArray[np.bool_]:
        log = Log.empty(bench.history.rows, bench.stage.scratch / "arrays")
        log.gain[self._recent] = worth.gains(self._before, self._recent)
        log.gain[self.rows] = worth.gains(self._scores, self.rows)
        turns = bench.stage.turns
        tokens: Tokens | None = None
        for first, last in zip(turns[:-1].tolist(), turns[1:].tolist(), strict=True):
            rows = bench.history.rows_between(first, last)
            if rows.start < rows.stop:
                tokens = decide(bench, worth, log=log, rows=rows, tokens=tokens)
        return log.acted[self.rows]
