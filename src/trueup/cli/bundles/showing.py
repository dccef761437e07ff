"""What is in a bundle, and what is new? `trueup bundle show | diff | notes`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trueup.bundle.layout import LOCK
from trueup.bundle.parity import describe_certificate, read_certificates
from trueup.bundle.release_notes import release_notes
from trueup.bundle.show import BundleChange, describe_bundle, diff_bundles
from trueup.cli.bundles.places import places_of, signer_of, verified
from trueup.cli.console import Console
from trueup.cli.exits import OK
from trueup.cli.workspace import write_whole

_WIDEST = 100


def show(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle show`."""
    places = places_of(arguments)
    with verified(arguments.bundle, places) as bundle:
        certificates = read_certificates(bundle.folder)
        signer = signer_of(bundle, places)
        described = describe_bundle(bundle.manifest)
    proofs = [asdict(certificate) for certificate in certificates]
    proved = (f"{'proved':<12}{describe_certificate(c)}" for c in certificates)
    lines = [*_described(described), f"{'signed by':<12}{signer}", *proved]
    console.result({**described, "signer": asdict(signer), "certificates": proofs}, lines)
    return OK


def diff(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle diff`."""
    places = places_of(arguments)
    with verified(arguments.before, places) as before, verified(arguments.after, places) as after:
        changes = [*diff_bundles(before.manifest, after.manifest)]
        signers = [signer_of(bundle, places) for bundle in (before, after)]
        digests = {"before": before.manifest.digest, "after": after.manifest.digest}
    if signers[0] != signers[1]:
        changes.append(BundleChange("signer", *map(str, signers)))
    lines = [_change(part) for change in changes for part in _parts(change)] or ["These are the same bundle."]
    console.result({**digests, "changes": [asdict(change) for change in changes]}, lines)
    return OK


def notes(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle notes`."""
    places = places_of(arguments)
    with verified(arguments.before, places) as before, verified(arguments.after, places) as after:
        locks = ((before.folder / LOCK).read_text("utf-8"), (after.folder / LOCK).read_text("utf-8"))
        signers = (str(signer_of(before, places)), str(signer_of(after, places)))
        text = release_notes(before.manifest, after.manifest, locks=locks, signers=signers)
        digests = {"before": before.manifest.digest, "after": after.manifest.digest}
    if arguments.output:
        write_whole(Path(arguments.output), text)
    lines = [f"Release notes: {arguments.output}"] if arguments.output else text.splitlines()
    console.result({**digests, "markdown": text, "output": arguments.output}, lines)
    return OK


def _described(described: Mapping[str, Any]) -> Iterable[str]:
    for name, value in described.items():
        if isinstance(value, list):
            yield f"{name:<12}{len(value)}"
            yield from (f"{'':<12}{_short(entry)}" for entry in value)
        elif isinstance(value, Mapping):
            yield name
            for key, entry in value.items():
                yield from _entry(key, entry)
        else:
            yield f"{name.replace('_', ' '):<12}{' ' if len(name) > 11 else ''}{_short(value)}"


def _entry(key: str, entry: object) -> Iterator[str]:
    """Yield an entry of a part of the manifest: each of its own entries on one line, such as the cells of a payoff."""
    if isinstance(entry, Mapping) and entry:
        yield from (f"  {f'{key}.{name}':<18} {_short(value)}" for name, value in entry.items())
    else:
        yield f"  {key:<18}{_short(entry)}"


def _parts(change: BundleChange) -> Iterator[BundleChange]:
    """Yield a change, or one for each entry that differs where both sides have entries."""
    old, new = change.before, change.after
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield change
        return
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield BundleChange(f"{change.what}.{name}", old.get(name), new.get(name))


def _change(change: BundleChange) -> str:
    if change.before is None:
        return f"+ {change.what}: {_short(change.after)}"
    if change.after is None:
        return f"- {change.what}: {_short(change.before)}"
    return f"  {change.what}: {_short(change.before)} -> {_short(change.after)}"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if not text:
        return "-"
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
