"""Does `trueup ingest` read what the project names, and say what does not fit?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trueup.cli.ingest_command import VariableUnset, expand_source
from trueup.cli.main import main

PROJECT = """
[project]
name = "late-payers"
[charter]
objective = "Fewer late payers."
currency = "EUR"
timezone = "UTC"
sponsor = "head@example.com"
[charter.payoff]
true_positive = "-4"
false_positive = "-4"
false_negative = "-amount"
true_negative = "0"
[data]
source = "${LATE_DATA}/cases.csv"
case_id = "id"
label = "late"
"""
CASES = "id,amount,late\n1,10,1\n2, ,0\n3,30,0\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cases.csv").write_text(CASES)
    monkeypatch.setenv("LATE_DATA", str(tmp_path / "data"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "trueup.toml").write_text(PROJECT)
    return folder


def test_the_source_becomes_a_table_and_blanks_are_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", str(project), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["table_version"], document["rows"], document["mistakes"]) == ("late_payers@0", 3, [])
    assert any(notice["column"] == "amount" for notice in document["notices"])


def test_the_same_rows_again_make_no_new_version(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["ingest", str(project)])
    capsys.readouterr()
    assert main(["ingest", str(project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_new"] is False


def test_a_column_the_data_lack_is_named_and_fails_the_check(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "trueup.toml"
    file.write_text(PROJECT.replace("-amount", "-amonut"))
    assert main(["ingest", str(project)]) == 1
    said = capsys.readouterr().out
    assert "amonut" in said
    assert "amount" in said


def test_a_failed_ingest_leaves_the_version_before(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["ingest", str(project)])
    broken = project / "empty.csv"
    broken.write_text("")
    assert main(["ingest", str(project), "--source", str(broken)]) == 2
    capsys.readouterr()
    assert main(["ingest", str(project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_new"] is False


def test_an_unset_variable_is_named_with_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LATE_DATA")
    assert main(["ingest", str(project)]) == 2
    with pytest.raises(VariableUnset, match="export LATE_DATA="):
        expand_source("${LATE_DATA}/cases.csv", {})


def test_a_missing_project_file_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", str(tmp_path)]) == 2
    assert "trueup.toml" in capsys.readouterr().err
