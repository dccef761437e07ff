"""Whose keys count, where do bundles lie, and which day is it? What all actions of `trueup bundle` start from."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trueup.bundle.errors import BundleNotFound
from trueup.bundle.finding import as_folder, find_bundle
from trueup.bundle.loading import verify_signed
from trueup.bundle.manifest import Manifest
from trueup.bundle.trust import fingerprint, terms_of, trusted_keys
from trueup.cli.workspace import Workspace, project_folder


@dataclass(frozen=True)
class Places:
    """Where an action looks."""

    bundles: Path
    keys: Path
    trusted: tuple[Path, ...]
    today: dt.date
    """The day in UTC, for keys with a last day."""
    workspace: Workspace


@dataclass(frozen=True)
class Verified:
    """A bundle that was verified."""

    folder: Path
    manifest: Manifest
    key: Path
    """The trusted key that signed it."""


@dataclass(frozen=True)
class Signer:
    """Whose key signed a bundle."""

    name: str
    """Of the trusted public key's file."""
    fingerprint: str
    until: str | None
    """Last day on which the key is trusted; None: for ever."""

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint[:16]}{f', trusted until {self.until}' if self.until else ''})"


def places_of(arguments: argparse.Namespace) -> Places:
    """Return where the arguments of an action say to look."""
    workspace = Workspace(project_folder(arguments.project))
    named = [Path(key) for key in getattr(arguments, "key", None) or ()]
    return Places(
        bundles=workspace.for_loop().bundles,
        keys=workspace.keys,
        trusted=trusted_keys(workspace.keys, more=named),
        today=dt.datetime.now(dt.UTC).date(),
        workspace=workspace,
    )


@contextmanager
def verified(named: str | None, places: Places) -> Iterator[Verified]:
    """Give the bundle that `named` means, verified; an archive is unpacked aside for as long as the block runs.

    Without a name it is the one that was packaged last.

    Raises
    ------
    BundleNotFound
        Nothing is named like this.
    BundleRefused
        It is not what its manifest and signature say.
    """
    project = places.workspace.project
    if not project.is_dir():
        raise BundleNotFound(
            f"there is no folder {project}; --project names the project whose bundles and keys count", path=str(project)
        )
    found = find_bundle(named, bundles=places.bundles) if named is not None else _packaged_last(places)
    with as_folder(found, trusted_keys=places.trusted, today=places.today) as folder:
        yield Verified(folder, *verify_signed(folder, trusted_keys=places.trusted, today=places.today))


def _packaged_last(places: Places) -> Path:
    from trueup.loop.packaging import last_bundle

    found = last_bundle(places.workspace.for_loop())
    if found is None:
        raise BundleNotFound("nothing was packaged here yet: trueup train makes a bundle, or name one", bundles=[])
    return found


def signer_of(bundle: Verified, places: Places) -> Signer:
    """Return the trusted key that signed a bundle."""
    until = terms_of(bundle.key, places.trusted).until
    return Signer(bundle.key.name, fingerprint(bundle.key), until.isoformat() if until else None)
