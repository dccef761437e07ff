"""Does a person understand the table of candidates?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trueup.bundle.package import BundleRef
from trueup.cli.train_command import describe_training
from trueup.loop.train import Trained

RULE: dict[str, Any] = {"name": "the old rule", "value": 0.0, "value_interval": [0.0, 0.0], "chosen": False}
LINEAR: dict[str, Any] = {"name": "linear", "value": 1234.5, "value_interval": [1000.0, 1500.0], "chosen": True}


def told(*candidates: dict[str, Any]) -> list[str]:
    """Return what a person reads about these candidates."""
    bundle = BundleRef("0123456789abcdef", Path("/bundles/0123456789abcdef"))
    return describe_training(Trained(bundle, 500, "2024-12-28", candidates, None, (), ()), "EUR")


def test_the_table_says_what_value_is_compared_with() -> None:
    lines = told(RULE, LINEAR)

    assert lines[2].split() == [">", "linear", "1,234", "EUR", "1,000", "to", "1,500"]
    assert lines[3].startswith("  value: what deciding by it came to beyond the old rule")


def test_without_any_value_nothing_is_explained() -> None:
    assert not any("beyond the old rule" in line for line in told({**LINEAR, "value": None, "value_interval": None}))
    assert not any("beyond the old rule" in line for line in told())
