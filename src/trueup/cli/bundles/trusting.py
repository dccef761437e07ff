"""Whose bundles are believed here, and until when? `trueup bundle trust`."""

from __future__ import annotations

import argparse
import datetime as dt
from dataclasses import asdict
from pathlib import Path

from trueup.bundle.errors import BadKey
from trueup.bundle.trust import SIGNING_KEY, TRUSTED_FOLDER, KeyTerms, fingerprint, read_terms, with_terms
from trueup.cli.bundles.places import Places, places_of
from trueup.cli.console import Console
from trueup.cli.exits import OK, FolderTaken, WrongUsage
from trueup.cli.workspace import write_whole


def trust(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle trust`."""
    places = places_of(arguments)
    if arguments.public_key is None and (arguments.until or arguments.revoke is not None):
        raise WrongUsage("name the key that --until or --revoke is about: its file, or its name among the trusted")
    if arguments.public_key is not None:
        _keep(arguments, places)
        places = places_of(arguments)
    keys = [_facts(path, today=places.today) for path in places.trusted]
    lines = [f"{key['name']:<30}{str(key['fingerprint'])[:16]}  {key['state']}" for key in keys]
    console.result(
        {"keys": keys}, lines or ["No key is trusted here yet: trueup train makes one, or name a .pub file."]
    )
    return OK


def _keep(arguments: argparse.Namespace, places: Places) -> None:
    source, target = _meant(arguments.public_key, places)
    if target != source and target.exists() and fingerprint(target) != fingerprint(source):
        raise FolderTaken(
            f"another key is trusted under the name {target.name} already; give the file another name",
            path=str(target),
        )
    known = read_terms(source if not target.exists() else target)
    until = _day(arguments.until) if arguments.until else known.until
    revoked = arguments.revoke if arguments.revoke is not None else known.revoked
    text = with_terms(source, KeyTerms(until, revoked))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, text)


def _meant(named: str, places: Places) -> tuple[Path, Path]:
    """Return the file to read a key from, and the one to keep it in."""
    own = places.keys / f"{SIGNING_KEY}.pub"
    kept = [own, *sorted((places.keys / TRUSTED_FOLDER).glob("*.pub"))]
    for path in kept:
        if path.is_file() and (named in {path.name, path.stem} or Path(named).resolve() == path.resolve()):
            return path, path
    source = Path(named)
    if not source.is_file():
        raise BadKey(
            f'there is no public key "{named}"; give the path of a .pub file, or one of '
            f"{', '.join(path.name for path in kept if path.is_file()) or 'the trusted keys (none yet)'}",
            path=named,
        )
    return source, places.keys / TRUSTED_FOLDER / f"{source.name.removesuffix('.pub')}.pub"


def _facts(path: Path, *, today: dt.date) -> dict[str, object]:
    terms = read_terms(path)
    state = "trusted"
    if terms.until:
        state = f"expired on {terms.until}" if today > terms.until else f"trusted until {terms.until}"
    if terms.revoked is not None:
        state = f"revoked: {terms.revoked}"
    return {"name": path.name, "path": str(path), "fingerprint": fingerprint(path), "state": state, **asdict(terms)}


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f'--until "{text}" is no date; write it as 2027-06-30') from error
