"""Is every command, option, exit code and field of the rehearsal's JSON documented?"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

import pytest

from trueup.cli import exits
from trueup.cli.arguments import build_parser
from trueup.lake.incidents import DataIncident
from trueup.lake.rehearsals import FeatureDrift, GuardResult, KpiResult, Notice, Rehearsal, Release, Strategy

REFERENCE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def _commands() -> dict[str, argparse.ArgumentParser]:
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def test_every_command_has_a_section_with_its_options() -> None:
    commands = _commands()
    assert len(commands) == 17
    for name, parser in commands.items():
        heading = next((line for line in REFERENCE.splitlines() if line.startswith(f"### trueup {name}")), None)
        assert heading is not None, name
        options = [o for a in parser._actions for o in a.option_strings if o.startswith("--")]
        missing = [o for o in options if o not in {"--help", "--json"} and o not in heading]
        assert missing == [], name


EVERYWHERE = {
    "bundle": {"--help", "--json", "--project", "--key"},
    "serving": {"--help", "--json", "--project", "--name", "--reason", "--by", "--wait", "--trust"},
    "log": {"--help", "--json", "--project", "--name"},
}


@pytest.mark.parametrize(("command", "everywhere"), EVERYWHERE.items())
def test_every_action_has_a_line_with_its_options(command: str, everywhere: set[str]) -> None:
    [actions] = [a for a in _commands()[command]._actions if isinstance(a, argparse._SubParsersAction)]
    for name, parser in actions.choices.items():
        line = next((line for line in REFERENCE.splitlines() if line.startswith(f"    trueup {command} {name}")), None)
        assert line is not None, name
        options = {o for a in parser._actions for o in a.option_strings if o.startswith("--")} - everywhere
        assert [o for o in sorted(options) if o not in line] == [], name


def test_every_exit_code_is_in_the_table() -> None:
    codes = [value for value in vars(exits).values() if type(value) is int]
    assert sorted(codes) == [0, 1, 2, 3, 70, 130]
    assert all(f"| {code} |" in REFERENCE for code in codes)


@pytest.mark.parametrize(
    "record", [Rehearsal, Strategy, Release, KpiResult, GuardResult, Notice, FeatureDrift, DataIncident]
)
def test_every_field_of_the_rehearsals_json_is_named(record: type) -> None:
    assert [f.name for f in fields(record) if f"`{f.name}" not in REFERENCE and f.name not in REFERENCE] == []
