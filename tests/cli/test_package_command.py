"""Does `trueup package` prove the model trained last, and train only where there is none?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from trueup.bundle.signing import ensure_signing_key, sign_folder
from trueup.cli.main import main
from trueup.kernel.digests import canonical_json

CHARTER = """
[project]
name = "late-payers"

[charter]
objective = "Fewer late payers."
currency = "EUR"
timezone = "UTC"
sponsor = "a@example.com"

[[charter.reviewer]]
group = "dunning"

[charter.payoff]
true_positive = "5"
false_positive = "-1"
false_negative = "0"
true_negative = "0"

[data]
source = "cases.csv"
case_id = "id"
time = "at"
label = "late"
label_known_at = "at"

[train]
pipeline = "pipeline:make"
"""
PIPELINE = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def make():
    return make_pipeline(StandardScaler(), LogisticRegression())
"""


@pytest.fixture(scope="module")
def packaged_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project after its first `trueup package`, which trained it."""
    folder = tmp_path_factory.mktemp("late")
    (folder / "trueup.toml").write_text(CHARTER)
    (folder / "pipeline.py").write_text(PIPELINE)
    lines = ["id,at,amount,age,late"]
    for case in range(1_500):
        amount, age = (case * 37) % 1000 / 10, 20 + case * 13 % 50
        late = int(amount + age > 90 and case % 7 != 0)
        lines.append(f"{case},2024-{1 + case // 130:02d}-{1 + case % 28:02d}T10:00:00Z,{amount},{age},{late}")
    (folder / "cases.csv").write_text("\n".join(lines))
    assert main(["package", str(folder)]) == 0
    return folder


@pytest.fixture
def project(packaged_once: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may change."""
    return shutil.copytree(packaged_once, tmp_path / "late")


