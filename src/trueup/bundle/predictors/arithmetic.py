"""How are numbers moved, combined, filled and summed? NumPy calls on views, with sums from the first to the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.bundle.predictors.spans import (
    Call,
    Document,
    Numbers,
    Step,
    copy_where,
    for_rows,
    numbers_of,
    places_in,
    span_of,
)

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


class Take:
    """Copies numbers from anywhere into a row without gaps."""

    def __init__(self, document: Document, width: int) -> None:
        self._places = places_in(document["places"], limit=width)
        self._given = slice(*span_of(document, "to", width=width))
        if len(self._places) != self._given.stop - self._given.start:
            raise ValueError("takes another number of places than it fills")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [partial(places.take, self._places, 0, places[self._given], "clip")]


class Constant:
    """Numbers that are the same in every row; written when the places are made."""

    def __init__(self, document: Document, width: int) -> None:
        self._given = slice(*span_of(document, "to", width=width))
        self._values = numbers_of(document["values"])

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        places[self._given] = for_rows(self._values, places)
        return []


class Arithmetic(Step):
    """Each number with a constant of its own."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._function = ARITHMETIC[document["function"]]
        self._by = self.constants(document, "by")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [partial(self._function, places[self.taken], for_rows(self._by, places), out=places[self.given])]


class Between(Step):
    """Each number with one of another span; a span of one goes with all."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._function = ARITHMETIC[document["function"]]
        self._with = slice(*span_of(document, "with", width=width))

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [partial(self._function, places[self.taken], places[self._with], out=places[self.given])]


class Choose(Step):
    """Each number where `when` is not 0, else one of another span; spans of one go with all."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._when = slice(*span_of(document, "when", width=width))
        self._otherwise = slice(*span_of(document, "otherwise", width=width))

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        taken, given, when = places[self.taken], places[self.given], places[self._when]
        mask = np.empty(when.shape, dtype=bool)
        return [
            partial(np.not_equal, when, 0.0, out=mask),
            partial(np.copyto, given, places[self._otherwise]),
            copy_where(given, taken, mask),
        ]


class Function(Step):
    """A function of each number."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._function = FUNCTIONS[document["function"]]

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [partial(self._function, places[self.taken], places[self.given])]


class Fill(Step):
    """Replaces what is missing; `missing` says which number stands for it (null: NaN)."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._missing = _missing_test(document["missing"])
        self._by = self.constants(document, "by")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        taken, given = places[self.taken], places[self.given]
        mask = np.empty(taken.shape, dtype=bool)
        by = np.broadcast_to(for_rows(self._by, places), taken.shape)
        return [partial(self._missing, taken, mask), partial(np.copyto, given, taken), copy_where(given, by, mask)]


class Missing(Step):
    """Says 1 where a number is missing, else 0."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._missing = _missing_test(document["missing"])

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [partial(self._missing, places[self.taken], places[self.given])]


class Refuse(Step):
    """Gives NaN for a row in which a number is not finite, else 0; with `missing_allowed`, NaN among them is fine."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._bad = np.isinf if document["missing_allowed"] else _not_finite

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [partial(self._mark, places[self.taken], places[self.given])]

    def _mark(self, taken: Numbers, given: Numbers) -> None:
        given[0] = np.where(self._bad(taken).any(axis=0), np.nan, 0.0)


class Whole(Step):
    """Gives NaN for a row in which a number is missing, fractional or outside `range`, else 0."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._least, self._most = map(float, document["range"])

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [partial(self._mark, places[self.taken], places[self.given])]

    def _mark(self, taken: Numbers, given: Numbers) -> None:
        whole = (taken >= self._least) & (taken <= self._most) & (taken == np.rint(taken))
        given[0] = np.where(whole.all(axis=0), 0.0, np.nan)


class Rounded(Step):
    """Each number as the nearest of float32; infinite where none is near."""

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        taken, given = places[self.taken], places[self.given]
        rounded = np.empty(taken.shape, dtype=np.float32)
        return [partial(np.copyto, rounded, taken, "same_kind"), partial(np.copyto, given, rounded)]


class Linear(Step):
    """Weighted sums of the numbers, added from the first to the last, then the intercept."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        taken, given = self.sizes
        self._weights = numbers_of(document["weights"])
        self._intercepts = numbers_of(document["intercepts"])
        if self._weights.shape != (given, taken) or self._intercepts.shape != (given,):
            raise ValueError("a linear map needs a weight for each pair and an intercept for each sum")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
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
        return [*calls, partial(np.add, given, for_rows(self._intercepts, places), given)]


class Reduce(Step):
    """The sum, from the first to the last, or the largest of the numbers."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._function = {"add": np.add, "maximum": np.maximum}[document["function"]]

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        taken, given = places[self.taken], places[self.given]
        if places.ndim == 1:
            running = np.empty(taken.shape)
            return [
                partial(self._function.accumulate, taken, 0, None, running),
                partial(np.copyto, given, running[-1:]),
            ]
        return [partial(self._function.reduce, taken, 0, None, given[0])]


def _missing_test(missing: float | None) -> Callable[[Numbers, NDArray[Any]], object]:
    if missing is None:
        return np.isnan
    return lambda taken, out: np.equal(taken, missing, out)


def _not_finite(taken: Numbers) -> NDArray[np.bool_]:
    return np.logical_not(np.isfinite(taken))
