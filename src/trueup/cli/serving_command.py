"""How does an operator change what servers do? `trueup serving`: one document in the lake, written whole, then watched.

Nothing here talks to a server: all of them read the document, and say in the lake what they do.
"""

from __future__ import annotations

import argparse
import datetime as dt
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from trueup.cli.console import Console
from trueup.cli.exits import CHECK_FAILED, OK, WrongUsage
from trueup.cli.served_place import ServedPlace, bundle_in_lake, day_start, served_place, who_asks
from trueup.kernel.periods import iso, moment_of
from trueup.lake.desired_state import (
    SCOPES,
    DesiredState,
    ServerStatus,
    change_desired,
    read_desired,
    read_history,
    read_statuses,
    restore_desired,
)
from trueup.release import serving as changes

LIVE_SECONDS = 7.0
"""A server reports every two seconds; one that was silent for longer has ended, or cannot reach the lake."""
_LOOK_SECONDS = 0.1
Change = Callable[[DesiredState], DesiredState]
Done = str | Callable[[DesiredState, DesiredState], str]
"""What was done, in words, or what says it of the states before and after."""


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup serving`."""
    place = served_place(arguments)
    if arguments.action == "show":
        return _show(place, console)
    return _ACTIONS[arguments.action](place, arguments, console)


# --- actions


def _champion(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    from trueup.loop.serve import pace_of_bundle

    with bundle_in_lake(place, arguments.bundle) as folder:
        manifest = _servable(place, folder)
        pace = pace_of_bundle(folder, manifest)
    return _change(
        place,
        lambda state: changes.with_champion(
            state, manifest.digest, pace=pace, personal=manifest.policy.get("personal", ())
        ),
        arguments,
        console,
        _from_to,
    )


def _beside(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    make = {"canary": changes.with_canary, "shadow": changes.with_shadow}[arguments.action]
    with bundle_in_lake(place, arguments.bundle) as folder:
        digest = _servable(place, folder).digest
    if read_desired(place.store, place.project).champion.digest == digest:
        raise WrongUsage(f"bundle {digest[:12]} is the champion; it decides already")
    return _change(
        place,
        lambda state: make(state, digest, share=arguments.share),
        arguments,
        console,
        lambda before, after: _beside_now(before, after, digest),
    )


def _beside_now(before: DesiredState, after: DesiredState, digest: str) -> str:
    """Say what a bundle does beside the champion from now on, and what ended by that."""
    now = next(role for role in after.bundles if role.digest == digest)
    kept = {(role.digest, role.role) for role in after.bundles}
    ended = [f"{role.role} {role.digest[:12]}" for role in before.bundles if (role.digest, role.role) not in kept]
    told = f"bundle {digest[:12]} is {now.role} for {_percent(now.share)} of the cases"
    return f"{told}; {' and '.join(ended)} ended by that" if ended else told


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _remove(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    def change(state: DesiredState) -> DesiredState:
        named = [role.digest for role in state.bundles if role.digest.startswith(arguments.bundle)]
        return changes.without(state, named[0] if len(named) == 1 else arguments.bundle)

    return _change(place, change, arguments, console, f"bundle {arguments.bundle[:12]} is taken out")


def _rollback(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    def change(state: DesiredState) -> DesiredState:
        return changes.rolled_back(state, read_history(place.store, place.project))

    return _change(place, change, arguments, console, _from_to)


def _from_to(before: DesiredState, after: DesiredState) -> str:
    """Say which bundle decides, and which did."""
    here, there = before.champion.digest, after.champion.digest
    if here == there:
        return f"bundle {there[:12]} is champion, as before"
    taken = "; the first is taken back, and a rollback never leads to it" if here in after.taken_back else ""
    return f"champion {here[:12]} -> {there[:12]}{taken}"


def _restore(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    kept: list[DesiredState] = []

    def change(state: DesiredState) -> DesiredState:
        kept.append(state)
        return _signed(state, arguments)

    state = restore_desired(place.store, place.project, change)
    callers = ", ".join(token.name for token in state.tokens) or "none"
    done = (
        f"version {kept[-1].version} is desired again, with champion {state.champion.digest[:12]} and the callers "
        f"{callers}; see all of it: trueup serving show"
    )
    return _tell(place, kept[-1], state, arguments=arguments, console=console, done=done)


def _capacity(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    from trueup.loop.serve import manifest_in_lake

    cases = arguments.cases
    done = "the capacity is what the charter says" if cases is None else f"at most {cases} cases a period are acted on"

    def change(state: DesiredState) -> DesiredState:
        signed = manifest_in_lake(place.store, state.champion.digest).policy["capacity"]
        return changes.lowered(state, cases, signed=signed)

    return _change(place, change, arguments, console, done)


def _pause(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    paused = arguments.action == "pause"
    done = "the fallback decides everything" if paused else "models decide again"
    return _change(place, lambda state: msgspec.structs.replace(state, paused=paused), arguments, console, done)


def _token(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    token, scopes = secrets.token_urlsafe(32), tuple(arguments.scope or SCOPES)
    until = None
    if arguments.until:  # its last day, in UTC
        until = moment_of(day_start(arguments.until, "--until") + dt.timedelta(days=1))
        if until <= _now():
            raise WrongUsage(f"--until {arguments.until} is over, so the token would let nobody in; name a day to come")

    def change(state: DesiredState) -> DesiredState:
        return changes.with_token(state, arguments.caller, token, scopes=scopes, until=until)

    done = f'"{arguments.caller}" may ask for {", ".join(scopes)}; the token is shown this once:\n{token}'
    return _change(place, change, arguments, console, done, token=token)


def _revoke(place: ServedPlace, arguments: argparse.Namespace, console: Console) -> int:
    done = f'"{arguments.caller}" is let in no more'
    return _change(place, lambda state: changes.without_token(state, arguments.caller), arguments, console, done)


_ACTIONS: dict[str, Callable[[ServedPlace, argparse.Namespace, Console], int]] = {
    "champion": _champion,
    "canary": _beside,
    "shadow": _beside,
    "remove": _remove,
    "rollback": _rollback,
    "restore": _restore,
    "capacity": _capacity,
    "pause": _pause,
    "resume": _pause,
    "token": _token,
    "revoke": _revoke,
}


def _servable(place: ServedPlace, folder: Any) -> Any:
    """Return the manifest of a bundle that servers would take."""
    from trueup.bundle.loading import verify_bundle
    from trueup.loop.serve import check_servable

    if not place.trusted:
        raise WrongUsage("name the public key whose bundles are believed: --trust KEY.pub")
    manifest = verify_bundle(folder, trusted_keys=place.trusted, today=dt.datetime.now(dt.UTC).date())
    if manifest.project != place.project:
        raise WrongUsage(f"bundle {manifest.digest[:12]} is of {manifest.project}, not of {place.project}")
    check_servable(manifest)
    return manifest


# --- writing, and watching what comes of it


def _change(
    place: ServedPlace, change: Change, arguments: argparse.Namespace, console: Console, done: Done, **more: object
) -> int:
    """Write a change, wait until the servers that live carry it out, and tell which did."""
    present = read_desired(place.store, place.project)  # says what to do where nothing was published

    def changed(before: DesiredState | None) -> DesiredState:
        nonlocal present
        assert before is not None  # it is never taken away
        present = before
        return _signed(change(before), arguments)

    state = change_desired(place.store, place.project, changed)
    return _tell(place, present, state, arguments=arguments, console=console, done=done, **more)


def _signed(state: DesiredState, arguments: argparse.Namespace) -> DesiredState:
    """Return a state that says who changes it, when and why."""
    reason = arguments.reason or f"trueup serving {arguments.action}"
    by = arguments.by or who_asks()
    return msgspec.structs.replace(state, changed_at=_now(), changed_by=by, reason=reason)


def _tell(
    place: ServedPlace,
    present: DesiredState,
    state: DesiredState,
    *,
    arguments: argparse.Namespace,
    console: Console,
    done: Done,
    **more: object,
) -> int:
    """Wait until the servers that live carry out a change, and tell which did."""
    live = _wait(place, state.version, seconds=arguments.wait)
    late = [status for status in live if status.version < state.version]
    document = {
        "project": state.project,
        "version": state.version,
        "champion": {"before": present.champion.digest, "now": state.champion.digest},
        "reason": state.reason,
        "servers": [_server(status) for status in live],
        "carried_out": not late,
        **more,
    }
    said = done if isinstance(done, str) else done(present, state)
    lines = [f"{state.project}: {said} (version {state.version} of what is desired).", *_heard(live, state.version)]
    console.result(document, lines)
    return CHECK_FAILED if late else OK


def _wait(place: ServedPlace, version: int, *, seconds: float) -> list[ServerStatus]:
    """Return what servers said last, once all that live carry out a version, or time is up."""
    ends = time.monotonic() + seconds
    while True:
        live = [status for status in read_statuses(place.store, place.project) if is_live(status, now=_now())]
        if all(status.version >= version for status in live) or time.monotonic() >= ends:
            return live
        time.sleep(_LOOK_SECONDS)


def is_live(status: ServerStatus, *, now: int) -> bool:
    """Return whether a server reported a moment ago; `now` in microseconds UTC."""
    return now - status.reported_at <= LIVE_SECONDS * 1e6


def _heard(live: Sequence[ServerStatus], version: int) -> list[str]:
    if not live:
        return ["No server reports now; those that start will carry it out."]
    told = []
    for status in live:
        did = "carries it out" if status.version >= version else f"is still at version {status.version}"
        told.append(f"  {status.server} {did}{f': {status.problem}' if status.problem else ''}")
    return told


# --- showing


def _show(place: ServedPlace, console: Console) -> int:
    state, now = read_desired(place.store, place.project), _now()
    statuses = read_statuses(place.store, place.project)
    live = [status for status in statuses if is_live(status, now=now)]
    totals = {name: sum(getattr(s, name) for s in statuses) for name in ("served", "logged", "shed", "fallback")}
    document = {
        "project": state.project,
        "desired": {
            "version": state.version,
            "bundles": [msgspec.to_builtins(role) for role in state.bundles],
            "capacity": state.capacity,
            "paused": state.paused,
            "durability": state.durability,
            "personal": list(state.personal),
            "tokens": [
                {"name": t.name, "scopes": list(t.scopes), "until": iso(t.until) if t.until is not None else None}
                for t in state.tokens
            ],
            "changed_at": iso(state.changed_at),
            "changed_by": state.changed_by,
            "reason": state.reason,
        },
        "servers": [{**_server(status), "live": status in live} for status in statuses],
        **totals,
    }
    console.result(document, _shown(state, live, totals))
    return OK


def _server(status: ServerStatus) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(status)
    return {**told, "started_at": iso(status.started_at), "reported_at": iso(status.reported_at)}


def _shown(state: DesiredState, live: Sequence[ServerStatus], totals: dict[str, int]) -> list[str]:
    lines = [f"{state.project}, version {state.version} by {state.changed_by or 'nobody'}: {state.reason}"]
    for role in state.bundles:
        share = "" if role.role == "champion" else f" for {_percent(role.share)} of the cases"
        lines.append(f"  {role.role:<9} {role.digest[:12]}{share}")
    if state.paused:
        lines.append("  paused: the fallback decides everything")
    if state.capacity is not None:
        lines.append(f"  capacity lowered to {state.capacity} cases a period")
    for token in state.tokens:
        until = f" until {iso(token.until)}" if token.until is not None else ""
        lines.append(f"  caller    {token.name}: {', '.join(token.scopes)}{until}")
    lines += _heard(live, state.version)
    lines.append("Since their start all servers " + ", ".join(f"{name} {count:,}" for name, count in totals.items()))
    return lines


def _now() -> int:
    return time.time_ns() // 1000