@pytest.mark.timeout(600)
def test_it_trains_once_then_packages_again_and_says_what_ships(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [first] = (project / ".trueup" / "lake" / "bundles").iterdir()
    capsys.readouterr()

    assert main(["package", str(project), "--json"]) == 0
    captured = capsys.readouterr()
    second = json.loads(captured.out)

    assert "training" not in captured.err
    assert second["bundle"]["digest"] == first.name
    assert second["stale"] == []
    trained_on = json.loads((first / "manifest.json").read_bytes())["metrics"]["data_window"]
    assert trained_on == {"from": "2024-01-01", "to": "2024-12-28", "known_by": "2024-12-28"}
    shipped = [c for c in second["predictors"]["candidates"] if c["shipped"]]
    assert [c["kind"] for c in shipped] in (["compiled"], ["onnx"])
    assert shipped[0]["times_original"] > 1
    assert second["certificate"]["predictor"] == shipped[0]["kind"]
    assert (second["certificate"]["differing"], second["certificate"]["decisions_differ"]) == (0, 0)

    text = (project / "trueup.toml").read_text()
    (project / "trueup.toml").write_text(text.replace('false_positive = "-1"', 'false_positive = "-2"'))
    assert main(["package", str(project)]) == 0
    said = capsys.readouterr().out
    assert "times original" in said
    assert "Since this model was trained, the charter changed" in said


@pytest.mark.timeout(600)
def test_a_key_signs_until_its_last_day_and_not_after_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trust = ["bundle", "trust", "bundle-signing.key", "--project", str(project), "--until"]

    assert main([*trust, "2999-12-31"]) == 0
    assert main(["package", str(project)]) == 0

    assert main([*trust, "2020-12-31"]) == 0
    capsys.readouterr()
    assert main(["package", str(project), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bundle.key-expired"

    # a key whose trust is extended signs again
    assert main([*trust, "2999-12-31"]) == 0
    assert main(["package", str(project)]) == 0


@pytest.mark.timeout(600)
def test_a_supplied_key_signs_and_what_it_signs_is_believed_here(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = ensure_signing_key(tmp_path / "release.key")
    assert main(["package", str(project), "--key", str(key), "--json"]) == 0
    digest = json.loads(capsys.readouterr().out)["bundle"]["digest"]

    assert main(["bundle", "verify", digest, "--project", str(project)]) == 0
    assert "signed by release.key.pub" in capsys.readouterr().out
    assert main(["package", str(project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"]["digest"] == digest


@pytest.mark.timeout(600)
@pytest.mark.parametrize("terms", [["--until", "2020-12-31"], ["--revoke", "laptop stolen"]])
def test_a_key_that_is_not_trusted_any_more_is_replaced_by_a_new_one(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, terms: list[str]
) -> None:
    [before] = (project / ".trueup" / "lake" / "bundles").iterdir()
    assert main(["bundle", "trust", "bundle-signing.key", *terms, "--project", str(project)]) == 0
    rotate = ["package", str(project), "--json", "--replaces", "bundle-signing.key"]
    new = ["--key", str(ensure_signing_key(tmp_path / "new.key"))]

    # the lapsed key itself may not sign, and without being named it is not believed
    assert main(rotate) == 1
    assert main(["package", str(project), *new]) == 1
    assert main(["bundle", "verify", before.name, "--project", str(project)]) == 1
    capsys.readouterr()

    assert main([*rotate, *new]) == 0
    made = json.loads(capsys.readouterr().out)["bundle"]["digest"]
    assert main(["bundle", "verify", made, "--project", str(project)]) == 0
    assert "signed by new.key.pub" in capsys.readouterr().out


def test_a_replaced_key_vouches_for_nothing_but_what_was_packaged_here(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    [before] = (project / ".trueup" / "lake" / "bundles").iterdir()
    keys = project / ".trueup" / "keys"
    stolen = shutil.copy(keys / "bundle-signing.key", tmp_path / "stolen.key")
    assert main(["bundle", "trust", "bundle-signing.key", "--revoke", "stolen", "--project", str(project)]) == 0
    manifest = json.loads((before / "manifest.json").read_bytes())
    (before / "manifest.json").write_text(canonical_json({**manifest, "model_version": "forged"}))
    sign_folder(before, signing_key=Path(stolen))
    new = ["--key", str(ensure_signing_key(tmp_path / "new.key"))]
    capsys.readouterr()

    assert main(["package", str(project), "--json", "--replaces", "bundle-signing.key", *new]) == 1

    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bundle.files-differ"


def test_a_key_is_looked_at_before_any_work(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.rmtree(project / ".trueup" / "lake")
    assert main(["bundle", "trust", "bundle-signing.key", "--until", "2020-12-31", "--project", str(project)]) == 0
    capsys.readouterr()

    for command in (["train"], ["package"], ["package", "--key", str(tmp_path / "none.key")]):
        assert main([command[0], str(project), *command[1:]]) in (1, 2)
        said = capsys.readouterr().err
        assert "was trusted until 2020-12-31" in said or "there is no signing key" in said
    assert not (project / ".trueup" / "lake" / "tables").exists()


def test_replacing_a_key_is_about_the_last_bundle(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", str(project), "--replaces", "bundle-signing.key"]) == 2
    assert "is the key that would sign again" in capsys.readouterr().err
    assert main(["package", str(project), "--replaces", "nobody"]) == 2
    assert main(["package", str(project), "--replaces", "nobody", "--mlflow", "model"]) == 2


@pytest.mark.timeout(600)
def test_a_version_known_to_be_vulnerable_is_refused_until_somebody_answers_for_it(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    every = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}
    affected = [{"package": {"name": "NumPy", "ecosystem": "PyPI"}, "ranges": [every]}]
    database = tmp_path / "advisory.json"
    database.write_text(json.dumps({"id": "X-1", "modified": "2026-01-01T00:00:00Z", "affected": affected}))
    command = ["package", str(project), "--vulnerabilities", str(database)]

    assert main(command) == 1
    assert "X-1" in capsys.readouterr().err

    accepted = '[[package.accept]]\nid = "X-1"\nreason = "no array comes from outside"\nuntil = 2999-01-01\n'
    (project / "trueup.toml").write_text(f"{CHARTER}\n{accepted}")
    assert main(command) == 0
    assert "1 found, 1 of them accepted" in capsys.readouterr().out
