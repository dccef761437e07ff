"""What happened, when, and when was it known? A project's cases in event-time order, ready to be played.

Narrow facts (times, outcome, payoffs, what the old rule did) are arrays on disk, opened as memory maps; features stay
in one Parquet file with the same row order. Nothing here knows a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.periods import Moments


@dataclass(frozen=True)
class HistoryColumn:
    """One column of the table beside its meaning."""

    name: str
    kind: str
    """number, category, boolean, date or text."""
    role: str
    """feature, excluded, or which part of the project file names it (label, time, case_id, label_known_at, ...)."""


@dataclass(frozen=True)
class History:
    """All cases of a project, sorted by event time, then case id. Arrays have shape (rows,)."""

    folder: Path
    """Holds `table.parquet` (every column, this order) and the arrays."""
    table_version: str
    rows: int
    columns: tuple[HistoryColumn, ...]
    classes: tuple[str, ...]
    """Names of the outcome's classes; for binary (negative, positive); empty for regression."""
    event_time: Moments
    known_at: Moments
    """When the outcome became known; NEVER where it has not."""
    final_at: Moments
    """From when on the outcome cannot change and is known, or no news means negative; NEVER where neither."""
    outcome: NDArray[np.float64]
    """0 or 1, the class index, or the number; NaN where there is none even at `final_at`."""
    payoffs: NDArray[np.float64] | None
    """Shape (rows, 4): true positive, false positive, false negative, true negative, in the currency; binary only."""
    baseline: NDArray[np.float64] | None
    """What the baseline rule does: 1 acts, 0 does not (a number for regression); None without a rule."""
    unit_hash: NDArray[np.uint64]
    """Hash of the case id, for control groups, canaries and exploration."""

    @property
    def table_path(self) -> Path:
        """Return the Parquet file with every column of the table, in this order."""
        return self.folder / "table.parquet"

    @property
    def features(self) -> tuple[HistoryColumn, ...]:
        """Return the columns a model may see."""
        return tuple(c for c in self.columns if c.role == "feature")
