"""What does a rehearsal play on? The past, the recipe and the signed rules, the same for every strategy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueup.align.charter import Project
from trueup.build.recipe import Recipe
from trueup.build.runner import ModelRunner
from trueup.data.duck import connect
from trueup.data.history import History, open_history
from trueup.data.pricing import CasePricer
from trueup.kernel.durations import MICROSECONDS_PER_DAY, Duration
from trueup.kernel.periods import NEVER, Calendar, Moments
from trueup.loop.mapped import mapped_array
from trueup.loop.scoring import Scorer
from trueup.loop.worth import DecisionWorth, PredictionWorth, worth_of

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """The inputs of a rehearsal; small and picklable, so that strategies can be played in several processes."""

    project: Project
    history_folder: Path
    scratch: Path
    recipe: Recipe
    start: int
    end: int
    horizon: Duration
    """How far back a recipe is judged."""

    @property
    def turns(self) -> Moments:
        """Return the ends of all turns; the first element is the start."""
        calendar = Calendar(self.project.charter.timezone, self.project.rehearsal.turn)
        starts = calendar.starts_between(self.start, self.end)
        inner = starts[(starts > self.start) & (starts < self.end)]
        return np.concatenate(([self.start], inner, [self.end]))


@dataclass(frozen=True)
class Bench:
    """What one process works with while it plays."""

    stage: Stage
    history: History
    runner: ModelRunner
    scorer: Scorer
    pricer: CasePricer
    worth: DecisionWorth | PredictionWorth
    rows: slice
    """The rehearsed cases, by position."""
    finals: Rows
    """Positions of the rehearsed cases in the order in which their outcomes became final."""
    final_times: Moments
    """When, in that order; never before the case itself."""

    @property
    def project(self) -> Project:
        """Return the project that is rehearsed."""
        return self.stage.project


@contextlib.contextmanager
def open_bench(stage: Stage) -> Iterator[Bench]:
    """Open everything that one process needs to play strategies."""
    history = open_history(stage.history_folder)
    with open_workbench(stage.project, history, stage.scratch) as (runner, pricer):
        yield bench_of(stage, history, runner=runner, pricer=pricer)


def bench_of(stage: Stage, history: History, *, runner: ModelRunner, pricer: CasePricer) -> Bench:
    """Return what strategies are played with, on an open workbench."""
    rows = history.rows_between(stage.start, stage.end)
    finals, final_times = _in_final_order(history, rows, folder=stage.scratch / "arrays")
    return Bench(
        stage=stage,
        history=history,
        runner=runner,
        scorer=Scorer(history, runner, block_rows=_rows_a_month(stage, rows)),
        pricer=pricer,
        worth=worth_of(stage.project, history, pricer, start=stage.start),
        rows=rows,
        finals=finals,
        final_times=final_times,
    )


def _in_final_order(history: History, rows: slice, *, folder: Path) -> tuple[Rows, Moments]:
    """Return the positions of the cases by the time their outcome became final, and those times; both on disk."""
    final = np.maximum(np.asarray(history.final_at[rows]), np.asarray(history.event_time[rows]))
    final[np.isnan(np.asarray(history.outcome[rows]))] = NEVER
    order = np.argsort(final, kind="stable")
    known = int((final < NEVER).sum())
    finals, times = (mapped_array(folder, known, np.int64).astype(np.int64, copy=False) for _ in range(2))
    np.take(final, order[:known], out=times)
    np.add(order[:known], rows.start, out=finals)
    return finals, times


def _rows_a_month(stage: Stage, rows: slice) -> int:
    days = max(1.0, (stage.end - stage.start) / MICROSECONDS_PER_DAY)
    return int((rows.stop - rows.start) * 31 / days)


@contextlib.contextmanager
def open_workbench(project: Project, history: History, scratch: Path) -> Iterator[tuple[ModelRunner, CasePricer]]:
    """Open the process that holds models, and what evaluates the charter's expressions.

    Models are fitted on one thread: sums then have one order, so that figures do not depend on how many strategies are
    played side by side; several cores are used by playing several strategies.
    """
    spill = scratch / "duckdb"
    spill.mkdir(parents=True, exist_ok=True)
    with (
        ModelRunner(Path(project.folder), scratch / "models", threads=1) as runner,
        contextlib.closing(connect(memory_limit_mb=1_000, threads=1, temp_directory=spill)) as connection,
    ):
        yield runner, CasePricer(history, connection)
