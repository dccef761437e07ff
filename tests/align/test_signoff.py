"""Can a charter only be approved as agreed, and does a signature hold for exactly one charter?"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from trueup.align.charter import Charter, PayoffMatrix
from trueup.align.document import charter_digest
from trueup.align.errors import BadKeyFile, SignatureInvalid, StepNotAllowed
from trueup.align.signoff import (
    CharterSignature,
    Feedback,
    SignOff,
    abandon,
    approve,
    ask_for_feedback,
    local_key,
    new_signoff,
    record_feedback,
    reject,
    sign_charter,
    signature_from_json,
    verify_signature,
)

SPONSOR = "head-of-fraud@example.com"
CHARTER = Charter(
    "Stop fraud",
    "EUR",
    "Europe/Berlin",
    SPONSOR,
    PayoffMatrix("-30", "-55", "-0.85 * amount", "0"),
    None,
    reviewers=("fraud-operations", "claims"),
)


def _word(group: str, *, agrees: bool = True) -> Feedback:
    return Feedback(group, "ana@example.com", agrees, "We can work 120 a day.", 1)


def _asked() -> SignOff:
    return ask_for_feedback(new_signoff(CHARTER))


def _heard() -> SignOff:
    return record_feedback(record_feedback(_asked(), _word("claims")), _word("fraud-operations"))


def test_a_charter_is_approved_after_every_group_was_heard() -> None:
    signoff = new_signoff(CHARTER)
    assert (signoff.state, signoff.charter_digest) == ("not_started", charter_digest(CHARTER))
    first = record_feedback(ask_for_feedback(signoff), _word("claims"))
    assert (first.state, first.missing) == ("waiting_for_feedback", ("fraud-operations",))
    second = record_feedback(first, _word("fraud-operations", agrees=False))
    assert second.state == "waiting_for_approval"
    approved = approve(second, SPONSOR, at=7)
    assert approved.state == "approved"
    assert approved.decision is not None
    assert (approved.decision.person, approved.decision.at) == (SPONSOR, 7)


def test_approval_waits_for_the_missing_group() -> None:
    with pytest.raises(StepNotAllowed, match="feedback is missing from fraud-operations"):
        approve(record_feedback(_asked(), _word("claims")), SPONSOR, at=1)


def test_nobody_but_the_sponsor_decides() -> None:
    with pytest.raises(StepNotAllowed, match=f"its sponsor is {SPONSOR}"):
        approve(_heard(), "ana@example.com", at=1)
    with pytest.raises(StepNotAllowed, match="sponsor"):
        reject(_heard(), "ana@example.com", reason="no", at=1)


def test_a_charter_without_reviewers_cannot_start() -> None:
    with pytest.raises(StepNotAllowed, match=r"charter\.reviewer"):
        ask_for_feedback(new_signoff(replace(CHARTER, reviewers=())))


def test_a_group_that_does_not_review_is_refused() -> None:
    with pytest.raises(StepNotAllowed, match='did you mean "claims"'):
        record_feedback(_asked(), _word("claim"))


def test_feedback_before_it_was_asked_for_is_refused() -> None:
    with pytest.raises(StepNotAllowed, match="not started"):
        record_feedback(new_signoff(CHARTER), _word("claims"))


def test_a_decision_stands() -> None:
    decided = [
        approve(_heard(), SPONSOR, at=1),
        reject(_asked(), SPONSOR, reason="too dear", at=1),
        abandon(_asked(), "ana@example.com", reason="merged with another", at=1),
    ]
    assert [signoff.state for signoff in decided] == ["approved", "rejected", "abandoned"]
    for signoff in decided:
        for step in (
            lambda seen: approve(seen, SPONSOR, at=2),
            lambda seen: reject(seen, SPONSOR, reason="no", at=2),
            lambda seen: abandon(seen, SPONSOR, reason="no", at=2),
            lambda seen: record_feedback(seen, _word("claims")),
            ask_for_feedback,
        ):
            with pytest.raises(StepNotAllowed, match="start a new sign-off"):
                step(signoff)


def test_a_refusal_needs_a_reason() -> None:
    with pytest.raises(StepNotAllowed, match="say why"):
        reject(_heard(), SPONSOR, reason=" ", at=1)
    with pytest.raises(StepNotAllowed, match="say why"):
        abandon(_heard(), SPONSOR, reason="", at=1)


@given(groups=st.lists(st.sampled_from(CHARTER.reviewers), max_size=6))
def test_approval_is_possible_exactly_when_all_groups_were_heard(groups: list[str]) -> None:
    signoff = _asked()
    for group in groups:
        signoff = record_feedback(signoff, _word(group))
    assert (signoff.state == "waiting_for_approval") == (set(groups) == set(CHARTER.reviewers))


# --- signatures


@pytest.fixture
def signature(tmp_path: Path) -> CharterSignature:
    key = local_key(tmp_path / "keys" / "signing.pem")
    return sign_charter(charter_digest(CHARTER), key, signer=SPONSOR, signed_at=1_700_000_000_000_000)


def test_a_signature_holds_for_its_charter(signature: CharterSignature) -> None:
    read = signature_from_json(json.loads(json.dumps(signature.as_json())))
    assert read == signature
    assert (read.kind, read.signer, read.signed_at) == ("self-signed", SPONSOR, 1_700_000_000_000_000)
    verify_signature(read, charter_digest(CHARTER))


def test_a_changed_charter_no_longer_verifies_and_says_what_to_do(signature: CharterSignature) -> None:
    changed = replace(CHARTER, retraining_cost=5.0)
    with pytest.raises(SignatureInvalid, match=r"changed after .* undo the change, or rehearse and sign again"):
        verify_signature(signature, charter_digest(changed))


@pytest.mark.parametrize(
    "change",
    [
        {"signer": "somebody@example.com"},
        {"signed_at": 5},
        {"kind": "approved"},
        {"signature": "AAAA"},
        {"signature": "not base 64"},
        {"public_key": "AAAA"},
    ],
)
def test_an_altered_signature_is_refused(signature: CharterSignature, change: dict[str, object]) -> None:
    altered = signature_from_json({**signature.as_json(), **change})
    with pytest.raises(SignatureInvalid, match="altered after signing"):
        verify_signature(altered, charter_digest(CHARTER))


def test_another_keys_signature_does_not_pass_as_this_one(signature: CharterSignature, tmp_path: Path) -> None:
    other = sign_charter(charter_digest(CHARTER), local_key(tmp_path / "b"), signer=SPONSOR, signed_at=1)
    with pytest.raises(SignatureInvalid):
        verify_signature(replace(signature, public_key=other.public_key), charter_digest(CHARTER))


@pytest.mark.parametrize("document", [{}, {"charter_digest": "ab"}, {"signer": 5}])
def test_what_is_no_signature_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(SignatureInvalid, match="not a charter's signature"):
        signature_from_json(document)


def test_the_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "signing.pem"
    first = local_key(path).public_key().public_bytes_raw()
    assert path.stat().st_mode & 0o777 == 0o600
    assert local_key(path).public_key().public_bytes_raw() == first
    assert [entry.name for entry in path.parent.iterdir()] == ["signing.pem"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    local_key(path)
    path.chmod(0o644)
    with pytest.raises(BadKeyFile, match="chmod 600"):
        local_key(path)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    path.write_text("not a key")
    path.chmod(0o600)
    with pytest.raises(BadKeyFile, match="holds no private key"):
        local_key(path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "signing.pem"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    with pytest.raises(BadKeyFile, match="not an Ed25519 key"):
        local_key(path)
