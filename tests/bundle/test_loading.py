"""A bundle is verified before anything of it runs, and refused when it answers differently."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.bundle.errors import (
    BadManifest,
    BadSignature,
    BundleRefused,
    FeatureMissing,
    FilesDiffer,
    GoldenRowsDiffer,
    ModelFailed,
    PickleRefused,
    RowBreaksSchema,
)
from trueup.bundle.loading import open_bundle, open_process, verify_bundle
from trueup.bundle.manifest import Manifest, parse_manifest
from trueup.bundle.package import BundleRef
from trueup.bundle.signing import ensure_signing_key, public_key_path, sign_folder
from trueup.kernel.digests import canonical_json, digest_of_bytes


@pytest.fixture(scope="session")
def victim(bundle: BundleRef, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy that tests change and put back."""
    return Path(shutil.copytree(bundle.path, tmp_path_factory.mktemp("victims") / bundle.digest))


@pytest.fixture
def copied(bundle: BundleRef, tmp_path: Path) -> Path:
    """Return a copy for one test."""
    return Path(shutil.copytree(bundle.path, tmp_path / bundle.digest))


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def rewrite(folder: Path, key: Path | None, **entries: Any) -> Path:
    """Rewrite a bundle's manifest for the files that are there now, sign it when there is a key, and rename it."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    content = [n for n in names if n not in {"manifest.json", "signature.json"} and not n.startswith("evidence/")]
    manifest["files"] = {name: digest_of_bytes((folder / name).read_bytes()) for name in content}
    manifest |= entries
    (folder / "manifest.json").write_text(canonical_json(manifest))
    if key:
        sign_folder(folder, signing_key=key)
    return folder.rename(folder.with_name(digest_of_bytes((folder / "manifest.json").read_bytes())))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_byte_changed_anywhere_is_refused(victim: Path, trusted: list[Path], data: st.DataObject) -> None:
    files = sorted(p for p in victim.rglob("*") if p.is_file() and p.stat().st_size and "evidence" not in p.parts)
    path = data.draw(st.sampled_from(files))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[place] ^= data.draw(st.integers(1, 255))

    path.write_bytes(bytes(changed))
    try:
        with pytest.raises(BundleRefused, match=victim.name[:12]):
            verify_bundle(victim, trusted_keys=trusted)
    finally:
        path.write_bytes(content)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_missing_file_is_refused(victim: Path, trusted: list[Path], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(p for p in victim.rglob("*") if p.is_file() and "evidence" not in p.parts)))
    content = path.read_bytes()

    path.unlink()
    try:
        with pytest.raises(BundleRefused):
            verify_bundle(victim, trusted_keys=trusted)
    finally:
        path.write_bytes(content)


def test_an_untouched_bundle_verifies(victim: Path, trusted: list[Path], bundle: BundleRef) -> None:
    assert verify_bundle(victim, trusted_keys=trusted).digest == bundle.digest


def test_evidence_may_be_added_or_lost(copied: Path, trusted: list[Path], bundle: BundleRef) -> None:
    shutil.rmtree(copied / "evidence")
    assert verify_bundle(copied, trusted_keys=trusted).digest == bundle.digest

    (copied / "evidence").mkdir()
    (copied / "evidence" / "more.json").write_text("{}")
    assert verify_bundle(copied, trusted_keys=trusted).digest == bundle.digest


@pytest.mark.parametrize("extra", ["extra.txt", "code/json.py", "model/x/y", ".hidden"])
def test_an_extra_file_is_refused(copied: Path, trusted: list[Path], extra: str) -> None:
    (copied / extra).parent.mkdir(exist_ok=True)
    (copied / extra).write_text("")

    with pytest.raises(FilesDiffer, match=f"1 extra, first '{extra}'"):
        verify_bundle(copied, trusted_keys=trusted)


def test_an_extra_folder_is_refused(copied: Path, trusted: list[Path]) -> None:
    (copied / "code" / "sklearn").mkdir()

    with pytest.raises(FilesDiffer, match="extra folder 'code/sklearn'"):
        verify_bundle(copied, trusted_keys=trusted)


def test_a_link_is_refused_even_to_the_same_content(copied: Path, trusted: list[Path], tmp_path: Path) -> None:
    (copied / "golden.jsonl").rename(tmp_path / "golden.jsonl")
    (copied / "golden.jsonl").symlink_to(tmp_path / "golden.jsonl")

    with pytest.raises(FilesDiffer, match=r"'golden\.jsonl' is a link"):
        verify_bundle(copied, trusted_keys=trusted)


def test_a_linked_folder_is_refused(copied: Path, trusted: list[Path], tmp_path: Path) -> None:
    (copied / "code").rename(tmp_path / "code")
    (copied / "code").symlink_to(tmp_path / "code")

    with pytest.raises(FilesDiffer, match="'code' is a link"):
        verify_bundle(copied, trusted_keys=trusted)


def test_a_pipe_is_refused_without_being_read(copied: Path, trusted: list[Path]) -> None:
    (copied / "golden.jsonl").unlink()
    os.mkfifo(copied / "golden.jsonl")

    with pytest.raises(FilesDiffer, match="no plain file"):
        verify_bundle(copied, trusted_keys=trusted)


def test_a_key_that_is_not_trusted_is_refused(bundle: BundleRef, tmp_path: Path) -> None:
    other = public_key_path(ensure_signing_key(tmp_path / "other.pem"))

    with pytest.raises(BadSignature, match="not signed by any of the 1 trusted keys"):
        verify_bundle(bundle.path, trusted_keys=[other])
    with pytest.raises(BadSignature, match="no key is trusted"):
        verify_bundle(bundle.path, trusted_keys=[])


def test_one_trusted_key_of_several_is_enough(bundle: BundleRef, trusted: list[Path], tmp_path: Path) -> None:
    other = public_key_path(ensure_signing_key(tmp_path / "other.pem"))

    assert verify_bundle(bundle.path, trusted_keys=[other, *trusted]).digest == bundle.digest


def test_a_manifest_rewritten_for_changed_files_is_refused_without_a_signature(
    copied: Path, trusted: list[Path]
) -> None:
    (copied / "code" / "pipeline.py").write_text("changed = True")

    with pytest.raises(BadSignature):
        verify_bundle(rewrite(copied, None), trusted_keys=trusted)


def test_a_bundle_under_the_name_of_another_is_refused(copied: Path, trusted: list[Path], signing_key: Path) -> None:
    renamed = rewrite(copied, signing_key, model_version="2")
    digest = renamed.name
    impostor = renamed.rename(renamed.with_name("0" * 64))

    with pytest.raises(FilesDiffer, match=f"its manifest is that of {digest[:12]}"):
        verify_bundle(impostor, trusted_keys=trusted)
    with pytest.raises(FilesDiffer, match="bundle 111111111111 is refused"):
        verify_bundle(impostor, trusted_keys=trusted, digest="1" * 64)


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "model/../../x", "model//x", "other/x", "model\\x", "code/a:b"]
)
def test_a_manifest_that_lists_a_path_outside_is_refused(copied: Path, trusted: list[Path], path: str) -> None:
    manifest = json.loads((copied / "manifest.json").read_bytes())
    manifest["files"][path] = "0" * 64

    with pytest.raises(BadManifest, match="which no bundle may hold"):
        verify_bundle(rewrite(copied, None, files=manifest["files"]), trusted_keys=trusted)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'"\xff"', b"[" * 100_000, b'{"project":NaN}', b'{"project":"\\ud800"}']
)
def test_a_manifest_that_is_none_is_refused(copied: Path, trusted: list[Path], content: bytes) -> None:
    (copied / "manifest.json").write_bytes(content)

    with pytest.raises(BadManifest):
        verify_bundle(copied, trusted_keys=trusted)


def test_a_manifest_with_a_number_json_does_not_have_is_refused(bundle: BundleRef) -> None:
    content = (bundle.path / "manifest.json").read_bytes()

    with pytest.raises(BadManifest, match="canonical"):
        parse_manifest(content.replace(b'"auc":0.75', b'"auc":NaN'))
    with pytest.raises(BadManifest, match="canonical"):
        parse_manifest(content.replace(b'"auc":0.75', b'"auc":0.750'))


def test_a_manifest_of_a_later_format_says_which_one_is_read(bundle: BundleRef) -> None:
    content = (bundle.path / "manifest.json").read_bytes()

    with pytest.raises(BadManifest, match="format 3, and this version of Trueup reads format 2"):
        parse_manifest(content.replace(b'"format":2', b'"format":3'))


def test_nothing_of_a_refused_bundle_was_executed(copied: Path, trusted: list[Path], tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    (copied / "model" / "model.pkl").write_bytes(pickle.dumps(Bomb(mark)))

    with pytest.raises(FilesDiffer):
        open_bundle(copied, trusted_keys=trusted)
    with pytest.raises(BadSignature):
        open_bundle(rewrite(copied, None), trusted_keys=trusted)
    assert not mark.exists()


def test_a_pickle_that_calls_the_system_is_refused_even_under_a_trusted_signature(
    copied: Path, trusted: list[Path], signing_key: Path, tmp_path: Path
) -> None:
    mark, control = tmp_path / "executed", tmp_path / "control"
    (copied / "model" / "model.pkl").write_bytes(pickle.dumps(Bomb(mark)))

    with pytest.raises(PickleRefused, match=r"posix\.system.*nothing of it was run"):
        open_bundle(rewrite(copied, signing_key), trusted_keys=trusted)
    pickle.loads(pickle.dumps(Bomb(control)))
    assert (mark.exists(), control.exists()) == (False, True)


def test_an_opened_bundle_scores_rows_and_tables_alike(bundle: BundleRef, trusted: list[Path]) -> None:
    rows: list[dict[str, Any]] = [
        {"amount": 0.5, "broker": "b"},
        {"amount": None, "broker": "new"},
        {"amount": 7, "broker": None},
    ]
    table = pa.table({"broker": ["b", "new", None], "amount": [0.5, None, 7], "case_id": [1, 2, 3]})

    with open_bundle(bundle.path, trusted_keys=trusted) as opened:
        assert opened.score_rows(rows) == [(0.5,), (0.5,), (0.5,)]
        assert np.array_equal(opened.score_table(table), [0.5, 0.5, 0.5])
        assert opened.score_table(table.slice(0, 0)).shape == (0,)
        assert opened.environment_differences == ()
        assert opened.replay.differing == 0
        with pytest.raises(RowBreaksSchema, match='row 0 lacks "broker"'):
            opened.score_rows([{"amount": 1}])
        with pytest.raises(FeatureMissing, match='"amount"'):
            opened.score_table(table.drop_columns(["amount"]))
        assert opened.score_rows(rows[:1]) == [(0.5,)]
    with pytest.raises(ModelFailed, match="closed"):
        opened.score_rows(rows)
    assert not list(bundle.path.rglob("__pycache__"))


def test_a_compiled_bundle_has_no_process(fast_bundle: BundleRef, trusted: list[Path]) -> None:
    with pytest.raises(BadManifest, match="compiled"):
        open_process(fast_bundle.path, trusted_keys=trusted)


def test_a_bundle_whose_golden_rows_differ_is_refused_with_the_figures(
    copied: Path, trusted: list[Path], signing_key: Path
) -> None:
    lines = (copied / "golden.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    first["output"] = [(float.fromhex(first["output"][0]) + 0.125).hex()]
    (copied / "golden.jsonl").write_text("\n".join([canonical_json(first), *lines[1:]]) + "\n")

    with pytest.raises(GoldenRowsDiffer, match=f"1 of {len(lines)} golden rows.*largest difference is 0.125") as caught:
        open_bundle(rewrite(copied, signing_key), trusted_keys=trusted)
    assert caught.value.code == "bundle.golden-rows-differ"
    assert caught.value.facts["differing"] == 1


def test_an_environment_that_differs_is_told_by_name(copied: Path, trusted: list[Path], signing_key: Path) -> None:
    lock = (copied / "environment.lock").read_text() + "no-such-thing==1.0\n"
    (copied / "environment.lock").write_text(lock)
    changed = rewrite(copied, signing_key, lock_digest=digest_of_bytes(lock.encode()))

    with open_bundle(changed, trusted_keys=trusted) as opened:
        assert [str(d) for d in opened.environment_differences] == ["no-such-thing 1.0 is absent"]


def test_a_model_that_ends_its_process_is_an_error_here_not_an_end(
    copied: Path, trusted: list[Path], signing_key: Path
) -> None:
    (copied / "code" / "pipeline.py").write_text("import os\nos._exit(3)\n")

    with pytest.raises(ModelFailed, match="ended with exit code 3"):
        open_bundle(rewrite(copied, signing_key), trusted_keys=trusted)


def test_a_manifest_survives_its_bytes(bundle: BundleRef) -> None:
    content = (bundle.path / "manifest.json").read_bytes()

    manifest = parse_manifest(content)

    assert isinstance(manifest, Manifest)
    assert manifest.content == content
    assert manifest.features[1].categories == ("a", "b")
