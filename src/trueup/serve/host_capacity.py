"""How much of the capacity may this host use? Its lease, which one of its processes renews and all of them read.

A host that is alone has the whole capacity. A rehearsal counts by itself: it plays periods that nobody grants.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from trueup.align.decision_policy import DecisionPolicy
from trueup.align.streaming import Terms, TokenCounter
from trueup.lake.capacity_file import CapacityFile, CapacityUnavailable
from trueup.lake.capacity_leases import LeasedTokens, renew_leases
from trueup.lake.errors import LakeError
from trueup.lake.store import Store

_FIRST_TRIES = 250
_PAUSE_SECONDS = 0.02
_WAIT_SECONDS = 0.005
"""For the lock of the count, in the event loop: longer, and a case is not acted on."""


class HostCapacity:
    """The part of one project's capacity that this host holds.

    Parameters
    ----------
    project : str
    folder : Path
        Where the host counts, on its own disk.
    store : Store
        The lake, where hosts say what they hold.
    host : str
        A name that no other host has, and this one only as long as it has this disk.
    sync : bool
        See `CapacityFile`.
    rehearsing : bool
        Whether the past is played: the host counts, and holds no lease.

    Attributes
    ----------
    tokens : TokenCounter
        For what decides, in the thread that decides.
    problem : str or None
        Why the lease cannot be renewed; the one that is held goes on.
    """

    def __init__(
        self, project: str, folder: Path, *, store: Store, host: str, sync: bool, rehearsing: bool = False
    ) -> None:
        self.problem: str | None = None
        self._project, self._folder, self._store, self._host, self._sync = project, folder, store, host, sync
        self._counted = CapacityFile(folder, sync=sync, wait_seconds=_WAIT_SECONDS)
        self._leased = None if rehearsing else LeasedTokens(self._counted, folder)
        self._held: tuple[int, int] | None = None
        self._renewed_for: int | None = None
        """The capacity that was signed when the leases were renewed last."""
        self.tokens: TokenCounter = self._leased or self._counted

    def is_short_of(self, policy: DecisionPolicy) -> bool:
        """Return whether more is signed now than when the leases were renewed last."""
        known = self._renewed_for
        return policy.capacity is not None and known is not None and policy.capacity > known

    def renew(self, policy: DecisionPolicy, now: int, *, first: bool = False, may_raise: bool = True) -> bool:
        """See that the host holds its leases, and return whether what it holds of the present period is new.

        May run in another thread than what decides. One process of the host renews, the others only look; the first
        time they wait for it. Without `may_raise` a period that was granted already stays as it is, whatever the policy
        signs more.
        """
        if self._leased is None or policy.capacity is None:
            return False
        self._renewed_for = policy.capacity
        calendar = Terms.of(policy).calendar
        periods = (calendar.start_of(now), calendar.next_start(now))
        counted = CapacityFile(self._folder, sync=self._sync)  # of this thread
        try:
            mine = LeasedTokens(counted, self._folder)
            with self._turn(tries=_FIRST_TRIES if first else 1) as is_ours:
                if is_ours:
                    renew_leases(
                        self._store,
                        self._project,
                        mine,
                        host=self._host,
                        periods=periods,
                        cases=policy.capacity,
                        now=now,
                        may_raise=may_raise,
                    )
            self.problem = None
        except (LakeError, OSError) as error:
            self.problem = error.message if isinstance(error, LakeError) else f"no lease could be kept: {error}"
        finally:
            counted.close()
        before, self._held = self._held, (periods[0], mine.held(periods[0]))
        return self._held != before

    def limit(self, policy: DecisionPolicy, lowered_to: int | None, *, version: int, now: int) -> None:
        """Let all processes of the host honour a capacity that an operator lowered, or lifted again, at once."""
        if self._leased is None or policy.capacity is None:
            return
        terms = Terms.of(policy, lowered_to=lowered_to)
        with contextlib.suppress(CapacityUnavailable):  # what cannot be written cannot be taken either
            self._leased.limit(terms.calendar.start_of(now), terms.cases or 0, version=version)

    def sync(self) -> None:
        """Return when the tokens of everything that was decided are on the disk, where that is asked for.

        May be called in another thread than what decides.

        Raises
        ------
        CapacityUnavailable
        """
        self._counted.sync()

    def close(self) -> None:
        """Let go of the files."""
        self._counted.close()

    @contextlib.contextmanager
    def _turn(self, *, tries: int) -> Iterator[bool]:
        """Give whether no other process of the host renews now."""
        descriptor = os.open(self._folder / "renewing", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _locked(descriptor, tries=tries)
        finally:
            os.close(descriptor)


def _locked(descriptor: int, *, tries: int) -> bool:
    for left in range(tries, 0, -1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if left > 1:
                time.sleep(_PAUSE_SECONDS)
        else:
            return True
    return False
