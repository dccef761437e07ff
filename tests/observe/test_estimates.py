"""An estimate says when it may not be believed, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from trueup.measure.contradiction import Contradicted, Suspicion
from trueup.measure.estimated import EstimatedPerformance
from trueup.observe.estimates import auc_standard_error, contradiction_text, judge_estimate, judge_in_hindsight

GOOD = EstimatedPerformance(1_000, 0.8, 0.1, 0.9, 0.5, 0.5, 0.3, 0.08, 0.004, 0.0)
PROOF = Contradicted(9, 3, Suspicion(0.35, 1.0, "less", 0.9), 412, 0.51, 0.28)


def test_an_estimate_that_passes_its_checks_holds() -> None:
    judged = judge_estimate(GOOD, uncalibrated=0, watched=2_300, watched_share=1.0, found=None)
    assert (judged.status, judged.reason) == ("holds", "2,300 final outcomes do not contradict it")


def test_an_estimate_that_no_outcome_has_checked_does_not_hold_yet() -> None:
    assert judge_estimate(GOOD, uncalibrated=0, watched=0, watched_share=0.0, found=None).status == "unchecked"


def test_a_contradiction_says_since_when_and_what() -> None:
    judged = judge_estimate(GOOD, uncalibrated=0, watched=9, watched_share=1.0, found=PROOF, since="2024-06-03")
    assert judged.status == "contradicted"
    assert judged.reason == (
        "contradicted on 2024-06-03: of 412 cases scored 0.35 or more, 28.0% came true where 51.0% were expected"
    )
    below = replace(PROOF, suspicion=Suspicion(0.0, 0.35, "more", 1.1))
    assert "scored below 0.35" in contradiction_text(below)


def test_scores_beyond_the_reference_make_it_a_guess() -> None:
    judged = judge_estimate(replace(GOOD, outside_share=0.2), uncalibrated=0, watched=9, watched_share=1.0, found=None)
    assert (judged.status, judged.reason[:3]) == ("outside", "20%")


def test_too_few_cases_or_outcomes_estimate_nothing() -> None:
    few = judge_estimate(replace(GOOD, cases=60), uncalibrated=20, watched=0, watched_share=0.0, found=PROOF)
    assert (few.status, few.reason) == ("too_few", "80 cases are too few, at least 100 are needed")
    assert judge_estimate(GOOD, uncalibrated=200, watched=9, watched_share=1.0, found=None).status == "too_few"
    rough = replace(GOOD, standard_error=0.04)
    assert judge_estimate(rough, uncalibrated=0, watched=9, watched_share=1.0, found=None).status == "too_few"


def test_outcomes_of_an_earlier_model_do_not_vouch_for_the_one_that_decides() -> None:
    judged = judge_estimate(GOOD, uncalibrated=0, watched=800, watched_share=0.1, found=None)
    assert (judged.status, judged.reason) == ("unchecked", "the models of 90% of the cases have no final outcome yet")


def hindsight(*, expected: float, realised: float | None, value: float) -> tuple[bool, str]:
    judged = judge_in_hindsight(
        expected_auc=expected,
        realised_auc=realised,
        positives=90,
        negatives=1_700,
        value=value,
        interval=(100.0, 200.0),
    )
    assert judged is not None
    return judged.came_true, judged.reason


def test_what_came_is_held_against_what_was_expected() -> None:
    assert hindsight(expected=0.78, realised=0.96, value=244.0) == (
        False,
        "the value came above its range; AUC 0.78 was expected, 0.96 came",
    )
    assert hindsight(expected=0.9, realised=0.88, value=150.0) == (True, "value and AUC came as expected")
    assert hindsight(expected=0.9, realised=None, value=99.0) == (False, "the value came below its range")


def test_nothing_is_judged_where_nothing_was_expected() -> None:
    nothing = judge_in_hindsight(
        expected_auc=None, realised_auc=0.9, positives=9, negatives=9, value=1.0, interval=(0.0, 2.0)
    )
    assert nothing is None


def test_the_standard_error_of_an_auc_is_hanley_and_mcneils() -> None:
    """By hand with one positive and one negative: a coin with chance 0.8."""
    assert auc_standard_error(0.8, positives=1, negatives=1) == pytest.approx(0.4)
    assert auc_standard_error(0.8, positives=0, negatives=5) == float("inf")
