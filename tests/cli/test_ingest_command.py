"""Does `trueup ingest` read what the project names, and say what does not fit?"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import openpyxl
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


def with_query(project: Path, url: str) -> None:
    file = project / "trueup.toml"
    text = file.read_text().replace(
        'source = "${LATE_DATA}/cases.csv"',
        'source = { connection = "office", query = "SELECT id, amount, late FROM cases ORDER BY id" }',
    )
    file.write_text(f'{text}\n[connections.office]\nurl = "{url}"\ntimeout = "5m"\n')


def test_a_query_on_a_named_connection_becomes_a_table(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "office.db")) as office, office:
        office.execute("CREATE TABLE cases (id, amount, late)")
        office.executemany("INSERT INTO cases VALUES (?, ?, ?)", [(1, 10.5, 1), (2, None, 0)])
    with_query(project, "sqlite:///${LATE_DATA}/office.db")
    assert main(["ingest", str(project), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["format"], document["source"]) == (2, "sqlite", "a query on office")
    assert main(["check", str(project)]) == 0
    assert "a query on office" in capsys.readouterr().out


def test_a_server_that_is_not_there_ends_with_3_and_without_the_password(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_query(project, "postgresql://reader:${LATE_PASSWORD}@127.0.0.1:1/sales")
    assert main(["ingest", str(project)]) == 2
    assert "LATE_PASSWORD" in capsys.readouterr().err
    monkeypatch.setenv("LATE_PASSWORD", "hunter2")
    for arguments in (["ingest", str(project)], ["ingest", str(project), "--json"]):
        assert main(arguments) == 3
        told = capsys.readouterr()
        assert "no server listens there" in told.out + told.err
        assert "hunter2" not in told.out + told.err
    assert not any(b"hunter2" in path.read_bytes() for path in project.rglob("*") if path.is_file())


def test_a_sheet_can_be_asked_for(project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for name, late in (("March", 1), ("April", 0)):
        sheet = book.create_sheet(name)
        for row in (("id", "amount", "late"), (1, 10, late)):
            sheet.append(row)
    book.save(tmp_path / "cases.xlsx")
    asked = ["ingest", str(project), "--source", str(tmp_path / "cases.xlsx")]
    assert main(asked) == 2
    assert '"March", "April"' in capsys.readouterr().err
    assert main([*asked, "--sheet", "April"]) == 0
    assert main(["ingest", str(project), "--sheet", "April"]) == 2
    assert "--sheet belongs to --source" in capsys.readouterr().err
