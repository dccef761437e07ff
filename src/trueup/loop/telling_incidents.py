"""Which columns broke during the rehearsal, where, and what did it do to decisions and money?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.data.columns import category_codes_of, numbers_of, read_column
from trueup.kernel.durations import MICROSECONDS_PER_DAY
from trueup.kernel.periods import Calendar, local_iso
from trueup.lake.incidents import DataIncident
from trueup.loop.incident_effect import Doubted, effect_of
from trueup.loop.stage import Bench
from trueup.loop.strategies import StrategyPlan
from trueup.measure.stretches import Stretch
from trueup.observe.data_incidents import (
    Sign,
    Where,
    category_signs,
    find_incident,
    locate,
    number_signs,
    suspected_factor,
)

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
PAST_DAYS = 365
"""How long before the rehearsal a column's past reaches."""
_SIGNS = 3
"""Signs looked at per column, at most."""


@dataclass(frozen=True, eq=False)
class _Watched:
    """The cases that are looked at, past and rehearsed."""

    rows: slice
    days: Rows
    """Local day of each, ascending from 0 on."""
    starts: Rows
    """When each day begins."""
    past: int
    """How many of the first cases are the past."""

    def inside(self, found: Stretch) -> slice:
        """Return the positions, among these cases, of a stretch."""
        first, last = np.searchsorted(self.days, (found.first, found.last))
        return slice(int(first), int(last))


@dataclass(frozen=True, eq=False)
class _Broken:
    """A column's incident before anything is said about money."""

    column: str
    sign: Sign
    found: Stretch
    where: Where | None
    affected: Rows
    """Positions, among the watched cases, of the cases whose value is doubted."""
    before: Rows
    """Positions of the past cases they should look like."""
    factor: float | None


def find_incidents(bench: Bench, plan: StrategyPlan) -> tuple[DataIncident, ...]:
    """Return the columns that broke, the costliest first, then the earliest.

    The past is the year before the rehearsal. What an incident changed is told of the model that decides from the
    start: its decisions on the cases of those days as they came, against those with values as before (divided by the
    factor; without one, values drawn from the past of the same group).
    """
    watched = _watched(bench)
    if watched is None:
        return ()
    features = bench.stage.recipe.features
    categories = {f.name: _codes(bench, f.name, watched) for f in features if f.kind in ("category", "boolean")}
    looks = _SIGNS * max(1, len(features))
    told = []
    for feature in features:
        values = None
        if feature.name in categories or feature.kind == "text":
            codes, _ = categories.get(feature.name) or _codes(bench, feature.name, watched)
            signs = category_signs(codes, watched.days, past=watched.past)
        else:
            values = numbers_of(_column(bench, feature.name, watched))
            signs = number_signs(values, watched.days, past=watched.past)
        others = {name: codes for name, (codes, _) in categories.items() if name != feature.name}
        for sign, found in _apart(signs, watched, looks=looks):
            broken = _broken(feature.name, sign, found, watched=watched, values=values, others=others)
            told.append(_told(bench, plan, broken, watched=watched, categories=categories))
    return tuple(sorted(told, key=lambda one: (one.effect_on_value or 0.0, one.first_day, one.column)))


def _apart(signs: Sequence[Sign], watched: _Watched, *, looks: int) -> list[tuple[Sign, Stretch]]:
    """Return a column's incidents that share no day, those with the most cases first: one break may show two signs."""
    seen = [(sign, find_incident(sign, watched.days, past=watched.past, looks=looks)) for sign in signs]
    kept: list[tuple[Sign, Stretch]] = []
    for sign, found in sorted(seen, key=lambda one: -(one[1].flagged if one[1] else 0)):
        if found and not any(found.first < other.last and other.first < found.last for _, other in kept):
            kept.append((sign, found))
    return kept


def _watched(bench: Bench) -> _Watched | None:
    history, stage = bench.history, bench.stage
    if not history.dated:
        return None
    rows = history.rows_between(stage.start - PAST_DAYS * MICROSECONDS_PER_DAY, stage.end)
    past = history.rows_between(stage.start, stage.end).start - rows.start
    if past <= 0 or rows.stop - rows.start <= past:
        return None
    moments = np.asarray(history.event_time[rows])
    calendar = Calendar(stage.project.charter.timezone, "day")
    starts = calendar.starts_between(int(moments[0]), int(moments[-1]) + 1)
    days = np.searchsorted(starts, moments, side="right") - 1
    return _Watched(rows, days - days[0], starts[int(days[0]) :], past)


def _column(bench: Bench, name: str, watched: _Watched) -> pa.ChunkedArray:
    whole = read_column(bench.history.table_path, name)
    return whole.slice(watched.rows.start, watched.rows.stop - watched.rows.start)


def _codes(bench: Bench, name: str, watched: _Watched) -> tuple[Rows, list[str]]:
    return category_codes_of(_column(bench, name, watched))


def _broken(
    column: str,
    sign: Sign,
    found: Stretch,
    *,
    watched: _Watched,
    values: Array | None,
    others: dict[str, Rows],
) -> _Broken:
    inside = watched.inside(found)
    positions = np.arange(inside.start, inside.stop)
    flags = sign.flags[inside]
    where = locate(flags, {name: codes[inside] for name, codes in others.items()})
    before = np.arange(watched.past)
    affected = positions[flags]
    if where is not None:
        codes = others[where.column]
        before = before[np.isin(codes[: watched.past], where.codes)]
        group = positions[np.isin(codes[inside], where.codes)]
    else:
        group = positions
    factor = None
    if values is not None and sign.kind in ("above", "below"):
        factor = suspected_factor(values[before], values[group])
        affected = group if factor is not None else affected
    return _Broken(column, sign, found, where, affected, before, factor)


def _told(
    bench: Bench,
    plan: StrategyPlan,
    broken: _Broken,
    *,
    watched: _Watched,
    categories: dict[str, tuple[Rows, list[str]]],
) -> DataIncident:
    found, where = broken.found, broken.where
    timezone = bench.project.charter.timezone
    first, last = (local_iso(int(watched.starts[day]), timezone)[:10] for day in (found.first, found.last - 1))
    values = tuple(sorted(categories[where.column][1][code] for code in where.codes)) if where else ()
    inside, offset = watched.inside(found), watched.rows.start
    doubted = Doubted(
        broken.column,
        np.arange(inside.start, inside.stop) + offset,
        broken.affected - inside.start,
        broken.before + offset,
        broken.factor,
    )
    changed, effect = effect_of(bench, plan, doubted)
    return DataIncident(
        column=broken.column,
        kind=broken.sign.kind,
        first_day=first,
        last_day=last,
        ongoing=found.last > int(watched.days[-1]),
        cases=found.flagged,
        share=found.share,
        usual_share=broken.sign.usual_share,
        only_in=where.column if where else None,
        only_values=values,
        factor=broken.factor,
        decisions_changed=changed,
        effect_on_value=effect,
    )
