"""How does a bundle leave as one file, and come in? `trueup bundle export | import`."""

from __future__ import annotations

import argparse
from pathlib import Path

from trueup.bundle.archive import export_archive, import_archive
from trueup.cli.bundles.places import places_of, verified
from trueup.cli.console import Console
from trueup.cli.exits import OK


def export(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle export`."""
    places = places_of(arguments)
    with verified(arguments.bundle, places) as bundle:
        into = Path(arguments.into).resolve()
        archive = export_archive(bundle.folder, into=into, trusted_keys=places.trusted, today=places.today)
        document = {"bundle": bundle.manifest.digest, "archive": str(archive), "bytes": archive.stat().st_size}
    console.result(document, [f"Exported {bundle.manifest.digest[:12]} to {archive}"])
    return OK


def import_(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle import`."""
    places = places_of(arguments)
    folder = import_archive(
        Path(arguments.archive), into=places.bundles, trusted_keys=places.trusted, today=places.today
    )
    console.result({"bundle": folder.name, "path": str(folder)}, [f"Imported {folder.name[:12]} to {folder}"])
    return OK
