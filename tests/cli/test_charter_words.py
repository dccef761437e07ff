"""Does the charter read like what was agreed?"""

from __future__ import annotations

from trueup.align.charter import (
    Capacity,
    Charter,
    DataSpec,
    Kpi,
    PayoffMatrix,
    PayoffPerCase,
    Project,
    RehearsalSpec,
    RetrainingPolicy,
    ServingSpec,
    TrainSpec,
    Trigger,
)
from trueup.cli.charter_words import describe_project


def _project(charter: Charter) -> Project:
    return Project(
        name="p",
        title="Late payers",
        task="binary",
        charter=charter,
        data=DataSpec(source="a.csv", label="late"),
        train=TrainSpec(),
        rehearsal=RehearsalSpec(),
        serving=ServingSpec(),
        folder=".",
    )


def test_a_yes_or_no_charter_names_payoff_capacity_assumption_and_policies() -> None:
    charter = Charter(
        objective="Fewer late payers.",
        currency="EUR",
        timezone="Europe/Berlin",
        sponsor="head@example.com",
        payoff=PayoffMatrix("-4", "-5", "-6 * amount", "0"),
        capacity=Capacity(300, "month"),
        action="prevents",
        success_share=0.3,
        kpis=(Kpi("Reached", "sum(acted)", ">= 0.5"),),
        retraining=(RetrainingPolicy("as-agreed", (Trigger("every month", "every"),), None),),
    )
    text = "\n".join(describe_project(_project(charter)))
    for words in (
        "Late payers (binary)",
        "missed -6 * amount",
        "300 cases a month, Europe/Berlin",
        "30%",
        "Reached >= 0.5",
        "as-agreed: every month, on all history",
        "nobody acts",
        "guided training",
        "time unknown",
    ):
        assert words in text


def test_a_forecast_shows_its_cost_per_case() -> None:
    payoff = PayoffPerCase("-abs(prediction - outcome)")
    charter = Charter("Forecast.", "USD", "UTC", "head@example.com", payoff, None)
    assert "-abs(prediction - outcome) USD" in "\n".join(describe_project(_project(charter)))
