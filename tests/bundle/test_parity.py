from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trueup.bundle.parity import ParityCertificate, describe_certificate, read_certificates

DIGEST = "ab12cd34" * 8
EQUAL = ParityCertificate(
    bundle=DIGEST,
    machine={"system": "Linux", "machine": "x86_64", "libc": "glibc 2.36", "implementation": "CPython"},
    versions={"python": "3.12.1", "numpy": "2.4.6"},
    rows=2046,
    differing=0,
    largest_difference=0.0,
    decisions_differ=None,
)


def test_a_certificate_reads_as_one_sentence() -> None:
    assert describe_certificate(EQUAL) == (
        "Bundle ab12cd34ab12 (original) gave all 2,046 golden rows as in development, largest difference 0 "
        "(Linux x86_64, python 3.12.1, numpy 2.4.6)"
    )


def test_a_difference_and_the_decisions_it_changes_are_told() -> None:
    other = replace(EQUAL, differing=3, largest_difference=None, decisions_differ=2)
    assert "gave 2,043 of 2,046 golden rows as in development, largest difference infinite" in describe_certificate(
        other
    )
    assert "decisions that differ 2" in describe_certificate(other)


def test_only_whole_certificates_of_this_bundle_are_read(tmp_path: Path) -> None:
    bundle = tmp_path / DIGEST
    (bundle / "evidence").mkdir(parents=True)
    (bundle / EQUAL.path).write_bytes(EQUAL.content)
    foreign = replace(EQUAL, bundle="00" * 32, versions={"python": "3.13.0"})
    (bundle / foreign.path).write_bytes(foreign.content)
    (bundle / "evidence" / "parity-broken.json").write_bytes(b'{"bundle": ')
    (bundle / "evidence" / "parity-list.json").write_bytes(b"[1]")
    (bundle / "evidence" / "parity-words.json").write_bytes(
        EQUAL.content.replace(b'"rows":', b'"rows":"many","other":')
    )
    (bundle / "evidence" / "parity-text.json").write_bytes(EQUAL.content.replace(b'"differing":0', b'"differing":"0"'))
    assert read_certificates(bundle) == (EQUAL,)


def test_a_bundle_without_evidence_has_no_certificate(tmp_path: Path) -> None:
    assert read_certificates(tmp_path) == ()
