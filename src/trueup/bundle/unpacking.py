"""What went into a bundle, so that it can be packaged again: with newer compilers, or on another machine?"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from trueup.bundle.golden import parse_golden
from trueup.bundle.layout import CODE_FOLDER, GOLDEN, LOCK, MODEL_FILE, REFERENCE_FOLDER
from trueup.bundle.loading import read_checked, verify_bundle
from trueup.bundle.package import BundleContents


def contents_of(bundle: Path, *, trusted_keys: Sequence[Path], today: date | None = None) -> BundleContents:
    """Return the contents that a bundle was packaged from, after it was verified; nothing of it is executed.

    Parameters
    ----------
    bundle : Path
        Folder of the bundle.
    trusted_keys : sequence of Path
        Public keys; the signature must be of one of them.
    today : date, optional
        The day in UTC, for keys with a last day.

    Raises
    ------
    BundleRefused
        What `loading.verify_bundle` raises.
    """
    manifest = verify_bundle(bundle, trusted_keys=trusted_keys, today=today)
    code, reference = (
        {name: read_checked(bundle, f"{folder}/{name}", manifest) for name in _names(manifest.files, folder)}
        for folder in (CODE_FOLDER, REFERENCE_FOLDER)
    )
    return BundleContents(
        project=manifest.project,
        task=manifest.task,
        model_version=manifest.model_version,
        charter_version=manifest.charter_version,
        charter_digest=manifest.charter_digest,
        table_version=manifest.table_version,
        features=manifest.features,
        model_path=bundle / MODEL_FILE,
        model_digest=manifest.files[MODEL_FILE],
        golden_requests=tuple(row.request for row in parse_golden(read_checked(bundle, GOLDEN, manifest))),
        classes=manifest.classes,
        code_revision=manifest.code_revision,
        policy=manifest.policy,
        metrics=manifest.metrics,
        recipe=manifest.recipe,
        recipe_digest=manifest.recipe_digest,
        reference={name.removesuffix(".json"): json.loads(content) for name, content in reference.items()},
        code=code,
        needs=tuple(manifest.recipe.get("needs", ())),
        requirements_lock=read_checked(bundle, LOCK, manifest).decode(),
        cutoff=manifest.predictor.cutoff,
    )


def _names(files: Iterable[str], folder: str) -> list[str]:
    prefix = f"{folder}/"
    return sorted(path.removeprefix(prefix) for path in files if path.startswith(prefix))
