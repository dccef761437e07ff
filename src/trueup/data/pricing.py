"""What do the charter's expressions say about these cases? Payoffs of predictions, guard conditions, KPIs.

Everything here is one DuckDB query over the history's Parquet file, with decisions and outcomes beside the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trueup.data.history import History
from trueup.kernel.expressions import Expression, parse_aggregate, parse_expression, to_duckdb

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
_OUTSIDE = frozenset({"acted", "outcome", "score", "prediction"})
_PIECE_ROWS = 100_000
"""Rows whose guard conditions are evaluated at once."""


class CasePricer:
    """Evaluates expressions over the rows of one history.

    Parameters
    ----------
    history : History
    connection : DuckDBPyConnection
        Used by this object alone.
    """

    def __init__(self, history: History, connection: duckdb.DuckDBPyConnection) -> None:
        self._history = history
        self._connection = connection

    def payoffs_of(self, per_case: str, *, rows: slice, prediction: Array, outcome: Array) -> Array:
        """Return the payoff of each prediction, in the currency: NaN without an outcome, 0 where it is no number.

        Parameters
        ----------
        per_case : str
            SQL over the row, `prediction` and `outcome`.
        rows : slice
            Positions in the history.
        prediction, outcome : ndarray of float, shape (n_rows,)
        """
        expression = parse_expression(per_case, where="charter.payoff.per_case", expects="number")
        table = self._beside(expression.columns, rows, {"prediction": prediction, "outcome": outcome})
        priced = self._select(f"({to_duckdb(expression)})::DOUBLE", table)
        paid = np.nan_to_num(priced, nan=0.0, posinf=0.0, neginf=0.0)
        return np.where(np.isnan(outcome), np.nan, paid)

    def truth_table(self, condition: str) -> NDArray[np.bool_]:
        """Return whether a condition over the row, `acted` and `outcome` holds, for each way a case may end.

        Returns
        -------
        ndarray of bool, shape (rows or 1, 4)
            Columns: acted and positive, acted and negative, not acted and positive, not acted and negative. One row
            when the condition does not depend on the case.
        """
        expression = parse_expression(condition, where="charter.guard", expects="boolean")
        held = [self._held_in_each_way(expression, piece) for piece in self._pieces(expression.columns - _OUTSIDE)]
        return held[0] if len(held) == 1 else np.concatenate(held)

    def _held_in_each_way(self, expression: Expression, rows: pa.Table) -> NDArray[np.bool_]:
        """Return the truth table of some rows."""
        held = np.zeros((rows.num_rows, 4), dtype=bool)
        for i, (acted, outcome) in enumerate(((True, True), (True, False), (False, True), (False, False))):
            facts = {"acted": np.full(rows.num_rows, acted), "outcome": np.full(rows.num_rows, outcome)}
            table = _with_facts(rows, facts, rows.num_rows)
            held[:, i] = self._select(f"coalesce({to_duckdb(expression)}, false)::DOUBLE", table) > 0
        return held

    def _pieces(self, columns: frozenset[str]) -> Iterator[pa.Table]:
        """Yield these columns in pieces that fit in memory however long the history is; one row without columns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not columns:
            yield _with_facts(None, {}, 1)
            return
        if not self._history.rows:
            yield self._table(sorted(columns))
            return
        with pq.ParquetFile(self._history.table_path) as file:
            for batch in file.iter_batches(_PIECE_ROWS, columns=sorted(columns), use_threads=False):
                yield pa.Table.from_batches([batch])

    def kpi(self, sql: str, *, rows: NDArray[np.int64], acted: Flags, outcome: Array, score: Array) -> float | None:
        """Return a KPI over the cases at `rows`; None where its denominator is zero."""
        expression = parse_aggregate(sql, where="charter.kpi")
        facts = {"acted": acted, "outcome": outcome == 1.0, "score": score}
        columns = sorted(expression.columns - _OUTSIDE)
        table = self._table(columns).take(rows) if columns else None
        beside = _with_facts(table, {n: v for n, v in facts.items() if n in expression.columns}, len(rows))
        self._connection.register("cases", beside)
        # all rows are fetched: DuckDB keeps the result open, and the table in use, until the last one is
        (row,) = self._connection.execute(f"SELECT ({to_duckdb(expression)})::DOUBLE FROM cases").fetchall()  # noqa: S608
        self._connection.unregister("cases")
        return None if row[0] is None else float(row[0])

    def _beside(self, wanted: frozenset[str], rows: slice, facts: dict[str, NDArray[np.generic]]) -> pa.Table:
        columns = sorted(wanted - _OUTSIDE)
        count = rows.stop - rows.start
        table = self._table(columns).slice(rows.start, count) if columns else None
        return _with_facts(table, facts, count)

    def _table(self, columns: list[str]) -> pa.Table:
        import pyarrow.parquet as pq

        return pq.read_table(self._history.table_path, columns=columns, use_threads=False)

    def _select(self, sql: str, table: pa.Table) -> Array:
        self._connection.register("cases", table)
        found = self._connection.execute(f"SELECT {sql} AS v FROM cases").fetchnumpy()["v"]  # noqa: S608
        self._connection.unregister("cases")
        return np.ma.filled(np.ma.masked_array(found), np.nan).astype(np.float64)


def _with_facts(table: pa.Table | None, facts: dict[str, NDArray[np.generic]], count: int) -> pa.Table:
    import pyarrow as pa

    table = table if table is not None else pa.table({"trueup$row": np.zeros(count, dtype=np.int8)})
    for name, values in facts.items():
        table = table.append_column(name, pa.array(values))
    return table
