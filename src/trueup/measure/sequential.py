"""Is a limit broken, judged after every case, without ever crying wolf more often than agreed?

A statistic per case is bounded below and, while the limit holds, 0 or less on average given the past. A gambler bets
on it being larger: capital multiplies by ``1 + bet * statistic``, and while the limit holds no betting can make capital
grow on average, so the chance that it *ever* reaches ``1 / alpha`` is at most alpha (Ville 1939; betting on bounded
means: Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting", JRSS-B 86). No fixed bet
is right for every breach, so capital is spread over a grid of bets. And a breach may begin late, when early bets are
lost: so the gambler keeps cash back and stakes ``1 / (b (b + 1))`` of it at the start of block ``b`` (1, 2, ...) of
cases that say anything. These shares sum to 1, so the promise stays one over all time, whatever is looked at, whenever.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange

Array = NDArray[np.float64]
BLOCK = 128
"""Cases with a statistic other than 0 between two stakes."""
BETS = tuple(0.98 * 2.0**-k for k in range(10))
"""Grid of bets, as shares of the largest that cannot lose everything on one case."""


@dataclass(frozen=True)
class BettingTest:
    """State of one test; a few numbers, whatever the number of cases."""

    lowest: float
    """The statistic is never below minus this; above 0."""
    alpha: float = 0.05
    """Chance of ever raising the alarm while the limit holds."""
    cases: int = 0
    """Cases seen, those with a statistic of 0 included."""
    informative: int = 0
    """Cases with another statistic than 0."""
    log_capital: tuple[float, ...] = (-math.inf,) * len(BETS)
    """Natural logarithm of what each bet has made of its stakes."""
    largest_log_capital: float = 0.0
    """Logarithm of the most capital ever held, unstaked cash included; never falls."""
    alarm_at_case: int | None = None
    """Number of cases seen when the alarm was raised; None while it has not been."""

    @property
    def alarm(self) -> bool:
        """Return whether the limit is proved to be broken."""
        return self.alarm_at_case is not None

    @property
    def p_value(self) -> float:
        """Return the always-valid p-value: 1 over the most capital ever held, at most 1."""
        return math.exp(-max(self.largest_log_capital, 0.0))


def start_test(*, lowest: float, alpha: float = 0.05) -> BettingTest:
    """Return a test that has seen nothing.

    Parameters
    ----------
    lowest : float
        The statistic of a case is never below minus this, above 0. A smaller bound finds a breach sooner.
    alpha : float
        Chance of a false alarm over all time, between 0 and 1.
    """
    if not lowest > 0.0 or not 0.0 < alpha < 1.0:
        raise OutOfRange(f"lowest is {lowest:g} and alpha {alpha:g}; they must be above 0, and alpha below 1")
    return BettingTest(lowest=lowest, alpha=alpha)


def watch(test: BettingTest, statistics: Array) -> BettingTest:
    """Return the test after more cases, each judged in turn.

    Parameters
    ----------
    test : BettingTest
    statistics : ndarray of float, shape (n_cases,)
        One number per case, in the order in which cases are judged; that order must not depend on outcomes.

    Raises
    ------
    OutOfRange
        When a statistic is below minus `test.lowest`, or NaN.

    Notes
    -----
    O(n_cases * 10) time for cases with a statistic other than 0, nothing for the others; splitting the cases into
    batches changes nothing. An alarm stays: start a new test with the next release.
    """
    if len(statistics) and not float(statistics.min()) >= -test.lowest * (1 + 1e-9):
        raise OutOfRange(
            f"a statistic is {float(statistics.min()):g}, below the declared -{test.lowest:g}", lowest=test.lowest
        )
    at = np.flatnonzero(statistics)
    informative = np.asarray(statistics, dtype=np.float64)[at]
    growth = np.log1p(np.outer(informative, np.array(BETS) / test.lowest))
    capital = np.array(test.log_capital)
    highest, alarm = test.largest_log_capital, test.alarm_at_case
    position, seen = 0, test.informative
    while position < len(at):
        block = seen // BLOCK
        if seen % BLOCK == 0:
            capital = np.logaddexp(capital, _log_stake(block) - math.log(len(BETS)))
        taken = min(BLOCK - seen % BLOCK, len(at) - position)
        path = capital + np.cumsum(growth[position : position + taken], axis=0)
        total = _log_sum(path, cash=1.0 / (block + 2))
        highest = max(highest, float(total.max()))
        over = np.flatnonzero(total >= -math.log(test.alpha))
        if alarm is None and len(over):
            alarm = test.cases + int(at[position + over[0]]) + 1
        capital = path[-1]
        position, seen = position + taken, seen + taken
    return replace(
        test,
        cases=test.cases + len(statistics),
        informative=seen,
        log_capital=tuple(capital.tolist()),
        largest_log_capital=highest,
        alarm_at_case=alarm,
    )


def _log_stake(block: int) -> float:
    return -math.log((block + 1) * (block + 2))


def _log_sum(path: Array, *, cash: float) -> Array:
    """Return the logarithm of all bets' capital and the cash not yet staked, per case."""
    top = np.maximum(path.max(axis=1), math.log(cash))
    return np.asarray(top + np.log(np.exp(path - top[:, None]).sum(axis=1) + cash * np.exp(-top)), dtype=np.float64)
