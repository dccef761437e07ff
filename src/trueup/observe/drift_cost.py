"""Which change in the data costs money? Drift ranked by its estimated effect on value.

Each feature is cut into bins once, with the share of cases and the mean value per case (realised, or expected gain) of
the reference in each. When shares move from ``p`` to ``q`` and a bin is worth what it was, value per case changes by
``sum((q - p) * mean_value)``: a first-order estimate, in the currency. A column may move as far as it likes: if its
bins are worth the same, nothing is lost and the alarm stays quiet. Features overlap, so effects are never added up; and
when a bin itself comes to be worth something else (concept drift), this stays silent: realised value shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import Duration
from trueup.measure.drift import jensen_shannon
from trueup.observe.rolling import ObserveError, Rolling, record, total
from trueup.observe.status import Status

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
NUMBER_BINS = 10
MOST_CATEGORIES = 50
NOISE = 3.0
"""Standard errors below which an effect is luck; 3, because many features are looked at many times."""


class UnknownFeature(ObserveError):
    """Counts do not fit the features of the reference."""

    code = "observe.unknown-feature"


@dataclass(frozen=True, eq=False)
class FeatureReference:
    """How a feature was spread, and what its bins were worth; arrays of shape (n_bins,).

    Bins are: of a number its ranges, then missing; of a category the most frequent ones, then the other known ones,
    then new ones, then missing.
    """

    feature: str
    edges: Array | None
    """Inner edges of a number's ranges, increasing (a bin holds its upper edge); None for a category."""
    names: tuple[str, ...]
    """Categories with a bin of their own; empty for a number."""
    others: frozenset[str]
    """Known categories without a bin of their own."""
    cases: int
    share: Array
    """Share of the reference's cases, sums to 1."""
    mean_value: Array
    """Mean value per case, in the currency; the overall mean where the reference has no case."""
    variance: Array
    """Variance of the value per case within the bin."""


@dataclass(frozen=True)
class DriftCost:
    """What the move of one feature means in money."""

    feature: str
    effect_per_case: float | None
    """First-order change of value per case, in the currency; negative is a loss. None without cases."""
    standard_error: float | None
    """Of the effect, from the sizes of reference and window."""
    shift: float | None
    """Jensen-Shannon distance of the bins, base 2, 0 to 1."""
    missing_share: float | None
    reference_missing_share: float
    new_share: float | None
    """Share of cases in categories that the reference never had; 0 for numbers."""
    cases: int
    status: Status
    """warning when a loss is beyond 3 standard errors; a shift without a loss is healthy."""

    @property
    def loss_per_case(self) -> float:
        """Return the loss beyond chance, 0 or more, in the currency per case."""
        return -self.effect_per_case if self.status == "warning" and self.effect_per_case is not None else 0.0


@dataclass(frozen=True)
class DriftState:
    """References and the bin counts of the last turns; bounded."""

    references: tuple[FeatureReference, ...]
    recent: Rolling


def reference_of_numbers(
    feature: str, values: Array, *, value_per_case: Array, bins: int = NUMBER_BINS
) -> FeatureReference:
    """Return the reference of a numeric feature: ranges of equal frequency, and missing.

    Parameters
    ----------
    feature : str
    values : ndarray of float, shape (n_cases,)
        NaN is missing.
    value_per_case : ndarray of float, shape (n_cases,)
        What deciding each case was worth, realised or expected, in the currency; NaN where it is not known.
    bins : int
        At most this many ranges.
    """
    present = values[~np.isnan(values)]
    inner = np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf") if len(present) else np.empty(0)
    edges = np.unique(inner)
    edges = edges[edges < present.max()] if len(present) else edges
    if len(present) and not len(edges):  # a constant: below it, at it, above it
        edges = np.array([np.nextafter(present[0], -np.inf), present[0]])
    index = _number_bins(edges, values)
    return _reference(feature, index, len(edges) + 2, value_per_case, edges=edges)


def reference_of_categories(
    feature: str, codes: Indices, *, names: Sequence[str], value_per_case: Array, most: int = MOST_CATEGORIES
) -> FeatureReference:
    """Return the reference of a feature of categories.

    Parameters
    ----------
    feature : str
    codes : ndarray of int, shape (n_cases,)
        Position in `names`; negative is missing.
    names : sequence of str
    value_per_case : ndarray of float, shape (n_cases,)
        As in `reference_of_numbers`.
    most : int
        Categories with a bin of their own; the others known share one.
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    used = sorted(np.flatnonzero(counts).tolist(), key=lambda code: (-int(counts[code]), names[code]))
    kept = tuple(names[code] for code in used[:most])
    others = frozenset(names[code] for code in used[most:])
    index = category_bins(kept, others, names=names)[codes]
    return _reference(feature, index, len(kept) + 3, value_per_case, names=kept, others=others)


def category_bins(kept: Sequence[str], others: frozenset[str], *, names: Sequence[str]) -> Indices:
    """Return the bin of each name, and of missing at the end (so that code -1 finds it); shape (n_names + 1,).

    Compute it once for a dictionary that stays the same over turns.
    """
    own = {name: position for position, name in enumerate(kept)}
    other, new, missing = len(kept), len(kept) + 1, len(kept) + 2
    bins = [own.get(name, other if name in others else new) for name in names]
    return np.array([*bins, missing], dtype=np.int64)


def count_numbers(reference: FeatureReference, values: Array) -> Array:
    """Return the counts of new values in the reference's bins."""
    if reference.edges is None:
        raise UnknownFeature(f'feature "{reference.feature}" was categories in the reference; got numbers')
    return _counts(_number_bins(reference.edges, values), len(reference.share))


