"""Is it fine? The four statuses, and the worst of several."""

from __future__ import annotations

from typing import Literal

Status = Literal["healthy", "no_data", "warning", "error"]
ORDER: tuple[Status, ...] = ("healthy", "no_data", "warning", "error")


def worst(*statuses: Status) -> Status:
    """Return the worst status; ``no_data`` when there is none, since nothing was looked at.

    Examples
    --------
    >>> worst("healthy", "warning", "no_data")
    'warning'
    """
    return max(statuses, key=ORDER.index, default="no_data")
