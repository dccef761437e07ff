"""What becomes of what servers said that ended long ago? It is added up in one document, and theirs are removed.

The sum is written first, by compare-and-swap, and names the servers it counts; readers leave those out until their
documents are gone. So whatever is killed in between, each server is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from trueup.lake.desired_state import ENDED, EndedServers, ServerStatus, read_each_status, status_key
from trueup.lake.errors import KeyMissing, KeyTaken, VersionChanged
from trueup.lake.store import Store, Versioned

DAY = 24 * 3600 * 1_000_000
GONE_AFTER = 30 * DAY
"""A server that said nothing for so long has ended. One that comes back after that is counted twice."""
LOOK_EVERY = DAY // 24


class Retiring:
    """Adds up servers that ended long ago, now and then.

    Parameters
    ----------
    store : Store
    project : str
    clock : callable
        Microseconds UTC.
    """

    def __init__(self, store: Store, project: str, *, clock: Callable[[], int]) -> None:
        self._store, self._project, self._clock = store, project, clock
        self._due: int | None = None

    def look(self) -> None:
        """Add up those who ended, once an hour.

        Raises
        ------
        StoreFull, StoreReadOnly, StoreUnavailable
            The next call tries again.
        """
        now = self._clock()
        if self._due is None or not self._due - LOOK_EVERY <= now < self._due:
            retire_servers(self._store, self._project, now=now)
            self._due = now + LOOK_EVERY


def retire_servers(store: Store, project: str, *, now: int, gone_after: int = GONE_AFTER) -> int:
    """Add up the servers that said nothing for long, remove what they said, and return how many these were.

    Parameters
    ----------
    store : Store
    project : str
    now, gone_after : int
        Microseconds UTC, and microseconds.

    Notes
    -----
    Where somebody else does the same at once, the next call does the rest; where the sum cannot be read, all stays.
    """
    key = status_key(project, ENDED)
    try:
        present: Versioned | None = store.get_versioned(key)
    except KeyMissing:
        present = None
    try:
        before = msgspec.json.decode(present.content, type=EndedServers) if present else None
    except msgspec.DecodeError:
        return 0
    statuses = read_each_status(store, project)
    counted = before.counted if before else {}
    left = [status for status in statuses if counted.get(status.server) == status.started_at]
    gone = [status for status in statuses if status not in left and now - status.reported_at > gone_after]
    for status in left:
        store.delete(status_key(project, status.server))
    if not gone and not counted:
        return 0
    content = msgspec.json.encode(_added_up(project, before, gone))
    try:
        if present is None:
            store.put_if_absent(key, content)
        else:
            store.compare_and_swap(key, content, expected=present.version)
    except (KeyTaken, VersionChanged):
        return 0
    for status in gone:
        store.delete(status_key(project, status.server))
    return len(gone)


def _added_up(project: str, before: EndedServers | None, gone: Sequence[ServerStatus]) -> EndedServers:
    parts: list[ServerStatus] = [*([before] if before else []), *gone]
    return EndedServers(
        server=ENDED,
        project=project,
        version=max(part.version for part in parts),
        bundles=(),
        started_at=min(part.started_at for part in parts),
        reported_at=max(part.reported_at for part in parts),
        served=sum(part.served for part in parts),
        logged=sum(part.logged for part in parts),
        shed=sum(part.shed for part in parts),
        fallback=sum(part.fallback for part in parts),
        servers=(before.servers if before else 0) + len(gone),
        counted={status.server: status.started_at for status in gone},
    )
