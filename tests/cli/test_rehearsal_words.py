"""Does the terminal show every strategy, the recommendation and what the figures rest on?"""

from __future__ import annotations

from dataclasses import replace

from trueup.cli.rehearsal_words import describe_rehearsal
from trueup.lake.incidents import DataIncident
from trueup.lake.rehearsals import Notice, Rehearsal, Strategy

NEVER = Strategy(
    name="never",
    description="Trained once",
    value=1234.0,
    value_interval=(1000.0, 1500.0),
    retraining_cost=0.0,
    net_value=1234.0,
    cases_acted=9,
    max_cases_in_period=3,
    capacity_filled=1.0,
    value_of_one_more_case=None,
    releases=(),
    windows=(),
)
FORECAST = replace(NEVER, name="monthly", cases_acted=None, max_cases_in_period=None)


LATE_PAYERS = Rehearsal(
    project="p",
    title="Late payers",
    task="binary",
    objective="o",
    currency="EUR",
    charter_digest="c",
    table_version="t",
    start="2024-01-01T00:00:00Z",
    end="2025-01-01T00:00:00Z",
    turns=366,
    rows=4000,
    capacity=None,
    assumptions=("Nobody acted before.",),
    strategies=(NEVER, FORECAST),
    recommended="never",
    reason="retraining earns no more",
    warnings=(Notice("data.leakage-suspected", "stage gives the outcome away", "stage"),),
)


def test_strategies_recommendation_warnings_and_assumptions_are_shown() -> None:
    lines = describe_rehearsal(LATE_PAYERS)
    assert lines[0] == "Late payers: 2024-01-01 to 2025-01-01, 4,000 cases, 366 turns"
    chosen = next(line for line in lines if line.startswith(">"))
    assert chosen.split() == [
        ">",
        "never",
        "1,234",
        "EUR",
        "1,000",
        "to",
        "1,500",
        "0",
        "9",
        "3",
    ]
    assert "Recommended: never. Retraining earns no more" in lines
    assert "  [data.leakage-suspected] stage gives the outcome away" in lines
    assert lines[-1] == "* Nobody acted before."


def test_data_that_broke_is_told_with_days_cause_and_money() -> None:
    months = DataIncident(
        "tenure", "above", "2024-05-15", "2024-05-28", False, 33, 0.0355, 0.0, None, (), 12.0, 11, -55.0
    )
    gone = DataIncident("income", "missing", "2024-12-01", "2024-12-31", True, 70, 0.7, 0.0)
    lines = describe_rehearsal(replace(LATE_PAYERS, incidents=(months, gone)))
    told = lines.index("Data that broke, which is no drift:")
    assert lines[told + 1] == (
        "  tenure, 2024-05-15 to 2024-05-28: 3.5% of the cases had values above every one before; values came "
        "12 times as large; decisions of the first model changed: 11, −€55 on final cases"
    )
    assert lines[told + 2] == "  income, 2024-12-01 to the end: 70.0% of the cases had no value"