def count_categories(
    reference: FeatureReference, codes: Indices, *, names: Sequence[str], bins: Indices | None = None
) -> Array:
    """Return the counts of new categories in the reference's bins; `bins` from `category_bins` saves the look-up."""
    if reference.edges is not None:
        raise UnknownFeature(f'feature "{reference.feature}" was numbers in the reference; got categories')
    of_name = category_bins(reference.names, reference.others, names=names) if bins is None else bins
    return _counts(of_name[codes], len(reference.share))


def start_drift(references: Sequence[FeatureReference], *, keep: Duration) -> DriftState:
    """Return the state that has seen nothing; `keep` is the longest window that will be asked for."""
    return DriftState(tuple(references), Rolling(keep))


def record_drift(state: DriftState, at: int, *, counts: Mapping[str, Array]) -> DriftState:
    """Return the state after a turn: the counts of its cases by feature, from `count_numbers`, `count_categories`.

    Raises
    ------
    UnknownFeature
        When a feature of the reference is left out, or a count has other bins.
    """
    rows: list[Array] = []
    for reference in state.references:
        row = counts.get(reference.feature)
        if row is None or row.shape != reference.share.shape:
            seen = "nothing" if row is None else f"{len(row)} bins"
            raise UnknownFeature(
                f'feature "{reference.feature}": got {seen}, the reference has {len(reference.share)} bins',
                feature=reference.feature,
            )
        rows.append(row)
    whole = np.concatenate(rows) if rows else np.empty(0)
    return DriftState(state.references, record(state.recent, at, whole))


def drift_costs(state: DriftState, as_of: int, *, window: Duration | None = None) -> tuple[DriftCost, ...]:
    """Return what each feature's move in the window means, the largest loss first, then the largest shift."""
    whole = total(state.recent, as_of, window=window)
    costs, start = [], 0
    for reference in state.references:
        end = start + len(reference.share)
        counts = np.zeros(end - start) if whole is None else whole[start:end]
        costs.append(drift_cost_of(reference, counts))
        start = end
    return tuple(sorted(costs, key=lambda cost: (-cost.loss_per_case, -(cost.shift or 0.0), cost.feature)))


def worst_loss_per_case(costs: Sequence[DriftCost]) -> float:
    """Return the largest loss beyond chance of any feature, in the currency per case; effects are not added up."""
    return max((cost.loss_per_case for cost in costs), default=0.0)


def drift_cost_of(reference: FeatureReference, counts: Array) -> DriftCost:
    """Return what a feature's move means, given the counts of a window in the reference's bins."""
    cases = float(counts.sum())
    missing = float(reference.share[-1])
    if cases <= 0 or not reference.cases:
        return DriftCost(reference.feature, None, None, None, None, missing, None, int(cases), "no_data")
    now = counts / cases
    effect = float(((now - reference.share) * reference.mean_value).sum())
    error = _standard_error(reference, now, cases=cases)
    return DriftCost(
        feature=reference.feature,
        effect_per_case=effect,
        standard_error=error,
        shift=jensen_shannon(reference.share, counts),
        missing_share=float(now[-1]),
        reference_missing_share=missing,
        new_share=0.0 if reference.edges is not None else float(now[-2]),
        cases=int(cases),
        status="warning" if effect < -NOISE * error and effect < 0 else "healthy",
    )


def _standard_error(reference: FeatureReference, now: Array, *, cases: float) -> float:
    """Both shares are samples, and the bins' means are estimates that weigh as far as shares moved."""
    value = reference.mean_value
    spread_now = float((now * value**2).sum() - (now * value).sum() ** 2)
    spread_then = float((reference.share * value**2).sum() - (reference.share * value).sum() ** 2)
    seen = reference.share > 0
    moved = (now - reference.share)[seen] ** 2 * reference.variance[seen] / (reference.share[seen] * reference.cases)
    return float(np.sqrt(max(spread_now, 0.0) / cases + max(spread_then, 0.0) / reference.cases + moved.sum()))


def _reference(
    feature: str,
    index: Indices,
    bins: int,
    value_per_case: Array,
    *,
    edges: Array | None = None,
    names: tuple[str, ...] = (),
    others: frozenset[str] = frozenset(),
) -> FeatureReference:
    counts = _counts(index, bins)
    known = ~np.isnan(value_per_case)
    at, value = index[known], value_per_case[known]
    valued = _counts(at, bins)
    overall = float(value.mean()) if len(value) else 0.0
    divisor = np.where(valued > 0, valued, 1.0)
    mean = np.where(valued > 0, np.bincount(at, weights=value, minlength=bins) / divisor, overall)
    square = np.bincount(at, weights=(value - mean[at]) ** 2, minlength=bins) / divisor
    share = counts / max(float(counts.sum()), 1.0)
    return FeatureReference(feature, edges, names, others, len(index), share, mean, square)


def _number_bins(edges: Array, values: Array) -> Indices:
    index = np.searchsorted(edges, values, side="left")
    return np.where(np.isnan(values), len(edges) + 1, index).astype(np.int64)


def _counts(index: Indices, bins: int) -> Array:
    return np.bincount(index, minlength=bins).astype(np.float64)
