"""How does a plan run on a table? As DuckDB SQL that follows the rules of `kernel/rowplan.py`.

Written from the plan alone. Each wrapper below is one of those rules: NULLIF with NaN where a NaN could arise, NULLIF
with zero under a division, TRY_CAST where a value is read as the kind its place asks for.
"""

from __future__ import annotations

from collections.abc import Callable

from trueup.kernel.rowplan import Plan

_NAN = "CAST('NaN' AS DOUBLE)"
_SQL_TYPES = {"number": "DOUBLE", "boolean": "BOOLEAN", "text": "VARCHAR", "moment": "TIMESTAMP"}
_MICROSECONDS = {"second": 1e6, "minute": 6e7, "hour": 3.6e9, "day": 8.64e10}
_FIRST = "TIMESTAMP '0001-12-31 (BC) 23:59:59.999999'"
_LAST = "TIMESTAMP '10000-01-01 00:00:00'"


def render(plan: Plan) -> str:
    """Return the SQL of a plan."""
    operation, *arguments = plan
    return _RENDERERS[operation](*arguments)


def quote_name(name: str) -> str:
    """Return an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _number(value: float) -> str:
    return f"CAST('{value!r}' AS DOUBLE)"


def _known(sql: str) -> str:
    return f"NULLIF({sql}, {_NAN})"


def _column(name: str, kind: str) -> str:
    return quote_name(name) if kind == "any" else _read(kind, quote_name(name))


def _is_nan(name: str) -> str:
    # typeof is the same for all rows, so the text is only made for columns of floating-point numbers
    return f"(typeof({name}) IN ('DOUBLE', 'FLOAT') AND CAST({name} AS VARCHAR) IN ('nan', '-nan'))"


def _read(kind: str, sql: str) -> str:
    """Read a column of unknown type as `kind`."""
    cast = f"TRY_CAST({sql} AS {_SQL_TYPES[kind]})"
    if kind == "number":
        return _known(cast)
    return cast if kind == "moment" else f"CASE WHEN {_is_nan(sql)} THEN NULL ELSE {cast} END"


def _cast(kind: str, plan: Plan) -> str:
    if kind == "integer":
        return f"round_even({render(plan)}, 0)"
    if kind == "date":
        return f"CAST(CAST({render(plan)} AS DATE) AS TIMESTAMP)"
    if plan[0] == "column" and plan[2] == "any":
        return _column(plan[1], kind)
    cast = f"TRY_CAST({render(plan)} AS {_SQL_TYPES[kind]})"
    return _known(cast) if kind == "number" else cast


def _infix(sign: str) -> Callable[..., str]:
    return lambda *plans: "(" + f" {sign} ".join(render(plan) for plan in plans) + ")"


def _arithmetic(sign: str) -> Callable[..., str]:
    return lambda left, right: _known(f"{render(left)} {sign} {render(right)}")


def _over(sign: str) -> Callable[..., str]:
    return lambda left, right: _known(f"{render(left)} {sign} NULLIF({render(right)}, CAST('0' AS DOUBLE))")


def _function(name: str) -> Callable[..., str]:
    return lambda *plans: f"{name}({', '.join(render(plan) for plan in plans)})"


def _is_null(plan: Plan) -> str:
    if plan[0] == "column" and plan[2] == "any":
        name = quote_name(plan[1])
        return f"({name} IS NULL OR {_is_nan(name)})"
    return f"({render(plan)} IS NULL)"


def _compare(sign: str, left: Plan, right: Plan) -> str:
    names = [quote_name(plan[1]) for plan in (left, right) if plan[0] == "column"]
    missing = " OR ".join(_is_nan(name) for name in names) or "FALSE"
    return f"CASE WHEN {missing} THEN NULL ELSE {render(left)} {sign} {render(right)} END"


def _case(branches: Plan, otherwise: Plan) -> str:
    parts = [f"WHEN {render(condition)} THEN {render(value)}" for condition, value in branches]
    return f"CASE {' '.join(parts)} ELSE {render(otherwise)} END"


def _shift(unit: str, moment: Plan, amount: Plan) -> str:
    if unit == "month":
        step = f"to_months(TRY_CAST(trunc({render(amount)}) AS INTEGER))"
    else:
        step = f"to_microseconds(TRY_CAST(round({render(amount)} * {_number(_MICROSECONDS[unit])}) AS BIGINT))"
    moved = f"TRY({render(moment)} + {step})"
    return f"NULLIF(NULLIF(GREATEST(LEAST({moved}, {_LAST}), {_FIRST}), {_LAST}), {_FIRST})"


def _make_date(*plans: Plan) -> str:
    parts = ", ".join(f"TRY_CAST(trunc({render(plan)}) AS BIGINT)" for plan in plans)
    return f"CAST(TRY(make_date({parts})) AS TIMESTAMP)"


def _aggregate(name: str, value: Plan, condition: Plan) -> str:
    filters = [] if condition == ("null",) else [render(condition)]
    if name == "count":
        filters += [] if value == ("null",) else [f"NOT {_is_null(value)}"]
        call = "CAST(count(*){} AS DOUBLE)"
    else:
        call = _known(f"{name}({render(value)}){{}}")
    return call.replace("{}", f" FILTER (WHERE {' AND '.join(filters)})" if filters else "")


_RENDERERS: dict[str, Callable[..., str]] = {
    "number": _number,
    "text": quote_text,
    "boolean": lambda value: "TRUE" if value else "FALSE",
    "null": lambda: "NULL",
    "moment": lambda text: f"TIMESTAMP {quote_text(text)}",
    "column": _column,
    "cast": _cast,
    "+": _arithmetic("+"),
    "-": _arithmetic("-"),
    "*": _arithmetic("*"),
    "/": _over("/"),
    "%": _over("%"),
    "negative": lambda plan: f"(- {render(plan)})",
    **{sign: _infix(sign) for sign in ("=", "<>", "<", "<=", ">", ">=")},
    "compare": _compare,
    "and": _infix("AND"),
    "or": _infix("OR"),
    "not": lambda plan: f"(NOT {render(plan)})",
    "is_null": _is_null,
    "between": lambda value, low, high: f"({render(value)} BETWEEN {render(low)} AND {render(high)})",
    "in": lambda value, *members: f"({render(value)} IN ({', '.join(render(member) for member in members)}))",
    "like": lambda value, pattern: f"({render(value)} LIKE {quote_text(pattern)})",
    "case": _case,
    **{name: _function(name) for name in ("coalesce", "nullif", "greatest", "least", "abs", "floor", "ceil")},
    **{name: _function(name) for name in ("lower", "upper")},
    "sqrt": lambda plan: _known(f"TRY(sqrt({render(plan)}))"),
    "ln": lambda plan: f"ln(NULLIF(GREATEST({render(plan)}, CAST('0' AS DOUBLE)), CAST('0' AS DOUBLE)))",
    "exp": _function("exp"),
    "power": lambda base, exponent: _known(f"TRY(power({render(base)}, {render(exponent)}))"),
    "round": lambda plan, digits: f"round({render(plan)}, {digits})",
    "length": lambda plan: f"CAST(length({render(plan)}) AS DOUBLE)",
    "shift": _shift,
    "date_diff": lambda unit, start, end: f"CAST(date_diff('{unit}', {render(start)}, {render(end)}) AS DOUBLE)",
    "make_date": _make_date,
    "part": lambda name, moment: f"CAST({name}({render(moment)}) AS DOUBLE)",
    "aggregate": _aggregate,
}
