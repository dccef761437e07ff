"""What could be said of each window before its outcomes were in, and did outcomes contradict it?

Looks back over a played strategy, but uses for every statement only what was final when it would have been made. The
calibration of a model is learned once, at its release, from cases it was not trained on: those its recipe was judged
on, else those the strategy's earlier models decided. From then on the model's own outcomes may contradict it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import NEVER, local_iso
from trueup.lake.estimates import Contradiction, Estimate, Figures, FinalValue
from trueup.loop.deciding import Log
from trueup.loop.retrain import LaterTest, hides_outcomes
from trueup.loop.stage import Bench
from trueup.loop.worth import DecisionWorth
from trueup.measure.contradiction import ContradictionTest, start_contradiction, watch_outcomes
from trueup.measure.estimated import (
    EstimatedPerformance,
    EstimatedValue,
    Part,
    count_decisions,
    estimated_decisions,
    estimated_value,
)
from trueup.measure.metrics import auc, brier, log_loss
from trueup.measure.scorecounts import ScoreCounts, count_scores, merge_scores
from trueup.measure.settling import Dispersion, dispersion_of, final_value_interval
from trueup.observe.estimates import MATURE, Hindsight, Judged, contradiction_text, judge_estimate, judge_in_hindsight

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
BINS = 500
"""Bins of the score: what is kept of a model's outcomes does not grow with their number."""
REFERENCE_DAYS = 180
"""Outcomes that became final longer ago do not calibrate the next model."""
ENOUGH = 100
"""Outcomes of the rarer kind below which the last model's reference is kept beside newer ones."""
_BLOCK_WEEKS = 4
"""Weeks of a block: as long as a month, since a calibration's error lasts as long as its model."""
_BLOCKS = 7
"""Past blocks that show how values scatter around their expectation."""
_YOUNG = Dispersion(3.0, 4)
"""Assumed before any block is settled. A calibration on the cases that chose the model flatters it: in the simulated
lender's steady year a factor of 1 covered 75 % of months where 90 % were promised (`python -m benchmarks demo`)."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A model's calibration and what became of it."""

    test: ContradictionTest
    ends: Rows
    """End of each turn in which its outcomes became final."""
    finals: Rows
    """Outcomes that had become final by then."""

    def checked_by(self, as_of: int) -> int:
        """Return how many of the model's outcomes were final at `as_of`."""
        place = int(np.searchsorted(self.ends, as_of, side="right"))
        return int(self.finals[place - 1]) if place else 0


@dataclass(frozen=True, eq=False)
class Estimates:
    """Everything needed to speak about the windows of one played strategy."""

    bench: Bench
    worth: DecisionWorth
    log: Log
    names: Sequence[str]
    """Models by number, from 1."""
    watched: dict[int, Watched]
    blocks: tuple[Rows, Array, Array]
    """Blocks of weeks whose outcomes are all final: from when on, realised minus expected value, and its variance."""


def reference_of_test(bench: Bench, test: LaterTest) -> ScoreCounts:
    """Return the counts of the cases that a recipe was judged on."""
    return _counts(np.asarray(bench.history.outcome)[test.rows], test.scores)


def reference_of_log(bench: Bench, log: Log, finals: Rows, *, before: ScoreCounts | None) -> ScoreCounts:
    """Return the counts of the cases in `finals` as they were scored; with the reference before where they are few."""
    rows = finals[~log.acted[finals]] if hides_outcomes(bench) else finals
    counts = _counts(np.asarray(bench.history.outcome)[rows], log.score[rows])
    positives = float(counts.positives.sum())
    few = min(positives, float(counts.final.sum()) - positives) < ENOUGH
    return merge_scores(counts, before) if few and before is not None else counts


def look_back(bench: Bench, log: Log, *, names: Sequence[str], references: dict[int, ScoreCounts]) -> Estimates | None:
    """Return what every model's outcomes did to its calibration; None where scores are no probabilities."""
    if not isinstance(bench.worth, DecisionWorth):
        return None
    watched = {}
    for number, reference in references.items():
        test = start_contradiction(reference)
        if test is not None:
            watched[number] = _watch(bench, log, number=number, test=test)
    blocks = _surprise_of_blocks(bench, bench.worth, log=log, watched=watched)
    return Estimates(bench, bench.worth, log, names, watched, blocks)


