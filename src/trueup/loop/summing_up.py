"""What did a played strategy come to? Money, cases, windows, KPIs and guards, and which strategy to choose."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Kpi
from trueup.align.triggers_text import parse_limit
from trueup.kernel.digests import finite_or_none
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.money import money_text
from trueup.kernel.periods import Calendar, local_iso
from trueup.lake.rehearsals import GuardResult, KpiResult, Strategy, Window
from trueup.loop.estimating import Estimates, contradictions_of, estimate_window, look_back
from trueup.loop.play import Played
from trueup.loop.stage import Bench
from trueup.loop.worth import DecisionWorth
from trueup.measure.intervals import paired_difference_interval, resampled_interval
from trueup.measure.metrics import accuracy, auc, log_loss, mae

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
_SEED = 7


@dataclass(frozen=True)
class Result:
    """A strategy with the weekly values that comparisons rest on."""

    strategy: Strategy
    weekly_value: Array


def sum_up(bench: Bench, played: Played) -> Result:
    """Return what a strategy came to over the rehearsal, on cases whose outcome is final in the data."""
    final = _final_rows(bench)
    value = np.asarray(played.log.value)[final]
    weeks = (np.asarray(bench.history.event_time)[final] - bench.stage.start) // (7 * MICROSECONDS_PER_DAY)
    n_weeks = -(-(bench.stage.end - bench.stage.start) // (7 * MICROSECONDS_PER_DAY))
    weekly = np.bincount(weeks, value, minlength=n_weeks).astype(np.float64)
    total = float(value.sum())
    cost = bench.project.charter.retraining_cost * played.retrainings
    cases = _cases(bench, played)
    estimates = look_back(bench, played.log, names=played.models, references=played.references)
    strategy = Strategy(
        name=played.plan.name,
        description=played.plan.description,
        value=total,
        value_interval=resampled_interval(weekly, seed=_SEED),
        retraining_cost=cost,
        net_value=total - cost,
        cases_acted=cases.acted,
        max_cases_in_period=cases.most,
        capacity_filled=cases.filled,
        value_of_one_more_case=cases.one_more,
        releases=tuple(played.releases),
        windows=_windows(bench, played, estimates),
        kpis=tuple(_kpi(bench, played, kpi, final) for kpi in bench.project.charter.kpis),
        guards=tuple(
            GuardResult(w.guard.name, finite_or_none(w.overall()), str(w.guard.limit), w.breaches, w.guard.breach)
            for w in played.guards
        ),
        contradictions=contradictions_of(estimates) if estimates is not None else (),
    )
    return Result(strategy, weekly)


def choose(results: Sequence[Result], currency: str, *, own: Sequence[str] = ()) -> tuple[str, str]:
    """Return the name of the recommended strategy and the reason, in money.

    The strategy with the most money after retraining costs, unless its gain over `never` cannot be told from luck (the
    90 % interval of the weekly differences, less the cost, reaches zero): then `never`. One of the project's `own`
    strategies is preferred to another that is not surely better.
    """
    never = next(r for r in results if r.strategy.name == "never")
    best = max(results, key=lambda r: r.strategy.net_value)
    if best is never:
        return "never", _why_not(never, [r for r in results if r is not never], currency)
    mine = [r for r in results if r.strategy.name in own]
    if mine and best not in mine:
        closest = max(mine, key=lambda r: r.strategy.net_value)
        is_as_good = _net_gain(best, closest)[0] <= 0 and _net_gain(closest, never)[0] > 0
        best = closest if is_as_good else best
    low, high = _net_gain(best, never)
    cost = money_text(best.strategy.retraining_cost, currency)
    gain = money_text(best.strategy.net_value - never.strategy.net_value, currency)
    spread = f"between {money_text(low, currency)} and {money_text(high, currency)}, 9 chances in 10"
    if not low > 0:
        return "never", (
            f"retraining is not proven to be worth it: {best.strategy.name} earned {gain} more after {cost} for "
            f"{_times(best)}, but that may be luck ({spread})"
        )
    return best.strategy.name, (
        f"it would have earned {gain} more than never retraining ({spread}), after {cost} for {_times(best)}"
    )


def _why_not(never: Result, others: Sequence[Result], currency: str) -> str:
    if not others:
        return "no other strategy was rehearsed"
    second = max(others, key=lambda r: r.strategy.net_value)
    if never.strategy.net_value - second.strategy.net_value < 0.5:
        return "retraining would have changed nothing: no strategy earned more or less than never retraining"
    gap = money_text(never.strategy.net_value - second.strategy.net_value, currency)
    cost = money_text(second.strategy.retraining_cost, currency)
    return (
        f"retraining is not worth it: the best of the others, {second.strategy.name}, would have earned {gap} less "
        f"after {cost} for {_times(second)}"
    )


def _net_gain(one: Result, other: Result) -> tuple[float, float]:
    """Return the 90 % interval of what `one` earns more than `other`, after retraining costs."""
    low, high = paired_difference_interval(one.weekly_value, other.weekly_value, seed=_SEED)
    extra = one.strategy.retraining_cost - other.strategy.retraining_cost
    return low - extra, high - extra


def _times(result: Result) -> str:
    count = sum(r.kind in ("retrained", "refused") for r in result.strategy.releases)
    return "1 retraining" if count == 1 else f"{count} retrainings"


@dataclass(frozen=True)
class _Cases:
    acted: int | None = None
    most: int | None = None
    filled: float | None = None
    one_more: float | None = None


def _cases(bench: Bench, played: Played) -> _Cases:
    if not isinstance(bench.worth, DecisionWorth):
        return _Cases()
    acted = played.log.acted[bench.rows]
    total = int(acted.sum())
    capacity = bench.project.charter.capacity
    if capacity is None or not len(acted):
        return _Cases(acted=total)
    moments = np.asarray(bench.history.event_time[bench.rows])
    starts = bench.project.charter.calendar().starts_between(bench.stage.start, bench.stage.end)
    period = bench.project.charter.calendar().index_of(moments, starts)
    per_period = np.bincount(period[acted], minlength=len(starts) - 1)
    edges = np.searchsorted(period, np.arange(len(starts)))
    one_more = _realised_gain_of_next(bench, played, edges + bench.rows.start)
    return _Cases(
        acted=total,
        most=int(per_period.max()),
        filled=total / (capacity.cases * (len(starts) - 1)),
        one_more=one_more,
    )


def _realised_gain_of_next(bench: Bench, played: Played, edges: Rows) -> float | None:
    """Return what acting on the best case left out of each period would really have paid, on average.

    "Best" is by the model's expectation; the payment is what the outcome made of it, so that the choice of the largest
    of many estimates does not flatter it. Periods with room to spare count 0, those still open are left out.
    """
    if not isinstance(bench.worth, DecisionWorth):
        return None
    log, paid = played.log, []
    for first, last in itertools.pairwise(edges.tolist()):
        left_out = np.flatnonzero(~log.acted[first:last] & (log.gain[first:last] > 0)) + first
        if not len(left_out):
            paid.append(0.0)
            continue
        best = left_out[[int(np.argmax(log.gain[left_out]))]]
        if bench.history.final_at[best[0]] <= bench.history.data_end:
            yes, no = np.ones(1, dtype=bool), np.zeros(1, dtype=bool)
            paid.append(float(bench.worth.value(yes, best)[0] - bench.worth.value(no, best)[0]))
    return float(np.mean(paid)) if paid else None


def _final_rows(bench: Bench) -> Rows:
    """Return the positions of the rehearsed cases whose outcome is final when the data end."""
    return np.sort(bench.finals[bench.final_times <= bench.history.data_end])


def _windows(bench: Bench, played: Played, estimates: Estimates | None) -> tuple[Window, ...]:
    calendar = Calendar(bench.project.charter.timezone, bench.project.rehearsal.window)
    starts = calendar.starts_between(bench.stage.start, bench.stage.end)
    final = _final_rows(bench)
    edges = [bench.stage.start, *(int(s) for s in starts[1:-1]), bench.stage.end]
    return tuple(
        _window(bench, played, estimates, first=first, last=last, final=final)
        for first, last in itertools.pairwise(edges)
    )


def _window(bench: Bench, played: Played, estimates: Estimates | None, *, first: int, last: int, final: Rows) -> Window:
    timezone = bench.project.charter.timezone
    rows = bench.history.rows_between(first, last)
    inside = final[np.searchsorted(final, rows.start) : np.searchsorted(final, rows.stop)]
    count = rows.stop - rows.start
    outcome = np.asarray(bench.history.outcome)[inside]
    score, acted = played.log.score[inside], played.log.acted[inside]
    log, binary = played.log, isinstance(bench.worth, DecisionWorth)
    numbers = bench.project.task == "regression"
    return Window(
        start=local_iso(first, timezone),
        end=local_iso(last, timezone),
        rows=count,
        label_maturity=len(inside) / count if count else 0.0,
        value=float(log.value[inside].sum()) if len(inside) else None,
        auc=auc(outcome, score) if binary else None,
        mae=mae(outcome, score) if numbers else None,
        accuracy=accuracy(outcome, score) if bench.project.task == "multiclass" else None,
        log_loss=log_loss(outcome, np.clip(score, 1e-12, 1 - 1e-12)) if binary and len(inside) else None,
        estimated_value=_estimated_value(bench, played, rows) if binary else None,
        mean_score=float(log.score[rows].mean()) if count else None,
        outcome_rate=float(outcome.mean()) if len(inside) else None,
        cases_acted=int(log.acted[rows].sum()) if binary else None,
        true_positives=int((acted & (outcome == 1.0)).sum()) if binary else None,
        baseline_payoff=_baseline_payoff(bench, inside),
        estimate=estimate_window(estimates, rows, end=last, final=inside) if estimates is not None and count else None,
    )


def _estimated_value(bench: Bench, played: Played, rows: slice) -> float | None:
    if not isinstance(bench.worth, DecisionWorth):
        return None
    more = played.log.acted[rows].astype(np.float64) - bench.worth.baseline_acted[rows].astype(np.float64)
    return float(played.log.gain[rows] @ more)


def _baseline_payoff(bench: Bench, rows: Rows) -> float | None:
    if not isinstance(bench.worth, DecisionWorth) or not len(rows):
        return None
    return float(bench.worth.baseline_payoff(rows).sum())


def _kpi(bench: Bench, played: Played, kpi: Kpi, final: Rows) -> KpiResult:
    value = bench.pricer.kpi(
        kpi.sql,
        rows=final,
        acted=played.log.acted[final],
        outcome=np.asarray(bench.history.outcome)[final],
        score=played.log.score[final],
    )
    limit = parse_limit(kpi.target) if kpi.target else None
    met = limit.allows(value) if limit is not None and value is not None else None
    return KpiResult(kpi.name, finite_or_none(value), kpi.target, met)
