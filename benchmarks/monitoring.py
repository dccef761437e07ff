"""What does watching production cost? Drift beside only reading the columns, daily figures beside only the join.

The peer that reads only decodes the same files with the same reader and does nothing with the values. SciPy computes
two distances on columns that are decoded already. Evidently, NannyML and whylogs read the same files, fewer rows of
them, each in an environment of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.agreeing import beside_evidently, beside_scipy, beside_sklearn, drift_of, estimated_auc
from benchmarks.measuring import Figure, apart, best_cost, cost_of
from benchmarks.peers.environments import PeerMissing, run_peer
from benchmarks.windows import COLUMNS, write_outcomes, write_scores, write_windows
from trueup.data.duck import connect
from trueup.data.outcome_counts import OutcomeFiles, PredictionFiles, count_outcomes
from trueup.data.profile_plan import plan_profile
from trueup.data.profiling import column_batches, opened, profile_files
from trueup.measure.profiles import NumberProfile
from trueup.measure.scorecounts import auc_from, calibration_error_from, log_loss_from, value_curve

ROWS, FEWER, CASES = 1_000_000, 200_000, 10_000_000
PEERS = ("evidently", "nannyml", "whylogs")
_REPEATS = 3


def figures(folder: Path) -> Iterator[Figure]:
    """Yield CPU seconds and memory of two windows of a million rows and of ten million predictions, and agreement."""
    write_windows(folder, rows=ROWS)
    ours, memory = apart(ours_cost, folder)
    windows = f"2 windows of {ROWS:,} x {COLUMNS}"
    yield Figure("monitoring.drift", ours, "CPU s", "only reading the columns", apart(reading_cost, folder), windows)
    yield Figure("monitoring.drift.memory", memory, "MB", "target", 400.0, windows)
    yield from scipy_figures(folder, ours=ours)
    yield from peer_figures(folder / "fewer", ours=ours, memory=memory)
    write_outcomes(folder, rows=CASES)
    counted, joined = apart(counting_cost, folder), apart(join_cost, folder)
    yield Figure("monitoring.outcomes", counted, "CPU s", "the join alone", joined, f"{CASES:,} predictions, daily AUC")


def scipy_figures(folder: Path, *, ours: float) -> Iterator[Figure]:
    """Yield the cost of SciPy and how far ours is from SciPy and scikit-learn."""
    seconds, differences = apart(beside_scipy, folder)
    yield Figure("monitoring.beside_scipy", ours, "CPU s", "scipy KS and Wasserstein", seconds, "14 numbers, decoded")
    drifting = f"largest, from scipy; KS up to {differences['drift']:.2f}"
    yield Figure("monitoring.ks_difference", differences["ks"], "KS", "target", 2e-4, drifting)
    yield Figure("monitoring.wasserstein_difference", differences["wasserstein"], "share", "target", 3e-3, drifting)
    yield Figure("monitoring.edges_difference", differences["edges"], "PSI, JS", "target", 1e-12, "on the same edges")
    write_scores(folder, rows=ROWS)
    known = apart(beside_sklearn, folder)
    targets = {"auc": 1e-4, "log_loss": 1e-9, "calibration": 1e-9}
    for name, target in targets.items():
        yield Figure(f"monitoring.{name}_difference", known[name], name, "target", target, f"{ROWS:,} scores, sklearn")


def peer_figures(folder: Path, *, ours: float, memory: float) -> Iterator[Figure]:
    """Yield what other tools take for fewer rows, per million rows, and how far ours is from them."""
    folder.mkdir()
    write_windows(folder, rows=FEWER)
    write_scores(folder, rows=FEWER)
    for name in PEERS:
        try:
            told = run_peer(name, folder)
        except PeerMissing as error:
            yield Figure(f"monitoring.beside_{name}", ours, "CPU s", name, note=f"the peer was not measured: {error}")
            continue
        scaled, note = told.cpu_seconds * ROWS / FEWER, f"per million rows; the peer of {FEWER:,}"
        yield Figure(f"monitoring.beside_{name}", ours, "CPU s", name, scaled, note)
        yield Figure(f"monitoring.beside_{name}.memory", memory, "MB", name, told.memory_mb, f"the peer for {FEWER:,}")
        if name == "evidently":
            apart_by = apart(beside_evidently, folder, told.found)
            yield Figure("monitoring.evidently_difference", apart_by, "share", "target", 3e-3, "normed Wasserstein")
        if name == "nannyml":
            apart_by = abs(apart(estimated_auc, folder) - float(told.found["estimated auc"]))
            yield Figure("monitoring.nannyml_difference", apart_by, "AUC", "target", 5e-4, "estimated, CBPE")


def ours_cost(folder: Path) -> tuple[float, float]:
    """Return CPU seconds and MB of ours."""
    cost = best_cost(lambda: drift_of(folder), repeats=_REPEATS)
    return cost.cpu_seconds, cost.memory_mb


def reading_cost(folder: Path) -> float:
    """Return CPU seconds of decoding all columns."""

    def read() -> None:
        for path in (folder / "reference.parquet", folder / "current.parquet"):
            plan = plan_profile([path])
            file = opened(path, plan)
            for column in plan.columns:
                for _ in column_batches(file, column, range(file.metadata.num_row_groups)):
                    pass

    return best_cost(read, repeats=_REPEATS).cpu_seconds


def counting_cost(folder: Path) -> float:
    """Return CPU seconds of daily AUC, calibration and value of all predictions."""
    predictions = PredictionFiles([folder / "predictions.parquet"])
    outcomes = OutcomeFiles(
        [folder / "outcomes.parquet"], known_at=None, payoff_if_acted="acted", payoff_if_not="passed"
    )

    def count() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            found = count_outcomes(predictions, outcomes, as_of=0, scratch=Path(scratch))
        for counts in found.days.values():
            auc_from(counts), log_loss_from(counts), calibration_error_from(counts), value_curve(counts)

    return best_cost(count, repeats=1).cpu_seconds


def join_cost(folder: Path) -> float:
    """Return CPU seconds of the same join, summed up to one row."""
    sides = [f"read_parquet('{folder / name}.parquet')" for name in ("predictions", "outcomes")]
    sums = "count(*), sum(score), max(event_time), sum(outcome), sum(acted), sum(passed)"

    def join() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            connection = connect(temp_directory=Path(scratch))
            connection.execute(f"SELECT {sums} FROM {sides[0]} LEFT JOIN {sides[1]} USING (prediction_id)").fetchall()
            connection.close()

    return best_cost(join, repeats=1).cpu_seconds


def many_rows(folder: Path, *, millions: int) -> tuple[float, float, bool]:
    """Return CPU seconds per million rows and MB of profiling a window again and again, and whether counts add up."""
    path = folder / "reference.parquet"
    plan = plan_profile([path])
    cost, profile = cost_of(lambda: profile_files([path] * millions, plan))
    column = profile.columns["x0"]
    whole = isinstance(column, NumberProfile) and column.present + column.missing == millions * ROWS
    return cost.cpu_seconds / millions, cost.memory_mb, whole
