"""May a retrained model go live by itself? Judges the recipe against the champion, inside the signed envelope.

The recipe is trained as known one horizon ago and tested, like the champion, on the cases that became final since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Envelope
from trueup.measure.intervals import paired_difference_interval

Array = NDArray[np.float64]
_SEED = 20_240_229
MIN_TEST_CASES = 100


@dataclass(frozen=True)
class Evidence:
    """What the test on later cases showed."""

    cases: int
    value_gain: float | None
    """Value per case of the challenger minus the champion's, in the currency; None without enough cases."""
    interval: tuple[float, float] | None
    """90 %, by resampling weeks."""
    champion_value: float | None
    """Value per case of the champion on the same cases."""
    change_in_cases: float | None
    """Relative change in the number of cases worth acting on."""


@dataclass(frozen=True)
class Judgement:
    """What the envelope says."""

    verdict: Literal["promote", "refuse"]
    reason: str


def compare_on_later_cases(challenger: Array, champion: Array, weeks: NDArray[np.int64]) -> Evidence:
    """Return the evidence of two models' values on the same final cases.

    Parameters
    ----------
    challenger, champion : ndarray of float, shape (n_cases,)
        Value of each case under either model, in the currency.
    weeks : ndarray of int, shape (n_cases,)
        The week each case happened in; any integers.
    """
    cases = len(challenger)
    if cases < MIN_TEST_CASES:
        return Evidence(cases, None, None, None, None)
    codes = np.unique(weeks, return_inverse=True)[1]
    a = np.bincount(codes, challenger).astype(np.float64)
    b = np.bincount(codes, champion).astype(np.float64)
    low, high = paired_difference_interval(a, b, seed=_SEED)
    return Evidence(
        cases=cases,
        value_gain=float((challenger - champion).mean()),
        interval=(low / cases, high / cases),
        champion_value=float(champion.mean()),
        change_in_cases=None,
    )


def judge(evidence: Evidence, envelope: Envelope, *, scheduled: bool) -> Judgement:
    """Return whether a retrained model may go live without a person.

    A scheduled refit passes when it is not worse than the champion by more than `max_loss`; any passes when the lower
    end of its gain reaches `min_value_gain`. Either way the number of cases worth acting on must not move too much.
    """
    change = evidence.change_in_cases
    if envelope.max_change_in_cases is not None and change is not None and abs(change) > envelope.max_change_in_cases:
        return Judgement(
            "refuse",
            f"the cases worth acting on would change by {change:+.0%}, the envelope allows "
            f"{envelope.max_change_in_cases:.0%}; a person must decide",
        )
    if evidence.value_gain is None or evidence.interval is None or not np.isfinite(evidence.interval[0]):
        verdict: Literal["promote", "refuse"] = "promote" if scheduled else "refuse"
        return Judgement(verdict, f"only {evidence.cases} cases became final since, too few to compare on")
    low, high = evidence.interval
    gain = f"{evidence.value_gain:+.3g} per case, between {low:+.3g} and {high:+.3g} (9 chances in 10)"
    if low >= envelope.min_value_gain:
        return Judgement("promote", f"gains {gain}")
    floor = -envelope.max_loss * abs(evidence.champion_value or 0.0) if envelope.max_loss is not None else np.inf
    if scheduled and low >= floor:
        return Judgement("promote", f"scheduled refit, not worse than the champion: {gain}")
    return Judgement("refuse", f"its gain of {gain} is below the signed {envelope.min_value_gain:g}")
