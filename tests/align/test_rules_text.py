"""Is every quality rule read as written, and every mistake in one named?"""

from __future__ import annotations

import pytest

from trueup.align.project_file import parse_project
from trueup.align.quality_rules import (
    Figure,
    ForeignKey,
    Fresh,
    Matches,
    NotNull,
    OneOf,
    QualityRule,
    Query,
    Range,
    RowHolds,
    Unique,
    Volume,
)
from trueup.kernel.durations import parse_duration
from trueup.kernel.errors import Mistakes

PROJECT = """
[project]
name = "late"
[charter]
objective = "o"
currency = "EUR"
timezone = "UTC"
sponsor = "s@example.com"
[charter.payoff]
true_positive = "-4"
false_positive = "-4"
false_negative = "-amount"
true_negative = "0"
[data]
source = "a.csv"
label = "late"
"""


def rules(text: str) -> tuple[QualityRule, ...]:
    return parse_project(PROJECT + text, folder=".").data.rules


def said(text: str) -> str:
    with pytest.raises(Mistakes) as caught:
        rules(text)
    return caught.value.message


@pytest.mark.parametrize(
    ("written", "check"),
    [
        ('check = "not_null"\ncolumns = "amount"', NotNull("amount")),
        ('check = "unique"\ncolumns = ["a", "b"]', Unique(("a", "b"))),
        ('check = "range"\ncolumns = "amount"\nlow = 0\nhigh = 9.5', Range("amount", 0.0, 9.5)),
        ('check = "range"\ncolumns = "at"\nlow = 2020-01-31', Range("at", "2020-01-31 00:00:00", None)),
        ('check = "range"\ncolumns = "at"\nhigh = "2020-01-31 10:00:00"', Range("at", None, "2020-01-31 10:00:00")),
        ('check = "set"\ncolumns = "a"\nvalues = ["x", "y"]', OneOf("a", ("x", "y"))),
        ('check = "set"\ncolumns = "a"\nvalues = [1, 2]', OneOf("a", (1.0, 2.0))),
        ('check = "pattern"\ncolumns = "a"\nregex = \'[A-Z]\\d+\'', Matches("a", "[A-Z]\\d+")),
        ('check = "freshness"\ncolumns = "at"\nwithin = "2d"', Fresh("at", parse_duration("2d"))),
        ('check = "volume"\nlow = 10\nchange = 0.5', Volume(10, None, 0.5)),
        ('check = "foreign_key"\ncolumns = "c"\nreferences = "c.csv"', ForeignKey(("c",), "c.csv", ("c",))),
        (
            'check = "foreign_key"\ncolumns = "c"\nreferences = "c.csv"\nkeys = "id"',
            ForeignKey(("c",), "c.csv", ("id",)),
        ),
        ('check = "sql"\nsql = "a <= b"', RowHolds("a <= b")),
        ('check = "figure"\nsql = "avg(a)"\nlimit = "<= 4"', Figure("avg(a)", "<= 4")),
        ('check = "query"\nname = "n"\nsql = "SELECT 1"', Query("SELECT 1")),
    ],
)
def test_each_kind_of_rule_is_read(written: str, check: object) -> None:
    (rule,) = rules(f"[[data.rule]]\n{written}\n")
    assert (rule.check, rule.level, rule.allowed_share) == (check, "prevent", 0.0)


def test_a_rule_for_several_columns_becomes_one_for_each() -> None:
    found = rules('[[data.rule]]\ncheck = "not_null"\ncolumns = ["a", "b"]\nlevel = "warn"\nallowed_share = 0.1\n')
    assert [(rule.name, rule.level, rule.allowed_share) for rule in found] == [
        ("a: not null", "warn", 0.1),
        ("b: not null", "warn", 0.1),
    ]
    named = rules('[[data.rule]]\nname = "known"\ncheck = "not_null"\ncolumns = ["a", "b"]\n')
    assert [rule.name for rule in named] == ["known: a", "known: b"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('check = "not_nul"', 'did you mean "not_null"'),
        ("level = 'warn'", "check = "),
        ('check = "not_null"', "columns = "),
        ('check = "not_null"\ncolumns = "a"\nlevel = "error"', "prevent, warn"),
        ('check = "not_null"\ncolumns = "a"\nallowed_share = 5', "5 % is 0.05"),
        ('check = "not_null"\ncolumns = "a"\nlow = 5', 'the key "low" is not known here'),
        ('check = "range"\ncolumns = "a"', "at least one end"),
        ('check = "range"\ncolumns = "a"\nlow = 5\nhigh = 1', "not above low"),
        ('check = "range"\ncolumns = "a"\nlow = 5\nhigh = 2020-01-01', "one is a number and the other a date"),
        ('check = "range"\ncolumns = "a"\nlow = inf', "neither a number nor a date"),
        ('check = "range"\ncolumns = "a"\nlow = 2020-01-01T00:00:00+05:00', "UTC"),
        ('check = "set"\ncolumns = "a"\nvalues = []', "list the allowed values"),
        ('check = "set"\ncolumns = "a"\nvalues = ["x", 1]', "do not mix"),
        ('check = "pattern"\ncolumns = "a"\nregex = "("', "not a regular expression"),
        ('check = "pattern"\ncolumns = "a"\nregex = "(?=x)"', "look-ahead"),
        ('check = "freshness"\ncolumns = "a"\nwithin = "2 days"', "is not a duration"),
        ('check = "volume"', "low, high or change"),
        ('check = "volume"\nlow = 5\nhigh = 1', "less than low"),
        ('check = "foreign_key"\ncolumns = ["a", "b"]\nreferences = "x.csv"\nkeys = "k"', "1 keys for 2 columns"),
        ('check = "sql"\nsql = "a + 1"', "yes or no"),
        ('check = "sql"\nsql = "a > (SELECT 1)"', "a > (SELECT 1)"),
        ('check = "sql"\nsql = "read_text(a) = 1"', "read_text"),
        ('check = "figure"\nsql = "avg(a)"\nlimit = "4"', "is not a limit"),
        ('check = "query"\nsql = "SELECT 1"', "a query needs one"),
        ('check = "not_null"\ncolumns = "a"\n[[data.rule]]\ncheck = "not_null"\ncolumns = "a"', "name of its own"),
    ],
)
def test_a_mistake_in_a_rule_is_named_with_what_is_allowed(written: str, expected: str) -> None:
    message = said(f"[[data.rule]]\n{written}\n")
    assert expected in message
    assert "trueup.toml: data.rule" in message


def test_mistakes_in_several_rules_are_reported_together() -> None:
    message = said('[[data.rule]]\ncheck = "set"\ncolumns = "a"\n[[data.rule]]\ncheck = "uniqe"\ncolumns = "b"\n')
    assert "2 mistakes" in message
    assert "data.rule[1].values" in message
    assert 'did you mean "unique"' in message
