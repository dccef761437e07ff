"""A model made elsewhere gets columns of the types it was made with."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trueup.bundle.logged_types import numbers_as_logged, texts_as_logged


def test_missing_text_is_nan_as_in_a_frame_that_pandas_reads() -> None:
    given = texts_as_logged(["a", None])

    assert given.dtype == object
    assert given[0] == "a"
    assert math.isnan(given[1])


@pytest.mark.parametrize("value", [math.nan, 1.5, 2.0**53 + 2, -(2.0**53) - 2])
def test_a_number_that_is_no_exact_whole_number_cannot_be_an_int64(value: float) -> None:
    with pytest.raises(ValueError, match="missing, fractional or too large"):
        numbers_as_logged(np.array([1.0, value]), "int64")


@pytest.mark.parametrize("value", [math.nan, 2.0, -1.0])
def test_only_zero_and_one_can_be_booleans(value: float) -> None:
    with pytest.raises(ValueError, match="of type bool"):
        numbers_as_logged(np.array([value]), "bool")


def test_whole_numbers_and_booleans_keep_their_values() -> None:
    assert numbers_as_logged(np.array([-3.0, 7.0]), "int64").tolist() == [-3, 7]
    assert numbers_as_logged(np.array([0.0, 1.0]), "bool").tolist() == [False, True]


def test_a_float32_is_rounded_and_one_too_large_is_infinite() -> None:
    given = numbers_as_logged(np.array([0.1, 1e300, math.nan]), "float32")

    assert given.dtype == np.float32
    # 0.1 as IEEE 754 single precision
    assert float(given[0]) == 0.10000000149011612
    assert given[1] == math.inf
    assert math.isnan(given[2])


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00", "1969-12-31T23:59:59.999999", "2026-11-25T10:56:04.123457", "9999-12-31T00:00:00"]
)
def test_a_date_comes_back_to_the_microsecond_in_our_times_and_to_the_day_in_all(moment: str) -> None:
    exact = np.datetime64(moment, "us")
    days = exact.astype(np.int64) / 86_400_000_000

    found = numbers_as_logged(np.array([days, math.nan]), "datetime64[us]")

    assert found.dtype == np.dtype("datetime64[us]")
    assert found[0] == exact
    assert np.isnat(found[1])
