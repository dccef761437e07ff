"""A model becomes a bundle, the same each time, at once or not at all."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from trueup.align.charter import PackageSpec
from trueup.bundle.errors import BundleError, CannotWrite, GoldenRowsDiffer, ModelFailed, VulnerableVersions
from trueup.bundle.loading import verify_bundle
from trueup.bundle.manifest import parse_manifest
from trueup.bundle.package import BundleContents, BundleRef, code_files, package


def test_the_same_contents_give_the_same_digest_in_any_folder_with_any_key(
    bundle: BundleRef, contents: BundleContents, tmp_path: Path
) -> None:
    from trueup.bundle.signing import ensure_signing_key

    again = package(contents, into=tmp_path / "bundles", signing_key=ensure_signing_key(tmp_path / "other.pem"))

    assert again.digest == bundle.digest
    for path in parse_manifest((bundle.path / "manifest.json").read_bytes()).files:
        assert (again.path / path).read_bytes() == (bundle.path / path).read_bytes()


def test_packaging_again_keeps_the_bundle_that_is_there(
    bundle: BundleRef, contents: BundleContents, signing_key: Path
) -> None:
    before = (bundle.path / "signature.json").read_bytes()

    again = package(contents, into=bundle.path.parent, signing_key=signing_key)

    assert again == bundle
    assert (bundle.path / "signature.json").read_bytes() == before
    assert [p.name for p in bundle.path.parent.iterdir()] == [bundle.digest]


def test_packaging_again_heals_a_damaged_bundle(
    bundle: BundleRef, contents: BundleContents, signing_key: Path, trusted: list[Path], tmp_path: Path
) -> None:
    damaged = tmp_path / bundle.digest
    shutil.copytree(bundle.path, damaged)
    (damaged / "golden.jsonl").unlink()

    package(contents, into=tmp_path, signing_key=signing_key)

    assert verify_bundle(damaged, trusted_keys=trusted).digest == bundle.digest
    assert [p.name for p in tmp_path.iterdir()] == [bundle.digest]


def test_a_bundle_is_named_by_the_digest_of_its_manifest(bundle: BundleRef) -> None:
    import hashlib

    content = (bundle.path / "manifest.json").read_bytes()

    assert bundle.path.name == bundle.digest == hashlib.sha256(content).hexdigest()


def test_golden_rows_hold_the_outputs_counted_by_hand(bundle: BundleRef) -> None:
    lines = [json.loads(line) for line in (bundle.path / "golden.jsonl").read_text().splitlines()]

    found = {line["request"]: [float.fromhex(x) for x in line["output"]] for line in lines}

    assert found['{"amount":0.5,"broker":"a"}'] == [0.5]
    assert found['{"amount":20.0,"broker":"zzz"}'] == [0.5]
    assert found['{"amount":0.9999999999999999,"broker":null}'] == [0.5 + (1 - 2**-53) / 2]
    assert found['{"amount":null,"broker":1.5}'] == [0.5]


def test_the_model_folder_is_described_for_mlflow(bundle: BundleRef) -> None:
    described = yaml.safe_load((bundle.path / "model" / "MLmodel").read_text())

    assert set(described["flavors"]) == {"python_function", "sklearn"}
    assert (bundle.path / "model" / described["flavors"]["sklearn"]["pickled_model"]).is_file()
    assert "utc_time_created" not in described


def test_the_certificate_says_that_nothing_differs_and_names_no_host(bundle: BundleRef) -> None:
    import platform

    [path] = (bundle.path / "evidence").glob("parity-*")
    certificate = json.loads(path.read_text())

    assert (certificate["differing"], certificate["largest_difference"], certificate["decisions_differ"]) == (0, 0.0, 0)
    assert certificate["versions"]["python"] == platform.python_version()
    assert platform.node() not in certificate["machine"].values()


def test_a_model_that_answers_differently_each_time_is_not_published(
    contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    dice = contents.code["pipeline.py"].replace(
        b"score = score +", b"score = score + np.random.default_rng().random() / 9 +"
    )

    with pytest.raises(GoldenRowsDiffer, match="golden rows do not reproduce"):
        package(replace(contents, code={**contents.code, "pipeline.py": dice}), into=tmp_path, signing_key=signing_key)
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_answer_depends_on_the_other_rows_of_a_request_is_not_published(
    contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    among_all = contents.code["pipeline.py"].replace(b"amount / 2, 0.0)", b"amount / 2, 0.0) + 1e-3 * len(amount)")
    company = replace(contents, code={**contents.code, "pipeline.py": among_all})

    with pytest.raises(GoldenRowsDiffer, match="differently alone than among others"):
        package(company, into=tmp_path / "bundles", signing_key=signing_key)

    assert not list((tmp_path / "bundles").glob("[0-9a-f]*"))


def test_a_model_without_its_code_is_refused_by_the_module_it_needs(
    contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelFailed, match='needs the module "pipeline"'):
        package(replace(contents, code={}), into=tmp_path, signing_key=signing_key)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_scores_no_golden_row_is_refused(
    contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    broken = b"class Model:\n    def predict_proba(self, frame):\n        raise ValueError\n"

    with pytest.raises(BundleError, match="scored none of the"):
        package(
            replace(contents, code={**contents.code, "pipeline.py": broken}), into=tmp_path, signing_key=signing_key
        )


def test_a_path_that_leaves_the_bundle_is_refused(contents: BundleContents, signing_key: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="cannot be a path in a bundle"):
        package(replace(contents, code={"../pipeline.py": b""}), into=tmp_path, signing_key=signing_key)


def test_a_file_in_place_of_the_folder_is_a_clear_error(
    contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CannotWrite, match="Nothing was published; choose a folder"):
        package(contents, into=tmp_path / "file" / "bundles", signing_key=signing_key)


def test_code_files_leave_tests_and_hidden_folders_out(tmp_path: Path) -> None:
    for name in ("pipeline.py", "parts/more.py", "tests/test_x.py", ".hidden/y.py", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")

    assert sorted(code_files(tmp_path)) == ["parts/more.py", "pipeline.py"]


_SMALL_DISK = """
import pickle, subprocess, sys
from pathlib import Path
from trueup.bundle.errors import CannotWrite
from trueup.bundle.package import package
contents, key, folder, options = pickle.loads(sys.stdin.buffer.read())
subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
try:
    package(contents, into=Path(folder), signing_key=key)
