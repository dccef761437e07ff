"""May an estimate be believed? Its assumptions, checked, and said in words.

An estimate from calibrated scores assumes that there were outcomes enough to calibrate on, that the window's scores
lie where outcomes were seen, and that a score still comes true at the rate it did. The first two are looked up; the
third is watched by `measure/contradiction.py` as outcomes become final.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class Judged:
    """Whether an estimate may be believed, and why not."""

    status: EstimateStatus
    reason: str


def judge_estimate(
    estimate: EstimatedPerformance, *, uncalibrated: int, watched: int, found: Contradicted | None, since: str = ""
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
    return _unproved(watched)


def contradiction_text(found: Contradicted) -> str:
    """Return what outcomes proved: ``of 412 cases scored 0.35 or more, 28 % came true where 51 % were expected``."""
    one = found.suspicion
    scores = f"scored {one.low:.3g} or more" if one.high >= 1.0 and one.low > 0.0 else f"scored below {one.high:.3g}"
    return (
        f"of {found.cases:,} cases {scores}, {found.seen_rate:.1%} came true "
        f"where {found.expected_rate:.1%} were expected"
    )


def _unproved(watched: int) -> Judged:
    if not watched:
        return Judged("unchecked", "no outcome has checked it yet")
    return Judged("holds", f"{watched:,} final outcomes do not contradict it")
