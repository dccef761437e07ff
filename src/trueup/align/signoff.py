"""May this charter be approved now, and by whom? And is what was signed still what is written?

Sign-off is a small machine of pure functions: every group of reviewers gives feedback, then the sponsor decides, once.
Feedback is not a vote: it must be there and be known, the sponsor answers for the decision. Signing locally, before
accounts exist, is *self-signed*: it proves that the charter is unchanged and which key signed, not who held it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trueup.align.charter import Charter
from trueup.align.document import charter_digest
from trueup.align.errors import BadKeyFile, SignatureInvalid, StepNotAllowed
from trueup.kernel.digests import canonical_json
from trueup.kernel.errors import nearest_spelling

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

State = Literal["not_started", "waiting_for_feedback", "waiting_for_approval", "approved", "rejected", "abandoned"]
SELF_SIGNED = "self-signed"
_OPEN: tuple[State, ...] = ("not_started", "waiting_for_feedback", "waiting_for_approval")
_PRIVATE = 0o600


# --- the sign-off


@dataclass(frozen=True)
class Feedback:
    """What one group of reviewers said; its last word counts."""

    group: str
    person: str
    agrees: bool
    comment: str
    at: int
    """Moment in microseconds since 1970, UTC."""


@dataclass(frozen=True)
class Decision:
    """How a sign-off ended."""

    state: Literal["approved", "rejected", "abandoned"]
    person: str
    reason: str
    at: int


@dataclass(frozen=True)
class SignOff:
    """Where the agreement on exactly one charter stands."""

    charter_digest: str
    sponsor: str
    reviewers: tuple[str, ...]
    state: State = "not_started"
    feedback: tuple[Feedback, ...] = ()
    """All of it, in the order given."""
    decision: Decision | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the groups that have not said anything yet."""
        heard = {word.group for word in self.feedback}
        return tuple(group for group in self.reviewers if group not in heard)


def new_signoff(charter: Charter) -> SignOff:
    """Return the sign-off of a charter, not started. A changed charter needs a new one."""
    return SignOff(charter_digest(charter), charter.sponsor, tuple(charter.reviewers))


def ask_for_feedback(signoff: SignOff) -> SignOff:
    """Return the sign-off with its reviewers asked.

    Raises
    ------
    StepNotAllowed
        If it has started already, or no group is named to review it.
    """
    _require(signoff, ("not_started",), "ask for feedback")
    if not signoff.reviewers:
        raise StepNotAllowed(
            "the charter names no reviewers; add at least one [[charter.reviewer]] with the group that works the cases"
        )
    return replace(signoff, state="waiting_for_feedback")


def record_feedback(signoff: SignOff, feedback: Feedback) -> SignOff:
    """Return the sign-off with one more feedback; with the last missing group's it waits for approval.

    Raises
    ------
    StepNotAllowed
        If nobody asked, it is decided, or the group is not one of its reviewers.
    """
    _require(signoff, ("waiting_for_feedback", "waiting_for_approval"), "give feedback")
    if feedback.group not in signoff.reviewers:
        hint = nearest_spelling(feedback.group, signoff.reviewers)
        raise StepNotAllowed(
            f'"{feedback.group}" does not review this charter{hint}; its reviewers are {", ".join(signoff.reviewers)}',
            group=feedback.group,
        )
    heard = replace(signoff, feedback=(*signoff.feedback, feedback))
    return replace(heard, state="waiting_for_feedback" if heard.missing else "waiting_for_approval")


def approve(signoff: SignOff, person: str, *, reason: str = "", at: int) -> SignOff:
    """Return the sign-off with the sponsor's final approval.

    Raises
    ------
    StepNotAllowed
        If a group has not given feedback, it is decided, or `person` is not the sponsor.
    """
    _require(signoff, ("waiting_for_approval",), "approve")
    _require_sponsor(signoff, person, "approve")
    return _decided(signoff, Decision("approved", person, reason, at))


def reject(signoff: SignOff, person: str, *, reason: str, at: int) -> SignOff:
    """Return the sign-off as rejected by the sponsor, who says why.

    Raises
    ------
    StepNotAllowed
        If it does not wait for anybody, `person` is not the sponsor, or the reason is blank.
    """
    _require(signoff, ("waiting_for_feedback", "waiting_for_approval"), "reject")
    _require_sponsor(signoff, person, "reject")
    return _decided(signoff, Decision("rejected", person, _said(reason, "reject"), at))


def abandon(signoff: SignOff, person: str, *, reason: str, at: int) -> SignOff:
    """Return the sign-off as given up before a decision.

    Raises
    ------
    StepNotAllowed
        If it is decided, or the reason is blank.
    """
    _require(signoff, _OPEN, "abandon")
    return _decided(signoff, Decision("abandoned", person, _said(reason, "abandon"), at))


def _decided(signoff: SignOff, decision: Decision) -> SignOff:
    return replace(signoff, state=decision.state, decision=decision)


