"""Can a person see what a table holds and what moved, without seeing who is in it?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
source = "cases.csv"
case_id = "id"
label = "late"
personal = ["iban"]
"""
Output = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "trueup.toml").write_text(PROJECT + 'time = "due"\n')
    lines = [f"{i},{i % 4 * 10},{i % 2},DE{i},2024-05-0{1 + i % 2},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "cases.csv").write_text("id,amount,late,iban,due,broker\n" + "\n".join(lines) + "\n")
    return tmp_path


def asked(capsys: Output, *command: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = main([*command, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_columns_are_told_without_the_people_in_them(project: Path, capsys: Output) -> None:
    code, found = asked(capsys, "profile", str(project))
    assert code == 0
    assert found["rows"] == 40
    columns = {column["column"]: column for column in found["columns"]}
    assert set(columns) == {"amount", "late", "due", "broker"}
    assert found["skipped"] == {"iban": "personal", "id": "names a case"}
    assert columns["amount"]["quantiles"]["0.5"] == 10.0
    assert columns["amount"]["distinct"] == 4
    assert columns["broker"]["top"] == [["a", 20], ["b", 20]]
    assert columns["due"]["quantiles"]["0.0"].startswith("2024-05-01")
    assert "drift" not in found
    main(["profile", str(project)])
    told = capsys.readouterr().out
    assert "2 categories: a 20, b 20" in told
    assert "DE1" not in told


def test_what_moved_since_a_file_comes_first(project: Path, tmp_path: Path, capsys: Output) -> None:
    reference = tmp_path / "before.parquet"
    pq.write_table(pa.table({"amount": [0, 10, 20, 30] * 10, "broker": ["a"] * 40, "gone": [1] * 40}), reference)
    code, found = asked(capsys, "profile", str(project), "--against", str(reference))
    assert code == 0
    assert [column["column"] for column in found["drift"]] == ["broker", "amount"]
    assert found["drift"][0]["new_categories"] == ["b"]
    assert found["drift"][1]["psi"] == 0.0
    assert found["gone"] == ["gone"]
    main(["profile", str(project), "--against", str(reference)])
    assert "new: b" in capsys.readouterr().out


def test_the_same_version_did_not_move_and_days_are_told(project: Path, capsys: Output) -> None:
    code, found = asked(capsys, "profile", str(project), "--against", "0", "--by", "day")
    assert code == 0
    assert found["against"] == "late_payers@0"
    assert {column["effect"] for column in found["drift"]} == {0.0}
    assert [(day["day"], day["rows"]) for day in found["days"]] == [("2024-05-01", 20), ("2024-05-02", 20)]
    main(["profile", str(project), "--by", "day"])
    assert "2024-05-02          20 rows  most moved:" in capsys.readouterr().out


def test_days_need_the_time_of_each_row(project: Path, capsys: Output) -> None:
    (project / "trueup.toml").write_text(PROJECT)
    code, found = asked(capsys, "profile", str(project), "--by", "day")
    assert code == 2
    assert "set data.time" in found["error"]["message"]


def test_a_version_or_file_that_is_not_there_is_said(project: Path, capsys: Output) -> None:
    assert asked(capsys, "profile", str(project), "--version", "7")[1]["error"]["code"] == "lake.table-missing"
    code, found = asked(capsys, "profile", str(project), "--against", "nowhere.parquet")
    assert (code, found["error"]["code"]) == (2, "data.parquet-unreadable")


def test_a_column_that_counts_on_with_time_is_not_what_moved_most(project: Path, capsys: Output) -> None:
    lines = [
        f"{i},{90 if i >= 30 else 10 + i % 2},{i % 2},DE{i},2024-05-0{1 + i // 10},c{i},{1000 + i},{i * 7 % 40}"
        for i in range(40)
    ]
    head = "id,amount,late,iban,due,contract,receipt,shuffled"
    (project / "cases.csv").write_text(head + "\n" + "\n".join(lines) + "\n")

    code, found = asked(capsys, "profile", str(project), "--by", "day")

    assert code == 0
    fourth = [moved["column"] for moved in found["days"][3]["drift"]]
    assert fourth[0] == "amount"
    assert set(fourth[-4:]) == {"contract", "receipt", "shuffled", "due"}


def test_a_folder_is_no_reference(project: Path, tmp_path: Path, capsys: Output) -> None:
    assert main(["profile", str(project), "--against", str(tmp_path)]) == 2
    assert "--against takes a version of the table or a Parquet file" in capsys.readouterr().err
