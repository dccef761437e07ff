"""Does a server do what is desired? It looks again and again, opens what is new beside what answers, then flips.

What is desired is adopted in one step once everything it needs is open, so no request sees half of it. It goes on
looking while a bundle is opened, however long that takes. What cannot be carried out leaves what answers as it is, and
is told in the server's status; only callers, pauses and lowered capacities count at once. When the lake is gone the
server goes on with what it has, and catches up when it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date

import msgspec

from trueup.bundle.errors import BundleRefused
from trueup.kernel.errors import TrueupError
from trueup.lake.desired_state import BundleRole, BundleStatus, DesiredState, desired_key, parse_desired
from trueup.lake.errors import KeyMissing, LakeError
from trueup.lake.store import Store
from trueup.serve.opening import OpenedBundle, Opening
from trueup.serve.pauses import pause_after
from trueup.serve.spooling import Spool

KEPT_WARM = 4
"""Bundles that stay open after they ceased to answer, so that going back to them takes no time."""
_ENDING_SECONDS = 5.0
"""For processes of models to end in order, when the server ends; they end with it anyway."""
Adopt = Callable[[DesiredState, Mapping[str, OpenedBundle]], None]
"""Told what to do now, with every bundle of it opened; returns at once."""


class NothingToServe(TrueupError):
    """A server has no bundle that could answer for a project."""

    code = "serve.nothing-to-serve"


@dataclass(frozen=True)
class _Refusal:
    reason: str
    again_at: float
    """Monotonic seconds; infinite where trying again cannot help: what the lake holds is not the bundle."""
    attempts: int

    def due(self) -> _Refusal:
        """Return what is tried again now, where trying again can help: what was away is back."""
        return self if self.again_at == float("inf") else replace(self, again_at=0.0, attempts=0)


class Keeper:
    """Carries out the desired state of one project in one process.

    Parameters
    ----------
    project : str
    store : Store
        The lake.
    spool : Spool
    opening : Opening
    today : callable
        Returns the day in UTC, for keys that are trusted until a day.
    adopt : callable
        Makes the server answer as desired.
    clock : callable, optional
        Monotonic seconds; paces attempts to open what could not be had.
    """

    def __init__(
        self,
        project: str,
        *,
        store: Store,
        spool: Spool,
        opening: Opening,
        today: Callable[[], date],
        adopt: Adopt,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.project = project
        self._unread: str | None = None
        self._refusal: str | None = None
        """Why the document that was read last says nothing that could be done."""
        self._hindered: str | None = None
        self._store, self._spool, self._opening = store, spool, opening
        self._today, self._adopt, self._clock = today, adopt, clock
        self._openings: dict[str, asyncio.Task[None]] = {}
        self._opened: dict[str, OpenedBundle] = {}
        self._refused: dict[str, _Refusal] = {}
        self._seen = ""
        self._wanted: DesiredState | None = None
        self._adopted: DesiredState | None = None
        self._counted: DesiredState | None = None
        """Whose callers, pause and capacity count already."""
        self._carried: DesiredState | None = None
        """What was carried out last, as far as that could be."""
        self._has_news = self._closed = False

    @property
    def problem(self) -> str | None:
        """Return what keeps it from doing what is desired; None where nothing does."""
        return self._unread or self._hindered or self._died

    @property
    def _died(self) -> str | None:
        """Return why a model that should answer cannot; one that is only kept warm is started again without a word."""
        states = [state for state in (self._wanted, self._adopted) if state is not None]
        used = [self._opened[role.digest] for state in states for role in state.bundles if role.digest in self._opened]
        return next(filter(None, map(_problem_of, used)), None)

    @property
    def version(self) -> int:
        """Return the version of the desired state that is carried out; 0 before the first."""
        return self._adopted.version if self._adopted else 0

    @property
    def statuses(self) -> tuple[BundleStatus, ...]:
        """Return how each desired bundle stands here."""
        wanted = self._wanted.bundles if self._wanted else ()
        return tuple(self._status_of(role) for role in wanted)

    async def start(self) -> None:
        """Carry out what is desired, for the first time; from the local copy where the lake is gone.

        Raises
        ------
        NothingToServe
            Nothing that is desired, now or last, can answer here.
        """
        await self.look()
        await self.settle()
        if self._adopted is None:
            recalled = self._spool.recall(self.project)
            if recalled is not None:
                self._wanted = recalled
                await self._carry_out()
                await self.settle()
        if self._adopted is None:
            raise NothingToServe(f"{self.project} cannot be served: {self.problem}", project=self.project)

    async def look(self) -> bool:
        """Look once at what is desired and carry out what can be; return whether something else answers now."""
        before, unread_before = self._adopted, self._unread
        self._unread = await self._read()
        if unread_before is not None and self._unread is None:
            self._refused = {digest: refusal.due() for digest, refusal in self._refused.items()}
        if self._wanted is not self._carried or self._has_news:
            await self._carry_out()
        else:
            self._start_opening()
        return self._adopted is not before

    def is_behind(self) -> bool:
        """Return whether something else is desired than what was read last; from any thread. False without the lake."""
        try:
            return self._store.get_if_changed(desired_key(self.project), since=self._seen) is not None
        except LakeError:
            return False

    async def settle(self) -> None:
        """Wait for the bundles that are being opened, and carry out what they were opened for."""
        while self._openings:
            await asyncio.wait(self._openings.values())
            await self._carry_out()

    def look_after(self) -> tuple[str, ...]:
        """Start dead processes of models again; return the bundles that answer again since the last call.

        Called again and again, apart from `look`: a lake that is gone holds nothing up here.
        """
        return tuple(
            digest for digest, opened in self._opened.items() if opened.slow is not None and opened.slow.look_after()
        )

    async def close(self) -> None:
        """Let go of every bundle; nobody waits for an answer any more."""
        self._closed = True
        ending = [asyncio.wrap_future(opened.slow.end()) for opened in self._opened.values() if opened.slow is not None]
        self._opened.clear()
        if ending:
            await asyncio.wait(ending, timeout=_ENDING_SECONDS)

    # --- carrying out

    async def _read(self) -> str | None:
        """Read what is desired; return why it cannot be read."""
        try:
            key = desired_key(self.project)
            found = await asyncio.to_thread(self._store.get_if_changed, key, since=self._seen)
            if found is not None:
                self._seen = found.version  # what is refused is not read again and again either
                self._refusal = self._take(found.content)
        except KeyMissing:
            return "nothing is published for it: its desired state is not in the lake"
        except LakeError as error:
            return error.message
        return self._refusal

    def _take(self, content: bytes) -> str | None:
        """Want what a document says; return why it is refused."""
        try:
            wanted = parse_desired(content)
        except LakeError as error:
            return error.message
        if wanted.project != self.project:  # its name would be a path on this host
            return f"the desired state of {self.project} is refused: it is that of another project"
        self._wanted = wanted
        self._refused.clear()
        return None

    async def _carry_out(self) -> None:
        wanted = self._wanted
        if wanted is None:
            return
        self._has_news = False
        self._start_opening()
        if any(role.digest in self._openings and role.digest not in self._refused for role in wanted.bundles):
            self._adopt_what_counts_at_once(wanted)
            return
        self._carried = wanted
        answering = tuple(role for role in wanted.bundles if role.digest in self._opened)
        problems = [self._refused[role.digest].reason for role in wanted.bundles if role.digest in self._refused]
        self._hindered = problems[0] if problems else None
        if wanted.champion.digest not in self._opened:
            return
        effective = msgspec.structs.replace(wanted, bundles=answering)
        try:
            self._adopt(effective, {role.digest: self._opened[role.digest] for role in answering})
        except TrueupError as error:
            self._hindered = error.message
            self._adopt_what_counts_at_once(wanted)
            return
        self._adopted = self._counted = wanted
        await asyncio.to_thread(self._remember, wanted)
        self._let_go(wanted)

    def _adopt_what_counts_at_once(self, wanted: DesiredState) -> None:
        """Callers, a pause and a lowered capacity wait for no bundle."""
        present = self._adopted
        if present is None or wanted is self._counted:
            return
        self._counted = wanted
        now = msgspec.structs.replace(
            present,
            tokens=wanted.tokens,
            paused=wanted.paused,
            capacity=wanted.capacity,
            bundles=tuple(role for role in present.bundles if role.digest in self._opened),
        )
        self._adopt(now, {role.digest: self._opened[role.digest] for role in now.bundles})

    def _start_opening(self) -> None:
        """Begin to open what is wanted and neither open nor refused for now."""
        for role in self._wanted.bundles if self._wanted else ():
            digest = role.digest
            if digest in self._opened:
                self._opened[digest] = self._opened.pop(digest)  # most recently wanted last
                continue
            refusal = self._refused.get(digest)
            if digest not in self._openings and (refusal is None or refusal.again_at <= self._clock()):
                self._openings[digest] = asyncio.create_task(self._open(digest))

    async def _open(self, digest: str) -> None:
        try:
            opened = await asyncio.to_thread(self._fetch_and_open, digest)
        except (TrueupError, OSError) as error:
            message = error.message if isinstance(error, TrueupError) else f"{error.strerror or error}"
            before = self._refused.get(digest)
            attempts = before.attempts + 1 if before else 1
            lasting = isinstance(error, BundleRefused)
            pause = float("inf") if lasting else pause_after(attempts)
            self._refused[digest] = _Refusal(message, self._clock() + pause, attempts)
        else:
            self._refused.pop(digest, None)
            if self._closed:
                opened.close()
            else:
                self._opened[digest] = opened
        finally:
            self._openings.pop(digest, None)
            self._has_news = True

    def _fetch_and_open(self, digest: str) -> OpenedBundle:
        today = self._today()
        folder = self._spool.fetch_bundle(
            self._store, digest, check=lambda copy: self._opening.check(copy, digest=digest, today=today)
        )
        opened = self._opening.open(folder, digest=digest, today=today)
        if self._closed:  # nobody may be there any more to take it
            opened.close()
        return opened

    def _remember(self, state: DesiredState) -> None:
        try:
            self._spool.remember(state)
        except (TrueupError, OSError):
            self._hindered = (
                "what is desired could not be kept beside the server, which could not start without the lake"
            )

    def _let_go(self, wanted: DesiredState) -> None:
        needed = {role.digest for role in wanted.bundles}
        spare = [digest for digest in self._opened if digest not in needed]
        for digest in spare[: max(0, len(spare) - KEPT_WARM)]:
            self._opened.pop(digest).close()

    def _status_of(self, role: BundleRole) -> BundleStatus:
        opened = self._opened.get(role.digest)
        if opened is not None:
            problem, restarts = _problem_of(opened), opened.slow.restarts if opened.slow is not None else 0
            return BundleStatus(role.digest, role.role, "loading" if problem else "ready", problem, restarts)
        refusal = self._refused.get(role.digest)
        if refusal is None:
            return BundleStatus(role.digest, role.role, "loading")
        return BundleStatus(role.digest, role.role, "refused", refusal.reason)


def _problem_of(opened: OpenedBundle) -> str | None:
    return opened.slow.problem if opened.slow is not None else None
