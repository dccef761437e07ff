"""Whose keys count, where do bundles lie, and which day is it? What all actions of `trueup bundle` start from."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trueup.bundle.finding import as_folder, find_bundle
from trueup.bundle.loading import verify_bundle
from trueup.bundle.manifest import Manifest
from trueup.bundle.trust import trusted_keys
from trueup.cli.workspace import Workspace, project_folder


@dataclass(frozen=True)
class Places:
    """Where an action looks."""

    bundles: Path
    keys: Path
    trusted: tuple[Path, ...]
    today: dt.date
    """The day in UTC, for keys with a last day."""


@dataclass(frozen=True)
class Verified:
    """A bundle that was verified."""

    folder: Path
    manifest: Manifest


def places_of(arguments: argparse.Namespace) -> Places:
    """Return where the arguments of an action say to look."""
    workspace = Workspace(project_folder(arguments.project))
    named = [Path(key) for key in getattr(arguments, "key", None) or ()]
    return Places(
        bundles=workspace.for_loop().bundles,
        keys=workspace.keys,
        trusted=trusted_keys(workspace.keys, more=named),
        today=dt.datetime.now(dt.UTC).date(),
    )


@contextmanager
def verified(named: str, places: Places) -> Iterator[Verified]:
    """Give the bundle that `named` means, verified; an archive is unpacked aside for as long as the block runs.

    Raises
    ------
    BundleNotFound
        Nothing is named like this.
    BundleRefused
        It is not what its manifest and signature say.
    """
    found = find_bundle(named, bundles=places.bundles)
    with as_folder(found, trusted_keys=places.trusted, today=places.today) as folder:
        yield Verified(folder, verify_bundle(folder, trusted_keys=places.trusted, today=places.today))
