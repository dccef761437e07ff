"""What can an instruction of a program do to the numbers of a row? Each is a few NumPy calls on views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Call = Callable[[], object]
Span = tuple[int, int]
Document = Mapping[str, Any]

ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        *("add", "subtract", "multiply", "divide", "power", "minimum", "maximum"),
        *("equal", "greater", "greater_equal", "less", "less_equal"),
    )
}
"""Operations of two numbers; a comparison gives 1 or 0."""
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    name: getattr(np, name)
    for name in (
        *("abs", "absolute", "negative", "sign", "square", "sqrt", "cbrt", "reciprocal", "floor", "ceil", "trunc"),
        *("rint", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos"),
        *("arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "deg2rad", "rad2deg", "radians"),
        *("degrees", "isnan", "isfinite", "fabs", "positive"),
    )
}
"""Functions of one number."""


class Instruction(Protocol):
    """One step of a program."""

    def bind(self, places: Numbers, /) -> Sequence[Call]:
        """Return its calls on these places, shape (width,) for one row or (width, n) for n rows."""


def span_of(document: Document, key: str, *, width: int) -> Span:
    """Return the first place and the place behind the last.

    Raises
    ------
    ValueError
        When they lie outside the program.
    """
    first, last = document[key]
    if not 0 <= first < last <= width:
        raise ValueError("a span of places lies outside the program")
    return first, last


def numbers_of(values: Any) -> Numbers:
    """Return numbers of a document, where null is NaN and "inf" and "-inf" are infinities."""
    return np.array(values, dtype=np.float64)


class _Step:
    """An instruction that reads one span and writes another."""

    def __init__(self, document: Document, width: int) -> None:
        self.taken = slice(*span_of(document, "from", width=width))
        self.given = slice(*span_of(document, "to", width=width))

    @property
    def sizes(self) -> Span:
        """Return how many numbers it reads and writes."""
        return self.taken.stop - self.taken.start, self.given.stop - self.given.start

    def constants(self, document: Document, key: str) -> Numbers:
        """Return one constant for each number read."""
        values = numbers_of(document[key])
        if values.shape != (self.sizes[0],):
            raise ValueError(f'"{key}" has another length than the numbers it belongs to')
        return values


class _Take:
    """Copies numbers from anywhere into a row without gaps."""

    def __init__(self, document: Document, width: int) -> None:
        self._places = _places(document["places"], limit=width)
        self._given = slice(*span_of(document, "to", width=width))
        if len(self._places) != self._given.stop - self._given.start:
            raise ValueError("takes another number of places than it fills")

    def bind(self, places: Numbers) -> list[Call]:
        return [partial(places.take, self._places, 0, places[self._given], "clip")]


class _Constant:
    """Numbers that are the same in every row; written when the places are made."""

    def __init__(self, document: Document, width: int) -> None:
        self._given = slice(*span_of(document, "to", width=width))
        self._values = numbers_of(document["values"])

    def bind(self, places: Numbers) -> list[Call]:
        places[self._given] = _for(self._values, places)
        return []


class _Arithmetic(_Step):
    """Each number with a constant of its own."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._function = ARITHMETIC[document["function"]]
        self._by = self.constants(document, "by")

    def bind(self, places: Numbers) -> list[Call]:
        return [partial(self._function, places[self.taken], _for(self._by, places), out=places[self.given])]


class _Between(_Step):
    """Each number with one of another span; a span of one goes with all."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._function = ARITHMETIC[document["function"]]
        self._with = slice(*span_of(document, "with", width=width))

    def bind(self, places: Numbers) -> list[Call]:
        return [partial(self._function, places[self.taken], places[self._with], out=places[self.given])]


class _Choose(_Step):
    """Each number where `when` is not 0, else one of another span; spans of one go with all."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._when = slice(*span_of(document, "when", width=width))
        self._otherwise = slice(*span_of(document, "otherwise", width=width))

    def bind(self, places: Numbers) -> list[Call]:
        taken, given, when = places[self.taken], places[self.given], places[self._when]
        mask = np.empty(when.shape, dtype=bool)
        return [
            partial(np.not_equal, when, 0.0, out=mask),
            partial(np.copyto, given, places[self._otherwise]),
            _copy_where(given, taken, mask),
        ]


class _Function(_Step):
    """A function of each number."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._function = FUNCTIONS[document["function"]]

    def bind(self, places: Numbers) -> list[Call]:
        return [partial(self._function, places[self.taken], places[self.given])]


class _Fill(_Step):
    """Replaces what is missing; `missing` says which number stands for it (null: NaN)."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._missing = _missing_test(document["missing"])
        self._by = self.constants(document, "by")

    def bind(self, places: Numbers) -> list[Call]:
        taken, given = places[self.taken], places[self.given]
        mask = np.empty(taken.shape, dtype=bool)
        by = np.broadcast_to(_for(self._by, places), taken.shape)
        return [partial(self._missing, taken, mask), partial(np.copyto, given, taken), _copy_where(given, by, mask)]


