"""What of a project's past goes into a bundle beside the model? Its days, what rows were like, what usually arrives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueup.align.allocation import PACE_SAMPLE, learn_pace
from trueup.align.charter import Charter
from trueup.align.streaming import pace_document
from trueup.bundle.features import FeatureSpec
from trueup.data.columns import read_category_codes, read_numbers
from trueup.data.history import History
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import local_iso
from trueup.loop.deciding import PACE_DAYS
from trueup.measure.profiles import (
    CategoryProfile,
    NumberProfile,
    as_json,
    origin_for,
    profile_categories,
    profile_numbers,
)

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


def data_window_of(history: History, rows: Rows, *, known_by: int, timezone: str) -> dict[str, str] | None:
    """Return the days on which cases happened and by which their outcomes were known; None without a time.

    Parameters
    ----------
    history : History
    rows : ndarray of int
        Positions in the history; at least one.
    known_by : int
        Moment up to which outcomes counted.
    timezone : str
        In which the days are those of the business.
    """
    if not history.dated:
        return None
    happened = np.asarray(history.event_time)[rows]
    moments = {"from": int(happened.min()), "to": int(happened.max()), "known_by": known_by}
    return {name: local_iso(moment, timezone)[:10] for name, moment in moments.items()}


def reference_of(history: History, features: Sequence[FeatureSpec], *, scores: Array, rows: Rows) -> dict[str, Any]:
    """Return the profiles that drift is measured against: every feature, and the scores.

    Parameters
    ----------
    history : History
    features : sequence of FeatureSpec
        Inputs of the model.
    scores : ndarray of float, shape (n_rows,), for several classes (n_rows, n_classes)
        What the model answers for `rows`; NaN where it refuses the row, which counts as missing.
    rows : ndarray of int
        Positions in the history.
    """
    columns = scores[:, None] if scores.ndim == 1 else scores
    return {
        "features": {f.name: as_json(_profile(history, f, rows)) for f in features},
        "scores": [as_json(profile_numbers(np.ascontiguousarray(column))) for column in columns.T],
        "rows": len(rows),
    }


def recent_rows(history: History) -> Rows:
    """Return some of the rows of the last four weeks, on whose gains a bundle's pace rests; none without times."""
    if not history.dated:
        return np.zeros(0, dtype=np.int64)
    recent = _last_weeks(history)
    return np.arange(recent.start, recent.stop, max(1, -(-(recent.stop - recent.start) // PACE_SAMPLE)))


def pace_of(charter: Charter, history: History, *, gains: Array) -> dict[str, Any]:
    """Return what usually arrives, as the document that every server and batch run with the bundle decides by.

    Parameters
    ----------
    charter : Charter
    history : History
        With times.
    gains : ndarray of float
        Expected gains of recent cases by the bundle's own scores; NaN where there is no score.
    """
    recent = _last_weeks(history)
    last = int(history.event_time[-1]) + 1
    moments = np.asarray(history.event_time[recent])
    first = max(last - PACE_DAYS * MICROSECONDS_PER_DAY, int(history.event_time[0]))
    return pace_document(learn_pace(moments, gains, first=first, last=last, calendar=charter.calendar()))


def _last_weeks(history: History) -> slice:
    last = int(history.event_time[-1]) + 1
    return history.rows_between(last - PACE_DAYS * MICROSECONDS_PER_DAY, last)


def _profile(history: History, feature: FeatureSpec, rows: Rows) -> NumberProfile | CategoryProfile:
    if feature.kind in ("category", "text"):
        return profile_categories(*read_category_codes(history.table_path, feature.name, rows))
    values = read_numbers(history.table_path, feature.name, rows)
    return profile_numbers(values, origin=origin_for(values))
