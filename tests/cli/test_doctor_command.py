"""Does `trueup doctor` see what is there and what is missing?"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trueup.cli.doctor_command import examine
from trueup.cli.main import main


def test_this_machine_is_fit_to_run_its_own_tests(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert {"python", "cores", "memory", "disk", "this folder", "numpy", "duckdb", "chromium"} <= {
        finding["name"] for finding in document["findings"]
    }


def test_people_get_one_line_a_fact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Ready."
    assert all(line.split()[0] in {"ok", "warn", "fail"} for line in lines[:-1])


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    gone = Path("/proc/self")
    if not gone.is_dir():
        pytest.skip("needs a read-only file system such as /proc")
    findings = {f.name: f for f in examine(gone)}
    assert findings["this folder"].level == "fail"
    assert {f.name: f for f in examine(tmp_path)}["this folder"].level == "ok"
