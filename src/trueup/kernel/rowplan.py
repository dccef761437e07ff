"""What does an expression give for one row? Plans, run in plain Python.

A plan is the compiled form of an expression (`kernel/expressions.py`): nested tuples ``(operation, *arguments)``,
which JSON can hold, so that a server loads them without an SQL parser. The rules below are the language's; the SQL
rendered for tables (`kernel/expression_sql.py`) follows the same ones, and a property test holds both to the same
results.

* Every number is a float64. NaN is NULL. Division or remainder by zero is NULL, and so is a root or logarithm that
  does not exist. An overflow is an infinity.
* NULL spreads as in SQL: three-valued AND, OR, NOT and IN; `greatest` and `least` pass over NULL.
* A value that cannot be read as the kind that its place asks for ("abc" as a number) is NULL, as with TRY_CAST;
  `check_kinds` says so before, once the table is known.
* Moments are UTC without an offset, in the years 1 to 9999; outside them they are NULL. A date is its midnight.
* Text compares by code point; upper and lower case go letter by letter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trueup.kernel import rowvalues
from trueup.kernel.rowvalues import BadRowValue

Plan = tuple[Any, ...]
Row = Mapping[str, object]
RowFunction = Callable[[Row], Any]


def evaluate(plan: Plan, row: Row) -> object:
    """Return the value of `plan` for one row: a float, text, bool, UTC `datetime` without zone, or None.

    Parameters
    ----------
    plan : tuple
        `Expression.plan`, or what `plan_from_json` gives. Not an aggregate.
    row : mapping of str to object
        A column that is absent counts as NULL.

    Raises
    ------
    BadRowValue
        If two columns of different kinds are compared, or a text moment has an offset other than UTC.

    Examples
    --------
    >>> evaluate(("*", ("number", -0.85), ("column", "amount", "number")), {"amount": 200})
    -170.0
    """
    return compile_plan(plan)(row)


def compile_plan(plan: Plan) -> RowFunction:
    """Return a function of a row; for many rows, several times faster than `evaluate`."""
    operation, *arguments = plan
    return _BUILDERS[operation](*arguments)


def plan_as_json(plan: Plan) -> list[Any]:
    """Return the plan as nested lists of JSON values."""
    return [plan_as_json(part) if isinstance(part, tuple) else part for part in plan]


def plan_from_json(document: Sequence[Any]) -> Plan:
    """Return the plan that `plan_as_json` wrote.

    Raises
    ------
    BadRowValue
        If an operation is unknown, as in a plan of a newer version.
    """
    plan = tuple(plan_from_json(part) if isinstance(part, list) else part for part in document)
    if plan and isinstance(plan[0], str) and plan[0] not in _BUILDERS:
        raise BadRowValue(f'the plan uses the operation "{plan[0]}", which this version does not know', seen=plan[0])
    return plan


# --- from plan to function


def _constant(*value: object) -> RowFunction:
    fixed = value[0] if value else None
    return lambda row: fixed


def _column(name: str, kind: str) -> RowFunction:
    read = rowvalues.READERS[kind]
    return lambda row: read(row.get(name))


def _strict(function: Callable[..., Any], *fixed: object) -> Callable[..., RowFunction]:
    """Return a builder for a function that is NULL when any argument is; NaN becomes NULL."""

    def build(*plans: Plan) -> RowFunction:
        if len(plans) == 2 and plans[0][0] == "number" and plans[0][1] is not None:
            return _of_number_and_one(function, plans[0][1], compile_plan(plans[1]), fixed)
        parts = [compile_plan(plan) for plan in plans]
        if len(parts) == 1:
            return _of_one(function, parts[0], fixed)
        if len(parts) == 2:
            return _of_two(function, (parts[0], parts[1]), fixed)

        def run(row: Row) -> Any:
            values = [part(row) for part in parts]
            return None if any(value is None for value in values) else rowvalues.as_it_is(function(*values, *fixed))

        return run

    return build


def _of_one(function: Callable[..., Any], part: RowFunction, fixed: tuple[object, ...]) -> RowFunction:
    def run(row: Row) -> Any:
        value = part(row)
        return None if value is None else rowvalues.as_it_is(function(value, *fixed))

    return run


def _of_number_and_one(
    function: Callable[..., Any], number: float, part: RowFunction, fixed: tuple[object, ...]
) -> RowFunction:
    """As `_of_two`, for what stands in most payoffs: a number times a column."""

    def run(row: Row) -> Any:
        value = part(row)
        return None if value is None else rowvalues.as_it_is(function(number, value, *fixed))

    return run


def _of_two(
    function: Callable[..., Any], parts: tuple[RowFunction, RowFunction], fixed: tuple[object, ...]
) -> RowFunction:
    first, second = parts

    def run(row: Row) -> Any:
        left = first(row)
        if left is None:
            return None
        right = second(row)
        return None if right is None else rowvalues.as_it_is(function(left, right, *fixed))

    return run


def _and(*plans: Plan) -> RowFunction:
    parts = [compile_plan(plan) for plan in plans]
    return lambda row: _all(part(row) for part in parts)


def _all(values: Any) -> bool | None:
    seen_null = False
    for value in values:
        if value is False:
            return False
        seen_null = seen_null or value is None
    return None if seen_null else True


def _not(plan: Plan) -> RowFunction:
    part = compile_plan(plan)

    def run(row: Row) -> bool | None:
        value = part(row)
        return None if value is None else not value

    return run


def _or(*plans: Plan) -> RowFunction:
    negated = _and(*(("not", plan) for plan in plans))

    def run(row: Row) -> bool | None:
        value = negated(row)
        return None if value is None else not value

    return run


def _is_null(plan: Plan) -> RowFunction:
    part = compile_plan(plan)
    return lambda row: part(row) is None


def _between(value: Plan, low: Plan, high: Plan) -> RowFunction:
    return _and((">=", value, low), ("<=", value, high))


def _in(value: Plan, *members: Plan) -> RowFunction:
    return _or(*(("=", value, member) for member in members))


def _like(value: Plan, pattern: str) -> RowFunction:
    expression = rowvalues.like_pattern(pattern)
    return _strict(lambda text: expression.fullmatch(text) is not None)(value)


def _case(branches: Plan, otherwise: Plan) -> RowFunction:
    compiled = [(compile_plan(condition), compile_plan(value)) for condition, value in branches]
    last = compile_plan(otherwise)

    def run(row: Row) -> Any:
        for condition, value in compiled:
            if condition(row):
                return value(row)
        return last(row)

    return run


def _coalesce(*plans: Plan) -> RowFunction:
    parts = [compile_plan(plan) for plan in plans]

    def run(row: Row) -> Any:
        for part in parts:
            value = part(row)
            if value is not None:
                return value
        return None

    return run


def _nullif(value: Plan, other: Plan) -> RowFunction:
    first, second = compile_plan(value), compile_plan(other)

    def run(row: Row) -> Any:
        seen = first(row)
        return None if seen is not None and seen == second(row) else seen

    return run


def _extreme(choose: Callable[[Any], Any]) -> Callable[..., RowFunction]:
    def build(*plans: Plan) -> RowFunction:
        parts = [compile_plan(plan) for plan in plans]

        def run(row: Row) -> Any:
            known = [value for value in (part(row) for part in parts) if value is not None]
            return choose(known) if known else None

        return run

    return build


def _cast(kind: str, plan: Plan) -> RowFunction:
    read, part = rowvalues.READERS[kind], compile_plan(plan)
    return lambda row: read(part(row))


def _compare_any(operator: str, left: Plan, right: Plan) -> RowFunction:
    compare = rowvalues.COMPARISONS[operator]
    return _strict(lambda a, b: compare(*rowvalues.comparable(a, b)))(left, right)


def _moment_constant(text: str) -> RowFunction:
    return _constant(rowvalues.moment_from_text(text))


_BUILDERS: dict[str, Callable[..., RowFunction]] = {
    "number": _constant,
    "text": _constant,
    "boolean": _constant,
    "null": _constant,
    "moment": _moment_constant,
    "column": _column,
    "cast": _cast,
    "+": _strict(rowvalues.add),
    "-": _strict(rowvalues.subtract),
    "*": _strict(rowvalues.multiply),
    "/": _strict(rowvalues.divide),
    "%": _strict(rowvalues.remainder),
    "negative": _strict(lambda number: -number),
    **{sign: _strict(compare) for sign, compare in rowvalues.COMPARISONS.items()},
    "compare": _compare_any,
    "and": _and,
    "or": _or,
    "not": _not,
    "is_null": _is_null,
    "between": _between,
    "in": _in,
    "like": _like,
    "case": _case,
    "coalesce": _coalesce,
    "nullif": _nullif,
    "greatest": _extreme(max),
    "least": _extreme(min),
    "abs": _strict(abs),
    "floor": _strict(rowvalues.floor),
    "ceil": _strict(rowvalues.ceiling),
    "sqrt": _strict(lambda number: math.sqrt(number) if number >= 0 else None),
    "ln": _strict(lambda number: math.log(number) if number > 0 else None),
    "exp": _strict(rowvalues.exponential),
    "power": _strict(rowvalues.power),
    "round": lambda plan, digits: _strict(rowvalues.round_half_away, digits)(plan),
    "length": _strict(lambda text: float(len(text))),
    "lower": _strict(rowvalues.lower_case),
    "upper": _strict(rowvalues.upper_case),
    "shift": lambda unit, moment, amount: _strict(rowvalues.shift, unit)(moment, amount),
    "date_diff": lambda unit, start, end: _strict(rowvalues.date_difference, unit)(start, end),
    "make_date": _strict(rowvalues.make_date),
    "part": lambda name, moment: _strict(lambda seen: float(rowvalues.PARTS[name](seen)))(moment),
}