def contradictions_of(estimates: Estimates) -> tuple[Contradiction, ...]:
    """Return the models whose estimates were contradicted, in order."""
    timezone = estimates.bench.project.charter.timezone
    said = []
    for number, watched in sorted(estimates.watched.items()):
        found = watched.test.found
        if found is None:
            continue
        said.append(
            Contradiction(
                model=estimates.names[number - 1],
                at=local_iso(found.at, timezone),
                since=local_iso(found.since, timezone),
                delay_days=(found.at - found.since) / MICROSECONDS_PER_DAY,
                cases=found.cases,
                expected_rate=found.expected_rate,
                seen_rate=found.seen_rate,
                reason=contradiction_text(found),
            )
        )
    return tuple(said)


def estimate_window(estimates: Estimates, rows: slice, *, end: int, final: Rows) -> Estimate:
    """Return what could be said of a window at its end.

    Parameters
    ----------
    estimates : Estimates
    rows : slice
        Its cases.
    end : int
    final : ndarray of int
        Positions of those of its cases whose outcome is final when the rehearsal ended.
    """
    bench, log = estimates.bench, estimates.log
    parts = tuple(_parts(estimates, np.arange(rows.start, rows.stop)))
    performance, value = estimated_decisions(parts), estimated_value(parts)
    judged = _judged(estimates, rows, end=end, performance=performance)
    known = judged.status != "too_few"
    estimate = Estimate(
        at=local_iso(end, bench.project.charter.timezone),
        status=judged.status,
        reason=judged.reason,
        expected=_expected(performance, value) if known else Figures(performance.cases),
        realised=realised_figures(bench, log, final),
        at_end=_final_value(estimates, rows, as_of=end, known=known),
        now=_final_value(estimates, rows, as_of=bench.history.data_end, known=known),
        outside_share=performance.outside_share,
    )
    hindsight = _hindsight(estimate)
    return replace(estimate, came_true=hindsight.came_true, hindsight=hindsight.reason) if hindsight else estimate


def _judged(estimates: Estimates, rows: slice, *, end: int, performance: EstimatedPerformance) -> Judged:
    """Return whether the estimate of a window could be believed at its end."""
    decided_by = estimates.log.decided_by[rows]
    shares = {number: float((decided_by == number).mean()) for number in estimates.watched if len(decided_by)}
    deciding = {number: estimates.watched[number] for number, share in shares.items() if share}
    proofs = [w.test.found for w in deciding.values() if w.test.found is not None and w.test.found.at <= end]
    found = min(proofs, key=lambda proof: proof.at, default=None)
    return judge_estimate(
        performance,
        uncalibrated=len(decided_by) - performance.cases,
        watched=sum(w.checked_by(end) for w in deciding.values()),
        watched_share=sum(shares[number] for number, w in deciding.items() if w.checked_by(end)),
        found=found,
        since=local_iso(found.at, estimates.bench.project.charter.timezone)[:10] if found else "",
    )


def _hindsight(estimate: Estimate) -> Hindsight | None:
    """Return what outcomes made of an estimate; None while too many are open."""
    if estimate.now.final_share < MATURE:
        return None
    realised = estimate.realised
    positives = round((realised.outcome_rate or 0.0) * realised.cases)
    return judge_in_hindsight(
        expected_auc=estimate.expected.auc,
        realised_auc=realised.auc,
        positives=positives,
        negatives=realised.cases - positives,
        value=realised.value,
        interval=estimate.at_end.interval,
    )


def _expected(performance: EstimatedPerformance, value: EstimatedValue) -> Figures:
    return Figures(
        cases=performance.cases,
        auc=performance.auc,
        outcome_rate=performance.outcome_rate,
        accuracy=performance.accuracy,
        precision=performance.precision,
        recall=performance.recall,
        log_loss=performance.log_loss,
        brier=performance.brier,
        value=value.value,
    )


def _final_value(estimates: Estimates, rows: slice, *, as_of: int, known: bool) -> FinalValue:
    history, log = estimates.bench.history, estimates.log
    everything = np.arange(rows.start, rows.stop)
    settled = np.asarray(history.final_at[rows]) <= as_of
    settled &= ~np.isnan(np.asarray(history.outcome[rows]))
    so_far = float(log.value[everything[settled]].sum())
    open_cases = estimated_value(tuple(_parts(estimates, everything[~settled])))
    return FinalValue(
        as_of=local_iso(as_of, estimates.bench.project.charter.timezone),
        final_share=float(settled.mean()),
        so_far=so_far,
        expected=so_far + open_cases.value if known else None,
        interval=final_value_interval(so_far, open_cases, dispersion=_dispersion(estimates, as_of)) if known else None,
    )


