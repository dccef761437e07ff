"""Do outcomes, as they become final, contradict what calibrated scores said they would be?

An estimate without outcomes rests on one assumption: that a score still comes true at the rate it did. Four
always-valid tests watch it: whether outcomes among the **low** and among the **high** scores (split where half of the
expected positives lie on each side) come true more or less often than expected. Each is a likelihood ratio that bets on
rates `MULTIPLES` of the expected odds; while no rate is beyond its limit, no such ratio can grow on average, so the
chance that it *ever* reaches ``1 / alpha`` is at most alpha (Ville 1939; Ramdas, Grünwald, Vovk & Shafer 2023,
"Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38). Each test has a quarter of
`alpha` (Bonferroni), and keeps cash back for late breaches as `measure/sequential.py` does. Outcomes are counted by
score, so a turn costs the same however many cases it brings.

A rate within `tolerance` of the expected, widened by two standard errors of the calibration, is no contradiction: with
enough cases every small difference could be proved. When it began is estimated as the last turn at which the cumulative
sum of the deviations was at its lowest (Page 1954).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueup.measure.calibration import Calibration, calibrate
from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.scorecounts import ScoreCounts

Array = NDArray[np.float64]
FEWEST = 30
"""Outcomes of each kind below which a calibration is too rough to be contradicted."""
TOLERANCE = 0.10
"""Relative deviation of a rate that still counts as the expected one."""
MULTIPLES = (1.15, 1.3, 1.6, 2.0, 3.0, 5.0)
"""What the odds are bet to be multiplied by; divided, where fewer positives are suspected."""
BLOCK_POSITIVES = 20.0
"""Positive outcomes expected between two stakes."""


@dataclass(frozen=True)
class Suspicion:
    """One direction of one group of scores."""

    low: float
    """Scores from here on belong to the group, 0 to 1."""
    high: float
    """Scores below this do (the last group also holds 1)."""
    direction: Literal["more", "less"]
    """More or fewer positive outcomes than expected."""
    limit: float
    """A rate beyond this multiple of the expected one is the breach."""


@dataclass(frozen=True)
class Contradicted:
    """What outcomes proved."""

    at: int
    """End of the turn in which the outcomes that proved it became final."""
    since: int
    """When the first cases of the deviation happened, by estimate."""
    suspicion: Suspicion
    cases: int
    """Of the group, since then, whose outcomes are final."""
    expected_rate: float
    """Share of positive outcomes expected of them, 0 to 1."""
    seen_rate: float


@dataclass(frozen=True, eq=False)
class ContradictionTest:
    """State of the watch over one calibration; its size does not depend on the number of cases. T tests, J bets."""

    calibration: Calibration
    rate: Array
    """Expected rate per bin of the score, shape (n_bins,)."""
    suspicions: tuple[Suspicion, ...]
    inside: Array
    """1 where a bin belongs to the group of a test, else 0; shape (T, n_bins)."""
    log_bet: Array
    """Logarithm of what a positive outcome multiplies the capital by, shape (T, J)."""
    log_fair: Array
    """Logarithm of the largest mean of that at the limit, per bin; shape (T, J, n_bins)."""
    log_capital: Array
    """Shape (T, J)."""
    alpha: float
    """Of each test."""
    stakes: int = 0
    unstaked: float = math.inf
    """Positive outcomes expected since the last stake."""
    excess: Array | None = None
    """Cumulative deviation above its lowest point so far, shape (T,)."""
    since: tuple[int, ...] = ()
    """When the first cases after that lowest point happened, per test."""
    seen: Array | None = None
    """Cases, expected and seen positives since then, shape (T, 3)."""
    cases: int = 0
    """Outcomes watched."""
    found: Contradicted | None = None
    """The first proof; after it nothing more is watched."""


def start_contradiction(
    reference: ScoreCounts, *, tolerance: float = TOLERANCE, alpha: float = 0.05
) -> ContradictionTest | None:
    """Return the watch over the calibration of a reference; None when it has too few outcomes of either kind.

    Parameters
    ----------
    reference : ScoreCounts
        Cases with outcomes that the estimate rests on; none of them may be watched later.
    tolerance : float
        Relative deviation of a rate that is no contradiction, 0 or more.
    alpha : float
        Chance of ever contradicting an estimate whose assumption holds, between 0 and 1.
    """
    if not tolerance >= 0.0 or not 0.0 < alpha < 1.0:
        raise OutOfRange(f"tolerance is {tolerance:g} and alpha {alpha:g}; allowed are 0 or more, and 0 to 1")
    calibration = calibrate(reference)
    if calibration is None or min(calibration.positives, calibration.cases - calibration.positives) < FEWEST:
        return None
    rate = calibration.of(_reference_scores(reference))
    suspicions, inside = _suspicions(reference, calibration, rate, tolerance=tolerance)
    limits = np.array([one.limit for one in suspicions])[:, None] * rate
    signs = np.array([1.0 if one.direction == "more" else -1.0 for one in suspicions])
    log_bet = signs[:, None] * np.log(np.array(MULTIPLES))
    fair = np.log1p(np.minimum(limits, 1.0)[:, None, :] * np.expm1(log_bet)[:, :, None])
    return ContradictionTest(
        calibration=calibration,
        rate=rate,
        suspicions=suspicions,
        inside=inside,
        log_bet=log_bet,
        log_fair=fair * inside[:, None, :],
        log_capital=np.full(log_bet.shape, -np.inf),
        alpha=alpha / 4.0,
    )


def watch_outcomes(test: ContradictionTest, at: int, *, counts: ScoreCounts, happened: int) -> ContradictionTest:
    """Return the watch after a turn's outcomes.

    Parameters
    ----------
    test : ContradictionTest
    at : int
        End of the turn.
    counts : ScoreCounts
        Of the cases whose outcome became final in the turn. Which cases come, and when, must not depend on outcomes.
    happened : int
        When the first of these cases happened.

    Raises
    ------
    UnequalLengths
        When the counts have other bins than the reference.
    """
    if len(counts.final) != len(test.rate):
        raise UnequalLengths.of(bins=len(counts.final), reference_bins=len(test.rate))
    total = int(counts.final.sum())
    if test.found is not None or not total:
        return test
    test = _staked(test, float((counts.final * test.rate).sum()))
    positives = test.inside @ counts.positives
    capital = test.log_capital + test.log_bet * positives[:, None] - test.log_fair @ counts.final
    summed = np.logaddexp(np.logaddexp.reduce(capital, axis=1), -math.log(test.stakes + 1))
    numbers = np.stack([test.inside @ counts.final, test.inside @ (counts.final * test.rate), positives], axis=1)
    test = _since(replace(test, log_capital=capital, cases=test.cases + total), numbers, happened=happened)
    if float(summed.max()) < -math.log(test.alpha):
        return test
    return replace(test, found=_proof(test, int(np.argmax(summed)), at=at))


def _reference_scores(reference: ScoreCounts) -> Array:
    """Return the mean score of each bin's outcomes; the middle of a bin without."""
    bins, final = len(reference.final), reference.final
    middle = (np.arange(bins) + 0.5) / bins
    return np.where(final > 0, reference.final_scores / np.where(final > 0, final, 1.0), middle)


