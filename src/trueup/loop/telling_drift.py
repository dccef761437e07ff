"""How did the inputs move over the rehearsal, and what did that cost? One pass over each feature."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.data.columns import category_codes_of, numbers_of, read_column
from trueup.kernel.periods import Calendar, local_iso
from trueup.lake.rehearsals import FeatureDrift
from trueup.loop.retrain import recipe_on_later_cases
from trueup.loop.stage import Bench
from trueup.loop.strategies import StrategyPlan
from trueup.observe.drift_cost import (
    DriftCost,
    FeatureReference,
    count_categories,
    count_numbers,
    drift_cost_of,
    reference_of_categories,
    reference_of_numbers,
)

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


def find_drift(bench: Bench, plan: StrategyPlan) -> tuple[FeatureDrift, ...]:
    """Return the drift of every feature in every window, against the cases the first promise rests on.

    The reference is the cases on which the first recipe was judged before the start, with the value it earned on each,
    so the effect of a shift is in money: see `trueup.observe.drift_cost`.
    """
    stage = bench.stage
    since = stage.start - stage.horizon.microseconds
    test = recipe_on_later_cases(bench, as_of=stage.start, since=since, plan=plan)
    if test is None:
        return ()
    calendar = Calendar(stage.project.charter.timezone, stage.project.rehearsal.window)
    starts = calendar.starts_between(stage.start, stage.end)
    edges = [stage.start, *(int(s) for s in starts[1:-1]), stage.end]
    found: list[FeatureDrift] = []
    for feature in stage.recipe.features:
        column = read_column(bench.history.table_path, feature.name)
        reference = _reference(feature.name, feature.kind, column, rows=test.rows, value=test.value)
        for first, last in itertools.pairwise(edges):
            rows = bench.history.rows_between(first, last)
            cost = drift_cost_of(reference, _counts(reference, feature.kind, column, rows))
            if cost.cases:
                found.append(_told(cost, local_iso(first, calendar.timezone)))
    return tuple(found)


def _told(cost: DriftCost, window: str) -> FeatureDrift:
    return FeatureDrift(
        feature=cost.feature,
        window=window,
        shift=cost.shift or 0.0,
        missing_share=cost.missing_share or 0.0,
        new_share=cost.new_share or 0.0,
        effect_on_value=cost.effect_per_case,
        beyond_chance=cost.status == "warning",
    )


def _reference(name: str, kind: str, column: pa.ChunkedArray, *, rows: Rows, value: Array) -> FeatureReference:
    import pyarrow as pa

    taken = column.take(pa.array(rows))
    if kind in ("category", "text"):
        codes, names = category_codes_of(taken)
        return reference_of_categories(name, codes, names=names, value_per_case=value)
    return reference_of_numbers(name, numbers_of(taken), value_per_case=value)


def _counts(reference: FeatureReference, kind: str, column: pa.ChunkedArray, rows: slice) -> Array:
    inside = column.slice(rows.start, rows.stop - rows.start)
    if kind in ("category", "text"):
        codes, names = category_codes_of(inside)
        return count_categories(reference, codes, names=names)
    return count_numbers(reference, numbers_of(inside))
