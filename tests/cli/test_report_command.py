"""Does `trueup report` show the last rehearsal, and refuse where there is none?"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from trueup.bundle.latency import LatencyTable, Timing
from trueup.bundle.parity import ParityCertificate
from trueup.cli.init_command import write_starter
from trueup.cli.main import main
from trueup.cli.workspace import open_workspace
from trueup.lake.rehearsals import Notice, Rehearsal, Release, Strategy, Window


def _rehearsal() -> Rehearsal:
    windows = tuple(
        Window(f"2024-0{m}-01", f"2024-0{m + 1}-01", 40, 1.0, 10.0 * m, auc=0.8, cases_acted=3) for m in range(1, 4)
    )
    never = Strategy(
        name="never",
        description="Trained once",
        value=60.0,
        value_interval=(40.0, 80.0),
        retraining_cost=0.0,
        net_value=60.0,
        cases_acted=9,
        max_cases_in_period=1,
        capacity_filled=0.5,
        value_of_one_more_case=1.0,
        releases=(Release("2024-01-01T00:00:00Z", "never-1", "first", "the start"),),
        windows=windows,
    )
    return Rehearsal(
        project="late",
        title="Late payers",
        task="binary",
        objective="Fewer late payers.",
        currency="EUR",
        charter_digest="c" * 64,
        table_version="late@0",
        start="2024-01-01T00:00:00Z",
        end="2024-04-01T00:00:00Z",
        turns=91,
        rows=120,
        capacity={"cases": 100, "per": "day"},
        assumptions=("Nobody acted before.",),
        strategies=(never, replace(never, name="monthly", value=50.0, net_value=50.0)),
        recommended="never",
        reason="Retraining earns no more.",
        warnings=(Notice("data.leakage-suspected", "stage gives the outcome away", "stage"),),
        promise={"value": 20.0, "per": "month", "interval": [13.0, 27.0]},
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_starter(tmp_path / "late")
    file = tmp_path / "late" / "trueup.toml"
    known = file.read_text().replace('"<column>"', '"id"').replace('"<file, glob or URL>"', '"cases.csv"')
    known = known.replace('"<when the case is decided: a column or SQL>"', '"at"')
    known = known.replace("<what should get better, for whom, within which limits>", "Fewer late payers")
    known = known.replace("<who pays for the result>", "sponsor")
    file.write_text(known.replace('"<the outcome: a column or SQL>"', '"late"'))
    return tmp_path / "late"


def _keep(project: Path) -> None:
    open_workspace(project).rehearsal_json.write_text(json.dumps(_rehearsal().as_json()))


def test_the_last_rehearsal_becomes_one_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _keep(project)
    output = project / "letter" / "report.html"
    assert main(["report", str(project), "--output", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recommended"] == "never"
    page = output.read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "Late payers" in page


def test_the_report_shows_the_parity_certificate_of_the_packaged_model(project: Path, tmp_path: Path) -> None:
    _keep(project)
    digest = "ab12cd34" * 8
    certificate = ParityCertificate(digest, {"system": "Linux"}, {"python": "3.12.1"}, 2046, 0, 0.0, None)
    file = open_workspace(project).for_loop().bundles / digest / certificate.path
    file.parent.mkdir(parents=True)
    file.write_bytes(certificate.content)
    timing = Timing("compiled", True, True, 0.0, 21.5, 372.0, 60.0, 90.0)
    table = LatencyTable(digest, {"system": "Linux"}, {"python": "3.12.1"}, 2046, (timing,))
    (file.parent / Path(table.path).name).write_bytes(table.content)
    open_workspace(project).for_loop().last_bundle.write_text(digest)
    assert main(["report", str(project), "--output", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "compiled: 22 microseconds a row" in page
    assert "372 times as fast as the original" in page
    assert "gave all 2,046 golden rows as in development, largest difference 0" in page


def test_without_a_rehearsal_it_says_what_to_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(project)]) == 2
    assert "trueup rehearse" in capsys.readouterr().err


def test_a_charter_that_was_not_rehearsed_is_not_signed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _keep(project)
    before = (project / "trueup.toml").read_text()
    assert main(["sign", str(project), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "cli.charter-changed"
    assert (project / "trueup.toml").read_text() == before


def test_signing_adds_the_promise_and_check_shows_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(project), "--json"]) == 0
    digest = json.loads(capsys.readouterr().out)["charter_digest"]
    kept = replace(_rehearsal(), charter_digest=digest)
    open_workspace(project).rehearsal_json.write_text(json.dumps(kept.as_json()))
    assert main(["sign", str(project), "--by", "head@example.com"]) == 0
    said = capsys.readouterr().out
    assert "20 EUR a month" in said
    assert f"It holds the promise, so it is no longer {digest[:12]}, which was rehearsed." in said
    assert main(["check", str(project), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["signed_by"] == "head@example.com"
    assert checked["charter"]["promise"]["value"] == 20.0


def test_a_charter_changed_after_signing_is_no_longer_signed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test_signing_adds_the_promise_and_check_shows_it(project, capsys)
    file = project / "trueup.toml"
    file.write_text(file.read_text().replace("cases = 100", "cases = 120"))
    assert main(["check", str(project), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signed_by"] is None


def test_mistakes_are_told_together_and_fail_the_check(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "trueup.toml"
    file.write_text(file.read_text().replace("cases = 100", "cases = 0").replace('per = "day"', 'per = "dya"'))
    assert main(["check", str(project), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "kernel.mistakes"
    assert len(error["mistakes"]) == 2
