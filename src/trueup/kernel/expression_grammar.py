"""Which SQL is an expression? The allow-list, from sqlglot's tree to a plan of our own.

A node that has no reader here is refused by name, whatever it does: that is what keeps sub-queries, files, the clock
and chance out. Reading also finds what each part is (number, text, yes or no, moment) from its place, because a project
file is read before its table is known; a column stays open until something it is used with says what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from trueup.kernel.errors import nearest_spelling
from trueup.kernel.expression_kinds import SAID, KindReader, Part, open_as
from trueup.kernel.expression_terms import ExpressionError, Kind
from trueup.kernel.rowplan import Plan
from trueup.kernel.rowvalues import as_number

FUNCTIONS = (
    "abs",
    "least",
    "greatest",
    "coalesce",
    "nullif",
    "round",
    "floor",
    "ceil",
    "sqrt",
    "ln",
    "exp",
    "power",
    "length",
    "lower",
    "upper",
    "year",
    "month",
    "day",
    "hour",
    "dayofweek",
    "extract",
    "date_diff",
    "make_date",
    "if",
)
AGGREGATES = ("count", "sum", "avg", "min", "max")
_LONGEST = 8_000
_LARGEST = 10_000
_UNITS = {"second": ("second", 1.0), "minute": ("minute", 1.0), "hour": ("hour", 1.0), "day": ("day", 1.0)} | {
    "week": ("day", 7.0),
    "month": ("month", 1.0),
    "quarter": ("month", 3.0),
    "year": ("month", 12.0),
}
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_NULL: Plan = ("null",)
_IGNORED = frozenset({"ignore_nulls", "big_int", "typed", "safe", "date_part_boundary", "coalesce", "_type"})


def read_expression(text: str, *, where: str, expects: Kind | None, aggregate: bool) -> tuple[Plan, Kind | None]:
    """Return the plan of `text` and what it gives; see `kernel/expressions.py`."""
    reader = _Reader(text, where, aggregate=aggregate)
    try:
        part = reader.read(reader.parse())
        part = reader.as_kind(part, expects) if expects else reader.settled(part)
    except RecursionError:
        raise ExpressionError(f'"{text[:60]}..." is nested too deeply', where=where, text=text) from None
    if part.unit:
        reader.refuse("an interval alone is not a value; add it to a moment")
    if _is_larger(part.plan, _LARGEST):
        reader.refuse("it is too long once written out")
    if aggregate:
        reader.check_aggregated(part.plan)
    return part.plan, part.kind


class _Reader(KindReader):
    """Reads one expression."""

    def __init__(self, text: str, where: str, *, aggregate: bool) -> None:
        super().__init__(text, where)
        self.aggregate = aggregate
        self.inside_aggregate = False

    def parse(self) -> exp.Expression:
        """Return sqlglot's tree, or refuse a text that is no single expression."""
        if not self.text.strip():
            raise ExpressionError("an expression is empty; write SQL such as -0.85 * amount", where=self.where, text="")
        if len(self.text) > _LONGEST:
            short = f"an expression has {len(self.text):,} characters; {_LONGEST:,} are allowed"
            raise ExpressionError(short, where=self.where, text=self.text[:60])
        bare = _QUOTED.sub("''", self.text)
        for sign, said in ((";", "several statements"), ("--", "a comment"), ("/*", "a comment"), ("$", "$")):
            if sign in bare:
                self.refuse(f"{said} is not allowed in an expression ({sign})")
        try:
            tree = sqlglot.parse_one(self.text, read="duckdb")
        except SqlglotError as error:
            self.refuse(f"this is not SQL: {_first_line(error)}")
        if not isinstance(tree, exp.Expression):
            self.refuse("this is not SQL")
        return tree

    # --- nodes

    def read(self, node: exp.Expression) -> Part:
        """Return the part that a node of the tree means."""
        reader = _NODES.get(type(node))
        if reader is None:
            self._refuse_node(node)
        names, function = reader
        for name, value in node.args.items():
            if name not in names and name not in _IGNORED and value:
                self._refuse_node(node)
        return function(self, node)

    def _refuse_node(self, node: Any) -> NoReturn:
        if isinstance(node, exp.AggFunc | exp.Filter) and not self.aggregate:
            self.refuse(f"{_named(node)} counts over rows, which only a KPI may")
        if isinstance(node, exp.Func):
            name = node.name if isinstance(node, exp.Anonymous) else node.sql_name().lower()
            allowed = [*FUNCTIONS, *(AGGREGATES if self.aggregate else ())]
            hint = nearest_spelling(name.lower(), allowed)
            self.refuse(f'the function "{name}" is not allowed{_why(name)}{hint}; allowed: {", ".join(allowed)}')
        self.refuse(
            f"{_named(node)} is not allowed; an expression has only columns, literals, arithmetic, comparisons, "
            "AND, OR, NOT, CASE, CAST, INTERVAL and functions of these"
        )

    def child(self, node: exp.Expression, name: str = "this") -> Part:
        """Return the part that an argument of a node means."""
        inner = node.args.get(name)
        if not isinstance(inner, exp.Expression):
            self.refuse(f"{_named(node)} needs another value")
        part = self.read(inner)
        if part.unit and not isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Neg | exp.Paren):
            self.refuse("an interval can only be added to a moment, taken from it, or multiplied by a number")
        return part

    def plan(self, node: exp.Expression, name: str, kind: Kind) -> Plan:
        """Return the plan of an argument as `kind`."""
        return self.as_kind(self.child(node, name), kind).plan

    def children(self, nodes: list[exp.Expression]) -> list[Part]:
        """Return what several nodes mean, all of one kind."""
        return self.together([self.read(node) for node in nodes])

    # --- literals and columns

    def literal(self, node: exp.Expression) -> Part:
        if node.is_string:
            return Part(("text", node.name), "text")
        number = as_number(node.name)
        if number is None or abs(number) == float("inf"):
            self.refuse(f"{node.name} is not a number a computer can hold")
        return Part(("number", number), "number")

    def boolean(self, node: exp.Expression) -> Part:
        return Part(("boolean", bool(node.this)), "boolean")

    def null(self, node: exp.Expression) -> Part:
        return Part(_NULL, None)

    def column(self, node: exp.Expression) -> Part:
        if not isinstance(node.this, exp.Identifier):
            self._refuse_node(node.this if isinstance(node.this, exp.Expression) else node)
        if not node.name:
            self.refuse("a column has no name")
        return Part(("column", node.name, "any"), None)

    def paren(self, node: exp.Expression) -> Part:
        return self.child(node)

    # --- arithmetic

    def negative(self, node: exp.Expression) -> Part:
        part = self.child(node)
        if part.plan[0] == "number":
            return Part(("number", -part.plan[1]), "number", part.unit)
        number = self.as_kind(Part(part.plan, part.kind), "number")
        return Part(("negative", number.plan), "number", part.unit)

    def sum(self, node: exp.Expression) -> Part:
        left, right = self.child(node, "this"), self.child(node, "expression")
        sign = "+" if isinstance(node, exp.Add) else "-"
        if left.unit and not right.unit and sign == "+":
            left, right = right, left
        if right.unit and not left.unit:
            amount = right.plan if sign == "+" else ("negative", right.plan)
            return Part(("shift", right.unit, self.as_kind(left, "moment").plan, amount), "moment")
        if "moment" in (left.kind, right.kind):
            self.refuse("moments are not added or subtracted; write + INTERVAL 45 DAY, or date_diff('day', start, end)")
        return Part((sign, self.as_kind(left, "number").plan, self.as_kind(right, "number").plan), "number")

    def product(self, node: exp.Expression) -> Part:
        left, right = self.child(node, "this"), self.child(node, "expression")
        if left.unit and right.unit:
            self.refuse("an interval is not multiplied by another")
        plans = [self.as_kind(Part(part.plan, part.kind), "number").plan for part in (left, right)]
        return Part(("*", *plans), "number", left.unit or right.unit)

    def binary_number(self, node: exp.Expression) -> Part:
        sign = {exp.Div: "/", exp.Mod: "%", exp.Pow: "power"}[type(node)]  # type: ignore[index]  # the readers' table
        return Part((sign, self.plan(node, "this", "number"), self.plan(node, "expression", "number")), "number")

    def interval(self, node: exp.Expression) -> Part:
        unit_name = str(node.args["unit"].name if node.args.get("unit") else "").lower().removesuffix("s")
        if unit_name not in _UNITS:
            self.refuse(
                f'"{unit_name}" is not a unit of an INTERVAL; allowed: {", ".join(_UNITS)}, as in INTERVAL 45 DAY'
            )
        unit, factor = _UNITS[unit_name]
        part = self.child(node)
        if part.kind == "text":
            number = as_number(part.plan[1]) if part.plan[0] == "text" else None
            if number is None:
                self.refuse("an INTERVAL needs one number and one unit, as in INTERVAL 45 DAY")
            part = Part(("number", number), "number")
        amount = self.as_kind(part, "number").plan
        return Part(amount if factor == 1 else ("*", amount, ("number", factor)), "number", unit)

    # --- truth

    def logic(self, node: exp.Expression) -> Part:
        sign = "and" if isinstance(node, exp.And) else "or"
        return Part((sign, self.plan(node, "this", "boolean"), self.plan(node, "expression", "boolean")), "boolean")

    def negation(self, node: exp.Expression) -> Part:
        return Part(("not", self.plan(node, "this", "boolean")), "boolean")

    def comparison(self, node: exp.Expression) -> Part:
        sign = _SIGNS[type(node)]
        left, right = self.together([self.child(node, "this"), self.child(node, "expression")])
        return Part(self._compared(sign, left, right), "boolean")

    def _compared(self, sign: str, left: Part, right: Part) -> Plan:
        if left.kind:
            return (sign, left.plan, right.plan)
        return ("compare", sign, self.settled(left).plan, self.settled(right).plan)

    def is_(self, node: exp.Expression) -> Part:
        part, right = self.child(node, "this"), node.args.get("expression")
        if isinstance(right, exp.Null):
            return Part(("is_null", self.settled(part).plan), "boolean")
        if not isinstance(right, exp.Boolean):
            self.refuse("IS is followed by NULL, TRUE or FALSE")
        same = ("=", self.as_kind(part, "boolean").plan, ("boolean", bool(right.this)))
        return Part(("coalesce", same, ("boolean", False)), "boolean")

    def between(self, node: exp.Expression) -> Part:
        value, low, high = self.together([self.child(node, name) for name in ("this", "low", "high")])
        if value.kind is None:
            return Part(("and", self._compared(">=", value, low), self._compared("<=", value, high)), "boolean")
        return Part(("between", value.plan, low.plan, high.plan), "boolean")

    def in_(self, node: exp.Expression) -> Part:
        members = node.expressions
        if not members or not all(isinstance(member.unnest(), _LITERALS) for member in members):
            self.refuse("IN needs a list of literals, as in IN ('AT', 'DE')")
        value, *parts = self.together([self.child(node), *self.children(members)])
        if value.kind is None:
            return Part(("compare", "=", self.settled(value).plan, _NULL), "boolean")
        return Part(("in", value.plan, *(part.plan for part in parts)), "boolean")

    def like(self, node: exp.Expression) -> Part:
        pattern = self.child(node, "expression").plan
        if pattern[0] != "text":
            self.refuse("LIKE needs a pattern in quotes, as in LIKE 'A%'")
        return Part(("like", self.plan(node, "this", "text"), pattern[1]), "boolean")

    # --- choices and functions

    def case(self, node: exp.Expression) -> Part:
        subject = node.args.get("this")
        conditions, values = [], []
        for branch in node.args.get("ifs") or []:
            if subject is None:
                conditions.append(self.plan(branch, "this", "boolean"))
            else:
                left, right = self.together([self.read(subject), self.child(branch)])
                conditions.append(self._compared("=", left, right))
            values.append(self.child(branch, "true"))
        return self._choice(conditions, values, node.args.get("default"))

    def if_(self, node: exp.Expression) -> Part:
        return self._choice([self.plan(node, "this", "boolean")], [self.child(node, "true")], node.args.get("false"))

    def _choice(self, conditions: list[Plan], values: list[Part], otherwise: exp.Expression | None) -> Part:
        last = self.read(otherwise) if otherwise is not None else Part(_NULL, None)
        *values, last = self.together([*values, last])
        branches = tuple((condition, value.plan) for condition, value in zip(conditions, values, strict=True))
        return Part(("case", branches, last.plan), last.kind)

    def cast(self, node: exp.Expression) -> Part:
        target = _CASTS.get(node.args["to"].this)
        if target is None or (node.args["to"].expressions and target[0] != "text"):
            allowed = "DOUBLE, INTEGER, VARCHAR, DATE, TIMESTAMP, BOOLEAN"
            self.refuse(f"CAST to {node.args['to'].sql(dialect='duckdb')} is not allowed; allowed: {allowed}")
        kind, finer = target
        part = self.child(node)
        if kind == "moment" and part.plan[0] == "text":
            part = self.moment_literal(part.plan[1])
        if (kind == "text" and part.kind == "number") or {part.kind, kind} == {"number", "moment"}:
            self.refuse(f"{SAID[part.kind]} is not written as {SAID[kind]}")
        plan = part.plan if part.kind == kind else self._read_as(part, kind)
        return Part(("cast", finer, plan) if finer else plan, kind)

    def _read_as(self, part: Part, kind: Kind) -> Plan:
        if part.kind is None:
            return ("cast", kind, part.plan) if part.plan[0] == "column" else open_as(part.plan, kind)
        return ("cast", kind, part.plan)

    def several(self, node: exp.Expression) -> Part:
        name = {exp.Coalesce: "coalesce", exp.Greatest: "greatest", exp.Least: "least"}[type(node)]  # type: ignore[index]  # the readers' table
        parts = self.together([self.child(node), *self.children(node.expressions)])
        return Part((name, *(part.plan for part in parts)), parts[0].kind)

    def nullif(self, node: exp.Expression) -> Part:
        parts = self.together([self.child(node, "this"), self.child(node, "expression")])
        return Part(("nullif", *(part.plan for part in parts)), parts[0].kind)

    def unary_number(self, node: exp.Expression) -> Part:
        return Part((_UNARY[type(node)], self.plan(node, "this", "number")), "number")

    def round(self, node: exp.Expression) -> Part:
        digits = self.child(node, "decimals").plan if node.args.get("decimals") else ("number", 0.0)
        if digits[0] != "number" or digits[1] % 1 or abs(digits[1]) > 15:
            self.refuse("round needs a whole number of digits from -15 to 15, as in round(amount, 2)")
        return Part(("round", self.plan(node, "this", "number"), int(digits[1])), "number")

    def text_function(self, node: exp.Expression) -> Part:
        name = {exp.Length: "length", exp.Lower: "lower", exp.Upper: "upper"}[type(node)]  # type: ignore[index]  # the readers' table
        return Part((name, self.plan(node, "this", "text")), "number" if name == "length" else "text")

    def part_of_moment(self, node: exp.Expression) -> Part:
        if isinstance(node, exp.Extract):
            name = node.name.lower().removesuffix("s")
            name = {"dow": "dayofweek"}.get(name, name)
            plan = self.plan(node, "expression", "moment")
        else:
            name, plan = _PARTS[type(node)], self.plan(node, "this", "moment")
        if name not in _PARTS.values():
            self.refuse(f'"{name}" is not taken from a moment; allowed: {", ".join(_PARTS.values())}')
        return Part(("part", name, plan), "number")

    def date_diff(self, node: exp.Expression) -> Part:
        unit = str(node.args["unit"].name if node.args.get("unit") else "").lower().removesuffix("s")
        if unit not in ("second", "minute", "hour", "day", "month", "year"):
            self.refuse(f'date_diff counts second, minute, hour, day, month or year, not "{unit}"')
        start, end = self.plan(node, "expression", "moment"), self.plan(node, "this", "moment")
        return Part(("date_diff", unit, start, end), "number")

    def make_date(self, node: exp.Expression) -> Part:
        return Part(("make_date", *(self.plan(node, name, "number") for name in ("year", "month", "day"))), "moment")

    # --- figures over rows

    def filter(self, node: exp.Expression) -> Part:
        where = node.args.get("expression")
        if not isinstance(node.this, exp.AggFunc) or not isinstance(where, exp.Where):
            self._refuse_node(node)
        return self._aggregated(node.this, where)

    def aggregate_function(self, node: exp.Expression) -> Part:
        return self._aggregated(node, None)

    def _aggregated(self, node: Any, where: exp.Where | None) -> Part:
        name = _AGGREGATES.get(type(node))
        extras = {key for key, value in node.args.items() if value and key not in _IGNORED and key != "this"}
        if name is None or not self.aggregate or extras:
            self._refuse_node(node)
        if self.inside_aggregate:
            self.refuse("an aggregate stands inside another")
        self.inside_aggregate = True
        if isinstance(node.this, exp.Star) and name == "count":
            value = _NULL
        elif name == "count":
            value = self.settled(self.child(node)).plan
        else:
            value = self.plan(node, "this", "number")
        condition = self.plan(where, "this", "boolean") if where else _NULL
        self.inside_aggregate = False
        return Part(("aggregate", name, value, condition), "number")

    def check_aggregated(self, plan: Plan) -> None:
        """Refuse a column outside the aggregates, and a figure without any."""
        found, waiting = False, [plan]
        while waiting:
            part = waiting.pop()
            if part and part[0] == "aggregate":
                found = True
            elif part and part[0] == "column":
                self.refuse(f'the column "{part[1]}" stands outside an aggregate; write sum({part[1]}) or the like')
            else:
                waiting.extend(inner for inner in part if isinstance(inner, tuple))
        if not found:
            self.refuse(f"a KPI counts over cases; use {', '.join(AGGREGATES)}, as in count(*) FILTER (acted)")


