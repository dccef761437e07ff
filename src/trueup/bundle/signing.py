"""Who says that a bundle is theirs? OpenSSF model signing with a key, over everything but the evidence.

The signature also fits the tools of that project: ``model_signing verify key``. Here it is read more strictly: its file
has exactly one spelling, so that no byte of it can change unnoticed.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from trueup.bundle.envelope import PAYLOAD_TYPE, why_not_signed
from trueup.bundle.errors import BadKey, BadSignature, KeyExpired, KeyRevoked
from trueup.bundle.layout import EVIDENCE_FOLDER, SIGNATURE
from trueup.bundle.trust import refuse_lapsed
from trueup.kernel.digests import canonical_json

_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_IGNORED = (EVIDENCE_FOLDER, SIGNATURE)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_TRUST = "where you know its maker, believe their public key: trueup bundle trust FILE.pub"
_MOST_KEY_BYTES = 100_000


def ensure_signing_key(path: Path) -> Path:
    """Return the private key file at `path`; make it on first use, readable by its owner only.

    The public key is written beside it, with ``.pub`` added to its name.

    Raises
    ------
    BadKey
        When there is a file that is no private key on a curve model signing takes (P-256, P-384, P-521).
    """
    if not path.exists():
        _make_key(path)
    public = public_key_path(path)
    if not public.exists():
        _write_new(public, public_pem(path), mode=0o644)
    return path


def public_key_path(private_key: Path) -> Path:
    """Return where the public half of a private key file lies."""
    return private_key.with_name(private_key.name + ".pub")


def sign_folder(folder: Path, *, signing_key: Path, today: date | None = None) -> None:
    """Sign every file in `folder` but the evidence, and write ``signature.json``.

    Raises
    ------
    KeyExpired, KeyRevoked
        The public key beside it says so (`trust`); `today` is needed where it has a last day.
    BadKey
        When `signing_key` is no such key, or other accounts can read it.
    """
    check_private_key(signing_key)
    if public_key_path(signing_key).is_file():
        refuse_lapsed(public_key_path(signing_key), today=today)
    from model_signing import signing

    config = signing.Config()  # type: ignore[no-untyped-call]  # the library leaves it untyped
    config.set_hashing_config(_hashing())
    try:
        config.use_elliptic_key_signer(private_key=signing_key)
    except (ValueError, TypeError) as error:
        raise _no_key(signing_key) from error
    config.sign(folder, folder / SIGNATURE)
    written = json.loads((folder / SIGNATURE).read_bytes())
    (folder / SIGNATURE).write_bytes(_spell(written))


def verify_signature(folder: Path, *, trusted_keys: Sequence[Path], today: date | None = None) -> Path:
    """Return the trusted public key that signed exactly the files in `folder`, the evidence left out.

    Raises
    ------
    KeyExpired, KeyRevoked
        The key that signed is not trusted any more; `today` is needed where it has a last day (`trust`).
    BadSignature
        When there is no signature, it is not of one of these keys, or it is over other files.
    """
    path = folder / SIGNATURE
    if not path.is_file() or path.is_symlink():
        raise BadSignature(f"{folder.name[:12]} is refused: it has no {SIGNATURE}, so nobody says that it is theirs")
    if not trusted_keys:
        raise BadSignature(f"{folder.name[:12]} is refused: no key is trusted here; {_TRUST}")
    _check_spelling(path.read_bytes(), name=folder.name)
    signers = [key for key in trusted_keys if _verify_with(folder, key) is None]
    if signers:
        try:
            refuse_lapsed(signers[0], today=today, among=signers)  # one key may lie there under several names
        except (KeyExpired, KeyRevoked) as error:
            raise type(error)(f"{folder.name[:12]} is refused: {error.message}", **error.facts) from error
        return signers[0]
    names = [key.name for key in trusted_keys]
    raise BadSignature(
        f"{folder.name[:12]} is refused: it is not signed by any of the {len(names)} trusted keys "
        f"({', '.join(names)}), or its files are not those that were signed; {_TRUST}",
        keys=names,
    )


def _verify_with(folder: Path, key: Path) -> str | None:
    signature = (folder / SIGNATURE).read_bytes()
    try:
        return why_not_signed(folder, signature=signature, key=key.read_bytes(), ignored=_IGNORED)
    except (ValueError, OSError) as error:
        raise BadKey(
            f"{key} is no public key that a signature can be checked with (PEM, P-256)", path=str(key)
        ) from error


def _hashing() -> Any:
    from model_signing import hashing

    config = hashing.Config()  # type: ignore[no-untyped-call]  # the library leaves it untyped
    return config.set_ignored_paths(paths=list(_IGNORED), ignore_git_paths=False)


def _check_spelling(content: bytes, *, name: str) -> None:
    try:
        spelled = _spell(json.loads(content))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, binascii.Error):
        spelled = b""
    if spelled != content:
        raise BadSignature(f"{name[:12]} is refused: its {SIGNATURE} was changed after it was signed")


def _spell(signature: Any) -> bytes:
    """Return the one spelling of a signature by a key; every other entry than these is dropped."""
    envelope = signature["dsseEnvelope"]
    [signed] = envelope["signatures"]
    hint = signature["verificationMaterial"]["publicKey"]["hint"]
    return canonical_json(
        {
            "mediaType": _MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": bytes.fromhex(hint).hex()}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": _spell_base64(envelope["payload"]),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": _spell_base64(signed["sig"]), "keyid": ""}],
            },
        }
    ).encode()


def _spell_base64(text: str) -> str:
    return base64.b64encode(base64.b64decode(text, validate=True)).decode()


def _make_key(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_new(path, pem, mode=0o600)


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that appears whole or not at all; one that another process made first stays."""
    made = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(made, path)
        except FileExistsError:
            return
    finally:
        made.unlink(missing_ok=True)


def public_pem(path: Path) -> bytes:
    """Return the public half of a private key file, in PEM.

    Raises
    ------
    BadKey
        When it is no such key.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise _no_key(path) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        raise _no_key(path)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def check_private_key(path: Path) -> None:
    """Raise where there is no file, it is a public key, or other accounts can read it.

    Raises
    ------
    BadKey
        Says which, and what to do.
    """
    if not path.is_file():
        raise BadKey(f"there is no signing key at {path}", path=str(path))
    if b"PUBLIC KEY-----" in path.read_bytes()[:_MOST_KEY_BYTES]:
        raise BadKey(
            f"{path} is a public key, and only its private half can sign; name that, the file without .pub",
            path=str(path),
        )
    if path.stat().st_mode & 0o077:
        raise BadKey(f"the signing key {path} can be read by other accounts; run: chmod 600 {path}", path=str(path))


def _no_key(path: Path) -> BadKey:
    return BadKey(f"{path} is no private key that can sign (unencrypted PEM on the curve P-256)", path=str(path))
