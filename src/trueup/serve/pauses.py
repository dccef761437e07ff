"""How long is something left alone that failed? Longer each time, and never for ever."""

from __future__ import annotations

FIRST_SECONDS = 1.0
MOST_SECONDS = 60.0
_MOST_DOUBLINGS = 32
"""More would not fit into a number some day, and what is tried again is tried for as long as a server runs."""


def pause_after(failures: int) -> float:
    """Return the seconds to wait after some failures in a row, 1 or more.

    Examples
    --------
    >>> [pause_after(failures) for failures in (1, 2, 3, 7, 10_000)]
    [1.0, 2.0, 4.0, 60.0, 60.0]
    """
    return min(FIRST_SECONDS * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), MOST_SECONDS)