class _Missing(_Step):
    """Says 1 where a number is missing, else 0."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._missing = _missing_test(document["missing"])

    def bind(self, places: Numbers) -> list[Call]:
        return [partial(self._missing, places[self.taken], places[self.given])]


class _Refuse(_Step):
    """Gives NaN for a row in which a number is not finite, else 0; with `missing_allowed`, NaN among them is fine."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._bad = np.isinf if document["missing_allowed"] else _not_finite

    def bind(self, places: Numbers) -> list[Call]:
        return [partial(self._mark, places[self.taken], places[self.given])]

    def _mark(self, taken: Numbers, given: Numbers) -> None:
        given[0] = np.where(self._bad(taken).any(axis=0), np.nan, 0.0)


class _Positions(_Step):
    """The place of each number among known ones (`known`, a rising list each); NaN where it is none of them."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._known = [numbers_of(known) for known in document["known"]]
        if len(self._known) != self.sizes[0] or not all(len(known) for known in self._known):
            raise ValueError("each number needs the list of those known")

    def bind(self, places: Numbers) -> list[Call]:
        return [
            partial(_find, known, places[self.taken][i : i + 1], places[self.given][i : i + 1])
            for i, known in enumerate(self._known)
        ]


class _Bins(_Step):
    """How many of a column's edges a number reaches: 0 below the first; NaN stays NaN."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._edges = [numbers_of(edges) for edges in document["edges"]]
        if len(self._edges) != self.sizes[0]:
            raise ValueError("each number needs its edges")

    def bind(self, places: Numbers) -> list[Call]:
        return [
            partial(_count_edges, edges, places[self.taken][i : i + 1], places[self.given][i : i + 1])
            for i, edges in enumerate(self._edges)
        ]


class _Interpolate(_Step):
    """A line through points for each number; the first and last value outside them."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._lines = [(numbers_of(xs), numbers_of(ys)) for xs, ys in document["lines"]]
        if len(self._lines) != self.sizes[0]:
            raise ValueError("each number needs its line")

    def bind(self, places: Numbers) -> list[Call]:
        return [
            partial(_interpolate, xs, ys, places[self.taken][i : i + 1], places[self.given][i : i + 1])
            for i, (xs, ys) in enumerate(self._lines)
        ]


class _Lookup:
    """Values of a table by the position of a category; the last entry of a category is for NaN."""

    def __init__(self, document: Document, width: int) -> None:
        self._codes = _Codes(document, width)
        self._given = slice(*span_of(document, "to", width=width))
        self._base = _places(document["base"], limit=len(document["table"]))
        self._table = numbers_of(document["table"])
        if len(self._base) != self._given.stop - self._given.start or len(self._base) != self._codes.outputs:
            raise ValueError("a table gives one value for each place")
        if (self._base + self._codes.sizes_of_outputs >= len(self._table)).any():
            raise ValueError("a table is shorter than its categories")

    def bind(self, places: Numbers) -> list[Call]:
        calls, codes = self._codes.bind(places)
        entries = np.empty(codes.shape, dtype=np.int64)
        base = _for(self._base, places)
        return [
            *calls,
            partial(np.copyto, entries, codes, "unsafe"),
            partial(np.add, entries, base, entries),
            partial(self._table.take, entries, None, places[self._given], "clip"),
        ]


class _Hot:
    """One value at one position of a category, another at all others: what a one-hot encoder writes."""

    def __init__(self, document: Document, width: int) -> None:
        self._codes = _Codes(document, width)
        self._given = slice(*span_of(document, "to", width=width))
        self._at, self._hit, self._other = (numbers_of(document[key]) for key in ("at", "hit", "other"))
        for values in (self._at, self._hit, self._other):
            if values.shape != (self._codes.outputs,):
                raise ValueError("each place needs its position and values")

    def bind(self, places: Numbers) -> list[Call]:
        calls, codes = self._codes.bind(places)
        given = places[self._given]
        mask = np.empty(codes.shape, dtype=bool)
        at, hit, other = (np.broadcast_to(_for(x, places), given.shape) for x in (self._at, self._hit, self._other))
        return [
            *calls,
            partial(np.equal, codes, at, mask),
            partial(np.copyto, given, other),
            _copy_where(given, hit, mask),
        ]


class _Codes:
    """Positions of categories, NaN as the position behind the last, once for each number made of them."""

    def __init__(self, document: Document, width: int) -> None:
        self._sources = _places(document["codes"], limit=width)
        self._sizes = numbers_of(document["sizes"])
        self._of = _places(document["of"], limit=len(self._sources))
        if len(self._sizes) != len(self._sources):
            raise ValueError("each category needs its size")
        self.outputs = len(self._of)
        self.sizes_of_outputs = self._sizes.astype(np.int64)[self._of]

    def bind(self, places: Numbers) -> tuple[list[Call], Numbers]:
        many = places.shape[1:]
        codes, mask = np.empty((len(self._sources), *many)), np.empty((len(self._sources), *many), dtype=bool)
        spread = np.empty((self.outputs, *many))
        sizes = np.broadcast_to(_for(self._sizes, places), codes.shape)
        return [
            partial(places.take, self._sources, 0, codes, "clip"),
            partial(np.isnan, codes, mask),
            _copy_where(codes, sizes, mask),
            partial(codes.take, self._of, 0, spread, "clip"),
        ], spread


class _Linear(_Step):
    """Weighted sums of the numbers, added from the first to the last, then the intercept."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        taken, given = self.sizes
        self._weights = numbers_of(document["weights"])
        self._intercepts = numbers_of(document["intercepts"])
        if self._weights.shape != (given, taken) or self._intercepts.shape != (given,):
            raise ValueError("a linear map needs a weight for each pair and an intercept for each sum")

    def bind(self, places: Numbers) -> list[Call]:
        taken, given = places[self.taken], places[self.given]
        calls: list[Call]
        if places.ndim == 1:
            products = np.empty(self._weights.shape)
            calls = [
                partial(np.multiply, self._weights, taken, products),
                partial(np.add.accumulate, products, 1, None, products),
                partial(np.copyto, given, products[:, -1]),
            ]
        else:
            products = np.empty(taken.shape)
            calls = []
            for place, weights in enumerate(self._weights):
                calls += [
                    partial(np.multiply, taken, weights[:, None], products),
                    partial(np.add.reduce, products, 0, None, given[place]),
                ]
        return [*calls, partial(np.add, given, _for(self._intercepts, places), given)]


