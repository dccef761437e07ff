"""Is every key of trueup.toml that the parser knows documented, under its section?"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from trueup.align.project_file import parse_project
from trueup.align.reading import Section

REFERENCE = (Path(__file__).parents[2] / "docs" / "project-file.md").read_text(encoding="utf-8")
EVERYTHING = """
[project]
name = "all"
title = "All"
[charter]
objective = "o"
currency = "EUR"
timezone = "UTC"
sponsor = "s@example.com"
action = "prevents"
success_share = 0.5
interruption_limit = { cases = 1, per = "day" }
[[charter.reviewer]]
group = "g"
[charter.payoff]
PAYOFF
[charter.capacity]
cases = 1
per = "day"
[[charter.kpi]]
name = "k"
sql = "count(*)"
[[charter.guard]]
name = "g"
count = "acted"
per = "acted"
limit = "<= 1"
window = "1d"
breach = "alert"
[[charter.retraining]]
trigger = ["every 1d"]
[charter.envelope]
[charter.promise]
value = 1.0
per = "day"
interval = [0.5, 1.5]
rehearsal_digest = "d"
[connections.warehouse]
[data]
source = SOURCE
label = "y"
RULES
[train]
[rehearsal]
[serving]
[[package.accept]]
id = "CVE-2024-1234"
reason = "r"
until = 2027-06-30
"""
RULES = "".join(
    f"[[data.rule]]\nname = '{number}'\ncolumns = 'a'\n{rule}\n"
    for number, rule in enumerate(
        (
            "check = 'range'\nlow = 0",
            "check = 'set'\nvalues = [1]",
            "check = 'pattern'\nregex = 'x'",
            "check = 'freshness'\nwithin = '1d'",
            "check = 'foreign_key'\nreferences = 'b.csv'",
        )
    )
)
RULES += """
[[data.rule]]
check = "volume"
change = 0.5
[[data.rule]]
check = "figure"
sql = "count(*)"
limit = ">= 1"
"""
MATRIX = 'true_positive = "1"\nfalse_positive = "1"\nfalse_negative = "1"\ntrue_negative = "1"'


@pytest.fixture
def known_keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """Every key the parser asks for, by section, heard while it reads a file with every section."""
    asked: dict[str, set[str]] = defaultdict(set)
    take = Section.take

    def hear(section: Section, key: str) -> object:
        asked[re.sub(r"\[\d+\]|\.\d+$", "", section.where("").partition(": ")[2])].add(key)
        return take(section, key)

    monkeypatch.setattr(Section, "take", hear)
    sheet, query = '{ file = "a.xlsx" }', '{ connection = "warehouse", query = "SELECT 1" }'
    everything = EVERYTHING.replace("RULES", RULES).replace("PAYOFF", MATRIX).replace("SOURCE", sheet)
    parse_project(everything, folder=".")
    regression = (
        EVERYTHING.replace("RULES", "")
        .replace("SOURCE", query)
        .replace("PAYOFF", 'per_case = "-abs(prediction - outcome)"')
    )
    regression = regression.replace('action = "prevents"\nsuccess_share = 0.5\n', "")
    regression = regression.replace('[charter.capacity]\ncases = 1\nper = "day"\n', "")
    regression = re.sub(r"\[\[charter.(?:kpi|guard)\]\]\n(?:[a-z]+ = .*\n)+", "", regression)
    parse_project(regression.replace('title = "All"', 'title = "All"\ntask = "regression"'), folder=".")
    return dict(asked)


def _documented() -> dict[str, set[str]]:
    keys: dict[str, set[str]] = {}
    section = ""
    for line in REFERENCE.splitlines():
        heading = re.match(r"#+ \[+([a-z_.]+)\]+$", line)
        if heading:
            section = heading[1]
            keys.setdefault(section, set())
        elif line.startswith("| `") and section:
            keys[section] |= set(re.findall(r"`([a-z_0-9]+)`", line.split("|")[1]))
    return keys


def test_every_key_the_parser_knows_is_in_the_reference(known_keys: dict[str, set[str]]) -> None:
    documented = _documented()
    sections = set(documented)
    missing = {
        f"{section}.{key}"
        for section, keys in known_keys.items()
        for key in keys
        if section in sections and key not in documented[section] and f"{section}.{key}".lstrip(".") not in sections
    }
    assert missing == set()
    unknown = {s for s in known_keys if s and s not in sections | {"charter.interruption_limit", "connections"}}
    assert unknown == set()


def test_every_documented_key_is_one_the_parser_knows(known_keys: dict[str, set[str]]) -> None:
    invented = {
        f"{section}.{key}"
        for section, keys in _documented().items()
        for key in keys
        if key not in known_keys.get(section, set())
    }
    assert invented == set()
