"""Does `trueup predict` decide a file and a table, and say what it did?"""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
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

[charter.capacity]
cases = 2
per = "month"

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


def make():
    return LogisticRegression()
"""


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a bundle."""
    folder, rng = tmp_path_factory.mktemp("late"), random.Random(1)
    (folder / "trueup.toml").write_text(CHARTER)
    (folder / "pipeline.py").write_text(PIPELINE)
    lines = ["id,at,days,late"]
    for number in range(400):
        days = rng.randrange(60)
        lines.append(
            f"c{number},2025-0{number // 100 + 1}-{number % 28 + 1:02},{days},{int(days + rng.gauss(0, 9) > 40)}"
        )
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    assert main(["train", str(folder), "--no-guided"]) == 0
    return folder


def test_a_file_is_decided_and_counted(late: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "answers.parquet"
    capsys.readouterr()
    arguments = ["predict", str(late / "cases.csv"), "--out", str(out), "--project", str(late), "--keep", "days"]

    assert main([*arguments, "--clock", "event", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["acted"], told["clock"]) == (400, 8, "event")  # two in each of four months
    table = pq.read_table(out)
    assert table.column_names == [
        *("prediction_id", "association_id", "score", "expected_gain", "qualifies", "decision", "reason"),
        *("model_version", "allocation", "days"),
    ]
    assert table.column("association_id").to_pylist()[:2] == ["c0", "c1"]


def test_a_table_of_the_project_is_decided_by_its_name(
    late: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", "late_payers", "--project", str(late), "--allocation", "period"]

    assert main([*arguments, "--out", str(tmp_path / "a.csv"), "--workers", "2"]) == 0
    assert "400 rows decided" in capsys.readouterr().out
    assert main([*arguments, "--out", str(tmp_path / "b.csv")]) == 0

    # the two tokens of this month were given to the first run
    assert "0 are acted on" in capsys.readouterr().out


def test_a_source_that_is_nowhere_is_said(late: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "late_payer", "--project", str(late), "--out", str(tmp_path / "a.csv")]) == 2
    assert "late_payers" in capsys.readouterr().err
