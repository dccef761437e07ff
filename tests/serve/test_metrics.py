"""Do several processes tell one coherent story, in a form scrapers read?"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.serve.metric_cells import Cells, TooManySeries
from trueup.serve.metrics import ServerMetrics, exposition, wants_openmetrics
from trueup.serve.replies import Reply

OF_PROMETHEUS_2 = (
    b"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    b"text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
OF_PROMETHEUS_3 = (
    b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    b"application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    b"text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@contextmanager
def counting(folder: Path, name: str = "1-1", *, started_at: float = 1.5e9) -> Iterator[ServerMetrics]:
    metrics = ServerMetrics(folder, name, started_at=started_at)
    try:
        yield metrics
    finally:
        metrics.close()


def samples(folder: Path, *, openmetrics: bool = True) -> dict[str, float]:
    lines = exposition(folder, openmetrics=openmetrics).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def fill(metrics: ServerMetrics) -> None:
    metrics.answered(200, 0.003)
    metrics.answered(429, 0.00001)
    metrics.refused("too-busy")
    metrics.failed(ValueError("x"))
    for stage in (metrics.decode, metrics.predict, metrics.policy, metrics.log):
        stage.observe(0.00002)
    metrics.served(3)
    metrics.logged(2)
    metrics.fell_back("deadline")
    metrics.scored("champion", 0.25)
    metrics.set_gauge("trueup_bundle_loaded", 1, digest='ab"c', role="champion")
    metrics.set_gauge("trueup_desired_version", 7)
    metrics.restarted("abc")


def test_promtool_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    with counting(tmp_path) as metrics:
        fill(metrics)
        text = metrics.text(openmetrics=False)
    ran = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_openmetrics_names_a_counter_without_total_and_ends_with_a_mark(tmp_path: Path) -> None:
    with counting(tmp_path) as metrics:
        metrics.answered(200, 0.5)
        text = metrics.text(openmetrics=True).decode()
    assert "# TYPE trueup_requests counter\ntrueup_requests_total{status=" in text
    assert "# UNIT trueup_request_seconds seconds\n" in text
    assert text.endswith("\n# EOF\n")


def test_both_formats_hold_the_same_samples(tmp_path: Path) -> None:
    with counting(tmp_path) as metrics:
        fill(metrics)
        assert samples(tmp_path, openmetrics=True) == samples(tmp_path, openmetrics=False)


def test_the_parser_of_openmetrics_reads_every_sample(tmp_path: Path) -> None:
    with counting(tmp_path) as metrics:
        fill(metrics)
        lines = metrics.text(openmetrics=True).decode().splitlines()
    # promtool reads OpenMetrics only to fill a database, and there each sample needs its time
    timed = [line if line[0] == "#" else f"{line} 1600000000" for line in lines]
    whole = filled(tmp_path / "whole", timed)
    assert (whole.returncode, whole.stderr) == (0, "")
    [block] = (tmp_path / "whole").glob("*/meta.json")
    assert json.loads(block.read_text())["stats"]["numSamples"] == sum(line[0] != "#" for line in lines)
    assert "EOF" in filled(tmp_path / "cut", timed[:-1]).stderr


def filled(database: Path, lines: list[str]) -> subprocess.CompletedProcess[str]:
    database.mkdir()
    file = database / "metrics.txt"
    file.write_text("\n".join(lines) + "\n")
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(file), str(database)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (b"", False),
        (b"*/*", False),
        (b"text/plain", False),
        (b"application/openmetrics-text", True),
        (b'Application/OpenMetrics-Text; version="1.0.0"', True),
        (b"application/openmetrics-text; version=0.0.1", False),
        (b"application/openmetrics-text; version=1.0.0; q=0", False),
        (b"application/openmetrics-text; version=1.0.0; q=much", False),
        (b"application/openmetrics-text;version=1.0.0;q=0.2, text/plain;q=0.5", False),
        (OF_PROMETHEUS_2, True),
        (OF_PROMETHEUS_3, True),
        (b"\xff;;,=,", False),
    ],
)
def test_openmetrics_is_for_who_asks_for_it_by_name(accept: bytes, wanted: bool) -> None:
    assert wants_openmetrics(accept) == wanted


def test_a_latency_lies_in_the_buckets_that_hold_it(tmp_path: Path) -> None:
    with counting(tmp_path) as metrics:
        metrics.decode.observe(0.00002)
        metrics.decode.observe(0.000021)
        metrics.decode.observe(99)
        told = samples(tmp_path)
    bucket = 'trueup_stage_seconds_bucket{{stage="decode",le="{}"}}'.format
    assert [told[bucket(edge)] for edge in ("1e-05", "2e-05", "5e-05", "5", "+Inf")] == [0, 1, 2, 2, 3]
    assert told['trueup_stage_seconds_count{stage="decode"}'] == 3
    assert told['trueup_stage_seconds_sum{stage="decode"}'] == pytest.approx(99.000041)


def test_a_served_prediction_that_is_not_logged_is_seen(tmp_path: Path) -> None:
    with counting(tmp_path) as metrics:
        metrics.served(3)
        metrics.logged(2)
        assert samples(tmp_path)["trueup_predictions_unlogged"] == 1


def test_processes_are_added_up_and_gauges_are_of_the_living(tmp_path: Path) -> None:
    one = ServerMetrics(tmp_path, "1", started_at=100)
    with counting(tmp_path, "2", started_at=200) as two:
        fill(one)
        fill(two)
        two.set_gauge("trueup_desired_version", 8)
        told = samples(tmp_path)
        loaded = r'trueup_bundle_loaded{digest="ab\"c",role="champion"}'
        assert (told['trueup_requests_total{status="200"}'], told[loaded]) == (2, 2)
        assert (told["trueup_desired_version"], told["trueup_start_time_seconds"]) == (7, 100)
        one.close()
        told = samples(tmp_path)
        assert (told['trueup_requests_total{status="200"}'], told[loaded]) == (2, 1)
        assert (told["trueup_desired_version"], told["trueup_start_time_seconds"]) == (8, 200)


def _count_and_die(folder: Path, name: str) -> None:
    metrics = ServerMetrics(folder, name, started_at=1)
    fill(metrics)
    os.kill(os.getpid(), signal.SIGKILL)


def test_counters_never_go_back_when_processes_are_killed(tmp_path: Path) -> None:
    for number in range(3):
        process = multiprocessing.get_context("spawn").Process(target=_count_and_die, args=(tmp_path, str(number)))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert samples(tmp_path)["trueup_predictions_served_total"] == 3 * (number + 1)
        assert len(list(tmp_path.glob("*.cells"))) == 1
    with counting(tmp_path, "last"):
        assert samples(tmp_path)["trueup_predictions_served_total"] == 9


def test_a_kill_between_folding_and_forgetting_counts_nothing_twice(tmp_path: Path) -> None:
    with counting(tmp_path, "1") as first:
        first.served(5)
    left = (tmp_path / "1.cells").read_bytes()
    with counting(tmp_path, "2"):
        (tmp_path / "1.cells").write_bytes(left)
        assert samples(tmp_path)["trueup_predictions_served_total"] == 5
    with counting(tmp_path, "3"):
        assert samples(tmp_path)["trueup_predictions_served_total"] == 5


def test_more_series_than_fit_are_refused_clearly(tmp_path: Path) -> None:
    cells = Cells(tmp_path, "1")
    for number in range(4096):
        cells.cell(f"a_{number}")
    assert cells.cell("a_0") == 0
    with pytest.raises(TooManySeries, match="4096 series"):
        cells.cell("one_more")
    cells.close()


@given(values=st.lists(st.floats(0, 10), max_size=30))
def test_every_value_is_in_exactly_one_bucket(values: list[float], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cells")
    with counting(folder) as metrics:
        for value in values:
            metrics.answered(200, value)
        told = samples(folder)
    edges = [(float(name.split('"')[1]), count) for name, count in told.items() if "request_seconds_bucket" in name]
    assert len(edges) == 20
    assert all(count == sum(value <= edge for value in values) for edge, count in edges)


def test_rows_are_counted_by_the_field_they_lack_and_a_wide_schema_does_not_fill_the_counters(tmp_path: Path) -> None:
    with counting(tmp_path) as metrics:
        metrics.predicted(Reply(200, b"", rows=2, missing={0: "age", 1: "age"}), log_ns=0)
        metrics.predicted(Reply(200, b"", rows=500, missing={row: f"f{row}" for row in range(500)}), log_ns=0)
    lacked = {name: value for name, value in samples(tmp_path).items() if "predictions_missing" in name}
    assert lacked['trueup_predictions_missing_total{field="age"}'] == 2
    assert lacked['trueup_predictions_missing_total{field="(another)"}'] == 301
    assert sum(lacked.values()) == 502
