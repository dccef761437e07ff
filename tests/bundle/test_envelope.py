"""A signature is believed here exactly when the library that made it believes it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_signing import hashing, verifying

from trueup.bundle.envelope import why_not_signed
from trueup.bundle.layout import EVIDENCE_FOLDER, SIGNATURE
from trueup.bundle.package import BundleRef
from trueup.bundle.signing import ensure_signing_key, public_key_path

IGNORED = (EVIDENCE_FOLDER, SIGNATURE)
Tampering = Callable[[Path], None]


def library_believes(folder: Path, key: Path) -> bool:
    config = verifying.Config()  # type: ignore[no-untyped-call]  # the library leaves it untyped
    hashed = hashing.Config()  # type: ignore[no-untyped-call]  # the same
    config.set_hashing_config(hashed.set_ignored_paths(paths=[SIGNATURE, EVIDENCE_FOLDER], ignore_git_paths=False))
    config.use_elliptic_key_verifier(public_key=key)
    try:
        config.verify(folder, folder / SIGNATURE)
    except Exception:  # noqa: BLE001  # whatever it says, it does not believe
        return False
    return True


def reason(folder: Path, key: Path) -> str | None:
    signature = (folder / SIGNATURE).read_bytes()
    return why_not_signed(folder, signature=signature, key=key.read_bytes(), ignored=IGNORED)


def with_signature(change: Callable[[dict[str, Any]], None]) -> Tampering:
    def tamper(folder: Path) -> None:
        document = json.loads((folder / SIGNATURE).read_bytes())
        change(document)
        (folder / SIGNATURE).write_text(json.dumps(document))

    return tamper


def with_statement(change: Callable[[dict[str, Any]], None]) -> Tampering:
    def tamper(document: dict[str, Any]) -> None:
        statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
        change(statement)
        document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()

    return with_signature(tamper)


def nothing(folder: Path) -> None:
    """Leave it as it is."""


def add_evidence(folder: Path) -> None:
    (folder / EVIDENCE_FOLDER).mkdir(exist_ok=True)
    (folder / EVIDENCE_FOLDER / "later.json").write_text("{}")


def change_file(folder: Path) -> None:
    (folder / "golden.jsonl").write_text("{}\n")


def add_file(folder: Path) -> None:
    (folder / "model" / "extra.txt").write_text("x")


def remove_file(folder: Path) -> None:
    (folder / "golden.jsonl").unlink()


def swap_files(folder: Path) -> None:
    first, second = folder / "golden.jsonl", folder / "environment.lock"
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@pytest.mark.parametrize("change", [nothing, add_evidence])
def test_a_whole_bundle_is_believed_whatever_evidence_was_added(
    bundle: BundleRef, trusted: list[Path], tmp_path: Path, change: Tampering
) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    change(folder)
    assert reason(folder, trusted[0]) is None
    assert library_believes(folder, trusted[0])


@pytest.mark.parametrize(
    "change",
    [
        change_file,
        add_file,
        remove_file,
        swap_files,
        with_statement(lambda s: s["predicate"]["resources"].pop()),
        with_statement(lambda s: s["predicate"]["resources"].append(s["predicate"]["resources"][0])),
        with_statement(lambda s: s["predicate"]["serialization"].update(ignore_paths=["golden.jsonl"])),
        with_statement(lambda s: s.update(predicateType="https://model_signing/Digests/v0.1")),
        with_statement(lambda s: s["subject"][0]["digest"].update(sha256="0" * 64)),
        with_signature(lambda d: d["dsseEnvelope"]["signatures"][0].update(sig=base64.b64encode(b"x" * 70).decode())),
        with_signature(lambda d: d["dsseEnvelope"].update(signatures=[])),
        with_signature(lambda d: d["verificationMaterial"]["publicKey"].update(hint="0" * 64)),
        with_signature(lambda d: d.clear()),
    ],
)
def test_a_bundle_that_was_touched_is_believed_by_neither(
    bundle: BundleRef, trusted: list[Path], tmp_path: Path, change: Tampering
) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    change(folder)
    assert reason(folder, trusted[0]) is not None
    assert not library_believes(folder, trusted[0])


@pytest.mark.parametrize("seed", ["0", "1", "2", "3"])
def test_a_signature_is_believed_in_whatever_order_the_library_wrote_its_parts(
    bundle: BundleRef, signing_key: Path, trusted: list[Path], tmp_path: Path, seed: str
) -> None:
    folder = Path(shutil.copytree(bundle.path, tmp_path / "bundle"))
    code = "import sys; from pathlib import Path; from trueup.bundle.signing import sign_folder"
    code = f"{code}; sign_folder(Path(sys.argv[1]), signing_key=Path(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(folder), str(signing_key)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
    assert reason(folder, trusted[0]) is None


def test_another_key_is_not_believed(bundle: BundleRef, tmp_path: Path) -> None:
    other = public_key_path(ensure_signing_key(tmp_path / "other.pem"))
    assert reason(bundle.path, other) == "it is not of this key"


@pytest.mark.parametrize("signature", [b"", b"[]", b"null", b"[" * 100_000, b'{"dsseEnvelope": 5}', b"\xff"])
def test_a_file_that_is_no_signature_is_told_as_one(bundle: BundleRef, trusted: list[Path], signature: bytes) -> None:
    why = why_not_signed(bundle.path, signature=signature, key=trusted[0].read_bytes(), ignored=IGNORED)
    assert why is not None
    assert "no signature" in why


def test_what_is_no_key_is_refused_as_a_key(bundle: BundleRef) -> None:
    signature = (bundle.path / SIGNATURE).read_bytes()
    with pytest.raises(ValueError, match="PEM"):
        why_not_signed(bundle.path, signature=signature, key=b"no key", ignored=IGNORED)
