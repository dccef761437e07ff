"""Does the terminal show every strategy, the recommendation and what the figures rest on?"""

from __future__ import annotations

from dataclasses import replace

from trueup.cli.rehearsal_words import describe_rehearsal
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


def test_strategies_recommendation_warnings_and_assumptions_are_shown() -> None:
    rehearsal = Rehearsal(
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
    lines = describe_rehearsal(rehearsal)
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
