"""Profiles add up exactly, in any order, and stay close to the values they counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trueup.measure import profiles
from trueup.measure.errors import MeasureError, OutOfRange
from trueup.measure.profiles import (
    HOURLY_SHIFT,
    CategoryProfile,
    NumberProfile,
    ProfilesDiffer,
    as_json,
    binned,
    coarsened,
    from_json,
    lower_edges,
    merge_categories,
    merge_numbers,
    middles,
    number_keys,
    origin_for,
    profile_categories,
    profile_numbers,
    quantiles,
    upper_ends,
)

numbers = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-5, 5).map(float),
    st.sampled_from([0.0, -0.0, 1e-310, -1e300]),
)
columns = st.lists(numbers, max_size=25)
texts = st.lists(st.sampled_from(["a", "b", "c", "é", ""]) | st.none(), max_size=20)


origins = st.sampled_from([0.0, 5.0, -0.25, 1.46e9, 2.0**53, -1e308])


def numbers_of(values: list[float], *, origin: float = 0.0) -> NumberProfile:
    return profile_numbers(np.array(values, dtype=np.float64), origin=origin)


def categories_of(values: list[str | None]) -> CategoryProfile:
    names = sorted({v for v in values if v is not None})
    codes = np.array([-1 if v is None else names.index(v) for v in values], dtype=np.int64)
    return profile_categories(codes, names)


@given(columns, columns, columns, origins)
def test_merging_numbers_is_associative_and_commutative_and_equals_one_pass(
    a: list[float], b: list[float], c: list[float], origin: float
) -> None:
    one, two, three = (numbers_of(part, origin=origin) for part in (a, b, c))
    left = merge_numbers(merge_numbers(one, two), three)
    assert left == merge_numbers(one, merge_numbers(two, three))
    assert left == merge_numbers(three, merge_numbers(two, one))
    assert left == numbers_of(a + b + c, origin=origin)
    assert merge_numbers(numbers_of([]), one) == one == merge_numbers(one, numbers_of([]))


@given(columns, columns, origins)
def test_hours_merged_equal_the_hourly_form_of_the_day(a: list[float], b: list[float], origin: float) -> None:
    one, two = numbers_of(a, origin=origin), numbers_of(b, origin=origin)
    day = coarsened(numbers_of(a + b, origin=origin))
    assert merge_numbers(coarsened(one), coarsened(two)) == day
    assert coarsened(day) == day


@given(st.integers(-3, 5000), st.integers(1, 5000), st.integers(0, 5000), st.sampled_from([0.0, 2500.0]))
def test_whole_numbers_cross_over_to_bins_alike_however_they_are_cut(
    start: int, size: int, cut: int, origin: float
) -> None:
    values = np.arange(start, start + size, dtype=np.float64)
    parts = profile_numbers(values[:cut], origin=origin), profile_numbers(values[cut:], origin=origin)
    whole = profile_numbers(values, origin=origin)
    assert merge_numbers(*parts) == merge_numbers(*parts[::-1]) == whole
    assert whole.exact == (size <= 4096)
    again = merge_numbers(whole, parts[0])
    assert again == merge_numbers(parts[0], whole) == profile_numbers(np.append(values, values[:cut]), origin=origin)


@given(st.integers(9_990, 10_010), st.integers(0, 10_010), st.integers(0, 30))
@settings(max_examples=10, deadline=None)
def test_categories_cross_over_to_buckets_alike_however_they_are_cut(size: int, cut: int, again: int) -> None:
    names = [f"customer {i}" for i in range(size)]
    codes = np.arange(size)
    first, second, third = (profile_categories(part, names) for part in (codes[:cut], codes[cut:], codes[:again]))
    whole = profile_categories(np.concatenate([codes, codes[:again]]), names)
    assert (whole.buckets is None) == (size <= 10_000)
    assert whole.present == size + again
    assert merge_categories(merge_categories(first, second), third) == whole
    assert merge_categories(third, merge_categories(second, first)) == whole
    assert merge_categories(merge_categories(first, third), second) == whole


def test_columns_without_a_value_merge_alike_whatever_their_origin() -> None:
    here, there = numbers_of([np.nan], origin=5.0), numbers_of([], origin=7.0)
    assert merge_numbers(here, there) == merge_numbers(there, here) == NumberProfile(here.keys, here.counts, missing=1)
    assert coarsened(here) == here == binned(here)


@given(texts, texts, texts)
def test_merging_categories_is_associative_and_commutative_and_equals_one_pass(
    a: list[str | None], b: list[str | None], c: list[str | None]
) -> None:
    one, two, three = categories_of(a), categories_of(b), categories_of(c)
    left = merge_categories(merge_categories(one, two), three)
    assert left == merge_categories(one, merge_categories(two, three))
    assert left == merge_categories(three, merge_categories(two, one))
    assert left == categories_of(a + b + c)
    assert merge_categories(categories_of([]), one) == one


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=50))
def test_keys_keep_the_order_of_numbers_and_hold_them(values: list[float]) -> None:
    column = np.sort(np.array(values))
    keys = number_keys(column)
    assert (np.diff(keys) >= 0).all()
    finite = np.isfinite(column)
    assert (lower_edges(keys)[finite] <= column[finite]).all()


def test_a_bin_is_at_most_eight_tenths_of_a_percent_wide() -> None:
    values = np.array([1.0, 3.7, 1e-9, 250_000.25, -17.3])
    profile = profile_numbers(values)
    assert np.abs(middles(profile) / np.sort(values) - 1).max() <= 0.5 / 128 + 1e-12


def test_integers_are_counted_exactly_until_there_are_too_many() -> None:
    few = profile_numbers(np.array([3.0, 1.0, 3.0, np.nan]))
    assert few.exact
    assert few.keys.tolist() == [1, 3]
    assert few.counts.tolist() == [1, 2]
    assert few.missing == 1
    assert profile_numbers(np.arange(4096.0)).exact
    assert not profile_numbers(np.arange(4097.0)).exact
    halves = merge_numbers(profile_numbers(np.arange(0.0, 4000.0)), profile_numbers(np.arange(4000.0, 5000.0)))
    assert halves == profile_numbers(np.arange(5000.0))


def test_a_long_column_is_counted_like_its_parts() -> None:
    values = np.random.default_rng(0).lognormal(3.0, 2.0, 60_000)
    parts = profile_numbers(values[:10])
    for start in range(10, 60_000, 7_000):
        parts = merge_numbers(parts, profile_numbers(values[start : start + 7_000]))
    assert parts == profile_numbers(values)


def test_dates_of_different_years_share_a_key_only_without_an_origin() -> None:
    seconds_2016_and_2023 = np.array([1.46e9, 1.4600001e9])
    assert len(profile_numbers(seconds_2016_and_2023 + 0.5).keys) == 1
    days = np.linspace(1.46e9, 1.48e9, 1000) + 0.5
    origin = origin_for(days)
    assert origin == pytest.approx(1.47e9, rel=1e-3)
    assert len(profile_numbers(days, origin=origin).keys) > 500
    assert origin_for(np.array([0.5, 3.0, 40.0])) == 0.0


def test_columns_with_other_origins_do_not_merge() -> None:
    with pytest.raises(ProfilesDiffer, match="origin 0 and shift 45 against origin 10"):
        merge_numbers(profile_numbers(np.array([0.5])), profile_numbers(np.array([0.5]), origin=10.0))


def test_hours_derived_from_finer_profiles_add_up_like_the_finer_ones() -> None:
    rng = np.random.default_rng(1)
    one, two = profile_numbers(rng.normal(size=500)), profile_numbers(rng.normal(size=500))
    whole = coarsened(merge_numbers(one, two))
    assert whole == merge_numbers(coarsened(one), coarsened(two))
    assert whole.shift == HOURLY_SHIFT
    assert np.array_equal(whole.keys, np.unique(number_keys(middles(merge_numbers(one, two)), shift=HOURLY_SHIFT)))


def test_more_than_the_bound_of_categories_are_counted_in_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "MOST_CATEGORIES", 3)
    names = ["a", "b", "c", "d", "e"]
    whole = profile_categories(np.array([0, 1, 2, 3, 4, 4, -1]), names)
    parts = [
        profile_categories(np.array([0, 1, -1]), names),
        profile_categories(np.array([2, 3, 4]), names),
        profile_categories(np.array([4]), names),
    ]
    assert whole.buckets is not None
    assert whole.present == 6
    assert merge_categories(merge_categories(parts[0], parts[1]), parts[2]) == whole
    assert merge_categories(parts[0], merge_categories(parts[1], parts[2])) == whole


@given(columns, texts)
def test_a_profile_survives_json(values: list[float], names: list[str | None]) -> None:
    for profile in (numbers_of(values), binned(numbers_of(values)), categories_of(names)):
        assert from_json(json.loads(json.dumps(as_json(profile), allow_nan=False))) == profile


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_no_number_is_above_the_upper_end_of_its_key(values: list[float]) -> None:
    column = np.sort(np.array([*values, 0.5]))
    profile = profile_numbers(column)
    ends = np.repeat(upper_ends(profile), profile.counts)
    assert (column <= ends).all()
    assert np.array_equal(number_keys(ends), number_keys(column))


def test_quantiles_are_those_of_the_values() -> None:
    assert quantiles(numbers_of([4.0, 1.0, 2.0, 3.0]), [0.0, 0.25, 0.5, 0.51, 1.0]) == [1.0, 1.0, 2.0, 3.0, 4.0]
    assert quantiles(numbers_of([np.nan]), [0.5]) == []
    values = np.random.default_rng(8).lognormal(3.0, 2.0, 5000)
    expected = np.quantile(values, [0.05, 0.5, 0.95], method="inverted_cdf")
    assert quantiles(profile_numbers(values), [0.05, 0.5, 0.95]) == pytest.approx(expected, rel=0.5 / 128)


def test_other_json_is_refused() -> None:
    with pytest.raises(MeasureError, match="kind 'pie'"):
        from_json({"kind": "pie", "missing": 0})
    with pytest.raises(MeasureError, match="not a profile"):
        from_json({})


def test_a_code_without_a_name_is_refused() -> None:
    with pytest.raises(OutOfRange, match="a code is 2, but there are 2 names"):
        profile_categories(np.array([0, 2]), ["a", "b"])


def one_column(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=100)


def test_the_days_of_a_column_sum_to_its_year() -> None:
    year = numbers_of([])
    for day in range(40):
        year = merge_numbers(year, profile_numbers(one_column(day)))
    assert year == profile_numbers(np.concatenate([one_column(day) for day in range(40)]))
