"""What should the prediction servers of a project do, and what do they do? Two kinds of small documents in the lake.

``serving/<project>/desired.json`` is written by people and journeys, with compare-and-swap, and read by every server;
``serving/<project>/status/<server>.json`` is written by that server alone; those of servers that ended long ago
become one sum (`lake/ended_servers.py`). Nothing slower than msgspec is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal, TypeVar

import msgspec

from trueup.kernel.digests import digest_of_bytes
from trueup.lake.errors import KeyMissing, KeyTaken, LakeError, VersionChanged
from trueup.lake.store import Store, Versioned

FORMAT = 1
SCOPES = ("predict", "facts", "metrics")
"""What a token may be good for: predictions; outcomes, interventions, verdicts and events; reading `/metrics`."""
ENDED = "ended"
"""Name of the sum of servers that ended; a server's own has the number of its process behind a hyphen."""
_ATTEMPTS = 20
Status = TypeVar("Status", "ServerStatus", "EndedServers")
Role = Literal["champion", "canary", "shadow"]


class BadDesiredState(LakeError):
    """A document does not say what servers should do."""

    code = "lake.bad-desired-state"


class NothingServed(LakeError):
    """No desired state was ever published for a project."""

    code = "lake.nothing-served"


class DesiredStateLost(LakeError):
    """The desired state of a project is gone though versions of it were kept."""

    code = "lake.desired-state-lost"


class DesiredStateThere(LakeError):
    """Somebody would bring back a desired state that is not lost."""

    code = "lake.desired-state-there"


class BundleRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One bundle, and which cases it sees."""

    digest: str
    role: Role
    share: float = 1.0
    """Of a canary: the cases it decides; of a shadow: those it is asked about; 0 to 1."""


class TokenGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A caller who may ask. The token itself is nowhere; this is its SHA-256."""

    name: str
    sha256: str
    scopes: tuple[str, ...]
    until: int | None = None
    """Moment in microseconds UTC at which it ends; None: until it is taken away."""


