"""Who signed this charter? A local key's signature over its digest, in `trueup.signature.json` beside trueup.toml.

Before accounts exist a signature only says that the holder of this machine's key agreed: it is shown as *self-signed*.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from trueup.cli.workspace import write_whole
from trueup.kernel.digests import canonical_json

FILE = "trueup.signature.json"


@dataclass(frozen=True)
class Signature:
    """Somebody's agreement to exactly one charter."""

    charter_digest: str
    signed_by: str
    kind: str
    """``self-signed``: by a key that nobody else vouches for."""
    public_key: str
    """PEM."""
    signature: str
    """ECDSA with SHA-256 over the canonical JSON of digest, signer and kind; base 64."""

    @property
    def message(self) -> bytes:
        """Return the bytes that are signed."""
        signed = {"charter_digest": self.charter_digest, "signed_by": self.signed_by, "kind": self.kind}
        return canonical_json(signed).encode()


def sign_charter(folder: Path, charter_digest: str, *, signed_by: str, private_key: Path) -> Signature:
    """Sign a charter and write the signature into the project folder."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = serialization.load_pem_private_key(private_key.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{private_key} is not a key on an elliptic curve")
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    unsigned = Signature(charter_digest, signed_by, "self-signed", public.decode(), "")
    made = base64.b64encode(key.sign(unsigned.message, ec.ECDSA(hashes.SHA256()))).decode()
    signature = Signature(charter_digest, signed_by, "self-signed", public.decode(), made)
    write_whole(folder / FILE, json.dumps(asdict(signature), indent=2, ensure_ascii=False) + "\n")
    return signature


def find_signature(folder: Path, charter_digest: str) -> Signature | None:
    """Return the signature of exactly this charter; None where there is none, or it does not hold."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        signature = Signature(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None
    return signature if signature.charter_digest == charter_digest and _holds(signature) else None


def _holds(signature: Signature) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_public_key(signature.public_key.encode())
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(base64.b64decode(signature.signature), signature.message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
