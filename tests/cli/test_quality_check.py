"""Do rules keep bad rows out, and can a person see what was found in each version?"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

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

[[data.rule]]
check = "range"
columns = "amount"
low = 0

[[data.rule]]
check = "not_null"
columns = "amount"
level = "warn"
"""
GOOD = "id,amount,late,iban\n1,10,1,DE1\n2,,0,DE2\n3,30,0,DE3\n"
BAD = GOOD + "4,-5,0,DE4\n"

Output = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "trueup.toml").write_text(PROJECT)
    (tmp_path / "cases.csv").write_text(GOOD)
    return tmp_path


def asked(capsys: Output, *command: str) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = main([*command, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_warning_is_said_and_the_rows_are_published(project: Path, capsys: Output) -> None:
    assert main(["ingest", str(project)]) == 0
    said = capsys.readouterr().out
    assert "quality: 1 of 2 rules hold" in said
    assert "warning amount: not null: 1 of 3 rows fail (33.3 %); for example 2" in said


def test_rows_that_break_a_rule_leave_the_version_before(project: Path, capsys: Output) -> None:
    main(["ingest", str(project)])
    (project / "cases.csv").write_text(BAD)
    code, document = asked(capsys, "ingest", str(project))
    error = document["error"]
    assert isinstance(error, dict)
    assert (code, error["code"], error["rows"]) == (1, "data.rules-broken", 4)
    for part in (
        "4 rows were not published",
        "late_payers@0 stays",
        "1 of 3 rows fail",
        "for example 4",
        "allowed_share",
    ):
        assert part in error["message"]
    code, kept = asked(capsys, "check", "--quality", str(project))
    assert (code, kept["table_version"]) == (0, "late_payers@0")


def test_the_very_first_rows_may_be_refused_too(project: Path, capsys: Output) -> None:
    (project / "cases.csv").write_text(BAD)
    assert main(["ingest", str(project)]) == 1
    assert "no version was made" in capsys.readouterr().err
    assert main(["check", "--quality", str(project)]) == 2
    assert "ingest it first" in capsys.readouterr().err
    (project / "cases.csv").write_text(GOOD)
    assert main(["ingest", str(project)]) == 0


def test_the_history_has_every_version_and_every_refusal(project: Path, capsys: Output) -> None:
    main(["ingest", str(project)])
    (project / "cases.csv").write_text(BAD)
    main(["ingest", str(project)])
    (project / "cases.csv").write_text(GOOD + "5,50,0,DE5\n")
    main(["ingest", str(project)])
    main(["ingest", str(project)])  # the same rows: nothing new to keep
    code, document = asked(capsys, "check", "--quality", "--history", str(project))
    history = document["history"]
    assert isinstance(history, list)
    assert code == 0
    assert [entry["version"] for entry in history] == [0, None, 1]
    assert [[r["failing"] for r in entry["results"]] for entry in history] == [[0, 1], [1, 1], [0, 1]]
    main(["check", "--quality", "--history", str(project)])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["version", "late_payers@0", "refused", "late_payers@1"]


def test_changed_rules_can_be_evaluated_on_an_older_version(project: Path, capsys: Output) -> None:
    main(["ingest", str(project)])
    (project / "cases.csv").write_text(GOOD.replace("10", "2000"))
    main(["ingest", str(project)])
    (project / "trueup.toml").write_text(
        PROJECT + '\n[[data.rule]]\ncheck = "range"\ncolumns = "amount"\nhigh = 1000\n'
    )
    assert asked(capsys, "check", "--quality", str(project))[0] == 1
    code, document = asked(capsys, "check", "--quality", "--version", "0", str(project))
    assert (code, document["table_version"]) == (0, "late_payers@0")
    history = asked(capsys, "check", "--quality", "--history", str(project))[1]["history"]
    assert isinstance(history, list)
    assert [(e["version"], len(e["results"])) for e in history] == [(0, 2), (1, 2), (1, 3), (0, 3)]


def test_the_table_of_rules_shows_counts_and_shares(project: Path, capsys: Output) -> None:
    main(["ingest", str(project)])
    capsys.readouterr()
    assert main(["check", "--quality", str(project)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "late_payers@0: 3 rows",
        "rule              level    state    failing  of   share",
        "amount: from 0    prevent  holds          0   2     0 %",
        "amount: not null  warn     warning        1   3  33.3 %",
        "amount: not null: 1 of 3 rows fail (33.3 %); for example 2",
    ]


def test_a_case_without_an_id_is_named_by_its_row(project: Path, capsys: Output) -> None:
    (project / "trueup.toml").write_text(PROJECT.replace('case_id = "id"', ""))
    main(["ingest", str(project)])
    said = capsys.readouterr().out
    assert "for example row 2" in said
    assert "DE2" not in said


def test_suggestions_are_toml_that_can_be_pasted(project: Path, capsys: Output) -> None:
    rows = "".join(f"{i},{i % 50},{i % 2},DE{i}\n" for i in range(1_500))
    (project / "cases.csv").write_text("id,amount,late,iban\n" + rows)
    main(["ingest", str(project)])
    capsys.readouterr()
    assert main(["check", "--suggest", str(project)]) == 0
    said = capsys.readouterr().out
    kinds = [rule["check"] for rule in tomllib.loads(said)["data"]["rule"]]
    assert kinds == ["not_null", "unique", "not_null", "set", "pattern", "volume"]  # the range is there already
    (project / "trueup.toml").write_text(PROJECT.replace("not_null", "not_null", 1).split("[[data.rule]]")[0] + said)
    assert main(["ingest", str(project)]) == 0
    assert "rules hold" in capsys.readouterr().out


def test_suggestions_can_be_pasted_beside_the_rules_that_are_there(project: Path, capsys: Output) -> None:
    rows = "".join(f"{i},{i % 50},{i % 2},DE{i}\n" for i in range(1_500))
    (project / "cases.csv").write_text("id,amount,late,iban\n" + rows)
    main(["ingest", str(project)])
    capsys.readouterr()
    assert main(["check", "--suggest", str(project)]) == 0
    said = capsys.readouterr().out
    assert ["late", "iban"] in [rule.get("columns") for rule in tomllib.loads(said)["data"]["rule"]]
    (project / "trueup.toml").write_text(PROJECT + said)
    assert main(["check", str(project)]) == 0
    capsys.readouterr()
    assert main(["check", "--suggest", str(project)]) == 0
    assert "what could be suggested is there already" in capsys.readouterr().out


def test_too_few_rows_suggest_nothing_and_say_so(project: Path, capsys: Output) -> None:
    main(["ingest", str(project)])
    capsys.readouterr()
    assert main(["check", "--suggest", str(project)]) == 0
    assert "fewer than 100 rows" in capsys.readouterr().out


def test_a_project_without_rules_is_told_how_to_get_some(project: Path, capsys: Output) -> None:
    (project / "trueup.toml").write_text(PROJECT.split("[[data.rule]]", maxsplit=1)[0])
    main(["ingest", str(project)])
    assert main(["check", "--quality", str(project)]) == 0
    assert "trueup check --suggest" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [["--history"], ["--version", "0"], ["--suggest", "--quality"], ["--quality", "--history", "--version", "0"]],
)
def test_options_that_contradict_each_other_are_refused(project: Path, capsys: Output, options: list[str]) -> None:
    assert main(["check", *options, str(project)]) == 2
    assert "--" in capsys.readouterr().err


def test_a_missing_version_is_named(project: Path, capsys: Output) -> None:
    main(["ingest", str(project)])
    for version in ("7", "-1"):
        assert main(["check", "--quality", "--version", version, str(project)]) == 2
        assert f"versions 0 to 0, not {version}" in capsys.readouterr().err


@pytest.mark.parametrize("question", ["--quality", "--suggest"])
def test_a_working_folder_that_cannot_be_written_is_named_with_what_to_do(
    project: Path, capsys: Output, question: str
) -> None:
    main(["ingest", str(project)])
    scratch = project / ".trueup" / "scratch"
    scratch.rename(scratch.with_name("elsewhere"))
    scratch.write_text("no folder")

    assert main(["check", question, str(project)]) == 3

    said = capsys.readouterr().err
    assert f"the working folder {scratch.parent} cannot be written" in said
    assert "make the project folder writable, or copy the project elsewhere" in said
