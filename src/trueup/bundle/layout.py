"""Which parts does a bundle have, and which paths may it hold?"""

from __future__ import annotations

MANIFEST = "manifest.json"
SIGNATURE = "signature.json"
GOLDEN = "golden.jsonl"
LOCK = "environment.lock"
SBOM = "sbom.cdx.json"
MODEL_FOLDER = "model"
MODEL_FILE = "model/model.pkl"
PREDICTOR_FOLDER = "predictor"
"""The compiled predictor that is served; absent where the original is."""
PLAN = "predictor/plan.json"
CODE_FOLDER = "code"
REFERENCE_FOLDER = "reference"
EVIDENCE_FOLDER = "evidence"
"""Beside the content: neither in the digest nor signed."""

SINGLE_FILES = (GOLDEN, LOCK, SBOM)
CONTENT_FOLDERS = (MODEL_FOLDER, PREDICTOR_FOLDER, CODE_FOLDER, REFERENCE_FOLDER)
REQUIRED = (MODEL_FILE, GOLDEN, LOCK)


def is_safe_path(path: str) -> bool:
    r"""Return whether `path` stays inside a folder on every system: relative, plain, without ``..``.

    Examples
    --------
    >>> [is_safe_path(p) for p in ("model/model.pkl", "../x", "/x", "a//b", "a\\b", "C:x", "")]
    [True, False, False, False, False, False, False]
    """
    parts = path.split("/")
    return all(_is_plain(part) for part in parts)


def is_content_path(path: str) -> bool:
    """Return whether a manifest may list `path`: a single file's name, or a file in one of the content folders."""
    folder, slash, _ = path.partition("/")
    return is_safe_path(path) and (path in SINGLE_FILES or (bool(slash) and folder in CONTENT_FOLDERS))


def is_evidence_path(path: str) -> bool:
    """Return whether `path` lies in the folder beside the content."""
    return is_safe_path(path) and path.startswith(f"{EVIDENCE_FOLDER}/")


def _is_plain(part: str) -> bool:
    return part not in {"", ".", ".."} and part.isprintable() and not any(c in part for c in "\\:")