def realised_figures(bench: Bench, log: Log, rows: Rows) -> Figures:
    """Return what became of cases whose outcome is final."""
    if not len(rows):
        return Figures(0)
    outcome, acted = np.asarray(bench.history.outcome)[rows], log.acted[rows]
    score = np.clip(log.score[rows], 0.0, 1.0)
    hits, taken, positives = (float(part.sum()) for part in (acted & (outcome == 1.0), acted, outcome))
    return Figures(
        cases=len(rows),
        auc=auc(outcome, score),
        outcome_rate=positives / len(rows),
        accuracy=float((acted == (outcome == 1.0)).mean()),
        precision=hits / taken if taken else None,
        recall=hits / positives if positives else None,
        log_loss=log_loss(outcome, score),
        brier=brier(outcome, score),
        value=float(log.value[rows].sum()),
    )


def _counts(outcome: Array, score: Array) -> ScoreCounts:
    return count_scores(np.clip(score, 0.0, 1.0), outcome, bins=BINS)


def _watch(bench: Bench, log: Log, *, number: int, test: ContradictionTest) -> Watched:
    """Return the calibration after the model's outcomes, turn by turn as they became final."""
    mine = log.decided_by[bench.finals] == number
    if hides_outcomes(bench):
        mine &= ~log.acted[bench.finals]
    rows, times = bench.finals[mine], bench.final_times[mine]
    turns = bench.stage.turns
    cut = np.searchsorted(times, turns, side="right")
    outcome, happened = np.asarray(bench.history.outcome), np.asarray(bench.history.event_time)
    ends, finals = [], []
    for i in range(1, len(turns)):
        its = rows[cut[i - 1] : cut[i]]
        if not len(its):
            continue
        ends.append(int(turns[i]))
        finals.append(int(cut[i]))
        first = int(happened[its.min()])
        test = watch_outcomes(test, int(turns[i]), counts=_counts(outcome[its], log.score[its]), happened=first)
        if test.found is not None:
            break
    return Watched(test, np.array(ends, dtype=np.int64), np.array(finals, dtype=np.int64))


def _parts(estimates: Estimates, rows: Rows) -> Iterator[Part]:
    """Yield the cases of each model that has a calibration."""
    log, worth = estimates.log, estimates.worth
    deciders = log.decided_by[rows]
    for number, watched in estimates.watched.items():
        its = rows[deciders == number]
        if not len(its):
            continue
        score = np.clip(log.score[its], 0.0, 1.0)
        if_positive, if_negative = _stakes(worth, log, its)
        yield Part(
            counts=_counts(np.full(len(its), np.nan), score),
            calibration=watched.test.calibration,
            decisions=count_decisions(
                score, log.acted[its], if_positive=if_positive, if_negative=if_negative, bins=BINS
            ),
        )


def _stakes(worth: DecisionWorth, log: Log, rows: Rows) -> tuple[Array, Array]:
    """Return the value of what was decided if each outcome were positive, and if it were negative."""
    more = log.acted[rows].astype(np.float64) - worth.baseline_acted[rows].astype(np.float64)
    return more * worth.gains(np.ones(len(rows)), rows), more * worth.gains(np.zeros(len(rows)), rows)


def _surprise_of_blocks(
    bench: Bench, worth: DecisionWorth, *, log: Log, watched: dict[int, Watched]
) -> tuple[Rows, Array, Array]:
    """Return per block when all of its outcomes were final, realised minus expected value, and its variance."""
    history, block = bench.history, _BLOCK_WEEKS * 7 * MICROSECONDS_PER_DAY
    settled, residuals, variances = [], [], []
    for start in range(bench.stage.start, bench.stage.end, block):
        rows = history.rows_between(start, min(start + block, bench.stage.end))
        everything = np.arange(rows.start, rows.stop)
        outcome = np.asarray(history.outcome[rows])
        final_at = np.asarray(history.final_at[rows])
        if not len(everything) or np.isnan(outcome).any() or int(final_at.max()) >= NEVER:
            continue
        residual = variance = 0.0
        for number, one in watched.items():
            its = everything[log.decided_by[rows] == number]
            rate = one.test.calibration.of(np.clip(log.score[its], 0.0, 1.0))
            if_positive, if_negative = _stakes(worth, log, its)
            residual += float((log.value[its] - rate * if_positive - (1.0 - rate) * if_negative).sum())
            variance += float((rate * (1.0 - rate) * (if_positive - if_negative) ** 2).sum())
        settled.append(int(final_at.max()))
        residuals.append(residual)
        variances.append(variance)
    return np.array(settled, dtype=np.int64), np.array(residuals), np.array(variances)


def _dispersion(estimates: Estimates, as_of: int) -> Dispersion:
    settled, residuals, variances = estimates.blocks
    known = np.flatnonzero(settled <= as_of)[-_BLOCKS:]
    return dispersion_of(residuals[known], variances[known], before=_YOUNG)
