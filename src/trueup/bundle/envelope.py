"""Did this key sign exactly these files? The check of an OpenSSF model signature, without the library that made it.

That library takes half a second and 40 MB to import, most of it for ways of signing that bundles do not use; a server
that starts, and every command that looks at a bundle, would pay for it. Here is the one way a bundle is signed: a DSSE
envelope (ECDSA over the pre-authentication encoding), holding an in-toto statement that lists the SHA-256 of each file.
A test holds both to the same answer.

References
----------
DSSE 1.0, "Protocol"; in-toto Attestation Framework, Statement v1; OpenSSF Model Signing, signature v1.0.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trueup.kernel.digests import digest_of_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_CURVES = {256: "SHA256", 384: "SHA384", 521: "SHA512"}


def why_not_signed(folder: Path, *, signature: bytes, key: bytes, ignored: Sequence[str]) -> str | None:
    """Return why a signature is not that of a key over the files of a folder; None when it is.

    Parameters
    ----------
    folder : Path
        Holds the files; links in it were refused before.
    signature : bytes
        Content of ``signature.json``.
    key : bytes
        A public key in PEM, on the curve P-256, P-384 or P-521.
    ignored : sequence of str
        Paths in the folder that no signature covers.

    Raises
    ------
    ValueError
        When `key` is no such key.
    """
    loaded = _load(key)
    try:
        bundle = json.loads(signature)
        hint = bundle["verificationMaterial"]["publicKey"]["hint"]
        envelope = bundle["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        [signed] = envelope["signatures"]
        signed_by_key = hint == _hint(loaded) and envelope["payloadType"] == PAYLOAD_TYPE
        if not signed_by_key or not _verify(loaded, base64.b64decode(signed["sig"], validate=True), payload):
            return "it is not of this key"
        return _why_other_files(folder, json.loads(payload), ignored=ignored)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"it is no signature of a bundle ({type(error).__name__})"


def _load(key: bytes) -> EllipticCurvePublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        loaded = load_pem_public_key(key)
    except UnsupportedAlgorithm as error:
        raise ValueError("no public key that is known") from error
    if not isinstance(loaded, EllipticCurvePublicKey) or loaded.curve.key_size not in _CURVES:
        raise ValueError("no public key on a curve that signs bundles")
    return loaded


def _hint(key: EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return digest_of_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def _verify(key: EllipticCurvePublicKey, signature: bytes, payload: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    kind = PAYLOAD_TYPE.encode()
    encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    try:
        key.verify(signature, encoded, ECDSA(getattr(hashes, _CURVES[key.curve.key_size])()))
    except InvalidSignature:
        return False
    return True


def _why_other_files(folder: Path, statement: Any, *, ignored: Sequence[str]) -> str | None:
    predicate = statement["predicate"]
    made = dict(predicate["serialization"])
    left_out = sorted(made.pop("ignore_paths"))  # the library writes them in any order
    if statement["_type"] != _STATEMENT or statement["predicateType"] != _PREDICATE:
        return "it states something else than which files there are"
    if left_out != sorted(ignored) or made != {"method": "files", "hash_type": "sha256", "allow_symlinks": False}:
        return "it was made over files in another way"
    listed = {entry["name"]: entry["digest"] for entry in predicate["resources"] if entry["algorithm"] == "sha256"}
    together = hashlib.sha256(b"".join(bytes.fromhex(entry["digest"]) for entry in predicate["resources"]))
    [subject] = statement["subject"]
    if len(listed) != len(predicate["resources"]) or subject["digest"] != {"sha256": together.hexdigest()}:
        return "it contradicts itself"
    return None if listed == _digests(folder, ignored=ignored) else "it is over other files"


def _digests(folder: Path, *, ignored: Sequence[str]) -> dict[str, str]:
    found = {}
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and relative.as_posix() not in ignored and relative.parts[0] not in ignored:
            with path.open("rb") as file:
                found[relative.as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
