"""What do the charter's expressions cost, on a table and on a single row, beside the same formula written directly?

Ours checks the expression against an allow-list, treats NaN as missing, and gives the same number in both places.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.measuring import Figure, apart, best_cost
from trueup.data.duck import connect
from trueup.kernel.expressions import parse_expression, to_duckdb
from trueup.kernel.rowplan import compile_plan

ROWS = 1_000_000
PAYOFF = "-0.85 * amount + margin * 12 - 4.5 + fee * (amount - 100)"
_REPEATS, _CALLS = 5, 200_000


def figures() -> list[Figure]:
    """Return the cost of a payoff over a million rows and over one."""
    ours, plain, pandas = apart(table_milliseconds)
    row, python = apart(row_microseconds)
    parse = apart(parse_milliseconds)
    return [
        Figure("expressions.table.beside_sql", ours, "CPU ms / 1M rows", "the same SQL in DuckDB", plain, "one thread"),
        Figure("expressions.table.beside_pandas", ours, "CPU ms / 1M rows", "pandas.eval", pandas, "one thread"),
        Figure(
            "expressions.row", row, "us / row", "compiled Python eval", python, "no check for missing values in eval"
        ),
        Figure("expressions.parse", parse, "CPU ms", note="once per expression, the parser loaded"),
    ]


def table_milliseconds() -> tuple[float, float, float]:
    """Return CPU milliseconds of ours, of plain SQL and of pandas."""
    import pandas as pd

    rng = np.random.default_rng(6)
    columns = {"amount": rng.exponential(200, ROWS), "margin": rng.normal(size=ROWS), "fee": rng.random(ROWS)}
    sql = to_duckdb(parse_expression(PAYOFF, expects="number"))
    frame = pd.DataFrame(columns)
    with tempfile.TemporaryDirectory() as spill:
        connection = connect(threads=1, temp_directory=Path(spill))
        connection.register("cases", pa.table(columns))

        def select(expression: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            found = connection.execute(f"SELECT ({expression})::DOUBLE AS v FROM cases").fetchnumpy()["v"]
            return np.asarray(found, dtype=np.float64)

        expected = np.asarray(frame.eval(PAYOFF), dtype=np.float64)
        if not (np.allclose(select(sql), expected) and np.allclose(select(PAYOFF), expected)):
            raise AssertionError("the three ways do not give the same payoffs")
        works: tuple[Callable[[], object], ...] = (
            lambda: select(sql),
            lambda: select(PAYOFF),
            lambda: frame.eval(PAYOFF),
        )
        ours, plain, pandas = (1000 * best_cost(work, repeats=_REPEATS).cpu_seconds for work in works)
        connection.close()
    return ours, plain, pandas


def row_microseconds() -> tuple[float, float]:
    """Return microseconds per row of ours and of Python's own eval, both compiled before."""
    row: dict[str, object] = {"amount": 120.0, "margin": 0.3, "fee": 0.02}
    ours, code = compile_plan(parse_expression(PAYOFF, expects="number").plan), compile(PAYOFF, "payoff", "eval")
    if ours(row) != eval(code, {}, row):
        raise AssertionError("the two ways do not give the same payoff")

    def python(given: dict[str, object]) -> object:
        return eval(code, {}, given)

    return _per_call(ours, row), _per_call(python, row)


def parse_milliseconds() -> float:
    """Return CPU milliseconds of checking and parsing the expression."""
    parse_expression(PAYOFF, expects="number")
    return 1000 * best_cost(lambda: parse_expression(PAYOFF, expects="number"), repeats=20).cpu_seconds


def _per_call(function: Callable[[dict[str, object]], object], row: dict[str, object]) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        began = time.process_time()
        for _ in range(_CALLS):
            function(row)
        best = min(best, time.process_time() - began)
    return 1e6 * best / _CALLS
