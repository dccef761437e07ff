"""What values did a column hold? Histograms on fixed keys that add up: hours to days, parts to the whole.

A number is counted under ``order_preserving_int64(x - origin) >> 45``: 7 bits of the mantissa stay, so a bin is at most
0.8 % of a value's distance from `origin` wide, no reference is needed to choose bins, and two profiles merge by adding
counts. Integers with at most 4,096 distinct values are counted exactly instead. Categories are counted in full up to
10,000 values, else in 65,536 hash buckets. Merging is exact, associative and commutative, and the empty profile changes
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from trueup.measure.counting import MOST_EXACT, SHIFT, NumberCounts, summed
from trueup.measure.errors import MeasureError, OutOfRange

Key = TypeVar("Key")
Array = NDArray[np.float64]
Counts = NDArray[np.int64]
HOURLY_SHIFT = 48
"""Hours keep 4 mantissa bits; they are derived from finer profiles by `coarsened`, never the other way."""
MOST_CATEGORIES = 10_000
BUCKETS = 65_536
_ALL_BUT_SIGN = np.int64(0x7FFF_FFFF_FFFF_FFFF)


class ProfilesDiffer(MeasureError):
    """Two profiles count under other keys and cannot be added."""

    code = "measure.profiles-differ"


@dataclass(frozen=True, eq=False)
class NumberProfile:
    """Counts of one numeric column."""

    keys: Counts
    """Increasing. The integers themselves when `exact`, else keys of `number_keys`."""
    counts: Counts
    """Cases per key, 1 or more."""
    missing: int = 0
    """Cases without a value (NaN)."""
    exact: bool = True
    origin: float = 0.0
    """Taken off values before keys are made; for dates and columns far from zero. Part of the column's schema."""
    shift: int = SHIFT

    @property
    def present(self) -> int:
        """Return the number of cases with a value."""
        return int(self.counts.sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NumberProfile):
            return NotImplemented
        same_facts = (self.missing, self.exact, self.origin, self.shift) == (
            other.missing,
            other.exact,
            other.origin,
            other.shift,
        )
        return same_facts and np.array_equal(self.keys, other.keys) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # arrays inside: equal by value, never a dictionary key


@dataclass(frozen=True)
class CategoryProfile:
    """Counts of one column of categories."""

    counts: Mapping[str, int]
    """Cases per category, 1 or more; empty when `buckets` counts them."""
    missing: int = 0
    buckets: Mapping[int, int] | None = None
    """Cases per hash bucket, 0 to 65,535, when there are more than 10,000 categories; else None."""

    @property
    def present(self) -> int:
        """Return the number of cases with a value."""
        return sum((self.counts if self.buckets is None else self.buckets).values())


Profile = NumberProfile | CategoryProfile


def profile_numbers(values: Array, *, origin: float = 0.0) -> NumberProfile:
    """Return the profile of a numeric column.

    Parameters
    ----------
    values : ndarray of float, shape (n_cases,)
        NaN is missing; infinities are counted like any value.
    origin : float
        See `origin_for`; equal for all profiles of a column.

    Notes
    -----
    O(n) time above 20,000 values, O(n log n) below; the profile has at most 524,288 keys, in practice a few thousand.
    Values that come in batches: `counting.NumberCounts`.
    """
    counted = NumberCounts(origin=origin)
    counted.add(values)
    return profile_of(counted)


def profile_of(counted: NumberCounts) -> NumberProfile:
    """Return what was counted so far as a profile; one without a value is the same whatever its origin."""
    keys, counts = counted.found()
    if not len(keys):
        return NumberProfile(keys, counts, missing=counted.missing)
    return NumberProfile(keys, counts, missing=counted.missing, exact=counted.is_exact, origin=counted.origin)


def profile_categories(codes: NDArray[np.integer], names: Sequence[str | None]) -> CategoryProfile:
    """Return the profile of a column of categories.

    Parameters
    ----------
    codes : ndarray of int, shape (n_cases,)
        Position in `names`; negative is missing.
    names : sequence of str or None
        The dictionary of the column; may hold names that do not occur. None is missing too.
    """
    present = codes[codes >= 0]
    if len(present) and int(present.max()) >= len(names):
        raise OutOfRange(f"a code is {int(present.max())}, but there are {len(names)} names", names=len(names))
    found = np.bincount(present, minlength=len(names)).astype(np.int64)
    return counted_categories(names, found, missing=len(codes) - len(present))


