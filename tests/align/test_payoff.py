"""A decision is worth what the sponsor signed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trueup.align.payoff import ActionEffect, best_class, expected_gain, realised_payoff

FRAUD = np.array([[-30.0, -55.0, -8_500.0, 0.0]])
HOTEL = np.array([[-4.0, -4.0, -400.0, 0.0]])
CALLS = ActionEffect("prevents", 0.3)
money = st.floats(-1e6, 1e6)


def test_the_gain_of_a_review_is_what_it_saves_less_what_it_costs() -> None:
    # 1 in 100 fraud: 0.01 * (8500 - 30) - 0.99 * 55
    assert np.isclose(expected_gain(np.array([0.01]), FRAUD, effect=ActionEffect())[0], 0.01 * 8470 - 0.99 * 55)


def test_a_call_saves_the_signed_share_of_cancellations_and_always_costs_the_call() -> None:
    # a sure cancellation: 0.3 * 400 saved, 4 spent
    assert np.isclose(expected_gain(np.array([1.0]), HOTEL, effect=CALLS)[0], 0.3 * 400 - 4)
    assert np.isclose(expected_gain(np.array([0.0]), HOTEL, effect=CALLS)[0], -4)


def test_a_realised_call_on_a_cancellation_counts_its_expected_saving() -> None:
    paid = realised_payoff(
        np.array([True, False, True, False]),
        np.array([1.0, 1.0, 0.0, np.nan]),
        np.repeat(HOTEL, 4, axis=0),
        effect=CALLS,
    )
    assert np.allclose(paid[:3], [-4 - 0.7 * 400, -400.0, -4.0])
    assert np.isnan(paid[3])


@given(
    score=st.floats(0, 1), cells=st.tuples(money, money, money, money), share=st.floats(0, 1), prevents=st.booleans()
)
def test_the_expected_gain_is_the_mean_of_what_is_realised(
    score: float, cells: tuple[float, float, float, float], share: float, prevents: bool
) -> None:
    effect = ActionEffect("prevents", share) if prevents else ActionEffect()
    payoffs = np.repeat(np.array([cells]), 2, axis=0)
    outcome = np.array([1.0, 0.0])
    both = [realised_payoff(np.full(2, acted), outcome, payoffs, effect=effect) for acted in (True, False)]
    mean = score * (both[0][0] - both[1][0]) + (1 - score) * (both[0][1] - both[1][1])
    assert np.isclose(expected_gain(np.array([score]), payoffs[:1], effect=effect)[0], mean, rtol=1e-9, atol=1e-4)


def test_of_several_classes_the_one_with_the_largest_expected_payoff_is_chosen() -> None:
    scores = np.array([[0.6, 0.4], [0.95, 0.05]])
    payoffs = np.array([[[0.0, -10.0], [-3.0, 5.0]]])  # missing class 1 is dear
    chosen, worth = best_class(scores, payoffs)
    assert chosen.tolist() == [1, 0]
    assert np.allclose(worth, [0.6 * -3 + 0.4 * 5, 0.05 * -10])