def _is_larger(plan: Plan, limit: int) -> bool:
    waiting, seen = [plan], 0
    while waiting and seen <= limit:
        seen += 1
        waiting.extend(part for part in waiting.pop() if isinstance(part, tuple))
    return seen > limit


def _why(function: str) -> str:
    name = function.lower()
    if name.startswith(("read_", "parquet_", "glob", "getenv")):
        return ", because an expression sees only its row, never a file or the machine"
    if name.startswith(("current_", "now", "today", "rand", "uuid", "localtime")):
        return ", because an expression gives the same value for the same row, whenever it is asked"
    return ""


def _named(node: Any) -> str:
    if isinstance(node, exp.Query | exp.Subquery):
        return "a sub-query"
    try:
        text = node.sql(dialect="duckdb")
    except (SqlglotError, ValueError, TypeError, AttributeError):
        text = type(node).__name__
    return f'"{text if len(text) <= 60 else text[:57] + "..."}"'


def _first_line(error: SqlglotError) -> str:
    found = getattr(error, "errors", None)
    if found:
        return f"{found[0].get('description', 'it cannot be read')} (column {found[0].get('col', '?')})"
    return str(error).splitlines()[0][:120] if str(error) else "it cannot be read"


_LITERALS = (exp.Literal, exp.Boolean, exp.Null, exp.Neg)
_SIGNS: dict[type, str] = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_UNARY: dict[type, str] = {
    exp.Abs: "abs",
    exp.Floor: "floor",
    exp.Ceil: "ceil",
    exp.Sqrt: "sqrt",
    exp.Ln: "ln",
    exp.Exp: "exp",
}
_PARTS: dict[type, str] = {
    exp.Year: "year",
    exp.Month: "month",
    exp.Day: "day",
    exp.Hour: "hour",
    exp.DayOfWeek: "dayofweek",
}
_AGGREGATES: dict[type, str] = {exp.Count: "count", exp.Sum: "sum", exp.Avg: "avg", exp.Min: "min", exp.Max: "max"}
_TYPE = exp.DataType.Type
_CASTS: dict[Any, tuple[Kind, str | None]] = {
    **dict.fromkeys((_TYPE.DOUBLE, _TYPE.FLOAT, _TYPE.DECIMAL), ("number", None)),
    **dict.fromkeys((_TYPE.INT, _TYPE.BIGINT, _TYPE.SMALLINT), ("number", "integer")),
    **dict.fromkeys((_TYPE.VARCHAR, _TYPE.TEXT), ("text", None)),
    _TYPE.DATE: ("moment", "date"),
    **dict.fromkeys((_TYPE.TIMESTAMP, _TYPE.TIMESTAMPNTZ), ("moment", None)),
    _TYPE.BOOLEAN: ("boolean", None),
}
_Reading = Callable[[_Reader, Any], Part]
_NODES: dict[type, tuple[tuple[str, ...], _Reading]] = {
    exp.Literal: (("this", "is_string"), _Reader.literal),
    exp.Boolean: (("this",), _Reader.boolean),
    exp.Null: ((), _Reader.null),
    exp.Column: (("this",), _Reader.column),
    exp.Paren: (("this",), _Reader.paren),
    exp.Neg: (("this",), _Reader.negative),
    exp.Add: (("this", "expression"), _Reader.sum),
    exp.Sub: (("this", "expression"), _Reader.sum),
    exp.Mul: (("this", "expression"), _Reader.product),
    **dict.fromkeys((exp.Div, exp.Mod, exp.Pow), (("this", "expression"), _Reader.binary_number)),
    exp.Interval: (("this", "unit"), _Reader.interval),
    **dict.fromkeys((exp.And, exp.Or), (("this", "expression"), _Reader.logic)),
    exp.Not: (("this",), _Reader.negation),
    **dict.fromkeys(_SIGNS, (("this", "expression"), _Reader.comparison)),
    exp.Is: (("this", "expression"), _Reader.is_),
    exp.Between: (("this", "low", "high"), _Reader.between),
    exp.In: (("this", "expressions"), _Reader.in_),
    exp.Like: (("this", "expression"), _Reader.like),
    exp.Case: (("this", "ifs", "default"), _Reader.case),
    exp.If: (("this", "true", "false"), _Reader.if_),
    exp.Cast: (("this", "to"), _Reader.cast),
    exp.TryCast: (("this", "to"), _Reader.cast),
    **dict.fromkeys((exp.Coalesce, exp.Greatest, exp.Least), (("this", "expressions"), _Reader.several)),
    exp.Nullif: (("this", "expression"), _Reader.nullif),
    **dict.fromkeys(_UNARY, (("this",), _Reader.unary_number)),
    exp.Round: (("this", "decimals"), _Reader.round),
    **dict.fromkeys((exp.Length, exp.Lower, exp.Upper), (("this",), _Reader.text_function)),
    **dict.fromkeys(_PARTS, (("this",), _Reader.part_of_moment)),
    exp.Extract: (("this", "expression"), _Reader.part_of_moment),
    exp.DateDiff: (("this", "expression", "unit"), _Reader.date_diff),
    exp.DateFromParts: (("year", "month", "day"), _Reader.make_date),
    exp.Filter: (("this", "expression"), _Reader.filter),
    **dict.fromkeys(_AGGREGATES, (("this",), _Reader.aggregate_function)),
}
