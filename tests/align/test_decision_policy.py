"""A server decides by the numbers that tables give, from a document alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trueup.align.charter import PayoffMatrix, PayoffPerCase, Project
from trueup.align.decision_policy import BadPolicy, DecisionPolicy, policy_document
from trueup.align.payoff import ActionEffect, best_class, expected_gain
from trueup.align.project_file import parse_project
from trueup.kernel.digests import digest_of

from .conftest import Told

PROJECT = """
[project]
name = "loans"
title = "Loans"
[charter]
objective = "x"
currency = "EUR"
timezone = "Europe/Berlin"
sponsor = "s@example.com"
baseline_rule = "amount > 20000"
fallback = "amount > 30000 OR score_of_old = 'bad'"
p99_ms = 50
interruption_limit = { cases = 200, per = "month" }
[charter.payoff]
true_positive = "-5"
false_positive = "-5"
false_negative = "-(1 + 1) * amount"
true_negative = "0"
[charter.capacity]
cases = 120
per = "day"
[data]
source = "x.parquet"
case_id = ["branch", "number"]
time = "applied"
label = "bad"
"""


@pytest.fixture
def loans() -> Project:
    return parse_project(PROJECT, folder="")


def through_json(document: dict[str, Any]) -> Any:
    return json.loads(json.dumps(document))


def with_payoff(project: Project, payoff: PayoffMatrix | PayoffPerCase, **terms: Any) -> Project:
    return replace(project, charter=replace(project.charter, payoff=payoff, **terms))


def test_the_document_says_what_was_signed_and_what_is_read(loans: Project) -> None:
    document = policy_document(loans)

    assert document["payoff"]["false_negative"] == "-(1 + 1) * amount"
    assert document["capacity"] == {"cases": 120, "per": "day"}
    assert document["interruption_limit"] == {"cases": 200, "per": "month"}
    assert (document["task"], document["p99_ms"], document["horizon_days"]) == ("binary", 50, 60)
    assert document["columns"] == {
        "amount": "number",
        "applied": "moment",
        "branch": "any",
        "number": "any",
        "score_of_old": "text",
    }


def test_a_project_without_a_capacity_has_no_limit(loans: Project) -> None:
    unlimited = replace(loans, charter=replace(loans.charter, capacity=None))

    assert policy_document(unlimited)["capacity"] is None
    assert DecisionPolicy(policy_document(unlimited)).capacity is None


def test_a_policy_has_one_version_before_and_after_its_way_through_json(loans: Project) -> None:
    document = policy_document(loans)

    assert DecisionPolicy(through_json(document)).version == DecisionPolicy(document).version == digest_of(document)


def test_another_charter_is_another_version(loans: Project) -> None:
    other = replace(loans, charter=replace(loans.charter, fallback="amount > 1"))

    assert DecisionPolicy(policy_document(other)).version != DecisionPolicy(policy_document(loans)).version


def test_old_rule_and_fallback_decide_without_a_model(loans: Project) -> None:
    policy = DecisionPolicy(through_json(policy_document(loans)))

    assert [policy.baseline({"amount": amount}) for amount in (20_000, 20_001, None)] == [False, True, False]
    assert policy.fallback({"amount": 5, "score_of_old": "bad"}) is True
    assert policy.fallback({}) is False
    assert policy.association_of({"branch": "B", "number": 12}) == "B|12"


def test_nobody_acts_where_no_rule_was_agreed(loans: Project) -> None:
    bare = replace(loans, charter=replace(loans.charter, fallback=None, baseline_rule=None))
    policy = DecisionPolicy(policy_document(bare))

    assert (policy.baseline({"amount": 1e9}), policy.fallback({"amount": 1e9})) == (False, False)


@pytest.mark.data
def test_every_booking_has_the_gain_the_hash_and_the_time_that_the_table_gives_it(bookings: Told) -> None:
    assert_equal_on_every_row(bookings)


def test_every_application_has_the_gain_the_hash_and_the_time_that_the_table_gives_it(applications: Told) -> None:
    assert_equal_on_every_row(applications)


def assert_equal_on_every_row(told: Told) -> None:
    policy = DecisionPolicy(through_json(policy_document(told.project)))
    scores = np.random.default_rng(5).random(told.history.rows)
    assert told.history.payoffs is not None
    effect = ActionEffect.of(told.project.charter)
    expected = expected_gain(scores, np.asarray(told.history.payoffs), effect=effect)

    gains = [policy.gain(score, row) for score, row in zip(scores.tolist(), told.rows, strict=True)]
    units = [policy.unit_hash(policy.association_of(row) or "") for row in told.rows]
    times = [policy.event_time(row) for row in told.rows]

    assert np.array_equal(np.array(gains), expected)
    assert np.array_equal(np.array(units, dtype=np.uint64), told.history.unit_hash)
    assert np.array_equal(np.array(times), told.history.event_time)
    if told.history.baseline is not None:
        acts = [policy.baseline(row) for row in told.rows]
        assert np.array_equal(np.array(acts), np.asarray(told.history.baseline) > 0)


money = st.floats(-1e9, 1e9)


@given(score=st.floats(0, 1), cells=st.tuples(money, money, money, money), share=st.none() | st.floats(0, 1))
def test_the_gain_of_constant_payoffs_is_the_same_bit_for_bit(
    score: float, cells: tuple[float, float, float, float], share: float | None
) -> None:
    action = "reveals" if share is None else "prevents"
    project = with_payoff(
        parse_project(PROJECT, folder=""),
        PayoffMatrix(*(f"{cell:.17f}" for cell in cells)),
        action=action,
        success_share=share,
    )
    policy = DecisionPolicy(through_json(policy_document(project)))
    payoffs = np.array([[float(f"{cell:.17f}") for cell in cells]])
    expected = expected_gain(np.array([score]), payoffs, effect=ActionEffect.of(project.charter))
    assert policy.gain(score, {}) == expected[0]


def test_a_payoff_that_a_row_cannot_tell_counts_as_nothing(loans: Project) -> None:
    policy = DecisionPolicy(policy_document(loans))

    assert policy.gain(1.0, {"amount": None}) == -5.0
    assert policy.gain(1.0, {"amount": float("inf")}) == -5.0
    assert policy.gain(1.0, {"amount": 10**400}) == -5.0
    assert policy.gain(1.0, {"amount": "40"}) == 75.0  # 2 * 40 saved, 5 spent


def test_a_payoff_per_case_prices_the_four_results(loans: Project) -> None:
    per_case = PayoffPerCase("if(prediction = outcome, 0, if(prediction = 1, -3, -amount))")
    policy = DecisionPolicy(through_json(policy_document(with_payoff(loans, per_case))))

    # acting saves the amount with 1 in 4, and costs 3 with 3 in 4
    assert policy.gain(0.25, {"amount": 100}) == 0.25 * 100 - 0.75 * 3
    assert "prediction" not in policy.columns


def test_of_several_classes_the_one_worth_most_is_chosen(loans: Project) -> None:
    payoff = PayoffPerCase("CASE WHEN prediction = outcome THEN 0 WHEN outcome = 'late' THEN -dear ELSE -3 END")
    project = replace(with_payoff(loans, payoff, baseline_rule=None, fallback=None), task="multiclass")
    policy = DecisionPolicy(through_json(policy_document(project)), classes=("early", "late"))
    scores = [0.6, 0.4]

    # missing "late" costs 0.4 * dear, a false "late" 0.6 * 3
    assert [policy.choose(scores, {"dear": dear}) for dear in (4.0, 5.0)] == ["early", "late"]
    priced = np.array([[[0.0, -5.0], [-3.0, 0.0]]])
    assert best_class(np.array([scores]), priced)[0][0] == 1


def test_a_number_is_predicted_as_it_is(loans: Project) -> None:
    payoff = PayoffPerCase("-12 * abs(prediction - outcome)")
    project = replace(with_payoff(loans, payoff, baseline_rule="amount / 2", fallback=None), task="regression")
    policy = DecisionPolicy(through_json(policy_document(project)))

    assert policy.choose([7.5], {}) == 7.5
    assert policy.baseline({"amount": 5}) == 2.5
    assert policy.fallback({"amount": 5}) is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": "trueup-policy-0"},
        {"plans": {}},
        {"plans": None},
        {"columns": 7},
        {"capacity": {"cases": "many"}},
        {"control_group": None},
    ],
)
def test_a_document_that_is_no_policy_is_refused(loans: Project, change: dict[str, Any]) -> None:
    with pytest.raises(BadPolicy):
        DecisionPolicy({**policy_document(loans), **change})


def test_a_plan_of_a_newer_version_is_refused(loans: Project) -> None:
    document = through_json(policy_document(loans))
    document["plans"]["payoff"]["false_negative"] = ["forecast", ["column", "amount", "number"]]
    with pytest.raises(BadPolicy):
        DecisionPolicy(document)


def test_a_server_needs_no_parser_and_no_project_file(loans: Project) -> None:
    program = (
        "import json, sys; from trueup.align.decision_policy import DecisionPolicy as P;"
        "p = P(json.load(sys.stdin)); p.gain(0.5, {'amount': 3}); p.baseline({'amount': 3});"
        "heavy = {'sqlglot', 'duckdb', 'pyarrow', 'trueup.align.charter', 'trueup.align.project_file'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    document = json.dumps(policy_document(loans))
    run = subprocess.run([sys.executable, "-c", program], input=document, capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
