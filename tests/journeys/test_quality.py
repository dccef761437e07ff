"""Do quality rules hold on real data, and is a bad version never seen, even when the ingest is killed?"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from trueup.cli.main import main
from trueup.data.errors import RulesBroken
from trueup.lake.tables import Tables

EXAMPLE = Path(__file__).parents[2] / "examples" / "hotel_bookings"
SOURCES = {"good": "id,amount\n1,10\n2,20\n", "better": "id,amount\n1,10\n2,20\n3,30\n", "bad": "id,amount\n1,-10\n"}
CHILD = """
import os, signal, sys
from pathlib import Path
from trueup.align.quality_rules import QualityRule, Range
from trueup.data import ingest as module
from trueup.data.quality.gate import Gate
from trueup.lake import tables as lake_tables
from trueup.lake.quality_results import QualityHistory

lake, source, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
steps = 0

def step(*ignored):
    global steps
    steps += 1
    if steps == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

def stepping(method):
    def run(*args, **kwargs):
        step()
        result = method(*args, **kwargs)
        step()
        return result
    return run

Gate.judge = stepping(Gate.judge)
QualityHistory.record = stepping(QualityHistory.record)
for name in ("move_into_place", "create_table_with_add_actions"):
    setattr(lake_tables, name, stepping(getattr(lake_tables, name)))
rules = (QualityRule("amount is not negative", "range", Range("amount", 0, None)),)
try:
    module.ingest(source, tables=lake_tables.Tables(lake), name="cases", as_of=0, gate=Gate(rules, ("id",)))
except Exception as error:
    print(steps, error.code)
else:
    print(steps, "done")
"""


def ingest_killed_at(kill_at: int, lake: Path, source: Path) -> tuple[int, str]:
    """Run an ingest with a rule in a process of its own; return its exit code and what it printed."""
    command = [sys.executable, "-c", CHILD, str(lake), str(source), str(kill_at)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    files = {name: tmp_path / f"{name}.csv" for name in SOURCES}
    for name, file in files.items():
        file.write_text(SOURCES[name])
    return files


def test_rows_that_break_a_rule_are_never_seen_wherever_the_ingest_is_killed(
    tmp_path: Path, sources: dict[str, Path]
) -> None:
    lake = tmp_path / "lake"
    assert ingest_killed_at(-1, lake, sources["good"])[1].endswith("done")
    steps, code = ingest_killed_at(-1, lake, sources["bad"])[1].split()
    assert code == RulesBroken.code
    for kill_at in range(1, int(steps) + 1):
        assert ingest_killed_at(kill_at, lake, sources["bad"]) == (-signal.SIGKILL, "")
        latest = Tables(lake).get("cases")
        assert (latest.version, latest.rows) == (0, 2)
    # the last two were killed when the refusal was in the history already
    entries = list(Tables(lake).quality_of("cases").entries())
    assert entries[0].version == 0
    assert {entry.version for entry in entries[1:]} == {None}
    assert all([result.status for result in entry.results] == ["failed"] for entry in entries[1:])


def test_rows_that_keep_the_rules_come_in_once_and_with_their_results_after_any_kill(
    tmp_path: Path, sources: dict[str, Path]
) -> None:
    trial = tmp_path / "trial"
    ingest_killed_at(-1, trial, sources["good"])
    steps = int(ingest_killed_at(-1, trial, sources["better"])[1].split()[0])
    assert steps >= 8
    for kill_at in range(1, steps + 1):
        lake = tmp_path / f"lake-{kill_at}"
        ingest_killed_at(-1, lake, sources["good"])
        assert ingest_killed_at(kill_at, lake, sources["better"])[0] == -signal.SIGKILL
        assert Tables(lake).get("cases").rows in (2, 3)
        assert ingest_killed_at(-1, lake, sources["better"])[1].endswith("done")
        latest = Tables(lake).get("cases")
        assert (latest.version, latest.rows) == (1, 3)
        found = Tables(lake).quality_of("cases").latest_of(1)
        assert found is not None
        assert [result.status for result in found.results] == ["passed"]


@pytest.mark.data
def test_hotel_bookings_without_guests_and_a_negative_price_are_counted(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUEUP_TEST_DATA", str(real_data))
    folder = tmp_path / "hotel"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".trueup"))
    assert main(["ingest", str(folder), "--json"]) == 0
    found = {r["rule"]: r for r in json.loads(capsys.readouterr().out)["quality"]["results"]}
    table = pq.read_table(real_data / "hotel_bookings" / "hotel_bookings.parquet")
    guests = pc.add(pc.add(table["adults"], pc.fill_null(table["children"], 0)), table["babies"])
    empty = pc.sum(pc.equal(guests, 0)).as_py()
    assert (found["somebody stays"]["failing"], found["somebody stays"]["level"]) == (empty, "warn")
    assert found["a price is not negative"]["failing"] == pc.sum(pc.less(table["adr"], 0)).as_py() == 1
    assert (found["children: not null"]["failing"], found["children: not null"]["status"]) == (4, "passed")
    # an impossible rule keeps the same rows out, and the version stays
    file = folder / "trueup.toml"
    file.write_text(file.read_text().replace('level = "warn"', 'level = "prevent"'))
    assert main(["ingest", str(folder)]) == 1
    said = capsys.readouterr().err
    assert "hotel_bookings@0 stays the latest version" in said
    assert f"somebody stays: {empty} of 119,390 rows fail" in said
    assert main(["check", str(folder), "--quality", "--history"]) == 0
    assert "refused" in capsys.readouterr().out
