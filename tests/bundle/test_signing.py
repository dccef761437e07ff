"""Keys are private, and signatures fit the tools of OpenSSF."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trueup.bundle.errors import BadKey, BadSignature
from trueup.bundle.package import BundleRef
from trueup.bundle.signing import ensure_signing_key, public_key_path, sign_folder, verify_signature


def test_a_key_is_made_on_first_use_for_its_owner_only_and_kept(tmp_path: Path) -> None:
    key = ensure_signing_key(tmp_path / "keys" / "signing.pem")
    content = key.read_bytes()

    ensure_signing_key(key)

    assert key.read_bytes() == content
    assert key.stat().st_mode & 0o777 == 0o600
    assert public_key_path(key).read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    assert sorted(p.name for p in key.parent.iterdir()) == ["signing.pem", "signing.pem.pub"]


def test_a_key_that_others_can_read_does_not_sign(tmp_path: Path) -> None:
    key = ensure_signing_key(tmp_path / "signing.pem")
    key.chmod(0o644)
    (tmp_path / "folder").mkdir()

    with pytest.raises(BadKey, match="chmod 600"):
        sign_folder(tmp_path / "folder", signing_key=key)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "signing.pem").write_text("not a key")
    (tmp_path / "signing.pem").chmod(0o600)

    with pytest.raises(BadKey, match="no private key that can sign"):
        ensure_signing_key(tmp_path / "signing.pem")
    with pytest.raises(BadKey, match="no private key that can sign"):
        sign_folder(tmp_path, signing_key=tmp_path / "signing.pem")


def test_a_file_that_is_no_public_key_is_named(bundle: BundleRef, tmp_path: Path) -> None:
    (tmp_path / "other.pub").write_text("not a key")

    with pytest.raises(BadKey, match=r"other\.pub is no public key"):
        verify_signature(bundle.path, trusted_keys=[tmp_path / "other.pub"])


def test_openssf_own_tool_verifies_the_signature(bundle: BundleRef, trusted: list[Path]) -> None:
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(bundle.path)]
    options = ["--signature", str(bundle.path / "signature.json"), "--public_key", str(trusted[0])]

    ran = subprocess.run([*command, *options], capture_output=True, check=False, text=True)

    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("change", ["space", "extra", "hint", "base64"])
def test_a_signature_has_only_one_spelling(bundle: BundleRef, trusted: list[Path], tmp_path: Path, change: str) -> None:
    import shutil

    folder = Path(shutil.copytree(bundle.path, tmp_path / bundle.digest))
    signature = json.loads((folder / "signature.json").read_bytes())
    if change == "extra":
        signature["note"] = "approved"
    if change == "hint":
        key = signature["verificationMaterial"]["publicKey"]
        key["hint"] = key["hint"].upper()
    if change == "base64":
        envelope = signature["dsseEnvelope"]
        envelope["payload"] += "\n"
    spaces = (", ", ": ") if change == "space" else (",", ":")
    (folder / "signature.json").write_text(json.dumps(signature, sort_keys=True, separators=spaces))

    with pytest.raises(BadSignature, match="changed after it was signed"):
        verify_signature(folder, trusted_keys=trusted)
