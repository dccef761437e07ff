"""Does a signature hold for exactly one charter, and for nothing else?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trueup.align.signoff import local_key, sign_charter
from trueup.cli.signature import FILE, find_signature, keep_signature

DIGEST, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    key = local_key(tmp_path / "charter.key")
    keep_signature(tmp_path, sign_charter(DIGEST, key, signer="head@example.com", signed_at=0), signed_text="")
    return tmp_path


def test_a_signature_is_found_for_its_charter(signed: Path) -> None:
    found = find_signature(signed, DIGEST)
    assert found is not None
    assert (found.signer, found.kind) == ("head@example.com", "self-signed")


def test_another_charter_is_not_signed(signed: Path) -> None:
    assert find_signature(signed, OTHER) is None


def test_without_a_file_nothing_is_signed(tmp_path: Path) -> None:
    assert find_signature(tmp_path, DIGEST) is None


@pytest.mark.parametrize(("field", "value"), [("charter_digest", OTHER), ("signer", "thief@example.com")])
def test_a_changed_signature_does_not_hold(signed: Path, field: str, value: str) -> None:
    document = json.loads((signed / FILE).read_text())
    (signed / FILE).write_text(json.dumps({**document, field: value}))
    assert find_signature(signed, OTHER if field == "charter_digest" else DIGEST) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"kind": 1}'])
def test_a_damaged_file_is_no_signature(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert find_signature(tmp_path, DIGEST) is None
