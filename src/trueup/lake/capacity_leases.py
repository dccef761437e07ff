"""How do several hosts share one capacity when they cannot ask each other? Each holds a lease of a period's tokens.

For every period one document in the lake says which host has which tokens, by number. Whoever comes first writes it,
dealing them in turn to the hosts that were seen lately, one period ahead; afterwards a host only ever gives away from
its own lease. So no two hosts hold one number: a host that is lost, or dies while it gives, wastes tokens and makes
none. A host that joins later has 0 until another one gives it some, or until a period that counts it in.

A capacity that a new signature raises is granted in both periods at once: the first host that knows of it deals the
numbers that come on top. What a host gave away before stays given.

While the capacity is smaller than what was dealt, lowered by an operator or signed in the charter of an earlier
champion, a host counts only its numbers below it. It uses its lowest numbers first and gives away its highest. So for
every capacity C: of the cases that were acted on while C or less was allowed, there are never more than C, in whatever
order capacities rise and fall, and whichever of them each host has heard of.

The lease is kept beside the tokens of the host (`lake/capacity_file.py`), where all its processes read it: with the
lake gone they go on with this period's, and with the next one's. A host that loses this disk must come back under
another name, since it no longer knows what it used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from trueup.lake.capacity_file import CapacityFile
from trueup.lake.errors import KeyMissing, KeyTaken, LakeError, VersionChanged
from trueup.lake.store import Store, Versioned

GONE_AFTER = 3_600_000_000
"""A host that was not seen for an hour is not counted in when the next period is granted."""
_ATTEMPTS = 20
Document = TypeVar("Document", "Leases", "Hosts")


class BadLeases(LakeError):
    """A document in the lake says nothing about leases."""

    code = "lake.bad-leases"


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """Tokens of a period by number: from `first` up to before `end`, in steps."""

    first: Annotated[int, msgspec.Meta(ge=0)]
    end: Annotated[int, msgspec.Meta(ge=0)]
    step: Annotated[int, msgspec.Meta(ge=1)] = 1

    @property
    def numbers(self) -> range:
        """Return them."""
        return range(self.first, self.end, self.step)


class Leases(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who may use which tokens of one period's capacity."""

    cases: int
    dealt: dict[str, tuple[Run, ...]]
    """Numbers by host, from 0 up to before `cases`; none stands twice."""
    waiting: tuple[str, ...] = ()
    """Hosts that came later and have none."""
    raised: dict[str, int] = {}
    """How many tokens each host was granted more since the period was granted, as part of what it holds."""

    @property
    def held(self) -> dict[str, int]:
        """Return how many tokens each host holds."""
        return {host: _count(runs) for host, runs in self.dealt.items()}


class Hosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hosts serve a project, and when each was seen last, in microseconds UTC."""

    seen: dict[str, int]


class _Own(msgspec.Struct, frozen=True):
    """The lease of this host, as its processes read it."""

    cases: int
    runs: tuple[Run, ...] = ()

    def below(self, cases: int) -> int:
        """Return how many tokens of it may be used while this is the capacity."""
        return _count(self.runs, cases)

    @property
    def held(self) -> int:
        """Return how many tokens it is at most."""
        return _count(self.runs)


class LeasedTokens:
    """The tokens of one project on one of several hosts; a `TokenCounter` of `align/streaming.py`.

    Parameters
    ----------
    tokens : CapacityFile
        Of this host.
    folder : Path
        On this host's disk, where leases are kept; that of `tokens`.
    """

    def __init__(self, tokens: CapacityFile, folder: Path) -> None:
        self._tokens, self._folder = tokens, folder
        self._own: dict[int, _Own] = {}

    def used(self, period_start: int) -> tuple[int, int]:
        """Return the tokens this host took of a period, and how many of them for exploration."""
        return self._tokens.used(period_start)

    def used_before(self, period_start: int, slot_start: int) -> tuple[int, int]:
        """Return what this host had used when its first process came to this slot."""
        return self._tokens.used_before(period_start, slot_start)

    def allowed(self, period_start: int, cases: int) -> tuple[int, float]:
        """Return how many of `cases` this host may act on, and the share of all cases that is expected here."""
        self._own.pop(period_start, None)  # asked once a slot: look again, it may have been given some meanwhile
        own = self._lease(period_start)
        part = own.below(cases)
        return self._tokens.allowed(period_start, part)[0], part / min(cases, own.cases) if part else 1.0

    def take(self, period_start: int, prediction_id: bytes, *, exploring: bool, most: int, in_all: int) -> bool:
        """Take a token of this host's lease; see `TokenCounter`. `in_all` is what `allowed` gave."""
        return self._tokens.take(
            period_start,
            prediction_id,
            exploring=exploring,
            most=most,
            in_all=min(in_all, self._lease(period_start).held),
        )

    def taken(self, period_start: int, prediction_id: bytes) -> bool | None:
        """Return whether the token that a prediction has on this host is for exploration; None where it has none."""
        return self._tokens.taken(period_start, prediction_id)

    def limit(self, period_start: int, cases: int, *, version: int) -> None:
        """Say to all processes of the host what a desired state allows to all hosts together; see `CapacityFile`."""
        own = self._lease(period_start)
        part = cases if cases >= own.cases else own.below(cases)  # what is not lowered leaves room for a larger lease
        self._tokens.limit(period_start, part, version=version)

    def held(self, period_start: int) -> int:
        """Return how many tokens of a period this host holds."""
        self._own.pop(period_start, None)
        return self._lease(period_start).held

    def keep(self, period_start: int, leases: Leases, host: str) -> None:
        """Keep the lease of this host where its processes read it."""
        own = _Own(leases.cases, leases.dealt.get(host, ()))
        path = self._path(period_start)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(msgspec.json.encode(own))
        unfinished.replace(path)
        self._own[period_start] = own
        for old in sorted(self._folder.glob("*.lease"), key=lambda kept: int(kept.stem))[:-4]:
            old.unlink(missing_ok=True)

    def lower(self, period_start: int, cases: int) -> int:
        """Allow this host no more than `cases`, for good, and return what is left to it; see `CapacityFile`."""
        return self._tokens.lower(period_start, cases)

    def raised(self, period_start: int, cases: int) -> None:
        """Allow this host what it was granted more since the period was granted; see `CapacityFile`."""
        self._tokens.raised(period_start, cases)

    def _lease(self, start: int) -> _Own:
        found = self._own.get(start)
        if found is None:
            try:
                found = msgspec.json.decode(self._path(start).read_bytes(), type=_Own)
            except (FileNotFoundError, msgspec.DecodeError):
                return _Own(0)
            self._own[start] = found
        return found

    def _path(self, start: int) -> Path:
        return self._folder / f"{start}.lease"


def renew_leases(
    store: Store,
    project: str,
    tokens: LeasedTokens,
    *,
    host: str,
    periods: Sequence[int],
    cases: int,
    now: int,
    may_raise: bool = True,
    gone_after: int = GONE_AFTER,
) -> None:
    """See that this host has its leases of some periods; called every few seconds by one process of the host.

    Says that the host is there, grants each period that nobody granted yet and what was signed more since, asks for
    tokens where the host has none, and gives some of its own unused ones to hosts that wait.

    Parameters
    ----------
    store : Store
    project : str
    tokens : LeasedTokens
        Of this host.
    host : str
        Its name, which no other host has.
    periods : sequence of int
        Starts of the present and the next period.
    cases : int
        The signed capacity of a period.
    now : int
        In microseconds UTC.
    may_raise : bool
        Whether `cases` counts for a period that was granted already: not where others serve by another charter.
    gone_after : int
        How long a host counts that is not seen, in microseconds.

    Raises
    ------
    LakeError
        When the lake is gone; the leases that are kept go on.
    """
    seen = _changed(
        store, _key(project, "hosts"), Hosts, lambda old: Hosts({**(old.seen if old else {}), host: now})
    ).seen
    there = sorted(name for name, when in seen.items() if now - when < gone_after)
    most = cases if may_raise else 0
    for start in periods:
        leases = _changed(
            store,
            _key(project, str(start)),
            Leases,
            lambda old: _with_host(_grown(old, most, there) if old else Leases(cases, _deal(0, cases, there)), host),
        )
        tokens.raised(start, leases.raised.get(host, 0))
        leases = _give(store, project, tokens, leases, host=host, start=start)
        tokens.keep(start, leases, host)


def read_leases(store: Store, project: str, period_start: int) -> Leases:
    """Return who holds what of a period.

    Raises
    ------
    KeyMissing
        When it was not granted yet.
    BadLeases
    """
    return _parsed(store.get(_key(project, str(period_start))), Leases)


def _count(runs: Sequence[Run], below: int | None = None) -> int:
    """Return how many numbers there are, or how many of them below one."""
    return sum(len(run.numbers if below is None else range(run.first, min(run.end, below), run.step)) for run in runs)


