"""Numbers and classes are decided by the policy, the old rule and the fallback alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.serve.desks import ask_endpoint, endpoints
from tests.serve.lakes import FEATURES
from tests.serve.loadouts import PROJECT, answerer, ask, error, first, record, told

from trueup.align.charter import PayoffPerCase
from trueup.align.decision_policy import DecisionPolicy, policy_document
from trueup.align.project_file import parse_project
from trueup.align.streaming import MemoryTokens, StreamDecider, Terms
from trueup.bundle.predictors.predictor import Predictor
from trueup.serve.loadout import Loadout, Seat
from trueup.serve.row_requests import PolicyColumns

ROW = {"amount": 2.0, "age": 40.0, "case": "A-1"}
CLASSES = ("bronze", "gold")


class Given:
    """A stage whose answer stands in the row: for classes the amount against the rest, else the amount."""

    def __init__(self, width: int) -> None:
        self._width = width

    def one(self, row: np.ndarray) -> np.ndarray:
        return np.array([row[0]] if self._width == 1 else [1 - row[0], row[0]])

    def many(self, matrix: np.ndarray) -> np.ndarray:
        return np.array([self.one(row) for row in matrix])


def loadout_of(
    task: Any, per_case: str, *, classes: Sequence[str] = (), broken: bool = False, **charter: Any
) -> Loadout:
    project = parse_project(PROJECT, folder=".")
    changed = replace(project.charter, payoff=PayoffPerCase(per_case), capacity=None, baseline_rule=None, fallback=None)
    document = policy_document(replace(project, task=task, charter=replace(changed, **charter)))
    policy = DecisionPolicy.from_document(document, classes=classes)
    columns = PolicyColumns.of(document)
    predictor = None if broken else Predictor(FEATURES, [Given(len(classes) or 1)], outputs=len(classes) or 1)
    seat = Seat("d" * 64, "champion", features=FEATURES, columns=columns, predictor=predictor, classes=classes)
    decider = StreamDecider(Terms.of(policy), pace=None, tokens=MemoryTokens())
    return Loadout(seat, policy=policy, decider=decider, columns=columns)


def number(**options: Any) -> Loadout:
    return loadout_of("regression", "-abs(prediction - outcome)", **options)


def classes(**options: Any) -> Loadout:
    worth = "CASE WHEN prediction = outcome THEN 1 WHEN prediction = 'gold' THEN -9 ELSE 0 END"
    return loadout_of("multiclass", worth, classes=CLASSES, **options)


def test_a_number_is_predicted_and_recorded() -> None:
    reply = ask(answerer(number()), ROW)
    prediction = told(reply)[0]
    assert (prediction["score"], prediction["decision"], prediction["reason"]) == (2.0, 2.0, "predicted")
    assert (first(reply).predicted, first(reply).acted, first(reply).expected_gain) == (2.0, False, None)


@pytest.mark.parametrize(("score", "chosen"), [(0.5, "bronze"), (0.95, "gold")])
def test_the_class_with_the_largest_expected_payoff_is_chosen_not_the_likeliest(score: float, chosen: str) -> None:
    prediction = told(ask(answerer(classes()), {**ROW, "amount": score}))[0]
    assert prediction["score"] == {"bronze": 1 - score, "gold": score}
    assert prediction["decision"] == chosen


def test_the_fallback_gives_a_number_or_a_class() -> None:
    for given, said in (
        (number(broken=True, fallback="age * 2"), 80.0),
        (classes(broken=True, fallback="'bronze'"), "bronze"),
    ):
        prediction = told(ask(answerer(given), ROW))[0]
        assert (prediction["decision"], prediction["decision_by"]) == (said, "fallback")
        assert prediction["reason"] == "fallback:no_model"


def test_a_fallback_that_gives_nothing_for_a_row_is_no_decision() -> None:
    refused = ask(answerer(number(broken=True, fallback="age * 2")), {**ROW, "age": None})
    assert (refused.status, error(refused)["code"]) == (503, "serve.no-decision")


def test_the_control_group_gets_the_old_rules_number() -> None:
    given = number(control_group=1.0, baseline_rule="age / 4")
    (row,) = record(ask(answerer(given), ROW)).rows
    assert (row.role, row.predicted, row.propensity, row.scores) == ("control", 10.0, 1.0, (2.0,))


def test_without_an_old_rule_numbers_have_no_control_group() -> None:
    (row,) = record(ask(answerer(number(control_group=1.0)), ROW)).rows
    assert (row.role, row.predicted) == ("champion", 2.0)


def test_tensors_of_classes_have_a_column_for_each() -> None:
    inputs = [{"name": name, "shape": [1], "datatype": "FP64", "data": [0.75]} for name in ("amount", "age")]
    body = json.dumps({"inputs": inputs, "outputs": [{"name": "score"}, {"name": "decision"}]}).encode()
    reply = ask_endpoint(endpoints(classes()), "POST", "/v2/models/small-fraud/infer", body)
    score, decision = json.loads(reply.body)["outputs"]
    assert (score["shape"], score["data"]) == ([1, 2], [0.25, 0.75])
    assert (decision["datatype"], decision["data"]) == ("BYTES", ["bronze"])
