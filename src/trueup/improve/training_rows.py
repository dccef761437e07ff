"""Which cases may a model learn from? Only those whose outcome was final then.

Outcomes that arrive early are unlike those that arrive late (of bookings still to come, only the cancelled are known),
so "whatever is known so far" is never used.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.durations import Duration
from trueup.kernel.periods import NEVER, Moments


def rows_known_then(
    event_time: Moments,
    final_at: Moments,
    *,
    as_of: int,
    window: Duration | None,
    hidden: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return the positions of the cases to train on at `as_of`, increasing.

    Parameters
    ----------
    event_time, final_at : ndarray of int64, shape (n_cases,)
    as_of : int
        Outcomes final at this moment or before count.
    window : Duration or None
        Only cases that happened in the last `window`; None takes all.
    hidden : ndarray of bool, shape (n_cases,), optional
        Cases whose outcome is not a label, because acting changed it.
    """
    usable = (final_at <= as_of) & (event_time < as_of) & (final_at < NEVER)
    if window is not None:
        usable &= event_time >= as_of - window.microseconds
    if hidden is not None:
        usable &= ~hidden
    return np.flatnonzero(usable)
