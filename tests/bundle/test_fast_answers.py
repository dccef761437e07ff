"""A bundle with a fast predictor answers in the caller's process, as its original does, without opening the pickle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trueup.bundle.errors import FeatureMissing, GoldenRowsDiffer, LibraryMissing, RowBreaksSchema
from trueup.bundle.latency import read_latencies
from trueup.bundle.layout import PLAN
from trueup.bundle.loading import open_bundle, verify_bundle
from trueup.bundle.package import BundleContents, BundleRef, package
from trueup.bundle.signing import sign_folder
from trueup.kernel.digests import canonical_json, digest_of_bytes


def random_table(rows: int) -> pa.Table:
    chance = np.random.default_rng(1)
    return pa.table({"amount": chance.normal(size=rows), "age": chance.uniform(18, 90, rows)})


def test_it_ships_with_its_plan_and_the_evidence(fast_bundle: BundleRef, trusted: list[Path]) -> None:
    manifest = verify_bundle(fast_bundle.path, trusted_keys=trusted)
    table = read_latencies(fast_bundle.path)

    assert manifest.predictor.kind in {"compiled", "onnx"}
    assert (manifest.predictor.tolerance, manifest.predictor.cutoff) == (1e-12, 0.4)
    assert PLAN in manifest.files
    assert table is not None
    assert table.shipped.kind == manifest.predictor.kind
    assert {timing.kind for timing in table.candidates} >= {"onnx", "original"}


def test_the_same_contents_give_the_same_digest(
    fast_bundle: BundleRef, fast_contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    assert package(fast_contents, into=tmp_path, signing_key=signing_key).digest == fast_bundle.digest


def test_ten_thousand_rows_get_the_originals_scores_and_decisions(fast_bundle: BundleRef, trusted: list[Path]) -> None:
    table = random_table(10_000)

    with (
        open_bundle(fast_bundle.path, trusted_keys=trusted) as fast,
        open_bundle(fast_bundle.path, trusted_keys=trusted, original=True) as original,
    ):
        found, expected = fast.score_table(table), original.score_table(table)
        assert (fast.predictor, original.predictor) == (fast.manifest.predictor.kind, "original")

    assert np.abs(found - expected).max() <= 1e-12
    assert np.array_equal(found >= 0.4, expected >= 0.4)


def test_rows_and_tables_give_the_same_bits_and_refusals(fast_bundle: BundleRef, trusted: list[Path]) -> None:
    rows = [*random_table(50).to_pylist(), {"amount": None, "age": 30.0}]
    table = pa.Table.from_pylist(rows)

    with open_bundle(fast_bundle.path, trusted_keys=trusted) as opened:
        by_row = opened.score_rows(rows)
        by_table = opened.score_table(table)
        with pytest.raises(RowBreaksSchema, match='row 0 lacks "age"'):
            opened.score_rows([{"amount": 1}])
        with pytest.raises(FeatureMissing, match='"amount"'):
            opened.score_table(table.drop_columns(["amount"]))
        assert opened.score_table(table.slice(0, 0)).shape == (0,)

    assert by_row[-1] is None
    assert np.isnan(by_table[-1])
    assert [output[0] for output in by_row[:-1] if output] == by_table[:-1].tolist()


_CLEAN = """
import sys
from pathlib import Path
from trueup.bundle.loading import open_bundle
opened = open_bundle(Path(sys.argv[1]), trusted_keys=[Path(sys.argv[2])])
print(opened.score_rows([{"amount": 0.5, "age": 40}]))
print([m for m in ("pandas", "sklearn", "lightgbm", "pyarrow", "duckdb", "sqlglot", "scipy") if m in sys.modules])
"""


def test_a_caller_that_loads_it_imports_no_heavy_library(fast_bundle: BundleRef, trusted: list[Path]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _CLEAN, str(fast_bundle.path), str(trusted[0])],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.splitlines()[1] == "[]"


def test_its_certificate_names_predictor_tolerance_and_rows(fast_bundle: BundleRef, trusted: list[Path]) -> None:
    with open_bundle(fast_bundle.path, trusted_keys=trusted) as opened:
        certificate = opened.certificate()

    assert certificate.bundle == fast_bundle.digest
    assert (certificate.predictor, certificate.tolerance) == (opened.manifest.predictor.kind, 1e-12)
    assert (certificate.differing, certificate.decisions_differ) == (0, 0)
    assert certificate.rows == len((fast_bundle.path / "golden.jsonl").read_text().splitlines())


def changed(bundle: BundleRef, key: Path, folder: Path, golden: bytes) -> Path:
    """Return a copy with other golden rows, signed anew by the trusted key."""
    copy = Path(shutil.copytree(bundle.path, folder / "changed"))
    (copy / "golden.jsonl").write_bytes(golden)
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"]["golden.jsonl"] = digest_of_bytes(golden)
    (copy / "manifest.json").write_text(canonical_json(manifest))
    named = copy.rename(folder / digest_of_bytes((copy / "manifest.json").read_bytes()))
    sign_folder(named, signing_key=key)
    return named


def test_a_golden_row_that_does_not_reproduce_refuses_the_bundle(
    fast_bundle: BundleRef, signing_key: Path, trusted: list[Path], tmp_path: Path
) -> None:
    lines = (fast_bundle.path / "golden.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    first["output"] = [(float.fromhex(first["output"][0]) + 1e-9).hex()]
    golden = "\n".join([canonical_json(first), *lines[1:], ""]).encode()

    with pytest.raises(GoldenRowsDiffer, match=f"1 of {len(lines)} golden rows do not reproduce here"):
        open_bundle(changed(fast_bundle, signing_key, tmp_path, golden), trusted_keys=trusted)


def test_a_decision_that_moves_refuses_the_bundle_though_within_the_tolerance(
    fast_bundle: BundleRef, signing_key: Path, trusted: list[Path], tmp_path: Path
) -> None:
    with open_bundle(fast_bundle.path, trusted_keys=trusted) as opened:
        score = next(iter(opened.score_rows([{"amount": 0.5, "age": 40}])))
    assert score is not None
    copy = Path(shutil.copytree(fast_bundle.path, tmp_path / "copy"))
    golden = canonical_json({"request": '{"age":40,"amount":0.5}', "output": [(score[0] - 1e-14).hex()]}) + "\n"
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["predictor"]["cutoff"] = score[0] - 5e-15
    (copy / "manifest.json").write_text(canonical_json(manifest))

    with pytest.raises(GoldenRowsDiffer, match="1 decision"):
        open_bundle(changed(BundleRef("", copy), signing_key, tmp_path, golden.encode()), trusted_keys=trusted)


def test_a_library_that_is_not_here_refuses_the_bundle_unless_the_original_is_asked_for(
    fast_bundle: BundleRef, trusted: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if verify_bundle(fast_bundle.path, trusted_keys=trusted).predictor.kind != "onnx":
        pytest.skip("the bundle of these tests needs no library")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(LibraryMissing, match="open the bundle with its original model"):
        open_bundle(fast_bundle.path, trusted_keys=trusted)
    open_bundle(fast_bundle.path, trusted_keys=trusted, original=True).close()
