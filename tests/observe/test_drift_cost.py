"""Drift is ranked by money: what does not matter stays quiet, what matters is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trueup.kernel.durations import MICROSECONDS_PER_DAY as DAY
from trueup.kernel.durations import Duration
from trueup.observe.drift_cost import (
    UnknownFeature,
    category_bins,
    count_categories,
    count_numbers,
    drift_cost_of,
    drift_costs,
    record_drift,
    reference_of_categories,
    reference_of_numbers,
    start_drift,
    worst_loss_per_case,
)

Array = NDArray[np.float64]
BROKERS = ("north", "south", "west")


def test_the_effect_is_the_moved_share_times_what_bins_are_worth() -> None:
    codes = np.array([0, 0, 0, 1])
    value = np.array([10.0, 10.0, 10.0, 2.0])
    reference = reference_of_categories("broker", codes, names=BROKERS, value_per_case=value)
    now = count_categories(reference, np.array([0, 1, 1, 1] * 1000), names=BROKERS)
    cost = drift_cost_of(reference, now)
    # north falls from 3/4 to 1/4: 0.5 * (2 - 10)
    assert cost.effect_per_case == pytest.approx(-4.0)
    assert cost.cases == 4000


def test_a_large_shift_that_is_worth_nothing_stays_quiet_and_a_small_one_that_matters_does_not() -> None:
    rng = np.random.default_rng(1)
    size = 20_000
    harmless, broker = rng.normal(size=size), rng.choice(3, size, p=[0.5, 0.4, 0.1])
    value = np.where(broker == 2, 90.0, 1.0) + rng.normal(0.0, 20.0, size)
    references = (
        reference_of_numbers("harmless", harmless, value_per_case=value),
        reference_of_categories("broker", broker, names=BROKERS, value_per_case=value),
    )
    now_broker = rng.choice(3, 8000, p=[0.53, 0.42, 0.05])
    counts = {
        "harmless": count_numbers(references[0], rng.normal(1.5, 1.0, 8000)),
        "broker": count_categories(references[1], now_broker, names=BROKERS),
    }
    state = record_drift(start_drift(references, keep=Duration(7 * DAY)), 0, counts=counts)
    first, second = drift_costs(state, 0)
    assert (first.feature, first.status) == ("broker", "warning")
    assert first.effect_per_case == pytest.approx(-0.05 * 89.0, abs=0.6)
    assert (second.feature, second.status) == ("harmless", "healthy")
    assert first.shift is not None
    assert second.shift is not None
    assert second.shift > 3 * first.shift
    assert worst_loss_per_case([first, second]) == first.loss_per_case > 4.0


def test_samples_of_the_same_population_rarely_warn() -> None:
    rng = np.random.default_rng(2)
    warned = 0
    for _ in range(300):
        values, value = rng.normal(size=2000), rng.normal(0.0, 50.0, 2000)
        reference = reference_of_numbers("x", values, value_per_case=value)
        warned += drift_cost_of(reference, count_numbers(reference, rng.normal(size=500))).status == "warning"
    # one-sided 3 standard errors: 0.13 % if normal
    assert warned <= 4


@given(st.lists(st.one_of(st.none(), st.integers(-3, 3)), min_size=1, max_size=60), st.integers(1, 12))
def test_the_reference_itself_has_not_moved(given_values: list[int | None], bins: int) -> None:
    values = np.array([np.nan if v is None else float(v) for v in given_values])
    value = np.arange(len(values), dtype=np.float64)
    reference = reference_of_numbers("x", values, value_per_case=value, bins=bins)
    assert reference.share.sum() == pytest.approx(1.0)
    cost = drift_cost_of(reference, count_numbers(reference, values))
    assert cost.effect_per_case == pytest.approx(0.0, abs=1e-9)
    assert cost.shift == pytest.approx(0.0, abs=1e-6)
    assert cost.missing_share == pytest.approx(float(np.isnan(values).mean()))


def test_missing_and_new_categories_are_shares_of_their_own() -> None:
    reference = reference_of_categories(
        "broker", np.array([0, 0, 1, -1]), names=BROKERS, value_per_case=np.full(4, np.nan), most=1
    )
    assert reference.names == ("north",)
    assert reference.others == frozenset({"south"})
    cost = drift_cost_of(reference, count_categories(reference, np.array([2, 2, 1, -1, -1]), names=BROKERS))
    assert cost.new_share == pytest.approx(0.4)
    assert cost.missing_share == pytest.approx(0.4)
    assert cost.reference_missing_share == 0.25
    assert cost.effect_per_case == 0.0


def test_bins_of_a_dictionary_are_found_once() -> None:
    reference = reference_of_categories("broker", np.array([0, 1]), names=BROKERS, value_per_case=np.ones(2))
    bins = category_bins(reference.names, reference.others, names=("west", "south"))
    codes = np.array([0, 1, 1, -1])
    direct = count_categories(reference, codes, names=("west", "south"))
    assert np.array_equal(direct, count_categories(reference, codes, names=("west", "south"), bins=bins))
    assert direct.tolist() == [0.0, 2.0, 0.0, 1.0, 1.0]


def test_a_window_without_cases_has_no_data() -> None:
    reference = reference_of_numbers("x", np.array([1.0, 2.0]), value_per_case=np.ones(2))
    (cost,) = drift_costs(start_drift([reference], keep=Duration(DAY)), 0)
    assert (cost.status, cost.effect_per_case, cost.shift) == ("no_data", None, None)
    assert worst_loss_per_case([cost]) == worst_loss_per_case([]) == 0.0


def test_the_constant_that_changed_shows() -> None:
    reference = reference_of_numbers("x", np.full(5, 3.0), value_per_case=np.ones(5))
    for now in (2.0, 4.0):
        assert drift_cost_of(reference, count_numbers(reference, np.full(5, now))).shift == pytest.approx(1.0)


def test_days_leave_the_window() -> None:
    reference = reference_of_numbers("x", np.arange(10.0), value_per_case=np.arange(10.0), bins=2)
    state = start_drift([reference], keep=Duration(7 * DAY))
    for day in range(20):
        values = np.full(5, 0.0 if day < 10 else 9.0)
        state = record_drift(state, day * DAY, counts={"x": count_numbers(reference, values)})
    (cost,) = drift_costs(state, 19 * DAY)
    assert cost.cases == 7 * 5
    assert cost.effect_per_case == pytest.approx(7.0 - 4.5)


def test_counts_that_do_not_fit_are_refused_by_name() -> None:
    number = reference_of_numbers("x", np.arange(3.0), value_per_case=np.ones(3))
    category = reference_of_categories("broker", np.array([0]), names=BROKERS, value_per_case=np.ones(1))
    state = start_drift([number], keep=Duration(DAY))
    with pytest.raises(UnknownFeature, match='"x": got nothing'):
        record_drift(state, 0, counts={})
    with pytest.raises(UnknownFeature, match="got 2 bins"):
        record_drift(state, 0, counts={"x": np.zeros(2)})
    with pytest.raises(UnknownFeature, match="got numbers"):
        count_numbers(category, np.zeros(1))
    with pytest.raises(UnknownFeature, match="got categories"):
        count_categories(number, np.zeros(1, dtype=np.int64), names=("a",))
