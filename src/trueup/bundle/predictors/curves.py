"""How do bins, lines through points and power transforms treat one number?"""

from __future__ import annotations

from functools import partial
from statistics import NormalDist

import numpy as np

from trueup.bundle.predictors.spans import Call, Document, Numbers, Step, numbers_of


class Bins(Step):
    """How many of a column's edges a number reaches: 0 below the first; NaN stays NaN."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._edges = [numbers_of(edges) for edges in document["edges"]]
        if len(self._edges) != self.sizes[0]:
            raise ValueError("each number needs its edges")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [
            partial(_count_edges, edges, places[self.taken][i : i + 1], places[self.given][i : i + 1])
            for i, edges in enumerate(self._edges)
        ]


class Interpolate(Step):
    """A line through points for each number; the first and last value outside them."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._lines = [(numbers_of(xs), numbers_of(ys)) for xs, ys in document["lines"]]
        if len(self._lines) != self.sizes[0]:
            raise ValueError("each number needs its line")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [
            partial(_interpolate, xs, ys, places[self.taken][i : i + 1], places[self.given][i : i + 1])
            for i, (xs, ys) in enumerate(self._lines)
        ]


class Quantile(Step):
    """The share of training rows below a number; with `normal`, the normal distribution's quantile of that share."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._normal = bool(document["normal"])
        self._quantiles = [numbers_of(one) for one in document["quantiles"]]
        self._references = [numbers_of(one) for one in document["references"]]
        if len(self._quantiles) != self.sizes[0] or len(self._references) != self.sizes[0]:
            raise ValueError("each number needs its quantiles")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [
            partial(
                _quantile,
                places[self.taken][i : i + 1],
                places[self.given][i : i + 1],
                quantiles=quantiles,
                references=references,
                normal=self._normal,
            )
            for i, (quantiles, references) in enumerate(zip(self._quantiles, self._references, strict=True))
        ]


class YeoJohnson(Step):
    """Yeo and Johnson 2000: a power of x + 1 above 0 and of 1 - x below, as SciPy writes it."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._powers = self.constants(document, "by").tolist()

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [
            partial(_yeo_johnson, power, places[self.taken][i : i + 1], places[self.given][i : i + 1])
            for i, power in enumerate(self._powers)
        ]


def _count_edges(edges: Numbers, taken: Numbers, given: Numbers) -> None:
    given[:] = np.where(np.isnan(taken), np.nan, edges.searchsorted(taken, side="right"))


def _interpolate(xs: Numbers, ys: Numbers, taken: Numbers, given: Numbers) -> None:
    given[:] = np.interp(taken, xs, ys)


def _yeo_johnson(power: float, taken: Numbers, given: Numbers) -> None:
    above = taken >= 0
    smallest = np.finfo(np.float64).eps
    rising = np.log1p(taken) if abs(power) < smallest else np.expm1(power * np.log1p(taken)) / power
    falling = np.log1p(-taken)
    if abs(power - 2.0) > smallest:
        falling = np.expm1((2.0 - power) * falling) / (2.0 - power)
    given[:] = np.where(above, rising, -falling)


_BOUND = 1e-7
"""scikit-learn's BOUNDS_THRESHOLD: shares nearer to 0 and 1 count as that."""
_LEAST_NORMAL = NormalDist().inv_cdf(_BOUND - np.spacing(1.0))
_MOST_NORMAL = NormalDist().inv_cdf(1 - (_BOUND - np.spacing(1.0)))


def _quantile(taken: Numbers, given: Numbers, *, quantiles: Numbers, references: Numbers, normal: bool) -> None:
    rising = np.interp(taken, quantiles, references)
    falling = np.interp(-taken, -quantiles[::-1], -references[::-1])
    shares = 0.5 * (rising - falling)
    margin = _BOUND if normal else 0.0
    shares = np.where(taken + margin >= quantiles[-1] if not normal else taken + margin > quantiles[-1], 1.0, shares)
    shares = np.where(taken - margin <= quantiles[0] if not normal else taken - margin < quantiles[0], 0.0, shares)
    shares = np.where(np.isnan(taken), np.nan, shares)
    given[:] = np.reshape([_normal_of(share) for share in shares.ravel().tolist()], taken.shape) if normal else shares


def _normal_of(share: float) -> float:
    # Wichura 1988, algorithm AS 241, accurate to 1e-16, in the standard library
    if not 0.0 < share < 1.0:
        return _LEAST_NORMAL if share <= 0.0 else _MOST_NORMAL if share >= 1.0 else share
    return min(max(NormalDist().inv_cdf(share), _LEAST_NORMAL), _MOST_NORMAL)
