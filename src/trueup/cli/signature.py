"""Is this charter signed, and by whom? The signature lies in `trueup.signature.json` beside trueup.toml."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from trueup.cli.workspace import write_whole

if TYPE_CHECKING:
    from trueup.align.signoff import CharterSignature

FILE = "trueup.signature.json"


def keep_signature(folder: Path, signature: CharterSignature) -> None:
    """Write a signature into the project folder, in place of the one before."""
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
