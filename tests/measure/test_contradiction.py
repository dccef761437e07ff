"""Final outcomes contradict an estimate when scores stop coming true, and rarely otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from trueup.measure.contradiction import Contradicted, ContradictionTest, start_contradiction, watch_outcomes
from trueup.measure.errors import OutOfRange, UnequalLengths
from trueup.measure.scorecounts import ScoreCounts, count_scores

BINS = 200


def rates(rng: np.random.Generator, cases: int, *, a: float = 1.0, b: float = 9.0) -> NDArray[np.float64]:
    return np.clip(rng.beta(a, b, cases), 1e-6, 1 - 1e-6)


def counted(
    rng: np.random.Generator, score: NDArray[np.float64], *, multiple: float | NDArray[np.float64] = 1.0
) -> ScoreCounts:
    """Return cases that come true at `multiple` times their score."""
    return count_scores(score, (rng.random(len(score)) < score * multiple).astype(np.float64), bins=BINS)


def started(rng: np.random.Generator, *, cases: int = 20_000, alpha: float = 0.05) -> ContradictionTest:
    test = start_contradiction(counted(rng, rates(rng, cases)), alpha=alpha)
    assert test is not None
    return test


def found(test: ContradictionTest) -> Contradicted:
    assert test.found is not None
    return test.found


def test_an_estimate_that_holds_is_contradicted_less_often_than_promised() -> None:
    rng = np.random.default_rng(1)
    proved, runs = 0, 150
    for _ in range(runs):
        test = started(rng)
        for day in range(100):
            test = watch_outcomes(test, day, counts=counted(rng, rates(rng, 60)), happened=day)
        proved += test.found is not None
    assert proved / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_other_cases_alone_do_not_contradict_it() -> None:
    rng = np.random.default_rng(2)
    proved = 0
    for _ in range(40):
        test = started(rng)
        for day in range(100):  # twice as many high scores, all of them as true as before
            test = watch_outcomes(test, day, counts=counted(rng, rates(rng, 60, a=2.0)), happened=day)
        proved += test.found is not None
    assert proved <= 40 * 0.05 + 3 * math.sqrt(40 * 0.05 * 0.95)


def test_scores_that_come_true_twice_as_often_contradict_it() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        test = started(rng)
        for day in range(120):
            multiple = 1.0 if day < 40 else 2.0
            score = np.minimum(rates(rng, 60), 0.5)
            test = watch_outcomes(test, day, counts=counted(rng, score, multiple=multiple), happened=day)
        proof = found(test)
        assert 40 <= proof.at < 90
        assert proof.suspicion.direction == "more"
        assert proof.seen_rate > 1.3 * proof.expected_rate
        assert 20 <= proof.since <= proof.at


def test_high_scores_that_stop_coming_true_contradict_it_although_the_rate_stays() -> None:
    rng = np.random.default_rng(4)
    test = started(rng)
    for day in range(200):  # concept drift: the same rate for every score, as many positives as before
        score = rates(rng, 60)
        test = watch_outcomes(test, day, counts=counted(rng, score, multiple=score.mean() / score), happened=day)
    assert test.found is not None


def test_after_a_proof_nothing_changes_any_more() -> None:
    rng = np.random.default_rng(5)
    test = started(rng)
    score = np.full(4_000, 0.1)
    proved = watch_outcomes(test, 1, counts=counted(rng, score, multiple=5.0), happened=0)
    assert found(proved).at == 1
    assert watch_outcomes(proved, 2, counts=counted(rng, score), happened=1) is proved


def test_capital_does_not_grow_on_average_at_the_limit() -> None:
    # one case, a positive with the limit's chance: expected growth of every bet of its group is 1, at most
    test = started(np.random.default_rng(6))
    test = watch_outcomes(
        test, 0, counts=count_scores(np.array([0.3]), np.array([0.0]), bins=BINS), happened=0
    )  # places the first stake
    bin_of = int(0.1 * BINS)
    for which, suspicion in enumerate(test.suspicions):
        chance = suspicion.limit * test.rate[bin_of]
        expected = np.zeros(test.log_capital.shape[1])
        for outcome, share in ((1.0, chance), (0.0, 1.0 - chance)):
            counts = count_scores(np.array([0.1001]), np.array([outcome]), bins=BINS)
            after = watch_outcomes(test, 1, counts=counts, happened=1)
            expected += share * np.exp(after.log_capital[which])
        assert expected == pytest.approx(np.exp(test.log_capital[which]))


def test_too_few_outcomes_are_not_watched() -> None:
    rng = np.random.default_rng(7)
    few = count_scores(np.full(100, 0.1), np.concatenate([np.ones(29), np.zeros(71)]), bins=BINS)
    assert start_contradiction(few) is None
    assert start_contradiction(count_scores(rng.random(9), np.full(9, np.nan), bins=BINS)) is None


def test_what_makes_no_sense_is_refused() -> None:
    rng = np.random.default_rng(8)
    with pytest.raises(OutOfRange, match="alpha 2"):
        start_contradiction(counted(rng, rates(rng, 100)), alpha=2.0)
    other = count_scores(np.array([0.5]), np.array([1.0]), bins=10)
    with pytest.raises(UnequalLengths):
        watch_outcomes(started(rng), 1, counts=other, happened=1)
