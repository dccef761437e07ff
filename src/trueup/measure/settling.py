"""What will a window come to once its open outcomes are final, and between which limits?

Value so far plus what calibrated scores expect of the open cases. The interval adds two variances: luck, which is
``sum(rate * (1 - rate) * stake²)`` when outcomes are independent given their scores, times a dispersion factor that
past weeks show (Wedderburn 1974; McCullagh & Nelder 1989, section 4.5: values scatter more when outcomes come in
bunches), and the square of the calibration's standard error. Limits use Student's t with as many degrees of freedom as
there were weeks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.estimated import EstimatedValue
from trueup.measure.intervals import Interval, student_quantile

Array = NDArray[np.float64]
FEWEST_BLOCKS = 4
"""Fewer past blocks than this say nothing about dispersion; it then counts as 1."""


@dataclass(frozen=True)
class Dispersion:
    """How many times wider than independent outcomes realised values scattered, as a variance; at least 1."""

    factor: float = 1.0
    blocks: int = 0
    """Blocks it was seen on."""


def dispersion_of(residuals: Array, variances: Array, *, before: Dispersion | None = None) -> Dispersion:
    """Return the dispersion of past blocks, as long as the windows it is for: an error that lasts shows in long blocks.

    Parameters
    ----------
    residuals : ndarray of float, shape (n_blocks,)
        Realised minus expected value of each block, all of its outcomes final.
    variances : ndarray of float, shape (n_blocks,)
        Of independent outcomes: the square of `EstimatedValue.luck`.
    before : Dispersion, optional
        What is assumed without a block, counted as so many blocks of mean variance.
    """
    if len(residuals) != len(variances):
        raise UnequalLengths.of(residuals=len(residuals), variances=len(variances))
    seen = variances > 0
    blocks, expected = int(seen.sum()), float(variances[seen].sum())
    if before is not None:
        if not blocks:
            return before
        expected += before.blocks * expected / blocks
        assumed = before.blocks * before.factor * float(variances[seen].mean())
    elif blocks < FEWEST_BLOCKS:
        return Dispersion(1.0, blocks)
    else:
        assumed = 0.0
    factor = (float((residuals[seen] ** 2).sum()) + assumed) / expected
    return Dispersion(max(1.0, factor), blocks + (before.blocks if before else 0))


def final_value_interval(
    so_far: float, open_cases: EstimatedValue, *, dispersion: Dispersion, level: float = 0.90
) -> Interval:
    """Return the limits of a window's final value.

    Parameters
    ----------
    so_far : float
        Value of the cases whose outcome is final, in the currency.
    open_cases : EstimatedValue
        What is expected of the others.
    dispersion : Dispersion
    level : float
        Chance that the interval covers the final value, between 0 and 1.

    Notes
    -----
    Assumes that scores still come true at the calibrated rates: under concept drift it misses.
    """
    if not 0.0 < level < 1.0:
        raise OutOfRange(f"level is {level}; it is a chance between 0 and 1, such as 0.90", level=level)
    spread = math.sqrt(dispersion.factor * open_cases.luck**2 + open_cases.standard_error**2)
    degrees = dispersion.blocks if dispersion.blocks >= FEWEST_BLOCKS else 10_000
    reach = student_quantile(0.5 + level / 2.0, degrees=degrees) * spread
    middle = so_far + open_cases.value
    return middle - reach, middle + reach
