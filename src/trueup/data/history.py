"""What happened, when, and when was it known? A project's cases in event-time order, ready to be played.

Narrow facts (times, outcome, payoffs, what the old rule did) are arrays on disk, opened as memory maps; features stay
in one Parquet file with the same row order. Nothing here knows a model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trueup.kernel.periods import Moments
from trueup.lake.rehearsals import Notice

_ARRAYS = ("event_time", "known_at", "final_at", "outcome", "unit_hash")
_OPTIONAL_ARRAYS = ("payoffs", "baseline")


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
    """Binary: shape (rows, 4): true positive, false positive, false negative, true negative, in the currency.

    Several classes: shape (rows or 1, k, k), payoff of predicting class i when the outcome is j. None for regression.
    """
    baseline: NDArray[np.float64] | None
    """What the baseline rule does: 1 acts, 0 does not (a number for regression); None without a rule."""
    unit_hash: NDArray[np.uint64]
    """Hash of the case id, for control groups, canaries and exploration."""
    data_end: int
    """The first moment after everything the table tells: the latest event, or news of an outcome."""
    dated: bool = True
    """False when the table has no time column: rows are in file order and cannot be rehearsed."""
    notices: tuple[Notice, ...] = ()

    @property
    def table_path(self) -> Path:
        """Return the Parquet file with every column of the table, in this order."""
        return self.folder / "table.parquet"

    @property
    def features(self) -> tuple[HistoryColumn, ...]:
        """Return the columns a model may see."""
        return tuple(c for c in self.columns if c.role == "feature")

    def rows_between(self, first: int, last: int) -> slice:
        """Return the positions of the cases that happened in ``[first, last)``."""
        return slice(*(int(i) for i in np.searchsorted(self.event_time, (first, last), side="left")))


def save_history(history: History) -> None:
    """Write the arrays and the description of a history into its folder; the description last."""
    for name in _ARRAYS + _OPTIONAL_ARRAYS:
        array = getattr(history, name)
        if array is not None:
            np.save(history.folder / f"{name}.npy", array)
    document = {
        "table_version": history.table_version,
        "rows": history.rows,
        "columns": [asdict(c) for c in history.columns],
        "classes": list(history.classes),
        "data_end": history.data_end,
        "dated": history.dated,
        "notices": [asdict(n) for n in history.notices],
    }
    (history.folder / "history.json").write_text(json.dumps(document, indent=1))


def open_history(folder: Path) -> History:
    """Return the history in a folder, its arrays as read-only memory maps."""
    document = json.loads((folder / "history.json").read_text())

    def array(name: str) -> NDArray[np.generic] | None:
        path = folder / f"{name}.npy"
        return np.load(path, mmap_mode="r") if path.exists() else None

    arrays = {name: array(name) for name in _ARRAYS + _OPTIONAL_ARRAYS}
    return History(
        folder=folder,
        table_version=document["table_version"],
        rows=document["rows"],
        columns=tuple(HistoryColumn(**c) for c in document["columns"]),
        classes=tuple(document["classes"]),
        data_end=document["data_end"],
        dated=document["dated"],
        notices=tuple(Notice(**n) for n in document["notices"]),
        **arrays,  # type: ignore[arg-type]  # each array has the dtype it was saved with
    )