except CannotWrite as error:
    print(error.message)
print(list(Path(folder).iterdir()))
"""


@pytest.mark.parametrize(
    ("options", "reason"), [("size=16k", "no space left on device"), ("ro", "read-only file system")]
)
def test_a_full_or_read_only_disk_is_a_clear_error_and_leaves_nothing(
    contents: BundleContents, signing_key: Path, tmp_path: Path, options: str, reason: str
) -> None:
    unshare = shutil.which("unshare")
    if not unshare or subprocess.run([unshare, "-rm", "mount", "-t", "tmpfs", "t", tmp_path], check=False).returncode:
        pytest.skip("this system does not let a test mount a small disk")

    ran = subprocess.run(
        [unshare, "-rm", sys.executable, "-c", _SMALL_DISK],
        input=pickle.dumps((contents, signing_key, str(tmp_path), options)),
        capture_output=True,
        check=True,
    )

    message, left = ran.stdout.decode().splitlines()
    assert reason in message
    assert "Nothing was published" in message
    assert left == "[]"


_KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from trueup.bundle.loading import verify_bundle
from trueup.bundle.package import package
from trueup.bundle.signing import public_key_path
import model_signing.signing, pyarrow

contents, key, folder, points = pickle.loads(sys.stdin.buffer.read())
into = Path(folder)

def attempt(kill_at):
    steps = 0
    def count(event, arguments):
        nonlocal steps
        if event in ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove", "subprocess.Popen"):
            if event == "subprocess.Popen" or str(arguments[0]).startswith(folder):
                steps += 1
                if steps == kill_at:
                    os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    package(contents, into=into, signing_key=key)
    return steps

def forked(kill_at):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(attempt(kill_at)).encode())
        os._exit(0)
    os.close(writer)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        return status, answer.read()

def published():
    return [p for p in into.iterdir() if not p.name.startswith(".")]

import shutil
status, total = forked(-1)
assert status == 0, status
for point in range(points):
    for path in published():
        shutil.rmtree(path)
    at = 1 + point * (int(total) - 1) // (points - 1)
    status, _ = forked(at)
    assert os.WIFSIGNALED(status), (at, total, status)
    for path in published():
        verify_bundle(path, trusted_keys=[public_key_path(key)])
    print(at, len(published()))
package(contents, into=into, signing_key=key)
print("left", sorted(p.name for p in into.iterdir() if p.name.startswith(".") and any(p.iterdir())))
print("total", total, len(published()))
"""


def test_killed_at_any_moment_nothing_half_made_is_published_and_the_next_run_works(
    contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    few = replace(contents, golden_requests=contents.golden_requests[:3])

    ran = subprocess.run(
        [sys.executable, "-c", _KILLED],
        input=pickle.dumps((few, signing_key, str(tmp_path), 8)),
        capture_output=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr.decode()
    lines = ran.stdout.decode().splitlines()
    assert len(lines) == 10
    assert lines[-2] == "left []"
    assert lines[-1].endswith(" 1")


def _database(folder: Path, name: str) -> Path:
    """Return an OSV record that says every version of a distribution is vulnerable."""
    every = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [every]}]
    path = folder / "advisory.json"
    path.write_text(json.dumps({"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": affected}))
    return path


def test_versions_that_are_known_to_be_vulnerable_publish_nothing(
    contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    database = _database(tmp_path, "numpy")
    with pytest.raises(VulnerableVersions, match=r"numpy .*: X-1, no fixed version is named"):
        package(contents, into=tmp_path / "bundles", signing_key=signing_key, advisories=database)
    assert not (tmp_path / "bundles").exists()


def test_what_the_database_said_is_kept_as_evidence_beside_what_it_said_before(
    contents: BundleContents, signing_key: Path, tmp_path: Path
) -> None:
    warn, into = PackageSpec("warn"), tmp_path / "bundles"
    database = _database(tmp_path, "numpy")
    first = package(contents, into=into, signing_key=signing_key, spec=warn, advisories=database)
    database = _database(tmp_path, "no-such-package")
    second = package(contents, into=into, signing_key=signing_key, spec=warn, advisories=database)

    assert second.digest == first.digest
    kept = [json.loads(path.read_bytes()) for path in (first.path / "evidence").glob("vulnerabilities-*.json")]
    assert sorted(check["result"] for check in kept) == ["found", "none known"]
    assert all(check["distributions"] > 10 for check in kept)


def test_without_a_database_the_evidence_says_not_checked(bundle: BundleRef) -> None:
    [path] = (bundle.path / "evidence").glob("vulnerabilities-*.json")
    assert json.loads(path.read_bytes())["result"] == "not checked"
