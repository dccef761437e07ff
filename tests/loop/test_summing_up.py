"""The recommendation follows the money, and says when it may be luck."""

from __future__ import annotations

import numpy as np

from trueup.lake.rehearsals import Strategy
from trueup.loop.summing_up import Result, choose

WEEKS = 40


def result(name: str, weekly: float, *, cost: float = 0.0, noise: float = 0.0) -> Result:
    value = weekly + noise * np.sin(np.arange(WEEKS))
    total = float(value.sum())
    strategy = Strategy(
        name=name,
        description=name,
        value=total,
        value_interval=(total, total),
        retraining_cost=cost,
        net_value=total - cost,
        cases_acted=None,
        max_cases_in_period=None,
        capacity_filled=None,
        value_of_one_more_case=None,
        releases=(),
        windows=(),
    )
    return Result(strategy, value)


def test_the_strategy_that_surely_earns_most_is_recommended_with_the_amount() -> None:
    name, reason = choose([result("never", 100), result("monthly", 150, cost=400)], "EUR")
    assert name == "monthly"
    # 40 weeks of 50 more, less 400
    assert "€1,600 more" in reason


def test_a_gain_that_costs_more_than_it_brings_is_not_worth_it() -> None:
    name, reason = choose([result("never", 100), result("monthly", 105, cost=1_000)], "EUR")
    assert name == "never"
    assert "€800 less" in reason


def test_a_gain_that_may_be_luck_is_not_recommended_and_says_so() -> None:
    name, reason = choose([result("never", 100), result("monthly", 101, noise=200)], "EUR")
    assert name == "never"
    assert "luck" in reason


def test_the_agreed_policy_is_kept_when_another_is_not_surely_better() -> None:
    results = [result("never", 100), result("agreed", 150), result("monthly", 151, noise=100)]
    assert choose(results, "EUR", own=["agreed"])[0] == "agreed"
    assert choose(results, "EUR")[0] == "monthly"


def test_a_surely_better_strategy_beats_the_agreed_policy() -> None:
    results = [result("never", 100), result("agreed", 150), result("monthly", 190)]
    assert choose(results, "EUR", own=["agreed"])[0] == "monthly"


def test_with_one_strategy_only_there_is_nothing_to_choose() -> None:
    assert choose([result("never", 100)], "EUR") == ("never", "no other strategy was rehearsed")
