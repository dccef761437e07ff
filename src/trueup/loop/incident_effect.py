"""What did a broken column change? The same cases decided once as they came, and once with values as before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.build.recipe import FittedModel
from trueup.data.columns import numbers_of, read_column
from trueup.loop.retrain import training_rows
from trueup.loop.stage import Bench
from trueup.loop.strategies import StrategyPlan
from trueup.loop.worth import DecisionWorth

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
DRAWS = 5
"""Draws from the past that stand for values which no factor brings back."""
_SEED = 7


@dataclass(frozen=True, eq=False)
class Doubted:
    """The values of a column that an incident put in doubt."""

    column: str
    rows: Rows
    """Cases of the incident's days, by position in the history."""
    affected: Rows
    """Positions in `rows` of those whose value is doubted."""
    before: Rows
    """Past cases of the same group, by position in the history."""
    factor: float | None
    """By what the values were probably multiplied."""


def effect_of(bench: Bench, plan: StrategyPlan, doubted: Doubted) -> tuple[int | None, float | None]:
    """Return how many decisions of the first model the incident changed, and what that was worth.

    The worth is in the currency on cases with an outcome, negative when the incident lost money. Both are None when
    there is no first model; the decisions, when numbers or classes are predicted.
    """
    learned = training_rows(bench, as_of=bench.stage.start, window=plan.window)
    if learned is None or not len(doubted.before):
        return None, None
    model = bench.runner.fit(bench.stage.recipe, learned)
    came = bench.runner.predict_rows(model, bench.history.table_path, doubted.rows)
    table = _inputs(bench, doubted)
    changed, effects = [], []
    for column in _columns_as_before(bench, doubted):
        wanted = _scores_with(bench, model, table, column=(doubted.column, column))
        changed.append(_changed(bench, came, wanted, rows=doubted.rows))
        effects.append(_gap(bench, came, wanted, rows=doubted.rows))
    decides = isinstance(bench.worth, DecisionWorth)
    return round(float(np.mean(changed))) if decides else None, float(np.mean(effects))


def _columns_as_before(bench: Bench, doubted: Doubted) -> Iterator[pa.Array]:
    """Yield the column of the incident's days with the doubted values divided, or drawn from the past."""
    import pyarrow as pa

    column = read_column(bench.history.table_path, doubted.column)
    if doubted.factor is not None:
        values = numbers_of(column.take(pa.array(doubted.rows))).copy()
        values[doubted.affected] /= doubted.factor
        yield pa.array(values, from_pandas=True)
        return
    rng = np.random.default_rng(_SEED)
    for _ in range(DRAWS):
        source = doubted.rows.copy()
        source[doubted.affected] = rng.choice(doubted.before, len(doubted.affected))
        yield column.take(pa.array(source)).combine_chunks()


def _inputs(bench: Bench, doubted: Doubted) -> pa.Table:
    """Return what the model takes, for the incident's days as they came."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [feature.name for feature in bench.stage.recipe.features]
    whole = pq.read_table(bench.history.table_path, columns=names, use_threads=False)
    return whole.take(pa.array(doubted.rows))


def _scores_with(bench: Bench, model: FittedModel, table: pa.Table, *, column: tuple[str, pa.Array]) -> Array:
    """Return the scores of rows with another column in its place."""
    import pyarrow.parquet as pq

    name, values = column
    table = table.set_column(table.schema.get_field_index(name), name, values)
    path = bench.stage.scratch / "as-before.parquet"
    pq.write_table(table, path)
    try:
        return bench.runner.predict_rows(model, path, np.arange(table.num_rows))
    finally:
        path.unlink()


def _changed(bench: Bench, came: Array, wanted: Array, *, rows: Rows) -> int:
    worth = bench.worth
    if not isinstance(worth, DecisionWorth):
        return 0
    acted, instead = (worth.acted_on(worth.gains(scores, rows), rows) for scores in (came, wanted))
    return int((acted != instead).sum())


def _gap(bench: Bench, came: Array, wanted: Array, *, rows: Rows) -> float:
    """Return what the decisions as they came earned more than those with values as before."""
    one, other = (bench.worth.value_of_scores(scores, rows) for scores in (came, wanted))
    return float(np.nansum(one - other))
