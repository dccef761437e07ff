"""A stretch of days is found where something became far more frequent, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.stretches import find_stretch, usual_share_of


def test_the_days_of_a_jump_are_found_exactly() -> None:
    cases = np.full(200, 50.0)
    flagged = np.zeros(200)
    flagged[[20, 90, 170]] = 1.0  # luck
    flagged[100:114] = 6.0
    found = find_stretch(flagged, cases, usual_share=0.002, alpha=0.01)
    assert found is not None
    assert (found.first, found.last, found.cases, found.flagged) == (100, 114, 700, 84)
    assert found.share == pytest.approx(0.12)


def test_days_without_cases_are_no_evidence() -> None:
    cases = np.array([0.0, 0.0, 30.0, 30.0, 0.0])
    found = find_stretch(np.array([0.0, 0.0, 20.0, 25.0, 0.0]), cases, usual_share=0.01, alpha=0.01)
    assert found is not None
    assert (found.flagged, found.cases) == (45, 60)


def test_nothing_is_found_in_what_is_usual() -> None:
    assert find_stretch(np.full(100, 2.0), np.full(100, 40.0), usual_share=0.05, alpha=0.05) is None
    assert find_stretch(np.zeros(0), np.zeros(0), usual_share=0.05, alpha=0.05) is None


def test_a_share_that_is_usually_large_leaves_nothing_to_bet_on() -> None:
    assert find_stretch(np.full(9, 9.0), np.full(9, 9.0), usual_share=0.6, alpha=0.05) is None


def test_chance_alone_finds_a_stretch_less_often_than_stated() -> None:
    rng = np.random.default_rng(5)
    flagged = rng.binomial(40, 0.01, size=(2_000, 365)).astype(np.float64)
    cases = np.full(365, 40.0)
    found = sum(find_stretch(run, cases, usual_share=0.01, alpha=0.05) is not None for run in flagged)
    assert found <= 0.05 * 2_000


def test_the_usual_share_is_that_of_the_worst_week() -> None:
    days = np.repeat(np.arange(21), 10)
    flags = np.zeros(210, dtype=bool)
    flags[75:82] = True  # seven of the seventy cases of the second week
    assert usual_share_of(flags, days) == pytest.approx(0.1)
    assert usual_share_of(flags[:0], days[:0]) == 0.0


def test_a_thin_week_does_not_say_what_is_usual() -> None:
    assert usual_share_of(np.array([True, True]), np.array([0, 1])) == 0.0


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(UnequalLengths):
        find_stretch(np.zeros(3), np.zeros(4), usual_share=0.1, alpha=0.1)
    with pytest.raises(OutOfRange, match="usual_share is 0"):
        find_stretch(np.zeros(3), np.zeros(3), usual_share=0.0, alpha=0.1)
