"""Drift distances equal those of scipy on the same edges, and know nothing of nothing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import jensenshannon

from trueup.measure import profiles
from trueup.measure.drift import compare_categories, compare_numbers, psi
from trueup.measure.profiles import CategoryProfile, ProfilesDiffer, coarsened, profile_numbers

Array = NDArray[np.float64]


def two_columns(seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.gamma(2.0, 50.0, 20_000), rng.gamma(2.2, 55.0, 15_000)


@pytest.mark.parametrize("seed", [1, 2])
def test_distances_of_numbers_equal_scipy(seed: int) -> None:
    reference, current = two_columns(seed)
    drift = compare_numbers(profile_numbers(reference), profile_numbers(current))
    assert len(drift.upper_edges) == 9
    p, q = (np.bincount(np.searchsorted(drift.upper_edges, v), minlength=10) / len(v) for v in (reference, current))
    assert drift.jensen_shannon == pytest.approx(jensenshannon(p, q, base=2), abs=1e-12)
    assert drift.psi == pytest.approx(float(((q - p) * np.log(q / p)).sum()), abs=1e-12)
    assert drift.ks == pytest.approx(stats.ks_2samp(reference, current).statistic, abs=5e-3)
    assert drift.wasserstein == pytest.approx(stats.wasserstein_distance(reference, current), rel=5e-3)


def test_distances_of_whole_numbers_equal_scipy_exactly() -> None:
    rng = np.random.default_rng(3)
    reference, current = rng.poisson(3.0, 4000).astype(np.float64), rng.poisson(3.5, 3000).astype(np.float64)
    drift = compare_numbers(profile_numbers(reference), profile_numbers(current))
    cuts = np.array(drift.upper_edges)
    p, q = (np.bincount(np.searchsorted(cuts, v), minlength=len(cuts) + 1) for v in (reference, current))
    assert drift.jensen_shannon == pytest.approx(jensenshannon(p, q, base=2), abs=1e-12)
    assert drift.ks == pytest.approx(stats.ks_2samp(reference, current).statistic, abs=1e-12)
    assert drift.wasserstein == pytest.approx(stats.wasserstein_distance(reference, current), abs=1e-12)
    assert drift.psi == pytest.approx(float(((q / 3000 - p / 4000) * np.log((q / 3000) / (p / 4000))).sum()), abs=1e-12)


def test_a_column_that_did_not_move_has_no_distance() -> None:
    column = profile_numbers(two_columns(1)[0])
    drift = compare_numbers(column, column)
    assert (drift.psi, drift.jensen_shannon, drift.ks, drift.wasserstein) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("now", [4.0, 6.0])
def test_a_constant_that_changed_is_fully_apart(now: float) -> None:
    drift = compare_numbers(profile_numbers(np.full(10, 5.0)), profile_numbers(np.full(10, now)))
    assert drift.jensen_shannon == pytest.approx(1.0)
    assert drift.ks == 1.0
    assert drift.wasserstein == 1.0


def test_missing_values_are_a_share_beside_the_distance() -> None:
    values = np.array([1.0, 2.0, 2.0, np.nan])
    drift = compare_numbers(profile_numbers(values[:3]), profile_numbers(values))
    assert drift.reference_missing == 0.0
    assert drift.current_missing == 0.25
    assert drift.jensen_shannon == 0.0


def test_nothing_to_compare_is_none() -> None:
    some, nothing = profile_numbers(np.ones(3)), profile_numbers(np.full(2, np.nan))
    assert compare_numbers(some, nothing).psi is None
    assert compare_numbers(some, nothing).current_missing == 1.0
    assert compare_numbers(some, profile_numbers(np.empty(0))).current_missing is None
    assert compare_categories(CategoryProfile({"a": 1}), CategoryProfile({}, missing=1)).jensen_shannon is None


def test_infinite_values_do_not_make_the_distance_infinite() -> None:
    drift = compare_numbers(profile_numbers(np.array([1.0, 2.0, np.inf])), profile_numbers(np.array([2.0, 3.0])))
    assert drift.wasserstein == pytest.approx(1.0, rel=0.01)


def test_profiles_of_different_width_are_compared_on_the_wider_bins() -> None:
    reference, current = (profile_numbers(values) for values in two_columns(1))
    fine, mixed = compare_numbers(reference, current), compare_numbers(coarsened(reference), current)
    assert mixed.ks == pytest.approx(fine.ks, abs=0.02)
    with pytest.raises(ProfilesDiffer, match="origin 0, the current profile 5"):
        compare_numbers(reference, profile_numbers(two_columns(1)[1], origin=5.0))


def test_categories_are_compared_by_name_and_new_ones_are_named() -> None:
    reference = CategoryProfile({"a": 60, "b": 40})
    current = CategoryProfile({"a": 50, "b": 30, "x": 5, "y": 15}, missing=100)
    drift = compare_categories(reference, current)
    assert drift.new_categories == ("y", "x")
    assert drift.new_share == pytest.approx(0.2)
    assert drift.current_missing == 0.5
    expected = jensenshannon([0.6, 0.4, 0.0, 0.0], [0.5, 0.3, 0.05, 0.15], base=2)
    assert drift.jensen_shannon == pytest.approx(expected, abs=1e-12)


def test_hashed_categories_still_show_the_share_of_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MOST_CATEGORIES", 2)
    hashed = profiles.profile_categories(np.array([0, 1, 2, 2]), ["a", "b", "c"])
    drift = compare_categories(hashed, CategoryProfile({"a": 3, "new": 1}))
    assert drift.new_categories == ("new",)
    assert drift.new_share == pytest.approx(0.25)


def test_psi_of_an_emptied_bin_stays_finite() -> None:
    # shares 0.5, 0.5 -> 1, 1e-4: 0.5 * ln 2 + (1e-4 - 0.5) * ln(1e-4 / 0.5)
    expected = 0.5 * np.log(2.0) + (1e-4 - 0.5) * np.log(1e-4 / 0.5)
    assert psi(np.array([5.0, 5.0]), np.array([10.0, 0.0])) == pytest.approx(expected)
