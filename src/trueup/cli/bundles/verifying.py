"""Is a bundle what it says, and does it answer here as in development? `trueup bundle verify`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from trueup.align.charter import PackageSpec
from trueup.align.project_file import FILE, read_project
from trueup.bundle.environment import compare_environment, locked_hashes, without_hash
from trueup.bundle.layout import CODE_FOLDER, LOCK, MODEL_FILE
from trueup.bundle.loading import open_bundle
from trueup.bundle.pickles import OwnCode, scan_pickle
from trueup.bundle.vulnerabilities import check_vulnerabilities, describe_check, refuse_vulnerable
from trueup.cli.bundles.places import Places, Verified, places_of, verified
from trueup.cli.console import Console
from trueup.cli.exits import OK
from trueup.cli.workspace import project_folder

_FIRST_DIFFERENCES = 3


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; what is refused is an error and ends the command."""

    name: str
    result: Literal["ok", "differs", "not checked"]
    detail: str


def verify(arguments: argparse.Namespace, console: Console) -> int:
    """Carry out `trueup bundle verify`."""
    places = places_of(arguments)
    with verified(arguments.bundle, places) as bundle:
        checks = list(_checks(bundle, places, replay=arguments.replay))
        lock = (bundle.folder / LOCK).read_text("utf-8")
        digest = bundle.manifest.digest
    known = check_vulnerabilities(
        lock,
        spec=_spec(project_folder(arguments.project)),
        database=Path(arguments.vulnerabilities) if arguments.vulnerabilities else None,
        today=places.today,
    )
    refuse_vulnerable(known)
    lines = [f"{check.result:<12}{check.name:<14}{check.detail}" for check in checks]
    document = {
        "bundle": digest,
        "checks": [asdict(check) for check in checks],
        "vulnerabilities": known.as_json(),
    }
    console.result(document, [f"Bundle {digest}", *lines, *describe_check(known)])
    return OK


def _spec(project: Path) -> PackageSpec:
    """Return what the project says about vulnerabilities, the default where there is none."""
    return read_project(project).package if (project / FILE).exists() else PackageSpec()


def _checks(bundle: Verified, places: Places, *, replay: bool) -> Iterator[Check]:
    files = bundle.manifest.files
    yield Check("files", "ok", f"{len(files)} files have the digests of the manifest, and there is no other")
    yield Check("signature", "ok", f"signed by {bundle.key.name}")
    names = scan_pickle((bundle.folder / MODEL_FILE).read_bytes(), own=OwnCode.of(_code(bundle)))
    yield Check("pickle", "ok", f"read, not opened: its {len(names)} names are estimators and values")
    lock = (bundle.folder / LOCK).read_text("utf-8")
    yield _hashes(lock)
    yield _environment(lock)
    if not replay:
        yield Check("golden rows", "not checked", "nothing of the bundle was executed; --replay lets it answer here")
        return
    with open_bundle(bundle.folder, trusted_keys=places.trusted, today=places.today) as loaded:
        found = loaded.replay
    yield Check(
        "golden rows", "ok", f"{found.rows:,} reproduce here, largest difference {found.largest_difference:.3g}"
    )


def _code(bundle: Verified) -> dict[str, bytes]:
    paths = [path for path in bundle.manifest.files if path.startswith(f"{CODE_FOLDER}/")]
    return {path.removeprefix(f"{CODE_FOLDER}/"): (bundle.folder / path).read_bytes() for path in paths}


def _hashes(lock: str) -> Check:
    lacking = without_hash(lock)
    if not lacking:
        return Check("lock", "ok", f"{len(locked_hashes(lock))} distributions, each pinned by hash")
    named = ", ".join(lacking[:_FIRST_DIFFERENCES]) + (", ..." if len(lacking) > _FIRST_DIFFERENCES else "")
    return Check("lock", "differs", f"{len(lacking)} of {len(locked_hashes(lock))} have no hash: {named}")


def _environment(lock: str) -> Check:
    differences = compare_environment(lock)
    if not differences:
        return Check("environment", "ok", "this one has every version of environment.lock")
    first = "; ".join(str(difference) for difference in differences[:_FIRST_DIFFERENCES])
    more = f" and {len(differences) - _FIRST_DIFFERENCES} more" if len(differences) > _FIRST_DIFFERENCES else ""
    return Check("environment", "differs", f"{first}{more}")
