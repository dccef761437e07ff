"""Do tables and single rows give the same, and is everything else refused?"""

from __future__ import annotations

import datetime as dt
import json
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trueup.kernel.expression_terms import ExpressionError, Kind
from trueup.kernel.expressions import check_columns, check_kinds, parse_aggregate, parse_expression, to_duckdb
from trueup.kernel.rowplan import evaluate, plan_as_json, plan_from_json
from trueup.kernel.rowvalues import BadRowValue

Row = dict[str, Any]
COLUMNS = {
    "n": "DOUBLE",
    "m x": "DOUBLE",
    "i": "BIGINT",
    "c": "DECIMAL(12,2)",
    "b": "BOOLEAN",
    "s": "VARCHAR",
    "t": "VARCHAR",
    "w": "TIMESTAMP",
    "d": "DATE",
}

_floats = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 2.5, -2.5, 0.285, 1e308, 5e-324, 3.0]),
    st.floats(min_value=-1000, max_value=1000),
)
_texts = st.one_of(
    st.sampled_from(
        ["", "a", "A", "ab", "a%b", "AT", "DE", "yes", "No", "true", "12", " 1.5 ", "1e3", "nan", "1_0", "x'y"]
    ),
    st.text(alphabet="aAbB%_ 'éßΣ\\\n0", max_size=5),
)
_moments = st.datetimes(min_value=dt.datetime(1900, 1, 1), max_value=dt.datetime(2100, 1, 1))
_rows = st.fixed_dictionaries(
    {
        "n": st.none() | _floats,
        "m x": st.none() | _floats,
        "i": st.none() | st.integers(-(2**62), 2**62) | st.integers(-5, 5),
        "c": st.none() | st.decimals(min_value=-1000, max_value=1000, places=2),
        "b": st.none() | st.booleans(),
        "s": st.none() | _texts,
        "t": st.none() | _texts,
        "w": st.none() | _moments,
        "d": st.none() | _moments.map(lambda moment: moment.date()),
    }
)


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_whole = st.integers(-3, 400)
_number_leaves = st.one_of(
    st.sampled_from(["n", '"m x"', "i", "c", "NULL", "CAST(s AS DOUBLE)"]),
    st.sampled_from(["0", "1", "-1", "0.5", "2.5", "1e3", "100", "-30", "0.1"]),
    st.floats(min_value=0, max_value=1e6).map(repr),
)
_text_leaves = st.one_of(st.sampled_from(["s", "t", "CAST(b AS VARCHAR)"]), _texts.map(_sql_text))
_moment_leaves = st.one_of(
    st.sampled_from(["w", "d", "DATE '2016-02-29'", "TIMESTAMP '2016-05-03 14:07:00'", "CAST(w AS DATE)"]),
)
_boolean_leaves = st.sampled_from(
    ["b", "TRUE", "FALSE", "NULL", "CAST(t AS BOOLEAN)", "n IS NULL", "w < d", "s = t", "n <= i"]
)
_depth = 3


def _joined(form: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda texts: "(" + form.format(*texts) + ")")


