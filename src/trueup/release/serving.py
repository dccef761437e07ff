"""What should servers do next? Pure changes of a desired state: who is champion, who watches, how one goes back.

Each takes a state and gives another; `lake/desired_state.change_desired` writes it. Nothing here loads a bundle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from trueup.kernel.errors import TrueupError, nearest_spelling
from trueup.lake.desired_state import SCOPES, BundleRole, DesiredState, TokenGrant, token_digest
from trueup.lake.log_records import BATCH


class ServingError(TrueupError):
    """Base of what cannot be desired of servers."""

    code = "release.serving"


class NotServed(ServingError):
    """The bundle is not among those that are served."""

    code = "release.not-served"


class NoWayBack(ServingError):
    """There was no other champion before."""

    code = "release.no-way-back"


class CapacityRaised(ServingError):
    """Only a signed charter raises the capacity."""

    code = "release.capacity-raised"


class TokenTaken(ServingError):
    """A caller of this name has a token already or may have none, or a scope is not known."""

    code = "release.token-taken"


def with_champion(
    state: DesiredState, digest: str, *, pace: Mapping[str, Any] | None, personal: Iterable[str] = ()
) -> DesiredState:
    """Let a bundle decide for all, by the policy signed with it; a canary or shadow of it ends, others stay.

    That a rollback ended it before is forgotten: who names it wants it.

    Parameters
    ----------
    state : DesiredState
    digest : str
    pace : mapping or None
        What the bundle carries of how cases usually arrive (`align/streaming.py`); None where it carries nothing.
    personal : iterable of str
        Columns that its policy names as personal; those that were personal before stay so.
    """
    others = tuple(role for role in state.bundles if role.role != "champion" and role.digest != digest)
    bundles = (BundleRole(digest, "champion"), *others)
    return msgspec.structs.replace(
        state,
        bundles=bundles,
        pace=dict(pace) if pace is not None else None,
        personal=tuple(sorted({*state.personal, *personal})),
        taken_back=tuple(taken for taken in state.taken_back if taken != digest),
    )


def with_canary(state: DesiredState, digest: str, *, share: float) -> DesiredState:
    """Let a bundle decide a share of the cases, in place of another canary.

    A new canary gets a salt of its own, so that chance draws other cases than for the last one; a share that only
    grows keeps the salt, and the cases that were in stay in.
    """
    same = any(role.role == "canary" and role.digest == digest for role in state.bundles)
    others = tuple(role for role in state.bundles if role.role != "canary" and role.digest != digest)
    bundles = (*others, BundleRole(digest, "canary", share))
    return msgspec.structs.replace(state, bundles=bundles, salt=state.salt if same else state.salt + 1)


def with_shadow(state: DesiredState, digest: str, *, share: float) -> DesiredState:
    """Let a bundle be asked about a share of the cases without deciding any."""
    others = tuple(role for role in state.bundles if role.digest != digest)
    return msgspec.structs.replace(state, bundles=(*others, BundleRole(digest, "shadow", share)))


def without(state: DesiredState, digest: str) -> DesiredState:
    """Take a canary or shadow out.

    Raises
    ------
    NotServed
        It is none, or the champion, whom only another champion replaces.
    """
    if state.champion.digest == digest:
        raise NotServed(
            f"bundle {digest[:12]} is the champion; name another champion, or go back with: trueup serving rollback",
            digest=digest,
        )
    kept = tuple(role for role in state.bundles if role.digest != digest)
    if kept == state.bundles:
        raise NotServed(f"bundle {digest[:12]} is not among those served", digest=digest)
    return msgspec.structs.replace(state, bundles=kept)


def rolled_back(state: DesiredState, history: Iterable[DesiredState]) -> DesiredState:
    """Go back to the last champion that no rollback ended, with what it knew of arrivals; canaries and shadows end.

    A second rollback goes a step further back, so that two people in one incident never undo each other. What was
    granted, paused or lowered since stays as it is: only models go back, each with the policy signed with it.

    Parameters
    ----------
    state : DesiredState
    history : iterable of DesiredState
        Newest first.

    Raises
    ------
    NoWayBack
    """
    present, passed = state.champion.digest, list[str]()
    for before in history:
        digest = before.champion.digest
        if digest in state.taken_back and digest not in passed:
            passed.append(digest)
        elif digest not in (present, *passed):
            return msgspec.structs.replace(
                state,
                bundles=(before.champion,),
                pace=before.pace,
                salt=max(state.salt, before.salt),
                taken_back=tuple(sorted({*state.taken_back, present})),
            )
    if passed:
        raise NoWayBack(
            f"a rollback went from {passed[0][:12]} to {present[:12]} already, and {state.project} had no other "
            f"champion before; pause {present[:12]}, so that the fallback decides: trueup serving pause; or name a "
            "champion: trueup serving champion DIGEST",
            project=state.project,
        )
    raise NoWayBack(
        f"bundle {present[:12]} is the first champion of {state.project}; pause it, so that the fallback decides: "
        "trueup serving pause",
        project=state.project,
    )


def lowered(state: DesiredState, cases: int | None, *, signed: Mapping[str, Any] | None) -> DesiredState:
    """Let fewer cases be acted on than the charter says; None: as many as it says.

    Parameters
    ----------
    state : DesiredState
    cases : int or None
        A period.
    signed : mapping or None
        `cases` and `per` of the policy in the champion's bundle; None where it sets no limit.

    Raises
    ------
    CapacityRaised
        More cases than the charter signs.
    """
    if cases is not None and (signed is None or cases > signed["cases"]):
        allowed = f"{signed['cases']} cases a {signed['per']}" if signed else "no limit"
        raise CapacityRaised(
            f"{cases} cases were asked for, and the charter signs {allowed}; a capacity is raised or begun in "
            "trueup.toml, then: trueup rehearse, trueup sign, trueup package (train where nothing was trained), and "
            "trueup serving champion DIGEST",
            asked=cases,
        )
    return msgspec.structs.replace(state, capacity=cases)


def with_token(
    state: DesiredState, name: str, token: str, *, scopes: Sequence[str], until: int | None = None
) -> DesiredState:
    """Let a caller in who shows `token`; only its digest is kept.

    Raises
    ------
    TokenTaken
        The name is taken or that of a batch run, or a scope is none.
    """
    if name.startswith(BATCH):
        raise TokenTaken(
            f'a caller cannot be called "{name}": "{BATCH}" begins the names of batch runs; choose another'
        )
    if any(grant.name == name for grant in state.tokens):
        raise TokenTaken(f'a caller "{name}" has a token already; revoke it first: trueup serving revoke {name}')
    for scope in scopes:
        if scope not in SCOPES:
            hint = nearest_spelling(scope, SCOPES)
            raise TokenTaken(f'"{scope}" is no scope{hint}; allowed are {", ".join(SCOPES)}')
    grant = TokenGrant(name, token_digest(token), tuple(scopes), until)
    return msgspec.structs.replace(state, tokens=(*state.tokens, grant))


def without_token(state: DesiredState, name: str) -> DesiredState:
    """Let a caller in no more.

    Raises
    ------
    NotServed
        There is no such caller.
    """
    kept = tuple(grant for grant in state.tokens if grant.name != name)
    if kept == state.tokens:
        names = [grant.name for grant in state.tokens]
        raise NotServed(f'there is no caller "{name}"{nearest_spelling(name, names)}; there are {", ".join(names)}')
    return msgspec.structs.replace(state, tokens=kept)