def _require(signoff: SignOff, states: tuple[State, ...], step: str) -> None:
    if signoff.state in states:
        return
    seen = signoff.state.replace("_", " ")
    if signoff.state not in _OPEN:
        hint = "a decision stands; change the charter and start a new sign-off"
    elif signoff.missing and signoff.state == "waiting_for_feedback":
        hint = f"feedback is missing from {', '.join(signoff.missing)}"
    else:
        hint = f"it must be {' or '.join(state.replace('_', ' ') for state in states)}"
    raise StepNotAllowed(f"cannot {step}: the sign-off is {seen}; {hint}", state=signoff.state, step=step)


def _require_sponsor(signoff: SignOff, person: str, step: str) -> None:
    if person != signoff.sponsor:
        message = f"{person} cannot {step} this charter; its sponsor is {signoff.sponsor}"
        raise StepNotAllowed(message, person=person, sponsor=signoff.sponsor)


def _said(reason: str, step: str) -> str:
    if not reason.strip():
        raise StepNotAllowed(f"cannot {step} without a reason; say why in a sentence")
    return reason


# --- signing with a local key


@dataclass(frozen=True)
class CharterSignature:
    """A signature over one charter's digest."""

    charter_digest: str
    signer: str
    """As they named themselves: nothing proves it."""
    signed_at: int
    """Moment passed in, microseconds since 1970, UTC."""
    public_key: str
    """Ed25519, 32 bytes in base 64."""
    signature: str
    """64 bytes in base 64, over the canonical JSON of the other fields."""
    kind: str = SELF_SIGNED

    def as_json(self) -> dict[str, object]:
        """Return the signature as JSON values."""
        return asdict(self)

    @property
    def message(self) -> bytes:
        """Return the bytes that are signed."""
        signed = {name: value for name, value in asdict(self).items() if name != "signature"}
        return canonical_json(signed).encode()


def signature_from_json(document: Mapping[str, object]) -> CharterSignature:
    """Return the signature that `CharterSignature.as_json` wrote.

    Raises
    ------
    SignatureInvalid
        If a field is missing, unknown, or of another type.
    """
    texts = ("charter_digest", "signer", "public_key", "signature", "kind")
    signed_at = document.get("signed_at")
    right = all(isinstance(document.get(name), str) for name in texts) and isinstance(signed_at, int)
    if not right or set(document) != {*texts, "signed_at"}:
        raise SignatureInvalid(f"this is not a charter's signature; it has the fields {', '.join(sorted(document))}")
    return CharterSignature(**document)  # type: ignore[arg-type]  # checked above


def sign_charter(document_digest: str, key: Ed25519PrivateKey, *, signer: str, signed_at: int) -> CharterSignature:
    """Return the self-signed signature of a charter.

    Parameters
    ----------
    document_digest : str
        `charter_digest` of the charter, its promise included.
    key : Ed25519PrivateKey
        From `local_key`.
    signer : str
        The name to show.
    signed_at : int
        The moment of signing, passed in.
    """
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    unsigned = CharterSignature(document_digest, signer, signed_at, public, "")
    return replace(unsigned, signature=base64.b64encode(key.sign(unsigned.message)).decode())


def verify_signature(signature: CharterSignature, document_digest: str) -> None:
    """Check that exactly this charter was signed, and that nothing in the signature was altered.

    Raises
    ------
    SignatureInvalid
        If the charter changed since, or the signature does not hold.
    """
    if signature.charter_digest != document_digest:
        raise SignatureInvalid(
            f"the charter changed after {signature.signer} signed it (signed {signature.charter_digest[:12]}, now "
            f"{document_digest[:12]}); undo the change, or rehearse and sign again: trueup rehearse, then trueup sign",
            signed=signature.charter_digest,
            now=document_digest,
        )
    from cryptography.exceptions import InvalidSignature  # slow
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.public_key, validate=True))
        key.verify(base64.b64decode(signature.signature, validate=True), signature.message)
    except (InvalidSignature, ValueError, binascii.Error) as error:
        raise SignatureInvalid(
            f"the signature of {signature.signer} does not hold: it was altered after signing; sign again: trueup sign"
        ) from error


def local_key(path: Path) -> Ed25519PrivateKey:
    """Return the signing key in a file, made on first use and readable by its owner only.

    Raises
    ------
    BadKeyFile
        If the file holds something else, or others may read it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # slow
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not path.exists():
        _write_new_key(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise BadKeyFile(f"others may read the signing key {path}; make it yours alone: chmod 600 {path}")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise BadKeyFile(f"{path} holds no private key; move it away, and a new one is made") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKeyFile(
            f"{path} holds a {type(key).__name__}, not an Ed25519 key; move it away, and a new one is made"
        )
    return key


def _write_new_key(path: Path) -> None:
    """Write a new key beside `path` and link it into place, so that the file is whole or absent."""
    from cryptography.hazmat.primitives import serialization as form  # slow
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another process was first: its key counts
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
