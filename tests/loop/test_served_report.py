"""The report of a log counts what servers and batch runs decided each for itself, and the two add up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.lake.log_making import a_prediction, a_row, a_segment
from tests.loop.predicting import NOW, Packaged, sealed

from trueup.lake.desired_state import (
    BundleRole,
    DesiredState,
    NothingServed,
    ServerStatus,
    change_desired,
    write_status,
)
from trueup.loop.predict_logging import LogTarget
from trueup.loop.served_report import served_report


def test_rows_of_a_batch_run_are_no_answers_of_servers(
    fraud: Packaged, grouped_rows: Path, target: LogTarget, tmp_path: Path
) -> None:
    project, scratch = fraud.project.name, tmp_path / "scratch"
    shutil.copytree(fraud.bundle, tmp_path / "lake" / "bundles" / fraud.bundle.name)
    with pytest.raises(NothingServed):
        served_report(target.store, project, scratch=scratch)
    champion = BundleRole(fraud.bundle.name, "champion")
    change_desired(target.store, project, lambda _: DesiredState(project=project, version=0, bundles=(champion,)))
    status = ServerStatus(
        server="one", project=project, version=1, bundles=(), started_at=NOW, reported_at=NOW, served=3, logged=3,
        shed=0, fallback=0,
    )  # fmt: skip
    write_status(target.store, status)
    a_segment(target.spool.hot(project), [a_prediction(*(a_row(n, f"s{n}", acted=True) for n in range(3)), at=NOW)])

    fraud.predict(grouped_rows, tmp_path / "answers.parquet", log=target)
    with sealed(target, project, scratch):
        told = served_report(target.store, project, scratch=scratch)

    assert (told.served, told.logged, told.sealed, told.batch) == (3, 3, 3, 2_500)
    assert told.predictions == told.cases == told.sealed + told.batch
    assert sum(told.by_reason.values()) == told.cases
    # of the server's one request; a run's first row waits for its whole part
    assert (told.latency_p50_ms, told.latency_p99_ms) == (0.12, 0.12)
