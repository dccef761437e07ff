"""Does `trueup predict` decide a file and a table, and say what it did?"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trueup.cli.main import main
from trueup.data.prediction_log import open_log
from trueup.lake.capacity_leases import read_leases
from trueup.lake.desired_state import BundleRole, DesiredState, change_desired
from trueup.lake.folder_store import FolderStore
from trueup.lake.segments import list_segments

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
    assert main([*arguments, "--out", str(tmp_path / "b.csv"), "--again"]) == 0

    # the two tokens of this month were given to the first run
    assert "0 are acted on" in capsys.readouterr().out


def test_a_source_that_is_nowhere_is_said(late: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "late_payer", "--project", str(late), "--out", str(tmp_path / "a.csv")]) == 2
    assert "late_payers" in capsys.readouterr().err


@pytest.fixture
def served(late: Path, tmp_path: Path) -> Path:
    """Return a copy of the project, with a log and a capacity of its own."""
    project = shutil.copytree(late, tmp_path / "project")
    for used in (".trueup/serving", ".trueup/lake/serving", ".trueup/lake/log"):
        shutil.rmtree(project / used, ignore_errors=True)
    return project


def counted(project: Path, scratch: Path, relation: str = "predictions", condition: str = "true") -> int:
    """Return how many records of the sealed log there are, once all segments are sealed."""
    assert list_segments(project / ".trueup/serving/late-payers/hot") == ()
    scratch.mkdir(exist_ok=True)
    with open_log(FolderStore(project / ".trueup/lake"), "late-payers", scratch=scratch) as log:
        return log.count(relation, condition)


def predicted(project: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["predict", "late_payers", "--project", str(project), "--out", str(out), "--json", *more]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_what_is_decided_is_in_the_sealed_log_and_once(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = predicted(served, tmp_path / "a.csv", capsys, "--workers", "2")
    assert (told["logged"], told["decided_before"]) == (400, 0)
    assert counted(served, tmp_path / "scratch") == 400

    again = predicted(served, tmp_path / "b.csv", capsys)
    assert (again["run"], again["decided_before"]) == (told["run"], 400)
    assert (tmp_path / "b.csv").read_text() == (tmp_path / "a.csv").read_text()
    assert counted(served, tmp_path / "scratch", "recorded_predictions") == 400

    assert main(["predict", "late_payers", "--project", str(served), "--out", str(tmp_path / "b.csv")]) == 0
    assert "All of them were decided before" in capsys.readouterr().out


@pytest.mark.parametrize(("champion", "cases"), [(None, 2), ("0" * 64, 1)])
def test_what_servers_of_another_champion_share_is_not_raised(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], champion: str | None, cases: int
) -> None:
    store = FolderStore(served / ".trueup/lake")
    if champion is not None:
        state = DesiredState(project="late-payers", version=1, bundles=(BundleRole(champion, "champion"),))
        change_desired(store, "late-payers", lambda _: state)
    packaged = ("--bundle", (served / ".trueup/lake/last-bundle").read_text().strip())
    predicted(served, tmp_path / "a.csv", capsys, *packaged)
    folder = "serving/late-payers/capacity"
    starts = [int(Path(entry.key).stem) for entry in store.list(folder) if Path(entry.key).stem.isdigit()]
    assert len(starts) == 2
    for start in starts:
        store.put(f"{folder}/{start}.json", b'{"cases": 1, "dealt": {"another": [[0, 1, 1]]}}')
    predicted(served, tmp_path / "b.csv", capsys, "--again", *packaged)
    assert [read_leases(store, "late-payers", start).cases for start in starts] == [cases] * 2


def test_a_rehearsal_says_that_it_is_not_in_the_log(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", "late_payers", "--project", str(served), "--out", str(tmp_path / "a.csv")]
    assert main([*arguments, "--clock", "event"]) == 0
    assert "A rehearsal: nothing of it is in the prediction log" in capsys.readouterr().out
    assert not (served / ".trueup/serving/late-payers/hot").exists()


def test_an_id_and_again_contradict_each_other(late: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["predict", "late_payers", "--project", str(late), "--out", str(tmp_path / "a.csv"), "--again"]
    assert main([*arguments, "--id", "01890a5d-ac96-774b-bcce-b302099a8057"]) == 2
    assert "leave one of them out" in capsys.readouterr().err


def test_after_a_rollback_the_champion_decides_and_not_the_bundle_packaged_last(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = served / ".trueup/lake/last-bundle"
    champion = last.read_text().strip()
    state = DesiredState(project="late-payers", version=0, bundles=(BundleRole(champion, "champion"),))
    assert predicted(served, tmp_path / "a.csv", capsys)["bundle_is"] == "packaged last"
    change_desired(FolderStore(served / ".trueup/lake"), "late-payers", lambda _: state)
    last.write_text("f" * 64)  # another one was packaged since
    told = predicted(served, tmp_path / "b.csv", capsys)
    assert (told["bundle"], told["bundle_is"]) == (champion, "the champion of the servers")
    assert predicted(served, tmp_path / "c.csv", capsys, "--bundle", champion)["bundle_is"] == "named by --bundle"
    assert main(["predict", "late_payers", "--project", str(served), "--out", str(tmp_path / "d.csv")]) == 0
    assert f"decided by {champion[:12]} (the champion of the servers)" in capsys.readouterr().out


def command(project: Path, source: Path, out: Path) -> list[str]:
    program = "import sys; from trueup.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", program, "predict", str(source), "--project", str(project), "--out", str(out)]


def test_a_run_that_is_killed_is_gone_on_with(served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out, rows = tmp_path / "rows.parquet", tmp_path / "answers.csv", 12_000
    table = {"id": [f"r{n}" for n in range(rows)], "at": ["2025-01-01"] * rows, "days": [n % 60 for n in range(rows)]}
    pq.write_table(pa.table(table), source, row_group_size=500)
    hot = served / ".trueup/serving/late-payers/hot"
    with subprocess.Popen(command(served, source, out), stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while not list_segments(hot) and process.poll() is None and time.monotonic() < until:
            pass
        process.kill()
    assert not out.exists()

    capsys.readouterr()
    assert main([*command(served, source, out)[3:], "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert 0 < told["decided_before"] < told["rows"] == told["logged"] == rows
    assert told["acted"] == 2
    assert len(out.read_text().splitlines()) == rows + 1
    scratch = tmp_path / "scratch"
    # the killed run's sealing process may have held the folder until now
    until = time.monotonic() + 60
    while list_segments(hot) and time.monotonic() < until:
        main(["log", "seal", "--project", str(served)])
    assert counted(served, scratch) == counted(served, scratch, "cases") == rows
    assert counted(served, scratch, "predictions", "acted") == 2
    assert counted(served, scratch, "recorded_predictions") <= rows + 500


def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(
    served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers.csv"

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    ended = subprocess.run(
        command(served, served / "cases.csv", out),
        capture_output=True,
        text=True,
        preexec_fn=little_room,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert "no space left" in ended.stderr
    assert not list(tmp_path.glob("*answers.csv*"))

    assert main([*command(served, served / "cases.csv", out)[3:]]) == 0
    assert "400 decisions are in the prediction log" in capsys.readouterr().out
    assert counted(served, tmp_path / "scratch") == 400
