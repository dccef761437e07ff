"""Which columns give the outcome away? Looks on what was final at the start of a rehearsal, and at everything known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trueup.build.leakage import find_leakage
from trueup.build.runner import ModelRunner
from trueup.data.history import History
from trueup.lake.rehearsals import Notice


@dataclass(frozen=True)
class Suspicions:
    """What was found."""

    warnings: tuple[Notice, ...]
    kept: tuple[dict[str, Any], ...]
    """For each excluded or suspected column, what keeping it would change."""


def find_suspicions(history: History, runner: ModelRunner, *, task: str, seed: int) -> Suspicions:
    """Return the columns that explain too much, and what each excluded column would change.

    Uses every row whose outcome is final in the data: a leak is a property of the table, not of a moment.
    """
    final = (np.asarray(history.final_at) <= history.data_end) & ~np.isnan(np.asarray(history.outcome))
    leakage = find_leakage(runner, history, task=task, rows=np.flatnonzero(final), seed=seed)  # type: ignore[arg-type]
    effects = {e.column: e for e in leakage.effects}
    effects |= {s.column: s.keeping for s in leakage.suspicions if s.keeping}
    suspected = {s.column for s in leakage.suspicions}
    return Suspicions(
        warnings=tuple(s.notice() for s in leakage.suspicions),
        kept=tuple(
            {
                "column": e.column,
                "role": e.role,
                "metric": e.metric,
                "without": e.without,
                "kept": e.kept,
                "effect": e.effect,
                "suspected": e.column in suspected,
            }
            for e in effects.values()
        ),
    )
