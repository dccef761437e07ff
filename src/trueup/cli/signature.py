"""Is this charter signed, and by whom? The signature lies in `trueup.signature.json` beside trueup.toml.

What was signed lies there too, as `trueup.signed.toml`: a copy of the project file, so that a later change can be told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.workspace import write_whole

if TYPE_CHECKING:
    from trueup.align.charter import Project
    from trueup.align.signoff import CharterSignature

FILE = "trueup.signature.json"
SIGNED_FILE = "trueup.signed.toml"


def keep_signature(folder: Path, signature: CharterSignature, *, signed_text: str) -> None:
    """Write a signature and the project file that was signed into the folder, in place of those before."""
    write_whole(folder / SIGNED_FILE, signed_text)
    write_whole(folder / FILE, json.dumps(signature.as_json(), indent=2, ensure_ascii=False) + "\n")


def find_signature(folder: Path, charter_digest: str) -> CharterSignature | None:
    """Return the signature of exactly this charter; None where there is none, or it does not hold."""
    from trueup.align.errors import SignatureInvalid
    from trueup.align.signoff import signature_from_json, verify_signature

    path = folder / FILE
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            return None
        signature = signature_from_json(document)
        verify_signature(signature, charter_digest)
    except (ValueError, SignatureInvalid):
        return None
    return signature


def find_signed(folder: Path) -> tuple[Project, CharterSignature] | None:
    """Return the project as it was last signed; None where that was never kept, or the signature is not of it."""
    from trueup.align.document import charter_digest
    from trueup.align.project_file import parse_project
    from trueup.kernel.errors import Mistakes

    path = folder / SIGNED_FILE
    if not path.exists():
        return None
    try:
        project = parse_project(path.read_text(encoding="utf-8"), folder=folder)
    except (ValueError, Mistakes):
        return None
    signature = find_signature(folder, charter_digest(project.charter))
    return (project, signature) if signature else None
