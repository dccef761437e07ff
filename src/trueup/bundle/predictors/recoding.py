"""Which numbers does a tree library take for those that arrive? Categories in its own codes, and nothing it rounds.

LightGBM reads a number of at most 1e-35 in size as zero (``kZeroThreshold``) and cuts a fractional category to a whole
one. A column where that would change an answer is rewritten before the library sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
NEAR_ZERO = 2e-35
"""Above all sizes that LightGBM reads as zero (the float32 nearest to 1e-35), and what such a number becomes."""


class Recoding:
    """Rewrites some columns of rows, in place.

    Parameters
    ----------
    codes : sequence of (column, given, taken)
        A value of ``given`` becomes the one at the same place in ``taken``; any other becomes NaN.
    near_zero : sequence of int
        Columns where a tiny number must stay apart from zero: it becomes `NEAR_ZERO` with its sign.
    zero_up_to : float
        Sizes that count as zero in those columns: 0, or 2**-150 where the original rounds to float32.
    """

    def __init__(
        self,
        codes: Sequence[tuple[int, Sequence[float], Sequence[float]]] = (),
        *,
        near_zero: Sequence[int] = (),
        zero_up_to: float = 0.0,
    ) -> None:
        self._codes = [(column, dict(zip(given, taken, strict=True))) for column, given, taken in codes]
        self._sorted = [(column, *_sorted(table)) for column, table in self._codes]
        self._near_zero = tuple(near_zero)
        self._zero_up_to = zero_up_to

    def __bool__(self) -> bool:
        """Return whether there is anything to rewrite."""
        return bool(self._codes or self._near_zero)

    def one(self, row: memoryview[float]) -> None:
        """Rewrite one row, a view of float64."""
        for column, table in self._codes:
            row[column] = table.get(row[column], math.nan)
        for column in self._near_zero:
            value = row[column]
            if -NEAR_ZERO < value < NEAR_ZERO:
                row[column] = math.copysign(NEAR_ZERO, value) if abs(value) > self._zero_up_to else 0.0

    def many(self, matrix: Numbers) -> None:
        """Rewrite many rows, shape (n, k)."""
        for column, given, taken in self._sorted:
            values = matrix[:, column]
            place = np.minimum(np.searchsorted(given, values), len(given) - 1)
            matrix[:, column] = np.where(given[place] == values, taken[place], np.nan)
        for column in self._near_zero:
            values = matrix[:, column]
            size = np.abs(values)
            apart = np.where(size > self._zero_up_to, np.copysign(NEAR_ZERO, values), 0.0)
            matrix[:, column] = np.where(size < NEAR_ZERO, apart, values)


def recoding_document(
    codes: Sequence[tuple[int, Sequence[float], Sequence[float]]], *, near_zero: Sequence[int], zero_up_to: float
) -> dict[str, Any]:
    """Return a recoding as JSON values, each float as text that gives the same bits; empty where nothing is done."""
    document: dict[str, Any] = {}
    if codes:
        document["codes"] = [[column, list(given), list(taken)] for column, given, taken in codes]
    if near_zero:
        document["near_zero"] = list(near_zero)
        document["zero_up_to"] = zero_up_to
    return document


def open_recoding(document: Mapping[str, Any], *, width: int) -> Recoding:
    """Return the recoding that a document describes.

    Raises
    ------
    ValueError
        When it names a column that rows of `width` numbers do not have.
    """
    codes = [
        (int(column), [float(v) for v in given], [float(v) for v in taken])
        for column, given, taken in document.get("codes", ())
    ]
    near_zero = [int(column) for column in document.get("near_zero", ())]
    if not all(0 <= column < width for column in [*near_zero, *(column for column, _, _ in codes)]):
        raise ValueError("a recoded column lies outside the row")
    return Recoding(codes, near_zero=near_zero, zero_up_to=float(document.get("zero_up_to", 0.0)))


def _sorted(table: Mapping[float, float]) -> tuple[Numbers, Numbers]:
    given = np.array(sorted(table) or [math.nan])
    return given, np.array([table.get(value, math.nan) for value in given.tolist()])
