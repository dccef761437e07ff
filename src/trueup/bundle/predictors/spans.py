"""Which numbers of a row does an instruction read and write, and with which constants?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Call = Callable[[], object]
Span = tuple[int, int]
Document = Mapping[str, Any]


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


class Step:
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


def places_in(values: Any, *, limit: int) -> Places:
    """Return places of a document.

    Raises
    ------
    ValueError
        When there are none, or some lie outside the program.
    """
    places = np.array(values, dtype=np.int64)
    if places.ndim != 1 or not len(places) or places.min() < 0 or places.max() >= limit:
        raise ValueError("places lie outside the program")
    return places


def for_rows(constants: NDArray[Any], places: Numbers) -> NDArray[Any]:
    """Return constants, one for each number, as they go with one row or with many."""
    return constants if places.ndim == 1 else constants[:, None]


def copy_where(given: NDArray[Any], values: NDArray[Any], mask: NDArray[np.bool_]) -> Call:
    """Return the call that writes values where a mask is set."""
    return partial(np.copyto, given, values, "same_kind", mask)
