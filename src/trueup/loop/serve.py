"""How does a packaged bundle come before its servers? Published as the champion, with its pace and callers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from trueup.align.decision_policy import DecisionPolicy
from trueup.bundle.errors import FilesDiffer
from trueup.bundle.layout import MANIFEST, REFERENCE_FOLDER
from trueup.bundle.loading import read_checked, verify_bundle
from trueup.bundle.manifest import Manifest, parse_manifest
from trueup.kernel.errors import TrueupError
from trueup.lake.desired_state import SCOPES, BundleRole, DesiredState, NothingServed, change_desired, read_desired
from trueup.lake.feature_schemas import BadFeatureSchema, check_names
from trueup.lake.store import Store
from trueup.release.serving import with_token

_PACE = f"{REFERENCE_FOLDER}/pace.json"


class NotServable(TrueupError):
    """A bundle holds no policy that servers can run."""

    code = "loop.not-servable"


@dataclass(frozen=True)
class Serving:
    """How the project's file says that predictions are kept."""

    durability: str = "process"
    personal: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """What servers were told."""

    state: DesiredState
    manifest: Manifest
    """Of the verified bundle."""
    token: str | None
    """The first caller's token. None where callers were known before."""


def pace_of_bundle(folder: Path, manifest: Manifest) -> dict[str, Any] | None:
    """Return what a verified bundle knows of how cases arrive; None where it carries nothing."""
    if _PACE not in manifest.files:
        return None
    document: dict[str, Any] = json.loads(read_checked(folder, _PACE, manifest))
    return document


def check_servable(manifest: Manifest) -> None:
    """Raise where servers could not decide with the policy that a bundle carries.

    Raises
    ------
    NotServable
        The bundle was packaged by an older version, or from a model without a project.
    BadFeatureSchema
        A column that it or its policy reads is called as one of the log.
    """
    check_names(feature.name for feature in manifest.features)
    try:
        check_names(DecisionPolicy.from_document(manifest.policy, classes=manifest.classes).columns)
    except BadFeatureSchema:
        raise
    except (TrueupError, KeyError) as error:
        raise NotServable(
            f"bundle {manifest.digest[:12]} carries no decision policy that this version of Trueup serves; package it "
            "again in its project: trueup package PROJECT",
            digest=manifest.digest,
        ) from error


def manifest_in_lake(store: Store, digest: str) -> Manifest:
    """Return what a bundle of the lake says of itself: the bytes that its digest names.

    Raises
    ------
    KeyMissing
        The lake does not hold it.
    BadManifest
    FilesDiffer
        The lake holds something else under this name.
    """
    manifest = parse_manifest(store.get(f"bundles/{digest}/{MANIFEST}"))
    if manifest.digest != digest:
        raise FilesDiffer(
            f"{MANIFEST} of bundle {digest[:12]} in {store.url} is not the one of its name", digest=digest
        )
    return manifest


def publish_first(
    store: Store,
    folder: Path,
    *,
    trusted_keys: tuple[Path, ...],
    today: date,
    serving: Serving,
    by: str,
    now: int,
    first_token: Callable[[], str],
) -> Published:
    """Let servers begin with a bundle as champion, where nothing was published before.

    Parameters
    ----------
    store : Store
        The lake, which holds the bundle.
    folder : Path
        The bundle.
    trusted_keys, today
        As `bundle.loading.verify_bundle` takes them.
    serving : Serving
    by : str
        Who publishes, for the record.
    now : int
        Microseconds UTC.
    first_token : callable
        Returns the first caller's token, kept already; called only where nothing was published.

    Raises
    ------
    BundleRefused
    NotServable
    """
    manifest = verify_bundle(folder, trusted_keys=trusted_keys, today=today)
    with contextlib.suppress(NothingServed):
        return Published(read_desired(store, manifest.project), manifest, None)
    check_servable(manifest)
    pace = pace_of_bundle(folder, manifest)
    made: list[str] = []

    def change(before: DesiredState | None) -> DesiredState:
        made.clear()
        if before is not None:  # somebody else was faster
            return before
        made.append(first_token())
        state = DesiredState(
            project=manifest.project,
            version=0,
            bundles=(BundleRole(manifest.digest, "champion"),),
            pace=pace,
            durability="disk" if serving.durability == "disk" else "process",
            personal=tuple(sorted({*serving.personal, *manifest.policy.get("personal", ())})),
        )
        granted = with_token(state, "first", made[0], scopes=SCOPES)
        return msgspec.structs.replace(granted, changed_at=now, changed_by=by, reason="served for the first time")

    state = change_desired(store, manifest.project, change)
    return Published(state, manifest, made[0] if made else None)