class _Reduce(_Step):
    """The sum, from the first to the last, or the largest of the numbers."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._function = {"add": np.add, "maximum": np.maximum}[document["function"]]

    def bind(self, places: Numbers) -> list[Call]:
        taken, given = places[self.taken], places[self.given]
        if places.ndim == 1:
            running = np.empty(taken.shape)
            return [
                partial(self._function.accumulate, taken, 0, None, running),
                partial(np.copyto, given, running[-1:]),
            ]
        return [partial(self._function.reduce, taken, 0, None, given[0])]


class _Quantile(_Step):
    """The share of training rows below a number; with `normal`, the normal distribution's quantile of that share."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._normal = bool(document["normal"])
        self._quantiles = [numbers_of(one) for one in document["quantiles"]]
        self._references = [numbers_of(one) for one in document["references"]]
        if len(self._quantiles) != self.sizes[0] or len(self._references) != self.sizes[0]:
            raise ValueError("each number needs its quantiles")

    def bind(self, places: Numbers) -> list[Call]:
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


class _YeoJohnson(_Step):
    """Yeo and Johnson 2000: a power of x + 1 above 0 and of 1 - x below, as SciPy writes it."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._powers = self.constants(document, "by").tolist()

    def bind(self, places: Numbers) -> list[Call]:
        return [
            partial(_yeo_johnson, power, places[self.taken][i : i + 1], places[self.given][i : i + 1])
            for i, power in enumerate(self._powers)
        ]


INSTRUCTIONS: Mapping[str, Callable[[Document, int], Instruction]] = {
    "take": _Take,
    "constant": _Constant,
    "arithmetic": _Arithmetic,
    "between": _Between,
    "choose": _Choose,
    "function": _Function,
    "fill": _Fill,
    "missing": _Missing,
    "refuse": _Refuse,
    "positions": _Positions,
    "bins": _Bins,
    "interpolate": _Interpolate,
    "lookup": _Lookup,
    "hot": _Hot,
    "linear": _Linear,
    "reduce": _Reduce,
    "quantile": _Quantile,
    "yeo_johnson": _YeoJohnson,
}
"""Every kind, by the name it has in a document."""


def _places(values: Any, *, limit: int) -> Places:
    places = np.array(values, dtype=np.int64)
    if places.ndim != 1 or not len(places) or places.min() < 0 or places.max() >= limit:
        raise ValueError("places lie outside the program")
    return places


def _for(constants: NDArray[Any], places: Numbers) -> NDArray[Any]:
    return constants if places.ndim == 1 else constants[:, None]


def _missing_test(missing: float | None) -> Callable[[Numbers, NDArray[Any]], object]:
    if missing is None:
        return np.isnan
    return lambda taken, out: np.equal(taken, missing, out)


def _not_finite(taken: Numbers) -> NDArray[np.bool_]:
    return np.logical_not(np.isfinite(taken))


def _copy_where(given: NDArray[Any], values: NDArray[Any], mask: NDArray[np.bool_]) -> Call:
    return partial(np.copyto, given, values, "same_kind", mask)


def _find(known: Numbers, taken: Numbers, given: Numbers) -> None:
    place = np.minimum(known.searchsorted(taken), len(known) - 1)
    given[:] = np.where(known[place] == taken, place, np.nan)


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