def _deal(first: int, end: int, hosts: Sequence[str]) -> dict[str, tuple[Run, ...]]:
    """Deal numbers in turn, so that each host has an equal part of those below any number."""
    return {name: (Run(first + place, end, len(hosts)),) for place, name in enumerate(hosts) if first + place < end}


def _and(dealt: Mapping[str, tuple[Run, ...]], more: Mapping[str, tuple[Run, ...]]) -> dict[str, tuple[Run, ...]]:
    return {**dealt, **{host: dealt.get(host, ()) + runs for host, runs in more.items()}}


def _parted(runs: Sequence[Run], left: int) -> tuple[tuple[Run, ...], list[Run]]:
    """Return the lowest `left` of some numbers, and the others."""
    low, high = 0, max((run.end for run in runs), default=0)
    while low < high:  # the lowest number below which there are `left`
        middle = (low + high) // 2
        low, high = (low, middle) if _count(runs, middle) >= left else (middle + 1, high)
    kept, others = [], []
    for run in runs:
        start = run.first + len(range(run.first, min(run.end, low), run.step)) * run.step
        kept.append(Run(run.first, min(run.end, low), run.step))
        others.append(Run(start, run.end, run.step))
    return tuple(run for run in kept if run.numbers), [run for run in others if run.numbers]


def _grown(leases: Leases, cases: int, hosts: Sequence[str]) -> Leases:
    """Return the leases with what a capacity is larger than when they were granted, in equal parts for the hosts."""
    if cases <= leases.cases:
        return leases
    more = _deal(leases.cases, cases, hosts)
    raised = leases.raised | {name: leases.raised.get(name, 0) + _count(runs) for name, runs in more.items()}
    return Leases(cases, _and(leases.dealt, more), leases.waiting, raised)


def _with_host(leases: Leases, host: str) -> Leases:
    if leases.dealt.get(host) or host in leases.waiting:
        return leases
    return msgspec.structs.replace(leases, waiting=(*leases.waiting, host))


def _give(store: Store, project: str, tokens: LeasedTokens, leases: Leases, *, host: str, start: int) -> Leases:
    """Give hosts that wait equal parts of what this host has not used; first kept from its own processes, then said."""
    others = [name for name in leases.waiting if name != host]
    runs = leases.dealt.get(host, ())
    spare = _count(runs) - tokens.used(start)[0]
    if not others or spare < len(others) + 1:
        return leases
    left = tokens.lower(start, _count(runs) - spare // (len(others) + 1) * len(others))
    # the highest: the processes here may use the lowest of them until they are told; nor is given what another host
    # granted meanwhile
    kept, free = _parted(runs, left)

    def given(present: Leases | None) -> Leases:
        if present is None:
            return leases
        waiting = [name for name in present.waiting if name != host]
        if not waiting or _count(free) < len(waiting):
            return present
        since = present.dealt.get(host, ())[len(runs) :]
        dealt = _and({**present.dealt, host: kept + since}, _shared(free, waiting))
        return msgspec.structs.replace(
            present, dealt=dealt, waiting=tuple(name for name in present.waiting if name == host)
        )

    return _changed(store, _key(project, str(start)), Leases, given)


def _shared(runs: Sequence[Run], hosts: Sequence[str]) -> dict[str, tuple[Run, ...]]:
    """Deal numbers of some runs in turn."""
    parts: dict[str, tuple[Run, ...]] = {}
    turn = 0
    for run in runs:
        for place, number in enumerate(run.numbers[: len(hosts)]):
            name = hosts[(turn + place) % len(hosts)]
            parts[name] = (*parts.get(name, ()), Run(number, run.end, run.step * len(hosts)))
        turn += len(run.numbers)
    return parts


def _changed(store: Store, key: str, kind: type[Document], change: Callable[[Document | None], Document]) -> Document:
    """Change a document by compare-and-swap, and return it as it is then."""
    for _ in range(_ATTEMPTS):
        try:
            present: Versioned | None = store.get_versioned(key)
        except KeyMissing:
            present = None
        before = _parsed(present.content, kind) if present else None
        after = change(before)
        if after == before:
            return after
        content = msgspec.json.encode(after, order="deterministic")
        try:
            if present is None:
                store.put_if_absent(key, content)
            else:
                store.compare_and_swap(key, content, expected=present.version)
        except (KeyTaken, VersionChanged):
            continue
        return after
    raise VersionChanged(f'"{key}" in {store.url} kept being changed by others; try again', key=key)


def _parsed(content: bytes, kind: type[Document]) -> Document:
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadLeases(f"a document about leases is refused: {error}") from error


def _key(project: str, name: str) -> str:
    return f"serving/{project}/capacity/{name}.json"