def counted_categories(names: Sequence[str | None], cases: Counts, *, missing: int = 0) -> CategoryProfile:
    """Return the profile of categories that are counted already.

    Parameters
    ----------
    names : sequence of str or None
        None is missing; a name may occur twice, or with no case.
    cases : ndarray of int, shape (n_names,)
    missing : int
        Cases without a value, beside those under None.
    """
    counts: dict[str, int] = {}
    for position in np.flatnonzero(cases).tolist():
        name, found = names[position], int(cases[position])
        if name is None:
            missing += found
        else:
            counts[name] = counts.get(name, 0) + found
    return _bounded(CategoryProfile(counts, missing=missing))


def merge_numbers(one: NumberProfile, other: NumberProfile) -> NumberProfile:
    """Return the profile of both columns' cases together: counts are added.

    Raises
    ------
    ProfilesDiffer
        When origins or widths of bins differ; an empty profile merges with any.
    """
    missing = one.missing + other.missing
    if not len(one.keys) and not len(other.keys):
        return NumberProfile(one.keys, one.counts, missing=missing)
    if not len(one.keys) or not len(other.keys):
        return replace(one if len(one.keys) else other, missing=missing)
    if (one.origin, one.shift) != (other.origin, other.shift):
        raise ProfilesDiffer(
            f"origin {one.origin:g} and shift {one.shift} against origin {other.origin:g} and shift {other.shift}; "
            "profile both columns with the origin of the schema"
        )
    exact = one.exact and other.exact
    first, second = (one, other) if exact else (binned(one), binned(other))
    both = np.concatenate([first.keys, second.keys])
    keys, counts = summed(both, np.concatenate([first.counts, second.counts]))
    merged = replace(first, keys=keys, counts=counts, missing=missing)
    return binned(merged) if exact and len(keys) > MOST_EXACT else merged


def merge_categories(one: CategoryProfile, other: CategoryProfile) -> CategoryProfile:
    """Return the profile of both columns' cases together; hash buckets once there are more than 10,000 categories."""
    missing = one.missing + other.missing
    if one.buckets is None and other.buckets is None:
        return _bounded(CategoryProfile(_added(one.counts, other.counts), missing))
    return CategoryProfile({}, missing, _added(_in_buckets(one), _in_buckets(other)))


def number_keys(values: Array, *, origin: float = 0.0, shift: int = SHIFT) -> Counts:
    """Return the key of each value: the order-preserving integer of its float64 bits, shifted right."""
    with np.errstate(over="ignore", invalid="ignore"):
        shifted = values - origin + 0.0  # + 0.0: one zero, not two
    bits = np.ascontiguousarray(shifted, dtype=np.float64).view(np.int64)
    return np.asarray(np.where(bits < 0, bits ^ _ALL_BUT_SIGN, bits) >> shift, dtype=np.int64)


def lower_edges(keys: Counts, *, origin: float = 0.0, shift: int = SHIFT) -> Array:
    """Return the smallest value under each key."""
    bits = np.asarray(keys, dtype=np.int64) << shift
    edges = np.where(bits < 0, bits ^ _ALL_BUT_SIGN, bits).view(np.float64)
    beyond = np.where(bits < 0, -np.inf, np.inf)  # keys of the infinities hold no number below or above them
    return np.asarray(np.where(np.isnan(edges), beyond, edges) + origin, dtype=np.float64)


def middles(profile: NumberProfile) -> Array:
    """Return the value that stands for each key: the integer itself, else the middle of the bin; shape of `keys`."""
    if profile.exact:
        return profile.keys.astype(np.float64)
    low = lower_edges(profile.keys, shift=profile.shift)
    high = lower_edges(profile.keys + 1, shift=profile.shift)
    finite = np.isfinite(low) & np.isfinite(high)
    centre = np.where(finite, np.where(finite, low, 0.0) / 2 + np.where(finite, high, 0.0) / 2, low)
    return np.where(profile.keys == 0, 0.0, centre) + profile.origin


def quantiles(profile: NumberProfile, shares: Sequence[float]) -> list[float]:
    """Return the value below or at which each share (0 to 1) of the cases lies; empty without a case.

    The smallest value counted whose cumulative share reaches it (the inverse of the empirical distribution), each
    standing for its bin: at most 0.4 % of its distance from the origin off.
    """
    if not len(profile.keys):
        return []
    cumulative = np.cumsum(profile.counts)
    ranks = np.ceil(np.asarray(shares) * cumulative[-1] - 1e-9)
    return [float(v) for v in middles(profile)[np.searchsorted(cumulative, np.maximum(ranks, 1.0))]]


def upper_ends(profile: NumberProfile) -> Array:
    """Return the largest number under each key; shape of `keys`. With an origin, up to the rounding of its addition."""
    if profile.exact:
        return profile.keys.astype(np.float64)
    beyond = lower_edges(profile.keys + 1, shift=profile.shift)
    return np.asarray(np.nextafter(beyond, -np.inf) + profile.origin, dtype=np.float64)


