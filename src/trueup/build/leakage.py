"""Which columns give the outcome away? Suspicions over every column of the table, with what each one changes.

A column is suspected when it explains far too much alone, when it was written after the decision and explains the
outcome, or when columns add up to the outcome. The fits run in the separate process (`suspects`); this is the caller's
side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trueup.build.recipe import Task
from trueup.build.runner import ModelRunner, Progress
from trueup.data.history import History
from trueup.lake.rehearsals import Notice

FEWEST_ROWS = 200
"""With fewer final rows nothing is suspected: any column may explain so few."""


@dataclass(frozen=True)
class KeepingEffect:
    """What a model gains on later rows when it may see a column."""

    column: str
    role: str
    """As in the history: ``feature``, ``excluded``, ..."""
    metric: str
    """AUC (of several classes: each against the rest), or MAE for regression."""
    without: float
    kept: float

    @property
    def effect(self) -> float:
        """Return `kept` minus `without`: above 0 for AUC, and below 0 for MAE, the column makes a model look better."""
        return self.kept - self.without


@dataclass(frozen=True)
class Suspicion:
    """One column that may not have been known when the decision was made."""

    column: str
    role: str
    kind: str
    """``explains-alone``, ``written-after`` or ``adds-up``."""
    why: str
    alone: float
    """What the column reaches alone, out of fold: AUC, or R2 for regression."""
    keeping: KeepingEffect | None

    def notice(self) -> Notice:
        """Return the suspicion as a warning; its effect is that of keeping the column."""
        effect = ""
        if self.keeping:
            effect = (
                f" With it a model reaches {self.keeping.metric} {self.keeping.kept:.3f} on later rows, without it "
                f"{self.keeping.without:.3f}."
            )
        advice = "It is left out of the features." if self.role != "feature" else "Add it to data.exclude."
        return Notice(
            "data.leakage-suspected",
            f'"{self.column}": {self.why}.{effect} {advice}',
            self.column,
            self.keeping.effect if self.keeping else None,
        )


@dataclass(frozen=True)
class Leakage:
    """What was found; both in the order of the table's columns."""

    suspicions: tuple[Suspicion, ...]
    effects: tuple[KeepingEffect, ...]
    """Of every excluded column, suspected or not."""

    def effect_of_keeping(self, column: str) -> KeepingEffect | None:
        """Return what keeping a column changes; None where it is neither excluded nor suspected."""
        suspected = [s.keeping for s in self.suspicions if s.column == column and s.keeping]
        return next(iter([*suspected, *(e for e in self.effects if e.column == column)]), None)


def find_leakage(
    runner: ModelRunner,
    history: History,
    *,
    task: Task,
    rows: NDArray[np.int64],
    seed: int = 0,
    progress: Progress | None = None,
) -> Leakage:
    """Return which columns give the outcome away, and what keeping each excluded one changes.

    Parameters
    ----------
    runner : ModelRunner
    history : History
    task : {"binary", "multiclass", "regression"}
    rows : ndarray of int64
        Positions whose outcome is final, increasing; at least 200, else nothing is looked for.
    seed : int
        Of the sample and the folds.
    progress : callable, optional

    Notes
    -----
    Looks at every column but the label, also at excluded ones and those that carry the outcome's times. At most 20,000
    rows are used: alone-scores are out of fold, and effects are those of a small gradient boosting that learns from
    the first 70 % of them by time and is scored on the rest. It always sees the unsuspected features.
    """
    if len(rows) < FEWEST_ROWS:
        return Leakage((), ())
    columns = [[c.name, c.kind, c.role] for c in history.columns if c.role != "label"]
    answer = runner.ask(
        "leakage",
        progress,
        table=str(history.table_path),
        columns=columns,
        labels=[[c.name, c.kind] for c in history.columns if c.role == "label"],
        task=task,
        rows=str(runner.save_array("leakage-rows", rows)),
        outcome=str(runner.save_array("leakage-outcome", history.outcome[rows])),
        times=str(runner.save_array("leakage-times", _times(history, rows))),
        seed=seed,
    )
    role = {name: role for name, _, role in columns}
    effects = {
        name: KeepingEffect(name, role[name], answer["metric"], answer["without"], kept)
        for name, kept in answer["kept"].items()
    }
    return Leakage(
        tuple(
            Suspicion(s["column"], role[s["column"]], s["kind"], s["why"], s["alone"], effects.get(s["column"]))
            for s in answer["suspicions"]
        ),
        tuple(effects[name] for name, _, its_role in columns if its_role == "excluded" and name in effects),
    )


def _times(history: History, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return event time, known at and final at of some rows, shape (3, rows); event time is 0 where none is known."""
    event = history.event_time[rows] if history.dated else np.zeros(len(rows), dtype=np.int64)
    return np.stack([event, history.known_at[rows], history.final_at[rows]])
