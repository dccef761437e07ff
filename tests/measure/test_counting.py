"""Batches count to the same keys as each number by itself would, in any order and cut."""

from __future__ import annotations

import math
import struct
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from trueup.measure import counting
from trueup.measure.counting import NumberCounts, summed
from trueup.measure.errors import OutOfRange
from trueup.measure.profiles import profile_of

Array = NDArray[np.float64]
SMALL_PAYLOAD = struct.unpack("<d", struct.pack("<Q", 0x7FF0_0000_0000_0001))[0]
"""A NaN whose first 19 bits are those of infinity."""
AWKWARD = [0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, 1.7e308, -1.7e308, np.inf, -np.inf, np.nan, 2.0**53, -(2.0**53)]
numbers = st.one_of(
    st.sampled_from([*AWKWARD, SMALL_PAYLOAD, -SMALL_PAYLOAD]), st.floats(), st.integers(-9, 9).map(float)
)
batches = st.lists(st.lists(numbers, max_size=12), max_size=5)
origins = st.sampled_from([0.0, 1.0, -3.5, 1.7e9, 1e308])


def counted(parts: list[list[float]], *, origin: float = 0.0) -> NumberCounts:
    counts = NumberCounts(origin=origin)
    for part in parts:
        counts.add(np.array(part, dtype=np.float64))
    return counts


def key_by_hand(value: float, origin: float) -> int:
    """Return the key of one number by Python's own arithmetic on its bytes."""
    shifted = value - origin + 0.0
    (bits,) = struct.unpack("<q", struct.pack("<d", shifted))
    return int(bits ^ 0x7FFF_FFFF_FFFF_FFFF if bits < 0 else bits) >> 45


