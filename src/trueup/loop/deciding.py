"""Who decides each case of a turn, and what? The rehearsal's stand-in for the prediction server.

Champion and canary score, the capacity is filled case by case, the control group is decided by the old rule, and a
signed share of the capacity goes to random cases. Everything is written beside the case, as the prediction log would.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueup.align.allocation import (
    CONTROL_SALT,
    EXPLORATION_SALT,
    Pace,
    StreamAllocator,
    Tokens,
    Wanted,
    learn_pace,
    uniform_of,
)
from trueup.align.charter import Charter
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.loop.mapped import mapped_array
from trueup.loop.stage import Bench
from trueup.loop.worth import DecisionWorth

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
PACE_DAYS = 28


@dataclass
class Log:
    """What was decided for each rehearsed case; arrays over the whole history, filled turn by turn."""

    score: Array
    """Probability of the positive outcome, or the predicted number or class."""
    gain: Array
    """Expected gain of acting, in the currency; for numbers and classes 0."""
    acted: Flags
    weight: Array
    """What a case not acted on stands for, when acting hides outcomes: 1 / probability of not being acted on."""
    recent_gain: Array
    """Expected gain under the model that decides now; the cut-off rests on it."""
    decided_by: NDArray[np.int64]
    """Number of the model that decided, from 1."""
    value: Array
    """Payoff minus the baseline's, as it will turn out; read only once the outcome is final."""

    @classmethod
    def empty(cls, rows: int, folder: Path) -> Log:
        """Return a log of `rows` cases with nothing decided, on disk in `folder`."""

        def numbers(start: float) -> Array:
            array = mapped_array(folder, rows, np.float64).astype(np.float64, copy=False)
            if start:
                array[:] = start
            return array

        return cls(
            score=numbers(0.0),
            gain=numbers(0.0),
            acted=mapped_array(folder, rows, np.bool_).astype(np.bool_, copy=False),
            weight=numbers(1.0),
            recent_gain=numbers(0.0),
            decided_by=mapped_array(folder, rows, np.int64).astype(np.int64, copy=False),
            value=numbers(np.nan),
        )


def decide(bench: Bench, worth: DecisionWorth, *, log: Log, rows: slice, tokens: Tokens | None) -> Tokens | None:
    """Decide the cases of one turn whose scores and gains stand in the log; return where the capacity stands."""
    charter, history = bench.project.charter, bench.history
    gains, units = log.gain[rows], np.asarray(history.unit_hash[rows])
    control, acts = _control_group(charter, units, baseline=worth.history.baseline, rows=rows)
    if charter.capacity is None:
        acted, cutoffs, tokens = np.where(control, acts, gains > 0), np.zeros(len(gains)), None
    else:
        reserve = int(charter.exploration_share * charter.capacity.cases)
        allocator = StreamAllocator(charter.calendar(), charter.capacity.cases, reserve)
        pace = _pace(bench, log, before=rows.start, calendar_charter=charter)
        rate = pace.exploration_rate(reserve, charter.calendar().per)
        wanted = Wanted(forced=control, acts=acts, drawn=uniform_of(units, EXPLORATION_SALT) < rate)
        moments = np.asarray(history.event_time[rows])
        allotment = allocator.allot(moments, gains, pace=pace, tokens=tokens, wanted=wanted)
        acted, cutoffs, tokens = allotment.acted, allotment.cutoffs, allotment.tokens
    log.acted[rows] = acted
    log.value[rows] = worth.value(acted, rows)
    if charter.control_group > 0:
        would = control & (gains > 0) & (gains >= cutoffs) & ~acted
        log.weight[rows] = np.where(would, 1.0 / charter.control_group, 1.0)
    return tokens


def _pace(bench: Bench, log: Log, *, before: int, calendar_charter: Charter) -> Pace:
    history = bench.history
    last = int(history.event_time[before]) if before < history.rows else bench.stage.end
    first = max(last - PACE_DAYS * MICROSECONDS_PER_DAY, int(history.event_time[0]))
    recent = slice(history.rows_between(first, last).start, before)
    return learn_pace(
        np.asarray(history.event_time[recent]),
        log.recent_gain[recent],
        first=first,
        last=max(last, first + 1),
        calendar=calendar_charter.calendar(),
    )


def _control_group(
    charter: Charter, units: NDArray[np.uint64], *, baseline: Array | None, rows: slice
) -> tuple[Flags, Flags]:
    """Return which cases the old rule decides, and which it would act on."""
    if charter.control_group <= 0:
        return np.zeros(len(units), dtype=bool), np.zeros(len(units), dtype=bool)
    acts = np.asarray(baseline[rows]) > 0 if baseline is not None else np.zeros(len(units), dtype=bool)
    return uniform_of(units, CONTROL_SALT) < charter.control_group, acts
