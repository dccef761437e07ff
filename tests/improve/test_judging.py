"""A retrained model goes live by itself only inside the signed envelope."""

from __future__ import annotations

import numpy as np

from trueup.align.charter import Envelope
from trueup.improve.judging import Evidence, compare_on_later_cases, judge

BETTER = Evidence(1_000, 2.0, (0.5, 3.5), 10.0, 0.05)
SAME = Evidence(1_000, 0.0, (-0.1, 0.1), 10.0, 0.0)
WORSE = Evidence(1_000, -1.0, (-2.0, 0.0), 10.0, 0.0)


def test_a_gain_beyond_luck_is_promoted() -> None:
    assert judge(BETTER, Envelope(0.0), scheduled=False).verdict == "promote"


def test_a_gain_that_may_be_luck_is_refused_with_the_range() -> None:
    judgement = judge(SAME, Envelope(0.0), scheduled=False)
    assert judgement.verdict == "refuse"
    assert "-0.1" in judgement.reason


def test_a_scheduled_refit_may_be_as_good_as_the_champion_within_the_signed_loss() -> None:
    assert judge(SAME, Envelope(0.0, max_loss=0.02), scheduled=True).verdict == "promote"
    assert judge(SAME, Envelope(0.0, max_loss=0.02), scheduled=False).verdict == "refuse"
    assert judge(WORSE, Envelope(0.0, max_loss=0.02), scheduled=True).verdict == "refuse"


def test_a_model_that_changes_too_many_cases_needs_a_person() -> None:
    judgement = judge(BETTER, Envelope(0.0, max_change_in_cases=0.04), scheduled=True)
    assert judgement.verdict == "refuse"
    assert "a person must decide" in judgement.reason


def test_without_final_cases_only_a_scheduled_refit_passes() -> None:
    nothing = compare_on_later_cases(np.zeros(3), np.zeros(3), np.zeros(3, dtype=np.int64))
    assert judge(nothing, Envelope(), scheduled=True).verdict == "promote"
    assert judge(nothing, Envelope(), scheduled=False).verdict == "refuse"


def test_evidence_is_the_mean_difference_over_whole_weeks() -> None:
    weeks = np.repeat(np.arange(10), 50)
    challenger = np.full(500, 3.0)
    evidence = compare_on_later_cases(challenger, challenger - 1.5, weeks)
    assert evidence.value_gain == 1.5
    assert evidence.interval is not None
    assert np.allclose(evidence.interval, (1.5, 1.5))
    assert evidence.champion_value == 1.5
