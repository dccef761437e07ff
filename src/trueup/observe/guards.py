"""Does every guard of the charter hold? Counts over its window, and a proof that survives being looked at every turn.

A guard limits a ratio: ``count <= limit * per``. Two answers stand side by side. The window's ratio is what people
read; alone it cries wolf when looked at daily, so it only warns. The always-valid test (`measure/sequential.py`) on the
per-case statistic ``count - limit * per`` proves a breach, with a chance of a false alarm of at most 5 % over the whole
life of a release; only then is the status ``error`` and the guard's `breach` due.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Breach, Guard
from trueup.measure.errors import OutOfRange
from trueup.measure.sequential import BettingTest, start_test, watch
from trueup.observe.rolling import Rolling, record, total
from trueup.observe.status import Status

Flags = NDArray[np.bool_] | NDArray[np.float64]
_SMALLEST_BOUND = 1e-3
"""Lower bound of the statistic for a limit of 0, where it is never negative: one count is then proof."""


@dataclass(frozen=True)
class GuardState:
    """What is kept of one guard since the release it watches began; bounded."""

    guard: Guard
    recent: Rolling
    """Rows (count, per, cases) of the guard's window."""
    test: BettingTest


@dataclass(frozen=True)
class GuardStatus:
    """How a guard stands."""

    name: str
    status: Status
    value: float | None
    """The window's ratio; None when `per` is 0."""
    count: int
    per: int
    limit: str
    window: str
    within_limit: bool | None
    """Whether the window's ratio keeps the limit; None without any case."""
    p_value: float
    """Always-valid: the chance of this much evidence, ever, while the limit holds."""
    proved: bool
    """Whether a breach is proved at 5 %."""
    breach: Breach
    """What the charter says is due when it is proved."""
    cases: int
    """Cases judged since the release began."""
    reason: str
    """The same in words."""


def start_guard(guard: Guard, *, alpha: float = 0.05) -> GuardState:
    """Return the state of a guard that has seen nothing; start again with every release."""
    lowest = guard.limit.value if guard.limit.operator in ("<=", "<") else 1.0
    return GuardState(guard, Rolling(guard.window), start_test(lowest=max(lowest, _SMALLEST_BOUND), alpha=alpha))


def record_guard(state: GuardState, at: int, *, count: Flags, per: Flags) -> GuardState:
    """Return the state after a turn's new cases.

    Parameters
    ----------
    state : GuardState
    at : int
        The turn's `as_of`.
    count, per : ndarray of bool or float, shape (n_cases,)
        The guard's two expressions for the cases that became final in this turn, in event-time order; 0 to 1 each.
        A guard that does not speak of outcomes may take cases as they are decided. When a case becomes final must not
        depend on its outcome: early outcomes are unlike late ones, and the proof would not hold.

    Notes
    -----
    Costs what the turn's cases cost; cases where both expressions are false cost next to nothing.
    """
    counts, pers = np.asarray(count, dtype=np.float64), np.asarray(per, dtype=np.float64)
    for name, given in (("count", counts), ("per", pers)):
        if len(given) and not 0.0 <= float(given.min()) <= float(given.max()) <= 1.0:
            raise OutOfRange(
                f'guard "{state.guard.name}": {name} goes from {given.min():g} to {given.max():g}; allowed is 0 to 1'
            )
    row = np.array([counts.sum(), pers.sum(), len(counts)], dtype=np.float64)
    statistic = counts - state.guard.limit.value * pers
    if state.guard.limit.operator in (">=", ">"):
        statistic = -statistic
    return replace(state, recent=record(state.recent, at, row), test=watch(state.test, statistic))


def guard_status(state: GuardState, as_of: int) -> GuardStatus:
    """Return how the guard stands at `as_of`."""
    guard = state.guard
    row = total(state.recent, as_of, window=guard.window)
    count, per, cases = (0.0, 0.0, 0.0) if row is None else row
    value = count / per if per else None
    within = _within(guard, count=count, per=per) if cases else None
    status = _status(state.test, counted=bool(count or per), within=within)
    return GuardStatus(
        name=guard.name,
        status=status,
        value=value,
        count=round(count),
        per=round(per),
        limit=str(guard.limit),
        window=str(guard.window),
        within_limit=within,
        p_value=state.test.p_value,
        proved=state.test.alarm,
        breach=guard.breach,
        cases=state.test.cases,
        reason=_reason(guard, status, value=value, count=round(count), per=round(per)),
    )


def _within(guard: Guard, *, count: float, per: float) -> bool:
    if not per:
        return count == 0 or guard.limit.operator in (">=", ">")
    return guard.limit.allows(count / per)


def _status(test: BettingTest, *, counted: bool, within: bool | None) -> Status:
    if test.alarm:
        return "error"
    if not counted or within is None:
        return "no_data"
    return "healthy" if within else "warning"


def _reason(guard: Guard, status: Status, *, value: float | None, count: int, per: int) -> str:
    seen = f"{value:.3g}" if value is not None and math.isfinite(value) else "no ratio"
    facts = f"{count} to {per} in {guard.window}: {seen}, agreed is {guard.limit}"
    if status == "error":
        return f"{guard.name}: the limit is proved to be broken since the release began ({facts})"
    if status == "warning":
        return f"{guard.name}: beyond the limit in this window, not proved yet ({facts})"
    if status == "no_data":
        return f"{guard.name}: nothing to judge in the last {guard.window}"
    return f"{guard.name}: within the limit ({facts})"
