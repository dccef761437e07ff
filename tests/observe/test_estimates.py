"""An estimate says when it may not be believed, and why."""

from __future__ import annotations

from dataclasses import replace

from trueup.measure.contradiction import Contradicted, Suspicion
from trueup.measure.estimated import EstimatedPerformance
from trueup.observe.estimates import contradiction_text, judge_estimate

GOOD = EstimatedPerformance(1_000, 0.8, 0.1, 0.9, 0.5, 0.5, 0.3, 0.08, 0.004, 0.0)
PROOF = Contradicted(9, 3, Suspicion(0.35, 1.0, "less", 0.9), 412, 0.51, 0.28)


def test_an_estimate_that_passes_its_checks_holds() -> None:
    judged = judge_estimate(GOOD, uncalibrated=0, watched=2_300, found=None)
    assert (judged.status, judged.reason) == ("holds", "2,300 final outcomes do not contradict it")


def test_an_estimate_that_no_outcome_has_checked_does_not_hold_yet() -> None:
    assert judge_estimate(GOOD, uncalibrated=0, watched=0, found=None).status == "unchecked"


def test_a_contradiction_says_since_when_and_what() -> None:
    judged = judge_estimate(GOOD, uncalibrated=0, watched=9, found=PROOF, since="2024-06-03")
    assert judged.status == "contradicted"
    assert judged.reason == (
        "contradicted on 2024-06-03: of 412 cases scored 0.35 or more, 28.0% came true where 51.0% were expected"
    )
    below = replace(PROOF, suspicion=Suspicion(0.0, 0.35, "more", 1.1))
    assert "scored below 0.35" in contradiction_text(below)


def test_scores_beyond_the_reference_make_it_a_guess() -> None:
    judged = judge_estimate(replace(GOOD, outside_share=0.2), uncalibrated=0, watched=9, found=None)
    assert (judged.status, judged.reason[:3]) == ("outside", "20%")


def test_too_few_cases_or_outcomes_estimate_nothing() -> None:
    few = judge_estimate(replace(GOOD, cases=60), uncalibrated=20, watched=0, found=PROOF)
    assert (few.status, few.reason) == ("too_few", "80 cases are too few, at least 100 are needed")
    assert judge_estimate(GOOD, uncalibrated=200, watched=9, found=None).status == "too_few"
    rough = replace(GOOD, standard_error=0.04)
    assert judge_estimate(rough, uncalibrated=0, watched=9, found=None).status == "too_few"
