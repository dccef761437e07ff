"""How are a column's numbers counted as they come? By key, batch by batch, in as few passes as NumPy allows.

The key of a number is the top 19 of its float64 bits: sign, exponent and 7 bits of the mantissa. While every number is
whole and at most 4,096 differ, the numbers themselves are counted instead. Order and size of batches change nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueup.measure.errors import OutOfRange

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
SHIFT = 45
"""Bits of the key that are dropped: 52 mantissa bits less 7."""
MOST_EXACT = 4096
_LARGEST_EXACT = 2**53
_SIGN = np.int64(1 << (63 - SHIFT))
"""The raw key of -0.0; those of negative numbers follow, the larger the further from zero."""
_INFINITY = np.int64(2047 << (52 - SHIFT))
"""The raw key of infinity; NaN comes after it, and within it where the payload is small."""
_CELLS = 2 * int(_SIGN)
_INFINITIES = {int(_INFINITY): np.inf, int(_SIGN + _INFINITY): -np.inf}
_NAN_CELLS = int(_SIGN - _INFINITY)
_DENSE_FROM = 20_000
_DENSE_RANGE, _DENSE_RANGE_OF_FEW = 2**20, 2**14
_LOOKED_AT = 64
_AT_ONCE = 2**17
"""Numbers whose keys are made at once: they stay in the processor's cache, and in one piece of memory."""


class NumberCounts:
    """The numbers of one column, counted so far.

    Parameters
    ----------
    origin : float
        Taken off every number before its key is made; finite.

    Notes
    -----
    About 2 ns a number, and 4 MB of counters of which only touched pages are real; below 20,000 numbers the keys are
    kept and sorted instead.
    """

    def __init__(self, *, origin: float = 0.0) -> None:
        self._room: Counts | None = None
        self._cells: Counts | None = None
        self._known_used: Counts | None = None
        self._keys: NDArray[np.uint64] = np.empty(0, dtype=np.uint64)
        self.restart(origin=origin)

    def restart(self, *, origin: float = 0.0) -> None:
        """Forget what was counted, for another column; its counters come without a new page of memory."""
        if not np.isfinite(origin):
            raise OutOfRange(f"the origin is {origin:g}; it must be a finite number, such as 0 or the column's median")
        self.origin = float(origin)
        self._missing = 0
        self._whole: tuple[Counts, Counts] | None = (_nothing(), _nothing())
        self._waiting: list[Counts] = []
        if self._cells is not None:
            self._cells[self._used(self._cells)] = 0
            self._room, self._cells, self._known_used = self._cells, None, None

    @property
    def missing(self) -> int:
        """Return the cases without a value."""
        if self._cells is not None:
            self._take_out_missing(self._cells)
        return self._missing

    @property
    def is_exact(self) -> bool:
        """Whether the numbers themselves are counted, not bins."""
        return self._whole is not None

    def add(self, values: Array) -> None:
        """Count some numbers; NaN is missing."""
        given = np.ascontiguousarray(values, dtype=np.float64)
        if self._whole is not None:
            if self._is_whole_so_far(given):
                return
            self._stop_being_exact()
        for start in range(0, len(given), _AT_ONCE):
            some = given[start : start + _AT_ONCE]
            with np.errstate(over="ignore", invalid="ignore"):
                self._count_bins(some - self.origin if self.origin else some)

    def add_integers(self, values: NDArray[np.signedinteger], *, step: int = 1) -> None:
        """Count some integers times `step`; faster than `add`, with the same result."""
        if self._whole is not None and len(values):
            low, high = int(values.min()), int(values.max())
            if -_LARGEST_EXACT <= low * step <= high * step <= _LARGEST_EXACT:
                counted = _counted(values, low, high)
                if counted is not None and self._add_whole((counted[0] * step, counted[1])):
                    return
            self._stop_being_exact()
        self.add(values.astype(np.float64) * step)

    def add_missing(self, cases: int) -> None:
        """Count some cases without a value."""
        self._missing += cases

    def found(self) -> tuple[Counts, Counts]:
        """Return the keys, increasing, and the cases of each: the integers themselves while `is_exact`."""
        if self._whole is not None:
            return self._whole
        raw, counts = self._raw_found()
        negative = int(np.searchsorted(raw, _SIGN))
        keys = np.concatenate([_SIGN - 1 - raw[negative:][::-1], raw[:negative]])
        return keys, np.concatenate([counts[negative:][::-1], counts[:negative]])

    def _raw_found(self) -> tuple[Counts, Counts]:
        if self._cells is None:
            return _tally(np.concatenate(self._waiting)) if self._waiting else (_nothing(), _nothing())
        self._take_out_missing(self._cells)
        used = self._used(self._cells)
        return used, self._cells[used]

    def _used(self, cells: Counts) -> Counts:
        """Return the cells that are not 0; looked for once, until something is counted again."""
        if self._known_used is None:
            self._known_used = np.flatnonzero(cells != 0)  # twice as fast as on integers
        return self._known_used

    def _is_whole_so_far(self, given: Array) -> bool:
        some = given[:_LOOKED_AT]
        if not _all_whole(some[~np.isnan(some)]):
            return False
        absent = np.isnan(given)
        missing = int(absent.sum())
        present = given[~absent] if missing else given
        if not len(present):
            self._missing += missing
            return True
        low, high = float(present.min()), float(present.max())
        if not (-_LARGEST_EXACT <= low <= high <= _LARGEST_EXACT and _all_whole(present)):
            return False
        if not self._add_whole(_counted(present.astype(np.int64), int(low), int(high))):
            return False
        self._missing += missing
        return True

    def _add_whole(self, more: tuple[Counts, Counts] | None) -> bool:
        """Add counts of integers; False, and nothing added, when there are too many different ones."""
        if more is None or self._whole is None:
            return False
        together = summed(np.concatenate([self._whole[0], more[0]]), np.concatenate([self._whole[1], more[1]]))
        if len(together[0]) > MOST_EXACT:
            return False
        self._whole = together
        return True

    def _stop_being_exact(self) -> None:
        if self._whole is None:
            return
        (numbers, counts), self._whole = self._whole, None
        if len(numbers):
            with np.errstate(over="ignore", invalid="ignore"):
                raw = _raw_keys(numbers.astype(np.float64) - self.origin + 0.0)
            np.add.at(self._counters(), raw, counts)

    def _count_bins(self, shifted: Array) -> None:
        if self._cells is None and sum(map(len, self._waiting)) + len(shifted) < _DENSE_FROM:
            present = shifted[~np.isnan(shifted)]
            self._missing += len(shifted) - len(present)
            self._waiting.append(_raw_keys(present + 0.0))  # one zero, not two
            return
        cells = self._counters()
        tiny, before = int(cells[_SIGN]), {cell: int(cells[cell]) for cell in _INFINITIES}
        np.add.at(cells, self._keys_of(shifted), 1)
        if cells[_SIGN] > tiny:  # tiny negative numbers, or zeros that must join the others
            zeros = int(np.count_nonzero((shifted == 0.0) & np.signbit(shifted)))
            cells[_SIGN] -= zeros
            cells[0] += zeros
        for cell, infinity in _INFINITIES.items():  # NaN with a small payload is no infinity
            if cells[cell] > before[cell]:
                infinite = before[cell] + int(np.count_nonzero(shifted == infinity))
                self._missing += int(cells[cell]) - infinite
                cells[cell] = infinite

    def _take_out_missing(self, cells: Counts) -> None:
        for infinity in _INFINITIES:
            absent = cells[infinity + 1 : infinity + _NAN_CELLS]
            found = int(absent.sum())
            if found:
                self._missing += found
                absent[:] = 0

    def _keys_of(self, shifted: Array) -> Counts:
        """Return the keys in memory that the next call uses again."""
        if len(self._keys) < len(shifted):
            self._keys = np.empty(len(shifted), dtype=np.uint64)
        keys = np.right_shift(shifted.view(np.uint64), np.uint64(SHIFT), out=self._keys[: len(shifted)])
        return keys.view(np.int64)

    def _counters(self) -> Counts:
        self._known_used = None
        if self._cells is None:
            self._cells = np.zeros(_CELLS, dtype=np.int64) if self._room is None else self._room
            for keys in self._waiting:
                np.add.at(self._cells, keys, 1)
            self._waiting = []
        return self._cells


