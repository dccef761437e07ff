"""How does the position of a category become the numbers an encoder gave it?"""

from __future__ import annotations

from functools import partial

import numpy as np

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


class Positions(Step):
    """The place of each number among known ones (`known`, a rising list each); NaN where it is none of them."""

    def __init__(self, document: Document, width: int) -> None:
        super().__init__(document, width)
        self._known = [numbers_of(known) for known in document["known"]]
        if len(self._known) != self.sizes[0] or not all(len(known) for known in self._known):
            raise ValueError("each number needs the list of those known")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        return [
            partial(_find, known, places[self.taken][i : i + 1], places[self.given][i : i + 1])
            for i, known in enumerate(self._known)
        ]


class Lookup:
    """Values of a table by the position of a category; the last entry of a category is for NaN."""

    def __init__(self, document: Document, width: int) -> None:
        self._codes = _Codes(document, width)
        self._given = slice(*span_of(document, "to", width=width))
        self._base = places_in(document["base"], limit=len(document["table"]))
        self._table = numbers_of(document["table"])
        if len(self._base) != self._given.stop - self._given.start or len(self._base) != self._codes.outputs:
            raise ValueError("a table gives one value for each place")
        if (self._base + self._codes.sizes_of_outputs >= len(self._table)).any():
            raise ValueError("a table is shorter than its categories")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        calls, codes = self._codes.bind(places)
        entries = np.empty(codes.shape, dtype=np.int64)
        base = for_rows(self._base, places)
        return [
            *calls,
            partial(np.copyto, entries, codes, "unsafe"),
            partial(np.add, entries, base, entries),
            partial(self._table.take, entries, None, places[self._given], "clip"),
        ]


class Hot:
    """One value at one position of a category, another at all others: what a one-hot encoder writes."""

    def __init__(self, document: Document, width: int) -> None:
        self._codes = _Codes(document, width)
        self._given = slice(*span_of(document, "to", width=width))
        self._at, self._hit, self._other = (numbers_of(document[key]) for key in ("at", "hit", "other"))
        for values in (self._at, self._hit, self._other):
            if values.shape != (self._codes.outputs,):
                raise ValueError("each place needs its position and values")

    def bind(self, places: Numbers) -> list[Call]:
        """Return its calls on these places."""
        calls, codes = self._codes.bind(places)
        given = places[self._given]
        mask = np.empty(codes.shape, dtype=bool)
        at, hit, other = (np.broadcast_to(for_rows(x, places), given.shape) for x in (self._at, self._hit, self._other))
        return [
            *calls,
            partial(np.equal, codes, at, mask),
            partial(np.copyto, given, other),
            copy_where(given, hit, mask),
        ]


class _Codes:
    """Positions of categories, NaN as the position behind the last, once for each number made of them."""

    def __init__(self, document: Document, width: int) -> None:
        self._sources = places_in(document["codes"], limit=width)
        self._sizes = numbers_of(document["sizes"])
        self._of = places_in(document["of"], limit=len(self._sources))
        if len(self._sizes) != len(self._sources):
            raise ValueError("each category needs its size")
        self.outputs = len(self._of)
        self.sizes_of_outputs = self._sizes.astype(np.int64)[self._of]

    def bind(self, places: Numbers) -> tuple[list[Call], Numbers]:
        many = places.shape[1:]
        codes, mask = np.empty((len(self._sources), *many)), np.empty((len(self._sources), *many), dtype=bool)
        spread = np.empty((self.outputs, *many))
        sizes = np.broadcast_to(for_rows(self._sizes, places), codes.shape)
        return [
            partial(places.take, self._sources, 0, codes, "clip"),
            partial(np.isnan, codes, mask),
            copy_where(codes, sizes, mask),
            partial(codes.take, self._of, 0, spread, "clip"),
        ], spread


def _find(known: Numbers, taken: Numbers, given: Numbers) -> None:
    place = np.minimum(known.searchsorted(taken), len(known) - 1)
    given[:] = np.where(known[place] == taken, place, np.nan)
