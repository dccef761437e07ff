"""May an estimate be believed? Its assumptions, checked, and said in words.

An estimate from calibrated scores assumes that there were outcomes enough to calibrate on, that the window's scores
lie where outcomes were seen, and that a score still comes true at the rate it did. The first two are looked up; the
third is watched by `measure/contradiction.py` as outcomes become final.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from trueup.measure.contradiction import Contradicted
from trueup.measure.estimated import EstimatedPerformance

EstimateStatus = Literal["holds", "unchecked", "contradicted", "outside", "too_few"]
FEWEST_CASES = 100
"""Cases of a window below which nothing is estimated."""
UNCALIBRATED = 0.05
"""Share of a window's cases without a calibration above which nothing is estimated."""
OUTSIDE = 0.05
"""Share of a window's cases with scores no outcome was seen for above which an estimate is a guess."""
ROUGH = 0.25
"""Relative standard error of the outcome rate above which the calibration is too rough."""
MATURE = 0.95
"""From this share of known outcomes on a window counts as settled."""
MOSTLY = 0.5
"""Share of a window's cases whose model must have final outcomes before they vouch for the estimate."""
AUC_APART = 0.03
"""Difference of AUC that an estimate may have, whatever chance does."""
_SURE = 2.576
"""Standard errors that chance exceeds once in a hundred."""


@dataclass(frozen=True)
class Judged:
    """Whether an estimate may be believed, and why not."""

    status: EstimateStatus
    reason: str


def judge_estimate(
    estimate: EstimatedPerformance,
    *,
    uncalibrated: int,
    watched: int,
    watched_share: float,
    found: Contradicted | None,
    since: str = "",
) -> Judged:
    """Return whether the estimate of a window holds.

    Parameters
    ----------
    estimate : EstimatedPerformance
        Of the calibrated cases.
    uncalibrated : int
        Cases of the window whose model has no calibration.
    watched : int
        Outcomes that became final and did not contradict it.
    watched_share : float
        Share of the cases whose own model has such outcomes, 0 to 1.
    found : Contradicted or None
        What contradicts it, as known then.
    since : str
        When that was proved, as text.
    """
    cases = estimate.cases + uncalibrated
    if cases < FEWEST_CASES:
        return Judged("too_few", f"{cases} cases are too few, at least {FEWEST_CASES} are needed")
    if uncalibrated > UNCALIBRATED * cases:
        return Judged(
            "too_few", f"too few outcomes were final to calibrate the scores of {uncalibrated:,} of {cases:,} cases"
        )
    if found is not None:
        return Judged("contradicted", f"contradicted on {since}: {contradiction_text(found)}")
    if estimate.outside_share > OUTSIDE:
        return Judged(
            "outside", f"{estimate.outside_share:.0%} of the scores are beyond any that an outcome is known for"
        )
    rate = estimate.outcome_rate or 0.0
    if rate <= 0.0 or estimate.standard_error > ROUGH * rate:
        return Judged("too_few", "so few positive outcomes are known for such scores that their rate is a guess")
    return _unproved(watched, share=watched_share)


@dataclass(frozen=True)
class Hindsight:
    """What final outcomes made of an estimate."""

    came_true: bool
    reason: str


def judge_in_hindsight(
    *,
    expected_auc: float | None,
    realised_auc: float | None,
    positives: int,
    negatives: int,
    value: float | None,
    interval: tuple[float, float] | None,
) -> Hindsight | None:
    """Return whether a window came to what was expected at its end; None where there was nothing to compare.

    Parameters
    ----------
    expected_auc, realised_auc : float or None
        0 to 1. They differ when they lie more than `AUC_APART` and 2.576 standard errors apart (one chance in a
        hundred; Hanley & McNeil 1982, with the expected AUC).
    positives, negatives : int
        Final outcomes of the window.
    value : float or None
        Realised, in the currency.
    interval : (float, float) or None
        Between which the value was expected to lie.
    """
    if expected_auc is None or value is None or interval is None:
        return None
    said = []
    if (place := beside_range(value, interval)) != "within":
        said.append(f"the value came {place} its range")
    if realised_auc is not None and abs(realised_auc - expected_auc) > max(
        AUC_APART, _SURE * auc_standard_error(expected_auc, positives=positives, negatives=negatives)
    ):
        said.append(f"AUC {expected_auc:.2f} was expected, {realised_auc:.2f} came")
    if said:
        return Hindsight(False, "; ".join(said))
    return Hindsight(
        True, "value and AUC came as expected" if realised_auc is not None else "the value came as expected"
    )


def beside_range(value: float, interval: tuple[float, float]) -> Literal["below", "within", "above"]:
    """Return where a value came to lie, the limits being within."""
    if value < interval[0]:
        return "below"
    return "above" if value > interval[1] else "within"


def auc_standard_error(auc: float, *, positives: int, negatives: int) -> float:
    """Return the standard error of an AUC counted on so many cases (Hanley & McNeil 1982); infinite without cases."""
    if not positives or not negatives:
        return math.inf
    both_positive, both_negative = auc / (2.0 - auc), 2.0 * auc**2 / (1.0 + auc)
    spread = auc * (1.0 - auc)
    spread += (positives - 1) * (both_positive - auc**2) + (negatives - 1) * (both_negative - auc**2)
    return math.sqrt(max(spread, 0.0) / (positives * negatives))


def contradiction_text(found: Contradicted) -> str:
    """Return what outcomes proved: ``of 412 cases scored 0.35 or more, 28 % came true where 51 % were expected``."""
    one = found.suspicion
    scores = f"scored {one.low:.3g} or more" if one.high >= 1.0 and one.low > 0.0 else f"scored below {one.high:.3g}"
    return (
        f"of {found.cases:,} cases {scores}, {found.seen_rate:.1%} came true "
        f"where {found.expected_rate:.1%} were expected"
    )


def _unproved(watched: int, *, share: float) -> Judged:
    if not watched:
        return Judged("unchecked", "no outcome has checked it yet")
    if share < MOSTLY:
        return Judged("unchecked", f"the models of {1.0 - share:.0%} of the cases have no final outcome yet")
    return Judged("holds", f"{watched:,} final outcomes do not contradict it")