class DesiredState(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a server should do for one project; its policy is the one signed in the champion's bundle."""

    project: str
    version: int
    """Grows by one with every change."""
    bundles: tuple[BundleRole, ...]
    """Exactly one champion."""
    pace: dict[str, Any] | None = None
    """`align/streaming.py`: what usually arrives; None: the first come are served."""
    salt: int = 0
    """Of the release: which cases a canary decides."""
    capacity: int | None = None
    """Lowered by an operator, cases a period; None: what the charter says. Only a signature raises it."""
    paused: bool = False
    """Whether the fallback decides everything."""
    durability: Literal["process", "disk"] = "process"
    personal: tuple[str, ...] = ()
    """Columns whose values are sealed in the log."""
    tokens: tuple[TokenGrant, ...] = ()
    taken_back: tuple[str, ...] = ()
    """Digests of champions that a rollback ended: another one never leads to them, only who names them."""
    changed_at: int = 0
    changed_by: str = ""
    reason: str = ""
    format: int = FORMAT

    @property
    def champion(self) -> BundleRole:
        """Return the bundle that decides what nothing else decides."""
        return next(bundle for bundle in self.bundles if bundle.role == "champion")


class BundleStatus(msgspec.Struct, frozen=True):
    """One bundle in one server."""

    digest: str
    role: str
    state: Literal["loading", "ready", "refused"]
    reason: str | None = None
    """Why it was refused, or does not answer: a process that died and is started again is loading."""
    restarts: int = 0
    """How often the process of its model died and was started again."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a server does, as it says itself."""

    server: str
    """Host and number of the process."""
    project: str
    version: int
    """Of the desired state it carries out."""
    bundles: tuple[BundleStatus, ...]
    started_at: int
    reported_at: int
    served: int
    """Answered rows since the start."""
    logged: int
    """Of them in the log."""
    shed: int
    fallback: int
    open_circuit: bool = False
    problem: str | None = None
    """What keeps it from carrying out the desired state; None when nothing does."""


class EndedServers(ServerStatus, frozen=True, kw_only=True):
    """What servers did together that ended long ago."""

    servers: int
    counted: dict[str, int] = {}
    """Starts of the servers that were added last, by name: their own documents may still be there."""


def desired_key(project: str) -> str:
    """Return where the desired state of a project lies."""
    return f"serving/{project}/desired.json"


def parse_desired(content: bytes, *, name: str = "the desired state") -> DesiredState:
    """Return the desired state that `content` holds; `name` says in errors which document it is.

    Raises
    ------
    BadDesiredState
        When it is none: another format, an unknown or missing entry, no single champion, shares outside 0 to 1.
    """
    try:
        state = msgspec.json.decode(content, type=DesiredState)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadDesiredState(f"{name} is refused: {error}{_way_out(content)}") from error
    if state.format != FORMAT:
        raise BadDesiredState(f"{name} has format {state.format}, and this version of Trueup reads format {FORMAT}")
    if sum(bundle.role == "champion" for bundle in state.bundles) != 1:
        raise BadDesiredState(f"{name} is refused: it must name exactly one champion")
    if not all(0.0 <= bundle.share <= 1.0 for bundle in state.bundles):
        raise BadDesiredState(f"{name} is refused: a share must be from 0 to 1")
    if state.capacity is not None and state.capacity < 0:
        raise BadDesiredState(f"{name} is refused: a capacity must be 0 or more")
    unknown = sorted({scope for token in state.tokens for scope in token.scopes} - set(SCOPES))
    if unknown:
        raise BadDesiredState(f'{name} is refused: "{unknown[0]}" is no scope; allowed are {SCOPES}')
    return state


def _way_out(content: bytes) -> str:
    return "" if _is_json(content) else "; bring back the last version that was kept: trueup serving restore"


def _is_json(content: bytes) -> bool:
    """Return whether a document is whole; a newer version's is, and is never written over."""
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def desired_content(state: DesiredState) -> bytes:
    """Return the document of a desired state."""
    return msgspec.json.format(msgspec.json.encode(state, order="deterministic"), indent=1)


def read_desired(store: Store, project: str) -> DesiredState:
    """Return what servers of a project should do now.

    Raises
    ------
    NothingServed
        When nothing was published yet.
    DesiredStateLost
        When it is gone though something was published.
    BadDesiredState
    """
    try:
        found = store.get_versioned(desired_key(project))
    except KeyMissing:
        refuse_lost(store, project)
        raise NothingServed(
            f'nothing is served for "{project}" yet; publish a bundle first: trueup serve PROJECT', project=project
        ) from None
    return parse_desired(found.content, name=_name(store, desired_key(project)))


def refuse_lost(store: Store, project: str) -> None:
    """Raise where versions of a desired state were kept: to be called where the state itself is not there.

    Raises
    ------
    DesiredStateLost
    """
    kept, key = _kept(store, project), desired_key(project)
    if kept and not store.exists(key):  # which somebody may have published meanwhile
        raise DesiredStateLost(
            f"{_name(store, key)} is gone, though {len(kept)} versions of it were kept; nothing was published in its "
            "place. Bring back the last of them, with its champion and callers: trueup serving restore",
            project=project,
            versions=len(kept),
        )


def change_desired(store: Store, project: str, change: Callable[[DesiredState | None], DesiredState]) -> DesiredState:
    """Change what servers should do, and return it; of two changes at once none is lost.

    Parameters
    ----------
    store : Store
    project : str
    change : callable
        Gives the new state from the present one (None where there is none); called again when somebody else was
        faster. The version is counted here.

    Raises
    ------
    VersionChanged
        When others kept changing it.
    DesiredStateLost
        When there is none though versions of it were kept; nothing was written.
    BadDesiredState
        When `change` gives a state that servers would refuse; nothing was written.
    """
    key = desired_key(project)
    for _ in range(_ATTEMPTS):
        try:
            present: Versioned | None = store.get_versioned(key)
        except KeyMissing:
            refuse_lost(store, project)
            present = None
        before = parse_desired(present.content, name=_name(store, key)) if present else None
        after = msgspec.structs.replace(change(before), version=before.version + 1 if before else 1)
        content = desired_content(after)
        parse_desired(content)
        if present is not None and before is not None:
            _keep(store, project, before.version, present.content)
        try:
            if present is None:
                store.put_if_absent(key, content)
            else:
                store.compare_and_swap(key, content, expected=present.version)
        except (KeyTaken, VersionChanged):
            continue
        with suppress(LakeError):  # it is written; the next change keeps it too
            _keep(store, project, after.version, content)
        return after
    raise VersionChanged(f'"{key}" in {store.url} kept being changed by others; try again', key=key)


def read_history(store: Store, project: str) -> Iterator[DesiredState]:
    """Yield what was desired before, newest first; the present state is not among it."""
    present = read_desired(store, project).version
    for version, key in reversed(_kept(store, project)):
        if version < present:
            yield parse_desired(store.get(key), name=_name(store, key))


def restore_desired(store: Store, project: str, change: Callable[[DesiredState], DesiredState]) -> DesiredState:
    """Bring back the last version that was kept of a desired state that is gone or no document any more.

    What is there and cannot be read is kept beside it, in ``serving/<project>/damaged/``.

    Parameters
    ----------
    store : Store
    project : str
    change : callable
        Gives from the kept state the one to write, with who brings it back; the version is counted here.

    Raises
    ------
    DesiredStateThere
        It is not lost.
    NothingServed
        No version was kept.
    KeyTaken, VersionChanged
        Somebody else was faster.
    BadDesiredState
        What is there was written by a newer version of Trueup, or the last version that was kept is damaged too.
    """
    key = desired_key(project)
    present: Versioned | None = None
    with suppress(KeyMissing):
        present = store.get_versioned(key)
    if present is not None and _is_json(present.content):
        there = parse_desired(present.content, name=_name(store, key))
        raise DesiredStateThere(
            f"{_name(store, key)} is not lost: it is there in version {there.version}, and nothing was changed; to go "
            "back to the champion before: trueup serving rollback",
            project=project,
        )
    kept = _kept(store, project)
    if not kept:
        raise NothingServed(f"no version of {_name(store, key)} was kept", project=project)
    version, last = kept[-1]
    after = change(parse_desired(store.get(last), name=_name(store, last)))
    content = desired_content(msgspec.structs.replace(after, version=version + 1))
    if present is None:
        store.put_if_absent(key, content)
    else:
        store.put(f"serving/{project}/damaged/{digest_of_bytes(present.content)}.json", present.content)
        store.compare_and_swap(key, content, expected=present.version)
    _keep(store, project, version + 1, content)
    return parse_desired(content)


def write_status(store: Store, status: ServerStatus) -> None:
    """Write what a server does, over what it said before."""
    store.put(status_key(status.project, status.server), msgspec.json.encode(status))


def status_key(project: str, server: str) -> str:
    """Return where a server says what it does."""
    return f"serving/{project}/status/{server}.json"


def read_statuses(store: Store, project: str) -> tuple[ServerStatus, ...]:
    """Return what each server of a project said last, and the sum of those that ended long ago as one called `ENDED`.

    A document that cannot be read is left out.
    """
    each = read_each_status(store, project)
    ended = _read_status(store, status_key(project, ENDED), EndedServers)  # after the others: it says whom it counts
    if ended is None:
        return each
    return (*(one for one in each if ended.counted.get(one.server) != one.started_at), ended)


def read_each_status(store: Store, project: str) -> tuple[ServerStatus, ...]:
    """Return what each server said last, also of those that the sum of the ended ones counts already."""
    keys = [entry.key for entry in store.list(f"serving/{project}/status")]
    found = (_read_status(store, key, ServerStatus) for key in keys if key != status_key(project, ENDED))
    return tuple(status for status in found if status is not None)


def token_digest(token: str) -> str:
    """Return under what a token stands in the desired state: its SHA-256."""
    return digest_of_bytes(token.encode())


def _name(store: Store, key: str) -> str:
    return f'the desired state "{key}" in {store.url}'


def _kept(store: Store, project: str) -> list[tuple[int, str]]:
    """Return versions that were kept and where, oldest first; the present one is usually among them."""
    keys = [entry.key for entry in store.list(f"serving/{project}/history")]
    return sorted((int(key.rsplit("/", 1)[1].removesuffix(".json")), key) for key in keys)


def _keep(store: Store, project: str, version: int, content: bytes) -> None:
    """Keep a state, so that one can go back to it and none is lost with its document; again is fine."""
    with suppress(KeyTaken):
        store.put_if_absent(f"serving/{project}/history/{version:08d}.json", content)


def _read_status(store: Store, key: str, kind: type[Status]) -> Status | None:
    try:
        return msgspec.json.decode(store.get(key), type=kind)
    except (KeyMissing, msgspec.DecodeError):
        return None
