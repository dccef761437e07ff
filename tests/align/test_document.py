"""Does a digest follow what is agreed and nothing else, and is every change put in words?"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.align.charter import Capacity, Charter, PayoffMatrix, PayoffPerCase, Promise
from trueup.align.document import (
    Change,
    canonical_expression,
    charter_digest,
    charter_document,
    describe_changes,
)
from trueup.align.project_file import parse_project
from trueup.kernel.digests import canonical_json
from trueup.kernel.expressions import parse_expression

TEXT = """
[project]
name = "fraud"
[charter]
objective = "Stop fraud before payout."
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "head-of-fraud@example.com"
retraining_cost = 250
exposure = ["shadow 1d", "canary 10% 2d", "full"]
[[charter.reviewer]]
group = "fraud-operations"
[charter.payoff]
true_positive = "-30"
false_positive = "-55"
false_negative = "-0.85 * amount"
true_negative = "0"
[charter.capacity]
cases = 100
per = "day"
[[charter.kpi]]
name = "Caught"
sql = "count(*) FILTER (acted AND outcome) / count(*)"
target = ">= 0.70"
[[charter.guard]]
name = "False alarms"
count = "acted AND NOT outcome"
per = "acted"
limit = "<= 4.0"
window = "7d"
breach = "rollback"
[[charter.retraining]]
trigger = ["every 30d", "realised_value < 80% of promise over 30d"]
window = "365d"
[data]
source = "cases.parquet"
label = "is_fraud"
"""


def _charter(*changes: tuple[str, str]) -> Charter:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_project(text, folder="there").charter


def test_the_document_is_plain_json() -> None:
    document = charter_document(_charter())
    assert json.loads(canonical_json(document)) == document
    assert document["capacity"] == {"cases": 100, "per": "day"}
    assert document["payoff"]["false_negative"] == "- 0.85 * amount"
    assert "promise" not in document


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"-30"', '" - 30.00"'),
        ('"-0.85 * amount"', '"-0.850*amount"'),
        ("retraining_cost = 250", "retraining_cost = 2.5e2"),
        ("Stop fraud before payout.", "Stop  fraud before payout. "),
        ("acted AND NOT outcome", "acted and not outcome"),
        ('"<= 4.0"', '"<=4"'),
        ('window = "7d"', 'window = "1w"'),
        (
            '"every 30d", "realised_value < 80% of promise over 30d"',
            '"realised_value<80.0% of promise over 30d","every 30d"',
        ),
        ('currency = "EUR"\ntimezone = "Europe/Berlin"', 'timezone = "Europe/Berlin"   # there\ncurrency = "EUR"'),
        ("retraining_cost = 250", 'retraining_cost = 250\naction = "reveals"\ncontrol_group = 0'),
        ('source = "cases.parquet"', 'source = "elsewhere.parquet"'),
        ('cases = 100\nper = "day"', 'per = "day"\ncases = 100'),
    ],
)
def test_another_layout_of_the_same_has_the_same_digest(old: str, new: str) -> None:
    assert charter_digest(_charter((old, new))) == charter_digest(_charter())
    assert describe_changes(_charter(), _charter((old, new))) == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cases = 100", "cases = 120", "capacity 100 -> 120 a day"),
        ('per = "day"', 'per = "week"', "capacity 100 a day -> 100 a week"),
        ('cases = 100\nper = "day"', "", None),
        ('"-30"', '"-31"', "true positive -30 -> -31"),
        ("retraining_cost = 250", "retraining_cost = 3000", "retraining cost 250 -> 3,000"),
        ('"EUR"', '"USD"', "currency EUR -> USD"),
        ("retraining_cost", 'baseline_rule = "amount > 5"\nretraining_cost', "baseline rule none -> amount > 5"),
        ('"<= 4.0"', '"<= 5"', 'guard "False alarms": limit <= 4 -> <= 5'),
        ('breach = "rollback"', 'breach = "alert"', 'guard "False alarms": breach rollback -> alert'),
        ('">= 0.70"', '">= 0.8"', 'KPI "Caught": target >= 0.7 -> >= 0.8'),
        ('window = "365d"', 'window = "180d"', 'retraining policy "charter": window 365d -> 180d'),
        (
            '"shadow 1d", "canary 10% 2d", "full"',
            '"canary 20% 2d", "full"',
            "exposure shadow 1d, canary 10% 2d, full -> canary 20% 2d, full",
        ),
        ('"fraud-operations"', '"claims"', "reviewers fraud-operations -> claims"),
        ("before payout", "after payout", 'objective "Stop fraud before payout." -> "Stop fraud after payout."'),
    ],
)
def test_a_change_has_another_digest_and_is_put_in_words(old: str, new: str, words: str | None) -> None:
    if words is None:
        new_charter, words = replace(_charter(), capacity=None), "capacity 100 a day -> none"
    else:
        new_charter = _charter((old, new))
    assert charter_digest(new_charter) != charter_digest(_charter())
    (change,) = describe_changes(_charter(), new_charter)
    assert (change.words, change.effect) == (words, None)
    assert change.text("EUR") == words


def test_a_trigger_is_shown_by_what_it_means() -> None:
    (change,) = describe_changes(_charter(), _charter(('"every 30d", ', "")))
    value = "realised_value < 0.8 of promise over 30d"
    assert change.words == f'retraining policy "charter": triggers every 30d, {value} -> {value}'


def test_the_order_of_triggers_says_nothing() -> None:
    (policy,) = _charter().retraining
    turned = replace(_charter(), retraining=(replace(policy, triggers=policy.triggers[::-1]),))
    assert charter_digest(turned) == charter_digest(_charter())


def test_what_was_added_and_removed_is_named() -> None:
    old = _charter()
    assert [change.words for change in describe_changes(old, replace(old, guards=(), kpis=()))] == [
        'KPI "Caught" removed',
        'guard "False alarms" removed',
    ]
    assert [change.words for change in describe_changes(replace(old, guards=()), old)] == ['guard "False alarms" added']


def test_a_promise_is_part_of_the_signed_form_only() -> None:
    old = _charter()
    promised = replace(old, promise=Promise(31_000.0, "month", (28_000.0, 34_000.0), "ab"))
    assert charter_digest(promised) != charter_digest(old)
    assert charter_digest(replace(promised, promise=None)) == charter_digest(old)


def test_a_change_speaks_money_in_the_charters_currency() -> None:
    change = Change("capacity", "capacity 100 -> 120 a day", 31_000.4)
    assert change.text("EUR") == "capacity 100 -> 120 a day: +€31,000 on last month's cases"
    assert Change("x", "x", -64.0).text("EUR") == "x: −€64 on last month's cases"
    assert Change("x", "x", 0.2).text("EUR") == "x: no difference on last month's cases"


def test_each_change_is_priced_alone_and_only_where_it_moves_money() -> None:
    asked: list[Charter] = []

    def _effect(old: Charter, new: Charter) -> float:
        asked.append(new)
        return 100.0 * len(asked)

    old = _charter()
    new = _charter(("cases = 100", "cases = 120"), ('"-30"', '"-20"'), ("Stop", "Halt"))
    found = {change.key: change.effect for change in describe_changes(old, new, effect_of=_effect)}
    assert found == {"objective": None, "payoff.true_positive": 100.0, "capacity": 200.0}
    assert asked[0] == replace(old, payoff=PayoffMatrix("-20", "-55", "-0.85 * amount", "0"))
    assert asked[1] == replace(old, capacity=Capacity(120, "day"))


def test_another_kind_of_payoff_is_one_change() -> None:
    old = _charter()
    (change,) = describe_changes(old, replace(old, payoff=PayoffPerCase("-abs(prediction - outcome)")))
    assert change.key == "payoff"
    assert change.words.endswith("-> per case - abs ( prediction - outcome )")


def test_names_and_texts_keep_their_spelling() -> None:
    assert canonical_expression("\"And  x\"='or  1.0' and Day > 1.50") == "\"And  x\" = 'or  1.0' AND Day > 1.5"
    assert canonical_expression("a1 != 1_000.0") == "a1 <> 1000"


_SOURCES = ["-0.85*amount", "a>=1e3 and not(b)", "CASE when x='it''s' then 1.0 else .5 end", "d+n*INTERVAL 1 DAY"]


@given(text=st.sampled_from(_SOURCES), spaces=st.sampled_from([" ", "  ", "\n", "\t "]))
def test_a_canonical_expression_means_the_same(text: str, spaces: str) -> None:
    canonical = canonical_expression(text)
    assert parse_expression(canonical).plan == parse_expression(text).plan
    assert canonical_expression(canonical.replace(" ", spaces)) == canonical or "'" in text