def _numbers(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return _number_leaves
    x, y = _numbers(depth - 1), _numbers(depth - 1)
    forms = ["{0} + {1}", "{0} - {1}", "{0} * {1}", "{0} / {1}", "{0} % {1}", "power({0}, {1})", "nullif({0}, {1})"]
    forms += ["greatest({0}, {1})", "least({0}, {1}, 3)", "coalesce({0}, {1})"]
    singles = [
        "- {0}",
        "abs({0})",
        "floor({0})",
        "ceil({0})",
        "sqrt({0})",
        "ln({0})",
        "exp({0})",
        "CAST({0} AS INTEGER)",
    ]
    singles += ["round({0}, 2)", "round({0})", "round({0}, -2)"]
    return st.one_of(
        _number_leaves,
        *(_joined(form, x, y) for form in forms),
        *(_joined(form, x) for form in singles),
        _joined("CASE WHEN {0} THEN {1} ELSE {2} END", _booleans(depth - 1), x, y),
        _joined("length({0})", _strings(depth - 1)),
        _joined("CAST({0} AS DOUBLE)", _booleans(depth - 1)),
        *(_joined(f"{part}({{0}})", _dates(depth - 1)) for part in ("year", "month", "day", "hour", "dayofweek")),
        *(
            _joined(f"date_diff('{unit}', {{0}}, {{1}})", _dates(depth - 1), _dates(depth - 1))
            for unit in ("second", "minute", "hour", "day", "month", "year")
        ),
    )


def _strings(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return _text_leaves
    x, y = _strings(depth - 1), _strings(depth - 1)
    return st.one_of(
        _text_leaves,
        _joined("lower({0})", x),
        _joined("upper({0})", x),
        _joined("coalesce({0}, {1})", x, y),
        _joined("nullif({0}, {1})", x, y),
        _joined("greatest({0}, {1})", x, y),
        _joined("CASE WHEN {0} THEN {1} END", _booleans(depth - 1), x),
    )


def _dates(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return _moment_leaves
    x = _dates(depth - 1)
    units = st.sampled_from(["SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"])
    return st.one_of(
        _moment_leaves,
        _joined("{0} + INTERVAL {1} {2}", x, _whole.map(lambda n: str(abs(n))), units),
        _joined("{0} - {1} * INTERVAL 1 {2}", x, _numbers(0), units),
        _joined("{0} + INTERVAL ({1}) DAY", x, _numbers(depth - 1)),
        _joined("coalesce({0}, {1})", x, x),
        _joined("greatest({0}, {1})", x, x),
        _joined("CAST({0} AS DATE)", x),
        _joined("make_date({0}, {1}, {2})", st.integers(1, 3000).map(str), _number_leaves, st.integers(0, 32).map(str)),
    )


def _booleans(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return _boolean_leaves
    x, y = _booleans(depth - 1), _booleans(depth - 1)
    signs = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
    return st.one_of(
        _boolean_leaves,
        _joined("{0} AND {1}", x, y),
        _joined("{0} OR {1}", x, y),
        _joined("NOT {0}", x),
        _joined("{0} IS TRUE", x),
        _joined("{0} {1} {2}", _numbers(depth - 1), signs, _numbers(depth - 1)),
        _joined("lower({0}) {1} {2}", _strings(depth - 1), signs, _text_leaves.filter(lambda text: "2016" not in text)),
        # of two columns, each with a function around it, nothing says that they are moments
        _joined("{0} {1} CAST({2} AS TIMESTAMP)", _dates(depth - 1), signs, _dates(depth - 1)),
        _joined("{0} BETWEEN {1} AND {2}", _numbers(depth - 1), _number_leaves, _number_leaves),
        _joined("{0} NOT IN (1, 2.5, NULL)", _numbers(depth - 1)),
        _joined("{0} IN ('a', 'DE')", _strings(depth - 1)),
        _joined("{0} LIKE {1}", _strings(depth - 1), _texts.map(_sql_text)),
        _joined("{0} IS NOT NULL", _numbers(depth - 1).map(lambda text: f"({text} + 0)")),
    )


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    connection.execute(f"CREATE TABLE cases (number INTEGER, {columns})")
    yield connection
    connection.close()


def _on_a_table(connection: duckdb.DuckDBPyConnection, sql: str, rows: Sequence[Row]) -> list[Any]:
    connection.execute("DELETE FROM cases")
    marks = ", ".join("?" for _ in range(len(COLUMNS) + 1))
    for number, row in enumerate(rows):
        connection.execute(f"INSERT INTO cases VALUES ({marks})", [number, *(row[name] for name in COLUMNS)])
    return [found for (found,) in connection.execute(f"SELECT {sql} FROM cases ORDER BY number").fetchall()]


def _same(table: Any, single: Any) -> bool:
    if table is None or single is None:
        return table is None and single is None
    if isinstance(table, float):
        return isinstance(single, float) and (table == single or math.isclose(table, single, rel_tol=1e-12))
    return type(table) is type(single) and bool(table == single)


def _agree(
    connection: duckdb.DuckDBPyConnection, text: str, rows: Sequence[Row], *, expects: Kind | None = None
) -> None:
    expression = parse_expression(text, expects=expects)
    plan = plan_from_json(json.loads(json.dumps(plan_as_json(expression.plan))))
    assert plan == expression.plan
    for table, row in zip(_on_a_table(connection, to_duckdb(expression), rows), rows, strict=True):
        single = evaluate(plan, row)
        assert _same(table, single), f"{text}: table {table!r}, row {single!r}, from {row}"


@settings(max_examples=200, deadline=None)
@given(text=_numbers(_depth), rows=st.lists(_rows, min_size=1, max_size=4))
def test_numbers_are_the_same_on_tables_and_rows(tables: duckdb.DuckDBPyConnection, text: str, rows: list[Row]) -> None:
    _agree(tables, text, rows, expects="number")


@settings(max_examples=200, deadline=None)
@given(text=_booleans(_depth), rows=st.lists(_rows, min_size=1, max_size=4))
def test_conditions_are_the_same_on_tables_and_rows(
    tables: duckdb.DuckDBPyConnection, text: str, rows: list[Row]
) -> None:
    _agree(tables, f"({text}) AND TRUE", rows)


@settings(max_examples=100, deadline=None)
@given(text=_dates(_depth), rows=st.lists(_rows, min_size=1, max_size=4))
def test_moments_are_the_same_on_tables_and_rows(tables: duckdb.DuckDBPyConnection, text: str, rows: list[Row]) -> None:
    _agree(tables, text, rows, expects="moment")


@settings(max_examples=100, deadline=None)
@given(text=_strings(_depth), rows=st.lists(_rows, min_size=1, max_size=4))
def test_texts_are_the_same_on_tables_and_rows(tables: duckdb.DuckDBPyConnection, text: str, rows: list[Row]) -> None:
    _agree(tables, text, rows, expects="text")


ROW: Row = {
    "n": 2.5,
    "m x": float("nan"),
    "i": 2**53 + 1,
    "c": Decimal("19.99"),
    "b": True,
    "s": "ab",
    "t": "nan",
    "w": dt.datetime(2016, 5, 3, 14, 7),
    "d": dt.date(2016, 1, 31),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-0.85 * n", -2.125),
        ("c * 100", 1999.0),
        ("1 / 3", 1 / 3),
        ("n / (n - 2.5)", None),
        ("n % 0", None),
        ("7 % -2", 1.0),
        ("sqrt(-n)", None),
        ("ln(0)", None),
        ("exp(1000)", math.inf),
        ('"m x" IS NULL', True),
        ('"m x" + 1', None),
        ('"m x" = "m x"', None),
        ("i = n", False),
        ("i = i", True),
        ("b * 30", 30.0),
        ("b IS NOT TRUE", False),
        ("NULL AND FALSE", False),
        ("NULL OR TRUE", True),
        ("NULL AND TRUE", None),
        ("n IN (1, NULL)", None),
        ("n NOT IN (2.5, NULL)", False),
        ("n BETWEEN 2.5 AND 3", True),
        ("s LIKE '_b%'", True),
        ("CASE s WHEN 'ab' THEN 5 ELSE -3 END", 5.0),
        ("CASE WHEN n > 3 THEN 1 END", None),
        ("greatest(NULL, n, 1)", 2.5),
        ("nullif(n, 2.5)", None),
        ("round(2.675, 2)", 2.68),
        ("round(-2.5)", -3.0),
        ("round(1250, -2)", 1300.0),
        ("CAST(2.5 AS INTEGER)", 2.0),
        ("CAST(s AS DOUBLE)", None),
        ("d + INTERVAL 1 MONTH", dt.datetime(2016, 2, 29)),
        ("d + n * INTERVAL 1 DAY", dt.datetime(2016, 2, 2, 12)),
        ("INTERVAL '2 weeks' + d", dt.datetime(2016, 2, 14)),
        ("d - INTERVAL 31 DAYS", dt.datetime(2015, 12, 31)),
        ("d + 1e9 * INTERVAL 1 YEAR", None),
        ("d + 8000 * INTERVAL 1 YEAR", None),
        ("date_diff('day', d, w)", 93.0),
        ("date_diff('month', d, w)", 4.0),
        ("dayofweek(DATE '2016-05-01')", 0.0),
        ("extract(year FROM w)", 2016.0),
        ("d >= '2016-01-31'", True),
        ("w < '2016-05-03 14:08:00'", True),
        ("CAST(w AS DATE)", dt.datetime(2016, 5, 3)),
        ("make_date(2016, 2, 30) IS NULL", True),
        ("lower('ÀB') || 'x'", ExpressionError),
        ("upper('straße')", "STRAẞE"),
        ("length('äö')", 2.0),
    ],
)
def test_an_expression_gives_what_was_counted_by_hand(
    tables: duckdb.DuckDBPyConnection, text: str, expected: object
) -> None:
    if expected is ExpressionError:
        with pytest.raises(ExpressionError):
            parse_expression(text)
        return
    expression = parse_expression(text)
    assert _same(expected, evaluate(expression.plan, ROW))
    assert _same(_on_a_table(tables, to_duckdb(expression), [ROW])[0], expected)


def test_letters_change_case_as_tables_change_them(tables: duckdb.DuckDBPyConnection) -> None:
    letters = "".join(chr(point) for point in range(1, 0x2000))
    for function in ("lower", "upper"):
        expression = parse_expression(f"{function}(s)")
        table = _on_a_table(tables, to_duckdb(expression), [{**ROW, "s": letters}])[0]
        single = str(evaluate(expression.plan, {"s": letters}))
        assert [hex(ord(a)) for a, b, c in zip(letters, table, single, strict=True) if b != c] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("read_csv('/etc/passwd')", 'the function "read_csv" is not allowed, because an expression sees only its row'),
        ("(SELECT max(x) FROM 'secrets.parquet')", "a sub-query is not allowed"),
        ("amount IN (SELECT 1)", "not allowed"),
        ("EXISTS (SELECT 1)", "not allowed"),
        ("getenv('HOME')", "never a file or the machine"),
        ("current_date", "gives the same value for the same row"),
        ("now()", "gives the same value for the same row"),
        ("random()", "not allowed"),
        ("amount; DROP TABLE cases", "several statements"),
        ("amount -- the cost", "a comment is not allowed"),
        ("amount /* the cost */", "a comment is not allowed"),
        ("*", "not allowed"),
        ("COLUMNS(*)", "not allowed"),
        ("cases.amount", "not allowed"),
        ("lenght(name)", 'did you mean "length"?'),
        ("sum(amount)", "only a KPI may"),
        ("row_number() OVER ()", "not allowed"),
        ("list_transform(a, x -> x)", "not allowed"),
        ("name || 'x'", "not allowed"),
        ("amount +", "this is not SQL"),
        ("'amount", "this is not SQL"),
        ("", "is empty"),
        ("name = 'a' AND name > 5 OR 'a' > 5", "a number and text together"),
        ("amount * 'x'", "text stands where a number is needed"),
        ("(amount > 5) AND amount + 1", "a number stands where yes or no is needed"),
        ("opened + closed + INTERVAL 1 DAY", "number stands where a moment is needed"),
        ("opened < '2016-02-30'", "is not a date"),
        ("INTERVAL 1 DAY", "add it to a moment"),
        ("opened + INTERVAL 1 fortnight", "not a unit"),
        ("coalesce(a, b)", "write a CAST"),
        ("CAST(a AS JSON)", "CAST to JSON is not allowed"),
        ("1e999", "not a number a computer can hold"),
        ("round(amount, digits)", "whole number of digits"),
        ("date_diff('fortnight', a, b)", "date_diff counts"),
        ("(" * 3000 + "1" + ")" * 3000, "nested too deeply"),
        ("1" + " + 1" * 5000, "characters"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text, where="trueup.toml: charter.payoff.true_positive")
    assert refused.value.message.startswith("trueup.toml: charter.payoff.true_positive: ")
    assert said in refused.value.message
    assert len(refused.value.message) < 700


_WORDS = """
a b "c d" 'x' '2016-01-01' 1 2.5 1e400 ( ) ( ) , , + - * / % = <> < || . :: [ ] { } @ ? $1 # ! ~ & | ^ -> := => AND
OR NOT IS NULL IN BETWEEN LIKE CASE WHEN THEN ELSE END CAST( AS DOUBLE STRUCT INTERVAL DAY SELECT FROM WHERE UNION
WITH VALUES OVER DISTINCT FILTER EXISTS ALL ANY DATE TIMESTAMP abs( sum( count(*) coalesce( round( date_diff( 'day'
extract( year read_csv( make_date( greatest( if( lambda SET PIVOT COLLATE ESCAPE AT TIME ZONE COLUMNS( * EXCLUDE
DESCRIBE SHOW CALL COPY ATTACH
"""


@settings(max_examples=400, deadline=None)
@given(words=st.lists(st.sampled_from(_WORDS.split()) | st.text(max_size=3), max_size=12), figure=st.booleans())
def test_any_text_is_an_expression_or_refused(
    tables: duckdb.DuckDBPyConnection, words: list[str], figure: bool
) -> None:
    parse = parse_aggregate if figure else parse_expression
    try:
        expression = parse(" ".join(words))
    except ExpressionError:
        return
    tables.execute('CREATE TABLE IF NOT EXISTS fuzz (a INTEGER, b INTEGER, "c d" INTEGER)')
    if expression.columns <= {"a", "b", "c d"}:
        tables.execute(f"SELECT {to_duckdb(expression)} FROM fuzz")


def test_a_name_cannot_leave_its_quotes(tables: duckdb.DuckDBPyConnection) -> None:
    expression = parse_expression("\"a\"\" FROM x\" + length('it''s')")
    assert expression.columns == {'a" FROM x'}
    assert '"a"" FROM x"' in to_duckdb(expression)
    assert "'it''s'" in to_duckdb(expression)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count(*) FILTER (acted AND outcome) / count(*) FILTER (outcome)", 2 / 3),
        ("count(*) FILTER (WHERE acted) / count(*) FILTER (amount > 1000)", None),
        ("count(amount)", 4.0),
        ("sum(amount) FILTER (acted) - max(amount) + min(amount)", 0.0),
        ("avg(acted)", 0.6),
        ("round(sum(amount * 2) / count(*), 1)", 40.0),
    ],
)
def test_a_kpi_gives_what_was_counted_by_hand(
    tables: duckdb.DuckDBPyConnection, text: str, expected: float | None
) -> None:
    rows = "(TRUE, TRUE, 10), (TRUE, TRUE, 20), (TRUE, FALSE, 'nan'), (FALSE, TRUE, 30), (FALSE, NULL, 40)"
    tables.execute("CREATE OR REPLACE TABLE kpis (acted BOOLEAN, outcome BOOLEAN, amount DOUBLE)")
    tables.execute(f"INSERT INTO kpis VALUES {rows}")
    found = tables.execute(f"SELECT {to_duckdb(parse_aggregate(text))} FROM kpis").fetchall()[0][0]
    assert _same(found, expected)


@pytest.mark.parametrize(
    "text", ["amount", "1", "sum(sum(amount))", "count(DISTINCT amount)", "sum(amount) + amount", "sum(a) OVER ()"]
)
def test_what_is_no_kpi_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse_aggregate(text)


def test_an_unknown_column_is_named_with_the_nearest_spelling() -> None:
    expression = parse_expression("-0.85 * amont + Fee")
    found = check_columns(expression, ["amount", "fee", "broker"], "trueup.toml: charter.payoff.false_negative")
    assert [mistake.where for mistake in found] == ["trueup.toml: charter.payoff.false_negative"] * 2
    assert 'did you mean "fee"?' in found[0].message
    assert 'did you mean "amount"?' in found[1].message
    assert check_columns(expression, ["amont", "Fee"], "x") == []


def test_a_column_used_as_what_it_is_not_is_named() -> None:
    kinds = {"amount": "number", "name": "text", "opened": "date", "flag": "boolean", "code": "category"}
    assert check_kinds(parse_expression("amount + flag"), kinds, "x") == []
    assert check_kinds(parse_expression("flag AND code = 'a' AND opened < '2016-01-01'"), kinds, "x") == []
    assert check_kinds(parse_expression("CAST(name AS DOUBLE) > 1"), kinds, "x") == []
    (found,) = check_kinds(parse_expression("name * 2"), kinds, "x")
    assert 'the column "name" as a number, but it holds text values' in found.message


def test_columns_of_different_kinds_are_not_compared() -> None:
    with pytest.raises(BadRowValue, match="write a CAST"):
        evaluate(parse_expression("a = b").plan, {"a": "1", "b": 1})


def test_a_text_moment_with_an_offset_is_refused_rather_than_read_wrongly() -> None:
    with pytest.raises(BadRowValue, match="UTC"):
        evaluate(parse_expression("a < '2016-01-01'").plan, {"a": "2015-12-31T23:30:00-02:00"})


def test_a_plan_of_a_newer_version_is_refused() -> None:
    with pytest.raises(BadRowValue, match='"teleport"'):
        plan_from_json(["+", ["number", 1.0], ["teleport", ["number", 1.0]]])


def test_plans_run_without_the_sql_parser() -> None:
    code = (
        "import sys, trueup.kernel.rowplan, trueup.kernel.expressions; print({'sqlglot', 'duckdb'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
