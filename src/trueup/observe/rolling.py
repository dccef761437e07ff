"""What do the last turns add up to? A bounded state of sums, one row per turn.

A row is whatever adds up: counts, sums, whole histograms. `record` keeps the rows of the longest window and forgets the
rest, so the state never grows with history.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import Duration
from trueup.kernel.errors import TrueupError

Array = NDArray[np.float64]


class ObserveError(TrueupError):
    """Base of the room's errors."""

    code = "observe.error"


class OutOfOrder(ObserveError):
    """Facts are older than facts that were already recorded."""

    code = "observe.out-of-order"


class WindowTooLong(ObserveError):
    """A window is longer than what the state keeps."""

    code = "observe.window-too-long"


@dataclass(frozen=True, eq=False)
class Rolling:
    """Rows of the last turns, oldest first."""

    keep: Duration
    """The longest window that may be asked for."""
    moments: tuple[int, ...] = ()
    """When each row was recorded: the turn's `as_of`."""
    rows: tuple[Array, ...] = ()


def record(rolling: Rolling, at: int, row: Array) -> Rolling:
    """Return the state with the row of the turn at `at`; rows of equal moments add up.

    Raises
    ------
    OutOfOrder
        When `at` is before the last row.
    """
    if rolling.moments and at < rolling.moments[-1]:
        raise OutOfOrder(
            f"facts of moment {at} come after those of {rolling.moments[-1]}; record turns in event-time order",
            at=at,
            last=rolling.moments[-1],
        )
    if rolling.moments and at == rolling.moments[-1]:
        return Rolling(rolling.keep, rolling.moments, (*rolling.rows[:-1], rolling.rows[-1] + row))
    oldest = at - rolling.keep.microseconds
    first = sum(1 for moment in rolling.moments if moment <= oldest)
    return Rolling(rolling.keep, (*rolling.moments[first:], at), (*rolling.rows[first:], row))


def total(rolling: Rolling, as_of: int, *, window: Duration | None = None) -> Array | None:
    """Return the sum of the rows in ``(as_of - window, as_of]``; None when there is none."""
    if window is not None and window > rolling.keep:
        raise WindowTooLong(
            f"a window of {window} was asked for, but only {rolling.keep} are kept; start with a longer `keep`",
            window=str(window),
            keep=str(rolling.keep),
        )
    length = (window or rolling.keep).microseconds
    chosen = [
        row for moment, row in zip(rolling.moments, rolling.rows, strict=True) if as_of - length < moment <= as_of
    ]
    if not chosen:
        return None
    result = chosen[0].copy()
    for row in chosen[1:]:
        result += row
    return result