def _suspicions(
    reference: ScoreCounts, calibration: Calibration, rate: Array, *, tolerance: float
) -> tuple[tuple[Suspicion, ...], Array]:
    """Return what may be wrong, and which bins each is about."""
    bins, score = len(rate), _reference_scores(reference)
    expected = reference.final * rate
    split = int(np.searchsorted(np.cumsum(expected), expected.sum() / 2))
    found: list[Suspicion] = []
    inside: list[Array] = []
    for first, last in ((0, split), (split, bins)):
        part = np.where((np.arange(bins) >= first) & (np.arange(bins) < last), 1.0, 0.0)
        whole = float((part * expected).sum())
        if whole <= 0.0:
            continue
        margin = tolerance + 2.0 * calibration.standard_error(score, part * reference.final) / whole
        found.append(Suspicion(first / bins, last / bins, "more", 1.0 + margin))
        inside.append(part)
        if margin < 1.0:
            found.append(Suspicion(first / bins, last / bins, "less", 1.0 - margin))
            inside.append(part)
    return tuple(found), np.array(inside)


def _staked(test: ContradictionTest, expected: float) -> ContradictionTest:
    """Return the test with a new stake, where enough was expected since the last; scores decide that, not outcomes."""
    if test.unstaked < BLOCK_POSITIVES:
        return replace(test, unstaked=test.unstaked + expected)
    stake = -math.log((test.stakes + 1) * (test.stakes + 2) * test.log_bet.shape[1])
    capital = np.logaddexp(test.log_capital, stake)
    return replace(test, log_capital=capital, stakes=test.stakes + 1, unstaked=expected)


def _since(test: ContradictionTest, numbers: Array, *, happened: int) -> ContradictionTest:
    """Return the test with the turn's (cases, expected, seen) added where the deviation lasts, and forgotten else."""
    count = len(test.suspicions)
    excess = np.zeros(count) if test.excess is None else test.excess
    seen = np.zeros((count, 3)) if test.seen is None else test.seen
    since = test.since or (happened,) * count
    limit = np.array([one.limit for one in test.suspicions])
    sign = np.array([1.0 if one.direction == "more" else -1.0 for one in test.suspicions])
    fresh = excess <= 0.0
    excess = np.maximum(excess + sign * (numbers[:, 2] - limit * numbers[:, 1]), 0.0)
    return replace(
        test,
        excess=excess,
        seen=np.where(fresh[:, None], 0.0, seen) + numbers,
        since=tuple(happened if new else old for new, old in zip(fresh.tolist(), since, strict=True)),
    )


def _proof(test: ContradictionTest, which: int, *, at: int) -> Contradicted:
    cases, expected, positives = (0.0, 0.0, 0.0) if test.seen is None else test.seen[which].tolist()
    return Contradicted(
        at=at,
        since=test.since[which],
        suspicion=test.suspicions[which],
        cases=round(cases),
        expected_rate=expected / max(cases, 1.0),
        seen_rate=positives / max(cases, 1.0),
    )
