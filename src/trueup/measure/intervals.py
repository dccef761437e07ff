"""Between which limits does a total, a difference or a mean lie, given how much its parts vary?

Whole blocks (weeks, clusters) are resampled, so that cases within a block may depend on each other as they like
(cluster bootstrap: Davison & Hinkley 1997, section 3.8; Cameron, Gelbach & Miller 2008). Limits are expanded
percentiles (Hesterberg 2015, "What teachers should know about the bootstrap", The American Statistician 69): the plain
percentile interval is too narrow for few blocks, so its levels move outwards as Student's t and the factor
``n / (n - 1)`` ask. Everything is deterministic by `seed`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange, UnequalLengths

Array = NDArray[np.float64]
Interval = tuple[float, float]
UNKNOWN: Interval = (-math.inf, math.inf)
"""Fewer than two blocks show no spread: nothing is known, and no gate passes."""
MOST_BLOCKS = 1000
"""More blocks than this are joined with their neighbours first, which keeps limits valid and the cost bounded."""
_DRAWS_AT_ONCE = 500_000


def resampled_interval(values_per_block: Array, *, level: float = 0.90, draws: int = 2000, seed: int) -> Interval:
    """Return the interval of a total whose blocks vary as they did.

    Parameters
    ----------
    values_per_block : ndarray of float, shape (n_blocks,)
        Such as the value of each week, in time order. Blocks should be longer than what ties cases together.
    level : float
        Chance that the interval covers the expected total, between 0 and 1.
    draws : int
        Number of resamples, 1 or more.
    seed : int

    Returns
    -------
    tuple of float
        Lower and upper limit; ``(-inf, inf)`` with fewer than two blocks.

    Notes
    -----
    Assumes that blocks are exchangeable: a trend over the blocks counts as variation and widens the interval. With
    fewer than about eight blocks the limits are rough. O(draws * min(n_blocks, 1000)) time.
    """
    totals = _joined(np.asarray(values_per_block, dtype=np.float64))
    return _interval(totals, None, level=level, draws=draws, seed=seed)


def paired_difference_interval(
    a_blocks: Array, b_blocks: Array, *, level: float = 0.90, draws: int = 2000, seed: int
) -> Interval:
    """Return the interval of total `a` minus total `b`, both known on the same blocks.

    What moves both (a bad week) cancels, so the interval is far narrower than that of two totals apart.
    """
    if len(a_blocks) != len(b_blocks):
        raise UnequalLengths.of(a_blocks=len(a_blocks), b_blocks=len(b_blocks))
    difference = np.asarray(a_blocks, dtype=np.float64) - np.asarray(b_blocks, dtype=np.float64)
    return resampled_interval(difference, level=level, draws=draws, seed=seed)


def mean_interval(
    values: Array, clusters: NDArray[np.int64], *, level: float = 0.90, draws: int = 2000, seed: int
) -> Interval:
    """Return the interval of the mean per case, where cases of one cluster go together.

    Parameters
    ----------
    values : ndarray of float, shape (n_cases,)
    clusters : ndarray of int, shape (n_cases,)
        Which block a case belongs to (its week, its customer); any integers.
    level, draws, seed
        As in `resampled_interval`.

    Returns
    -------
    tuple of float
        Limits of ``sum(values) / n_cases``; ``(-inf, inf)`` with fewer than two clusters.
    """
    if len(values) != len(clusters):
        raise UnequalLengths.of(values=len(values), clusters=len(clusters))
    _, index, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    sums: Array = np.bincount(index, weights=values, minlength=len(counts)).astype(np.float64)
    return _interval(_joined(sums), _joined(counts.astype(np.float64)), level=level, draws=draws, seed=seed)


def finite_interval(interval: Interval) -> Interval | None:
    """Return the interval, or None where too little was seen to have one."""
    return interval if math.isfinite(interval[0]) and math.isfinite(interval[1]) else None


def _interval(totals: Array, counts: Array | None, *, level: float, draws: int, seed: int) -> Interval:
    if not 0.0 < level < 1.0:
        raise OutOfRange(f"level is {level}; it is a chance between 0 and 1, such as 0.90", level=level)
    if draws < 1:
        raise OutOfRange(f"draws is {draws}; at least 1 resample is needed", draws=draws)
    blocks = len(totals)
    if blocks < 2:
        return UNKNOWN
    rng = np.random.default_rng(seed)
    resampled = np.empty(draws, dtype=np.float64)
    step = max(1, _DRAWS_AT_ONCE // blocks)
    for start in range(0, draws, step):
        drawn = rng.integers(0, blocks, size=(min(step, draws - start), blocks))
        sums = totals[drawn].sum(axis=1)
        resampled[start : start + len(drawn)] = sums if counts is None else sums / counts[drawn].sum(axis=1)
    tail = _expanded_tail((1.0 - level) / 2.0, blocks)
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return float(low), float(high)


def _joined(values: Array) -> Array:
    if len(values) <= MOST_BLOCKS:
        return values
    starts = np.linspace(0, len(values), MOST_BLOCKS, endpoint=False).astype(np.int64)
    return np.asarray(np.add.reduceat(values, starts), dtype=np.float64)


def _expanded_tail(tail: float, blocks: int) -> float:
    wider = math.sqrt(blocks / (blocks - 1)) * student_quantile(1.0 - tail, degrees=blocks - 1)
    return NormalDist().cdf(-wider)


@lru_cache(maxsize=512)
def student_quantile(probability: float, *, degrees: int) -> float:
    """Return the quantile of Student's t with integer `degrees` of freedom, for a probability of 0.5 or more."""
    if degrees > 1000:
        return NormalDist().inv_cdf(probability)
    low, high = 0.0, 1.0
    while _student_cdf(high, degrees) < probability:
        high *= 2.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _student_cdf(middle, degrees) < probability else (low, middle)
    return 0.5 * (low + high)


def _student_cdf(t: float, degrees: int) -> float:
    """Return P(T <= t) for t of 0 or more: the finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4."""
    theta = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(theta), math.sin(theta)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 if odd else 0, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (k + 1) / (k + 2)
    within = 2.0 / math.pi * (theta + sine * total) if odd else sine * total
    return 0.5 + 0.5 * within
