"""Is a rehearsal the same after it went through its JSON?"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from trueup.lake.estimates import Contradiction, Estimate, Figures, FinalValue
from trueup.lake.incidents import DataIncident
from trueup.lake.rehearsal_documents import NotARehearsal, parse_rehearsal
from trueup.lake.rehearsals import (
    FeatureDrift,
    GuardResult,
    KpiResult,
    Notice,
    Rehearsal,
    Release,
    Strategy,
    Window,
)

STRATEGY = Strategy(
    name="never",
    description="Trained once",
    value=10.0,
    value_interval=(8.0, 12.0),
    retraining_cost=0.0,
    net_value=10.0,
    cases_acted=3,
    max_cases_in_period=2,
    capacity_filled=0.5,
    value_of_one_more_case=None,
    releases=(Release("2024-01-01", "never-1", "first", "start", value_gain_interval=(0.1, 0.2)),),
    windows=(
        Window(
            "2024-01-01",
            "2024-02-01",
            40,
            1.0,
            10.0,
            auc=0.8,
            estimate=Estimate(
                at="2024-02-01",
                status="holds",
                reason="no outcome has checked it yet",
                expected=Figures(40, auc=0.7, value=9.0),
                realised=Figures(40, auc=0.8, value=10.0),
                at_end=FinalValue("2024-02-01", 0.5, 4.0, 9.0, (5.0, 13.0)),
                now=FinalValue("2024-06-01", 1.0, 10.0, None, None),
            ),
        ),
    ),
    contradictions=(Contradiction("never-1", "2024-03-01", "2024-02-01", 29.0, 31, 0.1, 0.3, "of 31 cases"),),
    kpis=(KpiResult("caught", 0.5, ">= 0.4", met=True),),
    guards=(GuardResult("alarms", None, "<= 4", 0, "alert"),),
)
REHEARSAL = Rehearsal(
    project="p",
    title="P",
    task="binary",
    objective="earn",
    currency="EUR",
    charter_digest="c",
    table_version="t",
    start="2024-01-01",
    end="2024-02-01",
    turns=31,
    rows=40,
    capacity={"cases": 2, "per": "day"},
    assumptions=("none",),
    strategies=(
        STRATEGY,
        replace(STRATEGY, name="monthly", releases=(Release("x", "m", "first", "r"),)),
    ),
    recommended="never",
    reason="it earns as much",
    warnings=(Notice("data.leakage-suspected", "too good", column="stage"),),
    drift=(FeatureDrift("amount", "2024-01", 0.1, 0.0, 0.0, None),),
    incidents=(
        DataIncident(
            "tenure", "above", "2024-01-03", "2024-01-09", True, 9, 0.1, 0.0, "shop", ("a", "b"), 12.0, 3, -7.5
        ),
        DataIncident("income", "missing", "2024-01-03", "2024-01-09", False, 9, 0.1, 0.02),
    ),
    candidates=({"name": "linear", "value": 1.0},),
    facts={"days": 31},
)


def test_a_rehearsal_is_the_same_after_its_json() -> None:
    assert parse_rehearsal(json.loads(json.dumps(REHEARSAL.as_json()))) == REHEARSAL


def test_another_document_is_refused_with_what_to_do() -> None:
    with pytest.raises(NotARehearsal, match="run `trueup rehearse` again"):
        parse_rehearsal({"strategies": []})


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(NotARehearsal, match="surprise"):
        parse_rehearsal({**REHEARSAL.as_json(), "surprise": 1})