def binned(profile: NumberProfile) -> NumberProfile:
    """Return the profile under bin keys, even where it was counted exactly."""
    if not profile.exact or not len(profile.keys):
        return profile
    keys = number_keys(profile.keys.astype(np.float64), origin=profile.origin, shift=profile.shift)
    found, counts = summed(keys, profile.counts)
    return replace(profile, keys=found, counts=counts, exact=False)


def coarsened(profile: NumberProfile) -> NumberProfile:
    """Return the hourly form: keys ``>> 3``, bins 8 times as wide. Exact integers stay exact."""
    if profile.shift == HOURLY_SHIFT or not len(profile.keys):
        return profile
    if profile.exact:
        return replace(profile, shift=HOURLY_SHIFT)
    keys = profile.keys >> (HOURLY_SHIFT - profile.shift)
    found, counts = summed(keys, profile.counts)
    return replace(profile, keys=found, counts=counts, shift=HOURLY_SHIFT)


def origin_for(values: Array) -> float:
    """Return the origin a column needs: 0, or its median when the column is narrow and far from zero.

    Without one, the dates of 2016 and of 2023 share a key. Far means: a bin at the median is wider than 1/64 of the
    middle half of the values.
    """
    present = values[np.isfinite(values)]
    if not len(present):
        return 0.0
    low, median, high = np.quantile(present, [0.25, 0.5, 0.75])
    far = abs(median) / 128 > (high - low) / 64 and high > low
    return float(np.floor(median)) if far else 0.0


def as_json(profile: Profile) -> dict[str, object]:
    """Return the profile as a JSON document of plain values; `from_json` reads it back."""
    if isinstance(profile, NumberProfile):
        return {
            "kind": "numbers",
            "keys": profile.keys.tolist(),
            "counts": profile.counts.tolist(),
            "missing": profile.missing,
            "exact": profile.exact,
            "origin": profile.origin,
            "shift": profile.shift,
        }
    buckets = None if profile.buckets is None else sorted(profile.buckets.items())
    pairs = sorted(profile.counts.items())
    return {
        "kind": "categories",
        "counts": [list(pair) for pair in pairs],
        "missing": profile.missing,
        "buckets": None if buckets is None else [list(pair) for pair in buckets],
    }


def from_json(document: Mapping[str, object]) -> Profile:
    """Return the profile that `as_json` wrote.

    Raises
    ------
    MeasureError
        When the document is not a profile.
    """
    try:
        return _parsed(dict(document))
    except (KeyError, TypeError, ValueError) as error:
        kind = document.get("kind")
        raise MeasureError(
            f"not a profile (kind {kind!r}, {error}); expected kind numbers or categories with their counts"
        ) from error


def _parsed(document: dict[str, object]) -> Profile:
    missing = int(str(document["missing"]))
    if document["kind"] == "numbers":
        return NumberProfile(
            np.array(document["keys"], dtype=np.int64),
            np.array(document["counts"], dtype=np.int64),
            missing=missing,
            exact=bool(document["exact"]),
            origin=float(str(document["origin"])),
            shift=int(str(document["shift"])),
        )
    if document["kind"] != "categories":
        raise ValueError("unknown kind")
    counts = {str(name): int(count) for name, count in _pairs(document["counts"])}
    if document["buckets"] is None:
        return CategoryProfile(counts, missing)
    return CategoryProfile(counts, missing, {int(key): int(count) for key, count in _pairs(document["buckets"])})


def _pairs(value: object) -> list[tuple[str, int]]:
    if not isinstance(value, list):
        raise TypeError("counts are not a list")
    return [(first, second) for first, second in value]


def bucket_of(name: str) -> int:
    """Return the hash bucket of a category, 0 to 65,535: the first two bytes of its BLAKE2b digest."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=2).digest(), "big")


def _in_buckets(profile: CategoryProfile) -> dict[int, int]:
    buckets = dict(profile.buckets or {})
    for name, count in profile.counts.items():
        bucket = bucket_of(name)
        buckets[bucket] = buckets.get(bucket, 0) + count
    return buckets


def _bounded(profile: CategoryProfile) -> CategoryProfile:
    if len(profile.counts) <= MOST_CATEGORIES:
        return profile
    return CategoryProfile({}, profile.missing, _in_buckets(profile))


def _added(one: Mapping[Key, int], other: Mapping[Key, int]) -> dict[Key, int]:
    total = dict(one)
    for key, count in other.items():
        total[key] = total.get(key, 0) + count
    return total
