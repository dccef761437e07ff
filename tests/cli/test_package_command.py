"""Does `trueup package` prove the model trained last, and train only where there is none?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trueup.cli.main import main

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
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("late")
    (folder / "trueup.toml").write_text(CHARTER)
    (folder / "pipeline.py").write_text(PIPELINE)
    lines = ["id,at,amount,age,late"]
    for case in range(1_500):
        amount, age = (case * 37) % 1000 / 10, 20 + case * 13 % 50
        late = int(amount + age > 90 and case % 7 != 0)
        lines.append(f"{case},2024-{1 + case // 130:02d}-{1 + case % 28:02d}T10:00:00Z,{amount},{age},{late}")
    (folder / "cases.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.timeout(600)
def test_it_trains_once_then_packages_again_and_says_what_ships(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", str(project), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)

    assert main(["package", str(project), "--json"]) == 0
    captured = capsys.readouterr()
    second = json.loads(captured.out)

    assert "training" not in captured.err
    assert second["bundle"] == first["bundle"]
    assert second["stale"] == []
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
    assert main(["package", str(project), "--json"]) == 0
    trust = ["bundle", "trust", "bundle-signing.key", "--project", str(project), "--until"]

    assert main([*trust, "2999-12-31"]) == 0
    assert main(["package", str(project)]) == 0

    assert main([*trust, "2020-12-31"]) == 0
    capsys.readouterr()
    assert main(["package", str(project), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "bundle.key-expired"