def summed(keys: Counts, counts: Counts) -> tuple[Counts, Counts]:
    """Return each key once, increasing, with the sum of its counts."""
    found, index = np.unique(keys, return_inverse=True)
    total = np.zeros(len(found), dtype=np.int64)
    np.add.at(total, index, counts)
    return found, total


def _raw_keys(shifted: Array) -> Counts:
    return (shifted.view(np.uint64) >> np.uint64(SHIFT)).view(np.int64)


def _all_whole(values: Array) -> bool:
    return bool((np.floor(values) == values).all())


def _counted(values: NDArray[np.signedinteger], low: int, high: int) -> tuple[Counts, Counts] | None:
    """Return integers and their counts; None when more than `MOST_EXACT` differ."""
    if high - low < max(_DENSE_RANGE_OF_FEW, min(2 * len(values), _DENSE_RANGE)):
        dense = np.bincount(values if low == 0 else values.astype(np.int64) - low)
        used = np.flatnonzero(dense)
        found, counts = used + low, dense[used].astype(np.int64)
    elif len(np.unique(values[: 2 * MOST_EXACT])) > MOST_EXACT:
        return None
    else:
        found, counts = np.unique(values.astype(np.int64), return_counts=True)
    return (found, counts) if len(found) <= MOST_EXACT else None


def _tally(keys: Counts) -> tuple[Counts, Counts]:
    found, counts = np.unique(keys, return_counts=True)
    return found, counts.astype(np.int64)


def _nothing() -> Counts:
    return np.empty(0, dtype=np.int64)
