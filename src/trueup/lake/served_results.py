"""What did a prediction server do, in figures? The record that a report of the log is, of whatever stage made it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ServedPeriod:
    """One period of the capacity; of the calendar where there is none."""

    start: str
    """Local time, with its offset."""
    label: str
    cases: int
    acted: int


@dataclass(frozen=True)
class ServedValue:
    """What decisions earned against the baseline on the same cases, in the currency."""

    realised: float
    """Of cases of days whose outcomes are nearly all known: early news alone would be one-sided."""
    settled: int
    """How many those are."""
    estimated: float
    """Expected of all others by their scores."""
    open: int
    """How many those are."""
    unpriced: int
    """Of the open ones, those no model gave a score."""


@dataclass(frozen=True)
class Served:
    """What the log of a project says, as far as one entry of its manifest and as known at a moment."""

    project: str
    currency: str
    position: int
    """Number of the last manifest entry that was read; reading as far again gives the same figures."""
    as_of: str | None
    """None: everything that was recorded."""
    first: str | None
    """Local time of the first decision; None where nothing was decided."""
    last: str | None
    cases: int
    """Each counts once, with its latest decision."""
    predictions: int
    """Decided rows; shadows are not among them."""
    qualify: int
    acted: int
    by_role: dict[str, int]
    by_reason: dict[str, int]
    by_model: dict[str, int]
    """Cases by digest of the bundle that was asked."""
    capacity: dict[str, Any] | None
    """``{"cases": 4, "per": "day"}``."""
    periods: tuple[ServedPeriod, ...]
    fallback: int
    """Cases that no model answered."""
    outcomes: int
    """Cases whose outcome is known."""
    value: ServedValue | None
    """None where decisions are numbers or classes."""
    latency_p50_ms: float | None
    """Of a request to a server, from its last byte to its record."""
    latency_p99_ms: float | None
    served: int
    """Rows that servers say they answered, since the first of them started."""
    logged: int
    """Of them written to the log, as they say."""
    sealed: int
    """Rows of the log that servers decided; more than `served` where a server ended before it could say."""
    batch: int
    """Rows of the log that batch runs decided; no server answered them."""

    @property
    def most_in_period(self) -> int:
        """Return the most cases acted on in one period."""
        return max((period.acted for period in self.periods), default=0)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON document."""
        return asdict(self)
