"""Would a model trained on whatever is known so far be fooled? Trains one, and compares it with what really happened.

Outcomes that arrive early are often all of one kind: of bookings still to come, only the cancelled are known.
"""

from __future__ import annotations

import numpy as np

from trueup.build.recipe import TrainingRows
from trueup.kernel.periods import Calendar
from trueup.lake.rehearsals import Notice
from trueup.loop.retrain import MIN_TRAINING_ROWS
from trueup.loop.stage import Bench
from trueup.loop.worth import DecisionWorth

SUSPICIOUS_GAP = 0.1
"""Difference between mean score and outcome rate from which labels count as immature."""


def find_immature_labels(bench: Bench) -> tuple[Notice, ...]:
    """Return a warning when outcomes known at the start are unlike those still to come; yes-or-no tasks only.

    A model is trained on every outcome known at the start, as if each were final, and its mean score on the first
    window is compared with the share of positive outcomes that the window really had.
    """
    history, stage = bench.history, bench.stage
    if not isinstance(bench.worth, DecisionWorth):
        return ()
    known = np.asarray(history.known_at) <= stage.start
    before = np.asarray(history.event_time) < stage.start
    outcome = np.asarray(history.outcome)
    rows = np.flatnonzero(known & before & ~np.isnan(outcome))
    open_cases = before & (np.asarray(history.final_at) > stage.start)
    early = known & open_cases
    calendar = Calendar(stage.project.charter.timezone, stage.project.rehearsal.window)
    window = history.rows_between(stage.start, min(stage.end, calendar.next_start(stage.start)))
    real = outcome[window]
    real = real[~np.isnan(real)]
    too_few = len(rows) < MIN_TRAINING_ROWS or not len(real) or not open_cases.any()
    if too_few or outcome[rows].min() == outcome[rows].max():
        return ()
    model = bench.runner.fit(stage.recipe, TrainingRows(history.table_path, rows, outcome[rows]))
    scores = bench.runner.predict(model, history.table_path, window.start, window.stop)
    gap = float(scores.mean() - real.mean())
    if abs(gap) < SUSPICIOUS_GAP:
        return ()
    label = stage.project.data.label
    kind = f" ({outcome[early].mean():.0%} of the early ones are positive)" if early.any() else ""
    advice = (
        "only rows that are final are used to train"
        if stage.project.data.label_final_at
        else "say when an outcome is final with data.label_final_at"
    )
    return (
        Notice(
            code="data.labels-immature",
            message=(
                f"outcomes known so far are unlike those still to come: a model trained on every outcome of {label} "
                f"known at the start scores {scores.mean():.2f} on average in {calendar.label(stage.start)}, where "
                f"{real.mean():.0%} were positive{kind}; {advice}"
            ),
            column=label,
            effect=gap,
        ),
    )
