"""A key that somebody brings signs where it may, and is believed from then on; nothing is written beside it."""

from __future__ import annotations

import stat
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from trueup.bundle.errors import BadKey, KeyExpired, KeyRevoked
from trueup.bundle.package import BundleContents, package
from trueup.bundle.signing import ensure_signing_key, public_key_path, verify_signature
from trueup.bundle.supplied_key import take_key
from trueup.bundle.trust import KeyTerms, fingerprint, read_terms, trusted_keys, with_terms

TODAY = date(2026, 11, 25)


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """Return a private key alone in a folder, as a secret is mounted."""
    key = ensure_signing_key(tmp_path / "secret" / "release.key")
    public_key_path(key).unlink()
    return key


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    return folder


def test_its_public_half_is_kept_once(brought: Path, keys: Path) -> None:
    for _ in range(2):
        assert take_key(brought, keys=keys, today=TODAY) == brought
    [kept] = trusted_keys(keys)
    assert kept.name == "release.key.pub"
    assert [path.name for path in brought.parent.iterdir()] == ["release.key"]


def test_a_bundle_it_signs_is_believed_and_packaging_again_keeps_it(
    brought: Path, keys: Path, fast_contents: BundleContents, tmp_path: Path
) -> None:
    take_key(brought, keys=keys, today=TODAY)
    made = package(fast_contents, into=tmp_path / "bundles", signing_key=brought, today=TODAY)
    assert verify_signature(made.path, trusted_keys=trusted_keys(keys), today=TODAY).name == "release.key.pub"
    signed = (made.path / "signature.json").read_bytes()
    assert package(fast_contents, into=tmp_path / "bundles", signing_key=brought, today=TODAY) == made
    assert (made.path / "signature.json").read_bytes() == signed
    assert [path.name for path in brought.parent.iterdir()] == ["release.key"]


def test_its_last_day_travels_with_it(brought: Path, keys: Path) -> None:
    ensure_signing_key(brought)
    beside = public_key_path(brought)
    beside.write_text(with_terms(beside, KeyTerms(TODAY)))
    take_key(brought, keys=keys, today=TODAY)
    assert read_terms(trusted_keys(keys)[0]).until == TODAY
    with pytest.raises(KeyExpired):
        take_key(brought, keys=keys, today=date(2026, 11, 26))


def test_what_the_project_revoked_does_not_sign(brought: Path, keys: Path) -> None:
    take_key(brought, keys=keys, today=TODAY)
    [kept] = trusted_keys(keys)
    kept.write_text(with_terms(kept, KeyTerms(revoked="stolen")))
    with pytest.raises(KeyRevoked, match="stolen"):
        take_key(brought, keys=keys, today=TODAY)


def test_what_the_project_let_expire_does_not_sign(brought: Path, keys: Path) -> None:
    take_key(brought, keys=keys, today=TODAY)
    [kept] = trusted_keys(keys)
    kept.write_text(with_terms(kept, KeyTerms(date(2026, 11, 24))))
    with pytest.raises(KeyExpired):
        take_key(brought, keys=keys, today=TODAY)
    assert len(trusted_keys(keys)) == 1


def test_another_key_of_the_same_name_stays(brought: Path, keys: Path, tmp_path: Path) -> None:
    other = ensure_signing_key(tmp_path / "other" / "release.key")
    for key in (other, brought):
        take_key(key, keys=keys, today=TODAY)
    prints = {fingerprint(path) for path in trusted_keys(keys)}
    assert len(prints) == 2
    assert fingerprint(public_key_path(other)) in prints


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_and_nothing_is_kept(tmp_path: Path, keys: Path, content: bytes) -> None:
    path = tmp_path / "release.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadKey):
        take_key(path, keys=keys, today=TODAY)
    with pytest.raises(BadKey, match="no signing key"):
        take_key(tmp_path / "absent.key", keys=keys, today=TODAY)
    assert trusted_keys(keys) == ()


def test_a_key_that_others_can_read_is_refused(brought: Path, keys: Path) -> None:
    brought.chmod(stat.S_IRUSR | stat.S_IRGRP)
    with pytest.raises(BadKey, match="chmod 600"):
        take_key(brought, keys=keys, today=TODAY)


def test_a_last_day_under_another_name_counts(brought: Path, keys: Path) -> None:
    take_key(brought, keys=keys, today=TODAY)
    [kept] = trusted_keys(keys)
    kept.with_name("again.pub").write_text(with_terms(kept, KeyTerms(date(2026, 11, 24))))

    with pytest.raises(KeyExpired):
        take_key(brought, keys=keys, today=TODAY)


def test_a_public_key_in_the_place_of_a_private_one_is_called_that(brought: Path, keys: Path) -> None:
    ensure_signing_key(brought)

    with pytest.raises(BadKey, match=r"release\.key\.pub is a public key, and only its private half can sign"):
        take_key(public_key_path(brought), keys=keys, today=TODAY)


def test_a_curve_that_signs_no_bundle_is_refused_at_once(tmp_path: Path, keys: Path) -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    path = tmp_path / "release.key"
    path.touch(0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    with pytest.raises(BadKey, match="no private key that can sign"):
        take_key(path, keys=keys, today=TODAY)
