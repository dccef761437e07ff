"""Is a version among those an advisory names? Evaluated as https://ossf.github.io/osv-schema/#evaluation says.

Where that leaves open what to believe, nothing is ruled out: with two events on one version the beginning counts, and
bounds that PEP 440 cannot compare are unclear.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

Bound = Literal["introduced", "fixed", "last_affected", "limit"]
Answer = Literal["affected", "not affected", "unclear"]
_EVERY = "0"
"""Introduced in the first version there ever was."""
_ORDER = ("fixed", "introduced", "last_affected")
"""Of events on one version: what was fixed there may begin again there, and what begins there may end with it."""


@dataclass(frozen=True)
class Event:
    """One bound of a range of versions."""

    bound: Bound
    version: str


@dataclass(frozen=True)
class AffectedVersions:
    """What one entry of an advisory says about one distribution."""

    versions: tuple[str, ...] = ()
    """Versions named one by one."""
    ranges: tuple[tuple[Event, ...], ...] = ()
    """Ranges of versions; those of commits are left out."""

    def holds(self, version: str) -> Answer:
        """Return whether `version` is affected; unclear where nothing in the entry can be compared with it.

        Examples
        --------
        >>> entry = AffectedVersions(ranges=((Event("introduced", "1.0"), Event("fixed", "1.2")),))
        >>> [entry.holds(version) for version in ("0.9", "1.0", "1.2rc1", "1.2", "1.1+local")]
        ['not affected', 'affected', 'affected', 'not affected', 'affected']
        """
        here = _comparable(version)
        if version in self.versions or (here is not None and here in set(map(_comparable, self.versions))):
            return "affected"
        if here is None:
            return "unclear"
        found = [_in_range(here, events) for events in self.ranges]
        if any(found):
            return "affected"
        # a list that can be compared stands for a range that cannot
        lacking = None in found or not self.ranges
        return "unclear" if lacking and not self.versions else "not affected"

    def fixed_in(self, version: str) -> str | None:
        """Return the lowest version above `version` that a range ends with, None where none is named."""
        here = _comparable(version)
        ends = [event.version for events in self.ranges for event in events if event.bound == "fixed"]
        later = [
            (end, text) for end, text in ((_comparable(text), text) for text in ends) if end and here and end > here
        ]
        return min(later)[1] if later else None


def _comparable(version: str) -> Version | None:
    """Return a version without what its builder added locally, None where PEP 440 does not know it."""
    try:
        return Version(Version(version).public)
    except InvalidVersion:
        return None


def _in_range(here: Version, events: Sequence[Event]) -> bool | None:
    """Return whether a range holds a version; None where its bounds cannot be compared."""
    try:
        bounds = sorted(_bounds(events), key=lambda bound: (bound[0], _ORDER.index(bound[1])))
        limits = [Version(event.version) for event in events if event.bound == "limit" and event.version != "*"]
        unlimited = not any(event.bound == "limit" for event in events) or any(e.version == "*" for e in events)
    except InvalidVersion:
        return None
    if not any(bound == "introduced" for _, bound in bounds):
        return None
    inside = False
    for version, bound in bounds:
        if bound == "introduced" and here >= version:
            inside = True
        elif (bound == "fixed" and here >= version) or (bound == "last_affected" and here > version):
            inside = False
    return inside and (unlimited or any(here < limit for limit in limits))


def _bounds(events: Sequence[Event]) -> Iterator[tuple[Version, Bound]]:
    for event in events:
        if event.bound == "limit":
            continue
        # below every version of PEP 440, development releases of 0 too
        yield Version("0.dev0" if event.version == _EVERY else event.version), event.bound
