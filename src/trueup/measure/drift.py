"""How far has a column moved? Distances between two profiles, with the missing share and the categories nobody knew.

Numbers are compared on at most `bins` bins of equal frequency in the reference, with edges on the profiles' keys, so a
figure is exact for the edges it names. Missing values are no bin: their share stands beside. Distances are None when
one side has no value. With many cases every test is "significant": these are effect sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trueup.measure.profiles import (
    CategoryProfile,
    NumberProfile,
    ProfilesDiffer,
    binned,
    bucket_of,
    coarsened,
    middles,
    upper_ends,
)

Array = NDArray[np.float64]
SMALLEST_SHARE = 1e-4
"""An empty bin counts as this share in the PSI, which is infinite otherwise; the usual convention of its tools."""


@dataclass(frozen=True)
class Drift:
    """How a column moved from the reference to now."""

    psi: float | None
    """Population stability index, natural logarithm, 0 or more."""
    jensen_shannon: float | None
    """Jensen-Shannon distance (the root of the divergence), base 2, 0 to 1."""
    reference_cases: int
    current_cases: int
    reference_missing: float | None
    """Share of the reference's cases without a value, 0 to 1; None without cases."""
    current_missing: float | None
    ks: float | None = None
    """Kolmogorov-Smirnov statistic, 0 to 1; numbers only."""
    wasserstein: float | None = None
    """First Wasserstein distance of the finite values, in the column's unit; numbers only."""
    upper_edges: tuple[float, ...] = ()
    """Largest number of each bin but the last, so that a value belongs to the first bin whose edge is not below it;
    numbers only."""
    new_categories: tuple[str, ...] = ()
    """Categories the reference never had, most frequent first; categories only."""
    new_share: float | None = None
    """Share of the current values that are in `new_categories`, 0 to 1."""


def compare_numbers(reference: NumberProfile, current: NumberProfile, *, bins: int = 10) -> Drift:
    """Return how a numeric column moved.

    KS is that of the binned values, at most one bin's share below that of the raw ones; Wasserstein moves each value to
    the middle of its bin, at most 0.4 % of its distance from the origin.
    """
    first, second = _alike(reference, current)
    facts = _shared_facts(first, second)
    if not facts.reference_cases or not facts.current_cases or not first.present or not second.present:
        return facts
    keys = _either(first.keys, second.keys)
    before, now = _spread(first, keys), _spread(second, keys)
    both = replace(first, keys=keys)
    values = middles(both)
    group, edges = _equal_frequency(before, bins)
    before_bins = np.bincount(group, weights=before, minlength=len(edges) + 1).astype(np.float64)
    now_bins = np.bincount(group, weights=now, minlength=len(edges) + 1).astype(np.float64)
    return replace(
        facts,
        psi=psi(before_bins, now_bins),
        jensen_shannon=jensen_shannon(before_bins, now_bins),
        ks=kolmogorov_smirnov(before, now),
        wasserstein=wasserstein(values, before, now),
        upper_edges=tuple(upper_ends(both)[edges].tolist()),
    )


def compare_categories(reference: CategoryProfile, current: CategoryProfile) -> Drift:
    """Return how a column of categories moved; every category (or hash bucket) is a bin.

    When only the reference is counted in hash buckets, a current category is new if its bucket is empty there.
    """
    facts = _shared_facts(reference, current)
    hashed = reference.buckets is not None or current.buckets is not None
    before, now = (_by_bucket(reference), _by_bucket(current)) if hashed else (_by_name(reference), _by_name(current))
    if not before or not now:
        return facts
    names = sorted(set(before) | set(now))
    p = np.array([before.get(name, 0) for name in names], dtype=np.float64)
    q = np.array([now.get(name, 0) for name in names], dtype=np.float64)
    known = reference.counts if reference.buckets is None else None
    new = [
        name
        for name in current.counts
        if (name not in known if known is not None else bucket_of(name) not in (reference.buckets or {}))
    ]
    new.sort(key=lambda name: (-current.counts[name], name))
    unseen = float(q[p == 0].sum() / q.sum())
    return replace(
        facts, psi=psi(p, q), jensen_shannon=jensen_shannon(p, q), new_categories=tuple(new), new_share=unseen
    )


