"""Do the commands of data-quality.md work as they stand there, and does its rule parse?"""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from trueup.align.reading import Section
from trueup.align.rules_text import read_rules
from trueup.cli.main import main
from trueup.kernel.errors import Mistake

TEXT = (Path(__file__).parents[2] / "docs" / "data-quality.md").read_text(encoding="utf-8")


def test_the_commands_run_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^\$ trueup (.*)$", TEXT, flags=re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        assert main(shlex.split(command)) == 0, command


def test_the_rules_shown_are_rules() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.DOTALL)
    suggested = re.sub(r"^    ", "", TEXT[TEXT.index("    # 4 values") :], flags=re.MULTILINE).split("\n\n")[0]
    mistakes: list[Mistake] = []
    for text, count in ((block, 2), (suggested, 1)):
        assert len(read_rules(Section(tomllib.loads(text)["data"], "data", file="f", mistakes=mistakes))) == count
    assert mistakes == []
