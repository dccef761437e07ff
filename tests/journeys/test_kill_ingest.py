"""Is a table ever half there? An ingest is killed at every step and at random moments."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from trueup.data.ingest import ingest
from trueup.lake.tables import Tables

ROWS = 140_000  # three batches
CHILD = """
import os, signal, sys
from pathlib import Path
from trueup.data import ingest as module
from trueup.lake import tables as lake_tables

lake, source, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
steps = 0

def step(*ignored):
    global steps
    steps += 1
    if steps == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    print(steps, flush=True)

def stepping(method):
    def run(*args, **kwargs):
        step()
        result = method(*args, **kwargs)
        step()
        return result
    return run

count_texts = module.count_texts

def counting(*args, on_share):
    # how often a running query is asked for its progress depends on the machine: steps must not
    step()
    facts = count_texts(*args, on_share=lambda share: None)
    step()
    return facts

module.count_texts = counting
# beside the progress of reading, every effect of publishing is a step
for name in ("move_into_place", "create_table_with_add_actions"):
    setattr(lake_tables, name, stepping(getattr(lake_tables, name)))
module.ingest(source, tables=lake_tables.Tables(lake), name="cases", as_of=0, progress=step)
print("done", flush=True)
"""


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("a,b\n" + "".join(f"{i},old\n" for i in range(ROWS)))
    new.write_text("a,b\n" + "".join(f"{i},new\n" for i in range(ROWS + 10_000)))
    return old, new


def start(lake: Path, source: Path, kill_at: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(lake), str(source), str(kill_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_whole(lake: Path, versions: int) -> int:
    """Return the latest version after checking that every version is whole, for us and for another reader."""
    tables = Tables(lake)
    history = tables.history("cases")
    assert len(history) in (versions, versions + 1)
    for version in history:
        found = pa.Table.from_batches(tables.batches("cases", version.version))
        assert found.num_rows == version.rows
        (kind,) = found["b"].unique().to_pylist()
        assert np.array_equal(found["a"].to_numpy(), np.arange({"old": ROWS, "new": ROWS + 10_000}[kind]))
    assert DeltaTable(str(lake / "cases")).to_pyarrow_table().num_rows == history[-1].rows
    return history[-1].version


def files_of(lake: Path) -> set[str]:
    """Return the table's data files and whatever waits to be published."""
    kept = {"publishing"}
    return {
        path.relative_to(lake).as_posix()
        for path in lake.rglob("*")
        if path.is_file() and path.name not in kept and "_delta_log" not in path.parts and ".store" not in path.parts
    }


def referenced(lake: Path, latest: int) -> set[str]:
    return {
        Path(uri).relative_to(lake).as_posix()
        for version in range(latest + 1)
        for uri in Tables(lake).file_uris("cases", version)
    }


def test_an_ingest_killed_at_any_step_leaves_whole_versions(tmp_path: Path, sources: tuple[Path, Path]) -> None:
    old, new = sources
    lake = tmp_path / "lake"
    with start(tmp_path / "trial", old, -1) as trial:
        steps = int(trial.communicate()[0].split()[-2])
    assert steps >= 10
    ingest(str(old), tables=Tables(lake), name="cases", as_of=0)
    versions = 1
    killed = 0
    for kill_at in range(1, steps + 1):
        source = new if versions % 2 else old
        with start(lake, source, kill_at) as child:
            child.communicate()
        killed += child.returncode == -signal.SIGKILL
        versions = check_whole(lake, versions) + 1
    assert killed >= steps - 3
    # the next run works, and clears up after all the dead
    ingest(str(new if versions % 2 else old), tables=Tables(lake), name="cases", as_of=0)
    latest = check_whole(lake, versions)
    assert latest == versions
    assert files_of(lake) == referenced(lake, latest)


def test_an_ingest_killed_at_random_moments_leaves_whole_versions(tmp_path: Path, sources: tuple[Path, Path]) -> None:
    old, new = sources
    lake = tmp_path / "lake"
    ingest(str(old), tables=Tables(lake), name="cases", as_of=0)
    moments = random.Random(2026)
    versions = 1
    for _ in range(6):
        with start(lake, new if versions % 2 else old, -1) as child:
            assert child.stdout is not None
            for _ in range(moments.randrange(1, 14)):
                child.stdout.readline()
            child.kill()  # somewhere after that step, while the child runs on
            child.communicate()
        versions = check_whole(lake, versions) + 1
    ingest(str(new if versions % 2 else old), tables=Tables(lake), name="cases", as_of=0)
    latest = check_whole(lake, versions)
    assert files_of(lake) == referenced(lake, latest)


def test_the_very_first_ingest_may_be_killed_too(tmp_path: Path, sources: tuple[Path, Path]) -> None:
    lake = tmp_path / "lake"
    with start(tmp_path / "trial", sources[0], -1) as trial:
        steps = int(trial.communicate()[0].split()[-2])
    for kill_at in (1, steps // 2, steps - 2):  # the last two come after the commit
        with start(lake, sources[0], kill_at) as child:
            child.communicate()
        assert child.returncode == -signal.SIGKILL
        assert Tables(lake).find("cases") is None
    report = ingest(str(sources[0]), tables=Tables(lake), name="cases", as_of=0)
    assert report.table_version == "cases@0"
    assert files_of(lake) == referenced(lake, 0)
