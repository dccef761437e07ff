"""Does `trueup check` say what changed, since when, and what it would have meant in money?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.align.document import charter_digest
from trueup.align.project_file import read_project
from trueup.align.signoff import local_key, sign_charter
from trueup.cli.main import main
from trueup.cli.signature import SIGNED_FILE, keep_signature

PROJECT = """
[project]
name = "by-hand"
title = "By hand"
[charter]
objective = "Stop fraud"
currency = "EUR"
timezone = "UTC"
sponsor = "sponsor@example.com"
[[charter.reviewer]]
group = "fraud"
[charter.payoff]
true_positive = "-5"
false_positive = "-5"
false_negative = "-amount"
true_negative = "0"
[charter.capacity]
cases = 1
per = "day"
[data]
source = "cases.parquet"
case_id = "case"
time = "happened"
label = "fraud"
label_final_at = "happened + INTERVAL 5 DAY"
[train]
pipeline = "pipeline:make"
"""
CONSTANT = "from sklearn.dummy import DummyClassifier\n\ndef make():\n    return DummyClassifier()\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a project with two cases a day from October to December: a fraud of 100, then an honest 60."""
    folder = tmp_path / "by-hand"
    folder.mkdir()
    days = 31 + 30 + 31
    hours = np.add.outer(np.arange(days) * 24, [10, 12]).ravel()
    table = pa.table(
        {
            "case": np.arange(2 * days),
            "happened": np.datetime64("2015-10-01", "us") + hours * np.timedelta64(1, "h"),
            "amount": np.tile([100.0, 60.0], days),
            "fraud": np.tile([True, False], days),
        }
    )
    pq.write_table(table, folder / "cases.parquet")
    (folder / "pipeline.py").write_text(CONSTANT)
    (folder / "trueup.toml").write_text(PROJECT)
    return folder


def _sign(folder: Path) -> str:
    digest = charter_digest(read_project(folder).charter)
    signature = sign_charter(digest, local_key(folder / "key"), signer="Ada", signed_at=0)
    keep_signature(folder, signature, signed_text=(folder / "trueup.toml").read_text())
    return digest


def _edit(folder: Path, old: str, new: str) -> None:
    file = folder / "trueup.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def _check(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert main(["check", *arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert isinstance(document, dict)
    return document


def test_a_signed_charter_has_no_changes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digest = _sign(folder)
    document = _check(capsys, str(folder))
    assert (document["charter_digest"], document["signed_by"], document["changed"]) == (digest, "Ada", None)


def test_a_case_named_by_a_personal_value_is_refused_with_the_way_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit(folder, 'case_id = "case"', 'case_id = ["happened", "case"]\npersonal = ["case"]')
    assert main(["check", str(folder)]) == 1
    said = capsys.readouterr().err
    assert 'data.personal: "case" is in case_id too' in said
    assert "take it out of personal" in said


def test_an_edit_after_signing_is_priced_without_being_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # November is final when December ends: 30 more reviews of 5 on honest cases
    _sign(folder)
    assert main(["ingest", str(folder)]) == 0
    _edit(folder, "cases = 1", "cases = 2")
    capsys.readouterr()
    assert main(["check", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "Changed since it was signed by Ada:\n  capacity 1 -> 2 a day: −€150 on the 60 cases of 2015-11" in said
    assert "sign again" in said


def test_json_tells_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _sign(folder)
    main(["ingest", str(folder)])
    _edit(folder, "cases = 1", "cases = 2")
    assert _check(capsys, str(folder))["changed"] == {
        "against": "signed by Ada",
        "changes": [{"key": "capacity", "words": "capacity 1 -> 2 a day", "effect": -150.0}],
        "month": "2015-11",
        "cases": 60,
        "without_outcome": 0,
        "together": -150.0,
        "not_priced": None,
    }


def test_before_anything_is_ingested_the_change_is_named_and_why_it_has_no_price(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _sign(folder)
    _edit(folder, "cases = 1", "cases = 2")
    assert main(["check", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "  capacity 1 -> 2 a day\nNot priced: nothing of by-hand was ingested yet; run: trueup ingest" in said
    assert not (folder / ".trueup").exists()


def test_words_alone_have_no_effect_on_decisions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _sign(folder)
    _edit(folder, '"Stop fraud"', '"Stop it"')
    assert main(["check", str(folder)]) == 0
    assert 'objective "Stop fraud" -> "Stop it": no effect on decisions' in capsys.readouterr().out


@pytest.mark.parametrize("named", [lambda path: path, lambda path: path / "trueup.toml"])
def test_against_takes_a_folder_or_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], named: Callable[[Path], Path]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "trueup.toml").write_text(PROJECT.replace("sponsor@", "another@"))
    assert main(["check", str(folder), "--against", str(named(other))]) == 0
    assert "sponsor another@example.com -> sponsor@example.com: no effect on decisions" in capsys.readouterr().out


def test_the_same_charter_elsewhere_is_said_to_be_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder), "--against", str(folder)]) == 0
    assert f"The charter is the same as {folder}." in capsys.readouterr().out


def test_against_what_is_not_there_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder), "--against", str(folder / "gone.toml")]) == 2
    assert "--against takes a trueup.toml or a folder with one" in capsys.readouterr().err


def test_a_signed_copy_that_was_altered_is_no_longer_what_was_signed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _sign(folder)
    copy = folder / SIGNED_FILE
    copy.write_text(copy.read_text().replace("cases = 1", "cases = 9"))
    _edit(folder, "cases = 1", "cases = 2")
    document = _check(capsys, str(folder))
    assert (document["signed_by"], document["changed"]) == (None, None)


def test_a_column_that_the_table_does_not_have_is_not_in_order(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ingest", str(folder)]) == 0
    _edit(folder, 'label = "fraud"', 'label = "froud"\nexclude = ["amuont"]')
    capsys.readouterr()

    assert main(["check", str(folder)]) == 1

    said = capsys.readouterr().err
    assert "2 mistakes to correct" in said
    assert "froud" in said
    assert 'the table has no column "amuont" (did you mean "amount"?)' in said


def test_what_init_left_to_be_filled_in_is_not_in_order(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _edit(folder, 'case_id = "case"', 'case_id = "<column>"')

    assert main(["check", str(folder)]) == 1

    assert "it still holds the placeholder <column>" in capsys.readouterr().err


def test_a_vulnerability_that_is_accepted_no_more_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accepted = '[[package.accept]]\nid = "{}"\nreason = "never reached"\nuntil = {}\n'
    text = (folder / "trueup.toml").read_text()
    (folder / "trueup.toml").write_text(
        text + accepted.format("X-1", "2020-01-01") + accepted.format("X-2", "2999-01-01")
    )

    assert main(["check", str(folder)]) == 0

    said = capsys.readouterr().out
    assert "[package.accept-expired] X-1 was accepted until 2020-01-01" in said
    assert "X-2" not in said
