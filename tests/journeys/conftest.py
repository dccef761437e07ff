"""A small project that was ingested, rehearsed and trained, and the real command line to go on with it."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

CASES = 600
PIPELINE = """from sklearn.linear_model import LogisticRegression


def make():
    return LogisticRegression()
"""
PROJECT = """[project]
name = "small"
title = "A small project"

[charter]
objective = "Look at the cases that are worth a look."
currency = "EUR"
timezone = "UTC"
sponsor = "someone@example.com"

[[charter.reviewer]]
group = "desk"

[charter.payoff]
true_positive = "10"
false_positive = "-3"
false_negative = "0"
true_negative = "0"

[charter.capacity]
cases = 8
per = "week"

[data]
source = "cases.csv"
case_id = "case"
time = "at"
label = "bad"
label_known_at = "known"
exclude = ["kind"]

[train]
pipeline = "pipeline:make"

[rehearsal]
start = "2025-04-01"
end = "2025-05-01"
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A project folder with the command line in it."""

    folder: Path

    @property
    def source(self) -> Path:
        """The project's data."""
        return self.folder / "cases.csv"

    @property
    def work(self) -> Path:
        """What Trueup wrote for the project."""
        return self.folder / ".trueup"

    def command(self, *arguments: str) -> list[str]:
        """Return `trueup` with arguments as a new process takes it."""
        return [str(Path(sys.executable).with_name("trueup")), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """Return the variables a command runs with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUEUP_")}
        return {**kept, "PYTHONHASHSEED": "random", **more}

    def run(self, *arguments: str, before: Callable[[], None] | None = None) -> Ended:
        """Run one command to its end."""
        ran = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            preexec_fn=before,  # limits must be set in the child
            check=False,
        )
        return Ended(ran.returncode, ran.stdout, ran.stderr)

    def edit(self, name: str, *changes: tuple[str, str]) -> None:
        """Replace texts in a file of the project; each must be there."""
        path = self.folder / name
        text = path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)

    def published(self) -> dict[str, str]:
        """Return every published file (tables, bundles, reports) with the digest of its content."""
        files = [path for part in ("lake", "reports") for path in sorted((self.work / part).rglob("*"))]
        kept = {"_staging", ".store"}
        return {
            path.relative_to(self.work).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.is_file() and not kept.intersection(path.parts)
        }

    def rehearsal(self) -> bytes:
        """Return the published rehearsal."""
        return (self.work / "reports" / "rehearsal.json").read_bytes()

    def bundles(self) -> list[str]:
        """Return the digests of the published bundles."""
        return sorted(path.name for path in (self.work / "lake" / "bundles").iterdir())


def write_project(folder: Path) -> Place:
    """Write the project: every six hours a case, most large ones bad, each confirmed three days later."""
    dice = random.Random(1)
    lines = ["case,at,known,size,kind,bad"]
    for i in range(CASES):
        at = dt.datetime(2025, 1, 1) + dt.timedelta(hours=6 * i)
        size, kind = round(dice.gauss(0, 1), 3), dice.choice("abc")
        bad = int(dice.random() < (0.7 if size > 0.5 else 0.1))
        lines.append(f"c{i},{at:%Y-%m-%d %H:%M},{at + dt.timedelta(days=3):%Y-%m-%d %H:%M},{size},{kind},{bad}")
    folder.mkdir(parents=True)
    place = Place(folder)
    place.source.write_text("\n".join(lines) + "\n")
    (folder / "pipeline.py").write_text(PIPELINE)
    (folder / "trueup.toml").write_text(PROJECT)
    return place


def copied(place: Place, folder: Path) -> Place:
    """Return a copy of a project with everything that Trueup wrote for it."""
    shutil.copytree(place.folder, folder)
    return Place(folder)


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the files of `before` that are gone or different."""
    return [name for name, digest in before.items() if after.get(name) != digest]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The project after ingest, rehearse and train; look, do not touch."""
    place = write_project(tmp_path_factory.mktemp("finished") / "small")
    for command in (["ingest"], ["rehearse", "--no-guided"], ["train", "--no-guided"]):
        ended = place.run(*command)
        assert ended.code == 0, ended.err
    assert len(place.published()) > 10
    return place


@pytest.fixture
def place(finished: Place, tmp_path: Path) -> Place:
    """An own copy of the finished project."""
    return copied(finished, tmp_path / "small")