def psi(reference: Array, current: Array) -> float:
    """Return the population stability index of two counts on the same bins: sum of (q - p) ln(q / p).

    The symmetric Kullback-Leibler divergence (Jeffreys); named in Siddiqi 2006, "Credit Risk Scorecards". Shares below
    1e-4 count as 1e-4.
    """
    p = np.maximum(reference / reference.sum(), SMALLEST_SHARE)
    q = np.maximum(current / current.sum(), SMALLEST_SHARE)
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(reference: Array, current: Array) -> float:
    """Return the Jensen-Shannon distance, base 2, of two counts on the same bins: 0 equal, 1 apart (Lin 1991)."""
    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def kolmogorov_smirnov(reference: Array, current: Array) -> float:
    """Return the largest distance of the cumulative shares of two counts on the same, ordered bins."""
    return float(np.abs(np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum()).max())


def wasserstein(values: Array, reference: Array, current: Array) -> float | None:
    """Return the first Wasserstein distance of two counts of the same, increasing values; infinities are left out."""
    finite = np.isfinite(values)
    at, p, q = values[finite], reference[finite], current[finite]
    if p.sum() <= 0 or q.sum() <= 0:
        return None
    gap = np.abs(np.cumsum(p) / p.sum() - np.cumsum(q) / q.sum())
    return float((gap[:-1] * np.diff(at)).sum())


def _relative_entropy(p: Array, q: Array) -> float:
    some = p > 0
    return float((p[some] * np.log2(p[some] / q[some])).sum())


def _equal_frequency(counts: Array, bins: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the bin of each key, and the last key of each bin but the last one."""
    cumulative = np.cumsum(counts) / counts.sum()
    wanted = np.arange(1, bins) / bins
    edges = np.unique(np.searchsorted(cumulative, wanted - 1e-12))
    used = np.flatnonzero(counts)
    edges = edges[edges < used[-1]]
    if not len(edges):  # a constant reference: below it, at it, above it
        edges = np.array([edge for edge in (used[0] - 1, used[-1]) if 0 <= edge < len(counts) - 1], dtype=np.int64)
    return np.searchsorted(edges, np.arange(len(counts)), side="left").astype(np.int64), edges.astype(np.int64)


def _alike(one: NumberProfile, other: NumberProfile) -> tuple[NumberProfile, NumberProfile]:
    if len(one.keys) and len(other.keys) and one.origin != other.origin:
        raise ProfilesDiffer(
            f"the reference has origin {one.origin:g}, the current profile {other.origin:g}; profile both with one"
        )
    if not (one.exact and other.exact):
        one, other = binned(one), binned(other)
    if one.shift != other.shift:
        one, other = coarsened(one), coarsened(other)
    return one, other


def _either(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the union of two increasing arrays; a merge of two runs is five times as fast as `numpy.union1d`."""
    both = np.sort(np.concatenate([one, other]), kind="stable")
    return np.asarray(both[np.concatenate([[True], both[1:] != both[:-1]])], dtype=np.int64)


def _spread(profile: NumberProfile, keys: NDArray[np.int64]) -> Array:
    counts = np.zeros(len(keys), dtype=np.float64)
    counts[np.searchsorted(keys, profile.keys)] = profile.counts
    return counts


def _shared_facts(one: NumberProfile | CategoryProfile, other: NumberProfile | CategoryProfile) -> Drift:
    cases, now = one.present + one.missing, other.present + other.missing
    return Drift(
        psi=None,
        jensen_shannon=None,
        reference_cases=cases,
        current_cases=now,
        reference_missing=one.missing / cases if cases else None,
        current_missing=other.missing / now if now else None,
    )


def _by_bucket(profile: CategoryProfile) -> dict[str, int]:
    if profile.buckets is not None:
        return {f"{bucket:05d}": count for bucket, count in profile.buckets.items()}
    total: dict[str, int] = {}
    for name, count in profile.counts.items():
        bucket = f"{bucket_of(name):05d}"
        total[bucket] = total.get(bucket, 0) + count
    return total


def _by_name(profile: CategoryProfile) -> dict[str, int]:
    return dict(profile.counts)
