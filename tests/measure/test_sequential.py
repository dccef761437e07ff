"""The always-valid test keeps its promise under constant watching, and finds breaches, late ones too."""

from __future__ import annotations

import math

import numpy as np
import pytest
from benchmarks.guarding import NULLS, alarm_share, early_bad_news, value_drop
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange
from trueup.measure.sequential import BETS, BLOCK, BettingTest, start_test, watch

LIMIT = 4.0


def false_alarms_per_hit(rng: np.random.Generator, cases: int, *, per_hit: float) -> NDArray[np.float64]:
    """Acted cases: a hit counts -4, a false alarm +1; nobody acted on half of the cases."""
    acted = rng.random(cases) < 0.5
    false_alarm = rng.random(cases) < per_hit / (1 + per_hit)
    return np.where(acted, np.where(false_alarm, 1.0, -LIMIT), 0.0)


def test_false_alarms_stay_under_alpha_when_watched_after_every_case() -> None:
    rng = np.random.default_rng(42)
    runs = 300
    alarms = sum(
        watch(start_test(lowest=LIMIT), false_alarms_per_hit(rng, 4000, per_hit=LIMIT)).alarm for _ in range(runs)
    )
    # exactly at the limit, 2,000 looks each: at most 5 % by theory; 4 standard errors for the luck of 300 runs
    assert alarms / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("world", NULLS)
def test_no_null_world_raises_more_false_alarms_than_promised(world: str) -> None:
    runs = 150
    share = alarm_share(NULLS[world], runs, cases=3_000, seed=5)
    assert share <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)  # `make endurance` watches 10,000 runs of each


def test_an_order_that_depends_on_outcomes_is_not_promised_anything() -> None:
    assert alarm_share(early_bad_news, 20, cases=3_000) > 0.9


def test_a_drop_of_a_fifth_in_value_is_found() -> None:
    found = value_drop(15, drop=0.2, allowed=0.0, healthy=0)
    assert found.share == 1.0
    # 30 % hits at 10 each bring 2.3 a case; 20 % less are 25.8 % hits. By Wald the log capital of the best bet grows by
    # 0.0045 a case, so log(20 * 20) = 6, the price of grid and stakes included, takes 1,300 cases
    assert 400 < found.median_cases < 3_000


def test_a_fixed_level_test_looked_at_daily_would_cry_wolf() -> None:
    rng = np.random.default_rng(42)
    alarms = 0
    for _ in range(300):
        seen = false_alarms_per_hit(rng, 4000, per_hit=LIMIT)
        count = np.arange(1, 4001)
        mean, square = np.cumsum(seen) / count, np.cumsum(seen**2) / count
        z = mean / np.sqrt(np.maximum(square - mean**2, 1e-12) / count)
        alarms += bool((z[99::100] > 1.645).any())
    # what the always-valid test is for: the usual z-test at 5 %, looked at 40 times
    assert alarms / 300 > 0.12


def test_a_clear_breach_is_found_soon() -> None:
    rng = np.random.default_rng(7)
    found = [watch(start_test(lowest=LIMIT), false_alarms_per_hit(rng, 4000, per_hit=9.0)) for _ in range(20)]
    assert all(test.alarm for test in found)
    assert float(np.median([test.alarm_at_case or 0 for test in found])) < 700


def test_a_breach_after_a_long_healthy_time_is_found() -> None:
    rng = np.random.default_rng(8)
    for _ in range(10):
        healthy = watch(start_test(lowest=LIMIT), false_alarms_per_hit(rng, 40_000, per_hit=2.5))
        assert not healthy.alarm
        broken = watch(healthy, false_alarms_per_hit(rng, 5000, per_hit=9.0))
        assert broken.alarm
        assert broken.alarm_at_case is not None
        assert broken.alarm_at_case > 40_000


@given(st.lists(st.sampled_from([1.0, 0.0, -4.0, -3.0]), max_size=400), st.integers(0, 400), st.integers(0, 400))
def test_cutting_cases_into_batches_changes_nothing(values: list[float], first: int, second: int) -> None:
    seen = np.array(values)
    whole = watch(start_test(lowest=LIMIT), seen)
    low, high = sorted((first, second))
    test = start_test(lowest=LIMIT)
    for batch in (seen[:low], seen[low:high], seen[high:]):
        test = watch(test, batch)
    assert test.cases == whole.cases
    assert test.alarm_at_case == whole.alarm_at_case
    assert test.largest_log_capital == pytest.approx(whole.largest_log_capital, abs=1e-9)
    assert np.allclose(test.log_capital, whole.log_capital)


def test_capital_equals_the_product_counted_by_hand() -> None:
    # two counts of +1 and one of -4 at a lower bound of 4: first block's stake is 1/2, spread over the bets
    test = watch(start_test(lowest=LIMIT), np.array([1.0, 0.0, 1.0, -4.0]))
    for log_capital, bet in zip(test.log_capital, BETS, strict=True):
        by_hand = 0.5 / len(BETS) * (1 + bet / 4) ** 2 * (1 - bet)
        assert log_capital == pytest.approx(math.log(by_hand))
    best = 0.5 + sum(0.5 / len(BETS) * (1 + bet / 4) ** 2 for bet in BETS)
    assert test.p_value == pytest.approx(1 / best)
    assert (test.cases, test.informative) == (4, 3)


def test_capital_never_grows_on_average_while_the_limit_holds() -> None:
    # one fair case: mean of (+1 w.p. 4/5, -4 w.p. 1/5) is 0, so expected capital is what was staked
    up, down = (watch(start_test(lowest=LIMIT), np.array([value])) for value in (1.0, -4.0))
    expected = 0.8 * np.exp(up.log_capital) + 0.2 * np.exp(down.log_capital)
    assert expected == pytest.approx(np.full(len(BETS), 0.5 / len(BETS)))


def test_all_stakes_ever_placed_sum_to_the_capital() -> None:
    # cases that pay nothing leave stakes as they are: after b blocks 1 - 1/(b + 1) is staked
    tiny = watch(start_test(lowest=1.0), np.full(3 * BLOCK, 1e-15))
    assert float(np.exp(tiny.log_capital).sum()) == pytest.approx(1 - 1 / 4)
    assert tiny.p_value == pytest.approx(1.0)


def test_cases_that_say_nothing_cost_nothing() -> None:
    test = watch(start_test(lowest=1.0), np.zeros(1000))
    assert test == BettingTest(lowest=1.0, cases=1000)
    assert watch(test, np.empty(0)) == test


def test_a_statistic_below_its_bound_is_refused() -> None:
    with pytest.raises(OutOfRange, match="below the declared -1"):
        watch(start_test(lowest=1.0), np.array([-2.0]))
    with pytest.raises(OutOfRange):
        watch(start_test(lowest=1.0), np.array([np.nan]))
    with pytest.raises(OutOfRange, match="lowest is 0"):
        start_test(lowest=0.0)
