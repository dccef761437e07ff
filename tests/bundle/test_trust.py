"""A key is believed until its last day, or until it is revoked, and a refusal says which."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from trueup.bundle.archive import export_archive, import_archive
from trueup.bundle.errors import BadKey, KeyExpired, KeyRevoked
from trueup.bundle.loading import verify_bundle
from trueup.bundle.package import BundleContents, BundleRef, package
from trueup.bundle.signing import ensure_signing_key, public_key_path
from trueup.bundle.trust import KeyTerms, fingerprint, read_terms, terms_of, trusted_keys, with_terms

LAST_DAY, DAY_AFTER = date(2027, 6, 30), date(2027, 7, 1)


@pytest.fixture
def until(trusted: list[Path], tmp_path: Path) -> Path:
    """Return the public key of the tests, trusted until the last of June."""
    key = tmp_path / "maker.pub"
    key.write_text(with_terms(trusted[0], KeyTerms(LAST_DAY)))
    return key


@pytest.fixture
def revoked(trusted: list[Path], tmp_path: Path) -> Path:
    """Return the public key of the tests, revoked."""
    key = tmp_path / "revoked.pub"
    key.write_text(with_terms(trusted[0], KeyTerms(revoked="laptop stolen")))
    return key


def test_a_key_is_believed_on_its_last_day_and_refused_on_the_next(bundle: BundleRef, until: Path) -> None:
    assert verify_bundle(bundle.path, trusted_keys=[until], today=LAST_DAY).digest == bundle.digest

    with pytest.raises(KeyExpired, match=r"maker\.pub was trusted until 2027-06-30, and today is 2027-07-01") as told:
        verify_bundle(bundle.path, trusted_keys=[until], today=DAY_AFTER)
    assert told.value.facts["until"] == "2027-06-30"


def test_a_key_with_a_last_day_is_refused_where_nobody_says_which_day_it_is(bundle: BundleRef, until: Path) -> None:
    with pytest.raises(KeyExpired, match="does not say which day it is"):
        verify_bundle(bundle.path, trusted_keys=[until])


def test_a_revoked_key_is_refused_with_the_reason(bundle: BundleRef, revoked: Path) -> None:
    with pytest.raises(KeyRevoked, match="laptop stolen"):
        verify_bundle(bundle.path, trusted_keys=[revoked], today=LAST_DAY)


def test_a_revocation_holds_although_the_same_key_is_trusted_under_another_name(
    bundle: BundleRef, trusted: list[Path], revoked: Path
) -> None:
    with pytest.raises(KeyRevoked):
        verify_bundle(bundle.path, trusted_keys=[*trusted, revoked], today=LAST_DAY)


def test_the_first_last_day_of_a_key_holds_under_every_name(
    bundle: BundleRef, trusted: list[Path], until: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later.pub"
    later.write_text(with_terms(trusted[0], KeyTerms(date(2040, 1, 1))))

    assert terms_of(trusted[0], [until, later]) == KeyTerms(LAST_DAY)
    for keys in ([*trusted, until], [until, later], [later, until]):
        assert verify_bundle(bundle.path, trusted_keys=keys, today=LAST_DAY).digest == bundle.digest
        with pytest.raises(KeyExpired, match="2027-06-30"):
            verify_bundle(bundle.path, trusted_keys=keys, today=DAY_AFTER)


def test_terms_of_another_key_are_no_terms_of_this_one(trusted: list[Path], tmp_path: Path) -> None:
    other = public_key_path(ensure_signing_key(tmp_path / "other.pem"))
    other.write_text(with_terms(other, KeyTerms(revoked="stolen")))

    assert terms_of(trusted[0], [other]) == KeyTerms()


def test_another_trusted_key_does_not_save_what_an_expired_one_signed(
    bundle: BundleRef, until: Path, tmp_path: Path
) -> None:
    newer = public_key_path(ensure_signing_key(tmp_path / "newer.pem"))

    with pytest.raises(KeyExpired):
        verify_bundle(bundle.path, trusted_keys=[newer, until], today=DAY_AFTER)


def test_an_expired_or_revoked_key_signs_nothing(
    contents: BundleContents, signing_key: Path, until: Path, revoked: Path, tmp_path: Path
) -> None:
    key = Path(shutil.copy(signing_key, tmp_path / "key.pem"))
    shutil.copy(until, public_key_path(key))
    with pytest.raises(KeyExpired):
        package(contents, into=tmp_path / "bundles", signing_key=key, today=DAY_AFTER)
    shutil.copy(revoked, public_key_path(key))
    with pytest.raises(KeyRevoked):
        package(contents, into=tmp_path / "bundles", signing_key=key, today=LAST_DAY)

    assert list((tmp_path / "bundles").iterdir()) == []


def test_an_archive_signed_by_an_expired_key_neither_leaves_nor_enters(
    bundle: BundleRef, trusted: list[Path], until: Path, tmp_path: Path
) -> None:
    archive = export_archive(bundle.path, into=tmp_path / "out", trusted_keys=trusted)

    with pytest.raises(KeyExpired):
        export_archive(bundle.path, into=tmp_path / "other", trusted_keys=[until], today=DAY_AFTER)
    with pytest.raises(KeyExpired):
        import_archive(archive, into=tmp_path / "in", trusted_keys=[until], today=DAY_AFTER)
    assert list((tmp_path / "in").iterdir()) == []


def test_terms_are_read_back_and_replace_those_before(until: Path) -> None:
    until.write_text(with_terms(until, KeyTerms(DAY_AFTER, "rotated")))

    assert read_terms(until) == KeyTerms(DAY_AFTER, "rotated")
    assert until.read_text().count("Trueup-Until") == 1


def test_openssf_own_tool_reads_a_key_with_terms(bundle: BundleRef, until: Path) -> None:
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(bundle.path)]
    options = ["--signature", str(bundle.path / "signature.json"), "--public_key", str(until)]

    ran = subprocess.run([*command, *options], capture_output=True, check=False, text=True)

    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ("Trueup-Until: tomorrow", "no date such as"),
        ("Trueup-Until: 2027-01-01\nTrueup-Until: 2030-01-01", "twice"),
        ("Trueup-Untill: 2027-01-01", "not known"),
        ("trueup-until: 2027-01-01", "not known"),
        ("  Trueup-Until: 2027-01-01", "not known"),
        ("Trueup-Until 2020-01-01", "not known"),
        ("Trueup-Until= 2020-01-01", "not known"),
    ],
)
def test_terms_that_cannot_be_read_are_a_mistake_and_not_no_terms(
    bundle: BundleRef, trusted: list[Path], tmp_path: Path, terms: str, told: str
) -> None:
    key = tmp_path / "maker.pub"
    key.write_text(f"{terms}\n{trusted[0].read_text()}")

    with pytest.raises(BadKey, match=told):
        verify_bundle(bundle.path, trusted_keys=[key], today=LAST_DAY)


def test_a_term_below_the_key_is_a_mistake_and_not_no_term(
    bundle: BundleRef, trusted: list[Path], tmp_path: Path
) -> None:
    key = tmp_path / "maker.pub"
    key.write_text(f"{trusted[0].read_text()}\nTrueup-Until: 2020-01-01\n")

    with pytest.raises(BadKey, match="below the key"):
        verify_bundle(bundle.path, trusted_keys=[key], today=LAST_DAY)


@pytest.mark.parametrize("reason", ["two\nlines", "gestohl\u00e9n"])
def test_a_reason_is_one_plain_line(trusted: list[Path], reason: str) -> None:
    with pytest.raises(BadKey, match="one line"):
        with_terms(trusted[0], KeyTerms(revoked=reason))


def test_terms_are_given_to_public_keys_only(signing_key: Path, tmp_path: Path) -> None:
    (tmp_path / "no.pub").write_text("hello")

    with pytest.raises(BadKey, match="no public key"):
        with_terms(tmp_path / "no.pub", KeyTerms())
    with pytest.raises(BadKey, match="no public key"):
        with_terms(signing_key, KeyTerms())


def test_a_projects_own_key_comes_before_those_of_others(tmp_path: Path) -> None:
    (tmp_path / "trusted").mkdir()
    for name in ("bundle-signing.key.pub", "trusted/b.pub", "trusted/a.pub", "trusted/notes.txt"):
        (tmp_path / name).write_text("")

    found = trusted_keys(tmp_path, more=[tmp_path / "c.pub"])

    assert [path.name for path in found] == ["bundle-signing.key.pub", "a.pub", "b.pub", "c.pub"]
    assert trusted_keys(tmp_path / "none") == ()


def test_a_fingerprint_is_of_the_key_and_not_of_its_file(trusted: list[Path], until: Path) -> None:
    command = f"grep -v Trueup {until} | openssl pkey -pubin -outform DER | sha256sum"

    ran = subprocess.run(["sh", "-c", command], capture_output=True, check=True, text=True)

    assert fingerprint(until) == fingerprint(trusted[0]) == ran.stdout.split()[0]
