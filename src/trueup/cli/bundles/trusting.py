"""Whose bundles are believed here, and until when? `trueup bundle trust`."""

from __future__ import annotations

import argparse
import datetime as dt
from dataclasses import asdict
from pathlib import Path

from trueup.bundle.errors import KeyRevoked
from trueup.bundle.trust import (
    TRUSTED_FOLDER,
    KeyTerms,
    files_of,
    find_key,
    fingerprint,
    terms_of,
    trusted_keys,
    with_terms,
)
from trueup.cli.bundles.places import Places, places_of
from trueup.cli.console import Console
from trueup.cli.exits import OK, FolderTaken, WrongUsage
from trueup.cli.workspace import write_whole


def trust(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle trust`."""
    places = places_of(arguments)
    if arguments.public_key is None and (arguments.until or arguments.revoke is not None):
        raise WrongUsage("name the key that --until or --revoke is about: its file, or its name among the trusted")
    if arguments.revoke is not None and not arguments.revoke.strip():
        raise WrongUsage('say why the key is revoked: --revoke "laptop stolen"; whoever is refused will read it')
    if arguments.public_key is not None:
        _keep(arguments, places)
        places = places_of(arguments)
    keys = [_facts(path, places) for path in places.trusted]
    lines = [f"{key['name']:<30}{str(key['fingerprint'])[:16]}  {key['state']}" for key in keys]
    console.result(
        {"keys": keys}, lines or ["No key is trusted here yet: trueup train makes one, or name a .pub file."]
    )
    return OK


def _keep(arguments: argparse.Namespace, places: Places) -> None:
    """Trust a key, or change its terms, in every file that holds it."""
    source = find_key(arguments.public_key, keys=places.keys)
    kept = files_of(fingerprint(source), trusted_keys(places.keys))
    known = terms_of(source, kept)
    if known.revoked is not None and arguments.revoke is None:
        raise KeyRevoked(
            f"{source.name} was revoked ({known.revoked}), and that is for good: have its owner make a new key. If "
            f"it was a mistake, remove the line Trueup-Revoked from {', '.join(map(str, kept or [source]))}",
            key=source.name,
            reason=known.revoked,
        )
    until = _day(arguments.until) if arguments.until else known.until
    text = with_terms(source, KeyTerms(until, known.revoked if arguments.revoke is None else arguments.revoke))
    targets = kept or (_new_file(source, places),)
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, text)


def _new_file(source: Path, places: Places) -> Path:
    target = places.keys / TRUSTED_FOLDER / f"{source.name.removesuffix('.pub')}.pub"
    if target.exists():
        raise FolderTaken(
            f"another key is trusted under the name {target.name} already; give the file another name",
            path=str(target),
        )
    return target


def _facts(path: Path, places: Places) -> dict[str, object]:
    terms = terms_of(path, places.trusted)
    state = "trusted"
    if terms.until:
        state = f"expired on {terms.until}" if places.today > terms.until else f"trusted until {terms.until}"
    if terms.revoked is not None:
        state = f"revoked: {terms.revoked}"
    return {"name": path.name, "path": str(path), "fingerprint": fingerprint(path), "state": state, **asdict(terms)}


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f'--until "{text}" is no date; write it as 2027-06-30') from error
