"""What does an expression in a project file mean, and is it allowed?

One expression language for payoffs, rules, guards, KPIs and dates: a part of DuckDB's SQL over the columns of one row.
`parse_expression` reads a text once and keeps a plan of our own; tables run `to_duckdb(expression)`, single rows run
`rowplan.evaluate(expression.plan, row)`. Neither ever sees the text a person wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from trueup.kernel.errors import Mistake, nearest_spelling
from trueup.kernel.expression_terms import Kind
from trueup.kernel.rowplan import Plan

_READABLE: dict[str, frozenset[str]] = {
    "number": frozenset({"number", "boolean"}),
    "boolean": frozenset({"boolean", "number", "text", "category"}),
    "text": frozenset({"text", "category"}),
    "moment": frozenset({"moment", "date"}),
}
_SAID = {"number": "a number", "boolean": "yes or no", "text": "text", "moment": "a moment"}


@dataclass(frozen=True)
class Expression:
    """A parsed expression."""

    text: str
    """As written."""
    columns: frozenset[str]
    """The columns it reads."""
    plan: Plan
    """Its meaning; see `kernel/rowplan.py`."""
    kind: Kind | None
    """What it gives; None when only the column knows (a bare column)."""
    is_aggregate: bool = False
    """A figure over many rows, as KPIs are."""


def parse_expression(text: str, *, where: str = "expression", expects: Kind | None = None) -> Expression:
    """Return the meaning of an expression over one row.

    Parameters
    ----------
    text : str
        DuckDB SQL: literals, columns, + - * / %, comparisons, AND OR NOT, IS NULL, IN, BETWEEN, LIKE, CASE, CAST,
        moments plus INTERVAL, and the functions of `kernel/expression_grammar.py`.
    where : str
        File and key, for messages.
    expects : str, optional
        What its place needs; a bare column is then read as that.

    Raises
    ------
    ExpressionError
        For anything else: other functions, sub-queries, files, comments, the clock, several statements; or values of
        different kinds compared.

    Examples
    --------
    >>> sorted(parse_expression("-0.85 * amount").columns)
    ['amount']
    """
    from trueup.kernel.expression_grammar import read_expression  # slow: brings sqlglot

    plan, kind = read_expression(text, where=where, expects=expects, aggregate=False)
    return Expression(text, frozenset(name for name, _ in _columns_of(plan)), plan, kind)


def parse_aggregate(text: str, *, where: str = "expression") -> Expression:
    """Return the meaning of a figure over many rows, as a KPI is.

    As `parse_expression`, plus count(*), count(x), sum, avg, min and max, each with an optional FILTER (condition), and
    arithmetic between them. Columns stand only inside these. A zero denominator gives NULL.

    Raises
    ------
    ExpressionError
        As `parse_expression`; also for a column outside the aggregates, or aggregates inside one another.
    """
    from trueup.kernel.expression_grammar import read_expression  # slow: brings sqlglot

    plan, kind = read_expression(text, where=where, expects="number", aggregate=True)
    return Expression(text, frozenset(name for name, _ in _columns_of(plan)), plan, kind, is_aggregate=True)


def to_duckdb(expression: Expression) -> str:
    """Return the SQL that runs on a table: rendered from the plan, every name quoted.

    Numbers come out as DOUBLE, moments as TIMESTAMP. The connection's TimeZone must be UTC when the table has columns
    WITH TIME ZONE.

    Examples
    --------
    >>> to_duckdb(parse_expression("is_fraud", expects=None))
    '"is_fraud"'
    """
    from trueup.kernel.expression_sql import render  # only where tables are

    return render(expression.plan)


def check_columns(expression: Expression, known: Iterable[str], where: str) -> list[Mistake]:
    """Return a mistake for each column that is not among `known`, with the nearest spelling."""
    names = sorted(set(known))
    by_case = {name.casefold(): name for name in names}
    mistakes = []
    for column in sorted(expression.columns - set(names)):
        same = by_case.get(column.casefold())
        hint = f' (did you mean "{same}"?)' if same else nearest_spelling(column, names)
        listed = "" if hint or len(names) > 40 else f"; columns: {', '.join(names)}"
        mistakes.append(
            Mistake(where, f'"{expression.text}" names the column "{column}", which is not there{hint}{listed}')
        )
    return mistakes


def check_kinds(expression: Expression, kinds: Mapping[str, str], where: str) -> list[Mistake]:
    """Return a mistake for each column used as something it is not.

    Parameters
    ----------
    kinds : mapping of str to str
        number, boolean, text, category, date or moment for each known column; others are not checked.
    """
    mistakes = []
    for column, used in sorted(set(_columns_of(expression.plan))):
        seen = kinds.get(column)
        if seen is not None and used in _READABLE and seen not in _READABLE[used]:
            message = f'"{expression.text}" uses the column "{column}" as {_SAID[used]}, but it holds {seen} values'
            mistakes.append(Mistake(where, f"{message}; correct the expression, or write a CAST"))
    return mistakes


def _columns_of(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield name and kind of use of every column of a plan."""
    waiting = [plan]
    while waiting:
        part = waiting.pop()
        if part and part[0] == "column":
            yield part[1], part[2]
        elif part and part[0] == "cast" and part[2][0] == "column":
            yield part[2][1], "any"
        else:
            waiting.extend(inner for inner in part if isinstance(inner, tuple))
