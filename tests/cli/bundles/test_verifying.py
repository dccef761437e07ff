"""A damaged bundle is refused with the reason, exit code 1, and nothing of it runs."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trueup.bundle.loading import open_bundle
from trueup.bundle.signing import public_key_path
from trueup.cli.main import main
from trueup.kernel.digests import canonical_json

Folder = Callable[[str], Path]
Signed = Callable[..., str]


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Run a command that must fail a check and return the error it tells."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 1
    error: dict[str, Any] = json.loads(capsys.readouterr().out)["error"]
    return error


@pytest.mark.usefixtures("nothing_runs")
def test_an_intact_bundle_is_verified_without_executing_anything(
    project: Path, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "verify", first[:8], "--project", str(project), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["bundle"] == first
    results = {check["name"]: check["result"] for check in told["checks"]}
    assert results | {"golden rows": "not checked"} == results
    assert {results[name] for name in ("files", "signature", "pickle", "environment")} == {"ok"}


@pytest.mark.usefixtures("nothing_runs")
def test_golden_rows_are_replayed_when_asked_without_opening_the_pickle(
    project: Path, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "verify", first[:8], "--replay", "--project", str(project), "--json"]) == 0

    [golden] = [c for c in json.loads(capsys.readouterr().out)["checks"] if c["name"] == "golden rows"]
    assert golden["result"] == "ok"


def test_the_watch_sees_the_process_of_an_original_model(
    project: Path, first: str, folder_of: Folder, watch: list[str]
) -> None:
    key = public_key_path(project / ".trueup" / "keys" / "bundle-signing.key")

    open_bundle(folder_of(first), trusted_keys=[key], original=True).close()

    assert any(event.startswith("subprocess.Popen") for event in watch)


@pytest.mark.usefixtures("nothing_runs")
def test_a_byte_flipped_first_middle_or_last_in_any_file_is_refused(
    project: Path, first: str, folder_of: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(first)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.parent.name != "evidence")
    assert {p.name for p in files} >= {"manifest.json", "signature.json", "golden.jsonl", "environment.lock"}
    for path in (p for p in files if p.stat().st_size):
        content = path.read_bytes()
        for place in {0, len(content) // 2, len(content) - 1}:
            flipped = bytearray(content)
            flipped[place] ^= 1
            path.write_bytes(bytes(flipped))
            for more in ([], ["--replay"]):
                error = refused(["bundle", "verify", first, *more, "--project", str(project)], capsys)
                assert error["code"] in {"bundle.files-differ", "bundle.bad-manifest", "bundle.bad-signature"}
                assert "is refused" in error["message"], path
        path.write_bytes(content)


@pytest.mark.usefixtures("nothing_runs")
def test_an_expired_key_is_refused_with_its_last_day(
    project: Path, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "trust", "bundle-signing.key", "--until", "2020-12-31", "--project", str(project)]) == 0

    error = refused(["bundle", "verify", first, "--replay", "--project", str(project)], capsys)

    assert error["code"] == "bundle.key-expired"
    assert "was trusted until 2020-12-31" in error["message"]


@pytest.mark.usefixtures("nothing_runs")
def test_a_revoked_key_is_refused_with_its_reason(
    project: Path, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "trust", "bundle-signing.key", "--revoke", "laptop stolen", "--project", str(project)]) == 0

    error = refused(["bundle", "verify", first, "--replay", "--project", str(project)], capsys)

    assert error["code"] == "bundle.key-revoked"
    assert "laptop stolen" in error["message"]


@pytest.mark.usefixtures("nothing_runs")
def test_a_lock_that_is_not_the_manifests_is_refused(
    project: Path, first: str, folder_of: Folder, signed_again: Signed, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = signed_again(folder_of(first), lock_digest="0" * 64)

    error = refused(["bundle", "verify", digest, "--replay", "--project", str(project)], capsys)

    assert "environment.lock" in error["message"]


@pytest.mark.usefixtures("nothing_runs")
def test_a_pickle_with_os_system_is_refused_although_a_trusted_key_signed_it(
    project: Path,
    first: str,
    folder_of: Folder,
    signed_again: Signed,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder_of(first) / "model" / "model.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    digest = signed_again(folder_of(first))

    error = refused(["bundle", "verify", digest, "--project", str(project)], capsys)

    assert error["code"] == "bundle.pickle-refused"
    assert "system" in error["message"]
    assert not (tmp_path / "canary").exists()


def test_a_golden_row_that_no_longer_reproduces_is_refused(
    project: Path, first: str, folder_of: Folder, signed_again: Signed, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = folder_of(first) / "golden.jsonl"
    lines = golden.read_text().splitlines()
    row = json.loads(lines[7])
    row["output"] = [(float.fromhex(row["output"][0]) + 0.001).hex()]
    lines[7] = canonical_json(row)
    golden.write_text("".join(f"{line}\n" for line in lines))
    digest = signed_again(folder_of(first))

    error = refused(["bundle", "verify", digest, "--replay", "--project", str(project)], capsys)

    assert error["code"] == "bundle.golden-rows-differ"
    assert "1 of" in error["message"]


def test_a_bundle_is_found_by_digest_folder_and_archive(
    project: Path, first: str, folder_of: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "export", first, "--into", str(tmp_path), "--project", str(project)]) == 0
    for named in (first[:4], first, str(folder_of(first)), str(tmp_path / f"{first}.trueup.tar.gz")):
        capsys.readouterr()
        assert main(["bundle", "verify", named, "--project", str(project), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["bundle"] == first


def test_without_a_name_it_is_the_bundle_that_was_packaged_last(
    project: Path, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "verify", "--project", str(project), "--json"]) == 2
    assert "nothing was packaged here yet" in json.loads(capsys.readouterr().out)["error"]["message"]

    (project / ".trueup" / "lake" / "last-bundle").write_text(f"{first}\n")

    assert main(["bundle", "verify", "--project", str(project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] == first


def test_a_bundle_that_is_not_there_is_named_with_those_that_are(
    project: Path, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "verify", "0000", "--project", str(project), "--json"]) == 2

    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "bundle.not-found"
    assert first[:12] in error["message"]


def test_without_the_makers_key_a_bundle_is_refused_and_with_it_verified(
    project: Path, first: str, folder_of: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = ["--project", str(tmp_path)]
    error = refused(["bundle", "verify", str(folder_of(first)), *elsewhere], capsys)
    assert "no key is trusted" in error["message"]

    key = str(project / ".trueup" / "keys" / "bundle-signing.key.pub")
    assert main(["bundle", "verify", str(folder_of(first)), "--key", key, *elsewhere]) == 0


def _advisory(folder: Path, name: str) -> str:
    every = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [every]}]
    path = folder / "advisory.json"
    path.write_text(json.dumps({"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": affected}))
    return str(path)


@pytest.mark.usefixtures("nothing_runs")
def test_versions_of_a_bundle_that_became_vulnerable_fail_the_check(
    project: Path, first: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    known = ["--vulnerabilities", _advisory(tmp_path, "numpy")]
    error = refused(["bundle", "verify", first, "--project", str(project), *known], capsys)
    assert error["code"] == "bundle.vulnerable-versions"
    assert "X-1" in error["message"]


@pytest.mark.usefixtures("nothing_runs")
def test_without_a_database_vulnerabilities_are_not_checked_and_with_one_they_are(
    project: Path, first: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["bundle", "verify", first, "--project", str(project), "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["vulnerabilities"]["result"] == "not checked"
    assert main([*arguments, "--vulnerabilities", _advisory(tmp_path, "no-such-package")]) == 0
    assert json.loads(capsys.readouterr().out)["vulnerabilities"]["result"] == "none known"


def test_a_database_that_is_none_is_bad_input_and_no_clean_bill(
    project: Path, first: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "osv.json").write_text("{}")
    known = ["--vulnerabilities", str(tmp_path / "osv.json")]
    assert main(["bundle", "verify", first, "--project", str(project), *known]) == 2
    captured = capsys.readouterr()
    assert "osv.json" in captured.err
    assert "Vulnerabilities" not in captured.out