@pytest.mark.parametrize("dense_from", [0, 20_000])
@given(parts=batches, origin=origins)
def test_every_number_is_counted_under_its_key(dense_from: int, parts: list[list[float]], origin: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_DENSE_FROM", dense_from)
        counts = counted([[0.5], *parts], origin=origin)
        keys, cases = counts.found()
    everything = [0.5, *(value for part in parts for value in part)]
    present = [value for value in everything if not math.isnan(value)]
    expected: dict[int, int] = {}
    for value in present:
        key = key_by_hand(value, origin)
        expected[key] = expected.get(key, 0) + 1
    assert not counts.is_exact
    assert dict(zip(keys.tolist(), cases.tolist(), strict=True)) == expected
    assert keys.tolist() == sorted(expected)
    assert counts.missing == len(everything) - len(present)


@pytest.mark.parametrize("dense_from", [0, 20_000])
@given(earlier=st.lists(batches, max_size=3), parts=batches, origin=origins)
def test_nothing_of_an_earlier_column_stays_after_a_restart(
    dense_from: int, earlier: list[list[list[float]]], parts: list[list[float]], origin: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_DENSE_FROM", dense_from)
        counts = NumberCounts(origin=1.0)
        found = []
        for column in [*earlier, parts]:
            counts.restart(origin=origin)
            for part in column:
                counts.add(np.array(part, dtype=np.float64))
            found.append(profile_of(counts))
    assert found == [profile_of(counted(column, origin=origin)) for column in [*earlier, parts]]


@pytest.mark.parametrize("dense_from", [0, 20_000])
@settings(max_examples=30, deadline=None)  # counters anew for each batch
@given(parts=batches, origin=origins)
def test_looking_at_counts_between_batches_changes_nothing(
    dense_from: int, parts: list[list[float]], origin: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "_DENSE_FROM", dense_from)
        counts, missing = NumberCounts(origin=origin), 0
        for number, part in enumerate(parts):
            counts.add(np.array(part, dtype=np.float64))
            missing += sum(map(math.isnan, part))
            assert counts.missing == missing
            assert profile_of(counts) == profile_of(counted(parts[: number + 1], origin=origin))


@pytest.mark.parametrize("at_once", [1, 7, 50])
def test_numbers_taken_in_pieces_count_alike(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.array([*AWKWARD, SMALL_PAYLOAD, 0.3] * 3)
    whole = profile_of(counted([values.tolist()], origin=1.0))
    monkeypatch.setattr(counting, "_AT_ONCE", at_once)
    monkeypatch.setattr(counting, "_DENSE_FROM", 20)
    assert profile_of(counted([values.tolist()], origin=1.0)) == whole


@given(batches, origins, st.randoms(use_true_random=False))
def test_the_order_of_numbers_and_the_cut_into_batches_change_nothing(
    parts: list[list[float]], origin: float, random: Random
) -> None:
    everything = [value for part in parts for value in part]
    shuffled = list(everything)
    random.shuffle(shuffled)
    whole = profile_of(counted(parts, origin=origin))
    assert whole == profile_of(counted([everything], origin=origin))
    assert whole == profile_of(counted([[value] for value in shuffled], origin=origin))


def test_long_columns_count_like_short_ones() -> None:
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(size=50_000), [np.nan, SMALL_PAYLOAD, np.inf, -np.inf, -0.0, -1e-310] * 100])
    rng.shuffle(values)
    long = NumberCounts()
    long.add(values)
    parts = [profile_of(counted([values[start : start + 1000].tolist()])) for start in range(0, len(values), 1000)]
    assert sum(part.missing for part in parts) == long.missing == 200
    keys, counts = summed(np.concatenate([p.keys for p in parts]), np.concatenate([p.counts for p in parts]))
    assert np.array_equal(long.found()[0], keys)
    assert np.array_equal(long.found()[1], counts)


@settings(max_examples=30)
@given(st.lists(st.integers(-(2**62), 2**62) | st.integers(-3, 3), max_size=30), st.sampled_from([1, 86_400]))
def test_integers_count_like_the_same_numbers_as_floats(values: list[int], step: int) -> None:
    small = np.array([value // 86_400 for value in values], dtype=np.int64)
    fast, slow = NumberCounts(origin=7.0), NumberCounts(origin=7.0)
    fast.add_integers(small, step=step)
    slow.add(small.astype(np.float64) * step)
    assert profile_of(fast) == profile_of(slow)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64])
def test_small_integer_types_do_not_overflow(kind: type[np.signedinteger]) -> None:
    values = np.array([np.iinfo(kind).min, np.iinfo(kind).max, 0], dtype=kind)
    counts = NumberCounts()
    counts.add_integers(values)
    assert counts.is_exact == (kind is not np.int64)
    assert int(counts.found()[1].sum()) == 3
    if counts.is_exact:
        assert counts.found()[0].tolist() == sorted(values.tolist())


def test_one_number_too_many_turns_exact_counts_into_bins_wherever_it_comes() -> None:
    whole, last = np.arange(4096.0), np.array([5000.0])
    for order in ([whole, last], [last, whole], [whole[:2000], last, whole[2000:]]):
        counts = NumberCounts()
        for part in order:
            counts.add(part)
        assert not counts.is_exact
        assert int(counts.found()[1].sum()) == 4097
    counts = NumberCounts()
    counts.add(whole)
    counts.add(whole)
    assert counts.is_exact
    assert set(counts.found()[1].tolist()) == {2}


def test_a_fraction_turns_exact_counts_into_bins() -> None:
    counts = NumberCounts()
    counts.add_integers(np.array([3, 3, 4]))
    before = counts.is_exact
    counts.add(np.array([3.5, np.nan]))
    assert (before, counts.is_exact) == (True, False)
    assert counts.missing == 1
    assert counts.found()[1].tolist() == [2, 1, 1]


def test_an_origin_that_is_no_number_is_refused() -> None:
    with pytest.raises(OutOfRange, match="the origin is nan"):
        NumberCounts(origin=float("nan"))
