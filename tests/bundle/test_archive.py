"""A bundle travels as one file and comes back whole, or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from trueup.bundle.archive import export_archive, import_archive
from trueup.bundle.errors import BadArchive, BadSignature, BundleNotFound, BundleRefused, CannotWrite
from trueup.bundle.loading import verify_bundle
from trueup.bundle.package import BundleRef
from trueup.bundle.signing import ensure_signing_key, public_key_path


def hostile(folder: Path, entry: tarfile.TarInfo, content: bytes = b"") -> Path:
    """Write an archive with one entry."""
    path = folder / "hostile.tar.gz"
    entry.size = len(content)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return path


def named(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return an entry of any kind."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def test_an_archive_comes_back_as_the_same_bundle(bundle: BundleRef, trusted: list[Path], tmp_path: Path) -> None:
    archive = export_archive(bundle.path, into=tmp_path / "out", trusted_keys=trusted)

    back = import_archive(archive, into=tmp_path / "in", trusted_keys=trusted)

    assert back == tmp_path / "in" / bundle.digest
    assert verify_bundle(back, trusted_keys=trusted).digest == bundle.digest
    for path in (p for p in bundle.path.rglob("*") if p.is_file()):
        assert (back / path.relative_to(bundle.path)).read_bytes() == path.read_bytes()
    assert [p.name for p in (tmp_path / "in").iterdir()] == [bundle.digest]


def test_a_bundle_that_is_there_keeps_its_evidence_and_a_damaged_one_is_healed(
    bundle: BundleRef, trusted: list[Path], tmp_path: Path
) -> None:
    archive = export_archive(bundle.path, into=tmp_path / "out", trusted_keys=trusted)
    back = import_archive(archive, into=tmp_path / "in", trusted_keys=trusted)
    (back / "evidence" / "parity-000000000000.json").write_text("found elsewhere")

    import_archive(archive, into=tmp_path / "in", trusted_keys=trusted)
    assert (back / "evidence" / "parity-000000000000.json").read_text() == "found elsewhere"

    (back / "golden.jsonl").write_text("damaged")
    import_archive(archive, into=tmp_path / "in", trusted_keys=trusted)
    assert verify_bundle(back, trusted_keys=trusted).digest == bundle.digest


def test_the_same_folder_gives_the_same_archive(bundle: BundleRef, trusted: list[Path], tmp_path: Path) -> None:
    first = export_archive(bundle.path, into=tmp_path / "a", trusted_keys=trusted)
    second = export_archive(bundle.path, into=tmp_path / "b", trusted_keys=trusted)

    assert first.read_bytes() == second.read_bytes()
    assert first.name == f"{bundle.digest}.trueup.tar.gz"


@pytest.mark.parametrize(
    "entry",
    [
        named("../x"),
        named("/tmp/x"),
        named("model/../../x"),
        named("model/x", tarfile.SYMTYPE, "/etc/passwd"),
        named("model/x", tarfile.LNKTYPE, "manifest.json"),
        named("model", tarfile.DIRTYPE),
        named("model/x", tarfile.FIFOTYPE),
        named("model/x", tarfile.CHRTYPE),
        named("somewhere/x"),
    ],
    ids=lambda entry: f"{entry.name} {entry.type!r}",
)
def test_an_archive_that_would_write_elsewhere_is_refused_and_leaves_nothing(
    tmp_path: Path, trusted: list[Path], entry: tarfile.TarInfo
) -> None:
    with pytest.raises(BadArchive):
        import_archive(hostile(tmp_path, entry), into=tmp_path / "in", trusted_keys=trusted)

    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.tar.gz", "in"]
    assert list((tmp_path / "in").iterdir()) == []


def test_a_name_twice_is_refused(tmp_path: Path, trusted: list[Path]) -> None:
    path = tmp_path / "twice.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(named("manifest.json"), io.BytesIO())
        archive.addfile(named("manifest.json"), io.BytesIO())

    with pytest.raises(BadArchive, match="twice"):
        import_archive(path, into=tmp_path / "in", trusted_keys=trusted)


@pytest.mark.parametrize("keep", [0, 1, 10, 500, -1, -20])
def test_a_cut_archive_is_refused_and_leaves_nothing(
    bundle: BundleRef, trusted: list[Path], tmp_path: Path, keep: int
) -> None:
    archive = export_archive(bundle.path, into=tmp_path, trusted_keys=trusted)
    archive.write_bytes(archive.read_bytes()[:keep])

    with pytest.raises(BundleRefused):
        import_archive(archive, into=tmp_path / "in", trusted_keys=trusted)
    assert list((tmp_path / "in").iterdir()) == []


def test_an_archive_of_somebody_else_is_refused(bundle: BundleRef, trusted: list[Path], tmp_path: Path) -> None:
    archive = export_archive(bundle.path, into=tmp_path, trusted_keys=trusted)
    mine = public_key_path(ensure_signing_key(tmp_path / "mine.pem"))

    with pytest.raises(BadSignature):
        import_archive(archive, into=tmp_path / "in", trusted_keys=[mine])
    assert list((tmp_path / "in").iterdir()) == []


def test_an_archive_that_is_not_there_is_named(tmp_path: Path, trusted: list[Path]) -> None:
    with pytest.raises(BundleNotFound, match="there is no archive"):
        import_archive(tmp_path / "none.tar.gz", into=tmp_path, trusted_keys=trusted)


def test_a_place_that_cannot_be_written_is_a_clear_error(
    bundle: BundleRef, trusted: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CannotWrite):
        export_archive(bundle.path, into=tmp_path / "file" / "out", trusted_keys=trusted)
