"""What is in a bundle, and what is its name? The manifest, and the SHA-256 of its bytes.

It holds no time, host or measurement of speed: the same inputs give the same bytes, so the same name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from trueup.bundle.errors import BadManifest
from trueup.bundle.features import BadFeatures, FeatureSpec, features_document, parse_features
from trueup.bundle.layout import PLAN, REQUIRED, is_content_path
from trueup.bundle.served import Served, parse_served
from trueup.kernel.digests import canonical_json, digest_of_bytes

FORMAT = 2
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "project": str,
    "task": str,
    "model_version": str,
    "charter_version": int,
    "charter_digest": str,
    "table_version": str,
    "code_revision": (str, type(None)),
    "features": list,
    "classes": list,
    "policy": dict,
    "metrics": dict,
    "recipe": dict,
    "recipe_digest": str,
    "predictor": dict,
    "lock_digest": str,
    "files": dict,
    "format": int,
}
_TASKS = ("binary", "multiclass", "regression")


@dataclass(frozen=True)
class Manifest:
    """Everything a bundle says about itself."""

    project: str
    task: str
    """binary, multiclass or regression."""
    model_version: str
    charter_version: int
    charter_digest: str
    table_version: str
    code_revision: str | None
    """Revision of the project's folder; None where it is under no version control."""
    features: tuple[FeatureSpec, ...]
    classes: tuple[str, ...]
    """Names of the outcome's classes; empty for regression."""
    policy: Mapping[str, Any]
    metrics: Mapping[str, Any]
    recipe: Mapping[str, Any]
    recipe_digest: str
    predictor: Served
    lock_digest: str
    files: Mapping[str, str]
    """SHA-256 of every content file by its path; not of the manifest, the signature and the evidence."""
    format: int = FORMAT

    @property
    def content(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        document = {**asdict(self), "features": features_document(self.features)}
        return canonical_json(document).encode()

    @property
    def digest(self) -> str:
        """Return the bundle's name."""
        return digest_of_bytes(self.content)


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest that `content` holds.

    Raises
    ------
    BadManifest
        When it is no canonical JSON, has an unknown, missing or wrongly typed entry, lists a path that no bundle may
        hold (such as ``../x``), or lacks a required file.
    """
    document = _parse_json(content)
    _check_entries(document)
    _check_files(document["files"])
    try:
        features = parse_features(document["features"])
    except BadFeatures as error:
        raise BadManifest(f"the manifest is refused: {error.message}") from error
    served = parse_served(document["predictor"])
    if served.plan_needed != (PLAN in document["files"]):
        raise BadManifest(f'the manifest is refused: its predictor "{served.kind}" does not go with its files')
    named = {"features": features, "classes": tuple(document["classes"]), "predictor": served}
    manifest = Manifest(**{**document, **named})
    if not _is_canonical(manifest, content):
        raise BadManifest("the manifest is refused: it is not in canonical form, so it was not written by a packaging")
    return manifest


def _is_canonical(manifest: Manifest, content: bytes) -> bool:
    try:
        return manifest.content == content
    except (ValueError, RecursionError):
        # numbers and characters that JSON does not have
        return False


def _parse_json(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadManifest("the manifest is refused: it is no JSON text in UTF-8") from error
    if not isinstance(document, dict):
        raise BadManifest("the manifest is refused: it must be one JSON object")
    return document


def _check_entries(document: Mapping[str, Any]) -> None:
    expected = {field.name for field in fields(Manifest)}
    wrong = sorted(expected ^ set(document))
    if wrong:
        raise BadManifest(f"the manifest is refused: missing or unknown entries {', '.join(wrong)}", entries=wrong)
    for name, kind in _TYPES.items():
        if not isinstance(document[name], kind):
            raise BadManifest(f'the manifest is refused: "{name}" has the wrong type', entry=name)
    if document["format"] != FORMAT:
        raise BadManifest(
            f"the bundle has format {document['format']}, and this version of Trueup reads format {FORMAT}",
            seen=document["format"],
        )
    if document["task"] not in _TASKS or not all(isinstance(c, str) for c in document["classes"]):
        raise BadManifest(f"the manifest is refused: its task must be one of {_TASKS}, its classes texts")


def _check_files(files: Mapping[str, Any]) -> None:
    for path, digest in files.items():
        if not is_content_path(path):
            raise BadManifest(f"the manifest is refused: it lists {path!r}, which no bundle may hold", path=path)
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise BadManifest(f"the manifest is refused: the digest of {path!r} is no SHA-256", path=path)
    for path in REQUIRED:
        if path not in files:
            raise BadManifest(f"the manifest is refused: it does not list {path!r}", path=path)
